/** Processes die, sleep, come and go; the ledger's promises hold. */
import type { BlockHeader } from '@plait/core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { checkBlocks, longestGapMs } from './ledger-checks.ts';
import { assigned, isRunning, makeLedger, sleep, type LedgerHarness, type Role } from './ledger-harness.ts';
import { Stalls } from './stalls.ts';

const LEASE_TTL_MS = 2_000;
/** Bounds of what must not take for ever, generous for a busy machine. */
const GAP_MS_MAX = 15_000;
/** Of a rebalance, which is quick once it begins: a living worker's partitions rest no longer, and never for the session of a dead one (6 s). */
const REBALANCE_MS_MAX = 5_500;

let ledger: LedgerHarness;

beforeAll(async () => {
  ledger = await makeLedger({ partitions: 5 });
  await ledger.startRoles();
});
afterAll(async () => {
  await ledger[Symbol.asyncDispose]();
});

/** The coordinator that leads, and in which epoch it does: another may lead by the time that something is done to it. */
async function leaderAndEpoch(): Promise<{ readonly leader: Role; readonly epoch: bigint }> {
  const leader = await ledger.leader();
  const line = leader.lines.findLast(({ event }) => event === 'leading');
  return { leader, epoch: BigInt(String(line?.['epoch'])) };
}

/** Whether every running worker has partitions, and together they have each of them once. */
function isShared(): Promise<boolean> {
  const all = ledger.running('worker').map(assigned);
  const sum = all.flat();
  return Promise.resolve(all.every(({ length }) => length > 0) && sum.length === ledger.partitions && new Set(sum).size === ledger.partitions);
}

describe('2 workers and 3 coordinators', () => {
  test('SIGKILL of the leader under load: a standby goes on', async ({ annotate }) => {
    await using load = ledger.load();
    const reader = await ledger.follow();
    await ledger.until('blocks', async () => (await ledger.status()).height > 5n);
    const { leader, epoch } = await leaderAndEpoch();
    const killedMs = Date.now();
    await ledger.kill(leader);
    await ledger.until('the next leader and its blocks', async () => {
      const status = await ledger.status();
      return status.epoch > epoch && (status.lastBlock?.timeMs ?? 0n) > BigInt(killedMs + 1_000);
    });
    expect((await ledger.leader()).pid).not.toBe(leader.pid);
    await load.stop();
    const { blocks, seen, claims } = await ledger.verifyAll();
    await reader.stop();
    const gapMs = longestGapMs(blocks, killedMs);
    await annotate(`longest time without a block after SIGKILL of the leader: ${gapMs} ms (${seen.length} records, ${blocks.length} blocks, ${claims} claims)`);
    expect(gapMs).toBeGreaterThan(0);
    expect(gapMs).toBeLessThan(GAP_MS_MAX);
    ledger.start('coordinator');
  });

  test('SIGSTOP of the leader for three lease times, then SIGCONT: it wakes and is fenced', async ({ annotate }) => {
    await using load = ledger.load();
    const { height } = await ledger.status();
    await ledger.until('blocks', async () => (await ledger.status()).height > height + 5n);
    const { leader, epoch } = await leaderAndEpoch();
    const stoppedMs = Date.now();
    leader.kill('SIGSTOP');
    await sleep(3 * LEASE_TTL_MS);
    await ledger.until('another leads', async () => (await ledger.leader()).pid !== leader.pid);
    leader.kill('SIGCONT');
    await ledger.until('the leader of before reads who leads now', () =>
      Promise.resolve(leader.lines.some((line) => line['event'] === 'claim' && BigInt(String(line['epoch'])) > epoch)));
    // What it had in hand when it slept is worth nothing now, and it does not end over it.
    await sleep(500);
    expect(ledger.running('coordinator').filter(({ pid }) => isRunning(pid))).toHaveLength(3);
    await load.stop();
    const { blocks } = await ledger.verifyAll();
    const gapMs = longestGapMs(blocks, stoppedMs);
    await annotate(`longest time without a block after SIGSTOP of the leader: ${gapMs} ms`);
    expect(gapMs).toBeLessThan(GAP_MS_MAX);
  });

  test('SIGKILL of a worker: the other takes its partitions over, and its own never wait', async ({ annotate }) => {
    await using load = ledger.load();
    await ledger.until('records', async () => (await ledger.status()).partitions.every(({ sequenced }) => sequenced > 0n));
    await ledger.until('two workers share the partitions', isShared);
    const worker = await ledger.workerOf(0);
    await using stalls = new Stalls(ledger.place.bootstrapServers);
    const killedMs = Date.now();
    await ledger.kill(worker);
    const [other] = ledger.running('worker');
    // Until the session of the dead one ends; then the living one has all.
    await ledger.until('all partitions are assigned', () => Promise.resolve(other !== undefined && assigned(other).length === ledger.partitions));
    await load.stop();
    const { blocks } = await ledger.verifyAll();
    const gapMs = longestGapMs(blocks, killedMs);
    await annotate(`longest time without a block after SIGKILL of a worker: ${gapMs} ms, of which the machine stood still for ${Math.ceil(stalls.longestMs)} ms at most`);
    expect(gapMs - stalls.longestMs).toBeLessThan(REBALANCE_MS_MAX);
  });

  test('rebalances in the middle of segments: workers come and go while one partition is busy', async () => {
    const busy = 2;
    await using load = ledger.load({ partitions: [busy], ratePerSecond: 6_000 });
    const { acknowledged } = load;
    ledger.start('worker');
    await ledger.until('two workers share the partitions', isShared);
    ledger.start('worker');
    await ledger.until('three workers share the partitions', isShared);
    const before = await ledger.workerOf(busy);
    await ledger.stop(before);
    await ledger.until('two workers are left', isShared);
    const after = await ledger.workerOf(busy);
    expect(after.pid).not.toBe(before.pid);
    await ledger.until('enough records', () => Promise.resolve(load.acknowledged > acknowledged + 6_000));
    await load.stop();
    const { seen } = await ledger.verifyAll();
    expect(seen.filter((text) => text.startsWith(`${busy}/`)).length).toBeGreaterThan(5_000);
  });
});

const leadersOf = (blocks: readonly BlockHeader[]): Set<string> => new Set(blocks.map(({ claim }) => claim));

describe('a lease that grants everyone', () => {
  test('coordinators duel, and blocks keep coming', async ({ annotate }) => {
    await using duel = await makeLedger({ partitions: 2 });
    // To each its own database of Redis: each gets the lease.
    await duel.startRoles((coordinator) => ({ PLAIT_REDIS_URL: `${duel.place.redisUrl}/${coordinator + 1}` }));
    await using load = duel.load();
    const reader = await duel.follow();
    await duel.until('the first block', async () => (await duel.status()).height > 0n);
    const fromMs = Date.now();
    await sleep(8_000);
    await duel.until('blocks of three claims', async () => leadersOf((await checkBlocks(duel.file, duel.place.bootstrapServers)).blocks).size > 2);
    await load.stop();
    const { blocks, claims } = await duel.verifyAll();
    await reader.stop();
    const leaders = leadersOf(blocks);
    await annotate(`${claims} claims, ${leaders.size} of them with blocks, ${blocks.length} blocks, longest time without one: ${longestGapMs(blocks, fromMs)} ms`);
    expect(leaders.size).toBeGreaterThan(2);
    expect(longestGapMs(blocks, fromMs)).toBeLessThan(GAP_MS_MAX);
    expect(duel.running('coordinator').filter(({ lines }) => lines.some((line) => line['event'] === 'leading')).length).toBeGreaterThan(1);
  });
});
