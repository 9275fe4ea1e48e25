/** The tree of headers in tiles: the same files whatever crashed when, and no checkpoint without them. */
import { formatCheckpoint, hashToText, isPlaitError, logPosition, messageHash, parseNote, rangeRoot, utf8Encode } from '@plait/core';
import { startTiles, TileWriter, type TileStart, type TileStore } from '@plait/roles';
import { MemoryTiles, type Process } from '@plait/testkit';
import { describe, expect, test } from 'vitest';
import { checkpointKey, ORIGIN } from '../vectors/histories/builder.ts';
import { History, quickly, quickVerify } from './history.ts';
import { treeFiles } from './tree-files.ts';
import { PINNED, World } from './world.ts';

class Crash extends Error {}

const EVERY = 90;

/** Blocks of which one in {@link EVERY} has a state and a checkpoint, and a checkpoint of all of them. */
function published(blocks: number): History {
  const history = new History();
  history.grow(blocks, { snapshotBlocks: EVERY });
  history.checkpoint();
  return history;
}

const headersOf = ({ messages }: History): string[] =>
  messages.filter(({ value }) => Buffer.from(value).subarray(0, 15).toString() === 'plait.block/v1\n').map(({ value }) => parseNote(value).text);

const sizeIn = async (store: TileStore): Promise<number> => Number(Buffer.from((await store.published())?.note ?? []).toString().split('\n')[1] ?? -1);

/** Runs a writer until it has published what `history` ends with, while the log grows by its rest in `pieces`. How it began. */
async function write(history: History, store: TileStore, { pieces = 1, have = 0 } = {}): Promise<TileStart> {
  const first = history.copy();
  const size = Math.max(have, Math.ceil(history.messages.length / pieces));
  first.messages.length = size;
  const world = new World(first);
  const ended = await world.inProcess('tiles', async (self) => await run(self).catch((error: unknown) => ({ error })));
  if ('error' in ended) throw ended.error;
  return ended;

  async function run(self: Process): Promise<TileStart> {
    const openLog = world.openLog(self);
    const begun = await startTiles({ ...PINNED, verify: quickVerify, openLog, store });
    const { start, edge, published: known } = begun;
    const log = await openLog(logPosition(start === undefined ? 0n : start.position + 1n));
    const writer = new TileWriter({ ...PINNED, verify: quickVerify, log, store, edge, published: known, ...(start === undefined ? {} : { start }) });
    for (let at = size; ; at += size) {
      do await writer.step();
      while (log.position() < world.log.end || !writer.caughtUp);
      await writer.step();
      if (at >= history.messages.length) return begun;
      for (const { value } of history.messages.slice(at, at + size)) world.log.land(value);
    }
  }
}

async function expectWhole(history: History, store: MemoryTiles): Promise<void> {
  const files = treeFiles(headersOf(history));
  for (const [path, bytes] of files) expect(Buffer.from(store.tiles.get(path) ?? []), path).toEqual(bytes);
  expect(await sizeIn(store)).toBe(Number(history.state.height));
}

test('every crash leaves what the next writer makes whole, with the same bytes, and never a checkpoint without its tiles', async () => {
  const history = published(100);
  for (let size = 150; size <= 300; size += 50) {
    history.grow(50, { snapshotBlocks: EVERY });
    history.checkpoint();
  }
  let calls = 0;
  const counted = new MemoryTiles(() => void (calls += 1));
  await write(history, counted, { pieces: 6 });
  await expectWhole(history, counted);
  expect(calls).toBeGreaterThan(20);
  for (let last = calls; last > 0; last -= 1) {
    let left = last;
    const store = new MemoryTiles(() => {
      left -= 1;
      if (left === 0) throw new Crash();
    });
    await expect(write(history, store, { pieces: 6 }), `crash ${last}`).rejects.toThrow(Crash);
    const before = (await store.published()) === undefined ? 0n : BigInt(await sizeIn(store));
    expect(await store.wholeUpTo(before)).toBe(before);
    await write(history, store, { have: history.messages.length });
    await expectWhole(history, store);
  }
}, 120_000);

test('a writer goes on at the newest state in its tiles, and from the beginning where a tile is missing', async () => {
  const history = published(600);
  const store = new MemoryTiles();
  expect((await write(history, store)).start).toBeUndefined();
  expect((await write(history, store)).start?.height).toBe(539n);
  for (const path of treeFiles(headersOf(history)).keys()) {
    store.tiles.delete(path);
    expect((await write(history, store)).published, `${path}: withdrawn`).toBeUndefined();
    await expectWhole(history, store);
  }
});

test('tiles that are not those of the state are written anew', async () => {
  const history = published(200);
  const store = new MemoryTiles();
  await write(history, store);
  const path = 'tile/entries/000.p/200';
  const bytes = store.tiles.get(path) as Uint8Array;
  store.tiles.set(path, bytes.map((byte, i) => (i === 5_000 ? byte ^ 1 : byte)));
  expect(await write(history, store)).toMatchObject({ start: undefined, published: undefined });
  await expectWhole(history, store);
});

test('a checkpoint that came behind a newer block is published if it is of the tree, and another one is not', async () => {
  const history = new History();
  history.grow(20, { published: false });
  const { height, history: range } = history.state;
  const text = (root: string): string => formatCheckpoint({ kind: 'checkpoint', origin: ORIGIN, size: height, root: root as ReturnType<typeof hashToText> });
  history.grow(1, { published: false });
  const store = new MemoryTiles();
  expect(history.append(quickly(text(messageHash('another\n')), checkpointKey))).toMatchObject({ verdict: 'older' });
  await write(history, store);
  expect(await store.published()).toBeUndefined();
  const right = quickly(text(hashToText(rangeRoot(range))), checkpointKey);
  expect(history.append(right)).toMatchObject({ verdict: 'older' });
  await write(history, store);
  expect(await store.published()).toMatchObject({ note: right, vkey: checkpointKey.verifier.vkey, size: 20n });
});

const codeOf = async (history: History, store: TileStore): Promise<string> =>
  await write(history, store).then(() => 'none', (error: unknown) => (isPlaitError(error) ? error.code : String(error)));

describe('a writer stops', () => {
  test('when the log is shorter than what is published, or another one', async () => {
    const store = new MemoryTiles();
    await write(published(100), store);
    expect(await codeOf(published(80), store)).toBe('rolled-back');
    const other = new History();
    other.claim();
    other.grow(120);
    expect(await codeOf(other, store)).toBe('rolled-back');
    expect(await sizeIn(store)).toBe(100);
  });

  test('when a checkpoint contradicts the blocks', async () => {
    const history = published(40);
    history.append(quickly(formatCheckpoint({ kind: 'checkpoint', origin: ORIGIN, size: 40n, root: messageHash('another\n') }), checkpointKey));
    expect(await codeOf(history, new MemoryTiles())).toBe('split-view');
  });

  test('when the tiles are of another ledger', async () => {
    const store = new MemoryTiles();
    await store.publish({ size: 0n, vkey: '', note: utf8Encode('example.com/other\n0\n47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=\n\n\u2014 a AAAAAAA=\n') });
    expect(await codeOf(published(3), store)).toBe('config');
  });
});
