/**
 * The leaf of a record, 48 bytes, all numbers big-endian:
 *
 *     0        8            16                        48
 *     | offset | timestamp  | payload digest          |
 *     | uint63 | int64, ms  | SHA-256(payload bytes)  |
 *
 * The payload bytes are those of `record.ts` with minimal varints. Its leaf hash is SHA-256(0x00 ‖ leaf), so a proof
 * need not reveal the payload, and stays good when the payload is gone.
 */
import { sha256, sha256Into } from '#sha256';
import { HASH_BYTES } from './bytes.ts';
import { RootHasher } from './compact.ts';
import { invalid, invariant } from './errors.ts';

/** Bytes of a leaf. */
export const LEAF_BYTES = 48;
const TIMESTAMP_AT = 8;
const DIGEST_AT = 16;
const OFFSET_MAX = 2n ** 63n - 1n;

/** A leaf in parts. */
export interface Leaf {
  /** 0 … 2^63 − 1 */
  readonly offset: bigint;
  /** Milliseconds since 1970 as Kafka has them, −2^63 … 2^63 − 1; −1 where a record has none. */
  readonly timestamp: bigint;
  /** 32 bytes. */
  readonly digest: Uint8Array;
}

/** The payload digest: SHA-256 of the payload's bytes, which must have minimal varints (`minimalPayload`; not checked). */
export function payloadDigest(payload: Uint8Array): Uint8Array {
  return sha256(payload);
}

function writeNumbers(view: DataView, at: number, offset: bigint, timestamp: bigint): void {
  invariant(offset >= 0n && offset <= OFFSET_MAX, 'an offset is 0 … 2^63 − 1');
  invariant(BigInt.asIntN(64, timestamp) === timestamp, 'a timestamp fits 64 bits');
  view.setBigInt64(at, offset);
  view.setBigInt64(at + TIMESTAMP_AT, timestamp);
}

/**
 * Writes a record's leaf to `out` from `at` on (48 bytes). `payload` must have minimal varints; not checked. Throws
 * `invariant` if offset or timestamp are out of range or 48 bytes do not fit.
 */
export function writeLeaf(args: {
  readonly out: Uint8Array;
  readonly at: number;
  readonly offset: bigint;
  readonly timestamp: bigint;
  readonly payload: Uint8Array;
}): void {
  const { out, at } = args;
  invariant(at >= 0 && at + LEAF_BYTES <= out.length, 'no room for a leaf');
  writeNumbers(new DataView(out.buffer, out.byteOffset, out.byteLength), at, args.offset, args.timestamp);
  sha256Into(args.payload, out, at + DIGEST_AT);
}

/** The 48 bytes of a leaf. Throws `invariant` if offset or timestamp are out of range or the digest is not 32 bytes. */
export function encodeLeaf(leaf: Leaf): Uint8Array {
  invariant(leaf.digest.length === HASH_BYTES, `a digest has ${HASH_BYTES} bytes, not ${leaf.digest.length}`);
  const out = new Uint8Array(LEAF_BYTES);
  writeNumbers(new DataView(out.buffer), 0, leaf.offset, leaf.timestamp);
  out.set(leaf.digest, DIGEST_AT);
  return out;
}

/** The leaf that `bytes` spell; the digest is a copy. Throws `invalid` for another length than 48 and a negative offset. */
export function decodeLeaf(bytes: Uint8Array): Leaf {
  if (bytes.length !== LEAF_BYTES) throw invalid(`a leaf has ${LEAF_BYTES} bytes`, { found: bytes.length });
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const offset = view.getBigInt64(0);
  if (offset < 0n) throw invalid('a leaf has a negative offset', { found: `${offset}` });
  return { offset, timestamp: view.getBigInt64(TIMESTAMP_AT), digest: bytes.slice(DIGEST_AT) };
}

/**
 * The root over the leaves of a segment, computed record by record without allocations: what workers and readers do
 * with every record of the product. Some 1 µs for a record of 200 bytes.
 */
export class SegmentHasher {
  readonly #tree = new RootHasher();
  /** 0x00 ‖ leaf, filled anew for every record. */
  readonly #prefixed = new Uint8Array(1 + LEAF_BYTES);
  readonly #view = new DataView(this.#prefixed.buffer);
  /** The leaf that was added last, 48 bytes; the next one is written over it. */
  readonly leaf: Uint8Array = this.#prefixed.subarray(1);

  /**
   * Appends a record. `payload` must have minimal varints (`minimalPayload`; not checked) and is not kept. That offsets
   * increase is not checked either. Throws `invariant` if offset or timestamp are out of range.
   */
  add(offset: bigint, timestamp: bigint, payload: Uint8Array): void {
    writeNumbers(this.#view, 1, offset, timestamp);
    sha256Into(payload, this.#prefixed, 1 + DIGEST_AT);
    this.#tree.addPrefixed(this.#prefixed);
  }

  /** Records since the start or the last reset. */
  get count(): number {
    return this.#tree.count;
  }

  /** The root over the records so far (32 bytes, a new array); of the empty tree for none. */
  root(): Uint8Array {
    return this.#tree.root();
  }

  /** Starts a new segment. */
  reset(): void {
    this.#tree.reset();
  }
}
