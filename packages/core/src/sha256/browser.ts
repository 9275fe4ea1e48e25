/** SHA-256 in the browser, synchronous. Same exports as `node.ts`. */
import { sha256 as nobleSha256 } from '@noble/hashes/sha2.js';

/** The SHA-256 hash (FIPS 180-4) of `data`: 32 bytes, a new array. */
export function sha256(data: Uint8Array): Uint8Array {
  return nobleSha256(data);
}

/**
 * Writes the SHA-256 hash of `data` to `out` from `outOffset` on (32 bytes). `data` may lie in `out`, also overlapping:
 * it is read before anything is written. Throws RangeError (a bug of ours) if 32 bytes do not fit.
 */
export function sha256Into(data: Uint8Array, out: Uint8Array, outOffset: number): void {
  if (!(outOffset >= 0 && outOffset + 32 <= out.length)) throw new RangeError('no room for a hash');
  out.set(nobleSha256(data), outOffset);
}
