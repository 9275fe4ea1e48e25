/** Two checkpoints: what is shown of them, from tiles and from a log's headers, and when they contradict each other. */
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { formatCheckpoint, hashToText, isPlaitError, leafHash, makeSignerKey, signNote, treeRoot, utf8Encode } from '@plait/core';
import { openTileFolder } from '@plait/disk';
import { TileEdge } from '@plait/roles';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { compareCheckpoints, readCheckpoint, signerOf, type HeldCheckpoint, type TreePlace } from '../../apps/plait/src/proving/consistency-check.ts';

const ORIGIN = 'example.com/compared';
const key = makeSignerKey(ORIGIN, new Uint8Array(32).fill(3));
const SIZE = 700;
/** Sizes of which there was a checkpoint. */
const PUBLISHED = [300, SIZE];
const entry = (i: number, other = -1): Uint8Array => utf8Encode(`header ${i}${i === other ? ' of another history' : ''}\n`);
const leaves = (size: number, other?: number): Uint8Array[] => Array.from({ length: size }, (_, i) => leafHash(entry(i, other)));

let folder: string;
let server: Server;
const asked: string[] = [];
const tiles = (name = 'tiles'): TreePlace => ({ kind: 'tiles', name: join(folder, name) });
const url = (path = ''): TreePlace => ({ kind: 'tiles', name: `http://127.0.0.1:${(server.address() as AddressInfo).port}${path}` });
const log = (size = SIZE, other?: number): TreePlace => ({ kind: 'log', name: 'orders.plait', leafHashes: leaves(size, other) });

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'plait-consistency-'));
  for (const [name, other] of [['tiles', -1], ['others', 650]] as const) {
    const store = await openTileFolder(join(folder, name));
    const edge = new TileEdge();
    for (let i = 0; i < SIZE; i += 1) {
      await store.write(edge.append(entry(i, other)));
      if (PUBLISHED.includes(i + 1)) await store.write(edge.partials(edge.size));
    }
  }
  // Serves the files, what is no tile under /long, and nothing under /ill.
  server = createServer(({ url: path = '' }, response) => {
    asked.push(path);
    if (path.startsWith('/long/')) response.end(Buffer.alloc(1_000_000));
    else if (path.startsWith('/ill/')) response.writeHead(500).end();
    else readFile(join(folder, 'tiles', path)).then((bytes) => response.end(bytes), () => response.writeHead(404).end());
  });
  await new Promise<void>((listening) => void server.listen(0, '127.0.0.1', listening));
});
afterAll(async () => {
  server.close();
  await rm(folder, { recursive: true });
});

/** A checkpoint of a tree in which one header is another one, if that is said. */
async function checkpoint(size: number, { other = -1, root = hashToText(treeRoot(leaves(size, other))) } = {}): Promise<HeldCheckpoint> {
  const file = join(folder, `${size}-${other}`);
  await writeFile(file, signNote(formatCheckpoint({ kind: 'checkpoint', origin: ORIGIN, size: BigInt(size), root }), key));
  return await readCheckpoint(file);
}

async function codeOf(promise: Promise<unknown>): Promise<string> {
  return await promise.then((value) => JSON.stringify(value), (error: unknown) => (isPlaitError(error) ? error.code : String(error)));
}

const SIZES = [1, 2, 255, 256, 257, 300, 512, 513, 699, 700];

describe.each([['tiles', tiles], ['a server', url], ['the log', log]])('from %s', (_, place) => {
  test('every smaller tree is a prefix', async () => {
    const newer = await checkpoint(SIZE);
    for (const size of SIZES) {
      const { verdict, proof } = await compareCheckpoints(await checkpoint(size), newer, place());
      expect([verdict, proof.length > 0], `size ${size}`).toEqual(['consistent', size < SIZE]);
    }
  });

  test('the tree of another history is none, and that is shown', async () => {
    const newer = await checkpoint(SIZE);
    for (const [size, other] of [[1, 0], [255, 254], [256, 0], [600, 599], [600, 3]] as const) {
      expect((await compareCheckpoints(await checkpoint(size, { other }), newer, place())).verdict, `size ${size}`).toBe('split-view');
    }
  });
});

