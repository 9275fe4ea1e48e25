/**
 * The roles' {@link Lease}: one key in one Redis, by redlock's scripts (compare a random value, then set, extend or
 * delete), one attempt a call. Redlock's own renewal, waiting and retries are not used.
 */
// Ambient declarations have no other way into a program that takes only this file in.
// oxlint-disable-next-line typescript/triple-slash-reference
/// <reference path="./redlock.d.ts" />
import { Redis } from 'ioredis';
import type { RedisOptions } from 'ioredis';
import { ExecutionError, ResourceLockedError, default as Redlock } from 'redlock';
import type { Lock } from 'redlock';
import { PlaitError } from '@plait/core';
import type { HeldLease, Lease } from '@plait/roles';

/** Which lease, and how long a grant lasts. */
export interface LeaseOptions {
  /** `redis://` or `rediss://` URL. */
  readonly url: string;
  /** The one key. Everybody who may try to lead the same ledger names the same. */
  readonly key: string;
  /** How long a grant lasts, in ms, a whole number from 1,000 on: each call may take half a second. */
  readonly ttlMs: number;
}

const TTL_MS_MIN = 1_000;
/** Bound of one call, whatever redlock does in it: a failed acquire asks twice. */
const CALL_DEADLINE_MS = 500;
const COMMAND_TIMEOUT_MS = 200;
const CONNECT_TIMEOUT_MS = 500;
const RECONNECT_MS = { first: 50, max: 500 } as const;

const CLIENT = {
  lazyConnect: true,
  connectTimeout: CONNECT_TIMEOUT_MS,
  commandTimeout: COMMAND_TIMEOUT_MS,
  // By default ioredis keeps commands while Redis is away and sends them, stale, when it is back.
  enableOfflineQueue: false,
  maxRetriesPerRequest: 0,
  autoResendUnfulfilledCommands: false,
  // It comes back by itself, soon, for ever.
  retryStrategy: (times: number) => Math.min(RECONNECT_MS.first * times, RECONNECT_MS.max),
  noDelay: true,
} satisfies RedisOptions;

const REDLOCK = {
  // One attempt. (Redlock computes a wrong expiry after a wait.)
  retryCount: 0,
  retryDelay: 0,
  retryJitter: 0,
  // Only for redlock's own idea of the expiry, after which it refuses to extend.
  driftFactor: 0.01,
  // For `using`, which aborts too late and is not used.
  automaticExtensionThreshold: 0,
};

class RedisLease implements Lease {
  readonly ttlMs: number;
  readonly #key: string;
  readonly #redis: Redis;
  readonly #redlock: Redlock;
  #lastFailure = 'not connected yet';

  constructor({ url, key, ttlMs }: LeaseOptions) {
    this.ttlMs = ttlMs;
    this.#key = key;
    this.#redis = new Redis(url, CLIENT);
    // Without a listener ioredis prints them. What matters of them comes with the next call.
    this.#redis.on('error', (error: Error) => {
      this.#lastFailure = error.message;
    });
    this.#redlock = new Redlock([this.#redis], REDLOCK);
  }

  /** Gives the first connection a moment, so that a call right after the start can succeed. Never rejects. */
  async connect(): Promise<void> {
    await bounded(this.#redis.connect()).catch((error: unknown) => {
      this.#lastFailure = error instanceof Error ? error.message : String(error);
    });
  }

  async acquire(): Promise<HeldLease | undefined> {
    const lock = await this.#attempt(() => this.#redlock.acquire([this.#key], this.ttlMs));
    return lock === undefined ? undefined : this.#held(lock);
  }

  async close(): Promise<void> {
    this.#redis.disconnect();
  }

  #held(granted: Lock): HeldLease {
    let lock = granted;
    return {
      extend: async () => {
        const next = await this.#attempt(() => lock.extend(this.ttlMs));
        if (next !== undefined) lock = next;
        return next !== undefined;
      },
      release: async () => {
        // What is not released expires.
        await bounded(lock.release()).catch(() => undefined);
      },
    };
  }

  /** Undefined: refused by Redis. Throws `unavailable` when it did not answer in time. */
  async #attempt(call: () => Promise<Lock>): Promise<Lock | undefined> {
    try {
      return await bounded(call());
    } catch (error) {
      if (error instanceof ExecutionError) {
        const stats = await Promise.all(error.attempts);
        const failures = stats.flatMap(({ votesAgainst }) => [...votesAgainst.values()]).filter((vote) => !(vote instanceof ResourceLockedError));
        if (failures.length === 0) return undefined;
        throw new PlaitError('unavailable', `Redis: ${failures[0]?.message} (${this.#lastFailure})`, { cause: error });
      }
      throw new PlaitError('unavailable', `Redis: ${error instanceof Error ? error.message : String(error)}`, { cause: error });
    }
  }
}

async function bounded<T>(promise: Promise<T>): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error(`no answer within ${CALL_DEADLINE_MS} ms`)), CALL_DEADLINE_MS);
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    clearTimeout(timer);
    promise.catch(() => undefined);
  }
}

/**
 * A lease on one key. Waits half a second at most for the first connection and does not fail without: then calls throw
 * `unavailable` until Redis is there. Each call ends within half a second. Throws `config` for a `ttlMs` or `url` that
 * cannot be.
 */
export async function openLease(options: LeaseOptions): Promise<Lease> {
  if (!Number.isInteger(options.ttlMs) || options.ttlMs < TTL_MS_MIN) {
    throw new PlaitError('config', `lease ttlMs is ${options.ttlMs}, must be a whole number from ${TTL_MS_MIN} on`);
  }
  if (!/^rediss?:\/\//.test(options.url)) {
    throw new PlaitError('config', `the URL of Redis is ${JSON.stringify(options.url)}, must begin with redis:// or rediss://`);
  }
  const lease = new RedisLease(options);
  await lease.connect();
  return lease;
}
