import { createServer } from 'node:net';
import { isPlaitError } from '@plait/core';
import { launch } from '@plait/launcher';
import { openLease } from '@plait/redis';
import { Redis } from 'ioredis';
import { describe, expect, it } from 'vitest';
import { redisUrl, uniqueName } from '../global/services.ts';
import { leaseContract } from './lease-contract.ts';

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));
/** The contract waits for some of it, and a machine may be busy for a second. */
const ttlMs = 3_000;

describe('Lease over Redis', () => {
  leaseContract(async () => {
    const key = uniqueName('lease');
    return {
      ttlMs,
      lease: () => openLease({ redis: { kind: 'node', url: redisUrl() }, key, ttlMs }),
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
    const lease = await openLease({ redis: { kind: 'node', url: services.redisUrl }, key: 'k', ttlMs: 10_000 });
    try {
      expect(await lease.acquire()).toBeDefined();
      await services.redis?.kill('SIGSTOP');
      await expectUnavailable(() => lease.acquire());
      await services.redis?.kill('SIGCONT');
      await services.redis?.kill('SIGKILL');
      await expectUnavailable(() => lease.acquire());
      await services.redis?.start();
      await expect.poll(() => lease.acquire().catch(() => undefined), { timeout: 60_000 }).toBeDefined();
    } finally {
      await lease.close();
    }
  });

  it('opens without Redis', async () => {
    const server = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const address = server.address();
    const port = typeof address === 'object' ? address?.port : undefined;
    await new Promise((resolve) => server.close(resolve));
    const lease = await openLease({ redis: { kind: 'node', url: `redis://127.0.0.1:${port}` }, key: 'k', ttlMs });
    await expectUnavailable(() => lease.acquire());
    await lease.close();
  });

  it('refuses a TTL or URL that cannot be', async () => {
    await expect(openLease({ redis: { kind: 'node', url: redisUrl() }, key: 'k', ttlMs: 10 })).rejects.toMatchObject({ code: 'config' });
    await expect(openLease({ redis: { kind: 'node', url: 'localhost' }, key: 'k', ttlMs })).rejects.toMatchObject({ code: 'config' });
  });
});

async function expectUnavailable(call: () => Promise<unknown>): Promise<void> {
  const startMs = performance.now();
  const error: unknown = await call().then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(isPlaitError(error, 'unavailable')).toBe(true);
  // Half a second, and time for a busy machine.
  expect(performance.now() - startMs).toBeLessThan(5_000);
}
