import type { TopicPartition } from '@plait/core';
import type { Membership } from '@plait/roles';
import { Faults, isAlive, MemoryGroup, Scheduler, type FaultRates, type Process } from '@plait/testkit';
import { expect, test } from 'vitest';

const SESSION_MS = 6_000;

interface Worker {
  readonly process: Process;
  membership?: Membership;
}

/** `count` members of one group that subscribe to `orders` and then only live. */
function world(seed: number, count: number, rates: Partial<FaultRates> = {}) {
  const scheduler = new Scheduler({ seed });
  const faults = new Faults(scheduler.random.fork('faults'), rates);
  const partitions: TopicPartition[] = Array.from({ length: 6 }, (_, partition) => ({ topic: 'orders', partition }));
  const partitionsOf = (topic: string): TopicPartition[] => partitions.filter((p) => p.topic === topic);
  const group = new MemoryGroup(scheduler, { faults, partitionsOf, sessionTimeoutMs: SESSION_MS });
  const workers = Array.from({ length: count }, (_, n): Worker => {
    const worker: Worker = {
      process: scheduler.spawn(`w${n}`, async (me) => {
        const membership = group.member(me);
        worker.membership = membership;
        await membership.subscribe(['orders']);
        await scheduler.sleep(me, 1e9);
      }),
    };
    return worker;
  });
  return { scheduler, faults, group, partitions, workers };
}

/** Owners of each of the partitions among living workers, sorted by partition. */
function owners(workers: readonly Worker[], partitions: readonly TopicPartition[]): number[] {
  const living = workers.filter((w) => isAlive(w.process));
  return partitions.map(
    ({ topic, partition }) =>
      living.filter((w) =>
        w.membership?.assignment().partitions.some((p) => p.topic === topic && p.partition === partition),
      ).length,
  );
}

const oneEach = Array.from({ length: 6 }, () => 1);

test('without faults, every partition soon has one owner, at the start and after a rebalance; shares are random', async () => {
  const shares = new Set<string>();
  for (let seed = 0; seed < 30; seed += 1) {
    const { scheduler, group, partitions, workers } = world(seed, 3);
    for (let round = 0; round < 3; round += 1) {
      await scheduler.run({ untilMs: scheduler.nowMs + 1_000 });
      expect(owners(workers, partitions)).toEqual(oneEach);
      shares.add(JSON.stringify(workers.map((w) => w.membership?.assignment().partitions)));
      group.rebalance();
    }
  }
  expect(shares.size).toBeGreaterThan(50);
});

test('while a rebalance is on its way some partitions have two owners and some none; versions only rise', async () => {
  const seen = new Set<number>();
  for (let seed = 0; seed < 30; seed += 1) {
    const { scheduler, group, partitions, workers } = world(seed, 3);
    await scheduler.run({ untilMs: 1_000 });
    group.rebalance();
    const versions = workers.map((w) => w.membership?.assignment().version ?? 0);
    await scheduler.run({
      untilMs: 2_000,
      until: () => {
        for (const n of owners(workers, partitions)) seen.add(n);
        for (const [i, w] of workers.entries()) {
          const version = w.membership?.assignment().version ?? 0;
          expect(version).toBeGreaterThanOrEqual(versions[i] as number);
          versions[i] = version;
        }
        return false;
      },
    });
  }
  expect([...seen].sort((a, b) => a - b)).toEqual([0, 1, 2]);
});

test('a share that differs has a version that differs', async () => {
  const { scheduler, group, workers } = world(3, 2, { assignmentOverlap: 0.5, assignmentEmpty: 0.3 });
  const byVersion = new Map<string, string>();
  await scheduler.run({ untilMs: 1_000 });
  for (let round = 0; round < 20; round += 1) scheduler.after(round * 20, 'rebalance', () => group.rebalance());
  const until = (): boolean => {
    for (const w of workers) {
      const { version, partitions } = w.membership?.assignment() ?? { version: -1, partitions: [] };
      const key = `${w.process.id} ${version}`;
      const share = JSON.stringify(partitions);
      expect(byVersion.get(key) ?? share).toBe(share);
      byVersion.set(key, share);
    }
    return false;
  };
  await scheduler.run({ untilMs: 5_000, until });
  expect(byVersion.size).toBeGreaterThan(20);
});

