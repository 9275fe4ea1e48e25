/** What a member of a group wants and hands out, with a group and a run of the log in place of Kafka. */
import { EMPTY_ROOT, emptyState, generation, hashToText, height, index, offset, partitionName, seq, type LedgerState } from '@plait/core';
import type { Hold } from '@plait/kafka';
import type { NumberedLine, VerifiedSegment } from '@plait/roles';
import { beforeEach, expect, it, vi } from 'vitest';
import { readGroup, type GroupOptions } from './group.ts';
import type { Access, RunOptions } from './run.ts';

const said = vi.hoisted(() => ({ holds: [] as unknown[], next: (() => 'end') as (options: unknown) => unknown }));

vi.mock('@plait/kafka', () => ({
  joinReaderGroup: async () => ({ holds: () => said.holds, committed: async () => [], commit: async () => undefined, leave: async () => undefined }),
  topicOffsets: async () => [{ partition: 0 }, { partition: 1 }],
}));
vi.mock('./run.ts', () => ({
  Run: { open: async (_: unknown, options: unknown) => ({ next: async () => said.next(options), endMet: false, [Symbol.asyncDispose]: async () => undefined }) },
}));

const HASH = hashToText(EMPTY_ROOT);
const state = {
  ...emptyState({ origin: 'example.org/l', ledgerKey: { name: 'k', keyId: 0, publicKey: new Uint8Array(32), vkey: 'k' } }),
  kind: 'ledger', ledgerId: HASH, configuration: { body: { sources: ['orders'] } }, chains: new Map(), height: height(3n), nextSeq: seq(9n),
} as unknown as LedgerState;

/** Ten records of a partition, from a seq on. */
function line(partition: number, firstSeq: bigint, firstOffset: bigint): NumberedLine {
  const segment = {
    kind: 'segment', topic: 'orders', partition, generation: generation(0n), firstIndex: index(firstOffset), nextIndex: index(firstOffset + 10n),
    firstOffset: offset(firstOffset), nextOffset: offset(firstOffset + 10n), root: HASH, previous: HASH,
  } as const;
  return { line: { firstSeq: seq(firstSeq), segment }, block: { timeMs: 0n } } as unknown as NumberedLine;
}

const options = (more: Partial<GroupOptions>): GroupOptions => ({
  group: 'g', share: true, from: undefined, onMissing: 'stop', endless: false, newest: () => Promise.resolve(state), onNotice: () => undefined,
  signal: new AbortController().signal, ...more,
});
const access = { log: 'log', patienceMs: 0 } as Access;
let hold: { topic: string; partition: number; state: Hold['state'] };

beforeEach(() => {
  hold = { topic: 'orders', partition: 1, state: 'held' };
  said.holds = [hold];
});

it('begins at a record of a partition that another member has', async () => {
  const wanted: boolean[] = [];
  said.next = (run) => {
    const lines = [line(1, 0n, 0n), line(0, 10n, 0n), line(1, 20n, 10n), line(0, 30n, 10n), line(1, 40n, 20n)];
    wanted.push(...lines.map((each) => (run as RunOptions).wants(each)));
    return 'end';
  };
  const segments = readGroup(access, options({ from: { topic: 'orders', partition: 0, offset: 15n } }));
  expect(await segments.next()).toEqual({ done: true, value: undefined });
  expect(wanted).toEqual([false, false, false, false, true]);
});

it.each(['held', 'lost'] as const)('hands out nothing while it is not sure, and goes by what it is then: %s', async (then) => {
  const stop = new AbortController();
  const found = { ...line(1, 0n, 0n), kind: 'void', segment: line(1, 0n, 0n).line.segment } as unknown as VerifiedSegment;
  said.next = () => {
    said.next = () => 'end';
    hold.state = 'unsure';
    said.holds = undefined as never;
    setTimeout(() => {
      hold.state = then;
      said.holds = then === 'held' ? [hold] : [];
      if (then === 'lost') setTimeout(() => stop.abort(), 200);
    }, 100);
    return found;
  };
  const segments = readGroup(access, options({ signal: stop.signal }));
  const states: string[] = [];
  for await (const segment of segments) states.push(`${partitionName(segment.segment)} ${segment.hold?.state}`);
  expect(states).toEqual(then === 'held' ? ['orders/1 held'] : []);
});
