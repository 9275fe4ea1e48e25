/** Bytes that no broker of good will stores: they end in an Error, which the readers turn into `invalid`, and in nothing else. */
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { compressFrameSync } from 'lz4-napi';
import { compressSync } from 'snappy';
import { describe, expect, it } from 'vitest';
import { registerCodecs } from './codecs.ts';
import { decodeRecordSet, extentOf, readableExtent } from './record-sets.ts';

registerCodecs();

/** Two records, each: length 11, attributes 0, deltas 0 and i, key null, value of 4 bytes, no headers. */
const RECORDS = Buffer.from([0, 1].flatMap((i) => [20, 0, 0, i * 2, 1, 8, 1, 2, 3, 4, 0]));
/** A key of 90 zeros and no value: compresses well. */
const LONG = Buffer.from([0, 1].flatMap((i) => [0xc2, 0x01, 0, 0, i * 2, 0xb4, 0x01, ...Array.from({ length: 90 }, () => 0), 1, 0]));

function batch(records: Buffer, options: { readonly codec?: number; readonly count?: number; readonly baseOffset?: bigint } = {}): Buffer {
  const header = Buffer.alloc(61);
  header.writeBigInt64BE(options.baseOffset ?? 0n, 0);
  header.writeInt32BE(49 + records.length, 8);
  header.writeInt8(2, 16);
  header.writeInt16BE(options.codec ?? 0, 21);
  header.writeInt32BE((options.count ?? 2) - 1, 23);
  header.writeBigInt64BE(1_000n, 27);
  header.writeInt32BE(options.count ?? 2, 57);
  return Buffer.concat([header, records]);
}

const decode = async (bytes: Buffer, from = 0n): Promise<readonly bigint[]> =>
  (await decodeRecordSet({ bytes, from, aborted: [] }, (offset, timestamp, payload) => ({ offset, timestamp, payload }))).map(({ offset }) => offset);

const STORED: readonly (readonly [string, Buffer])[] = [
  ['plain', batch(RECORDS)],
  ['gzip', batch(gzipSync(RECORDS), { codec: 1 })],
  ['snappy', batch(compressSync(RECORDS), { codec: 2 })],
  ['lz4', batch(compressFrameSync(RECORDS), { codec: 3 })],
  ['zstd', batch(zstdCompressSync(RECORDS), { codec: 4 })],
];

/** With a record that is longer than its batch. */
const damaged = (whole: Buffer): Buffer => Buffer.from(whole).fill(0x7e, 61, 62);

describe('record sets', () => {
  it.each(STORED)('%s: whole ones are read, from any offset', async (_name, set) => {
    expect(extentOf(set)).toEqual({ bytes: set.length, nextOffset: 2n });
    expect(await decode(set)).toEqual([0n, 1n]);
    expect(await decode(set, 1n)).toEqual([1n]);
  });

  it('end with the last whole batch', async () => {
    const second = batch(RECORDS, { baseOffset: 7n });
    const set = Buffer.concat([batch(RECORDS), second]);
    for (let length = 0; length < set.length; length++) {
      const whole = length >= set.length - second.length;
      expect(extentOf(set.subarray(0, length))).toEqual({ bytes: whole ? set.length - second.length : 0, nextOffset: whole ? 2n : undefined });
    }
    expect(extentOf(set).nextOffset).toBe(9n);
    expect(await decode(set, 1n)).toEqual([1n, 7n, 8n]);
  });

  it.each(STORED)('%s: with any byte changed they give offsets in order, or an Error', async (_name, set) => {
    for (let at = 0; at < set.length; at++) {
      for (const change of [0x01, 0x80, 0xff]) {
        const changed = Buffer.from(set);
        changed.writeUInt8(changed.readUInt8(at) ^ change, at);
        try {
          const offsets = await decode(changed);
          expect(offsets.every((offset, i) => i === 0 || offset > (offsets[i - 1] ?? -1n))).toBe(true);
        } catch (error) {
          expect(error).toBeInstanceOf(Error);
          expect(String(error)).not.toMatch(/AssertionError/);
        }
      }
    }
  });

  it('are readable up to the first that is damaged', async () => {
    const [first, second, third] = [batch(RECORDS), batch(RECORDS, { baseOffset: 7n }), batch(RECORDS, { baseOffset: 20n })];
    expect(await readableExtent(Buffer.concat([first, second, third]))).toEqual({ bytes: first.length + second.length + third.length, nextOffset: 22n });
    expect(await readableExtent(Buffer.concat([first, damaged(second), third]))).toEqual({ bytes: first.length, nextOffset: 2n });
    expect(await readableExtent(Buffer.concat([damaged(first), second]))).toBeUndefined();
  });

  it('with a count, a length or an offset that cannot be are refused', async () => {
    await expect(decode(batch(RECORDS, { count: 3 }))).rejects.toThrow('Malformed record');
    await expect(decode(batch(RECORDS, { count: 0x7fffffff }))).rejects.toThrow('Malformed record');
    await expect(decode(batch(Buffer.from([0xfe, 0xff, 0xff, 0xff, 0x0f, 0, 0]), { count: 1 }))).rejects.toThrow('Malformed record');
    await expect(decode(batch(RECORDS, { count: 1 }).fill(2, 61 + 3, 61 + 4))).rejects.toThrow('out of order');
    const old = batch(RECORDS);
    old.writeInt8(1, 16);
    expect(() => extentOf(old)).toThrow('record format v1');
  });

  it.each([
    ['gzip', 1, (raw: Buffer) => gzipSync(raw)],
    ['lz4', 3, (raw: Buffer) => compressFrameSync(raw)],
    ['zstd', 4, (raw: Buffer) => zstdCompressSync(raw)],
    ['snappy', 2, (raw: Buffer) => compressSync(raw)],
  ])('%s: a batch that inflates without end is refused', async (_name, codec, compress) => {
    const bomb = compress(Buffer.alloc(140 * 1024 * 1024));
    await expect(decode(batch(bomb, { codec }))).rejects.toThrow(/inflates to more than 134217728|Buffer larger than 134217728/);
    expect(await decode(batch(compress(LONG), { codec }))).toEqual([0n, 1n]);
  });
});
