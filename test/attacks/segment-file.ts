/**
 * Kafka's log segment files, as whoever owns the broker's disk sees them: read, changed and written again, so that Kafka
 * notices nothing. Batches are in record format v2 (https://kafka.apache.org/documentation/#recordbatch):
 *
 *     baseOffset int64 | length int32 | leaderEpoch int32 | magic int8 | crc int32 | attributes int16 | lastOffsetDelta int32
 *     0                  8              12                  16           17          21                 23
 *     | baseTimestamp int64 | maxTimestamp int64 | producerId int64 | epoch int16 | sequence int32 | count int32 | records
 *       27                    35                   43                 51            53               57            61
 *
 * The broker must be down meanwhile. Where batches are no longer where its indexes say, these are removed: it builds them anew.
 */
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { decodePayload, encodePayload, type Payload } from '@plait/core';
import { crc32c, varint } from '../kafka/record-batch.ts';

/** A record, with offset and timestamp as consumers see them. */
export interface StoredRecord {
  readonly offset: bigint;
  readonly timestamp: bigint;
  readonly attributes: number;
  readonly payload: Payload;
}

/** A batch; everything about it that its records do not say. */
export interface StoredBatch {
  readonly baseOffset: bigint;
  /** Offset after the last that it stands for, which may be above its last record's. */
  readonly nextOffset: bigint;
  readonly leaderEpoch: number;
  readonly attributes: number;
  readonly baseTimestamp: bigint;
  readonly maxTimestamp: bigint;
  /** Producer's id, epoch and sequence number, as they lie there. */
  readonly producer: Uint8Array;
  readonly records: readonly StoredRecord[];
}

const HEADER_BYTES = 61;
const PREFIX_BYTES = 12;
const COMPRESSION = 0x07;

/** The batches of a file. Throws an Error for one that is compressed, cut off, or of another format. */
export function decodeSegmentFile(bytes: Uint8Array): StoredBatch[] {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const batches: StoredBatch[] = [];
  for (let at = 0; at < file.length; ) {
    const end = at + PREFIX_BYTES + file.readInt32BE(at + 8);
    if (end > file.length) throw new Error(`the batch at byte ${at} is cut off`);
    batches.push(decodeBatch(file.subarray(at, end)));
    at = end;
  }
  return batches;
}

function decodeBatch(bytes: Buffer): StoredBatch {
  const attributes = bytes.readInt16BE(21);
  if (bytes.readInt8(16) !== 2) throw new Error(`record format v${bytes.readInt8(16)}`);
  if ((attributes & COMPRESSION) !== 0) throw new Error('a compressed batch');
  if (bytes.readUInt32BE(17) !== crc32c(bytes.subarray(21))) throw new Error('a wrong checksum');
  const baseOffset = bytes.readBigInt64BE(0);
  const baseTimestamp = bytes.readBigInt64BE(27);
  const records: StoredRecord[] = [];
  const reader = new VarintReader(bytes, HEADER_BYTES);
  for (let left = bytes.readInt32BE(57); left > 0; left--) records.push(decodeRecord(reader, { baseOffset, baseTimestamp }));
  return {
    baseOffset, nextOffset: baseOffset + BigInt(bytes.readInt32BE(23)) + 1n, leaderEpoch: bytes.readInt32BE(12), attributes,
    baseTimestamp, maxTimestamp: bytes.readBigInt64BE(35), producer: bytes.subarray(43, 57), records,
  };
}

function decodeRecord(reader: VarintReader, { baseOffset, baseTimestamp }: Pick<StoredBatch, 'baseOffset' | 'baseTimestamp'>): StoredRecord {
  const length = Number(reader.varint());
  const end = reader.at + length;
  const [attributes = 0] = reader.bytes(1);
  const timestamp = baseTimestamp + reader.varint();
  const offset = baseOffset + reader.varint();
  return { offset, timestamp, attributes, payload: decodePayload(reader.bytes(end - reader.at)) };
}

class VarintReader {
  readonly #file: Buffer;
  at: number;

  constructor(file: Buffer, at: number) {
    this.#file = file;
    this.at = at;
  }

  varint(): bigint {
    let value = 0n;
    for (let shift = 0n; ; shift += 7n) {
      const byte = this.#file.readUInt8(this.at++);
      value |= BigInt(byte & 0x7f) << shift;
      if (byte < 0x80) return (value >> 1n) ^ -(value & 1n);
    }
  }

