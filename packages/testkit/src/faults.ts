/** What may go wrong, how often, and how long things take: one object for all ports of a world. */
import type { Prng } from './prng.ts';

/** Probabilities, 0 … 1, one draw a call. */
export interface FaultRates {
  /** `append` throws `unavailable`: not applied. */
  readonly appendUnavailable: number;
  /** `append` throws `unknown` though the message was applied: the answer was lost. */
  readonly appendAnswerLost: number;
  /** `append` throws `unknown` and the message is never applied. */
  readonly appendLost: number;
  /** `append` throws `unknown`, and the message is applied later, whether its process lives or not. */
  readonly appendLate: number;
  /** The message is applied twice, as by a producer that sends it again, others perhaps between; then `append` resolves. */
  readonly appendDuplicated: number;
  /** The log's `poll` or `end` throws `unavailable`. */
  readonly readUnavailable: number;
  /** The log's `poll` gives nothing though something is there. */
  readonly pollEmpty: number;
  /** The source's `poll` throws `unavailable`. */
  readonly sourceUnavailable: number;
  /** `subscribe` throws `unavailable`. */
  readonly subscribeUnavailable: number;
  /** A rebalance gives some partitions to two members, until the next one, which follows by itself. */
  readonly assignmentOverlap: number;
  /** A rebalance gives nobody anything, until the next one, which follows by itself. */
  readonly assignmentEmpty: number;
  /** A call to the lease throws `unavailable`: not applied. */
  readonly leaseUnavailable: number;
  /** A call to the lease throws `unavailable` though it was applied. */
  readonly leaseAnswerLost: number;
  /** A call or an answer takes up to `slowMsMax` instead of `quickMsMax`. */
  readonly slow: number;
}

/** Virtual milliseconds. */
export interface FaultTimes {
  /** Longest ordinary way of a call or an answer. */
  readonly quickMsMax: number;
  /** Longest slow one. */
  readonly slowMsMax: number;
  /** Longest wait for an answer that is lost. */
  readonly timeoutMsMax: number;
  /** Latest landing of a late message, from its `unknown` on. */
  readonly lateMsMax: number;
}

/** Nothing goes wrong. */
export const NO_FAULTS: FaultRates = {
  appendUnavailable: 0, appendAnswerLost: 0, appendLost: 0, appendLate: 0, appendDuplicated: 0,
  readUnavailable: 0, pollEmpty: 0, sourceUnavailable: 0, subscribeUnavailable: 0,
  assignmentOverlap: 0, assignmentEmpty: 0, leaseUnavailable: 0, leaseAnswerLost: 0, slow: 0,
};

/** A third of all appends goes wrong in some way: far worse than life. */
export const HARSH_FAULTS: FaultRates = {
  appendUnavailable: 0.05, appendAnswerLost: 0.08, appendLost: 0.05, appendLate: 0.08, appendDuplicated: 0.08,
  readUnavailable: 0.02, pollEmpty: 0.05, sourceUnavailable: 0.02, subscribeUnavailable: 0.1,
  assignmentOverlap: 0.3, assignmentEmpty: 0.1, leaseUnavailable: 0.05, leaseAnswerLost: 0.05, slow: 0.05,
};

const TIMES: FaultTimes = { quickMsMax: 2, slowMsMax: 200, timeoutMsMax: 2_000, lateMsMax: 20_000 };

/** Draws faults and delays from its own stream. Starts switched on. */
export class Faults {
  readonly times: FaultTimes;
  readonly #random: Prng;
  readonly #rates: FaultRates;
  #isOn = true;

  /** Rates that are not given are 0; times have defaults of 2, 200, 2,000 and 20,000 ms. */
  constructor(random: Prng, rates: Partial<FaultRates> = {}, times: Partial<FaultTimes> = {}) {
    this.#random = random;
    this.#rates = { ...NO_FAULTS, ...rates };
    this.times = { ...TIMES, ...times };
  }

  /** From now on nothing goes wrong any more. What already went wrong stays so: late messages still land. */
  off(): void {
    this.#isOn = false;
  }

  /** The rates count again. */
  on(): void {
    this.#isOn = true;
  }

  /** Whether this fault hits now. */
  happens(fault: keyof FaultRates): boolean {
    return this.#isOn && this.#random.chance(this.#rates[fault]);
  }

  /** How long a call or an answer is on its way; above 0. */
  delayMs(): number {
    const maxMs = this.happens('slow') ? this.times.slowMsMax : this.times.quickMsMax;
    return maxMs * (0.01 + 0.99 * this.#random.uniform());
  }

  /** How long a caller waits for an answer that does not come. */
  timeoutMs(): number {
    return this.times.timeoutMsMax * (0.1 + 0.9 * this.#random.uniform());
  }

  /** How long after its `unknown` a late message lands. */
  lateMs(): number {
    // Most arrive soon, some very late: both the near race and the long-gone process are wanted.
    return this.times.lateMsMax * this.#random.uniform() ** 3;
  }
}
