/**
 * Keeps the lease if it can get it. A role of its own, so that a slow Redis never holds up a leader; what it holds only
 * says who may *try* to lead.
 *
 *     free ── acquire granted ──► held ── extended every ttl/5 ──► held
 *      ▲                           │ refused, or not extended before the deadline, or given up
 *      └────────────── rest ◄──────┘
 */
import { isPlaitError } from '@plait/core';
import type { Observe } from './events.ts';
import type { Clock, HeldLease, Lease, Random } from './ports.ts';

const EXTENSIONS_PER_TTL = 5;
/** Two clocks may run at different speeds, and an answer takes its time (redlock's own drift factor is 0.01). */
const CLOCK_DRIFT = 0.98;
const MARGIN_MS = 50;

/** What a lease keeper needs. */
export interface LeaseKeeperOptions {
  readonly lease: Lease;
  readonly clock: Clock;
  readonly random: Random;
  readonly observe?: Observe;
}

/** Keeps one lease; run its steps in a loop of their own. */
export class LeaseKeeper {
  readonly #options: LeaseKeeperOptions;
  #held: { lease: HeldLease; deadlineMs: number } | undefined;
  #restUntilMs = 0;
  /** The failure that was told last, if nothing has succeeded since. */
  #told = '';

  constructor(options: LeaseKeeperOptions) {
    this.#options = options;
  }

  /** Whether the lease is held as far as this process can know. */
  held(): boolean {
    return this.#held !== undefined && this.#options.clock.nowMs() < this.#held.deadlineMs;
  }

  /**
   * One attempt to get or to extend the lease, then a rest. Never throws for a Redis that is away or refuses us by now: it can
   * slow a change of leader and stop nobody (DESIGN, section 8). It is told once.
   */
  async step(signal?: AbortSignal): Promise<void> {
    const { lease, clock } = this.#options;
    await clock.sleep(lease.ttlMs / EXTENSIONS_PER_TTL, signal);
    if (signal?.aborted === true || clock.nowMs() < this.#restUntilMs) return;
    const before = this.held();
    try {
      await (this.#held === undefined ? this.#acquire() : this.#extend(this.#held.lease));
      this.#told = '';
    } catch (error) {
      if (!isPlaitError(error, 'unavailable') && !isPlaitError(error, 'config')) throw error;
      if (error.message !== this.#told) this.#options.observe?.({ event: 'waiting', why: error.message });
      this.#told = error.message;
    }
    if (this.#held !== undefined && !this.held()) this.#held = undefined;
    if (before !== this.held()) this.#options.observe?.({ event: 'lease', held: this.held() });
  }

  async #acquire(): Promise<void> {
    const deadlineMs = this.#deadline();
    const lease = await this.#options.lease.acquire();
    if (lease === undefined) return;
    // It may have been given up while the answer was on its way.
    if (this.#options.clock.nowMs() < this.#restUntilMs) await lease.release();
    else this.#held = { lease, deadlineMs };
  }

  async #extend(lease: HeldLease): Promise<void> {
    const deadlineMs = this.#deadline();
    const extended = await lease.extend();
    // Here too.
    if (this.#held?.lease === lease) this.#held = extended ? { lease, deadlineMs } : undefined;
  }

  #deadline(): number {
    const { lease, clock } = this.#options;
    return clock.nowMs() + lease.ttlMs * CLOCK_DRIFT - MARGIN_MS;
  }

  /** Gives the lease up and lets others try first for a while. Never throws. */
  async release(): Promise<void> {
    const { lease, clock, random } = this.#options;
    this.#restUntilMs = clock.nowMs() + lease.ttlMs * (1 + random.uniform());
    const held = this.#held;
    this.#held = undefined;
    await held?.lease.release();
  }
}