  bytes(count: number): Buffer {
    this.at += count;
    return this.#file.subarray(this.at - count, this.at);
  }
}

/** The file of these batches, each with the checksum that fits it. What was decoded and not changed is the same bytes again. */
export function encodeSegmentFile(batches: readonly StoredBatch[]): Buffer {
  return Buffer.concat(batches.map(encodeBatch));
}

function encodeBatch(batch: StoredBatch): Buffer {
  const records = Buffer.concat(batch.records.map((record) => encodeRecord(record, batch)));
  const bytes = Buffer.alloc(HEADER_BYTES + records.length);
  bytes.writeBigInt64BE(batch.baseOffset, 0);
  bytes.writeInt32BE(bytes.length - PREFIX_BYTES, 8);
  bytes.writeInt32BE(batch.leaderEpoch, 12);
  bytes.writeInt8(2, 16);
  bytes.writeInt16BE(batch.attributes, 21);
  bytes.writeInt32BE(Number(batch.nextOffset - batch.baseOffset) - 1, 23);
  bytes.writeBigInt64BE(batch.baseTimestamp, 27);
  bytes.writeBigInt64BE(batch.maxTimestamp, 35);
  bytes.set(batch.producer, 43);
  bytes.writeInt32BE(batch.records.length, 57);
  bytes.set(records, HEADER_BYTES);
  bytes.writeUInt32BE(crc32c(bytes.subarray(21)), 17);
  return bytes;
}

function encodeRecord({ offset, timestamp, attributes, payload }: StoredRecord, { baseOffset, baseTimestamp }: StoredBatch): Buffer {
  const body = Buffer.concat([Buffer.from([attributes]), varint(timestamp - baseTimestamp), varint(offset - baseOffset), encodePayload(payload)]);
  return Buffer.concat([varint(BigInt(body.length)), body]);
}

/** What an attacker makes of the batches of a partition. Pure. */
export type Edit = (batches: readonly StoredBatch[]) => readonly StoredBatch[];

/** Changes what is stored of a record. Throws an Error if there is none at `offset`. */
export function changeRecord(offset: bigint, change: (record: StoredRecord) => Partial<StoredRecord>): Edit {
  return (batches) => {
    recordAt(batches, offset);
    return batches.map((batch) => withRecords(batch, batch.records.map((record) => (record.offset === offset ? { ...record, ...change(record) } : record))));
  };
}

/** Lets two records change places: each takes the other's offset. */
export function swapRecords(one: bigint, other: bigint): Edit {
  return (batches) => {
    const [first, second] = [recordAt(batches, one), recordAt(batches, other)];
    return changeRecord(one, () => ({ ...second, offset: one }))(changeRecord(other, () => ({ ...first, offset: other }))(batches));
  };
}

/** Takes a record out; all behind it move up by one, so that no offset is missing. */
export function removeRecord(offset: bigint): Edit {
  return (batches) => {
    recordAt(batches, offset);
    return batches.map((batch) => {
      if (batch.nextOffset <= offset) return batch;
      if (batch.baseOffset > offset) return shifted(batch, -1n);
      const records = batch.records.filter((record) => record.offset !== offset)
        .map((record) => (record.offset > offset ? { ...record, offset: record.offset - 1n } : record));
      return withRecords({ ...batch, nextOffset: batch.nextOffset - 1n }, records);
    }).filter((batch) => batch.baseOffset < batch.nextOffset);
  };
}

/** Puts a copy of a record, changed, before it; that and all behind it move down by one. */
export function insertRecord(offset: bigint, change: (record: StoredRecord) => Partial<StoredRecord>): Edit {
  return (batches) => {
    const found = recordAt(batches, offset);
    const inserted = { ...found, ...change(found), offset };
    return batches.map((batch) => {
      if (batch.nextOffset <= offset) return batch;
      if (batch.baseOffset > offset) return shifted(batch, 1n);
      const at = batch.records.indexOf(found);
      const behind = batch.records.slice(at).map((record) => ({ ...record, offset: record.offset + 1n }));
      return withRecords({ ...batch, nextOffset: batch.nextOffset + 1n }, [...batch.records.slice(0, at), inserted, ...behind]);
    });
  };
}

