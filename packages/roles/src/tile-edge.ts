/** The right edge of a tree in tiles: all that is needed to append to it, whatever its size. */
import {
  concatBytes, decodeEntries, EMPTY_ROOT, encodeEntries, fullTilesAt, HASH_BYTES, invariant, isPlaitError, leafHash, TILE_WIDTH, tilesAtEdge, treeRoot,
  type Tile,
} from '@plait/core';
import type { TileBytes, TileStore } from './tile-ports.ts';

/** A tree of entries that grows, of which the tiles that are not full yet are held. */
export class TileEdge {
  #size = 0n;
  /** Those of the bundle that is not full. */
  #entries: Uint8Array[] = [];
  /** Those of the tile of each level that is not full. */
  #levels: Uint8Array[][] = [[]];

  /**
   * The edge of the tree of `size` entries whose tiles are in `store`; undefined if some are not there, or not whole. That
   * they are the right ones is to be seen from {@link root}: it is over the entries and the levels above. Throws as the store.
   */
  static async load(store: Pick<TileStore, 'read'>, size: bigint): Promise<TileEdge | undefined> {
    const edge = new TileEdge();
    edge.#size = size;
    for (const tile of tilesAtEdge(size)) {
      // The hashes of level 0 are those of the entries.
      if (tile.width === TILE_WIDTH || tile.level === 0) continue;
      const bytes = await store.read(tile);
      if (bytes === undefined || !edge.#take(tile, bytes)) return undefined;
    }
    return edge;
  }

  /** Whether the bytes can be those of the tile. */
  #take({ level, width }: Tile, bytes: Uint8Array): boolean {
    if (level !== 'entries') {
      if (bytes.length !== width * HASH_BYTES) return false;
      for (let at = 0; at < bytes.length; at += HASH_BYTES) this.#hashes(level).push(bytes.slice(at, at + HASH_BYTES));
      return true;
    }
    try {
      this.#entries = [...decodeEntries(bytes, width)];
    } catch (error) {
      if (!isPlaitError(error, 'invalid')) throw error;
      return false;
    }
    this.#levels[0] = this.#entries.map(leafHash);
    return true;
  }

  /** Number of entries. */
  get size(): bigint {
    return this.#size;
  }

  /** The tree's root; that of the empty tree while it has no entry. */
  get root(): Uint8Array {
    // A level's hashes are of perfect subtrees of one size; what the levels below hold is one smaller subtree at their right.
    let root: Uint8Array | undefined;
    for (const hashes of this.#levels) {
      const nodes = root === undefined ? hashes : [...hashes, root];
      if (nodes.length > 0) root = treeRoot(nodes);
    }
    return root ?? EMPTY_ROOT;
  }

  /** Appends an entry of at most 65,535 bytes. The tiles that are full with it: entries first, then levels from 0 up. */
  append(entry: Uint8Array): readonly TileBytes[] {
    this.#size += 1n;
    this.#entries.push(entry);
    this.#hashes(0).push(leafHash(entry));
    if (this.#entries.length < TILE_WIDTH) return [];
    const full = [this.#full('entries', encodeEntries(this.#entries))];
    this.#entries = [];
    for (let level = 0; this.#hashes(level).length === TILE_WIDTH; level += 1) {
      const hashes = this.#hashes(level);
      full.push(this.#full(level, concatBytes(...hashes)));
      this.#hashes(level + 1).push(treeRoot(hashes));
      this.#levels[level] = [];
    }
    return full;
  }

  /**
   * The partial tiles of the tree that had `size` entries, but for those whose full tile was given since. Throws `invariant`
   * if the tree is smaller.
   */
  partials(size: bigint): readonly TileBytes[] {
    invariant(size <= this.#size, `a tree of ${this.#size} has no edge at ${size}`);
    const held = tilesAtEdge(size).filter(({ level, index, width }) => width < TILE_WIDTH && index === this.#indexAt(level));
    return held.map((tile) => {
      const { level, width } = tile;
      const bytes = level === 'entries' ? encodeEntries(this.#entries.slice(0, width)) : concatBytes(...this.#hashes(level).slice(0, width));
      return { tile, bytes };
    });
  }

  /** The index of the tile that is not full. */
  #indexAt(level: Tile['level']): bigint {
    return fullTilesAt(level, this.#size);
  }

  #full(level: Tile['level'], bytes: Uint8Array): TileBytes {
    return { tile: { level, index: this.#indexAt(level) - 1n, width: TILE_WIDTH }, bytes };
  }

  #hashes(level: number): Uint8Array[] {
    while (this.#levels.length <= level) this.#levels.push([]);
    return this.#levels[level] as Uint8Array[];
  }
}
