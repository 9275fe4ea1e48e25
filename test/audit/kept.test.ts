/** What an auditor keeps outside of the log: it never hides what the ledger shows by itself, and it names the place where the log is another. */
import {
  apply, emptyState, formatCheckpoint, hashToText, height, makeSignerKey, offset, sha256, signNote, type FoldState, type LedgerState, type Seq,
} from '@plait/core';
import { openStateFile, type Memory, type Remembered, type SignedCheckpoint, type VerifyOptions, type VerifyProgress, type VerifyReport } from '@plait/ledger';
import { readSignedCheckpoint } from '@plait/roles';
import type { StillPartition } from '@plait/testkit';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CHECKPOINT_KEY, LEDGER_KEY, ORIGIN } from '../../packages/testkit/src/keyring.ts';
import { checkpointsIn, verifyWorld, worldOf, type World } from './world.ts';

const NONSENSE = hashToText(sha256(Uint8Array.of(7)));

let folder: string;
/** Two ledgers with one genesis: the second may have been written in the place of the first. */
let world: World;
let other: World;
let whole: VerifyReport;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'plait-kept-'));
  ({ honest: world } = await worldOf(7));
  ({ honest: other } = await worldOf(3));
  whole = await verifyWorld(world);
});
afterAll(() => rmSync(folder, { recursive: true }));

let files = 0;
/** The memory of an auditor who has verified a world. */
async function memoryOf(verified: World): Promise<Memory> {
  const memory = openStateFile(join(folder, `${(files += 1)}.json`));
  expect(await verifyWorld(verified, { memory })).toMatchObject({ verdict: 'verified' });
  return memory;
}

/** A memory that holds something else than what an audit of the world would have written. */
async function altered(change: (kept: Remembered) => Partial<Remembered>): Promise<Memory> {
  const kept = (await (await memoryOf(world)).load()) as Remembered;
  return { load: async () => ({ ...kept, ...change(kept) }), save: async () => expect.unreachable('saved') };
}

const newestOf = (of: World): SignedCheckpoint => checkpointsIn(of).at(-1) as SignedCheckpoint;

function withPartition(of: World, at: number, more: Partial<StillPartition>): World {
  return { ...of, partitions: of.partitions.with(at, { ...(of.partitions[at] as StillPartition), ...more }) };
}

/** The world with the first half of a partition gone. */
function headless(of: World, at = 0): World {
  const { records } = of.partitions[at] as StillPartition;
  const logStart = offset(BigInt(records.length >> 1));
  return withPartition(of, at, { logStart, records: records.filter((record) => record.offset >= logStart) });
}

/** Size of the world's largest checkpoint over at most so many blocks. */
function largest(blocks: bigint): bigint {
  const sizes = checkpointsIn(world).map(({ checkpoint: { size } }) => size).filter((size) => size <= blocks);
  return sizes.toSorted((a, b) => (a < b ? -1 : 1)).at(-1) ?? expect.unreachable(`no checkpoint over at most ${blocks} blocks`);
}

/** The world as it was when its log ended with that position. */
const upTo = (end: bigint): World => ({ ...world, messages: world.messages.filter(({ position }) => position <= end) });

/** Without a message in the middle that mattered. */
const lacking = (of: World): World => ({ ...of, messages: of.messages.toSpliced(of.messages.length >> 1, 1) });

