/** Exhaustive for trees of up to 33 leaves: proofs and roots are those of the lists, wherever the tree began and whatever it forgot. */
import { expect, test } from 'vitest';
import { appendLeaf, EMPTY_RANGE, type CompactRange } from './compact.ts';
import { GrowingTree } from './growing-tree.ts';
import { leafHash, proveInclusion, treeRoot } from './tree.ts';

const LEAVES = 33;
const hashes = Array.from({ length: LEAVES }, (_, i) => leafHash(Uint8Array.of(i)));
/** By size: the root, and the proof of each leaf. */
const expected = Array.from({ length: LEAVES + 1 }, (_, size) => {
  const leafHashes = hashes.slice(0, size);
  return { root: treeRoot(leafHashes), proofs: leafHashes.map((_hash, index) => proveInclusion({ index, leafHashes })) };
});

function rangeOf(size: number): CompactRange {
  return hashes.slice(0, size).reduce(appendLeaf, EMPTY_RANGE);
}

/** All that the tree can prove, from `from` on. */
function check(tree: GrowingTree, from: number): void {
  for (let size = Math.max(from, 1); size <= Number(tree.size); size += 1) {
    const found = Array.from({ length: size - from }, (_, i) => tree.prove({ index: BigInt(from + i), size: BigInt(size) }));
    expect(found).toEqual(expected[size]?.proofs.slice(from));
    expect(tree.root(BigInt(size))).toEqual(expected[size]?.root);
  }
}

test.each(Array.from({ length: LEAVES + 1 }, (_, i) => [i]))('from %i leaves on', (start) => {
  const tree = new GrowingTree(rangeOf(start));
  for (const hash of hashes.slice(start)) tree.append(hash);
  expect([tree.first, tree.size]).toEqual([BigInt(start), BigInt(LEAVES)]);
  check(tree, start);
  expect(() => tree.prove({ index: BigInt(start) - 1n, size: BigInt(LEAVES) })).toThrow('invariant');
});

test('what is forgotten is all that is lost', () => {
  const tree = new GrowingTree(EMPTY_RANGE);
  for (const hash of hashes) tree.append(hash);
  for (let first = 0; first <= LEAVES; first += 1) {
    tree.forgetBefore(BigInt(first));
    check(tree, first);
    if (first > 0) expect(() => tree.prove({ index: BigInt(first - 1), size: BigInt(LEAVES) })).toThrow('invariant');
  }
  expect(() => tree.forgetBefore(BigInt(LEAVES) + 1n)).toThrow('invariant');
  tree.append(leafHash(Uint8Array.of(LEAVES)));
  expect(tree.size).toBe(BigInt(LEAVES) + 1n);
});

test('it grows on after it forgot, step by step', () => {
  const tree = new GrowingTree(rangeOf(3));
  for (const [i, hash] of hashes.entries()) {
    if (i < 3) continue;
    tree.append(hash);
    tree.forgetBefore(BigInt(Math.max(3, i - 5)));
    check(tree, Math.max(3, i - 5));
  }
});
