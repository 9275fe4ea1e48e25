/**
 * Tiles and the arithmetic of proofs. What is in a tile is computed here by its definition, a root over a slice of the
 * leaves, and not with the code that looks nodes up; what comes of it must be the proofs of the provers over lists.
 */
import { existsSync, readFileSync } from 'node:fs';
import {
  concatBytes, consistencySubtrees, decodeEntries, encodeEntries, equalBytes, fullTiles, hashFromText, inclusionSubtrees, isPlaitError, leafHash, nodeFromTile, nodesOf,
  parseCheckpoint, parseNote, parseTilePath, parseVerifierKey, proveConsistency, proveInclusion, rootOfNodes, subtreeHash, tileOfNode, tilePath,
  tilesAtEdge, treeRoot, utf8Decode, utf8Encode, verifyConsistency, verifyInclusion, verifyNoteSignature,
  type NodeId, type Subtree, type Tile,
} from '@plait/core';
import { Prng } from '@plait/testkit';
import { describe, expect, inject, it } from 'vitest';

const onNode = inject('platform') === 'node';
const leafHashesOf = (size: number): Uint8Array[] => Array.from({ length: size }, (_, i) => leafHash(utf8Encode(`header ${i}`)));

/** Roots over all runs of 256^L leaves of a tree, by level. */
function levelsOf(leafHashes: readonly Uint8Array[]): readonly (readonly Uint8Array[])[] {
  const levels = [leafHashes];
  for (let below = leafHashes; below.length >= 256;) {
    const lower = below;
    below = Array.from({ length: Math.floor(below.length / 256) }, (_, i) => treeRoot(lower.slice(i * 256, (i + 1) * 256)));
    levels.push(below);
  }
  return levels;
}

/** The bytes of a tile; throws for one that a tree with these levels does not have. */
function tileBytes(levels: readonly (readonly Uint8Array[])[], { level, index, width }: Tile): Uint8Array {
  const first = Number(index) * 256;
  const hashes = levels[level as number]?.slice(first, first + width) ?? [];
  expect(hashes.length).toBe(width);
  return concatBytes(...hashes);
}

/** Gives the hashes of proofs in a tree of `leafHashes`, each node looked up in its tile. */
function tiled(leafHashes: readonly Uint8Array[]): (subtrees: readonly Subtree[]) => Uint8Array[] {
  const levels = levelsOf(leafHashes);
  const files = new Map<string, Uint8Array>();
  const hashOf = (node: NodeId): Uint8Array => {
    const tile = tileOfNode(node, BigInt(leafHashes.length));
    const path = tilePath(tile);
    const bytes = files.get(path) ?? tileBytes(levels, tile);
    files.set(path, bytes);
    return nodeFromTile(node, tile, bytes);
  };
  return (subtrees) => subtrees.map((subtree) => subtreeHash(subtree, hashOf));
}

const isSame = (a: readonly Uint8Array[], b: readonly Uint8Array[]): boolean => equalBytes(concatBytes(...a), concatBytes(...b));

const refuses = (verify: () => void): boolean => {
  try {
    verify();
    return false;
  } catch (error) {
    if (!isPlaitError(error, 'invalid')) throw error;
    return true;
  }
};

/** How many proofs are accepted with one bit of one hash flipped; of each hash every `step`th bit, from a drawn one on. */
function acceptedFlips(proof: readonly Uint8Array[], verify: (proof: readonly Uint8Array[]) => void, step: number, first: number): number {
  let accepted = 0;
  for (const [i, hash] of proof.entries()) {
    for (let bit = first % step; bit < 256; bit += step) {
      const flipped = hash.map((byte, at) => (at === bit >> 3 ? byte ^ (1 << (bit & 7)) : byte));
      accepted += Number(!refuses(() => verify(proof.with(i, flipped))));
    }
  }
  return accepted;
}

