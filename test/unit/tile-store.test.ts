/** Stores of tiles, in memory and in a folder, keep one contract; what they hold is what the definition of tiles says. */
import { mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { formatCheckpoint, hashToText, leafHash, makeSignerKey, parseTilePath, signNote, treeRoot, utf8Encode } from '@plait/core';
import { openTileFolder, readTileFolder } from '@plait/disk';
import { TileEdge, type TileStore } from '@plait/roles';
import { MemoryTiles } from '@plait/testkit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { treeFiles } from '../cold/tree-files.ts';

const key = makeSignerKey('example.com/tiles', new Uint8Array(32).fill(7));
const entriesOf = (size: number): string[] => Array.from({ length: size }, (_, i) => `entry ${i}\n`);

let folder: string;
beforeAll(async () => void (folder = await mkdtemp(join(tmpdir(), 'plait-tiles-'))));
afterAll(async () => await rm(folder, { recursive: true }));

/** Appends entries up to `size`, and writes all that is full and the edge. */
async function grow(store: TileStore, edge: TileEdge, size: number): Promise<void> {
  for (const entry of entriesOf(size).slice(Number(edge.size))) await store.write(edge.append(utf8Encode(entry)));
  await store.write(edge.partials(edge.size));
}

function checkpointOf(size: number, text = `${size}`): Parameters<TileStore['publish']>[0] {
  const root = hashToText(treeRoot(entriesOf(size).map((entry) => leafHash(utf8Encode(entry)))));
  return { note: signNote(formatCheckpoint({ kind: 'checkpoint', origin: text, size: BigInt(size), root }), key), size: BigInt(size), vkey: key.verifier.vkey };
}

async function expectFiles(store: TileStore, size: number): Promise<void> {
  for (const [path, bytes] of treeFiles(entriesOf(size))) expect(Buffer.from((await store.read(parseTilePath(path))) ?? []), `${path} of ${size}`).toEqual(bytes);
}

describe.each([
  ['in memory', () => Promise.resolve(new MemoryTiles())],
  ['in a folder', () => openTileFolder(join(folder, 'contract'))],
])('%s', (_, open) => {
  test('tiles of every size are there, whatever was written since', async () => {
    const store = await open();
    const edge = new TileEdge();
    expect(await store.wholeUpTo(0n)).toBe(0n);
    for (const size of [1, 2, 255, 256, 257, 511, 512, 600]) {
      await grow(store, edge, size);
      expect(hashToText(edge.root)).toBe(hashToText(treeRoot(entriesOf(size).map((entry) => leafHash(utf8Encode(entry))))));
      expect(await store.wholeUpTo(BigInt(size))).toBe(BigInt(size));
    }
    for (const size of [1, 100, 255, 256, 300, 599, 600]) await expectFiles(store, size);
    for (const size of [1, 255, 256, 300, 600]) {
      const loaded = await TileEdge.load(store, BigInt(size));
      expect(hashToText(loaded?.root ?? new Uint8Array(32))).toBe(hashToText(treeRoot(entriesOf(size).map((entry) => leafHash(utf8Encode(entry))))));
    }
    expect(await TileEdge.load(store, 601n)).toBeUndefined();
    expect(await store.wholeUpTo(700n)).toBe(512n);
    expect(await store.read({ level: 0, index: 2n, width: 89 })).toBeUndefined();
  });

  test('what is published is the largest, and stays until it is withdrawn', async () => {
    const store = await open();
    await grow(store, new TileEdge(), 300);
    expect(await store.published()).toBeUndefined();
    await store.publish(checkpointOf(300));
    expect(await store.published()).toMatchObject({ vkey: key.verifier.vkey });
    await store.publish(checkpointOf(200));
    expect(Buffer.from((await store.published())?.note ?? [])).toEqual(Buffer.from(checkpointOf(300).note));
    await store.withdraw();
    await store.withdraw();
    expect(await store.published()).toBeUndefined();
  });
});

test('the edge goes over three levels of tiles', async () => {
  const size = 66_000;
  const edge = new TileEdge();
  const written = entriesOf(size).flatMap((entry) => edge.append(utf8Encode(entry)));
  const store = new MemoryTiles();
  await store.write([...written, ...edge.partials(BigInt(size))]);
  const files = treeFiles(entriesOf(size));
  expect([...store.tiles.keys()].toSorted()).toEqual([...files.keys()].toSorted());
  for (const [path, bytes] of files) expect(bytes.equals(store.tiles.get(path) ?? Buffer.alloc(0)), path).toBe(true);
  expect(hashToText((await TileEdge.load(store, BigInt(size)))?.root ?? new Uint8Array(32))).toBe(hashToText(edge.root));
}, 60_000);

/** Paths of the files in a folder and those below. */
async function files(place: string): Promise<string[]> {
  const found = await readdir(place, { recursive: true, withFileTypes: true });
  return found.filter((each) => each.isFile()).map(({ parentPath, name }) => join(parentPath, name).slice(place.length + 1)).toSorted();
}

describe('a folder', () => {
  test('is what c2sp.org/tlog-tiles serves, and keeps partial tiles until the full one is there', async () => {
    const place = join(folder, 'layout');
    const store = await openTileFolder(place);
    const edge = new TileEdge();
    for (const size of [3, 5]) await grow(store, edge, size);
    expect(await files(place)).toEqual(['tile/0/000.p/3', 'tile/0/000.p/5', 'tile/entries/000.p/3', 'tile/entries/000.p/5']);
    await grow(store, edge, 257);
    await store.publish(checkpointOf(257));
    expect(await files(place)).toEqual([
      'checkpoint', 'log.vkey', 'tile/0/000', 'tile/0/001.p/1', 'tile/1/000.p/1', 'tile/entries/000', 'tile/entries/001.p/1',
    ]);
    for (const [path, bytes] of treeFiles(entriesOf(257))) expect(await readFile(join(place, path)), path).toEqual(bytes);
    expect(await readFile(join(place, 'log.vkey'), 'utf8')).toBe(`${key.verifier.vkey}\n`);
  });

  test('half a file counts for nothing', async () => {
    const place = join(folder, 'half');
    const store = await openTileFolder(place);
    await grow(store, new TileEdge(), 300);
    await truncate(join(place, 'tile/0/000'), 8_191);
    expect(await store.wholeUpTo(300n)).toBe(0n);
    await writeFile(join(place, 'tile/0/000'), new Uint8Array(8_192));
    expect(await store.wholeUpTo(300n)).toBe(300n);
    await truncate(join(place, 'tile/entries/001.p/44'), 0);
    expect(await store.wholeUpTo(300n)).toBe(256n);
    await truncate(join(place, 'tile/entries/000'), 17);
    expect(await store.read({ level: 'entries', index: 0n, width: 3 })).toBeUndefined();
  });

  test('that is not there holds nothing; one that cannot be written says so', async () => {
    const nowhere = readTileFolder(join(folder, 'nowhere'));
    expect([await nowhere.published(), await nowhere.read({ level: 0, index: 0n, width: 1 })]).toEqual([undefined, undefined]);
    const blocked = join(folder, 'blocked');
    await mkdir(dirname(blocked), { recursive: true });
    await writeFile(blocked, '');
    for (const place of [blocked, join(blocked, 'tiles')]) await expect(openTileFolder(place), place).rejects.toMatchObject({ code: 'config' });
  });
});
