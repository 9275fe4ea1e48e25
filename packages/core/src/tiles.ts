/**
 * Tiles: a tree as files of up to 256 hashes, and its entries in bundles of as many (c2sp.org/tlog-tiles).
 *
 *     tile/<L>/<N>[.p/<W>]         hashes 256·N … of level L; each is the root over 256^L leaves
 *     tile/entries/<N>[.p/<W>]     the entries of the same numbers as level 0: length (2 bytes, big-endian) ‖ bytes
 *
 * N in groups of three digits, all but the last after an `x`; W = 1 … 255 for a partial tile, which is at the right edge of
 * its level. What a file holds depends on the tree's leaves alone. Hashes of a tile are not believed by whoever reads one:
 * a proof made from them verifies or not.
 */
import { concatBytes, HASH_BYTES } from './bytes.ts';
import { invalid, invariant } from './errors.ts';
import type { NodeId } from './subtrees.ts';
import { parseUint63, quote } from './text.ts';
import { treeRoot } from './tree.ts';

/** Hashes, or entries, of a full tile. */
export const TILE_WIDTH = 256;
/** Levels of the tree that a tile stands for: its hashes are the leaves of a perfect subtree of 2^8. */
const TILE_LEVELS = 8;
const LEVEL_MAX = 63;
const ENTRY_BYTES_MAX = 65_535;
const PATH = /^tile\/(entries|[0-9]{1,2})\/((?:x[0-9]{3}\/)*[0-9]{3})(?:\.p\/([1-9][0-9]{0,2}))?$/;

/** One file of a tree. */
export interface Tile {
  /** 0 … 63, or the bundles of entries, which go with level 0. */
  readonly level: number | 'entries';
  /** 0-based number in its level. */
  readonly index: bigint;
  /** Hashes or entries that it holds: 1 … 256. Below 256 the tile is partial. */
  readonly width: number;
}

/** The path of a tile, without a slash before it: `tile/0/x001/234`, `tile/entries/000.p/5`. */
export function tilePath({ level, index, width }: Tile): string {
  const digits = `${index}`;
  const groups = digits.padStart(Math.ceil(digits.length / 3) * 3, '0').match(/.../g) ?? [];
  const number = groups.map((group, i) => (i < groups.length - 1 ? `x${group}` : group)).join('/');
  return `tile/${level}/${number}${width === TILE_WIDTH ? '' : `.p/${width}`}`;
}

/**
 * The tile of a path. Throws `invalid` for everything that {@link tilePath} does not write. That a tree has such a tile
 * is not checked.
 */
export function parseTilePath(path: string): Tile {
  const [, level, number, width] = PATH.exec(path) ?? [];
  if (level === undefined || number === undefined) throw invalid(`not the path of a tile: ${quote(path)}`);
  const digits = number.replaceAll(/[x/]/g, '').replace(/^0+(?=[0-9])/, '');
  const tile: Tile = {
    level: level === 'entries' ? level : Number(level),
    index: parseUint63(digits),
    width: width === undefined ? TILE_WIDTH : Number(width),
  };
  const known = (tile.level === 'entries' || tile.level <= LEVEL_MAX) && tile.width <= TILE_WIDTH;
  if (!known || tilePath(tile) !== path) throw invalid(`not the path of a tile: ${quote(path)}`);
  return tile;
}

/** Hashes at a tile's level, or entries, in a tree of `size` leaves. */
function widthOfLevel(level: number | 'entries', size: bigint): bigint {
  return level === 'entries' ? size : size >> BigInt(level * TILE_LEVELS);
}

/** Full tiles of a level in a tree of `size` leaves: the index of the one that is not full. */
export function fullTilesAt(level: Tile['level'], size: bigint): bigint {
  return widthOfLevel(level, size) / BigInt(TILE_WIDTH);
}

/** Whether a tree of `size` leaves has all that the tile holds. */
export function hasTile({ level, index, width }: Tile, size: bigint): boolean {
  return index * BigInt(TILE_WIDTH) + BigInt(width) <= widthOfLevel(level, size);
}

/** The bundles, and the levels that a tree of `size` leaves has hashes at, lowest first. */
function levelsOf(size: bigint): readonly (number | 'entries')[] {
  const levels: (number | 'entries')[] = size > 0n ? ['entries'] : [];
  for (let level = 0; widthOfLevel(level, size) > 0n; level += 1) levels.push(level);
  return levels;
}

/** A tile at the width that it has in a tree of `size` leaves. Throws `invariant` if it is empty there. */
function tileAt(level: number | 'entries', index: bigint, size: bigint): Tile {
  const left = widthOfLevel(level, size) - index * BigInt(TILE_WIDTH);
  invariant(index >= 0n && left > 0n, `a tree of ${size} has no tile ${index} of level ${level}`);
  return { level, index, width: left < TILE_WIDTH ? Number(left) : TILE_WIDTH };
}

