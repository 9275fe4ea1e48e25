/**
 * What Kafka sends: answers that we decode, sets of record batches, the codecs. These refuse by whatever Error; the readers turn
 * it into `invalid` (or give a connection up). Payloads are in core-bytes.test.ts.
 */
import { encodePayload, type Offset } from '@plait/core';
import kafkajs from 'kafkajs';
import { describe, expect, it } from 'vitest';
import { registerCodecs } from '../../packages/kafka/src/codecs.ts';
import { decodeFetchResponse } from '../../packages/kafka/src/fetch-response.ts';
import { decodeRights } from '../../packages/kafka/src/rights.ts';
import { decodeRecordSet, extentOf } from '../../packages/kafka/src/record-sets.ts';
import { recordBatch } from '../kafka/record-batch.ts';
import { fc } from './fast-check.ts';
import { anyBytes, holdsAsync, hostileBytes, takenAsync } from './hostile.ts';

registerCodecs();

/** One batch may inflate to so much (packages/kafka/src/codecs.ts), and is copied once. */
const INFLATED_BYTES_MAX = 2 * 128 * 1024 * 1024 + 64 * 1024 * 1024;
/** A bug of ours would be one of these. A RangeError is what Node's buffers throw for a read beyond the end. */
const isRefusal = (error: unknown): boolean => error instanceof Error && !(error instanceof TypeError) && !(error instanceof ReferenceError);

const payloads = fc.sample(fc.record({
  key: fc.option(fc.uint8Array({ maxLength: 12 })), value: fc.option(fc.uint8Array({ maxLength: 90 })),
  headers: fc.array(fc.record({ key: fc.uint8Array({ maxLength: 5 }), value: fc.option(fc.uint8Array({ maxLength: 5 })) }), { maxLength: 2 }),
}), { numRuns: 12, seed: 1 }).map((payload) => ({ payload: encodePayload(payload) }));
const plain = recordBatch(payloads);
const codecs = kafkajs.CompressionCodecs as Readonly<Record<number, () => { compress(encoder: { buffer: Buffer }): Promise<Buffer> }>>;
const batches = [plain, ...(await Promise.all([1, 2, 3, 4].map(compressed)))];

/** The plain batch with its records in a codec of Kafka's. Its checksum is not mended: nobody looks at it. */
async function compressed(codec: number): Promise<Buffer> {
  const records = await codecs[codec]?.().compress({ buffer: plain.subarray(61) });
  if (records === undefined) throw new Error(`no codec ${codec}`);
  const batch = Buffer.concat([plain.subarray(0, 61), records]);
  batch.writeInt32BE(batch.length - 12, 8);
  batch.writeInt16BE(codec, 21);
  return batch;
}

/** `batch`, as the broker stores it at an offset, for a producer, with these attributes. */
function stored(batch: Buffer, options: { readonly offset: bigint; readonly producer?: bigint; readonly attributes?: number }): Buffer {
  const copy = Buffer.from(batch);
  copy.writeBigInt64BE(options.offset, 0);
  copy.writeInt16BE(copy.readInt16BE(21) | (options.attributes ?? 0), 21);
  copy.writeBigInt64BE(options.producer ?? -1n, 43);
  return copy;
}

/** Sets of some batches, plain and compressed, one of them in a transaction that ends in an abort marker. */
const marker = stored(recordBatch([{ payload: Buffer.from([8, 0, 0, 0, 0, 1, 0]) }]), { offset: 40n, producer: 7n, attributes: 0x30 });
const sets = [
  ...batches,
  Buffer.concat(batches.map((batch, i) => stored(batch, { offset: BigInt(i * 12) }))),
  Buffer.concat([stored(plain, { offset: 0n }), stored(plain, { offset: 20n, producer: 7n, attributes: 0x10 }), marker]),
];

const offsets = async (bytes: Buffer, aborted: { producerId: string; firstOffset: string }[]): Promise<bigint[]> =>
  (await decodeRecordSet({ bytes, from: 0n, aborted }, (offset) => ({ offset }))).map(({ offset }) => offset);

describe('a set of record batches', () => {
  it('of hostile edits gives records in order within it, or an Error', async () => {
    let records = 0;
    await holdsAsync(fc.tuple(fc.oneof({ weight: 5, arbitrary: hostileBytes(sets) }, anyBytes), fc.boolean()), async ([bytes, withAborted]) => {
      const extent = await takenAsync(() => extentOf(bytes), isRefusal);
      if (extent !== undefined) expect(extent.bytes).toBeLessThanOrEqual(bytes.length);
      const aborted = withAborted ? [{ producerId: '7', firstOffset: '20' }] : [];
      const made = await takenAsync(
        () => decodeRecordSet({ bytes, from: 3n, aborted }, (offset: Offset, timestamp, payload) => ({ offset, timestamp, payload })),
        isRefusal, INFLATED_BYTES_MAX,
      );
      if (made === undefined) return;
      // What can be decoded can be told the end of.
      expect(extent).toBeDefined();
      records += made.length;
      for (const [i, { offset, timestamp }] of made.entries()) {
        expect(offset >= 3n && offset < (extent?.nextOffset ?? 0n) && offset > (made[i - 1]?.offset ?? -1n)).toBe(true);
        expect(BigInt.asIntN(64, timestamp)).toBe(timestamp);
      }
    }, 3_000);
    expect(records).toBeGreaterThan(100);
  });

  it('as it is gives its records, without those of aborted transactions', async () => {
    const last = sets.at(-1) as Buffer;
    expect(await offsets(last, [])).toHaveLength(24);
    expect(await offsets(last, [{ producerId: '7', firstOffset: '20' }])).toEqual(Array.from({ length: 12 }, (_, i) => BigInt(i)));
    for (const set of batches) expect(await offsets(set, [])).toHaveLength(12);
  });
});

