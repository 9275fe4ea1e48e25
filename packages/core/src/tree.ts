/**
 * The Merkle tree of RFC 6962, section 2.1, and RFC 9162, section 2.1, over a list of leaf hashes:
 *
 *     leaf hash = SHA-256(0x00 ‖ entry)      node = SHA-256(0x01 ‖ left ‖ right)      empty tree = SHA-256()
 *
 * Provers work on a list in memory and are O(n); verifiers are O(log n). A tree size in a proof comes from its signed
 * parent, never from the proof, so both sizes and indices are arguments here.
 */
import { sha256 } from '#sha256';
import { base64Encode, concatBytes, equalBytes, HASH_BYTES } from './bytes.ts';
import { EMPTY_ROOT, nodeHash } from './compact.ts';
import { invalid } from './errors.ts';
import { consistencySubtrees, inclusionSubtrees, type Subtree } from './subtrees.ts';

export { EMPTY_ROOT, nodeHash } from './compact.ts';

/** The hash of a leaf that holds the bytes `entry`: SHA-256(0x00 ‖ entry), 32 bytes. */
export function leafHash(entry: Uint8Array): Uint8Array {
  return sha256(concatBytes(Uint8Array.of(0), entry));
}

/** The root of the tree over `leafHashes` (RFC 9162, section 2.1.1); {@link EMPTY_ROOT} for none. */
export function treeRoot(leafHashes: readonly Uint8Array[]): Uint8Array {
  return leafHashes.length === 0 ? EMPTY_ROOT.slice() : subtreeRoot(leafHashes, 0, leafHashes.length);
}

/** The root over leafHashes[first, next), not empty. */
function subtreeRoot(leafHashes: readonly Uint8Array[], first: number, next: number): Uint8Array {
  if (next - first === 1) return leafHashes[first] as Uint8Array;
  const middle = first + splitPoint(next - first);
  return nodeHash(subtreeRoot(leafHashes, first, middle), subtreeRoot(leafHashes, middle, next));
}

/** The largest power of two below `n`, n ≥ 2 (k of RFC 9162, section 2.1.1). */
function splitPoint(n: number): number {
  return 2 ** (31 - Math.clz32(n - 1));
}

/**
 * The inclusion proof of the leaf at `index` in the tree over `leafHashes`, from the leaf's sibling upwards
 * (RFC 9162, section 2.1.3.1); at most ⌈log2 n⌉ hashes. Throws `invariant` unless 0 ≤ index < leafHashes.length.
 */
export function proveInclusion(args: {
  readonly index: bigint | number;
  readonly leafHashes: readonly Uint8Array[];
}): Uint8Array[] {
  const { leafHashes } = args;
  return rootsOf(leafHashes, inclusionSubtrees({ index: BigInt(args.index), size: BigInt(leafHashes.length) }));
}

function rootsOf(leafHashes: readonly Uint8Array[], subtrees: readonly Subtree[]): Uint8Array[] {
  return subtrees.map(({ first, next }) => subtreeRoot(leafHashes, Number(first), Number(next)));
}

/**
 * Returns iff `proof` shows that the leaf with hash `leafHash` is number `index` of the tree of `size` leaves with root
 * `root` (RFC 9162, section 2.1.3.2). Otherwise throws `invalid` with the reason. Does not check where size and root
 * come from.
 */
export function verifyInclusion(args: {
  readonly index: bigint;
  readonly size: bigint;
  readonly leafHash: Uint8Array;
  readonly proof: readonly Uint8Array[];
  readonly root: Uint8Array;
}): void {
  checkHashes('inclusion proof', [args.root]);
  checkRoot('inclusion proof: another root', args.root, rootOfInclusion(args));
}

/**
 * The root under which `proof` shows the leaf with hash `leafHash` as number `index` of the tree of `size` leaves. Throws
 * `invalid` if it is the proof of no such leaf.
 */
