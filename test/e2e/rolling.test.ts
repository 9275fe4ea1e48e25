/** Workers end in good order and are replaced, under load: what they hashed is reported, and no partition rests for long. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { open } from './ledger-checks.ts';
import { assigned, makeLedger, sleep, type LedgerHarness, type Role } from './ledger-harness.ts';
import { quietKafka } from './load.ts';
import { Stalls } from './stalls.ts';

/** What is promised of a rolling restart, on a machine that does not stand still itself. */
const PAUSE_MS_MAX = 5_000;
/** A worker that stops tries for 3 s to report what it has hashed: on a machine that stood still for so long it may not. */
const DRAIN_STALL_MS = 1_000;

let ledger: LedgerHarness;

beforeAll(async () => {
  ledger = await makeLedger({ partitions: 6 });
  const roles = [ledger.start('worker'), ledger.start('worker'), ledger.start('worker'), ledger.start('coordinator'), ledger.start('coordinator')];
  await Promise.all(roles.map(({ ready }) => ready));
});
afterAll(async () => {
  await ledger[Symbol.asyncDispose]();
});

/** Whether each running worker has partitions, and together they have each of them once. */
function isShared(): Promise<boolean> {
  const all = ledger.running('worker').map(assigned);
  const sum = all.flat();
  return Promise.resolve(all.every(({ length }) => length > 0) && sum.length === ledger.partitions && new Set(sum).size === ledger.partitions);
}

async function allSequenced(): Promise<void> {
  await ledger.until('records of every partition', async () => (await ledger.status()).partitions.every(({ sequenced }) => sequenced > 0n));
}

/** A worker that ended must have said that everything it had hashed is reported. */
function expectReportedAll({ lines }: Role, stalls: Stalls): void {
  const complete = lines.find(({ event }) => event === 'drained')?.['complete'];
  if (stalls.longestMs < DRAIN_STALL_MS) expect(complete).toBe(true);
  else expect(complete).toBeTypeOf('boolean');
}

/** By partition the longest time between two blocks that number records of it, after `sinceMs`, by the blocks' own times, ms. */
async function longestPauses(sinceMs: number): Promise<Map<number, number>> {
  await using reader = await open(ledger.folder, ledger.place.bootstrapServers);
  const newest = new Map<number, number>();
  const longest = new Map<number, number>();
  for await (const entry of reader.read({ follow: false })) {
    if (entry.kind !== 'record') throw new Error(`seq ${entry.seq} is a ${entry.kind}`);
    const timeMs = Number(entry.block.timeMs);
    const before = newest.get(entry.partition);
    newest.set(entry.partition, timeMs);
    if (before !== undefined && timeMs > sinceMs) longest.set(entry.partition, Math.max(longest.get(entry.partition) ?? 0, timeMs - before));
  }
  return longest;
}

test('three workers restarted one after the other: no partition rests longer than 5 s', async ({ annotate }) => {
  await using load = ledger.load();
  await using stalls = new Stalls(ledger.place.bootstrapServers);
  await allSequenced();
  const sinceMs = Date.now();
  for (const worker of ledger.running('worker')) {
    await ledger.stop(worker);
    expectReportedAll(worker, stalls);
    await ledger.start('worker').ready;
    await ledger.until('three workers share the partitions', isShared);
  }
  const { height } = await ledger.status();
  await ledger.until('the last of them is at work', async () => (await ledger.status()).height > height + 20n);
  await load.stop();
  await ledger.verifyAll();
  const pauses = await longestPauses(sinceMs);
  expect(pauses.size).toBe(ledger.partitions);
  await annotate(`longest time without a new record, by partition: ${[...pauses.values()].join(', ')} ms; the machine stood still for ${Math.round(stalls.longestMs)} ms`);
  expect(Math.max(...pauses.values())).toBeLessThanOrEqual(PAUSE_MS_MAX + stalls.longestMs);
});

test('SIGTERM under load: everything hashed is reported, the group is left, and the others have the partitions at once', async ({ annotate }) => {
  await using load = ledger.load({ ratePerSecond: 6_000 });
  await using stalls = new Stalls(ledger.place.bootstrapServers);
  await ledger.until('three workers share the partitions', isShared);
  await sleep(1_000);
  const [worker] = ledger.running('worker');
  if (worker === undefined) throw new Error('no worker');
  const startedMs = performance.now();
  await ledger.stop(worker);
  expectReportedAll(worker, stalls);
  await ledger.until('two workers share the partitions', isShared);
  const tookMs = Math.round(performance.now() - startedMs);
  await annotate(`from SIGTERM until the others have its partitions: ${tookMs} ms; the machine stood still for ${Math.round(stalls.longestMs)} ms`);
  // Less than a session, after which a member that did not leave would be put out.
  expect(tookMs).toBeLessThan(PAUSE_MS_MAX + stalls.longestMs);
  expect(await memberCount()).toBe(2);
  await load.stop();
  await ledger.verifyAll();
});

async function memberCount(): Promise<number> {
  const admin = quietKafka(ledger.place.bootstrapServers).admin();
  await admin.connect();
  try {
    const { groups } = await admin.listGroups();
    const mine = groups.map(({ groupId }) => groupId).filter((groupId) => groupId.startsWith(`plait.${ledger.file.log}.`));
    const described = await admin.describeGroups(mine);
    return described.groups.reduce((sum, { members }) => sum + members.length, 0);
  } finally {
    await admin.disconnect();
  }
}