const int16 = (n: number): Buffer => { const b = Buffer.alloc(2); b.writeInt16BE(n); return b; };
const int32 = (n: number): Buffer => { const b = Buffer.alloc(4); b.writeInt32BE(n); return b; };
const int64 = (n: bigint): Buffer => { const b = Buffer.alloc(8); b.writeBigInt64BE(n); return b; };
const list = (items: readonly Buffer[]): Buffer => Buffer.concat([int32(items.length), ...items]);

/** An answer of version 11, as fetch-response.ts draws it. */
function fetchResponse(topics: readonly { readonly topic: string; readonly records: readonly (Buffer | null)[] }[]): Buffer {
  const partition = (records: Buffer | null, i: number): Buffer => Buffer.concat([
    int32(i), int16(0), int64(9n), int64(9n), int64(0n), list([Buffer.concat([int64(7n), int64(20n)])]), int32(-1),
    records === null ? int32(-1) : Buffer.concat([int32(records.length), records]),
  ]);
  const topicOf = ({ topic, records }: (typeof topics)[number]): Buffer => Buffer.concat([int16(topic.length), Buffer.from(topic), list(records.map(partition))]);
  return Buffer.concat([int32(0), int16(0), int32(0), list(topics.map(topicOf))]);
}

describe('an answer to a fetch', () => {
  const answers = [
    fetchResponse([]), fetchResponse([{ topic: 'orders', records: [Buffer.from('abc'), null] }, { topic: 'x', records: [Buffer.alloc(0)] }]),
  ];

  it('as it is gives what it holds', () => {
    const { partitions } = decodeFetchResponse(answers[1] as Buffer);
    expect(partitions.map(({ topic, partition, records }) => `${topic}/${partition} ${records.toString()}`)).toEqual(['orders/0 abc', 'orders/1 ', 'x/0 ']);
    expect(partitions[0]?.aborted).toEqual([{ producerId: '7', firstOffset: '20' }]);
  });

  it('whose lengths point back into it is refused', () => {
    // Such a partition would be read again, as often as the count before it says.
    const again = fetchResponse([{ topic: 'x', records: [null] }]);
    again.writeInt32BE(0x7fffffff, 17);
    for (const back of [-58, -2, -0x80000000]) {
      again.writeInt32BE(back, again.length - 4);
      expect(() => decodeFetchResponse(again)).toThrow(RangeError);
    }
    const name = fetchResponse([{ topic: 'x', records: [null] }]);
    name.writeInt16BE(-6, 14);
    expect(() => decodeFetchResponse(name)).toThrow(RangeError);
  });

  it('of hostile edits gives parts of itself, none twice, or an Error', async () => {
    let kept = 0;
    await holdsAsync(fc.oneof({ weight: 5, arbitrary: hostileBytes(answers) }, anyBytes), async (bytes) => {
      const answer = await takenAsync(() => decodeFetchResponse(bytes), isRefusal);
      if (answer === undefined) return;
      kept += 1;
      expect(answer.partitions.reduce((sum, { records, aborted }) => sum + records.length + 16 * aborted.length + 38, 0)).toBeLessThanOrEqual(bytes.length);
    }, 5_000);
    expect(kept).toBeGreaterThan(50);
  });
});

const string = (text: string): Buffer => Buffer.concat([int16(text.length), Buffer.from(text)]);

/** Metadata of version 8, as rights.ts draws it. */
function metadata(topics: readonly string[]): Buffer {
  const partition = Buffer.concat([int16(0), int32(0), int32(1), int32(0), list([int32(1)]), list([int32(1)]), list([])]);
  return Buffer.concat([
    int32(0), list([Buffer.concat([int32(1), string('a'), int32(9_092), int16(-1)])]), string('cluster'), int32(1),
    list(topics.map((topic) => Buffer.concat([int16(0), string(topic), Buffer.from([0]), list([partition]), int32(264)]))), int32(0),
  ]);
}

describe('an answer about rights', () => {
  const answers = [metadata([]), metadata(['orders', 'x'])];

  it('as it is gives what it holds', () => {
    expect(decodeRights(answers[1] as Buffer)).toEqual(['orders', 'x'].map((topic) => ({ topic, errorCode: 0, operations: 264 })));
  });

  it('of hostile edits gives no more than it can hold, or an Error', async () => {
    let kept = 0;
    await holdsAsync(fc.oneof({ weight: 5, arbitrary: hostileBytes(answers) }, anyBytes), async (bytes) => {
      const rights = await takenAsync(() => decodeRights(bytes), isRefusal);
      if (rights === undefined) return;
      kept += 1;
      // Error code, length of the name, whether it is internal, number of partitions, rights: 13 bytes a topic.
      expect(13 * rights.length).toBeLessThanOrEqual(bytes.length);
    }, 3_000);
    expect(kept).toBeGreaterThan(50);
  });
});
