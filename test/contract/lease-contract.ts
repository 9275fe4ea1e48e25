/** The contract of Lease as a suite, for the fake and for Redis alike. */
import type { HeldLease, Lease } from '@plait/roles';
import { expect, it, onTestFinished } from 'vitest';

/** One key that nobody holds. */
export interface LeaseDriver {
  /** Another process' view of it, with a TTL of `ttlMs`. */
  lease(): Promise<Lease>;
  readonly ttlMs: number;
  /** Forgets the holder, as a Redis that was flushed does. */
  flush(): Promise<void>;
  sleep(ms: number): Promise<void>;
  /** Gives what the promise gives; where time is virtual, lets it pass meanwhile. */
  settle<T>(promise: Promise<T>): Promise<T>;
}

/** Longer than any machine stands still. */
const LONG_MS = 60_000;
/** For the one test that waits for it. */
const SHORT_MS = 1_500;
const GRANTED_TRIES = 50;
const GRANTED_REST_MS = 200;

const two = async (driver: LeaseDriver): Promise<readonly [Lease, Lease]> => {
  const leases = [await driver.settle(driver.lease()), await driver.settle(driver.lease())] as const;
  onTestFinished(async () => {
    for (const lease of leases) await driver.settle(lease.close());
  });
  return leases;
};
/** Granted well below {@link LONG_MS}, once what was released in one go has arrived. */
const granted = async (driver: LeaseDriver, lease: Lease): Promise<HeldLease> => {
  for (let i = 0; i < GRANTED_TRIES; i++) {
    const held = await driver.settle(lease.acquire());
    if (held !== undefined) return held;
    await driver.settle(driver.sleep(GRANTED_REST_MS));
  }
  throw new Error('not granted');
};

/** Checks that a grant is kept by extending it, and free after its TTL. False if a step took so long that it may have expired before. */
async function isKeptAndFreed(driver: LeaseDriver): Promise<boolean> {
  const [a, b] = await two(driver);
  let sinceMs = performance.now();
  const mayHaveExpired = (): boolean => performance.now() - sinceMs >= driver.ttlMs * 0.95;
  const held = await granted(driver, a);
  for (let i = 0; i < 3; i++) {
    await driver.settle(driver.sleep(driver.ttlMs * 0.6));
    const beforeMs = performance.now();
    const isExtended = await driver.settle(held.extend());
    if (mayHaveExpired()) return false;
    expect(isExtended).toBe(true);
    sinceMs = beforeMs;
  }
  const others = await driver.settle(b.acquire());
  if (mayHaveExpired()) return false;
  expect(others).toBeUndefined();
  await driver.settle(driver.sleep(driver.ttlMs * 1.1));
  expect(await driver.settle(b.acquire())).toBeDefined();
  expect(await driver.settle(held.extend())).toBe(false);
  return true;
}

/** Declares the suite's tests; each calls `make` for a key with a TTL that suits it. */
export function leaseContract(make: (ttlMs: number) => Promise<LeaseDriver>): void {
  it('grants one at a time, and the next after a release', async () => {
    const driver = await make(LONG_MS);
    const [a, b] = await two(driver);
    expect(a.ttlMs).toBe(driver.ttlMs);
    const held = await granted(driver, a);
    expect(await driver.settle(b.acquire())).toBeUndefined();
    await driver.settle(held.release());
    await granted(driver, b);
  });

  it('does not grant twice to one process', async () => {
    const driver = await make(LONG_MS);
    const [a] = await two(driver);
    await granted(driver, a);
    expect(await driver.settle(a.acquire())).toBeUndefined();
  });

  it('is free after its TTL, and kept by extending', async () => {
    let isTold = false;
    while (!isTold) isTold = await isKeptAndFreed(await make(SHORT_MS));
  });

  it('tells a holder that it was forgotten, and a release of a lost grant takes nothing from its new holder', async () => {
    const driver = await make(LONG_MS);
    const [a, b] = await two(driver);
    const lost = await granted(driver, a);
    await driver.settle(driver.flush());
    const held = await granted(driver, b);
    expect(await driver.settle(lost.extend())).toBe(false);
    await driver.settle(lost.release());
    expect(await driver.settle(held.extend())).toBe(true);
  });
}
