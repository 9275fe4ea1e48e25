import type { HeldLease, Lease } from '@plait/roles';
import { Faults, MemoryLease, Scheduler, SimulationError, type FaultRates, type Process } from '@plait/testkit';
import { expect, test } from 'vitest';

const TTL_MS = 3_000;

interface Party {
  readonly me: Process;
  readonly lease: Lease;
}

/** Two processes, `a` and `b`, with a lease each, in one story. */
async function story(
  tell: (a: Party, b: Party, server: MemoryLease, scheduler: Scheduler) => Promise<void>,
  rates: Partial<FaultRates> = {},
): Promise<Scheduler> {
  const scheduler = new Scheduler({ seed: 1 });
  const server = new MemoryLease(scheduler, { faults: new Faults(scheduler.random.fork('faults'), rates), ttlMs: TTL_MS });
  const stop = new AbortController();
  const b = scheduler.spawn('b', (me) => scheduler.sleep(me, 1e9, stop.signal));
  scheduler.spawn('a', async (me) => {
    await tell({ me, lease: server.lease(me) }, { me: b, lease: server.lease(b) }, server, scheduler);
    stop.abort();
  });
  await scheduler.run();
  return scheduler;
}

const held = async (party: Party): Promise<HeldLease> => {
  const lease = await party.lease.acquire();
  if (lease === undefined) throw new Error('not granted');
  return lease;
};

test('honest: one holder, who can extend it, release it, or lose it after its TTL', async () => {
  await story(async (a, b, server, scheduler) => {
    expect(a.lease.ttlMs).toBe(TTL_MS);
    const first = await held(a);
    expect(server.holder()).toBe(a.me);
    expect(await b.lease.acquire()).toBeUndefined();
    expect(await a.lease.acquire()).toBeUndefined();
    await scheduler.sleep(a.me, TTL_MS * 0.8);
    expect(await first.extend()).toBe(true);
    await scheduler.sleep(a.me, TTL_MS * 0.8);
    expect(await b.lease.acquire()).toBeUndefined();
    await first.release();
    expect(server.holder()).toBeUndefined();
    expect(await first.extend()).toBe(false);

    const second = await held(b);
    await scheduler.sleep(a.me, TTL_MS + 10);
    expect(server.holder()).toBeUndefined();
    expect(await second.extend()).toBe(false);
    const third = await held(a);
    await second.release();
    expect(server.holder()).toBe(a.me);
    await third.release();
  });
});

test('a crashed holder keeps others out for the TTL and no longer', async () => {
  await story(async (a, b, server, scheduler) => {
    await held(b);
    scheduler.crash(b.me);
    await scheduler.sleep(a.me, TTL_MS * 0.9);
    expect(await a.lease.acquire()).toBeUndefined();
    await scheduler.sleep(a.me, TTL_MS * 0.2);
    expect(await a.lease.acquire()).toBeDefined();
    expect(server.holder()).toBe(a.me);
  });
});

test('flush forgets the holder: another is granted, the first cannot extend', async () => {
  await story(async (a, b, server) => {
    const first = await held(a);
    server.flush();
    expect(await b.lease.acquire()).toBeDefined();
    expect(await first.extend()).toBe(false);
  });
});

test('modes can be switched at any moment', async () => {
  const scheduler = await story(async (a, b, server) => {
    server.mode = 'grants-everyone';
    const [first, second] = [await held(a), await held(b)];
    expect([await first.extend(), await second.extend()]).toEqual([true, true]);
    server.mode = 'honest';
    expect([await first.extend(), await second.extend()]).toEqual([false, true]);
    server.mode = 'grants-nobody';
    expect(await second.extend()).toBe(false);
    await second.release();
    expect(await a.lease.acquire()).toBeUndefined();
    server.mode = 'down';
    await expect(a.lease.acquire()).rejects.toMatchObject({ code: 'unavailable' });
    await expect(second.extend()).rejects.toMatchObject({ code: 'unavailable' });
    await second.release();
    server.mode = 'honest';
    expect(await a.lease.acquire()).toBeDefined();
  });
  expect(scheduler.nowMs).toBeLessThan(TTL_MS);
});

test('faults: unavailable is not applied, a lost answer is; each answer comes well within the TTL', async () => {
  await story(async (a, _b, server) => {
    await expect(a.lease.acquire()).rejects.toMatchObject({ code: 'unavailable' });
    expect(server.holder()).toBeUndefined();
  }, { leaseUnavailable: 1 });
  const scheduler = await story(async (a, _b, server) => {
    await expect(a.lease.acquire()).rejects.toMatchObject({ code: 'unavailable' });
    expect(server.holder()).toBe(a.me);
  }, { leaseAnswerLost: 1, slow: 1 });
  expect(scheduler.nowMs).toBeLessThan(TTL_MS / 2);
});

test('use after close is a breach', async () => {
  const error: unknown = await story(async (a) => {
    await a.lease.close();
    await a.lease.close();
    await a.lease.acquire();
  }).catch((e: unknown) => e);
  expect(error).toBeInstanceOf(SimulationError);
  expect((error as SimulationError).message).toContain('a#1: Lease.acquire after close');
});
