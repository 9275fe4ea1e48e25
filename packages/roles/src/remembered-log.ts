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

/** The last message that is known to be the same as ever, and what the log said up to there. */
export interface CommonPoint {
  readonly position: LogPosition;
  /** How many blocks, and how many seqs they numbered. */
  readonly height: Height;
  readonly nextSeq: Seq;
  /** The newest checkpoint of the log over no more blocks. */
  readonly checkpoint: SignedCheckpoint | undefined;
}

/** That a log is not what is remembered of it. */
export interface Forgotten {
  /** Without a place. */
  readonly finding: Finding;
  /** Undefined if nothing tells up to where the log is the same. */
  readonly common: CommonPoint | undefined;
}

/** What is likely to have happened to a log that is not what it was. */
export const OLDER_COPY: readonly string[] = [
  'the log was rolled back to an older copy, and may have been written on since', 'if files were read: they are a copy that is older than what is remembered',
];

/** Gets every message that is folded, from the log's beginning on. */
export class RememberedLog {
  readonly #held: Remembered;
  /** Messages that are not met yet, oldest first. */
  readonly #unmet: Mark[];
  #isOther = false;
  /** Of the newest header that is remembered, as the log has it. */
  #header: Hash | undefined;
  #common: CommonPoint | undefined;

  constructor(held: Remembered) {
    this.#held = held;
    this.#unmet = [held, ...held.marks].toSorted((a, b) => (a.position < b.position ? -1 : 1));
  }

  /** The largest checkpoint that is remembered. */
  get checkpoint(): Remembered['checkpoint'] {
    return this.#held.checkpoint;
  }

  /** Takes the next message; `checkpoint` is the newest of the log that is consistent with its blocks, this message included. */
  take(folded: Folded, checkpoint: SignedCheckpoint | undefined): void {
    const { outcome, state } = folded;
    if (outcome.kind === 'block' && state?.height === this.#held.height) this.#header = outcome.hash;
    if (state !== undefined && !this.#isOther) this.#meet(folded, state);
    const common = this.#common;
    if (common !== undefined && checkpoint !== undefined && checkpoint.checkpoint.size <= common.height) this.#common = { ...common, checkpoint };
  }

  #meet({ position, value }: Folded, { height, nextSeq }: LedgerState): void {
    const [next] = this.#unmet;
    if (next === undefined || position < next.position) return;
    const isLate = next.position === this.#held.position && height !== this.#held.height;
    this.#isOther = position > next.position || isLate || markOf({ position, value }).message !== next.message;
    if (this.#isOther) return;
    this.#unmet.shift();
    this.#common = { position, height, nextSeq, checkpoint: this.#common?.checkpoint };
  }

  /**
   * What is wrong, once the log was folded to its end; undefined if it holds all that is remembered. `rootAt` gives the root of the
   * tree over so many blocks, undefined over more than there are.
   */
  compare(state: LedgerState | undefined, rootAt: (size: bigint) => Hash | undefined): Forgotten | undefined {
    const { position, height, header, checkpoint } = this.#held;
    const isMet = this.#unmet.length === 0 && !this.#isOther;
    const root = checkpoint && rootAt(checkpoint.size);
    if (isMet && this.#header === header && root === checkpoint?.root) return undefined;
    // Where all messages are the same, and what they come to is not, nothing tells where it begins.
    const common = isMet ? undefined : this.#common;
    const [expected, found] = isMet
      ? [`block ${height - 1n} with header ${header}, root ${checkpoint?.root} over ${checkpoint?.size} blocks`, `header ${this.#header}, root ${root}`]
      : [`the message that is remembered at position ${position}, and ${height} blocks`, this.#foundIn(state)];
    return {
      common,
      finding: {
        kind: 'rolled-back', expected, found,
        message: `the log is older than, or differs from, what is remembered of it: position ${position} and ${height} blocks; the last common point ` +
          `${common === undefined ? 'is not known' : `that is known is position ${common.position}`}. Nobody should write to it any more before that is understood`,
        causes: OLDER_COPY,
      },
    };
  }

  #foundIn(state: LedgerState | undefined): string {
    if (state === undefined) return 'no genesis';
    const [unmet] = this.#unmet;
    const other = this.#isOther && unmet !== undefined ? `not the message that is remembered at position ${unmet.position}, and ` : '';
    return `${other}${state.height} blocks, up to position ${state.position}`;
  }
}

/** The place right behind what was read, for a finding. */
export function endOf({ position, height, nextSeq }: Pick<LedgerState, 'position' | 'height' | 'nextSeq'>): Pick<Finding, 'position' | 'height' | 'firstSeq'> {
  return { position: logPosition(position + 1n), height, firstSeq: nextSeq };
}
