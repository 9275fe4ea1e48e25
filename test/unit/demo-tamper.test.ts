/** The demo's attacker changes one digit, and Kafka could not tell. */
import { encodePayload, utf8Decode, utf8Encode } from '@plait/core';
import { expect, test } from 'vitest';
import { changeQuantity } from '../../apps/plait/src/demo/demo-tamper.ts';
import { batchAt, decodeSegmentFile } from '../attacks/segment-file.ts';
import { recordBatch } from '../kafka/record-batch.ts';

const order = (number: number, quantity: number): string => JSON.stringify({ order: number, customer: 7, items: [{ item: 'rope', quantity }, { item: 'map', quantity: 1 }] });

/** A segment file of batches with two orders each. */
function written(batches: readonly (readonly string[])[]): Buffer {
  return Buffer.concat(batches.map((values, at) => {
    const batch = recordBatch(values.map((value) => ({ payload: encodePayload({ key: null, value: utf8Encode(value), headers: [] }) })));
    batch.writeBigInt64BE(BigInt(2 * at), 0);
    return batch;
  }));
}

test.each([[3, 4], [9, 1]])('a quantity of %i becomes %i in one order, under a checksum that fits', (quantity, changed) => {
  const file = written([[order(1, 2), order(12, 2)], [order(2, quantity), order(21, 2)]]);
  expect(changeQuantity(file, 2)).toEqual({ before: `"quantity":${quantity}`, after: `"quantity":${changed}` });
  // It refuses batches whose checksum is wrong.
  const batches = decodeSegmentFile(file);
  const values = [0n, 2n].flatMap((offset) => batchAt(batches, offset).records.map(({ payload: { value } }) => utf8Decode(value ?? new Uint8Array())));
  expect(values).toEqual([order(1, 2), order(12, 2), order(2, changed), order(21, 2)]);
});

test('an order that is not there is not changed', () => {
  const file = written([[order(1, 2)]]);
  const before = Buffer.from(file);
  expect(() => changeQuantity(file, 2)).toThrow('order 2 is not in the file');
  expect(file.equals(before)).toBe(true);
});
