/** The leaves of a whole segment, wherever they were kept: 48 bytes each, one behind the other. */
import { hashToText } from './bytes.ts';
import { RootHasher } from './compact.ts';
import { invariant } from './errors.ts';
import { LEAF_BYTES } from './leaf.ts';
import { segmentCount, type RecordSegment } from './segment.ts';

/** Each leaf, 48 bytes; subarrays of `leaves`. Throws `invariant` if the last one is cut. */
export function splitLeaves(leaves: Uint8Array): readonly Uint8Array[] {
  invariant(leaves.length % LEAF_BYTES === 0, `leaves have ${LEAF_BYTES} bytes each`);
  return Array.from({ length: leaves.length / LEAF_BYTES }, (_, i) => leaves.subarray(i * LEAF_BYTES, (i + 1) * LEAF_BYTES));
}

/** Whether these are the leaves of the segment: as many as it has records, under its root. */
export function areLeavesOf(segment: RecordSegment, leaves: Uint8Array): boolean {
  if (BigInt(leaves.length) !== segmentCount(segment) * BigInt(LEAF_BYTES)) return false;
  const hasher = new RootHasher();
  for (const leaf of splitLeaves(leaves)) hasher.add(leaf);
  return hashToText(hasher.root()) === segment.root;
}
