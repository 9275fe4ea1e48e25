/**
 * A role's view of the log: the fold of all that was read so far. Workers, coordinators and readers hold one each.
 */
import {
  apply, emptyState, PlaitError,
  type FoldState, type LedgerState, type LogPosition, type Outcome, type VerifierKey, type VerifySignature,
} from '@plait/core';
import type { Observe } from './events.ts';
import { IDLE_WAIT_MS } from './limits.ts';
import type { LogReader } from './ports.ts';

/** What everybody is given: which ledger, and whose signature its configurations carry. */
export interface Pinned {
  readonly origin: string;
  readonly ledgerKey: VerifierKey;
}

/** A message and what became of it. */
export interface Folded {
  readonly position: LogPosition;
  readonly outcome: Outcome;
}

/** What a role needs to follow a log. */
export interface FollowerOptions extends Pinned {
  /** At position 0. The follower is its only caller. */
  readonly log: LogReader;
  readonly observe?: Observe;
  /** See core's FoldOptions. */
  readonly verify?: VerifySignature;
}

/** Reads a log and folds it; one caller at a time. */
export class Follower {
  readonly #options: FollowerOptions;
  #state: FoldState;
  #caughtUp = false;

  constructor(options: FollowerOptions) {
    this.#options = options;
    this.#state = emptyState({ origin: options.origin, ledgerKey: options.ledgerKey });
  }

  /** The fold of everything read so far; undefined before genesis. */
  get state(): LedgerState | undefined {
    return this.#state.kind === 'ledger' ? this.#state : undefined;
  }

  /** Everything below it was folded. */
  get position(): LogPosition {
    return this.#options.log.position();
  }

  /**
   * Reads and folds what has arrived, waiting at most `maxWaitMs` for the first message. Throws what the log's port and
   * the fold throw, and `split-view` at a checkpoint that contradicts the fold.
   */
  async poll(maxWaitMs: number): Promise<readonly Folded[]> {
    const messages = await this.#options.log.poll({ maxWaitMs });
    return messages.map(({ position, value }) => this.#fold(position, value));
  }

  #fold(position: LogPosition, value: Uint8Array): Folded {
    const { verify, observe } = this.#options;
    const { state, outcome } = apply(this.#state, position, value, verify === undefined ? {} : { verify });
    this.#state = state;
    observe?.({ event: 'folded', position, outcome });
    if (outcome.kind === 'checkpoint' && outcome.verdict === 'contradicts') throw splitView(position, outcome.checkpoint.size);
    return { position, outcome };
  }

  /**
   * Whether the log was once read to an end sampled after the start; until then one step of that reading a call.
   * A role acts only then: what it would do before was mostly done already.
   */
  async catchUp(): Promise<boolean> {
    if (this.#caughtUp) return true;
    if (!(await this.readToEnd())) return false;
    this.#caughtUp = this.state !== undefined;
    if (this.#caughtUp) this.#options.observe?.({ event: 'caught-up', position: this.position });
    else await this.poll(IDLE_WAIT_MS);
    return this.#caughtUp;
  }

  /** Whether everything below an end sampled now was folded; if not, folds some more of it. */
  async readToEnd(): Promise<boolean> {
    const end = await this.#options.log.end();
    if (this.position >= end) return true;
    await this.poll(IDLE_WAIT_MS);
    return false;
  }
}

function splitView(position: LogPosition, size: bigint): PlaitError {
  return new PlaitError('split-view', `the checkpoint of size ${size} at position ${position} of the log contradicts the ` +
    'blocks before it: replace the checkpoint key by a configuration', { details: { position: String(position), size: String(size) } });
}
