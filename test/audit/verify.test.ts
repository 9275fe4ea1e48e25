/** What a verification remembers, is told, and is asked: rollbacks, split views, ranges, patience. */
import {
  apply, emptyState, formatCheckpoint, formatConfiguration, hashToText, index, makeSignerKey, PlaitError, rangeRoot, seq, sha256, signNote, type FoldState, type Generation, type Hash, type LedgerState,
} from '@plait/core';
import { readSignedCheckpoint, type LineChecker, type Memory, type Remembered } from '@plait/roles';
import type { SignedCheckpoint, VerifyProgress } from '@plait/ledger';
import { beforeAll, expect, test } from 'vitest';
import { CHECKPOINT_KEY, LEDGER_KEY, ORIGIN, WORKER_KEYS } from '../../packages/testkit/src/keyring.ts';
import { behind, checkersOf, checkpointsIn, inGap, verifyWorld, worldOf, type World } from './world.ts';

/** Two ledgers with one genesis, so that one may be put in the place of the other. */
let world: World;
let other: World;
let checkpoints: readonly SignedCheckpoint[];

beforeAll(async () => {
  ({ honest: world } = await worldOf(7));
  ({ honest: other } = await worldOf(3));
  expect(other.messages[0]).toEqual(world.messages[0]);
  checkpoints = checkpointsIn(world);
});

const only = <T>(all: readonly T[], wanted: number): T => all.at(wanted) as T;

const signed = (size: bigint, root: Hash, key = CHECKPOINT_KEY, origin = ORIGIN) =>
  signNote(formatCheckpoint({ kind: 'checkpoint', origin, size, root }), key);

const someRoot = hashToText(sha256(Uint8Array.of(7)));

class Notebook implements Memory {
  kept: Remembered | undefined;
  saves = 0;

  async load(): Promise<Remembered | undefined> {
    return this.kept;
  }

  async save(remembered: Remembered): Promise<void> {
    this.kept = remembered;
    this.saves += 1;
  }
}

test('what was verified is remembered, once, and only the same log is verified again', async () => {
  const memory = new Notebook();
  const first = await verifyWorld(world, { memory });
  expect(first).toMatchObject({ verdict: 'verified', consistentWith: [] });
  expect(first.notChecked.join()).toContain('a rollback cannot be excluded');
  expect(memory).toMatchObject({ saves: 1, kept: { height: first.height, ledgerId: first.ledgerId } });
  const again = await verifyWorld(world, { memory });
  expect(again).toMatchObject({ verdict: 'verified', consistentWith: [{ name: 'remembered', size: memory.kept?.checkpoint?.size }] });
  expect(again.notChecked.join()).not.toContain('rollback');
  for (const older of [other, { ...world, messages: world.messages.slice(0, -9) }]) {
    expect(await verifyWorld(older, { memory })).toMatchObject({ verdict: 'rolled-back', finding: { kind: 'rolled-back', next: expect.stringContaining('plait recover') } });
  }
  expect(memory.kept?.height).toBe(first.height);
});

test('what is tampered with is not remembered', async () => {
  const memory = new Notebook();
  const messages = world.messages.toSpliced(9, 5);
  expect(await verifyWorld({ ...world, messages }, { memory })).toMatchObject({ verdict: 'tampered' });
  expect(memory.kept).toBeUndefined();
});

test('a checkpoint that was kept must be extended, of whatever size it is', async () => {
  for (const [i, trusted] of checkpoints.entries()) {
    const { verdict, consistentWith } = await verifyWorld(world, { trusted: [trusted] });
    expect({ i, verdict, consistentWith }).toMatchObject({ verdict: 'verified', consistentWith: [{ name: 'kept', size: trusted.checkpoint.size, root: trusted.checkpoint.root }] });
  }
  const newest = only(checkpoints, -1);
  const cut = world.messages.findIndex(({ value }) => hashToText(sha256(value)) === hashToText(sha256(newest.note))) - 8;
  expect(await verifyWorld({ ...world, messages: world.messages.slice(0, cut) }, { trusted: [only(checkpoints, 0), newest] })).toMatchObject({
    verdict: 'rolled-back', finding: { kind: 'rolled-back', expected: `at least ${newest.checkpoint.size} blocks`, evidence: [{ name: 'kept', note: newest.note }] },
  });
});

