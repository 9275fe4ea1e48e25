/**
 * A tree that only grows, with all nodes that a proof of its newer leaves needs: so each proof is O(log size), however many
 * are asked for. It may begin at a {@link CompactRange}, and forget older leaves again.
 */
import { nodeHash, type CompactRange } from './compact.ts';
import { invariant } from './errors.ts';
import { inclusionSubtrees, nodesOf, rootOfNodes, subtreeHash, type NodeId } from './subtrees.ts';

/** The perfect subtrees of one level that are kept: those with numbers from `first` on. */
interface Level {
  first: bigint;
  hashes: Uint8Array[];
}

/** A tree of leaf hashes that is appended to. Memory: two hashes for each leaf that is kept. */
export class GrowingTree {
  readonly #levels: Level[] = [];
  #first: bigint;
  #size: bigint;

  /** Goes on from a tree whose leaves are not at hand: those from `range.size` on can be proved. Throws `invariant` if it is no range. */
  constructor(range: CompactRange) {
    this.#first = range.size;
    this.#size = range.size;
    const nodes = range.size === 0n ? [] : nodesOf({ first: 0n, next: range.size });
    invariant(nodes.length === range.hashes.length, `a range of ${range.size} leaves does not have ${range.hashes.length} hashes`);
    for (const [i, { level, index }] of nodes.entries()) this.#put({ level, index }, range.hashes[i] as Uint8Array);
  }

  /** Number of leaves, those before the first kept one included. */
  get size(): bigint {
    return this.#size;
  }

  /** The first leaf that can be proved. */
  get first(): bigint {
    return this.#first;
  }

  /** Appends a leaf by its hash of 32 bytes, which is kept as it is. O(1) on average. */
  append(leafHash: Uint8Array): void {
    let node: NodeId = { level: 0, index: this.#size };
    let hash = leafHash;
    this.#put(node, hash);
    // As in appendLeaf: each right half that is complete completes a larger one.
    while ((node.index & 1n) === 1n) {
      hash = nodeHash(this.#hashOf({ level: node.level, index: node.index - 1n }), hash);
      node = { level: node.level + 1, index: node.index >> 1n };
      this.#put(node, hash);
    }
    this.#size += 1n;
  }

  /** The root over the first `size` leaves. Throws `invariant` unless `first` ≤ size ≤ `this.size` and it is above 0. */
  root(size: bigint): Uint8Array {
    invariant(size >= this.#first && size <= this.#size, `a tree of ${size} leaves is not among ${this.#first} … ${this.#size}`);
    return rootOfNodes(nodesOf({ first: 0n, next: size }).map((node) => this.#hashOf(node)));
  }

  /**
   * The inclusion proof of the leaf at `index` in the tree of the first `size` leaves, from the leaf's sibling upwards (RFC
   * 9162, section 2.1.3.1). Throws `invariant` unless `first` ≤ index < size ≤ `this.size`.
   */
  prove({ index, size }: { readonly index: bigint; readonly size: bigint }): Uint8Array[] {
    invariant(index >= this.#first && size <= this.#size, `leaf ${index} of ${size} is not among ${this.#first} … ${this.#size}`);
    return inclusionSubtrees({ index, size }).map((subtree) => subtreeHash(subtree, (node) => this.#hashOf(node)));
  }

  /** Leaves before `index` need not be proved any more. Throws `invariant` above `size`. */
  forgetBefore(index: bigint): void {
    invariant(index <= this.#size, `${index} is beyond the tree's ${this.#size} leaves`);
    if (index <= this.#first) return;
    this.#first = index;
    for (const [level, kept] of this.#levels.entries()) {
      // What lies left of the leaf falls into one node of each level at most, the one before the leaf's own.
      const own = index >> BigInt(level);
      const first = own - (own & 1n);
      if (first <= kept.first) continue;
      kept.hashes = kept.hashes.slice(Number(first - kept.first));
      kept.first = first;
    }
  }

  #put({ level, index }: NodeId, hash: Uint8Array): void {
    while (this.#levels.length <= level) this.#levels.push({ first: -1n, hashes: [] });
    const kept = this.#levels[level] as Level;
    if (kept.hashes.length === 0) kept.first = index;
    invariant(kept.first + BigInt(kept.hashes.length) === index, 'nodes of a level come one after the other');
    kept.hashes.push(hash);
  }

  #hashOf({ level, index }: NodeId): Uint8Array {
    const kept = this.#levels[level];
    const hash = kept?.hashes[Number(index - kept.first)];
    invariant(hash !== undefined, `node ${index} of level ${level} is not kept`);
    return hash;
  }
}
