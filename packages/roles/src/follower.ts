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

/** A message, what became of it, and the state after it; undefined before genesis. */
export interface Folded {
  readonly position: LogPosition;
  /** Its bytes, not to be written to. */
  readonly value: Uint8Array;
  readonly outcome: Outcome;
  readonly state: LedgerState | undefined;
}

/** Which log to follow, and how. */
export interface FollowerOptions extends Pinned {
  /** At position 0, or right behind `start`. The follower is its only caller. */
  readonly log: LogReader;
  /** A state to fold on from, which the caller trusts; see {@link coldStart}. Without it everything is folded. */
  readonly start?: LedgerState;
  readonly observe?: Observe;
  /** See core's FoldOptions. */
  readonly verify?: VerifySignature;
}

/** Reads a log from its beginning, or from a trusted state, and folds it, message by message. One caller at a time. */
export class Follower {
  readonly #options: FollowerOptions;
  readonly #take: (folded: Folded) => void;
  #state: FoldState;
  #caughtUp = false;
  #conflict: { readonly key: VerifierKey; readonly error: PlaitError } | undefined;

  /** `take` gets every message right after it was folded, whichever method read it. */
  constructor(options: FollowerOptions, take: (folded: Folded) => void = () => undefined) {
    this.#options = options;
    this.#take = take;
    this.#state = options.start ?? emptyState({ origin: options.origin, ledgerKey: options.ledgerKey });
  }

  /** The fold of everything read so far; undefined before genesis. */
  get state(): LedgerState | undefined {
    return this.#state.kind === 'ledger' ? this.#state : undefined;
  }

  /** Everything below was folded. */
  get position(): LogPosition {
    return this.#options.log.position();
  }

  /**
   * A `split-view` error while a checkpoint that contradicts the fold was read whose key is still in force: coordinators
   * and publishers stop then. A configuration that replaces the key ends it. Of several the first counts.
   */
  get conflict(): PlaitError | undefined {
    const keys = this.state?.configuration.body.checkpointKeys ?? [];
    return keys.some(({ vkey }) => vkey === this.#conflict?.key.vkey) ? this.#conflict?.error : undefined;
  }

  /** Reads and folds what has arrived, waiting at most `maxWaitMs` for the first message. Throws as the log's port and the fold. */
  async poll(maxWaitMs: number): Promise<void> {
    for (const { position, value } of await this.#options.log.poll({ maxWaitMs })) this.#fold(position, value);
  }

  #fold(position: LogPosition, value: Uint8Array): void {
    const { verify, observe } = this.#options;
    const { state, outcome } = apply(this.#state, position, value, verify === undefined ? {} : { verify });
    this.#state = state;
    if (outcome.kind === 'checkpoint' && outcome.verdict === 'contradicts' && this.conflict === undefined) {
      this.#conflict = { key: outcome.key, error: splitView(position, outcome.checkpoint.size, outcome.key) };
    }
    this.#take({ position, value, outcome, state: this.state });
    observe?.({ event: 'folded', position, outcome });
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

function splitView(position: LogPosition, size: bigint, key: VerifierKey): PlaitError {
  return new PlaitError('split-view', `the checkpoint of size ${size} at position ${position} of the log, signed by ` +
    `${key.vkey}, contradicts the blocks before it: keep it as evidence, and replace that checkpoint key by a configuration`,
  { details: { position: String(position), size: String(size), key: key.vkey } });
}