describe('a tree grown to 100 leaves', () => {
  const leafHashes = leafHashesOf(100);
  const sizes = leafHashes.map((_, i) => i + 1);
  const roots = [0, ...sizes].map((size) => treeRoot(leafHashes.slice(0, size)));

  it('has every proof in its tiles, and no proof with a flipped bit', () => {
    for (const size of sizes) {
      const tree = leafHashes.slice(0, size);
      const root = roots[size] as Uint8Array;
      const proofOf = tiled(tree);
      // Every bit of small trees; of large ones every 128th of some, another one first for each proof.
      const step = size <= (onNode ? 5 : 4) ? 1 : 128;
      for (let at = 0; at < size; at += 1) {
        const [index, size2] = [BigInt(at), BigInt(size)];
        const inclusion = proofOf(inclusionSubtrees({ index, size: size2 }));
        expect(isSame(inclusion, proveInclusion({ index, leafHashes: tree }))).toBe(true);
        const verify1 = (proof: readonly Uint8Array[]): void => verifyInclusion({ index, size: size2, leafHash: tree[at] as Uint8Array, proof, root });
        verify1(inclusion);
        const size1 = index + 1n;
        const consistency = proofOf(consistencySubtrees({ size1, size2 }));
        expect(isSame(consistency, proveConsistency({ size1, leafHashes: tree }))).toBe(true);
        const root1 = roots[at + 1] as Uint8Array;
        const verify2 = (proof: readonly Uint8Array[]): void => verifyConsistency({ size1, size2, root1, root2: root, proof });
        verify2(consistency);
        if (step > 1 && (at + size) % 13 !== 0) continue;
        expect([size, at, acceptedFlips(inclusion, verify1, step, at + size), acceptedFlips(consistency, verify2, step, at + size)]).toEqual([size, at, 0, 0]);
      }
    }
  });

  it('falls into nodes that tell its root, whatever subtree is asked', () => {
    for (const size of sizes) {
      const hashOf = ({ level, index }: NodeId): Uint8Array => treeRoot(leafHashes.slice(Number(index) * 2 ** level, (Number(index) + 1) * 2 ** level));
      expect(subtreeHash({ first: 0n, next: BigInt(size) }, hashOf)).toEqual(treeRoot(leafHashes.slice(0, size)));
    }
    expect(nodesOf({ first: 64n, next: 71n })).toEqual([{ level: 2, index: 16n }, { level: 1, index: 34n }, { level: 0, index: 70n }]);
    expect(nodesOf({ first: 0n, next: 2n ** 63n - 1n })).toHaveLength(63);
  });

  it('has no proof of what is not there', () => {
    expect(() => inclusionSubtrees({ index: 3n, size: 3n })).toThrow(/invariant/);
    expect(() => inclusionSubtrees({ index: -1n, size: 3n })).toThrow(/invariant/);
    expect(() => consistencySubtrees({ size1: 0n, size2: 3n })).toThrow(/invariant/);
    expect(() => consistencySubtrees({ size1: 4n, size2: 3n })).toThrow(/invariant/);
    expect(() => nodesOf({ first: 2n, next: 2n })).toThrow(/invariant/);
    expect(() => nodesOf({ first: 1n, next: 3n })).toThrow(/invariant/);
    expect(() => rootOfNodes([])).toThrow(/invariant/);
  });
});

describe('a tree across the borders of tiles', () => {
  const all = leafHashesOf(66_050);
  const roots = new Map<number, Uint8Array>();
  const rootOf = (size: number): Uint8Array => {
    const root = roots.get(size) ?? treeRoot(all.slice(0, size));
    roots.set(size, root);
    return root;
  };
  const SEED = 20_261_123;

  it(`has its proofs in its tiles, and no proof with a flipped bit (seed ${SEED})`, () => {
    const random = new Prng(SEED);
    for (const size of [255, 256, 257, 511, 512, 513, 65_535, 65_536, 65_537, 65_793, 66_050]) {
      const leafHashes = all.slice(0, size);
      const proofOf = tiled(leafHashes);
      const [size2, root2] = [BigInt(size), rootOf(size)];
      for (const at of new Set([0, 255, 256, 65_535, 65_536, size - 1, random.int(size)])) {
        if (at >= size) continue;
        const index = BigInt(at);
        const inclusion = proofOf(inclusionSubtrees({ index, size: size2 }));
        const verify1 = (proof: readonly Uint8Array[]): void => verifyInclusion({ index, size: size2, leafHash: leafHashes[at] as Uint8Array, proof, root: root2 });
        verify1(inclusion);
        const size1 = index + 1n;
        const consistency = proofOf(consistencySubtrees({ size1, size2 }));
        const root1 = rootOf(at + 1);
        const verify2 = (proof: readonly Uint8Array[]): void => verifyConsistency({ size1, size2, root1, root2, proof });
        verify2(consistency);
        const [step, first] = [onNode ? 32 : 128, random.int(128)];
        expect([size, at, acceptedFlips(inclusion, verify1, step, first), acceptedFlips(consistency, verify2, step, first)]).toEqual([size, at, 0, 0]);
      }
    }
  });

  it('finds each node in the tile of its level, in a wider one, and in the full one below', () => {
    const levels = levelsOf(all);
    const node: NodeId = { level: 8, index: 2n };
    const wanted = treeRoot(all.slice(512, 768));
    expect(tileOfNode(node, 66_050n)).toEqual({ level: 1, index: 0n, width: 256 });
    expect(tileOfNode(node, 768n)).toEqual({ level: 1, index: 0n, width: 3 });
    for (const tile of [tileOfNode(node, 66_050n), tileOfNode(node, 768n), { level: 0, index: 2n, width: 256 }]) {
      expect(nodeFromTile(node, tile, tileBytes(levels, tile))).toEqual(wanted);
    }
    expect(tileOfNode({ level: 16, index: 0n }, 66_050n)).toEqual({ level: 2, index: 0n, width: 1 });
    expect(tileOfNode({ level: 0, index: 66_049n }, 66_050n)).toEqual({ level: 0, index: 258n, width: 2 });
    expect(() => tileOfNode({ level: 8, index: 2n }, 767n)).toThrow(/invariant/);
    const edge: Tile = { level: 0, index: 258n, width: 2 };
    const bytes = tileBytes(levels, edge);
    expect(refuses(() => void nodeFromTile({ level: 0, index: 66_048n }, edge, bytes.subarray(1)))).toBe(true);
    expect(refuses(() => void nodeFromTile({ level: 0, index: 66_048n }, edge, concatBytes(bytes, bytes)))).toBe(true);
    for (const other of [{ level: 0, index: 0n }, { level: 0, index: 66_050n }, { level: 2, index: 16_512n }, { level: 9, index: 0n }]) {
      expect(() => nodeFromTile(other, edge, bytes)).toThrow(/invariant/);
    }
    expect(() => nodeFromTile({ level: 0, index: 66_048n }, { ...edge, level: 'entries' }, bytes)).toThrow(/invariant/);
  });
});

