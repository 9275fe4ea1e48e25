/** Time and randomness of a simulated process. */
import type { Clock, Random } from '@plait/roles';
import type { Process, Scheduler } from './scheduler.ts';

/** What the machines believe at virtual time 0: 2025-01-01T00:00:00Z. */
const WALL_START_MS = 1_735_689_600_000;

/** A process' clock: monotonic time is virtual time from an origin of its own, wall time is off by `skewMs`. */
export class VirtualClock implements Clock {
  /** How far the wall clock is ahead of virtual time, in ms. May be changed at any moment, backwards too. */
  skewMs: number;
  readonly #scheduler: Scheduler;
  readonly #process: Process;
  readonly #originMs: number;

  constructor(scheduler: Scheduler, process: Process, options: { readonly skewMs?: number } = {}) {
    this.#scheduler = scheduler;
    this.#process = process;
    this.#originMs = scheduler.random.fork(`clock ${process.id}`).int(1_000_000);
    this.skewMs = options.skewMs ?? 0;
  }

  /** Fractional; goes on while the process is paused. Says nothing about another process' monotonic time. */
  nowMs(): number {
    return this.#originMs + this.#scheduler.nowMs;
  }

  /** A whole number. */
  wallMs(): number {
    return Math.floor(WALL_START_MS + this.#scheduler.nowMs + this.skewMs);
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    return this.#scheduler.sleep(this.#process, ms, signal);
  }
}

/** The process' own stream of random numbers; another for every incarnation, so nonces differ after a restart. */
export function virtualRandom(scheduler: Scheduler, process: Process): Random {
  return scheduler.random.fork(`random ${process.id}`);
}
