/**
 * Ed25519 (RFC 8032) in the browser, by point arithmetic: the libraries' own `verify` accept more than OpenSSL does.
 * Same exports as `node.ts`.
 */
import { ed25519 } from '@noble/curves/ed25519.js';
import { invariant } from '../errors.ts';
import { cacheKey, CACHED_PUBLIC_KEYS_MAX, publicKeyPoint, rememberKey, verifyByPoints, type Point } from './point.ts';

export { isValidPublicKey } from './point.ts';

const points = new Map<string, Point | undefined>();

function cachedPoint(publicKey: Uint8Array): Point | undefined {
  const key = cacheKey(publicKey);
  return points.has(key) ? points.get(key) : rememberKey(points, key, publicKeyPoint(publicKey), CACHED_PUBLIC_KEYS_MAX);
}

/**
 * True iff `publicKey` is valid ({@link isValidPublicKey}), `signature` is 64 bytes R ‖ S with S < L, and
 * encode(S·B − k·A) equals the bytes of R, where k = SHA-512(R ‖ A ‖ message) (DESIGN, section 4). Never throws for
 * hostile bytes. About a millisecond.
 */
export function ed25519Verify(args: {
  readonly publicKey: Uint8Array;
  readonly message: Uint8Array;
  readonly signature: Uint8Array;
}): boolean {
  const { publicKey, message, signature } = args;
  if (signature.length !== 64 || publicKey.length !== 32) return false;
  const point = cachedPoint(publicKey);
  return point !== undefined && verifyByPoints({ point, publicKey, message, signature });
}

/** The 64-byte signature of `message` by the 32-byte secret `seed`; deterministic. Throws `invariant` for another length. */
export function ed25519Sign(args: { readonly seed: Uint8Array; readonly message: Uint8Array }): Uint8Array {
  invariant(args.seed.length === 32, `an Ed25519 seed has 32 bytes, not ${args.seed.length}`);
  return ed25519.sign(args.message, args.seed);
}

/** The 32-byte public key of the 32-byte secret `seed`. Throws `invariant` for another length. */
export function ed25519PublicKey(seed: Uint8Array): Uint8Array {
  invariant(seed.length === 32, `an Ed25519 seed has 32 bytes, not ${seed.length}`);
  return ed25519.getPublicKey(seed);
}
