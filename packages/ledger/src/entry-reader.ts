/** Entries out of segments. */
import { invariant } from '@plait/core';
import { systemClock } from './clock.ts';
import { entriesOf, type LedgerEntry, type LedgerSegment, type SeqRange } from './entries.ts';

/** How often it is looked whether a group that rebalances has come to rest. */
const UNSURE_POLL_MS = 20;

type Result = IteratorResult<LedgerEntry, undefined>;

/**
 * Entries out of segments. Written by hand rather than as a generator: what lies ready is handed out with one resolved
 * promise and nothing else, which is what `for await` costs at least.
 */
export class EntryReader implements AsyncIterableIterator<LedgerEntry, undefined> {
  readonly #segments: AsyncGenerator<LedgerSegment, undefined>;
  readonly #range: SeqRange;
  readonly #signal: AbortSignal;
  #ready: readonly LedgerEntry[] = [];
  #at = 0;
  /** What the ready ones were read under. */
  #hold: LedgerSegment['hold'];
  /** Calls of `next` that wait; those that do not wait for each other are served in turn. */
  #waiting = 0;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(segments: AsyncGenerator<LedgerSegment, undefined>, { range, signal }: { range: SeqRange; signal: AbortSignal }) {
    this.#segments = segments;
    this.#range = range;
    this.#signal = signal;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<Result> {
    const value = this.#ready[this.#at];
    if (value === undefined || this.#waiting > 0 || (this.#hold !== undefined && this.#hold.state !== 'held')) return this.#wait();
    this.#at += 1;
    return Promise.resolve({ done: false, value });
  }

  async return(): Promise<Result> {
    this.#ready = [];
    this.#at = 0;
    await this.#segments.return(undefined);
    return { done: true, value: undefined };
  }

  async #wait(): Promise<Result> {
    this.#waiting += 1;
    const mine = this.#turn.then(() => this.#pull());
    this.#turn = mine.catch(() => undefined);
    try {
      return await mine;
    } finally {
      this.#waiting -= 1;
    }
  }

  #take(segment: LedgerSegment | undefined): void {
    this.#ready = segment === undefined ? [] : entriesOf(segment, this.#range);
    this.#hold = segment?.hold;
    this.#at = 0;
  }

  async #pull(): Promise<Result> {
    while (this.#hold?.state === 'unsure' && !this.#signal.aborted) await systemClock.sleep(UNSURE_POLL_MS, this.#signal);
    // Another member reads them now, from the commit on.
    if (this.#hold !== undefined && this.#hold.state !== 'held') this.#take(undefined);
    while (this.#at >= this.#ready.length) {
      const next = await this.#segments.next();
      if (next.done === true) return { done: true, value: undefined };
      this.#take(next.value);
    }
    const value = this.#ready[this.#at];
    invariant(value !== undefined, 'an entry is ready');
    this.#at += 1;
    return { done: false, value };
  }
}
