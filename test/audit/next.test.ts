/** What a finding says to do next: a command that the program takes, and that ends the matter where it declares something void. */
import {
  apply, emptyState, formatConfiguration, generation, index, logPosition, offset, seq, signNote, type FoldState, type LedgerState, type Segment,
} from '@plait/core';
import type { Command } from 'commander';
import type { AuditOutcome, Finding, FindingKind } from '@plait/roles';
import { expect, test } from 'vitest';
import { historyCommand } from '../../apps/plait/src/governing/history.ts';
import { reconfigureCommand } from '../../apps/plait/src/governing/reconfigure.ts';
import { planConfiguration } from '../../apps/plait/src/governing/reconfigure-plan.ts';
import { parseRestart, parseVoidWish, type Wishes } from '../../apps/plait/src/governing/reconfigure-wishes.ts';
import { consistencyCommand } from '../../apps/plait/src/proving/consistency.ts';
import { locateCommand } from '../../apps/plait/src/proving/locate.ts';
import { recoverCommand } from '../../apps/plait/src/recovery/recover.ts';
import { reportOf } from '../../packages/ledger/src/verify-report.ts';
import { LEDGER_KEY, ORIGIN } from '../../packages/testkit/src/keyring.ts';
import { verifyWorld, worldOf, type World } from './world.ts';

const COMMANDS: Readonly<Record<string, () => Command>> = {
  reconfigure: reconfigureCommand, history: historyCommand, consistency: consistencyCommand, locate: locateCommand, recover: recoverCommand,
};

/** The options of a command line, as the program's own parser reads them; its help counts too. Throws for any other. */
function optionsOf(line: string): { readonly void?: readonly string[]; readonly restart?: readonly string[] } {
  const [program, name = '', ...args] = line.split(' ');
  expect(program).toBe('plait');
  const command = COMMANDS[name]?.();
  if (command === undefined) throw new Error(`no command ${name}`);
  command.exitOverride().configureOutput({ writeOut: () => undefined }).action(() => undefined);
  try {
    return command.parse(args, { from: 'user' }).opts();
  } catch (error) {
    if ((error as { readonly code?: string }).code === 'commander.helpDisplayed') return {};
    throw error;
  }
}

const NOTHING = { add: { worker: [], coordinator: [], checkpoint: [] }, revoke: { worker: [], coordinator: [], checkpoint: [] }, addTopics: [], removeTopics: [] };

/** The world behind what `plait reconfigure` with these words appends. */
function reconfigured({ messages, partitions }: World, line: string): World {
  const { void: voids = [], restart: restarts = [] } = optionsOf(line);
  const wishes: Wishes = { ...NOTHING, voids: voids.map(parseVoidWish), restarts: restarts.map(parseRestart) };
  let folded: FoldState = emptyState({ origin: ORIGIN, ledgerKey: LEDGER_KEY.verifier });
  const segments: Segment[] = [];
  for (const { position, value } of messages) {
    const { state, outcome } = apply(folded, position, value);
    folded = state;
    if (outcome.kind === 'report') segments.push(...outcome.segments.filter(({ accepted }) => accepted).map(({ segment }) => segment));
  }
  const state = folded as LedgerState;
  const offsets = new Map(state.configuration.body.sources.map((topic) => [topic, partitions.filter((each) => each.topic === topic)
    .map(({ partition, logStart, end }) => ({ partition, logStart: offset(logStart), end: offset(end) }))]));
  const value = signNote(formatConfiguration(planConfiguration(wishes, { state, segments, offsets, force: false })), LEDGER_KEY);
  return { partitions, messages: [...messages, { position: logPosition(state.position + 1n), value }] };
}

type Partition = World['partitions'][number];

async function spoiledWorld(seed: number, name: string, change: (held: Partition) => Partial<Partition>): Promise<World> {
  const { honest: { messages, partitions } } = await worldOf(seed);
  return { messages, partitions: partitions.map((each) => (`${each.topic}/${each.partition}` === name ? { ...each, ...change(each) } : each)) };
}

/** Half of what the partition holds, or nearly. */
function truncated({ records }: Partition): Partial<Partition> {
  const end = records[Math.floor(records.length / 2)]?.offset ?? 0n;
  return { end, records: records.filter(({ offset: at }) => at < end) };
}

test.each<readonly [FindingKind, string, () => Promise<World>]>([
  ['records-differ', 'verified', () => spoiledWorld(7, 'orders/0', ({ records }) => ({ records: records.toSpliced(100, 1) }))],
  ['beyond-end', 'verified', () => spoiledWorld(7, 'orders/0', truncated)],
  // Records of other partitions have expired in this one.
  ['false-loss', 'undecided', () => spoiledWorld(32, 'orders/0', ({ logStart }) => ({ logStart: logStart - 1n }))],
])('%s: what is to be done next ends it', async (kind, verdict, make) => {
  const spoiled = await make();
  const before = await verifyWorld(spoiled);
  expect(before).toMatchObject({ verdict: 'tampered', finding: { kind, next: expect.stringContaining('plait reconfigure --void') } });
  const report = await verifyWorld(reconfigured(spoiled, before.finding?.next ?? ''));
  expect(report.verdict).toBe(verdict);
  expect(report.counts.voids).toBeGreaterThan(0n);
});

/** All of them, so that a new one is not forgotten. */
const KINDS: Readonly<Record<FindingKind, true>> = {
  'payload-changed': true, 'timestamp-changed': true, 'record-missing': true, 'record-added': true, 'records-differ': true,
  'beyond-end': true, 'false-loss': true, deleted: true, 'expired-or-deleted': true,
  'block-missing': true, 'block-differs': true, 'genesis-missing': true, 'log-start': true, 'rolled-back': true, 'history-differs': true, 'checkpoint-contradicts': true,
};

test.each(Object.keys(KINDS) as readonly FindingKind[])('%s: what is to be done next is a command of the program', (kind) => {
  const place = { topic: 'orders', partition: 3, generation: generation(1n), firstIndex: index(7n), nextIndex: index(9n), firstSeq: seq(20n), nextSeq: seq(22n) };
  const counts = { voids: 0n, gone: 0n } as AuditOutcome['counts'];
  for (const more of [{}, { nextIndex: place.firstIndex }, { evidence: [{ name: 'one', note: new Uint8Array(0) }, { name: 'two', note: new Uint8Array(0) }] }]) {
    const finding: Finding = { kind, message: '', causes: [], ...place, ...more };
    const outcome: AuditOutcome = {
      verdict: 'tampered', state: undefined, range: { firstSeq: seq(0n), nextSeq: seq(20n) }, counts, ignored: {}, checkpoint: undefined, lastGood: undefined, consistentWith: [], isRemembered: false, isWhole: false, finding,
    };
    const { void: voids = [], restart = [] } = optionsOf(reportOf(outcome, { origin: ORIGIN }, {}).finding?.next ?? '');
    expect(voids.map(parseVoidWish)).toHaveLength(voids.length);
    expect(restart.map(parseRestart)).toHaveLength(restart.length);
  }
});
