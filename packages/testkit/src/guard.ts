/** Enforces, for one process' view of a port, what the ports' docs ask of callers: one call at a time, none after close. */
import type { Process, Scheduler } from './scheduler.ts';

/** A breach ends the run; see {@link Scheduler.breach}. Calls of a dead process are none. */
export class Guard {
  readonly #scheduler: Scheduler;
  readonly #process: Process;
  readonly #port: string;
  #outstanding: string | undefined;
  #isClosed = false;

  constructor(scheduler: Scheduler, process: Process, port: string) {
    this.#scheduler = scheduler;
    this.#process = process;
    this.#port = port;
  }

  get isClosed(): boolean {
    return this.#isClosed;
  }

  /** Runs a call that must not overlap another one of this view. */
  async alone<T>(name: string, call: () => Promise<T>): Promise<T> {
    if (!this.check(name)) return new Promise(() => undefined);
    this.#outstanding = name;
    try {
      return await call();
    } finally {
      this.#outstanding = undefined;
    }
  }

  /** Runs a call that may overlap others. */
  open<T>(name: string, call: () => Promise<T>): Promise<T> {
    return this.check(name) ? call() : new Promise(() => undefined);
  }

  /** For calls without a promise: false, and a breach, after close or while another call is outstanding. */
  check(name: string): boolean {
    if (this.#isClosed) void this.#scheduler.breach(this.#process, `${this.#port}.${name} after close`);
    else if (this.#outstanding !== undefined) {
      void this.#scheduler.breach(this.#process, `${this.#port}.${name} while ${this.#outstanding} is outstanding`);
    } else return true;
    return false;
  }

  close(): void {
    this.#isClosed = true;
  }
}