/**
 * The rightmost tile of each level of a tree of `size` leaves, full or partial: entries first, then levels from 0 up.
 * None for an empty tree.
 */
export function tilesAtEdge(size: bigint): readonly Tile[] {
  return levelsOf(size).map((level) => tileAt(level, (widthOfLevel(level, size) - 1n) / BigInt(TILE_WIDTH), size));
}

/**
 * The tiles that are full in a tree of `to` leaves and were not in one of `from`: entries first, then levels from 0 up,
 * each from left to right, so that what a tile is hashed from comes before it. Some (to − from) / 128 of them, in memory.
 * Throws `invariant` unless 0 ≤ from ≤ to.
 */
export function fullTiles({ from, to }: { readonly from: bigint; readonly to: bigint }): readonly Tile[] {
  invariant(from >= 0n && from <= to, `a tree does not grow from ${from} to ${to}`);
  return levelsOf(to).flatMap((level) => {
    const [first, next] = [fullTilesAt(level, from), fullTilesAt(level, to)];
    return Array.from({ length: Number(next - first) }, (_, i): Tile => ({ level, index: first + BigInt(i), width: TILE_WIDTH }));
  });
}

/**
 * The tile that holds a node or, between the levels that tiles hold, what it is hashed from; at the width it has in a tree
 * of `size` leaves. Throws `invariant` if the node is not in that tree.
 */
export function tileOfNode(node: NodeId, size: bigint): Tile {
  invariant(node.index >= 0n && (node.index + 1n) << BigInt(node.level) <= size, `a tree of ${size} has no node ${node.index} of level ${node.level}`);
  const level = Math.floor(node.level / TILE_LEVELS);
  return tileAt(level, (node.index << BigInt(node.level % TILE_LEVELS)) / BigInt(TILE_WIDTH), size);
}

/**
 * The hash of a node (32 bytes, a new array) out of the bytes of a tile that holds or covers it: that of {@link tileOfNode},
 * a wider one, or the full one right below. Throws `invalid` if the bytes are not `width` hashes, `invariant` if the node
 * is not there. That the hashes are right is not checked.
 */
export function nodeFromTile(node: NodeId, tile: Tile, bytes: Uint8Array): Uint8Array {
  if (bytes.length !== tile.width * HASH_BYTES) {
    throw invalid('a tile is cut or too long', { tile: tilePath(tile), expected: tile.width * HASH_BYTES, found: bytes.length });
  }
  invariant(tile.level !== 'entries', 'a bundle of entries holds no hashes');
  const above = node.level - tile.level * TILE_LEVELS;
  invariant(above >= 0 && above <= TILE_LEVELS, `a tile of level ${tile.level} holds no node of level ${node.level}`);
  const first = Number((node.index << BigInt(above)) - tile.index * BigInt(TILE_WIDTH));
  const count = 2 ** above;
  invariant(first >= 0 && first + count <= tile.width, `${tilePath(tile)} does not hold node ${node.index} of level ${node.level}`);
  return treeRoot(Array.from({ length: count }, (_, i) => bytes.slice((first + i) * HASH_BYTES, (first + i + 1) * HASH_BYTES)));
}

/** The bytes of a bundle of entries. Throws `invariant` for an entry above 65,535 bytes. */
export function encodeEntries(entries: readonly Uint8Array[]): Uint8Array {
  return concatBytes(...entries.flatMap((entry) => {
    invariant(entry.length <= ENTRY_BYTES_MAX, `an entry has at most ${ENTRY_BYTES_MAX} bytes, not ${entry.length}`);
    return [Uint8Array.of(entry.length >> 8, entry.length & 0xff), entry];
  }));
}

/** The `count` entries of a bundle, subarrays of `bytes`. Throws `invalid` if it is cut, or if anything follows them. */
export function decodeEntries(bytes: Uint8Array, count: number): readonly Uint8Array[] {
  const entries: Uint8Array[] = [];
  let at = 0;
  while (entries.length < count) {
    const length = ((bytes[at] ?? 0) << 8) | (bytes[at + 1] ?? 0);
    if (at + 2 + length > bytes.length) throw invalid('a bundle of entries is cut', { expected: count, found: entries.length });
    entries.push(bytes.subarray(at + 2, at + 2 + length));
    at += 2 + length;
  }
  if (at !== bytes.length) throw invalid('a bundle of entries has bytes after the last one', { at, length: bytes.length });
  return entries;
}
