/** What both Ed25519 implementations share: which public keys count, by point arithmetic. */
import { ed25519 } from '@noble/curves/ed25519.js';

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

/** The least-recently-added entry goes when a cache of keys is full; keys in use come back at once. */
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
