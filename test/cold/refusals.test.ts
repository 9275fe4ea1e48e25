/** What is not confirmed is not started from: each forgery alone, and what a start says of it. */
import {
  appendLeaf, commitState, encodeState, formatBlock, formatCheckpoint, formatConfiguration, formatSnapshot, hashToText, headerLeafHash,
  height, logPosition, makeSnapshots, messageHash, rangeRoot, seq, signNote, utf8Encode, type BlockHeader, type LedgerState, type SignerKey,
} from '@plait/core';
import type { Memory, Remembered } from '@plait/roles';
import { describe, expect, test } from 'vitest';
import { alice, BODY, checkpointKey, forged, keyOf, keys, ledgerKey, ORIGIN } from '../vectors/histories/builder.ts';
import { History, quickly } from './history.ts';
import { collect, World } from './world.ts';

const EVERY = 20;

/** A history with snapshots at blocks 19, 39 … 99 and some more behind. */
function made(options: { readonly published?: boolean } = {}): History {
  const history = new History();
  history.grow(5 * EVERY, { snapshotBlocks: EVERY, ...options });
  history.grow(5, { snapshotBlocks: EVERY });
  return history;
}

/** The checkpoint that confirms a header over a state. */
function confirming({ history, height: size }: LedgerState, header: BlockHeader): string {
  const root = hashToText(rangeRoot(appendLeaf(history, headerLeafHash(formatBlock(header)))));
  return formatCheckpoint({ kind: 'checkpoint', origin: ORIGIN, size: size + 1n, root });
}

/** Puts a header over any state into the log, with its chunks and the checkpoint that would confirm it, by any key. */
function plant(history: History, change: Partial<LedgerState>, options: { readonly key?: SignerKey; readonly header?: Partial<BlockHeader> } = {}): void {
  const state = { ...history.state, ...change };
  const bytes = encodeState(state);
  const header: BlockHeader = {
    kind: 'block', origin: ORIGIN, ledgerId: state.ledgerId, configuration: state.configuration.hash, claim: state.leader?.claim ?? state.ledgerId,
    height: state.height, timeMs: state.timeMs, firstSeq: state.nextSeq, records: 0n, segments: 0, cut: state.position,
    root: hashToText(rangeRoot({ size: 0n, hashes: [] })), history: hashToText(rangeRoot(state.history)), state: commitState(bytes), ...options.header,
  };
  history.append(quickly(formatBlock(header), keyOf('nobody')));
  for (const chunk of makeSnapshots(header, bytes)) history.append(utf8Encode(formatSnapshot(chunk)));
  history.append(quickly(confirming(state, header), options.key ?? keyOf('nobody')));
}

function memoryOf(remembered: Partial<Remembered>, { state }: History): Memory {
  const all: Remembered = {
    origin: ORIGIN, ledgerId: state.ledgerId, height: state.height, header: undefined, position: state.position, message: state.ledgerId, marks: [],
    ...remembered,
  };
  return { load: () => Promise.resolve(all), save: () => Promise.resolve() };
}