test('overlaps and empty rounds last until the repair, which comes by itself once faults are off', async () => {
  const seen = new Set<number>();
  for (let seed = 0; seed < 20; seed += 1) {
    const { scheduler, faults, partitions, workers } = world(seed, 3, { assignmentOverlap: 0.7, assignmentEmpty: 0.3 });
    for (let t = 100; t < 20_000; t += 500) {
      await scheduler.run({ untilMs: t });
      for (const n of owners(workers, partitions)) seen.add(n);
    }
    faults.off();
    await scheduler.run({ untilMs: 20_000 + 2 * SESSION_MS });
    expect(owners(workers, partitions)).toEqual(oneEach);
  }
  expect([...seen].sort((a, b) => a - b)).toEqual([0, 1, 2]);
});

test('a crashed member keeps its partitions until its session expires, then they go to the others', async () => {
  for (let seed = 0; seed < 20; seed += 1) {
    const { scheduler, partitions, workers } = world(seed, 3);
    await scheduler.run({ untilMs: 1_000 });
    const dead = workers[0] as Worker;
    const held = dead.membership?.assignment().partitions.length ?? 0;
    scheduler.crash(dead.process);
    await scheduler.run({ untilMs: 1_000 + SESSION_MS / 2 });
    expect(owners(workers, partitions).reduce((a, b) => a + b)).toBe(6 - held);
    await scheduler.run({ untilMs: 1_000 + 2 * SESSION_MS });
    expect(owners(workers, partitions)).toEqual(oneEach);
  }
});

test('a paused member is shared out too, keeps believing in its share, and is taken in again when it wakes', async () => {
  let overlaps = 0;
  for (let seed = 0; seed < 20; seed += 1) {
    const { scheduler, partitions, workers } = world(seed, 2);
    await scheduler.run({ untilMs: 1_000 });
    const { process, membership } = workers[0] as Worker;
    const before = membership?.assignment();
    scheduler.pause(process);
    await scheduler.run({ untilMs: 1_000 + 2 * SESSION_MS });
    expect(membership?.assignment()).toBe(before);
    expect(workers[1]?.membership?.assignment().partitions.length).toBe(6);
    overlaps += before?.partitions.length ?? 0;
    scheduler.resume(process);
    await scheduler.run({ untilMs: 1_000 + 3 * SESSION_MS });
    expect(owners(workers, partitions)).toEqual(oneEach);
    expect(membership?.assignment().version).toBeGreaterThan(before?.version ?? 0);
  }
  expect(overlaps).toBeGreaterThan(0);
});

test('who leaves holds nothing at once, others need not wait for the session, and a second leave is harmless', async () => {
  const { scheduler, partitions, workers } = world(1, 2);
  await scheduler.run({ untilMs: 1_000 });
  const left = workers[0]?.membership as Membership;
  void left.leave();
  expect(left.assignment().partitions).toEqual([]);
  void left.leave();
  await scheduler.run({ untilMs: 1_100 });
  expect(left.assignment().partitions).toEqual([]);
  expect(owners(workers, partitions)).toEqual(oneEach);
  expect(workers[1]?.membership?.assignment().partitions.length).toBe(6);
});

test('new partitions are picked up, other topics are not shared, and all ends when all are dead', async () => {
  const { scheduler, partitions, workers } = world(1, 2);
  await scheduler.run({ untilMs: 1_000 });
  partitions.push({ topic: 'orders', partition: 6 }, { topic: 'other', partition: 0 });
  await scheduler.run({ untilMs: 1_000 + SESSION_MS });
  expect(owners(workers, partitions)).toEqual([...oneEach, 1, 0]);
  for (const { process } of workers) scheduler.crash(process);
  expect(await scheduler.run()).toBe('quiet');
});

test('subscribe throws unavailable when the faults say so, and succeeds later', async () => {
  const { scheduler, faults, group } = world(1, 0, { subscribeUnavailable: 1 });
  scheduler.spawn('p', async (me) => {
    const membership = group.member(me);
    expect(membership.assignment().partitions).toEqual([]);
    await expect(membership.subscribe(['orders'])).rejects.toMatchObject({ code: 'unavailable' });
    faults.off();
    await membership.subscribe(['orders']);
    await scheduler.sleep(me, 100);
    expect(membership.assignment().partitions.length).toBe(6);
    await membership.leave();
  });
  expect(await scheduler.run()).toBe('quiet');
});
