/** Folders of segment files made by hand: batches at any offset, of any producer, and what can be wrong with them. */
import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodePayload, type Payload, type TopicPartition } from '@plait/core';
import { sealBatch } from '@plait/kafka';
import type { SourceEvent, SourceReader } from '@plait/roles';
import { onTestFinished } from 'vitest';
import { recordBatch } from '../kafka/record-batch.ts';

const TRANSACTIONAL = 0x10;
const CONTROL = 0x20;

export const at: TopicPartition = { topic: 'orders', partition: 0 };

/** A new empty folder, removed after the test. */
export async function newFolder(): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), 'plait-log-dir-'));
  onTestFinished(() => rm(folder, { recursive: true, force: true }));
  return folder;
}

/** A batch of `count` records whose values say their offsets, and its producer's if it is part of a transaction. */
export function batch(baseOffset: bigint, count: number, { producer, bytes = 10 }: { producer?: bigint; bytes?: number } = {}): Buffer {
  const payload = (i: number): Payload => ({ key: null, value: Buffer.from(`record ${baseOffset + BigInt(i)} ${'x'.repeat(bytes)}`), headers: [] });
  const made = recordBatch(Array.from({ length: count }, (_, i) => ({ payload: encodePayload(payload(i)) })));
  return placed(made, baseOffset, producer === undefined ? 0 : TRANSACTIONAL, producer ?? -1n);
}

/** The batch that ends a producer's transaction: one offset. */
export function marker(baseOffset: bigint, producer: bigint, end: 'commit' | 'abort'): Buffer {
  const key = Buffer.from([0, 0, 0, end === 'abort' ? 0 : 1]);
  return placed(recordBatch([{ payload: encodePayload({ key, value: Buffer.alloc(6), headers: [] }) }]), baseOffset, TRANSACTIONAL | CONTROL, producer);
}

function placed(made: Buffer, baseOffset: bigint, attributes: number, producer: bigint): Buffer {
  made.writeBigInt64BE(baseOffset, 0);
  made.writeInt16BE(attributes, 21);
  made.writeBigInt64BE(producer, 43);
  sealBatch(made);
  return made;
}

/** A file's name as brokers write it. */
export const segmentName = (baseOffset: bigint): string => `${baseOffset.toString().padStart(20, '0')}.log`;

/** Writes a segment file of {@link at} into a folder, or of another folder of a partition. */
export async function writeSegment(folder: string, baseOffset: bigint, batches: readonly Buffer[], partitionFolder = 'orders-0', name = segmentName(baseOffset)): Promise<string> {
  await mkdir(join(folder, partitionFolder), { recursive: true });
  const path = join(folder, partitionFolder, name);
  await writeFile(path, Buffer.concat(batches));
  return path;
}

/** What a reader gave of {@link at}. */
export interface Given {
  /** Offsets of the records. */
  readonly offsets: readonly bigint[];
  readonly nextOffset: bigint;
  /** Of the last event that is no records, or the error that ended it. */
  readonly last?: SourceEvent | { readonly code: string; readonly details: unknown };
}

/** Polls without waiting until nothing comes. Throws at a gap between events. */
export async function drain(reader: SourceReader, from: bigint): Promise<Given> {
  const offsets: bigint[] = [];
  let nextOffset = from;
  for (;;) {
    let events: readonly SourceEvent[];
    try {
      events = await reader.poll({ maxWaitMs: 0, only: at });
    } catch (error) {
      const { code, details } = error as { readonly code: string; readonly details: unknown };
      if (code === undefined) throw error;
      return { offsets, nextOffset, last: { code, details } };
    }
    if (events.length === 0) return { offsets, nextOffset };
    for (const event of events) {
      if (event.kind !== 'records') return { offsets, nextOffset, last: event };
      if (event.firstOffset !== nextOffset || event.nextOffset <= nextOffset) throw new Error(`${event.firstOffset} after ${nextOffset}`);
      nextOffset = event.nextOffset;
      for (const { offset, payload } of event.records) {
        if (!Buffer.from(payload).includes(`record ${offset} `)) throw new Error(`another record at ${offset}`);
        offsets.push(offset);
      }
    }
  }
}

/** first … next − 1 */
export const range = (first: bigint, next: bigint): bigint[] => Array.from({ length: Number(next - first) }, (_, i) => first + BigInt(i));