describe('an older copy', () => {
  test('is named from its end on by a checkpoint, and from the last common point on by a memory', async () => {
    const memory = await memoryOf(world);
    const older: World = { ...world, messages: world.messages.slice(0, -20) };
    const alone = await verifyWorld(older);
    expect(alone).toMatchObject({ verdict: 'verified' });
    const end = older.messages.at(-1)?.position ?? -1n;
    const remembered = (await memory.load()) as Remembered;
    const common = remembered.marks.find(({ position }) => position <= end)?.position ?? expect.unreachable('no mark');
    const known = await verifyWorld(upTo(common));
    const byMemory = { position: common + 1n, height: known.height, firstSeq: known.range.nextSeq };
    const cases: readonly (readonly [VerifyOptions, { readonly height: bigint }, bigint])[] = [
      [{ trusted: [newestOf(world)] }, { position: end + 1n, height: alone.height, firstSeq: alone.range.nextSeq } as { height: bigint }, newestOf(world).checkpoint.size],
      [{ memory }, byMemory, remembered.height], [{ memory, trusted: [newestOf(world)] }, byMemory, newestOf(world).checkpoint.size],
    ];
    for (const [options, place, blocks] of cases) {
      const report = await verifyWorld(older, options);
      expect(report).toMatchObject({
        verdict: 'rolled-back', ledgerId: whole.ledgerId, height: alone.height, counts: alone.counts,
        finding: { kind: 'rolled-back', ...place, expected: expect.stringContaining(`${blocks} blocks`), found: expect.stringContaining(`${alone.height} blocks`) },
      });
      expect(report.finding?.lastGoodCheckpoint?.checkpoint.size).toBe(largest(place.height));
      // All of it was read, and nothing is right that says otherwise.
      expect(report.checked.join()).not.toContain('up to the bad place');
      expect(report.notChecked.join()).toContain('by itself this one is flawless');
      expect(report.notChecked.join()).not.toMatch(/behind the bad place|rollback/);
    }
  });

  test('that lacks little is named exactly: from the last block, claim or configuration on that it holds', async () => {
    const memory = await memoryOf(world);
    let state: FoldState = emptyState({ origin: ORIGIN, ledgerKey: LEDGER_KEY.verifier });
    const tips = world.messages.map(({ position, value }) => {
      ({ state } = apply(state, position, value));
      return (state as LedgerState).tip;
    });
    for (let lacks = 1; lacks <= 20; lacks += 1) {
      const { finding } = await verifyWorld({ ...world, messages: world.messages.slice(0, -lacks) }, { memory });
      expect({ lacks, position: finding?.position }).toEqual({ lacks, position: (tips.at(-lacks - 1) ?? 0n) + 1n });
    }
  });

  test('of which the beginning was deleted is an older copy all the same', async () => {
    const memory = await memoryOf(world);
    const [, second] = world.messages as [unknown, World['messages'][number]];
    const headed = { logStart: second.position };
    for (const messages of [world.messages.slice(1, -20), other.messages.slice(1)]) {
      const { verdict, finding } = await verifyWorld({ ...world, messages }, { memory }, headed);
      expect({ verdict, ...finding }).toMatchObject({ verdict: 'rolled-back', kind: 'rolled-back', found: expect.stringContaining('not that message, and the log begins at position') });
      expect([finding?.position, finding?.lastGoodCheckpoint]).toEqual([undefined, undefined]);
    }
    expect(await verifyWorld({ ...world, messages: world.messages.slice(1) }, { memory }, headed)).toMatchObject({ verdict: 'undecided', finding: { kind: 'log-start' } });
  });

  test('with its genesis gone, too, is known by what is remembered', async () => {
    const memory = await memoryOf(world);
    await expect(verifyWorld({ ...world, messages: [] })).rejects.toMatchObject({ code: 'config' });
    expect(await verifyWorld({ ...world, messages: [] }, { memory })).toMatchObject({ verdict: 'rolled-back', ledgerId: undefined, finding: { found: 'no genesis' } });
  });
});

describe('a log written anew', () => {
  test('is good up to where it is the same as ever, and no checkpoint of the new tree is called good', async () => {
    const memory = await memoryOf(world);
    const kept = (await memory.load()) as Remembered;
    const known = new Set([kept, ...kept.marks].map(({ message }) => message));
    const same = other.messages.filter(({ value }, i) => known.has(hashToText(sha256(value))) && hashToText(sha256(world.messages[i]?.value ?? new Uint8Array())) === hashToText(sha256(value)));
    const common = same.at(-1)?.position ?? expect.unreachable('nothing is the same');
    const report = await verifyWorld(other, { memory, trusted: [newestOf(world)] });
    expect(report.finding).toMatchObject({ position: common + 1n, height: 0n, firstSeq: 0n });
    expect(report.finding?.lastGoodCheckpoint).toBeUndefined();
    expect(report.checkpoint).toBeUndefined();
    const split = await verifyWorld(other, { memory, trusted: [checkpointsIn(world)[0] as SignedCheckpoint] });
    expect(split).toMatchObject({ verdict: 'split-view', finding: { kind: 'checkpoint-contradicts', position: common + 1n, evidence: [{}, {}] } });
    expect(split.finding?.lastGoodCheckpoint).toBeUndefined();
  });

  test('without a memory that tells where, no place and no checkpoint is named', async () => {
    const { finding, verdict } = await verifyWorld(other, { trusted: [checkpointsIn(world)[0] as SignedCheckpoint] });
    expect(verdict).toBe('split-view');
    expect([finding?.position, finding?.height, finding?.lastGoodCheckpoint]).toEqual([undefined, undefined, undefined]);
  });

  test('behind a common beginning: its last checkpoint there is the last good one', async () => {
    // Remembered of a log that went on otherwise than this one.
    const memory = await memoryOf(world);
    const kept = (await memory.load()) as Remembered;
    const marks = kept.marks.slice(1);
    const forked: Memory = { load: async () => ({ ...kept, message: marks[0]?.message ?? kept.message, marks }), save: async () => undefined };
    const common = marks[0]?.position ?? expect.unreachable('too few marks');
    const prefix = await verifyWorld(upTo(common));
    const { verdict, finding } = await verifyWorld(world, { memory: forked });
    expect({ verdict, ...finding }).toMatchObject({ verdict: 'rolled-back', position: common + 1n, height: prefix.height, firstSeq: prefix.range.nextSeq });
    expect(finding?.lastGoodCheckpoint?.checkpoint.size).toBe(largest(prefix.height));
  });
});

