/**
 * The checksum of a record batch (record format v2): CRC-32C over all behind itself.
 *
 *     0            8        12      16     17     21
 *     | base offset | length | epoch | magic | sum  | attributes …
 */
import { crc32C } from './internals.ts';

const SUM_AT = 17;
const SUMMED_AT = 21;

/** The checksum that a whole batch, from its base offset on, must carry; uint32. */
export function batchSum(batch: Buffer): number {
  return crc32C(batch.subarray(SUMMED_AT));
}

/** The checksum that it carries. */
export function storedBatchSum(batch: Buffer): number {
  return batch.readUInt32BE(SUM_AT);
}

/** Writes the right checksum into a batch that was changed. */
export function sealBatch(batch: Buffer): void {
  batch.writeUInt32BE(batchSum(batch), SUM_AT);
}
