/**
 * Record batches as Kafka stores them (format v2, https://kafka.apache.org/documentation/#recordbatch):
 *
 *     baseOffset int64 | length int32 | leaderEpoch int32 | magic int8 | crc int32 | attributes int16 | lastOffsetDelta int32
 *     0                  8              12                  16           17          21                 23
 *     | baseTimestamp int64 | maxTimestamp int64 | producerId int64 | epoch int16 | sequence int32 | count int32 | records
 *       27                    35                   43                 51            53               57            61
 *
 * The CRC is not checked (the brokers do, and payload digests are checked further up); who reads files does: log-dir-partition.ts.
 */
import { offset as toOffset } from '@plait/core';
import type { Offset } from '@plait/core';
import { Decoder, decodeRecordBatch, filterAbortedMessages } from './internals.ts';
import type { Abortable, AbortedTransaction, BatchContext } from './internals.ts';

const HEADER_BYTES = 61;
/** Baseoffset and length: not counted by `length`. */
const LENGTH_PREFIX_BYTES = 12;
const MAGIC = 2;
const TIMESTAMP_TYPE_LOG_APPEND = 0x08;
const TRANSACTIONAL = 0x10;
const CONTROL = 0x20;

interface Batch {
  readonly bytes: Buffer;
  readonly baseOffset: bigint;
  readonly lastOffset: bigint;
}

/** The whole batches of `set`, and the offset after the last of them. Throws an Error on bytes that are no batches. */
function wholeBatches(set: Buffer): Batch[] {
  const batches: Batch[] = [];
  for (let at = 0; at + HEADER_BYTES <= set.length; ) {
    const end = at + LENGTH_PREFIX_BYTES + set.readInt32BE(at + 8);
    const magic = set.readInt8(at + 16);
    if (magic !== MAGIC) throw new Error(`record format v${magic}; only v2 can be read`);
    if (end < at + HEADER_BYTES) throw new Error('a batch is shorter than its header');
    if (end > set.length) break;
    const baseOffset = set.readBigInt64BE(at);
    const lastOffset = baseOffset + BigInt(set.readInt32BE(at + 23));
    if (baseOffset < 0n || lastOffset < baseOffset) throw new Error('a batch ends before it begins');
    if (lastOffset <= (batches.at(-1)?.lastOffset ?? -1n)) throw new Error('batches are out of order');
    batches.push({ bytes: set.subarray(at, end), baseOffset, lastOffset });
    at = end;
  }
  return batches;
}

/**
 * Where the whole batches of a fetched set end: in bytes, and as the offset after the last (undefined: none is whole).
 * Throws an Error on bytes that are no batches.
 */
export function extentOf(set: Buffer): { readonly bytes: number; readonly nextOffset: bigint | undefined } {
  const batches = wholeBatches(set);
  const last = batches.at(-1);
  if (last === undefined) return { bytes: 0, nextOffset: undefined };
  return { bytes: last.bytes.byteOffset + last.bytes.length - set.byteOffset, nextOffset: last.lastOffset + 1n };
}

/** Makes the caller's record. `timestamp` as SourceRecord says; `payload` is a slice of the wire bytes. */
export type MakeRecord<T> = (offset: Offset, timestamp: bigint, payload: Buffer) => T;

/** Numbers up to here can take an offset delta and stay exact. */
const EXACT_MAX = 2n ** 52n;

/**
 * One closure for each batch, so that what is the same for all its records is computed once. BigInt(number) is half the
 * price of adding two bigints, and offsets and timestamps practically always fit.
 */
