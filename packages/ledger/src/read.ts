/** Reading a ledger in its global order: by segments, and by entries on top of that. */
import { invariant, isPlaitError, logPosition, PlaitError, seq, type VerifierKey } from '@plait/core';
import { openLogReader, openSourceReader, type KafkaOptions } from '@plait/kafka';
import { Reader, type VerifiedSegment } from '@plait/roles';
import { systemClock } from './clock.ts';
import { entriesOf, nextSeqOf, type LedgerEntry, type SeqRange } from './entries.ts';

/** Which ledger, and how it is reached. */
export interface Access {
  readonly kafka: KafkaOptions;
  readonly log: string;
  readonly origin: string;
  readonly ledgerKey: VerifierKey;
  /** How long a reader goes on trying while no broker answers, in ms. */
  readonly patienceMs: number;
}

/** Which part of a ledger is read, and until when. */
/** What to read, and for how long. */
export interface ReadOptions {
  /** First seq that is wanted. Default 0. */
  readonly fromSeq?: bigint;
  /** Ends before this seq. Default: no end. */
  readonly toSeq?: bigint;
  /**
   * Whether to wait for what is yet to be sequenced. Default true. If not, reading ends with what the log held when it
   * began; some more may come.
   */
  readonly follow?: boolean;
  /** Ends the reading, without an error, within half a second or so. */
  readonly signal?: AbortSignal;
}

const REST_MS = 200;
/** Records are needed only when their block has come, some ms later: fewer and fuller answers in time. */
const SOURCE_PACE_MS = 4;

/** See `Ledger.readSegments`. */
export async function* readSegments(access: Access, options: ReadOptions): AsyncGenerator<VerifiedSegment, undefined> {
  const { fromSeq = 0n, toSeq, follow = true, signal } = options;
  const stopped = (): boolean => signal?.aborted === true;
  if (stopped() || (toSeq !== undefined && toSeq <= fromSeq)) return;
  const { kafka, log: topic, origin, ledgerKey, patienceMs } = access;
  await using ports = new AsyncDisposableStack();
  const log = ports.adopt(await openLogReader({ kafka, topic, from: logPosition(0n) }), (port) => port.close());
  const source = ports.adopt(await openSourceReader({ kafka, paceMs: SOURCE_PACE_MS }), (port) => port.close());
  const reader = new Reader({ origin, ledgerKey, log, source, clock: systemClock, fromSeq: seq(fromSeq) });
  const end = follow ? undefined : await log.end();

  const step = patient(() => reader.step(), { patienceMs, ...(signal === undefined ? {} : { signal }) });
  let next = fromSeq;
  let until = toSeq;
  let endMet = false;
  while (!stopped()) {
    if (!endMet && end !== undefined && log.position() >= end) {
      endMet = true;
      const sequenced = reader.state?.nextSeq ?? 0n;
      until = until === undefined || sequenced < until ? sequenced : until;
    }
    if ((endMet && reader.drained) || (until !== undefined && next >= until)) return;
    const verified = await step();
    if (verified === undefined) continue;
    if (until !== undefined && verified.line.firstSeq >= until) return;
    next = nextSeqOf(verified);
    yield verified;
  }
}

/**
 * `step`, called again after a rest while it throws `unavailable` or `unknown`, until that has lasted for `patienceMs`;
 * then that error is thrown. Undefined when `signal` aborts meanwhile.
 */
function patient<T>(
  step: () => Promise<T | undefined>, { patienceMs, signal }: { patienceMs: number; signal?: AbortSignal },
): () => Promise<T | undefined> {
  const stopped = (): boolean => signal?.aborted === true;
  return async () => {
    let sinceMs: number | undefined;
    while (!stopped()) {
      try {
        return await step();
      } catch (error) {
        if (!isPlaitError(error, 'unavailable') && !isPlaitError(error, 'unknown')) throw error;
        const nowMs = systemClock.nowMs();
        sinceMs ??= nowMs;
        if (nowMs - sinceMs >= patienceMs) throw new PlaitError('unavailable', error.message, { details: error.details, cause: error });
        await systemClock.sleep(REST_MS, signal);
      }
    }
    return undefined;
  };
}

type Result = IteratorResult<LedgerEntry, undefined>;

/**
 * Entries out of segments. Written by hand rather than as a generator: what lies ready is handed out with one resolved
 * promise and nothing else, which is what `for await` costs at least.
 */
export class EntryReader implements AsyncIterableIterator<LedgerEntry, undefined> {
  readonly #segments: AsyncGenerator<VerifiedSegment, undefined>;
  readonly #range: SeqRange;
  #ready: readonly LedgerEntry[] = [];
  #at = 0;
  /** Calls of `next` that wait; those that do not wait for each other are served in turn. */
  #waiting = 0;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(segments: AsyncGenerator<VerifiedSegment, undefined>, range: SeqRange) {
    this.#segments = segments;
    this.#range = range;
  }

  [Symbol.asyncIterator](): this {
    return this;
  }

  next(): Promise<Result> {
    const value = this.#ready[this.#at];
    if (value === undefined || this.#waiting > 0) return this.#wait();
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

  async #pull(): Promise<Result> {
    while (this.#at >= this.#ready.length) {
      const next = await this.#segments.next();
      if (next.done === true) return { done: true, value: undefined };
      this.#ready = entriesOf(next.value, this.#range);
      this.#at = 0;
    }
    const value = this.#ready[this.#at];
    invariant(value !== undefined, 'an entry is ready');
    this.#at += 1;
    return { done: false, value };
  }
}