describe('what contradicts itself, too', () => {
  test('all messages are the same, and the tree is not: nothing is known to be good', async () => {
    const changes: readonly ((kept: Remembered) => Partial<Remembered>)[] = [
      () => ({ header: NONSENSE }), ({ checkpoint }) => ({ checkpoint: { size: checkpoint?.size ?? 1n, root: NONSENSE } }),
    ];
    for (const change of changes) {
      const { verdict, finding, checkpoint } = await verifyWorld(world, { memory: await altered(change) });
      expect({ verdict, ...finding }).toMatchObject({ verdict: 'rolled-back', expected: expect.stringContaining(NONSENSE), message: expect.stringContaining('common point is not known') });
      expect([finding?.position, finding?.height, finding?.lastGoodCheckpoint, checkpoint]).toEqual([undefined, undefined, undefined, undefined]);
    }
  });

  test('the newest message is the same, behind another number of blocks', async () => {
    expect(await verifyWorld(world, { memory: await altered(({ height: blocks }) => ({ height: height(blocks - 1n) })) })).toMatchObject({ verdict: 'rolled-back' });
  });

  test('a checkpoint contradicts what is below the common point: that is no common point for it', async () => {
    const memory = await altered(() => ({ message: NONSENSE }));
    const lie = readSignedCheckpoint(signNote(formatCheckpoint({ kind: 'checkpoint', origin: ORIGIN, size: 1n, root: NONSENSE }), CHECKPOINT_KEY), 'kept');
    expect((await verifyWorld(world, { memory })).finding?.height).toBeGreaterThan(1n);
    const { verdict, finding } = await verifyWorld(world, { memory, trusted: [lie] });
    expect({ verdict, ...finding }).toMatchObject({ verdict: 'split-view', kind: 'checkpoint-contradicts' });
    expect([finding?.position, finding?.height, finding?.lastGoodCheckpoint]).toEqual([undefined, undefined, undefined]);
  });

  test('no message is the same: no place of another finding is taken for it', async () => {
    const memory = await altered(({ marks }) => ({ message: NONSENSE, marks: marks.map((mark) => ({ ...mark, message: NONSENSE })) }));
    const { verdict, finding } = await verifyWorld({ ...world, messages: world.messages.slice(0, 30) }, { memory, trusted: [newestOf(world)] });
    expect({ verdict, ...finding }).toMatchObject({ verdict: 'rolled-back', evidence: [{}] });
    expect([finding?.position, finding?.height, finding?.firstSeq, finding?.lastGoodCheckpoint]).toEqual([undefined, undefined, undefined, undefined]);
  });

  test('a checkpoint by a key that this log never had is refused, unless the log is another one than is remembered', async () => {
    const stranger = makeSignerKey(ORIGIN, new Uint8Array(32).fill(9));
    const kept = readSignedCheckpoint(signNote(formatCheckpoint({ kind: 'checkpoint', origin: ORIGIN, size: 1n, root: NONSENSE }), stranger), 'kept');
    await expect(verifyWorld(other, { trusted: [kept] })).rejects.toMatchObject({ code: 'config' });
    await expect(verifyWorld(world, { trusted: [kept], memory: await memoryOf(world) })).rejects.toMatchObject({ code: 'config' });
    expect(await verifyWorld(other, { trusted: [kept], memory: await memoryOf(world) })).toMatchObject({ verdict: 'rolled-back', consistentWith: [] });
  });
});

