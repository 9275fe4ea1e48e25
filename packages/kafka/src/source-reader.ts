/** The roles' {@link SourceReader} over Kafka. */
import { offset as toOffset, PlaitError } from '@plait/core';
import type { Offset, TopicPartition } from '@plait/core';
import type { SourceEvent, SourceReader, SourceRecord } from '@plait/roles';
import type { KafkaOptions } from './client.ts';
import { reason } from './errors.ts';
import { FetchLoop } from './fetch-loop.ts';
import { undecodable } from './fetch-source.ts';
import type { Arrival, FetchLimits, Taken } from './fetch-source.ts';
import { decodeRecordSet, readableExtent } from './record-sets.ts';
import { connectWire } from './wire.ts';

/** How sources are reached, and how much is fetched ahead. */
export interface SourceReaderOptions {
  readonly kafka: KafkaOptions;
  /** Bytes of a partition that may lie fetched and not taken, roughly (one response more). Default 2 MiB. */
  readonly bufferBytesMax?: number;
  /** Least time between two requests to a broker while little comes, in ms: how long a record may rest unread. Default 0. */
  readonly paceMs?: number;
}

const READ_COMMITTED = 1;
const LIMITS: FetchLimits = { bufferBytesMax: 2 << 20, responseBytesMax: 16 << 20, partitionBytesMax: 1 << 20, paceMs: 0 };
/** One poll decodes about this much, so that its caller gets to its other duties. */
const POLL_BYTES_MAX = 1 << 20;

const makeRecord = (offset: Offset, timestamp: bigint, payload: Buffer): SourceRecord => ({ offset, timestamp, payload });

class KafkaSourceReader implements SourceReader {
  readonly #loop: FetchLoop;

  constructor(loop: FetchLoop) {
    this.#loop = loop;
  }

  find(partition: TopicPartition): void {
    this.#loop.find(partition);
  }

  seek(partition: TopicPartition, offset: Offset): void {
    this.#loop.seek(partition, offset);
  }

  drop(partition: TopicPartition): void {
    this.#loop.drop(partition);
  }

  async poll({ maxWaitMs, only }: { readonly maxWaitMs: number; readonly only?: TopicPartition }): Promise<readonly SourceEvent[]> {
    const events: { readonly event: SourceEvent; readonly isStale: () => boolean }[] = [];
    if (await this.#loop.ready(maxWaitMs, only)) {
      for (let bytes = 0; bytes < POLL_BYTES_MAX; ) {
        const taken = this.#loop.take(only);
        if (taken === undefined) break;
        if (taken.arrival.kind === 'chunk') bytes += taken.arrival.bytes.length;
        try {
          events.push({ event: await this.#eventOf(taken), isStale: taken.isStale });
        } catch (error) {
          if (taken.isStale()) continue;
          const parts = await splitReadable(taken.arrival);
          if (parts !== undefined) {
            taken.putBack(...parts);
            continue;
          }
          // What was decoded before goes out first; the failure comes with the next poll.
          if (events.length === 0) throw this.#halt(taken, error);
          taken.putBack(taken.arrival);
          break;
        }
      }
    }
    return events.filter(({ isStale }) => !isStale()).map(({ event }) => event);
  }

  async close(): Promise<void> {
    this.#loop.close();
  }

  async #eventOf({ source: { topic, partition }, arrival }: Taken): Promise<SourceEvent> {
    if (arrival.kind === 'failed') throw arrival.error;
    if (arrival.kind !== 'chunk') {
      const place = { topic, partition, logStart: toOffset(arrival.logStart), end: toOffset(arrival.end) };
      return arrival.kind === 'found' ? { kind: 'found', ...place } : { kind: 'out-of-range', ...place, offset: toOffset(arrival.offset) };
    }
    const { firstOffset, nextOffset, bytes, aborted } = arrival;
    const records = await decodeRecordSet({ bytes, from: firstOffset, aborted }, makeRecord);
    return { kind: 'records', topic, partition, firstOffset: toOffset(firstOffset), records, nextOffset: toOffset(nextOffset) };
  }

  /** What is behind a batch that cannot be decoded must not come without it. */
  #halt({ source, arrival }: Taken, error: unknown): PlaitError {
    this.#loop.halt(source);
    if (error instanceof PlaitError) return error;
    return undecodable(source, arrival.kind === 'chunk' ? arrival.firstOffset : -1n, reason(error));
  }
}

/** A chunk that cannot be decoded as a whole: what can of it, and the rest. Undefined if that begins with its first batch. */
async function splitReadable(arrival: Arrival): Promise<readonly [Arrival, Arrival] | undefined> {
  if (arrival.kind !== 'chunk') return undefined;
  const { bytes, aborted } = arrival;
  const readable = await readableExtent(bytes);
  if (readable === undefined || readable.bytes === bytes.length) return undefined;
  const { nextOffset } = readable;
  return [
    { ...arrival, bytes: bytes.subarray(0, readable.bytes), nextOffset },
    { kind: 'chunk', bytes: bytes.subarray(readable.bytes), firstOffset: nextOffset, nextOffset: arrival.nextOffset, aborted },
  ];
}

/**
 * Connects; reads nothing before the first `seek`. Throws `unavailable` with the addresses within about 5 s when no
 * broker answers, `config` when this client is refused.
 *
 * After `config` or `invalid` from `poll` the partition at fault is not read until its next `seek`; the others go on.
 * The records' `payload`s are slices of what was fetched: one that is kept keeps up to 16 MiB alive.
 */
export async function openSourceReader(options: SourceReaderOptions): Promise<SourceReader> {
  const wire = await connectWire(options.kafka);
  const { bufferBytesMax = LIMITS.bufferBytesMax, paceMs = LIMITS.paceMs } = options;
  const limits = { ...LIMITS, bufferBytesMax, paceMs };
  return new KafkaSourceReader(new FetchLoop({ wire, isolation: READ_COMMITTED, limits }));
}
