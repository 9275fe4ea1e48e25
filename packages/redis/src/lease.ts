/**
 * The roles' {@link Lease}: one key in one Redis or in a majority of several, by redlock's scripts (compare a random value,
 * then set, extend or delete), one attempt a call. Redlock's own renewal, waiting and retries are not used.
 */
// Ambient declarations have no other way into a program that takes only this file in.
// oxlint-disable-next-line typescript/triple-slash-reference
/// <reference path="./redlock.d.ts" />
import type { Redis } from 'ioredis';
import { ExecutionError, ResourceLockedError, default as Redlock } from 'redlock';
import type { Lock } from 'redlock';
import { PlaitError } from '@plait/core';
import type { HeldLease, Lease } from '@plait/roles';
import { makeClient } from './client.ts';
import { endpointsOf } from './place.ts';
import type { Endpoint, RedisPlace } from './place.ts';
import { describeFailure, describeMissing, isRefusal } from './refusal.ts';

/** Which lease, where, and how long a grant lasts. */
export interface LeaseOptions {
  readonly redis: RedisPlace;
  /** The one key. Everybody who may try to lead the same ledger names the same. */
  readonly key: string;
  /** How long a grant lasts, in ms, a whole number from 1,000 on: each call may take half a second. */
  readonly ttlMs: number;
}

const TTL_MS_MIN = 1_000;
/** Bound of one call, whatever redlock does in it: a failed acquire asks twice. */
const CALL_DEADLINE_MS = 500;
/** How long the start waits for the first connection, so that a wrong password is said at once. */
const FIRST_CONNECTION_MS = 2_000;

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

/** One Redis, and why it does not answer, if so. */
class Node {
  readonly endpoint: Endpoint;
  readonly client: Redis;
  #lastFailure: Error | undefined;

  constructor(endpoint: Endpoint) {
    this.endpoint = endpoint;
    this.client = makeClient(endpoint);
    // Without a listener ioredis prints them. What matters of them comes with the next call.
    this.client.on('error', (error: Error) => {
      this.#lastFailure = error;
    });
    this.client.on('ready', () => {
      this.#lastFailure = undefined;
    });
  }

  /** Waits for the first connection, or for a refusal, within bounds. Never rejects. */
  async connect(): Promise<void> {
    await bounded(this.client.connect(), FIRST_CONNECTION_MS).catch((error: unknown) => {
      this.#lastFailure ??= asError(error);
    });
  }

