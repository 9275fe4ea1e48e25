/** Publishers sign what others start from: real processes over a log of some thousand messages. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { apply, emptyState, logPosition, parseVerifierKey, type Checkpoint, type FoldState, type Outcome } from '@plait/core';
import { openLogReader } from '@plait/kafka';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { open } from './ledger-checks.ts';
import { makeLedger, type LedgerHarness, type Role } from './ledger-harness.ts';
import { fingerprint } from './load.ts';

/** What a search reads where a snapshot lies some thousand messages back: windows of 1,024, 2,048 and 4,096. */
const SEARCH_MAX = 7_500;

let ledger: LedgerHarness;

beforeAll(async () => {
  ledger = await makeLedger({ partitions: 4 });
  state = emptyState({ origin: ledger.file.origin, ledgerKey: parseVerifierKey(ledger.file.ledgerKey) });
  await ledger.startRoles();
});
afterAll(async () => {
  await ledger[Symbol.asyncDispose]();
});

interface Folded {
  readonly position: bigint;
  readonly text: string;
  readonly outcome: Outcome;
}

/** What was folded of the log so far: each look goes on where the last one ended. */
const all: Folded[] = [];
let state: FoldState;

/** Folds the whole log. */
async function foldAll(): Promise<readonly Folded[]> {
  const from = logPosition((all.at(-1)?.position ?? -1n) + 1n);
  const log = await openLogReader({ kafka: { brokers: ledger.place.bootstrapServers.split(',') }, topic: ledger.file.log, from });
  try {
    const end = await log.end();
    while (log.position() < end) {
      for (const { position, value } of await log.poll({ maxWaitMs: 100 })) {
        const applied = apply(state, position, value);
        state = applied.state;
        all.push({ position, text: new TextDecoder().decode(value), outcome: applied.outcome });
      }
    }
  } finally {
    await log.close();
  }
  return [...all];
}

function checkpoints(folded: readonly Folded[]): (Checkpoint & { readonly text: string; readonly verdict: string })[] {
  return folded.flatMap(({ text, outcome }) => (outcome.kind === 'checkpoint' ? [{ ...outcome.checkpoint, text, verdict: outcome.verdict }] : []));
}

/** Heights of the blocks that carry a state, all chunks of which are in the log. */
function states(folded: readonly Folded[]): bigint[] {
  const chunks = new Set(folded.flatMap(({ outcome }) => (outcome.kind === 'snapshot' ? [outcome.snapshot.height as bigint] : [])));
  return folded.flatMap(({ outcome }) => (outcome.kind === 'block' && outcome.header.state !== undefined && chunks.has(outcome.header.height) ? [outcome.header.height] : []));
}

/** Resolves when there is a state in the log that is newer than those of `known`; with all that is in the log then. */
async function newerState(known: readonly bigint[], isEnough: (folded: readonly Folded[]) => boolean = () => true): Promise<readonly Folded[]> {
  return await ledger.until('a newer snapshot', async () => {
    const folded = await foldAll();
    return states(folded).some((height) => height > (known.at(-1) ?? -1n)) && isEnough(folded) ? folded : undefined;
  });
}

/** How a role says that it began, as soon as it has. */
async function beginningOf(role: Role): Promise<{ readonly height: string; readonly position: string; readonly messages: number; readonly msg: string; readonly level: string }> {
  return await ledger.until('its beginning', () => Promise.resolve(role.lines.find((line) => line['event'] === 'cold-start') as never));
}

