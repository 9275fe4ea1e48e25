/** Kafka's segment files are changed as an attacker would: what is not meant to change stays byte for byte. */
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { encodePayload, utf8Encode, type Payload } from '@plait/core';
import { describe, expect, test } from 'vitest';
import {
  batchAt, blankBatch, changeRecord, decodeSegmentFile, editPartition, encodeSegmentFile, insertBatch, insertRecord, readPartition, removeBatch, removeRecord, swapRecords,
  truncateAt, type Edit, type StoredBatch,
} from '../attacks/segment-file.ts';
import { recordBatch } from '../kafka/record-batch.ts';
import { fc } from '../properties/fast-check.ts';

const payload = (value: string): Payload => ({ key: null, value: utf8Encode(value), headers: [{ key: utf8Encode('h'), value: null }] });

/** A batch that another program wrote. */
function written(baseOffset: bigint, values: readonly string[]): Buffer {
  const bytes = recordBatch(values.map((value, i) => ({ payload: encodePayload(payload(value)), timestampDelta: BigInt(i * 100) })));
  bytes.writeBigInt64BE(baseOffset, 0);
  return bytes;
}

const file = (): Buffer => Buffer.concat([written(0n, ['a', 'b', 'c']), written(3n, ['d', 'e']), written(5n, ['f'])]);
const after = (edit: Edit): StoredBatch[] => decodeSegmentFile(encodeSegmentFile(edit(decodeSegmentFile(file()))));
const shown = (batches: readonly StoredBatch[]): string[] => batches.map(({ baseOffset, nextOffset, records }) =>
  `${baseOffset}…${nextOffset}: ${records.map(({ offset, payload: { value } }) => `${offset}=${Buffer.from(value ?? []).toString()}`).join(' ')}`);

test('what is decoded and encoded is the same bytes', () => {
  const bytes = fc.option(fc.uint8Array({ maxLength: 200 }), { nil: null });
  const headers = fc.array(fc.record({ key: fc.uint8Array({ maxLength: 5 }), value: bytes }), { maxLength: 3 });
  const records = fc.array(fc.record({ key: bytes, value: bytes, headers, delta: fc.bigInt({ min: -(2n ** 40n), max: 2n ** 40n }) }), { minLength: 1, maxLength: 5 });
  fc.assert(fc.property(fc.array(records, { maxLength: 4 }), (batches) => {
    let offset = 0n;
    const whole = Buffer.concat(batches.map((each) => {
      const batch = recordBatch(each.map(({ delta, ...rest }) => ({ payload: encodePayload(rest), timestampDelta: delta })));
      batch.writeBigInt64BE(offset, 0);
      offset += BigInt(each.length);
      return batch;
    }));
    expect(encodeSegmentFile(decodeSegmentFile(whole)).equals(whole)).toBe(true);
  }));
});

test('a wrong checksum, a compressed batch and a batch cut off are refused', () => {
  const wrong = file();
  wrong.writeUInt8(wrong.readUInt8(70) ^ 1, 70);
  expect(() => decodeSegmentFile(wrong)).toThrow('a wrong checksum');
  expect(() => decodeSegmentFile(recordBatch([], { codec: 1 }))).toThrow('a compressed batch');
  expect(() => decodeSegmentFile(file().subarray(0, -1))).toThrow('is cut off');
});

describe('an edit', () => {
  const untouched = ['0…3: 0=a 1=b 2=c', '3…5: 3=d 4=e', '5…6: 5=f'];

  test('of a record leaves every other', () => {
    expect(shown(after((batches) => batches))).toEqual(untouched);
    expect(shown(after(changeRecord(4n, () => ({ payload: payload('X') }))))).toEqual([untouched[0], '3…5: 3=d 4=X', untouched[2]]);
    expect(batchAt(after(changeRecord(4n, ({ timestamp }) => ({ timestamp: timestamp + 5n }))), 4n).maxTimestamp).toBe(1_700_000_000_105n);
    expect(() => after(changeRecord(6n, () => ({})))).toThrow('no batch holds offset 6');
  });

  test('swaps two records', () => expect(shown(after(swapRecords(0n, 2n)))).toEqual(['0…3: 0=c 1=b 2=a', ...untouched.slice(1)]));

  test('removes a record and renumbers the rest', () => {
    expect(shown(after(removeRecord(1n)))).toEqual(['0…2: 0=a 1=c', '2…4: 2=d 3=e', '4…5: 4=f']);
    expect(shown(after(removeRecord(4n)))).toEqual([untouched[0], '3…4: 3=d', '4…5: 4=f']);
    expect(shown(after(removeRecord(5n)))).toEqual(untouched.slice(0, 2));
  });

  test('adds a record and renumbers the rest', () => {
    expect(shown(after(insertRecord(4n, () => ({ payload: payload('X') }))))).toEqual([untouched[0], '3…6: 3=d 4=X 5=e', '6…7: 6=f']);
    expect(shown(after(removeRecord(4n))))
      .toEqual(shown(removeRecord(4n)(removeRecord(4n)(after(insertRecord(4n, () => ({ payload: payload('X') })))))));
  });

  test('blanks, removes, inserts and cuts off batches', () => {
    expect(shown(after(blankBatch(3n)))).toEqual([untouched[0], '3…5: ', untouched[2]]);
    expect(shown(after(removeBatch(1n)))).toEqual(['0…2: 0=d 1=e', '2…3: 2=f']);
    const [other] = decodeSegmentFile(written(40n, ['x', 'y']));
    if (other === undefined) throw new Error('no batch');
    expect(shown(after(insertBatch(other, 3n)))).toEqual([untouched[0], '3…5: 3=x 4=y', '5…7: 5=d 6=e', '7…8: 7=f']);
    expect(shown(after(truncateAt(3n)))).toEqual([untouched[0]]);
  });
});

test('a partition is changed in its folder, and its indexes are left to the broker', async () => {
  const folder = await mkdtemp(join(tmpdir(), 'plait-attacks-'));
  try {
    const name = '00000000000000000000';
    for (const [suffix, bytes] of [['log', file()], ['index', 'x'], ['timeindex', 'x']] as const) await writeFile(join(folder, `${name}.${suffix}`), bytes);
    await writeFile(join(folder, 'partition.metadata'), 'x');
    await editPartition(folder, changeRecord(4n, () => ({ payload: payload('X') })));
    expect(await readdir(folder)).toHaveLength(4);
    await editPartition(folder, truncateAt(3n));
    expect(await readdir(folder)).toEqual([`${name}.log`, 'partition.metadata']);
    expect((await readFile(join(folder, `${name}.log`))).equals(written(0n, ['a', 'b', 'c']))).toBe(true);
    expect(shown(await readPartition(folder))).toEqual(['0…3: 0=a 1=b 2=c']);
    await expect(editPartition(folder, (batches) => batches)).rejects.toThrow('nothing was changed');
  } finally {
    await rm(folder, { recursive: true });
  }
});
