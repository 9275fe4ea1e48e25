import { isPlaitError } from '@plait/core';
import { launch } from '@plait/launcher';
import { openLease } from '@plait/redis';
import { Redis } from 'ioredis';
import { describe, expect, it } from 'vitest';
import { redisUrl, uniqueName } from '../global/services.ts';
import { leaseContract } from './lease-contract.ts';
import { openPatientLease } from './patient-lease.ts';

const SOON = { timeout: 60_000 };
const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
const TTL_MS = 10_000;
/** Nobody listens there. */
const NOBODY = 'redis://127.0.0.1:1';

describe('Lease over Redis', () => {
  leaseContract(async (ttlMs) => {
    const key = uniqueName('lease');
    return {
      ttlMs,
      lease: () => openPatientLease({ redis: { kind: 'node', url: redisUrl() }, key, ttlMs }),
      flush: async () => {
        const redis = new Redis(redisUrl());
        await redis.del(key);
        redis.disconnect();
      },
      sleep,
      settle: (promise) => promise,
    };
  });

  it('is `unavailable` within half a second while Redis is away or silent, and comes back by itself', async () => {
    await using services = await launch({ kafka: false, mode: 'processes' });
    const lease = await openLease({ redis: { kind: 'node', url: services.redisUrl }, key: 'k', ttlMs: TTL_MS });
    try {
      await expect.poll(() => lease.acquire(), SOON).toBeDefined();
      await services.redis?.kill('SIGSTOP');
      await expectUnavailable(() => lease.acquire());
      await services.redis?.kill('SIGCONT');
      await services.redis?.kill('SIGKILL');
      await expectUnavailable(() => lease.acquire());
      await services.redis?.start();
      await expect.poll(() => lease.acquire(), SOON).toBeDefined();
    } finally {
      await lease.close();
    }
  });

  it('opens without Redis', async () => {
    const lease = await openLease({ redis: { kind: 'node', url: NOBODY }, key: 'k', ttlMs: TTL_MS });
    await expectUnavailable(() => lease.acquire());
    await lease.close();
  });

  it('refuses a TTL or URL that cannot be', async () => {
    await expect(openLease({ redis: { kind: 'node', url: redisUrl() }, key: 'k', ttlMs: 10 })).rejects.toMatchObject({ code: 'config' });
    await expect(openLease({ redis: { kind: 'node', url: 'localhost' }, key: 'k', ttlMs: TTL_MS })).rejects.toMatchObject({ code: 'config' });
  });
});

/** Soon, and told within half a second, and time for a busy machine: once, since it may stand still in the midst of a call. */
async function expectUnavailable(call: () => Promise<unknown>): Promise<void> {
  await expect.poll(async () => {
    const startMs = performance.now();
    const error: unknown = await call().then(
      () => undefined,
      (thrown: unknown) => thrown,
    );
    return isPlaitError(error, 'unavailable') && performance.now() - startMs < 1_500;
  }, SOON).toBe(true);
}
