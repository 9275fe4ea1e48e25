/** Where an audit could look away: a log that grows, ports that fail half way, ranges beyond the end, keys that were replaced. */
import {
  apply, EMPTY_ROOT, emptyState, formatCheckpoint, hashToText, logPosition, makeSignerKey, PlaitError, seq, sha256, signNote,
  type Checkpoint, type FoldState, type Hash, type LedgerState,
} from '@plait/core';
import { readSignedCheckpoint, type LineChecker, type LogMessage, type Memory, type OpenLog } from '@plait/roles';
import type { VerifyProgress } from '@plait/ledger';
import { stillLog } from '@plait/testkit';
import { beforeAll, expect, test } from 'vitest';
import { CHECKPOINT_KEY, LEDGER_KEY, ORIGIN } from '../../packages/testkit/src/keyring.ts';
import { LogAudit } from '../../packages/roles/src/audit-log.ts';
import { checkpointsIn, verifyWorld, worldOf, type World } from './world.ts';

let world: World;
let state: LedgerState;

beforeAll(async () => {
  ({ honest: world } = await worldOf(7));
  state = foldOf(world.messages);
});

function foldOf(messages: readonly LogMessage[]): LedgerState {
  let folded: FoldState = emptyState({ origin: ORIGIN, ledgerKey: LEDGER_KEY.verifier });
  for (const { position, value } of messages) ({ state: folded } = apply(folded, position, value));
  return folded as LedgerState;
}

const someRoot = hashToText(sha256(Uint8Array.of(7)));
const signed = (size: bigint, root: Hash, key = CHECKPOINT_KEY): Uint8Array => signNote(formatCheckpoint({ kind: 'checkpoint', origin: ORIGIN, size, root }), key);
const unavailable = (): PlaitError => new PlaitError('unavailable', 'not now');

test('what is told of the end of a log that grows is derived, too', async () => {
  const open = stillLog(world.messages);
  let hasGrown = false;
  const openLog: OpenLog = async (from) => {
    const log = await open(from);
    const waiting = [...world.messages];
    const position = () => waiting[0]?.position ?? logPosition(state.position + 1n);
    return { ...log, position, poll: async () => waiting.splice(0, 1), end: async () => (hasGrown ? await log.end() : (world.messages.at(-5) as LogMessage).position) };
  };
  const newest = async (): Promise<LedgerState> => {
    hasGrown = true;
    return { ...state, nextSeq: seq(7n) };
  };
  expect((await verifyWorld(world, {}, { openLog, newest })).finding).toMatchObject({ kind: 'block-differs', position: state.position });
});

test('a run that was to read a part says of no more that it was read, so that nobody goes on behind what nobody read', async () => {
  const toSeq = state.nextSeq / 2n;
  const heard: VerifyProgress[] = [];
  await verifyWorld(world, { toSeq, onProgress: (progress) => void heard.push(progress) });
  for (const { nextSeq } of heard) expect(nextSeq).toBeLessThanOrEqual(toSeq);
});

test('a range beyond the end is empty', async () => {
  const { range } = await verifyWorld(world, { fromSeq: state.nextSeq + 9n, toSeq: state.nextSeq + 12n });
  expect(range).toEqual({ firstSeq: state.nextSeq, nextSeq: state.nextSeq });
  expect((await verifyWorld(world, { resumeAt: 20n, toSeq: 10n })).range).toEqual({ firstSeq: 10n, nextSeq: 10n });
});

test('what has to be tried again is said and counted once', async () => {
  const [kept] = checkpointsIn(world);
  let failures = 1;
  const memory: Memory = {
    load: async () => undefined,
    save: async () => {
      if ((failures -= 1) >= 0) throw unavailable();
    },
  };
  const report = await verifyWorld(world, { memory, trusted: kept === undefined ? [] : [kept] });
  expect(report.consistentWith.map(({ name }) => name)).toEqual(['kept']);
  const headless = { ...world, partitions: world.partitions.map((each) => ({ ...each, logStart: each.end, records: [] })) };
  const { counts } = await verifyWorld(headless);
  expect(counts.gone).toBeGreaterThan(0n);
  failures = 1;
  const again = await verifyWorld(headless, {
    retentionOf: async () => {
      if ((failures -= 1) >= 0) throw unavailable();
      return undefined;
    },
  });
  expect(again.counts).toEqual(counts);
});

test('a checkpoint over no blocks excludes no rollback', async () => {
  const { verdict, notChecked } = await verifyWorld(world, { trusted: [readSignedCheckpoint(signed(0n, hashToText(EMPTY_ROOT)), 'empty')] });
  expect(verdict).toBe('verified');
  expect(notChecked.join()).toContain('a rollback cannot be excluded');
});

test('a checkpoint over more blocks than there are accuses nobody if it is not signed by the key that it names', async () => {
  const note = signed(state.height + 3n, someRoot);
  await expect(verifyWorld(world, { trusted: [readSignedCheckpoint(note, 'kept')] })).resolves.toMatchObject({ verdict: 'rolled-back' });
  const text = new TextDecoder().decode(note);
  const forged = new TextEncoder().encode(text.replace(`\n${state.height + 3n}\n`, `\n${state.height + 4n}\n`));
  await expect(verifyWorld(world, { trusted: [readSignedCheckpoint(forged, 'forged')] })).rejects.toMatchObject({ code: 'config' });
});

test('each of several checkpoints that are ahead of their block is compared with it', () => {
  const replaced = makeSignerKey(ORIGIN, new Uint8Array(32).fill(9)).verifier;
  const audit = new LogAudit({ isReplaced: (key) => key === replaced });
  let folded: FoldState = emptyState({ origin: ORIGIN, ledgerKey: LEDGER_KEY.verifier });
  const take = ({ position, value }: LogMessage): ReturnType<LogAudit['take']> => {
    const { state: next, outcome } = apply(folded, position, value);
    folded = next;
    return audit.take({ position, value, outcome, state: next as LedgerState });
  };
  const at = world.messages.findLastIndex(({ value }) => new TextDecoder().decode(value.subarray(0, 14)) === 'plait.block/v1');
  for (const message of world.messages.slice(0, at)) expect(take(message)).toBeUndefined();
  const before = foldOf(world.messages.slice(0, at));
  for (const key of [replaced, CHECKPOINT_KEY.verifier]) {
    const checkpoint: Checkpoint = { kind: 'checkpoint', origin: ORIGIN, size: state.height, root: someRoot };
    expect(audit.take({ position: state.position, value: new Uint8Array(0), outcome: { kind: 'checkpoint', checkpoint, key, verdict: 'contradicts' }, state: before })).toBeUndefined();
  }
  expect(take(world.messages[at] as LogMessage)).toMatchObject({ kind: 'checkpoint-contradicts', found: someRoot });
});

test('a checker that answers for fewer lines than it was asked is a bug, and not waited for', async () => {
  const short: LineChecker = { check: async ({ lines }) => lines.slice(1).map(() => ({ kind: 'right' })), close: async () => undefined };
  await expect(verifyWorld(world, { checkers: [short] })).rejects.toThrow('results');
});