test('a log that was written anew contradicts what was kept: with its own checkpoints that is a split view', async () => {
  const trusted = [only(checkpoints, 0)];
  const split = await verifyWorld(other, { trusted });
  expect(split).toMatchObject({ verdict: 'split-view', finding: { kind: 'checkpoint-contradicts', evidence: [{ note: trusted[0]?.note }, {}] } });
  const [mine, theirs] = split.finding?.evidence ?? [];
  expect(readSignedCheckpoint(theirs?.note as Uint8Array, '').checkpoint.size).toBeGreaterThanOrEqual(readSignedCheckpoint(mine?.note as Uint8Array, '').checkpoint.size);
  const unsigned = new Set(checkpointsIn(other).map(({ note }) => hashToText(sha256(note))));
  const silent = { ...other, messages: other.messages.filter(({ value }) => !unsigned.has(hashToText(sha256(value)))) };
  expect(await verifyWorld(silent, { trusted })).toMatchObject({ verdict: 'rolled-back', finding: { kind: 'history-differs' } });
});

test('a checkpoint of another ledger, or one that nobody signed, is refused', async () => {
  const foreign = readSignedCheckpoint(signed(1n, someRoot, CHECKPOINT_KEY, 'else.example/ledger'), 'foreign');
  await expect(verifyWorld(world, { trusted: [foreign] })).rejects.toMatchObject({ code: 'config', message: expect.stringContaining('else.example/ledger') });
  const unsigned = readSignedCheckpoint(signed(1n, someRoot, WORKER_KEYS[0]), 'unsigned');
  await expect(verifyWorld(world, { trusted: [unsigned] })).rejects.toMatchObject({ code: 'config' });
});

test('a checkpoint in the log that is of another tree is found, whatever its size; one by another key accuses nobody', async () => {
  const { height } = await verifyWorld(world);
  for (const size of [0n, 1n, height - 1n, height]) {
    expect(await verifyWorld(behind(world, signed(size, someRoot)))).toMatchObject({
      verdict: 'split-view', finding: { kind: 'checkpoint-contradicts', position: only(world.messages, -1).position + 1n, found: someRoot, evidence: [{}, {}] },
    });
  }
  expect(await verifyWorld(behind(world, signed(height + 1n, someRoot)))).toMatchObject({
    verdict: 'tampered', finding: { kind: 'block-missing', found: `${height} blocks`, lastGoodCheckpoint: { checkpoint: { size: height } } },
  });
  expect(await verifyWorld(behind(world, signed(1n, someRoot, WORKER_KEYS[0])))).toMatchObject({ verdict: 'verified', ignored: { 'checkpoint/unknown-key': 1 } });
});

test('what a replaced key contradicted is settled by a checkpoint of its successor over the blocks behind, and not before', async () => {
  const { height } = await verifyWorld(world);
  const state = stateOf(world);
  const successor = makeSignerKey(`${ORIGIN}/second`, new Uint8Array(32).fill(9));
  const { origin, ledgerId, configuration: { body, version, hash } } = state;
  const replaced = signNote(formatConfiguration({
    ...body, starts: [], checkpointKeys: [successor.verifier], kind: 'configuration', origin, ledgerId, version: version + 1n, previous: hash,
  }), LEDGER_KEY);
  for (const [lie, kind] of [[signed(1n, someRoot), 'checkpoint-contradicts'], [signed(1_000_000n, someRoot), 'block-missing']] as const) {
    const lied = inGap(world, lie);
    expect(await verifyWorld(lied)).toMatchObject({ finding: { kind } });
    expect(await verifyWorld(behind(lied, replaced))).toMatchObject({ finding: { kind } });
    const root = hashToText(rangeRoot(state.history));
    expect(await verifyWorld(behind(lied, replaced, signed(height, root, successor)))).toMatchObject({ verdict: 'verified', counts: { settled: 1n } });
    expect(await verifyWorld(behind(lied, replaced, signed(height, someRoot, successor)))).toMatchObject({ verdict: 'split-view' });
  }
});

test('a log without its beginning is named', async () => {
  const messages = world.messages.slice(4);
  const { position } = only(messages, 0);
  const report = await verifyWorld({ ...world, messages }, {}, { logStart: position });
  expect(report).toMatchObject({ verdict: 'undecided', ledgerId: undefined, finding: { kind: 'log-start', found: `position ${position}` } });
  const [first, ...rest] = world.messages;
  expect(first).toBeDefined();
  expect(await verifyWorld({ ...world, messages: rest })).toMatchObject({ verdict: 'tampered', ledgerId: undefined, finding: { kind: 'genesis-missing' } });
});

