/*
 * The parts of redlock 5.0.0-beta.2 that this package uses. Its own declarations cannot be found under `nodenext`: its
 * `exports` do not name them, and where they lie they would count as CommonJS.
 */
declare module 'redlock' {
  import type { Redis } from 'ioredis';

  export interface ExecutionStats {
    readonly votesAgainst: ReadonlyMap<Redis, Error>;
  }

  /** One of the Redis servers said that somebody else holds, or that this holder does not. */
  export class ResourceLockedError extends Error {}

  export class ExecutionError extends Error {
    /** Empty if nothing was asked, since the lock had expired by this machine's clock. */
    readonly attempts: readonly Promise<ExecutionStats>[];
  }

  export class Lock {
    extend(durationMs: number): Promise<Lock>;
    release(): Promise<unknown>;
  }

  export default class Redlock {
    constructor(
      clients: Iterable<Redis>,
      settings: {
        driftFactor: number;
        retryCount: number;
        retryDelay: number;
        retryJitter: number;
        automaticExtensionThreshold: number;
      },
    );
    acquire(resources: string[], durationMs: number): Promise<Lock>;
  }
}
