/**
 * Which nodes of the tree a proof needs, for provers that hold no list of leaves but can look nodes up (in tiles.ts, or
 * wherever they are kept). The shape of a tree depends on its size alone, so all of this is arithmetic:
 *
 *     a tree of 7 leaves                        inclusion of leaf 5: [4,5) [6,7) [0,4)
 *             ┌───────┴───────┐                 consistency from 6:  [6,7) [4,6) [0,4)
 *         ┌───┴───┐       ┌───┴──┐              the subtree [4,7) is no perfect one: nodes (1,2) and (0,6)
 *       ┌─┴─┐   ┌─┴─┐   ┌─┴─┐    │
 *       0   1   2   3   4   5    6
 */
import { nodeHash } from './compact.ts';
import { invariant } from './errors.ts';

/**
 * The leaves [first, next) of a tree under one node of it, as in the proofs of RFC 9162: a perfect subtree, or one at the
 * right edge of the tree. Not empty.
 */
export interface Subtree {
  readonly first: bigint;
  readonly next: bigint;
}

/** A perfect subtree: that over the 2^level leaves from index · 2^level on. Level 0 are the leaves. */
export interface NodeId {
  readonly level: number;
  readonly index: bigint;
}

/**
 * The subtrees whose roots are the inclusion proof of the leaf at `index` in a tree of `size` leaves, in the order of the
 * proof: from the leaf's sibling upwards (RFC 9162, section 2.1.3.1). At most ⌈log2 size⌉. Throws `invariant` unless
 * 0 ≤ index < size.
 */
export function inclusionSubtrees({ index, size }: { readonly index: bigint; readonly size: bigint }): readonly Subtree[] {
  invariant(index >= 0n && index < size, `no leaf ${index} in ${size}`);
  const proof: Subtree[] = [];
  let tree: Subtree = { first: 0n, next: size };
  while (tree.next - tree.first > 1n) {
    const [left, right] = halves(tree);
    proof.push(index < left.next ? right : left);
    tree = index < left.next ? left : right;
  }
  return proof.toReversed();
}

/**
 * The subtrees whose roots are the proof that the tree of `size1` leaves is a prefix of that of `size2`, in the order of
 * the proof (RFC 9162, section 2.1.4.1); none if the sizes are equal. Throws `invariant` unless 1 ≤ size1 ≤ size2.
 */
export function consistencySubtrees({ size1, size2 }: { readonly size1: bigint; readonly size2: bigint }): readonly Subtree[] {
  invariant(size1 >= 1n && size1 <= size2, `no size ${size1} in ${size2}`);
  const proof: Subtree[] = [];
  let tree: Subtree = { first: 0n, next: size2 };
  while (size1 < tree.next) {
    const [left, right] = halves(tree);
    proof.push(size1 <= left.next ? right : left);
    tree = size1 <= left.next ? left : right;
  }
  // The verifier knows the old root; a subtree that is all of the old tree need not be sent.
  if (tree.first > 0n) proof.push(tree);
  return proof.toReversed();
}

/** The two subtrees under the root of one with two leaves or more. */
function halves({ first, next }: Subtree): readonly [Subtree, Subtree] {
  const middle = first + (1n << BigInt(levelOf(next - first - 1n)));
  return [{ first, next: middle }, { first: middle, next }];
}

/** The level of the largest perfect subtree among `leaves` leaves, 1 or more: ⌊log2 leaves⌋. */
function levelOf(leaves: bigint): number {
  return leaves.toString(2).length - 1;
}

/**
 * The perfect subtrees that a subtree falls into, from left to right: one for each set bit of its size. Throws `invariant`
 * for leaves under no one node: an empty range, or one that begins in the middle of such a subtree.
 */
export function nodesOf({ first, next }: Subtree): readonly NodeId[] {
  invariant(first >= 0n && first < next, `no subtree from ${first} to ${next}`);
  const nodes: NodeId[] = [];
  for (let at = first; at < next;) {
    const level = levelOf(next - at);
    const width = 1n << BigInt(level);
    invariant(at % width === 0n, `no subtree from ${first} to ${next}`);
    nodes.push({ level, index: at / width });
    at += width;
  }
  return nodes;
}

/** The root over perfect subtrees of falling size, given by their roots from left to right. Throws `invariant` for none. */
export function rootOfNodes(hashes: readonly Uint8Array[]): Uint8Array {
  invariant(hashes.length > 0, 'a subtree has at least one node');
  return hashes.reduceRight((right, left) => nodeHash(left, right));
}

/** The root of a subtree; `hashOf` gives the 32 bytes of each perfect one it falls into (not checked). Throws as {@link nodesOf}. */
export function subtreeHash(subtree: Subtree, hashOf: (node: NodeId) => Uint8Array): Uint8Array {
  return rootOfNodes(nodesOf(subtree).map(hashOf));
}