test('of a range only the records are read, the log is verified whole', async () => {
  const all = await verifyWorld(world);
  const { nextSeq } = all.range;
  const half = nextSeq / 2n;
  const [low, high] = [await verifyWorld(world, { toSeq: half }), await verifyWorld(world, { fromSeq: half })];
  expect(low).toMatchObject({ verdict: 'verified', range: { firstSeq: 0n, nextSeq: half }, counts: { blocks: all.counts.blocks } });
  expect(low.notChecked.join()).toContain(`the records from seq ${half} on`);
  expect(high).toMatchObject({ verdict: 'verified', range: { firstSeq: half, nextSeq } });
  expect(high.notChecked.join()).toContain(`the records below seq ${half}`);
  // The segment in the middle is read by both.
  expect(low.counts.records + high.counts.records).toBeGreaterThanOrEqual(all.counts.records);
  expect(low.counts.records).toBeLessThan(all.counts.records);
  const resumed = await verifyWorld(world, { resumeAt: half });
  expect(resumed).toMatchObject({ counts: { records: high.counts.records } });
  expect(resumed.notChecked.join()).toContain('an earlier run compared them');
  await expect(verifyWorld(world, { fromSeq: 2n, toSeq: 1n })).rejects.toMatchObject({ code: 'config' });
});

test('its progress rises to the end, and what it says can be resumed at', async () => {
  const heard: VerifyProgress[] = [];
  const report = await verifyWorld(world, { onProgress: (progress) => void heard.push(progress), recordsPerSecondMax: 100 });
  const last = only(heard, -1);
  expect(heard.length).toBeGreaterThan(3);
  expect(last).toMatchObject({ records: report.counts.records, nextSeq: report.range.nextSeq, totalSeqs: report.range.nextSeq, position: last.end });
  for (const [i, progress] of heard.entries()) expect(progress.nextSeq).toBeGreaterThanOrEqual(heard[i - 1]?.nextSeq ?? 0n);
});

test('a checker without brokers is waited for, and in the end given up', async () => {
  const [checker] = checkersOf(world, 1) as [LineChecker];
  let failures = 5;
  const flaky: LineChecker = {
    check: async (stretch) => {
      if (failures > 0) throw new PlaitError('unavailable', `no broker answers, ${(failures -= 1)} more times`);
      return await checker.check(stretch);
    },
    close: async () => undefined,
  };
  expect(await verifyWorld(world, { checkers: [flaky] })).toMatchObject({ verdict: 'verified' });
  failures = Number.POSITIVE_INFINITY;
  await expect(verifyWorld(world, { checkers: [flaky] })).rejects.toMatchObject({ code: 'unavailable' });
});

test('a signal ends it', async () => {
  const stop = new AbortController();
  const checking = verifyWorld(world, { signal: stop.signal, onProgress: () => stop.abort(new Error('enough')), recordsPerSecondMax: 1 });
  await expect(checking).rejects.toThrow('enough');
});

test('what is told of the log\'s end is derived, too: nobody talks a record that differs into one that is gone', async () => {
  const { finding } = await verifyWorld(world, {}, { newest: async () => ({ ...stateOf(world), nextSeq: seq(7n) }) });
  expect(finding).toMatchObject({ kind: 'block-differs', position: only(world.messages, -1).position });
});

test('a record that a configuration declares void is not read, also when that stands at the end of the log', async () => {
  const at = world.partitions.findIndex(({ records }) => records.length > 0);
  const { topic, partition, records } = world.partitions[at] as World['partitions'][number];
  const spoiled = { ...world, partitions: world.partitions.with(at, { ...(world.partitions[at] as World['partitions'][number]), records: records.slice(1) }) };
  const { finding } = await verifyWorld(spoiled);
  expect(finding).toMatchObject({ kind: 'records-differ', firstOffset: 0n });
  const state = stateOf(world);
  const text = formatConfiguration({
    ...state.configuration.body, starts: [], kind: 'configuration', origin: ORIGIN, ledgerId: state.ledgerId,
    version: state.configuration.version + 1n, previous: state.configuration.hash,
    voids: [{ topic, partition, generation: finding?.generation as Generation, firstIndex: index(0n), nextIndex: index(4_000n) }],
  });
  const report = await verifyWorld(behind(spoiled, signNote(text, LEDGER_KEY)));
  expect(report).toMatchObject({ verdict: 'verified', counts: { voids: BigInt(records.length) } });
  expect(report.notChecked.join()).toContain('declared void');
});

function stateOf({ messages }: World): LedgerState {
  let state: FoldState = emptyState({ origin: ORIGIN, ledgerKey: LEDGER_KEY.verifier });
  for (const { position, value } of messages) ({ state } = apply(state, position, value));
  return state as LedgerState;
}