/** Leaves of the batch that holds `offset` only its head, as Kafka's own compaction does: its offsets hold nothing. */
export function blankBatch(offset: bigint): Edit {
  return (batches) => batches.map((batch) => (holds(batch, offset) ? { ...batch, records: [] } : batch));
}

/** Takes the batch out that holds `offset`; all behind it move up. */
export function removeBatch(offset: bigint): Edit {
  return (batches) => {
    const { baseOffset, nextOffset } = batchAt(batches, offset);
    return batches.filter((batch) => !holds(batch, offset)).map((batch) => (batch.baseOffset < offset ? batch : shifted(batch, baseOffset - nextOffset)));
  };
}

/** Puts a batch of another partition before the one that holds `offset`; that and all behind it move down. */
export function insertBatch(batch: StoredBatch, offset: bigint): Edit {
  return (batches) => {
    const { baseOffset, leaderEpoch } = batchAt(batches, offset);
    const count = batch.nextOffset - batch.baseOffset;
    const inserted = { ...shifted(batch, baseOffset - batch.baseOffset), leaderEpoch };
    return [
      ...batches.filter((each) => each.baseOffset < baseOffset), inserted,
      ...batches.filter((each) => each.baseOffset >= baseOffset).map((each) => shifted(each, count)),
    ];
  };
}

/** Cuts everything off from the batch on that holds `offset`. */
export function truncateAt(offset: bigint): Edit {
  return (batches) => batches.filter((batch) => batch.nextOffset <= offset);
}

/** The batch that holds `offset`. Throws an Error if there is none. */
export function batchAt(batches: readonly StoredBatch[], offset: bigint): StoredBatch {
  const found = batches.find((batch) => holds(batch, offset));
  if (found === undefined) throw new Error(`no batch holds offset ${offset}`);
  return found;
}

function recordAt(batches: readonly StoredBatch[], offset: bigint): StoredRecord {
  const found = batchAt(batches, offset).records.find((record) => record.offset === offset);
  if (found === undefined) throw new Error(`no record at offset ${offset}`);
  return found;
}

const holds = ({ baseOffset, nextOffset }: StoredBatch, offset: bigint): boolean => baseOffset <= offset && offset < nextOffset;

/** The batch with other records; its greatest timestamp is theirs, which Kafka's index of times rests on. */
function withRecords(batch: StoredBatch, records: readonly StoredRecord[]): StoredBatch {
  const times = records.map(({ timestamp }) => timestamp);
  const maxTimestamp = times.reduce((max, time) => (time > max ? time : max), times[0] ?? batch.maxTimestamp);
  return { ...batch, records, maxTimestamp };
}

function shifted(batch: StoredBatch, by: bigint): StoredBatch {
  return {
    ...batch, baseOffset: batch.baseOffset + by, nextOffset: batch.nextOffset + by,
    records: batch.records.map((record) => ({ ...record, offset: record.offset + by })),
  };
}

/** The batches of a partition's folder, of all its files. */
export async function readPartition(folder: string): Promise<StoredBatch[]> {
  const files = (await readdir(folder)).filter((name) => name.endsWith('.log')).toSorted();
  return (await Promise.all(files.map((name) => readFile(join(folder, name))))).flatMap(decodeSegmentFile);
}

/** Where each batch lies, as the indexes have it. */
function placesOf(batches: readonly StoredBatch[]): string {
  return batches.map((batch) => `${batch.baseOffset} ${encodeBatch(batch).length}`).join('\n');
}

/** Changes a partition of one segment file in its folder, while the broker is down. Throws an Error if there are more files, or if nothing changes. */
export async function editPartition(folder: string, edit: Edit): Promise<void> {
  const [name, ...more] = (await readdir(folder)).filter((each) => each.endsWith('.log'));
  if (name === undefined || more.length > 0) throw new Error(`${folder}: wanted one segment file`);
  const before = decodeSegmentFile(await readFile(join(folder, name)));
  const after = edit(before);
  if (encodeSegmentFile(after).equals(encodeSegmentFile(before))) throw new Error(`${folder}: nothing was changed`);
  await writeFile(join(folder, name), encodeSegmentFile(after));
  if (placesOf(after) === placesOf(before)) return;
  const derived = (await readdir(folder)).filter((each) => /\.(?:index|timeindex|txnindex|snapshot)$/.test(each));
  await Promise.all(derived.map((each) => rm(join(folder, each))));
}
