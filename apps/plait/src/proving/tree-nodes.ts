/** The nodes of a tree of headers, looked up in tiles or made from the headers themselves, and proofs made from them. */
import {
  consistencySubtrees, HASH_BYTES, nodeFromTile, nodesOf, PlaitError, rootOfNodes, TILE_WIDTH, tileOfNode, tilePath, treeRoot,
  type NodeId, type Subtree, type Tile,
} from '@plait/core';
import { readTileFolder } from '@plait/disk';
import type { TileBytes } from '@plait/roles';

/** Gives the hash of a node. Nobody vouches for it: whoever uses it compares with a signed root. */
export type HashOf = (node: NodeId) => Promise<Uint8Array>;

/** The root over the first `size` headers, 1 or more. Throws as `hashOf`. */
export async function rootAt(hashOf: HashOf, size: bigint): Promise<Uint8Array> {
  return await subtreeRoot(hashOf, { first: 0n, next: size });
}

/** The proof that the tree of `size1` headers is a prefix of that of `size2` (RFC 9162, section 2.1.4). Throws as `hashOf`. */
export async function proveConsistencyBy(hashOf: HashOf, sizes: { readonly size1: bigint; readonly size2: bigint }): Promise<readonly Uint8Array[]> {
  return await Promise.all(consistencySubtrees(sizes).map((subtree) => subtreeRoot(hashOf, subtree)));
}

async function subtreeRoot(hashOf: HashOf, subtree: Subtree): Promise<Uint8Array> {
  return rootOfNodes(await Promise.all(nodesOf(subtree).map(hashOf)));
}

/** Nodes from the leaf hashes of all headers. */
export function nodesOfLeaves(leafHashes: readonly Uint8Array[]): HashOf {
  return ({ level, index }) => {
    const first = Number(index << BigInt(level));
    return Promise.resolve(treeRoot(leafHashes.slice(first, first + 2 ** level)));
  };
}

/**
 * Nodes of the tree of `size` headers from the tiles of a server (`http://…`, `https://…`) or a folder; each tile is read
 * once. The function throws `missing` if a tile is not there, `invalid` for one that is cut or too long, `unavailable` if the
 * server does not answer, `config` for a file that cannot be read.
 */
export function nodesInTiles(place: string, size: bigint): HashOf {
  const read = isUrl(place) ? fetchTile(place.replace(/\/$/, '')) : folderTile(place);
  const tiles = new Map<string, Promise<TileBytes>>();
  return async (node) => {
    const wanted = tileOfNode(node, size);
    const path = tilePath(wanted);
    const found = tiles.get(path) ?? read(wanted);
    tiles.set(path, found);
    const { tile, bytes } = await found;
    return nodeFromTile(node, tile, bytes);
  };
}

/** Whether a place of tiles is a server. */
export function isUrl(place: string): boolean {
  return /^https?:\/\//.test(place);
}

function folderTile(folder: string): (tile: Tile) => Promise<TileBytes> {
  const tiles = readTileFolder(folder);
  return async (tile) => {
    const bytes = await tiles.read(tile);
    if (bytes === undefined) throw notThere(folder, tile);
    return { tile, bytes };
  };
}

const FETCH_MS_MAX = 15_000;

function fetchTile(url: string): (tile: Tile) => Promise<TileBytes> {
  return async (tile) => {
    // A server may drop a partial tile once the full one is there.
    for (const each of tile.width === TILE_WIDTH ? [tile] : [tile, { ...tile, width: TILE_WIDTH }]) {
      const bytes = await fetched(`${url}/${tilePath(each)}`);
      if (bytes !== undefined) return { tile: each, bytes };
    }
    throw notThere(url, tile);
  };
}

function notThere(place: string, tile: Tile): PlaitError {
  return new PlaitError('missing', `${place} has no ${tilePath(tile)}`);
}

/** What is there, of which no more is read than a tile can have and one byte; undefined if nothing is. Throws `unavailable`. */
async function fetched(url: string): Promise<Uint8Array | undefined> {
  try {
    const answer = await fetch(url, { signal: AbortSignal.timeout(FETCH_MS_MAX) });
    if (answer.status === 404 || answer.status === 410) return undefined;
    if (!answer.ok) throw new Error(`it answered ${answer.status}`);
    return await bodyOf(answer, TILE_WIDTH * HASH_BYTES + 1);
  } catch (error) {
    const { message, cause } = error as Error;
    throw new PlaitError('unavailable', `cannot fetch ${url}: ${cause instanceof Error ? cause.message : message}`, { cause: error });
  }
}

async function bodyOf({ body }: Response, bytesMax: number): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of (body ?? []) as AsyncIterable<Uint8Array>) {
    parts.push(part);
    length += part.length;
    if (length >= bytesMax) break;
  }
  return Buffer.concat(parts);
}
