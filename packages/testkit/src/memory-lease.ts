/** The lease in memory, its TTL on virtual time, with every way in which a lease can be wrong. */
import { PlaitError } from '@plait/core';
import type { HeldLease, Lease } from '@plait/roles';
import type { Faults } from './faults.ts';
import { Guard } from './guard.ts';
import type { Process, Scheduler } from './scheduler.ts';

/**
 * - `honest`: one holder at a time, until its TTL has passed.
 * - `grants-everyone`: every acquire and every extend succeeds.
 * - `grants-nobody`: none does.
 * - `down`: every call throws `unavailable`.
 */
export type LeaseMode = 'honest' | 'grants-everyone' | 'grants-nobody' | 'down';

/** One lease. `mode` may change at any moment; `holder` and `flush` are for the test itself. */
export class MemoryLease {
  mode: LeaseMode = 'honest';

  readonly #scheduler: Scheduler;
  readonly #faults: Faults;
  readonly #ttlMs: number;
  /** Grants are numbered; the number is what a real lease keeps as a random token. */
  #grants = 0;
  #held: { readonly grant: number; readonly process: Process; expiresMs: number } | undefined;

  constructor(scheduler: Scheduler, options: { readonly faults: Faults; readonly ttlMs: number }) {
    this.#scheduler = scheduler;
    this.#faults = options.faults;
    this.#ttlMs = options.ttlMs;
  }

  /** Who holds the honest lease now, dead or alive. */
  holder(): Process | undefined {
    return this.#isFree() ? undefined : this.#held?.process;
  }

  /** Forgets the holder, like FLUSHALL. */
  flush(): void {
    this.#held = undefined;
  }

  /** The lease as one process sees it. */
  lease(process: Process): Lease {
    const guard = new Guard(this.#scheduler, process, 'Lease');
    return {
      ttlMs: this.#ttlMs,
      acquire: () => guard.open('acquire', () => this.#ask(process, 'lease acquire', () => this.#acquire(process, guard))),
      close: () => {
        guard.close();
        return this.#scheduler.wait(process, 'lease close', () => undefined, this.#delayMs()).promise;
      },
    };
  }

  #acquire(process: Process, guard: Guard): HeldLease | undefined {
    if (this.mode === 'grants-nobody' || (this.mode === 'honest' && !this.#isFree())) return undefined;
    this.#grants += 1;
    const grant = this.#grants;
    this.#held = { grant, process, expiresMs: this.#scheduler.nowMs + this.#ttlMs };
    return {
      extend: () => guard.open('extend', () => this.#ask(process, 'lease extend', () => this.#extend(grant))),
      release: async () => {
        try {
          await this.#ask(process, 'lease release', () => {
            if (this.#held?.grant === grant) this.#held = undefined;
          });
        } catch {
          // By contract never throws: what is not released expires.
        }
      },
    };
  }

  #extend(grant: number): boolean {
    if (this.mode === 'grants-nobody') return false;
    const isHolder = this.#held?.grant === grant && !this.#isFree();
    if (isHolder && this.#held !== undefined) this.#held.expiresMs = this.#scheduler.nowMs + this.#ttlMs;
    return isHolder || this.mode === 'grants-everyone';
  }

  /** One call to the server, with its faults. */
  #ask<T>(process: Process, label: string, effect: () => T): Promise<T> {
    const isUnavailable = this.#faults.happens('leaseUnavailable');
    const isAnswerLost = this.#faults.happens('leaseAnswerLost');
    const run = (): T => {
      if (isUnavailable || this.mode === 'down') throw new PlaitError('unavailable', `simulated: ${label}`);
      const value = effect();
      if (isAnswerLost) throw new PlaitError('unavailable', `simulated: ${label}, answer lost`);
      return value;
    };
    return this.#scheduler.call(process, label, run, { delayMs: this.#delayMs(), answerMs: this.#delayMs() });
  }

  /** Two of these are at most a quarter of the TTL: the answer comes well below it. */
  #delayMs(): number {
    return Math.min(this.#faults.delayMs(), this.#ttlMs / 8);
  }

  #isFree(): boolean {
    return this.#held === undefined || this.#scheduler.nowMs >= this.#held.expiresMs;
  }
}