describe('refused, each alone', () => {
  const honest = 5 * EVERY - 1;

  test('nothing: the newest confirmed state is taken', async () => {
    const found = await new World(made()).search();
    expect(found).toMatchObject({ start: { height: BigInt(honest) }, unconfirmed: undefined });
    expect(found.why).toBe(`from the state in block ${honest}, confirmed by the checkpoint of size ${honest + 1}`);
  });

  test.each([
    ['a key that no configuration names', keyOf('nobody')],
    ['a key of the right name', keyOf(ORIGIN.slice(1))],
    ['a coordinator\'s key', alice],
  ])('a newer state, true in itself, that %s confirms', async (_, key) => {
    const history = made();
    plant(history, {}, { key });
    const found = await new World(history).search();
    expect(found.start?.height).toBe(BigInt(honest));
    expect(found.unconfirmed).toBe(history.state.height);
  });

  test('the same by the checkpoint key itself is taken: nobody else can do that', async () => {
    const history = made();
    plant(history, {}, { key: checkpointKey });
    expect((await new World(history).search()).start?.height).toBe(history.state.height);
  });

  test('a checkpoint in the right key\'s name whose signature is of another text', async () => {
    const history = made({ published: false });
    const [newest] = history.snapshots.slice(-1);
    if (newest === undefined) throw new Error('no snapshot');
    history.append(utf8Encode(forged(confirming(newest.state, newest.header), checkpointKey)));
    const found = await new World(history).search();
    expect(found).toMatchObject({ start: undefined, unconfirmed: BigInt(honest) });
    history.append(signNote(confirming(newest.state, newest.header), checkpointKey));
    expect((await new World(history).search()).start?.height).toBe(BigInt(honest));
  });

  test.each([
    ['of another size', { size: BigInt(honest) }],
    ['of another root', { root: messageHash('another\n') }],
  ])('a checkpoint %s', async (_, change) => {
    const history = made({ published: false });
    const [newest] = history.snapshots.slice(-1);
    if (newest === undefined) throw new Error('no snapshot');
    const root = hashToText(rangeRoot(appendLeaf(newest.state.history, headerLeafHash(newest.text))));
    history.append(signNote(formatCheckpoint({ kind: 'checkpoint', origin: ORIGIN, size: BigInt(honest + 1), root, ...change }), checkpointKey));
    expect((await new World(history).search()).start).toBeUndefined();
  });

  test.each<[string, Partial<LedgerState>]>([
    ['seqs', { nextSeq: seq(1_000n) }],
    ['a height', { height: height(1_000n), history: { size: 1_000n, hashes: [1, 2, 3, 4, 5, 6].map((byte) => new Uint8Array(32).fill(byte)) } }],
    ['chains', { chains: new Map() }],
    ['a position', { position: logPosition(3n) }],
  ])('a state with other %s, and a header and a checkpoint to go with it by keys of nobody', async (_, change) => {
    const history = made();
    plant(history, change);
    expect((await new World(history).search()).start?.height).toBe(BigInt(honest));
  });

  test('a state whose configuration the ledger key did not sign, though its own checkpoint key confirms it', async () => {
    const history = made();
    const thief = keyOf('thief');
    const { origin, ledgerId, configuration } = history.state;
    const body = { ...BODY, kind: 'configuration', origin, ledgerId, version: 1n, previous: configuration.hash, checkpointKeys: keys(thief) } as const;
    const text = formatConfiguration(body);
    for (const note of [signNote(text, thief), utf8Encode(forged(text, ledgerKey))]) {
      const forgedConfiguration = { body, version: 1n, hash: messageHash(text), note: new TextDecoder().decode(note) };
      plant(history, { configuration: forgedConfiguration }, { key: thief });
    }
    const found = await new World(history).search();
    expect(found.start?.height).toBe(BigInt(honest));
    expect(found.unconfirmed).toBeUndefined();
  });

  test('a header that is not the one the checkpoint covers, over the true state', async () => {
    const history = made({ published: false });
    const [newest] = history.snapshots.slice(-1);
    if (newest === undefined) throw new Error('no snapshot');
    const other = { ...newest.header, timeMs: newest.header.timeMs + 1n };
    const world = new History();
    for (const { value } of history.messages.slice(2)) if (!new TextDecoder().decode(value).includes(`state ${newest.header.state?.bytes} `)) world.append(value);
    world.append(quickly(formatBlock(other), alice));
    world.append(signNote(confirming(newest.state, newest.header), checkpointKey));
    expect((await new World(world).search()).start).toBeUndefined();
  });

  test('chunks: wrong ones do no harm, whatever comes of them first, and without the right ones there is no state', async () => {
    const history = made();
    const [newest] = history.snapshots.slice(-1);
    if (newest === undefined) throw new Error('no snapshot');
    const [chunk] = makeSnapshots(newest.header, encodeState(newest.state));
    if (chunk === undefined) throw new Error('no chunk');
    const data = chunk.data.slice();
    data[data.length - 90] = (data[data.length - 90] as number) ^ 1;
    const wrong = utf8Encode(formatSnapshot({ ...chunk, data }));
    const right = utf8Encode(formatSnapshot(chunk));
    const isRight = (value: Uint8Array): boolean => Buffer.compare(value, right) === 0;

    const without = new History();
    const among = new History();
    for (const { value } of history.messages.slice(2)) {
      without.append(isRight(value) ? wrong : value);
      if (isRight(value)) among.append(wrong);
      among.append(value);
      if (isRight(value)) among.append(wrong);
    }
    expect((await new World(among).search()).start?.height).toBe(BigInt(honest));
    expect((await new World(without).search()).start?.height).toBe(BigInt(honest - EVERY));
    without.append(right);
    expect((await new World(without).search()).start?.height, 'appended late, by whomever').toBe(BigInt(honest));
  });

  test('headers over a state that is nowhere, and chunks that are nobody\'s, cost no more than to read them', async () => {
    const history = made();
    const [newest] = history.snapshots.slice(-1);
    if (newest === undefined) throw new Error('no snapshot');
    const [chunk] = makeSnapshots(newest.header, encodeState(newest.state));
    if (chunk === undefined) throw new Error('no chunk');
    const state = { bytes: 100, root: messageHash('nowhere\n') };
    for (let i = 0n; i < 1_500n; i += 1n) {
      history.append(quickly(formatBlock({ ...newest.header, height: height(1_000n), timeMs: i, state }), keyOf('nobody')));
      history.append(utf8Encode(formatSnapshot({ ...chunk, height: height(1_000n), stateBytes: 100, data: new Uint8Array(100).fill(Number(i % 256n)) })));
    }
    const found = await new World(history).search();
    expect(found.start?.height).toBe(BigInt(honest));
    expect(found.messages).toBeLessThan(3 * history.messages.length);
  });

  test('a configuration below the least that was asked for', async () => {
    const found = await new World(made()).search({ minConfiguration: 1n });
    expect(found.start).toBeUndefined();
    expect(found.why).toBe(`from the beginning of the log: no state in it is confirmed; block ${honest} has a newer one, but its configuration 0 is below 1`);
  });
});