export function rootOfInclusion(args: {
  readonly index: bigint;
  readonly size: bigint;
  readonly leafHash: Uint8Array;
  readonly proof: readonly Uint8Array[];
}): Uint8Array {
  const { index, size, proof } = args;
  if (index < 0n || index >= size) throw invalid('inclusion proof: no such leaf', { index: `${index}`, size: `${size}` });
  checkHashes('inclusion proof', [args.leafHash, ...proof]);
  let fn = index;
  let sn = size - 1n;
  let hash = args.leafHash;
  for (const sibling of proof) {
    if (sn === 0n) throw invalid('inclusion proof: too many hashes', { found: proof.length });
    if ((fn & 1n) === 1n || fn === sn) {
      hash = nodeHash(sibling, hash);
      while ((fn & 1n) === 0n && fn !== 0n) {
        fn >>= 1n;
        sn >>= 1n;
      }
    } else {
      hash = nodeHash(hash, sibling);
    }
    fn >>= 1n;
    sn >>= 1n;
  }
  if (sn !== 0n) throw invalid('inclusion proof: too few hashes', { found: proof.length });
  return hash;
}

/**
 * The proof that the tree over the first `size1` of `leafHashes` is a prefix of the tree over all of them
 * (RFC 9162, section 2.1.4.1); empty if size1 is all. Throws `invariant` unless 1 ≤ size1 ≤ leafHashes.length.
 */
export function proveConsistency(args: {
  readonly size1: bigint | number;
  readonly leafHashes: readonly Uint8Array[];
}): Uint8Array[] {
  const { leafHashes } = args;
  return rootsOf(leafHashes, consistencySubtrees({ size1: BigInt(args.size1), size2: BigInt(leafHashes.length) }));
}

/**
 * Returns iff `proof` shows that the tree (size1, root1) is a prefix of the tree (size2, root2) (RFC 9162, section
 * 2.1.4.2). Otherwise throws `invalid` with the reason; so it does for size1 = 0, which every tree extends: nothing is
 * shown, and a caller that starts from the empty tree says so itself. For equal sizes the proof is empty and the
 * roots are compared as bytes, whatever their length.
 */
export function verifyConsistency(args: {
  readonly size1: bigint;
  readonly size2: bigint;
  readonly root1: Uint8Array;
  readonly root2: Uint8Array;
  readonly proof: readonly Uint8Array[];
}): void {
  const { size1, size2, root1, root2, proof } = args;
  const sizes = { size1: `${size1}`, size2: `${size2}` };
  if (size1 < 1n) throw invalid('consistency proof: nothing can be shown of an empty tree', sizes);
  if (size1 > size2) throw invalid('consistency proof: the first tree is larger than the second', sizes);
  if (size1 === size2) {
    if (proof.length > 0) throw invalid('consistency proof: too many hashes', { found: proof.length });
    checkRoot('consistency proof: two roots of one size', root1, root2);
    return;
  }
  checkHashes('consistency proof', [root1, root2, ...proof]);
  let fn = size1 - 1n;
  let sn = size2 - 1n;
  while ((fn & 1n) === 1n) {
    fn >>= 1n;
    sn >>= 1n;
  }
  // fn = 0: the old tree is one whole subtree of the new one, and its root is where the climb begins.
  const path = fn === 0n ? [root1, ...proof] : proof;
  const [start, ...rest] = path;
  if (start === undefined) throw invalid('consistency proof: too few hashes', { found: 0 });
  let hash1 = start;
  let hash2 = start;
  for (const sibling of rest) {
    if (sn === 0n) throw invalid('consistency proof: too many hashes', { found: proof.length });
    if ((fn & 1n) === 1n || fn === sn) {
      hash1 = nodeHash(sibling, hash1);
      hash2 = nodeHash(sibling, hash2);
      while ((fn & 1n) === 0n && fn !== 0n) {
        fn >>= 1n;
        sn >>= 1n;
      }
    } else {
      hash2 = nodeHash(hash2, sibling);
    }
    fn >>= 1n;
    sn >>= 1n;
  }
  if (sn !== 0n) throw invalid('consistency proof: too few hashes', { found: proof.length });
  checkRoot('consistency proof: another first root', root1, hash1);
  checkRoot('consistency proof: another second root', root2, hash2);
}

function checkHashes(what: string, hashes: readonly Uint8Array[]): void {
  for (const hash of hashes) {
    if (hash.length !== HASH_BYTES) throw invalid(`${what}: a hash is not of ${HASH_BYTES} bytes`, { found: hash.length });
  }
}

function checkRoot(reason: string, expected: Uint8Array, found: Uint8Array): void {
  if (equalBytes(expected, found)) return;
  throw invalid(reason, { expected: base64Encode(expected), found: base64Encode(found) });
}
