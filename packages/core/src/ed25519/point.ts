/** What both Ed25519 implementations share, by point arithmetic: which public keys count, and the rule itself. */
import { ed25519 } from '@noble/curves/ed25519.js';
import { sha512 } from '@noble/hashes/sha2.js';
import { concatBytes, equalBytes } from '../bytes.ts';

/** A point of the curve edwards25519 (RFC 8032, section 5.1). */
export type Point = ReturnType<typeof ed25519.Point.fromBytes>;

/**
 * The point of a public key, or undefined unless `publicKey` is 32 bytes, the canonical encoding (y < 2^255 − 19, no
 * "negative zero" x) of a point on the curve that lies in the subgroup of prime order and is not the identity.
 */
export function publicKeyPoint(publicKey: Uint8Array): Point | undefined {
  if (publicKey.length !== 32) return undefined;
  let point: Point;
  try {
    point = ed25519.Point.fromBytes(publicKey, false);
  } catch {
    return undefined;
  }
  return !point.is0() && point.isTorsionFree() ? point : undefined;
}

/**
 * True iff `publicKey` is a key Plait accepts: 32 bytes, canonical, on the curve, free of torsion, not the identity
 * (so not of small order). With such a key the cofactorless and the cofactored rule differ only in R, which
 * verification compares as bytes. Costs about a millisecond.
 */
export function isValidPublicKey(publicKey: Uint8Array): boolean {
  return publicKeyPoint(publicKey) !== undefined;
}

/** L, the order of the base point B (RFC 8032, section 5.1). */
const ORDER = 2n ** 252n + 27742317777372353535851937790883648493n;

/**
 * True iff S < L and encode(S·B − k·A) equals the bytes of R, where `signature` = R ‖ S has 64 bytes (not checked),
 * A = `point` is the point of `publicKey`, and k = SHA-512(R ‖ publicKey ‖ message). About a millisecond.
 */
export function verifyByPoints(args: {
  readonly point: Point;
  readonly publicKey: Uint8Array;
  readonly message: Uint8Array;
  readonly signature: Uint8Array;
}): boolean {
  const r = args.signature.subarray(0, 32);
  const s = littleEndian(args.signature.subarray(32));
  if (s >= ORDER) return false;
  const k = littleEndian(sha512(concatBytes(r, args.publicKey, args.message))) % ORDER;
  // The unsafe multiplication is not constant-time, which is fine for public values, and unlike the other takes 0.
  const expected = ed25519.Point.BASE.multiplyUnsafe(s).subtract(args.point.multiplyUnsafe(k));
  return equalBytes(expected.toBytes(), r);
}

function littleEndian(bytes: Uint8Array): bigint {
  let hex = '0x';
  for (let i = bytes.length - 1; i >= 0; i--) hex += (bytes[i] as number).toString(16).padStart(2, '0');
  return BigInt(hex);
}

/** Sets `value` and returns it; the entry added first goes when the cache is full. A key still in use comes back at once. */
export function rememberKey<V>(cache: Map<string, V>, key: string, value: V, entriesMax: number): V {
  if (cache.size >= entriesMax) {
    const oldest = cache.keys().next();
    if (!oldest.done) cache.delete(oldest.value);
  }
  cache.set(key, value);
  return value;
}

/** The bytes as a string of as many characters, as a key for a Map. */
export function cacheKey(bytes: Uint8Array): string {
  return String.fromCharCode(...bytes);
}

/** Most public keys an implementation keeps prepared: above what one configuration can name in practice. */
export const CACHED_PUBLIC_KEYS_MAX = 1024;
/** Most signing keys kept prepared: a process signs with a few. */
export const CACHED_SEEDS_MAX = 16;