const paths = (tiles: readonly Tile[]): string[] => tiles.map(tilePath);

describe('the tiles of a tree', () => {
  it('at its edge are those of the specification', () => {
    expect(paths(tilesAtEdge(70_000n))).toEqual(['tile/entries/273.p/112', 'tile/0/273.p/112', 'tile/1/001.p/17', 'tile/2/000.p/1']);
    expect(paths(tilesAtEdge(256n))).toEqual(['tile/entries/000', 'tile/0/000', 'tile/1/000.p/1']);
    expect(paths(tilesAtEdge(0n))).toEqual([]);
    expect(paths(tilesAtEdge(1n))).toEqual(['tile/entries/000.p/1', 'tile/0/000.p/1']);
    expect(tilesAtEdge(2n ** 63n - 1n).at(-1)).toEqual({ level: 7, index: 0n, width: 127 });
  });

  it('become full one after the other, each exactly once and after those below it', () => {
    for (const [from, to] of [[0n, 70_000n], [255n, 256n], [256n, 511n], [65_535n, 65_536n], [7n, 7n], [65_500n, 66_050n]] as const) {
      let grown: Tile[] = [];
      for (let size = from + 1n; size <= to; size += 1n) grown.push(...tilesAtEdge(size).filter(({ width }) => width === 256));
      // A tile of level 1 and above stays at the edge while those below it grow.
      grown = [...new Map(grown.map((tile) => [tilePath(tile), tile])).values()].filter((tile) => !paths(tilesAtEdge(from)).includes(tilePath(tile)));
      const full = fullTiles({ from, to });
      expect(paths(full).toSorted()).toEqual(paths(grown).toSorted());
      const levels = full.map(({ level }) => (level === 'entries' ? -1 : level));
      expect(levels).toEqual(levels.toSorted((a, b) => a - b));
    }
    expect(() => fullTiles({ from: 2n, to: 1n })).toThrow(/invariant/);
  });

  it('have one path each', () => {
    const tiles: [Tile, string][] = [
      [{ level: 0, index: 1_234_067n, width: 256 }, 'tile/0/x001/x234/067'],
      [{ level: 63, index: 0n, width: 255 }, 'tile/63/000.p/255'],
      [{ level: 'entries', index: 999n, width: 1 }, 'tile/entries/999.p/1'],
      [{ level: 1, index: 1_000n, width: 256 }, 'tile/1/x001/000'],
      [{ level: 0, index: 2n ** 63n - 1n, width: 9 }, 'tile/0/x009/x223/x372/x036/x854/x775/807.p/9'],
    ];
    for (const [tile, path] of tiles) {
      expect(tilePath(tile)).toBe(path);
      expect(parseTilePath(path)).toEqual(tile);
    }
    const bad = [
      '', 'tile', 'tile/0', 'tile/0/', 'tile/0/0', 'tile/0/00', 'tile/0/0000', 'tile/0/x000/001', 'tile/0/001/002', 'tile/0/x001', 'tile/0/X001/000',
      'tile/00/000', 'tile/01/000', 'tile/64/000', 'tile/-1/000', 'tile/entry/000', 'tile/0/000.p', 'tile/0/000.p/', 'tile/0/000.p/0', 'tile/0/000.p/01',
      'tile/0/000.p/256', 'tile/0/000.p/999', 'tile/0/000/', '/tile/0/000', 'tile//000', 'tile/0/000\n', 'tile/0/../000', 'tile/0/x009/x223/x372/x036/x854/x775/808',
      `tile/0/${'x000/'.repeat(1_000)}000`, 'tile/0/\u0660\u0660\u0660', 'tile/0/000.P/1', 'checkpoint',
    ];
    expect(bad.filter((path) => !refuses(() => void parseTilePath(path)))).toEqual([]);
  });

  it('hold entries as they are', () => {
    const entries = [new Uint8Array(0), Uint8Array.of(7), new Uint8Array(65_535).fill(3), utf8Encode('header')];
    const bytes = encodeEntries(entries);
    expect(decodeEntries(bytes, 4)).toEqual(entries);
    expect(decodeEntries(encodeEntries([]), 0)).toEqual([]);
    for (const [hostile, count] of [[bytes, 3], [bytes, 5], [bytes.subarray(1), 4], [bytes.subarray(0, -1), 4], [Uint8Array.of(0), 1], [new Uint8Array(0), 1]] as const) {
      expect(refuses(() => void decodeEntries(hostile, count))).toBe(true);
    }
    expect(() => encodeEntries([new Uint8Array(65_536)])).toThrow(/invariant/);
  });
});

