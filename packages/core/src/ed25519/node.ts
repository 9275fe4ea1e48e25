/**
 * Ed25519 (RFC 8032) on Node: OpenSSL, behind the same check of public keys as in the browser. Same exports as
 * `browser.ts`; which of the two `#ed25519` means is decided by the import condition.
 */
import { Buffer } from 'node:buffer';
import { createPrivateKey, createPublicKey, sign, verify, type KeyObject } from 'node:crypto';
import { invariant } from '../errors.ts';
import {
  cacheKey,
  CACHED_PUBLIC_KEYS_MAX,
  CACHED_SEEDS_MAX,
  publicKeyPoint,
  rememberKey,
  verifyByPoints,
  type Point,
} from './point.ts';

export { isValidPublicKey } from './point.ts';

// RFC 8410: the DER around 32 bytes of public key (SubjectPublicKeyInfo) and of seed (PKCS #8).
const SPKI_PREFIX = Buffer.from('302a300506032b6570032100', 'hex');
const PKCS8_PREFIX = Buffer.from('302e020100300506032b657004220420', 'hex');

/** A valid public key, both for OpenSSL and for point arithmetic. */
interface PreparedKey {
  readonly object: KeyObject;
  readonly point: Point;
}

const publicKeys = new Map<string, PreparedKey | undefined>();
const privateKeys = new Map<string, KeyObject>();

function preparedKey(publicKey: Uint8Array): PreparedKey | undefined {
  const key = cacheKey(publicKey);
  if (publicKeys.has(key)) return publicKeys.get(key);
  const point = publicKeyPoint(publicKey);
  const prepared = point && {
    object: createPublicKey({ key: Buffer.concat([SPKI_PREFIX, publicKey]), format: 'der', type: 'spki' }),
    point,
  };
  return rememberKey(publicKeys, key, prepared, CACHED_PUBLIC_KEYS_MAX);
}

/** True iff R is the canonical encoding of the identity: 01 00 … 00. */
function isIdentity(signature: Uint8Array): boolean {
  if (signature[0] !== 1) return false;
  for (let i = 1; i < 32; i++) if (signature[i] !== 0) return false;
  return true;
}

function privateKeyObject(seed: Uint8Array): KeyObject {
  invariant(seed.length === 32, `an Ed25519 seed has 32 bytes, not ${seed.length}`);
  const key = cacheKey(seed);
  const cached = privateKeys.get(key);
  if (cached !== undefined) return cached;
  const object = createPrivateKey({ key: Buffer.concat([PKCS8_PREFIX, seed]), format: 'der', type: 'pkcs8' });
  return rememberKey(privateKeys, key, object, CACHED_SEEDS_MAX);
}

/**
 * True iff `publicKey` is valid ({@link isValidPublicKey}), `signature` is 64 bytes R ‖ S with S < L, and
 * encode(S·B − k·A) equals the bytes of R, where k = SHA-512(R ‖ A ‖ message) (DESIGN, section 4). Never throws for
 * hostile bytes. About 0.1 ms; the first use of a key costs about a millisecond more.
 */
export function ed25519Verify(args: {
  readonly publicKey: Uint8Array;
  readonly message: Uint8Array;
  readonly signature: Uint8Array;
}): boolean {
  const { publicKey, message, signature } = args;
  // Another length never reaches the cache, so one entry holds 32 bytes.
  if (signature.length !== 64 || publicKey.length !== 32) return false;
  const key = preparedKey(publicKey);
  if (key === undefined) return false;
  // Node refuses an R of small order since nodejs/node#64026 (June 2026; seen in 24.21), before that it did not. By
  // our rule the identity is the one such R that a key free of torsion can meet. All versions must judge alike.
  if (isIdentity(signature)) return verifyByPoints({ point: key.point, publicKey, message, signature });
  return verify(null, message, key.object, signature);
}

/** The 64-byte signature of `message` by the 32-byte secret `seed`; deterministic. Throws `invariant` for another length. */
export function ed25519Sign(args: { readonly seed: Uint8Array; readonly message: Uint8Array }): Uint8Array {
  return new Uint8Array(sign(null, args.message, privateKeyObject(args.seed)));
}

/** The 32-byte public key of the 32-byte secret `seed`. Throws `invariant` for another length. */
export function ed25519PublicKey(seed: Uint8Array): Uint8Array {
  const spki = createPublicKey(privateKeyObject(seed)).export({ format: 'der', type: 'spki' });
  return new Uint8Array(spki.subarray(SPKI_PREFIX.length));
}