describe('what a role remembers', () => {
  test('confirms the header it names, without a checkpoint, and no other', async () => {
    const history = made({ published: false });
    const [older, newest] = history.snapshots.slice(-2);
    if (older === undefined || newest === undefined) throw new Error('no snapshots');
    const header = messageHash(older.text);
    const world = new World(history);
    const asLast = await world.search({ memory: memoryOf({ height: height(older.header.height + 1n), header }, history), mayPassMemory: true });
    expect(asLast).toMatchObject({ start: { height: older.header.height }, unconfirmed: newest.header.height });
    expect(asLast.why).toContain('confirmed by what this role remembers; block 99 has a newer one, but no checkpoint confirms it');
    const asState = await world.search({ memory: memoryOf({ state: { height: older.header.height, header } }, history) });
    expect(asState.start?.height).toBe(older.header.height);
    const other = await world.search({ memory: memoryOf({ state: { height: older.header.height, header: messageHash(newest.text) } }, history) });
    expect(other.start).toBeUndefined();
  });

  test('blocks: the role begins at or below the newest of them, so that it can compare', async () => {
    const history = made();
    const world = new World(history);
    const below = await world.search({ memory: memoryOf({ height: height(50n) }, history) });
    expect(below.start?.height).toBe(39n);
    const passing = await world.search({ memory: memoryOf({ height: height(50n) }, history), mayPassMemory: true });
    expect(passing.start?.height).toBe(99n);
    for (const [known, start] of [[40n, 39n], [39n, 19n]] as const) {
      const newest = await world.search({ memory: memoryOf({ height: height(known) }, history) });
      expect(newest.start?.height, 'of the block behind the newest it could not compare that one').toBe(start);
    }
    const none = await world.search({ memory: memoryOf({ height: height(10n) }, history) });
    expect(none.start).toBeUndefined();
  });
});

describe('the publisher is away', () => {
  test('the start is at an older state, and says so', async () => {
    const history = made();
    history.grow(3 * EVERY, { snapshotBlocks: EVERY, published: false });
    const { observe, events } = collect();
    const found = await new World(history).search({ observe });
    expect(found).toMatchObject({ start: { height: 99n }, unconfirmed: 159n });
    expect(found.why).toBe('from the state in block 99, confirmed by the checkpoint of size 100; block 159 has a newer one, but no checkpoint ' +
      'confirms it: is a publisher running?');
    expect(events).toEqual([{ event: 'cold-start', position: found.start?.position, height: 99n, unconfirmed: 159n, messages: found.messages, why: found.why }]);
  });

  test('a checkpoint that comes long after its header confirms it', async () => {
    const history = made({ published: false });
    const [, second] = history.snapshots;
    if (second === undefined) throw new Error('no snapshot');
    history.flood(3_000);
    history.append(signNote(confirming(second.state, second.header), checkpointKey));
    expect((await new World(history).search()).start?.height).toBe(second.header.height);
  });
});

describe('before a seq', () => {
  const history = new History();
  history.grow(20_000, { snapshotBlocks: 500 });

  test.each([0n, 49n, 50n, 51n, 777n, 1_499n, 1_500n, 1_900n, 5_000n])('%s: the newest state that has not numbered it, without reading the log', async (wanted) => {
    const expected = history.snapshots.findLast(({ state }) => state.nextSeq <= wanted);
    const found = await new World(history).search({ beforeSeq: seq(wanted) });
    expect(found.start?.height).toBe(expected?.header.height);
    expect(found.messages).toBeLessThan(10_000);
  });

  test('noise, replays and forged blocks around it cost time and nothing else', async () => {
    const noisy = new History();
    noisy.grow(3_000, { snapshotBlocks: 500 });
    noisy.flood(3_000);
    noisy.claim(alice);
    noisy.grow(3_000, { snapshotBlocks: 500 });
    for (let i = 0; i < 50; i += 1) noisy.append(quickly(formatBlock({ ...(noisy.snapshots[0] as { header: BlockHeader }).header, firstSeq: seq(BigInt(i)) }), alice));
    for (const wanted of [100n, 299n, 400n, 599n]) {
      const expected = noisy.snapshots.findLast(({ state }) => state.nextSeq <= wanted);
      expect((await new World(noisy).search({ beforeSeq: seq(wanted) })).start?.height, String(wanted)).toBe(expected?.header.height);
    }
  });
});

test('a log whose beginning was deleted: a state above that is as good as before', async () => {
  const history = made();
  const world = new World(history);
  world.log.deleteBefore(logPosition((history.snapshots.at(-1)?.state.position ?? 0n) - 10n));
  expect((await world.search()).start?.height).toBe(99n);
  world.log.deleteBefore(logPosition((history.snapshots.at(-1)?.state.position ?? 0n) + 4n));
  expect((await world.search()).start).toBeUndefined();
});