/** A log by others: 15 entries in tiles of every width, and the checkpoint of every size. */
interface ForeignLog {
  readonly key: string;
  readonly file: (path: string) => Uint8Array;
  readonly checkpoint: (size: number) => Uint8Array;
}

/** Proves each entry and each earlier size from the files alone, and refuses an edit of each. */
function checkForeignLog({ key, file, checkpoint }: ForeignLog, sizes: readonly number[]): void {
  const roots = new Map<number, Uint8Array>();
  for (const size of sizes) {
    const note = parseNote(checkpoint(size));
    expect(verifyNoteSignature(note, parseVerifierKey(key))).toBe(true);
    const signed = parseCheckpoint(note.text);
    expect(signed.size).toBe(BigInt(size));
    roots.set(size, hashFromText(signed.root));
  }
  for (const size of sizes.filter((each) => each > 0)) {
    const [size2, root] = [BigInt(size), roots.get(size) as Uint8Array];
    const [bundle, tile] = tilesAtEdge(size2) as [Tile, Tile];
    const entries = decodeEntries(file(tilePath(bundle)), size);
    const bytes = file(tilePath(tile));
    const hashOf = (node: NodeId): Uint8Array => nodeFromTile(node, tileOfNode(node, size2), bytes);
    for (const [at, entry] of entries.entries()) {
      const proof = inclusionSubtrees({ index: BigInt(at), size: size2 }).map((subtree) => subtreeHash(subtree, hashOf));
      verifyInclusion({ index: BigInt(at), size: size2, leafHash: leafHash(entry), proof, root });
      expect(refuses(() => verifyInclusion({ index: BigInt(at), size: size2, leafHash: leafHash(utf8Encode(`${utf8Decode(entry)}?`)), proof, root }))).toBe(true);
      const root1 = roots.get(at + 1);
      if (root1 === undefined) continue;
      const consistency = consistencySubtrees({ size1: BigInt(at + 1), size2 }).map((subtree) => subtreeHash(subtree, hashOf));
      verifyConsistency({ size1: BigInt(at + 1), size2, root1, root2: root, proof: consistency });
    }
  }
}

const folder = new URL('../../../shared/vectors/tlog-tiles/', import.meta.url);
const fileOf = (path: string): Uint8Array => readFileSync(new URL(path, folder));

describe('the log of transparency-dev/tessera', () => {
  const vector = JSON.parse(readFileSync(new URL('core/tlog-tiles.json', import.meta.url), 'utf8')) as {
    readonly key: string; readonly entries: readonly string[]; readonly tile: string; readonly checkpoints: readonly string[];
  };
  const sizes = vector.checkpoints.map((_, size) => size);

  it('is proved from its tile', () => {
    const tile = Buffer.from(vector.tile, 'base64');
    const file = (path: string): Uint8Array => {
      const { level, width } = parseTilePath(path);
      if (level === 'entries') return encodeEntries(vector.entries.slice(0, width).map((entry) => utf8Encode(entry)));
      return tile.subarray(0, width * 32);
    };
    checkForeignLog({ key: vector.key, file, checkpoint: (size) => utf8Encode(vector.checkpoints[size] as string) }, sizes);
  });

  // The files as Tessera wrote them lie beside a checkout only where others' vectors do.
  const missing = !existsSync(folder);
  it.skipIf(missing)(`is proved from its files${missing ? ' (skipped: no shared/vectors/tlog-tiles beside this checkout)' : ''}`, () => {
    checkForeignLog({ key: vector.key, file: fileOf, checkpoint: (size) => fileOf(`checkpoint.${size}`) }, sizes);
  });
});