  /** Why a call failed: without a connection the reason is why there is none. */
  why(error: Error): Error {
    return this.client.status === 'ready' ? error : (this.#lastFailure ?? error);
  }

  /** Throws `config` if this Redis refuses us or lacks a right on `key`. Nothing if it is away. */
  async check(key: string): Promise<void> {
    if (this.client.status === 'ready') {
      const missing = await bounded(describeMissing(this.client, this.endpoint, key), CALL_DEADLINE_MS).catch(() => undefined);
      if (missing !== undefined) throw new PlaitError('config', missing);
    } else if (this.#lastFailure !== undefined && isRefusal(this.#lastFailure)) {
      throw new PlaitError('config', describeFailure(this.endpoint, this.#lastFailure), { cause: this.#lastFailure });
    }
  }
}

class RedisLease implements Lease {
  readonly ttlMs: number;
  readonly #key: string;
  readonly #nodes: ReadonlyMap<Redis, Node>;
  readonly #redlock: Redlock;

  constructor(endpoints: readonly Endpoint[], { key, ttlMs }: LeaseOptions) {
    this.ttlMs = ttlMs;
    this.#key = key;
    this.#nodes = new Map(endpoints.map((endpoint) => new Node(endpoint)).map((node) => [node.client, node]));
    this.#redlock = new Redlock(this.#nodes.keys(), REDLOCK);
  }

  /** Throws `config` if any Redis that answers refuses us. */
  async connect(): Promise<void> {
    const nodes = [...this.#nodes.values()];
    await Promise.all(nodes.map((node) => node.connect()));
    await Promise.all(nodes.map((node) => node.check(this.#key)));
  }

  async acquire(): Promise<HeldLease | undefined> {
    const lock = await this.#attempt(() => this.#redlock.acquire([this.#key], this.ttlMs));
    return lock === undefined ? undefined : this.#held(lock);
  }

  async close(): Promise<void> {
    for (const client of this.#nodes.keys()) client.disconnect();
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
        await bounded(lock.release(), CALL_DEADLINE_MS).catch(() => undefined);
      },
    };
  }

  /** Undefined: a majority answered, and did not grant. Throws `unavailable` or `config` when none did in time. */
  async #attempt(call: () => Promise<Lock>): Promise<Lock | undefined> {
    try {
      return await bounded(call(), CALL_DEADLINE_MS);
    } catch (error) {
      const failures = error instanceof ExecutionError ? await failuresOf(error) : undefined;
      if (failures === undefined) throw new PlaitError('unavailable', `Redis: ${asError(error).message}`, { cause: error });
      const answered = this.#nodes.size - failures.size;
      if (answered > this.#nodes.size / 2) return undefined;
      throw await this.#failure(failures, asError(error));
    }
  }

  async #failure(failures: ReadonlyMap<Redis, Error>, cause: Error): Promise<PlaitError> {
    const known = [...failures].flatMap(([client, error]) => {
      const node = this.#nodes.get(client);
      return node === undefined ? [] : [{ node, why: node.why(error) }];
    });
    const refused = known.find(({ why }) => isRefusal(why));
    const { node, why } = refused ?? known[0] ?? {};
    if (node === undefined || why === undefined) return new PlaitError('unavailable', `Redis: ${cause.message}`, { cause });
    if (refused === undefined) return new PlaitError('unavailable', describeFailure(node.endpoint, why), { cause: why });
    const missing = await bounded(describeMissing(node.client, node.endpoint, this.#key), CALL_DEADLINE_MS).catch(() => undefined);
    return new PlaitError('config', missing ?? describeFailure(node.endpoint, why), { cause: why });
  }
}

/** Which Redis did not answer, or not with yes or no. */
async function failuresOf({ attempts }: ExecutionError): Promise<ReadonlyMap<Redis, Error>> {
  const stats = await Promise.all(attempts);
  return new Map(stats.flatMap(({ votesAgainst }) => [...votesAgainst]).filter(([, vote]) => !(vote instanceof ResourceLockedError)));
}

async function bounded<T>(promise: Promise<T>, ms: number): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => late.reject(new Error(`no answer within ${ms} ms`)), ms);
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    clearTimeout(timer);
    promise.catch(() => undefined);
  }
}

const asError = (error: unknown): Error => (error instanceof Error ? error : new Error(String(error)));

/**
 * A lease on one key. Waits two seconds at most for the first connection and does not fail without: then calls throw
 * `unavailable` until Redis is there. Throws `config` for a `ttlMs` or `redis` that cannot be, and when a Redis that answers
 * refuses the user, its password or a certificate, or does not give it a right that a lease needs: the message names it.
 *
 * Each call ends within about half a second: `unavailable` when Redis (or a majority of several) does not answer, `config`
 * when it refuses by then. A minority of several that is away or refuses is not noticed.
 */
export async function openLease(options: LeaseOptions): Promise<Lease> {
  if (!Number.isInteger(options.ttlMs) || options.ttlMs < TTL_MS_MIN) {
    throw new PlaitError('config', `lease ttlMs is ${options.ttlMs}, must be a whole number from ${TTL_MS_MIN} on`);
  }
  const lease = new RedisLease(endpointsOf(options.redis), options);
  try {
    await lease.connect();
  } catch (error) {
    await lease.close();
    throw error;
  }
  return lease;
}