test('two publishers: checkpoints appear, one text for each size, and one for each block with a state', async () => {
  const publishers = [ledger.start('publisher'), ledger.start('publisher')];
  await Promise.all(publishers.map(({ ready }) => ready));
  await using load = ledger.load();
  const folded = await newerState([], (read) => checkpoints(read).some(({ size }) => size === (states(read)[0] ?? 0n) + 1n) && checkpoints(read).length > 3);
  await load.stop();
  const found = checkpoints(folded);
  expect(found.filter(({ verdict }) => verdict === 'contradicts')).toEqual([]);
  for (const { size, text } of found) expect(new Set(found.filter((each) => each.size === size).map((each) => each.text)), `size ${size}`).toEqual(new Set([text]));
  // Blocks come every few milliseconds, checkpoints about once a second, and at once over each state.
  const times = folded.flatMap(({ outcome }) => (outcome.kind === 'block' ? [Number(outcome.header.timeMs)] : []));
  const seconds = ((times.at(-1) ?? 0) - (times[0] ?? 0)) / 1_000;
  expect(found.length).toBeLessThanOrEqual(publishers.length * (seconds + 2 + states(folded).length));
  const remembered: unknown = JSON.parse(await readFile(join(ledger.folder, 'state', 'publisher.json'), 'utf8'));
  expect(remembered).toMatchObject({ checkpoint: { root: expect.any(String) } });
});

test('a role that is started late begins at the newest confirmed state and reads little', async () => {
  const known = states(await foldAll());
  await using load = ledger.load();
  const folded = await newerState(known, (read) => checkpoints(read).some(({ size }) => size === (states(read).at(-1) ?? 0n) + 1n));
  for (const command of ['worker', 'coordinator', 'publisher'] as const) {
    // Without a memory: one that claims or signs begins at what it remembers, if that is older.
    const late = ledger.start(command, {}, ['--state', join(ledger.folder, 'state', `${command}-late.json`)]);
    const { height, position, messages, msg } = await beginningOf(late);
    expect(BigInt(height), msg).toBeGreaterThanOrEqual(states(folded).at(-1) ?? 0n);
    expect(BigInt(position)).toBeGreaterThan(0n);
    expect(messages).toBeLessThan(SEARCH_MAX);
    await ledger.until(`the ${command} has read the log`, () => Promise.resolve(late.lines.some((line) => line['event'] === 'caught-up')));
    await ledger.stop(late);
  }
  await load.stop();
  await readsFromTheEnd();
});

/** What is read from a late seq on is what a reading of the whole ledger gives there. */
async function readsFromTheEnd(): Promise<void> {
  const { seen } = await ledger.verifyAll();
  const fromSeq = BigInt(seen.length - 100);
  await using opened = await open(ledger.folder, ledger.place.bootstrapServers);
  const found: string[] = [];
  for await (const entry of opened.read({ fromSeq, follow: false })) {
    if (entry.kind === 'record') found.push(`${entry.partition}/${entry.offset}/${entry.index}/${fingerprint(entry)}`);
  }
  expect(found).toEqual(seen.slice(-100));
}

test('without a publisher a late role begins at an older state and says so; when one is back, it signs for what was missed', async () => {
  for (const publisher of ledger.running('publisher')) await ledger.kill(publisher);
  const known = states(await foldAll());
  await using load = ledger.load();
  const folded = await newerState(known);
  // A coordinator that has no memory: what it remembers would confirm as well as a checkpoint.
  const late = ledger.start('coordinator', {}, ['--state', join(ledger.folder, 'state', 'none.json')]);
  const beginning = await beginningOf(late);
  expect(BigInt(beginning.height)).toBeLessThan(states(folded).at(-1) ?? 0n);
  expect(beginning).toMatchObject({ level: 'warn', msg: expect.stringContaining('no checkpoint confirms it: is a publisher running?') });
  await ledger.stop(late);
  await load.stop();

  // A leader may still be writing down another state.
  const missed = states(await foldAll()).filter((height) => height > (known.at(-1) ?? -1n));
  await ledger.start('publisher').ready;
  await ledger.until('checkpoints for all of them', async () => {
    const sizes = new Set(checkpoints(await foldAll()).map(({ size }) => size));
    return missed.every((height) => sizes.has(height + 1n));
  });
  const again = await beginningOf(ledger.start('coordinator', {}, ['--state', join(ledger.folder, 'state', 'none-either.json')]));
  expect(BigInt(again.height)).toBeGreaterThanOrEqual(missed.at(-1) ?? expect.unreachable('no state was missed'));
  expect(BigInt(again.height)).toBeLessThanOrEqual(states(await foldAll()).at(-1) ?? -1n);
  await ledger.verifyAll();
});
