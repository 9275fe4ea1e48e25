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

const two = async (driver: LeaseDriver): Promise<readonly [Lease, Lease]> => {
  const leases = [await driver.settle(driver.lease()), await driver.settle(driver.lease())] as const;
  onTestFinished(async () => {
    for (const lease of leases) await driver.settle(lease.close());
  });
  return leases;
};
const granted = async (driver: LeaseDriver, lease: Lease): Promise<HeldLease> => {
  const held = await driver.settle(lease.acquire());
  if (held === undefined) throw new Error('not granted');
  return held;
};

/** Declares the suite's tests; `make` is called once in each. */
export function leaseContract(make: () => Promise<LeaseDriver>): void {
  it('grants one at a time, and the next after a release', async () => {
    const driver = await make();
    const [a, b] = await two(driver);
    expect(a.ttlMs).toBe(driver.ttlMs);
    const held = await granted(driver, a);
    expect(await driver.settle(b.acquire())).toBeUndefined();
    await driver.settle(held.release());
    await granted(driver, b);
  });

  it('does not grant twice to one process', async () => {
    const driver = await make();
    const [a] = await two(driver);
    await granted(driver, a);
    expect(await driver.settle(a.acquire())).toBeUndefined();
  });

  it('is free after its TTL, and kept by extending', async () => {
    const driver = await make();
    const [a, b] = await two(driver);
    const held = await granted(driver, a);
    for (let i = 0; i < 3; i++) {
      await driver.settle(driver.sleep(driver.ttlMs * 0.6));
      expect(await driver.settle(held.extend())).toBe(true);
    }
    expect(await driver.settle(b.acquire())).toBeUndefined();
    await driver.settle(driver.sleep(driver.ttlMs * 1.1));
    await granted(driver, b);
    expect(await driver.settle(held.extend())).toBe(false);
  });

  it('tells a holder that it was forgotten, and a release of a lost grant takes nothing from its new holder', async () => {
    const driver = await make();
    const [a, b] = await two(driver);
    const lost = await granted(driver, a);
    await driver.settle(driver.flush());
    const held = await granted(driver, b);
    expect(await driver.settle(lost.extend())).toBe(false);
    await driver.settle(lost.release());
    expect(await driver.settle(held.extend())).toBe(true);
  });
}
