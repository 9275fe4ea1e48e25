/** Record batches made by hand: any payload, any attributes, with a right checksum. */

/** A record of a batch that is made here. */
export interface RawRecord {
  readonly payload: Uint8Array;
  readonly timestampDelta?: bigint;
}

/** A batch in record format v2, as `packages/kafka/src/record-sets.ts` draws it. */
export function recordBatch(
  records: readonly RawRecord[],
  options: { readonly baseTimestamp?: bigint; readonly codec?: number; readonly compress?: (raw: Buffer) => Buffer } = {},
): Buffer {
  const baseTimestamp = options.baseTimestamp ?? 1_700_000_000_000n;
  const raw = Buffer.concat(
    records.flatMap(({ payload, timestampDelta }, i) => {
      const body = [Buffer.from([0]), varint(timestampDelta ?? 0n), varint(BigInt(i)), Buffer.from(payload)];
      return [varint(BigInt(body.reduce((sum, { length }) => sum + length, 0))), ...body];
    }),
  );
  const stored = options.compress?.(raw) ?? raw;
  const maxTimestamp = records.reduce((max, { timestampDelta }) => (baseTimestamp + (timestampDelta ?? 0n) > max ? baseTimestamp + (timestampDelta ?? 0n) : max), -1n);
  const batch = Buffer.alloc(61 + stored.length);
  batch.writeInt32BE(49 + stored.length, 8);
  batch.writeInt32BE(-1, 12);
  batch.writeInt8(2, 16);
  batch.writeInt16BE(options.codec ?? 0, 21);
  batch.writeInt32BE(records.length - 1, 23);
  batch.writeBigInt64BE(baseTimestamp, 27);
  batch.writeBigInt64BE(maxTimestamp, 35);
  batch.writeBigInt64BE(-1n, 43);
  batch.writeInt16BE(-1, 51);
  batch.writeInt32BE(-1, 53);
  batch.writeInt32BE(records.length, 57);
  stored.copy(batch, 61);
  batch.writeUInt32BE(crc32c(batch.subarray(21)), 17);
  return batch;
}

/** Zigzag, 7 bits a byte, low bits first. */
export function varint(value: bigint): Buffer {
  let rest = BigInt.asUintN(64, (value << 1n) ^ (value >> 63n));
  const bytes: number[] = [];
  while (rest > 0x7fn) {
    bytes.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  return Buffer.from([...bytes, Number(rest)]);
}

/** The checksum of a batch, over everything behind it. */
export function crc32c(bytes: Buffer): number {
  let crc = 0xffffffff;
  for (const byte of bytes) {
    crc ^= byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc >>> 1) ^ (crc & 1 ? 0x82f63b78 : 0);
  }
  return (crc ^ 0xffffffff) >>> 0;
}