describe('the first bad place', () => {
  test('is the same with a memory and without, also where the log shows another one behind it', async () => {
    const memory = await memoryOf(world);
    const [{ records }] = world.partitions as [StillPartition];
    const changed = records.with(0, { ...(records[0] as (typeof records)[number]), timestamp: 99n });
    const short = lacking(world);
    for (const [bad, kind] of [[short, /^block-/], [withPartition(short, 0, { records: changed }), /^records-differ$/]] as const) {
      const alone = await verifyWorld(bad);
      expect(alone).toMatchObject({ verdict: 'tampered', finding: { kind: expect.stringMatching(kind) } });
      expect((await verifyWorld(bad, { memory })).finding).toEqual(alone.finding);
    }
  });

  test('in the log has a seq, too: of the first record that is not numbered as it should be', async () => {
    const short = lacking(world);
    const { finding } = await verifyWorld(short);
    const before = await verifyWorld({ ...world, messages: short.messages.filter(({ position }) => position < (finding?.position ?? 0n)) });
    expect(finding?.firstSeq).toBe(before.range.nextSeq);
  });
});

describe('records that are gone', () => {
  test('leave the newest checkpoint to be remembered; the last good one is the one before them', async () => {
    const report = await verifyWorld(headless(world));
    expect(report).toMatchObject({ verdict: 'undecided', checkpoint: whole.checkpoint, height: whole.height });
    expect(report.finding?.lastGoodCheckpoint?.checkpoint.size ?? 0n).toBeLessThanOrEqual(report.finding?.height ?? -1n);
    // Of the last ones: there is one before them.
    const last = world.partitions.findLastIndex(({ records }) => records.length > 0);
    const { finding } = await verifyWorld(withPartition(world, last, { logStart: (world.partitions[last] as StillPartition).end, records: [] }), { fromSeq: whole.range.nextSeq - 1n });
    expect(finding?.lastGoodCheckpoint?.checkpoint.size).toBe(largest(finding?.height ?? 0n));
  });

  test('are known to a run that goes on: the first of them, and how many in all', async () => {
    const gone = headless(headless(world, 0), 1);
    const straight = await verifyWorld(gone);
    const heard: VerifyProgress[] = [];
    await verifyWorld(gone, { onProgress: (progress) => void heard.push(progress), recordsPerSecondMax: 200 });
    expect(new Set(heard.map(({ gone: told }) => told?.seqs)).size).toBeGreaterThan(2);
    for (const { nextSeq, gone: goneBefore } of heard) {
      const resumed = await verifyWorld(gone, { resumeAt: nextSeq, ...(goneBefore === undefined ? {} : { goneBefore }) });
      expect(resumed).toMatchObject({ verdict: 'undecided', counts: { gone: straight.counts.gone }, checkpoint: straight.checkpoint });
      expect({ nextSeq, ...resumed.finding }).toEqual({ nextSeq, ...straight.finding });
    }
    const all = heard.at(-1);
    const { notChecked } = await verifyWorld(gone, { resumeAt: all?.nextSeq as Seq, ...(all?.gone === undefined ? {} : { goneBefore: all.gone }) });
    expect(notChecked.join()).toContain(`an earlier run compared them, as far as they were there`);
    expect(notChecked.join()).toContain(`${straight.counts.gone} records that cannot be read any more`);
  });
});

describe('what is not checked', () => {
  test('names what no block numbers yet', async () => {
    expect(whole.notChecked.join()).toMatch(/records that no block numbers yet: those of \d+ reported segments/);
    const cut = { ...world, messages: world.messages.slice(0, world.messages.findIndex(({ value }) => new TextDecoder().decode(value.subarray(0, 14)) === 'plait.block/v1')) };
    const reported = cut.messages.flatMap(({ value }) => new TextDecoder().decode(value).match(/^segment /gm) ?? []).length;
    expect(reported).toBeGreaterThan(0);
    expect((await verifyWorld(cut)).notChecked.join()).toContain(`those of ${reported} reported segments`);
  });

  test('names the blocks that nobody signed a checkpoint for', async () => {
    const signed = new Set(checkpointsIn(world).map(({ note }) => hashToText(sha256(note))));
    const silent = { ...world, messages: world.messages.filter(({ value }) => !signed.has(hashToText(sha256(value)))) };
    const { verdict, notChecked } = await verifyWorld(silent);
    expect([verdict, notChecked.join()]).toEqual(['verified', expect.stringContaining(`signed for the newest ${whole.height} blocks`)]);
    const { size } = whole.checkpoint?.checkpoint ?? { size: 0n };
    expect(whole.notChecked.some((sentence) => sentence.includes('signed for'))).toBe(size < whole.height);
  });
});
