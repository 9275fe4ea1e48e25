/**
 * What an earlier audit remembers of a log, looked for while the log is folded again: whether all of it is there, and up to where
 * the log is the same. Roles look for it before they do anything else (memory.ts). An audit reads everything anyhow, and what
 * log and records show by themselves comes first, so this is asked at the end.
 */
import { logPosition, type Hash, type Height, type LedgerState, type LogPosition, type Seq } from '@plait/core';
import type { Finding, SignedCheckpoint } from './audit-types.ts';
import type { Folded } from './follower.ts';
import { markOf } from './memory-marks.ts';
import type { Mark, Remembered } from './ports.ts';

/** The last message that is the same as ever, and what the log said up to there. */
interface CommonPoint {
  readonly position: LogPosition;
  /** How many blocks, and how many seqs they numbered. */
  readonly height: Height;
  readonly nextSeq: Seq;
}

/** Gets every message that is folded, from the log's beginning on. */
export class RememberedLog {
  readonly #held: Remembered;
  /** Messages that are not met yet, oldest first. */
  readonly #unmet: Mark[];
  #isOther = false;
  /** Of the newest header that is remembered, as the log has it. */
  #header: Hash | undefined;
  #common: CommonPoint | undefined;
  #lastGood: SignedCheckpoint | undefined;

  constructor(held: Remembered) {
    this.#held = held;
    this.#unmet = [held, ...held.marks].toSorted((a, b) => (a.position < b.position ? -1 : 1));
  }

  /** The largest checkpoint that is remembered. */
  get checkpoint(): Remembered['checkpoint'] {
    return this.#held.checkpoint;
  }

  /** The log holds something else than is remembered: it is another one, not only shorter. */
  get isOther(): boolean {
    return this.#isOther;
  }

  /** The newest checkpoint of the log over no more blocks than stand before the common point. */
  get lastGood(): SignedCheckpoint | undefined {
    return this.#lastGood;
  }

  /** Takes the next message; `checkpoint` is the newest of the log that is consistent with its blocks, this message included. */
  take(folded: Folded, checkpoint: SignedCheckpoint | undefined): void {
    const { outcome, state } = folded;
    if (outcome.kind === 'block' && state?.height === this.#held.height) this.#header = outcome.hash;
    if (state !== undefined && !this.#isOther) this.#meet(folded, state);
    if (checkpoint !== undefined && this.#common !== undefined && checkpoint.checkpoint.size <= this.#common.height) this.#lastGood = checkpoint;
  }

  #meet({ position, value }: Folded, { height, nextSeq }: LedgerState): void {
    const [next] = this.#unmet;
    if (next === undefined || position < next.position) return;
    this.#isOther = position > next.position || markOf({ position, value }).message !== next.message;
    if (this.#isOther) return;
    this.#unmet.shift();
    this.#common = { position, height, nextSeq };
  }

  /**
   * What is wrong, once the log was folded to its end; undefined if it holds all that is remembered. `rootAt` gives the root of the
   * tree over so many blocks, undefined over more than there are.
   */
  compare(state: LedgerState | undefined, rootAt: (size: bigint) => Hash | undefined): Finding | undefined {
    const { position, height, header, checkpoint } = this.#held;
    const isAllThere = this.#unmet.length === 0 && this.#header === header && (checkpoint === undefined || rootAt(checkpoint.size) === checkpoint.root);
    if (isAllThere) return undefined;
    const common = this.#common === undefined ? 'is not known' : `that is known is position ${this.#common.position}`;
    return {
      kind: 'rolled-back', ...(this.#isOther ? this.place : this.#unmet.length > 0 ? endOf(state) : {}),
      message: `the log is older than, or differs from, what is remembered of it: position ${position} and ${height} blocks; the last common point ${common}. ` +
        'Nobody should write to it any more before that is understood',
      expected: `the message that is remembered at position ${position}, and ${height} blocks`,
      found: this.#foundIn(state),
      causes: ['the log was rolled back to an older copy, and may have been written on since', 'if files were read: they are a copy that is older than what is remembered'],
    };
  }

  #foundIn(state: LedgerState | undefined): string {
    if (state === undefined) return 'no genesis';
    const [unmet] = this.#unmet;
    const other = this.#isOther && unmet !== undefined ? `not the message that is remembered at position ${unmet.position}, and ` : '';
    return `${other}${state.height} blocks, up to position ${state.position}`;
  }

  /** Right behind the common point: where a log begins to be another one. */
  get place(): Pick<Finding, 'position' | 'height' | 'firstSeq'> {
    return this.#common === undefined ? {} : endOf(this.#common);
  }
}

/** The place right behind what was read. */
export function endOf(read: Pick<LedgerState, 'position' | 'height' | 'nextSeq'> | undefined): Pick<Finding, 'position' | 'height' | 'firstSeq'> {
  return read === undefined ? {} : { position: logPosition(read.position + 1n), height: read.height, firstSeq: read.nextSeq };
}