function makerFor<T>({ bytes, baseOffset }: Batch, make: MakeRecord<T>) {
  const logAppend = (bytes.readInt16BE(21) & TIMESTAMP_TYPE_LOG_APPEND) !== 0;
  const baseTimestamp = bytes.readBigInt64BE(27);
  const maxTimestamp = bytes.readBigInt64BE(35);
  const exact = baseOffset < EXACT_MAX && baseTimestamp < EXACT_MAX && baseTimestamp > -EXACT_MAX && !logAppend;
  const offsetNumber = Number(baseOffset);
  const timestampNumber = Number(baseTimestamp);
  return (_: BatchContext, timestampDelta: number | bigint, offsetDelta: number, payload: Buffer): T => {
    if (exact && typeof timestampDelta === 'number' && timestampDelta < 2 ** 52 && timestampDelta > -(2 ** 52)) {
      return make(toOffset(BigInt(offsetNumber + offsetDelta)), BigInt(timestampNumber + timestampDelta), payload);
    }
    const timestamp = logAppend ? maxTimestamp : BigInt.asIntN(64, baseTimestamp + BigInt(timestampDelta));
    return make(toOffset(baseOffset + BigInt(offsetDelta)), timestamp, payload);
  };
}

/** The batches that are no part of an aborted transaction. Only batches of control records are decoded, for their keys. */
async function visible(batches: Batch[], abortedTransactions: readonly AbortedTransaction[]): Promise<Batch[]> {
  if (abortedTransactions.length === 0) return batches;
  const messages: (Abortable & { readonly batch: Batch })[] = [];
  for (const batch of batches) {
    const attributes = batch.bytes.readInt16BE(21);
    const isControlRecord = (attributes & CONTROL) !== 0;
    const decoded = isControlRecord ? await decodeRecordBatch(new Decoder(batch.bytes)) : undefined;
    messages.push({
      // A transaction begins with a batch: it has begun for a batch when it has for the batch's last record.
      offset: batch.lastOffset.toString(),
      key: decoded?.records[0]?.key ?? null,
      isControlRecord,
      batchContext: {
        producerId: batch.bytes.readBigInt64BE(43).toString(),
        inTransaction: (attributes & TRANSACTIONAL) !== 0,
      },
      batch,
    });
  }
  return filterAbortedMessages({ messages, abortedTransactions }).map(({ batch }) => batch);
}

/**
 * The data records of a set of whole batches at or above `from`, in order, without those of `aborted` transactions and
 * without control records. Throws an Error when a batch cannot be decoded.
 */
export async function decodeRecordSet<T extends { readonly offset: Offset }>(
  { bytes, from, aborted }: { readonly bytes: Buffer; readonly from: bigint; readonly aborted: readonly AbortedTransaction[] },
  make: MakeRecord<T>,
): Promise<T[]> {
  let all: T[] = [];
  for (const batch of await visible(wholeBatches(bytes), aborted)) {
    if ((batch.bytes.readInt16BE(21) & CONTROL) !== 0 || batch.lastOffset < from) continue;
    const { records } = await decodeRecordBatch(new Decoder(batch.bytes), makerFor(batch, make));
    checkOrder(records, batch);
    const kept = batch.baseOffset < from ? records.filter((record) => record.offset >= from) : records;
    if (all.length === 0) all = kept;
    else for (const record of kept) all.push(record);
  }
  return all;
}

/** Where the leading batches end that can be decoded, in bytes and offsets; undefined if the first cannot. For a set that cannot. */
export async function readableExtent(set: Buffer): Promise<{ readonly bytes: number; readonly nextOffset: bigint } | undefined> {
  let extent: { readonly bytes: number; readonly nextOffset: bigint } | undefined;
  for (const { bytes, baseOffset, lastOffset } of wholeBatches(set)) {
    try {
      await decodeRecordSet({ bytes, from: baseOffset, aborted: [] }, (offset) => ({ offset }));
    } catch {
      break;
    }
    extent = { bytes: bytes.byteOffset + bytes.length - set.byteOffset, nextOffset: lastOffset + 1n };
  }
  return extent;
}

/** The port promises offset order; a damaged batch must not break that in silence. */
function checkOrder(records: readonly { readonly offset: Offset }[], { baseOffset, lastOffset }: Batch): void {
  let next: bigint = baseOffset;
  for (const { offset } of records) {
    if (offset < next || offset > lastOffset) throw new Error('offsets of a batch are out of order');
    next = offset + 1n;
  }
}