test('what is looked up is not believed: of another tree, cut, too long, or not there', async () => {
  const [older, newer] = [await checkpoint(300), await checkpoint(SIZE)];
  expect(await codeOf(compareCheckpoints(older, newer, tiles('others')))).toBe('invalid');
  expect(await codeOf(compareCheckpoints(older, newer, url('/long')))).toBe('invalid');
  expect(await codeOf(compareCheckpoints(older, newer, url('/none')))).toBe('missing');
  expect(await codeOf(compareCheckpoints(older, newer, url('/ill')))).toBe('unavailable');
  expect(await codeOf(compareCheckpoints(older, newer, { kind: 'tiles', name: 'http://127.0.0.1:1' }))).toBe('unavailable');
  expect(await codeOf(compareCheckpoints(older, newer, tiles('nowhere')))).toBe('missing');
  expect(await codeOf(compareCheckpoints(older, newer, log(699)))).toBe('rolled-back');
  expect(await codeOf(compareCheckpoints(older, newer, log(SIZE, 650)))).toBe('rolled-back');
  // Whatever is changed in a tile that is needed: it is seen.
  const path = join(folder, 'tiles', 'tile/0/002.p/188');
  const bytes = await readFile(path);
  for (const at of [0, 1_000, bytes.length - 1]) {
    await writeFile(path, bytes.map((byte, i) => (i === at ? byte ^ 1 : byte)));
    expect(await codeOf(compareCheckpoints(older, newer, tiles())), `byte ${at}`).toBe('invalid');
  }
  await writeFile(path, bytes);
});

test('equal sizes need nothing; an empty tree shows nothing', async () => {
  const nowhere: TreePlace = { kind: 'tiles', name: join(folder, 'nowhere') };
  expect(await compareCheckpoints(await checkpoint(5), await checkpoint(5), nowhere)).toEqual({ verdict: 'consistent', proof: [] });
  expect(await compareCheckpoints(await checkpoint(5), await checkpoint(5, { other: 2 }), nowhere)).toEqual({ verdict: 'split-view', proof: [] });
  expect(await codeOf(compareCheckpoints(await checkpoint(0), await checkpoint(5), nowhere))).toBe('missing');
  expect(await codeOf(compareCheckpoints(await checkpoint(0, { root: hashToText(leafHash(new Uint8Array(0))) }), await checkpoint(5), nowhere))).toBe('invalid');
});

test('a server that keeps no partial tile of an older size has the full one', async () => {
  const [older, newer] = [await checkpoint(100), await checkpoint(300)];
  asked.length = 0;
  expect((await compareCheckpoints(older, newer, url())).verdict).toBe('consistent');
  expect(asked).toEqual(expect.arrayContaining(['/tile/0/000', '/tile/0/001.p/44', '/tile/0/001']));
});

test('a file that is no checkpoint, and a signature that is none, are refused', async () => {
  expect(await codeOf(readCheckpoint(join(folder, 'absent')))).toBe('config');
  await writeFile(join(folder, 'text'), 'no note\n');
  expect(await codeOf(readCheckpoint(join(folder, 'text')))).toBe('invalid');
  const held = await checkpoint(5);
  expect(signerOf(held, [makeSignerKey(ORIGIN, new Uint8Array(32)).verifier, key.verifier]).vkey).toBe(key.verifier.vkey);
  expect(() => signerOf(held, [makeSignerKey('other', new Uint8Array(32).fill(3)).verifier])).toThrow(/no valid signature/);
  const bytes = await readFile(held.file);
  const file = join(folder, 'flipped');
  for (let at = 0; at < bytes.length; at += 1) {
    await writeFile(file, bytes.map((byte, i) => (i === at ? byte ^ 1 : byte)));
    expect(await codeOf(readCheckpoint(file).then((each) => signerOf(each, [key.verifier]).name)), `byte ${at}`).toBe('invalid');
  }
});
