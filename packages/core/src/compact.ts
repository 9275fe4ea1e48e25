/**
 * Trees that are only appended to: the roots of the perfect subtrees a tree of n leaves falls into (one for each set
 * bit of n, largest first), which is all that is needed to append and to know the root. As values
 * ({@link CompactRange}) for states, and as a machine without allocations ({@link RootHasher}) for records.
 */
import { sha256, sha256Into } from '#sha256';
import { HASH_BYTES } from './bytes.ts';
import { invariant } from './errors.ts';

/** The root of the tree without leaves: SHA-256 of nothing (RFC 9162, section 2.1.1). Not to be written to. */
export const EMPTY_ROOT: Uint8Array = sha256(new Uint8Array(0));

/** The hash of an inner node: SHA-256(0x01 ‖ left ‖ right), a new array. Both must have 32 bytes; not checked. */
export function nodeHash(left: Uint8Array, right: Uint8Array): Uint8Array {
  const node = new Uint8Array(1 + 2 * HASH_BYTES);
  node[0] = 1;
  node.set(left, 1);
  node.set(right, 1 + HASH_BYTES);
  return sha256(node);
}

/** A tree of `size` leaves, by the roots of its perfect subtrees from left to right: as many as `size` has set bits. */
export interface CompactRange {
  readonly size: bigint;
  readonly hashes: readonly Uint8Array[];
}

/** The tree without leaves. */
export const EMPTY_RANGE: CompactRange = { size: 0n, hashes: [] };

/** The range with one more leaf of the given hash; `range` stays as it is, unchanged hashes are shared. O(log size). */
export function appendLeaf(range: CompactRange, leafHash: Uint8Array): CompactRange {
  checkRange(range);
  invariant(leafHash.length === HASH_BYTES, `a hash has ${HASH_BYTES} bytes, not ${leafHash.length}`);
  const hashes = [...range.hashes];
  let hash = leafHash;
  // Appending is adding 1: each trailing set bit is a perfect subtree that becomes the left half of a larger one.
  for (let bits = range.size; (bits & 1n) === 1n; bits >>= 1n) hash = nodeHash(hashes.pop() as Uint8Array, hash);
  hashes.push(hash);
  return { size: range.size + 1n, hashes };
}

/** The root of the tree; {@link EMPTY_ROOT} if it has no leaf. A new array unless the tree is one perfect subtree. */
export function rangeRoot(range: CompactRange): Uint8Array {
  checkRange(range);
  if (range.hashes.length === 0) return EMPTY_ROOT.slice();
  return range.hashes.reduceRight((right, left) => nodeHash(left, right));
}

/** Whether the range has as many hashes as its size (0 or more) has set bits. That they have 32 bytes is not checked. */
export function isRange(range: CompactRange): boolean {
  let bits = 0;
  for (let size = range.size; size > 0n; size >>= 1n) bits += Number(size & 1n);
  return range.size >= 0n && bits === range.hashes.length;
}

function checkRange(range: CompactRange): void {
  invariant(isRange(range), `a range of ${range.size} leaves does not have ${range.hashes.length} hashes`);
}

/** Leaves a {@link RootHasher} takes: levels 0 … 31. A segment has at most 4,096. */
const LEAVES_MAX = 2 ** 32 - 1;

/**
 * The root of a list of leaves, computed as they come, without an allocation per leaf.
 *
 * Level k has one buffer, laid out as the node it will be hashed as: 0x01 ‖ left ‖ right. `left` is in use iff bit k of
 * the count is set: a binary counter whose carry is a hash. So hashes are written where they are read, and never moved.
 */
export class RootHasher {
  readonly #nodes: Uint8Array[] = [];
  #count = 0;
  #leaf = new Uint8Array(0);

  /** Appends a leaf that holds the bytes `leaf` (copied): its hash is SHA-256(0x00 ‖ leaf). Fastest at one length. */
  add(leaf: Uint8Array): void {
    // One buffer for the leaves of one length; its first byte, 0x00, is never written.
    if (this.#leaf.length !== leaf.length + 1) this.#leaf = new Uint8Array(leaf.length + 1);
    this.#leaf.set(leaf, 1);
    this.addPrefixed(this.#leaf);
  }

  /**
   * Appends a leaf given as 0x00 ‖ leaf, for callers that build it in place. The first byte is not checked. Throws
   * `invariant` above 2^32 − 1 leaves.
   */
  addPrefixed(prefixedLeaf: Uint8Array): void {
    invariant(this.#count < LEAVES_MAX, 'too many leaves');
    let source = prefixedLeaf;
    let level = 0;
    for (let bits = this.#count; (bits & 1) === 1; bits >>>= 1) {
      const node = this.#nodes[level] as Uint8Array;
      sha256Into(source, node, 1 + HASH_BYTES);
      source = node;
      level += 1;
    }
    let node = this.#nodes[level];
    if (node === undefined) {
      node = newNode();
      this.#nodes.push(node);
    }
    sha256Into(source, node, 1);
    this.#count += 1;
  }

  /** Leaves added since the start or the last reset. */
  get count(): number {
    return this.#count;
  }

  /** The root over the leaves so far, a new array; {@link EMPTY_ROOT} for none. More leaves may be added after it. */
  root(): Uint8Array {
    if (this.#count === 0) return EMPTY_ROOT.slice();
    let root: Uint8Array | undefined;
    for (let level = 0; level < this.#nodes.length; level++) {
      if (((this.#count >>> level) & 1) === 0) continue;
      const node = this.#nodes[level] as Uint8Array;
      if (root === undefined) {
        root = node.slice(1, 1 + HASH_BYTES);
      } else {
        // The right half is free between two leaves.
        node.set(root, 1 + HASH_BYTES);
        sha256Into(node, root, 0);
      }
    }
    return root as Uint8Array;
  }

  /** Forgets all leaves; the buffers stay. */
  reset(): void {
    this.#count = 0;
  }
}

function newNode(): Uint8Array {
  const node = new Uint8Array(1 + 2 * HASH_BYTES);
  node[0] = 1;
  return node;
}
