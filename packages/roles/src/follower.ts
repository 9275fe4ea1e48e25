/**
 * A role's view of the log: the fold of all that was read so far. Workers, coordinators and readers hold one each.
 */
import {
  apply, emptyState, isAmong, isPlaitError, PlaitError,
  type FoldState, type LedgerState, type LogPosition, type Outcome, type VerifierKey, type VerifySignature,
} from '@plait/core';
import type { Observe } from './events.ts';
import { IDLE_WAIT_MS } from './limits.ts';
import { Past } from './memory.ts';
import type { Clock, LogCopy, LogMessage, LogReader, Memory, OpenLog, Remembered } from './ports.ts';

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
  /** With it and the clock the follower notices when the log is no longer the one it has folded. */
  readonly openLog?: OpenLog;
  readonly clock?: Clock;
  /** Where it keeps what it must find again after a restart. Needs `openLog` and `clock`, as the copy does. */
  readonly memory?: Memory;
  /** Where it keeps the messages themselves. */
  readonly copy?: LogCopy;
  readonly observe?: Observe;
  /** See core's FoldOptions. */
  readonly verify?: VerifySignature;
}

/** Reads a log from its beginning, or from a trusted state, and folds it, message by message. One caller at a time. */
export class Follower {
  readonly #options: FollowerOptions;
  readonly #take: (folded: Folded) => void;
  #state: FoldState;
  readonly #past: Past | undefined;
  /** Messages that were read and may not be folded yet, and the incarnation of the log before they were read. */
  #unfolded: readonly LogMessage[] = [];
  #polledIn = 0;
  #caughtUp = false;
  #conflict: { readonly key: VerifierKey; readonly error: PlaitError } | undefined;

  /** `take` gets every message right after it was folded, whichever method read it. */
  constructor(options: FollowerOptions, take: (folded: Folded) => void = () => undefined) {
    this.#options = options;
    this.#take = take;
    this.#state = options.start ?? emptyState({ origin: options.origin, ledgerKey: options.ledgerKey });
    const { openLog, clock } = options;
    this.#past = openLog === undefined || clock === undefined ? undefined : new Past({ ...options, openLog, clock });
  }

  /** The fold of everything read so far; undefined before genesis. */
  get state(): LedgerState | undefined {
    return this.#state.kind === 'ledger' ? this.#state : undefined;
  }

  /** Everything below was folded. */
  get position(): LogPosition {
    return this.#unfolded[0]?.position ?? this.#options.log.position();
  }

  /** Whether {@link catchUp} has come to its end: only then the newest configuration is known. */
  get caughtUp(): boolean {
    return this.#caughtUp;
  }

  /**
   * A `split-view` error while a checkpoint that contradicts the fold was read whose key is still in force: coordinators
   * and publishers stop then. A configuration that replaces the key ends it. Of several the first counts.
   */
  get conflict(): PlaitError | undefined {
    const keys = this.state?.configuration.body.checkpointKeys ?? [];
    return this.#conflict !== undefined && isAmong(keys, this.#conflict.key) ? this.#conflict.error : undefined;
  }

  /** For who signs: says the alarm and throws {@link conflict} if there is one. */
  refuseConflict(): void {
    const { conflict } = this;
    if (conflict === undefined) return;
    this.#options.observe?.({ event: 'alarm', alarm: 'split-view', message: conflict.message });
    throw conflict;
  }

  /**
   * Whether the log is known to be the one that was folded, over the connection that stands now: nobody appends otherwise.
   * After a lost connection that takes another poll.
   */
  get confirmed(): boolean {
    return this.#past?.isConfirmed(this.#options.log.incarnation()) ?? true;
  }

  /**
   * Reads and folds what has arrived, waiting at most `maxWaitMs` for the first message. Throws as the log's port and the
   * fold; `rolled-back`, now and ever after, if the log is not the one that was folded or that is remembered.
   */
  async poll(maxWaitMs: number): Promise<void> {
    const { log } = this.#options;
    try {
      await this.#past?.confirm(log.incarnation());
      if (this.#unfolded.length === 0) {
        this.#polledIn = log.incarnation();
        this.#unfolded = await log.poll({ maxWaitMs });
      }
      // What was read may be of the former copy of the log or of this one: it must follow the message before it, and lead
      // to the one after it.
      const isCrossing = this.#polledIn !== log.incarnation();
      if (isCrossing) await this.#past?.confirm(log.incarnation());
      this.#foldRead();
      if (isCrossing) this.#past?.doubt();
      await this.#past?.confirm(log.incarnation());
      await this.#past?.settle();
    } catch (error) {
      throw this.#past !== undefined && isPlaitError(error, 'rolled-back') ? await this.#past.rolledBack() : error;
    }
  }

  #foldRead(): void {
    const messages = this.#unfolded;
    this.#unfolded = [];
    for (const { position, value } of messages) this.#fold(position, value);
  }

  /** What was folded is remembered durably when it resolves. For a stop in good order. Throws as memory and copy. */
  async remember(): Promise<void> {
    await this.#past?.save();
  }

  /**
   * Before a claim or a signature, after {@link readToEnd}: as {@link remember}, and throws `rolled-back` unless the fold
   * has come as far as all that is remembered, the largest checkpoint included. `checkpoint` is one that is about to be
   * signed: if it is larger, it is remembered.
   */
  async vouch(checkpoint?: Remembered['checkpoint']): Promise<void> {
    if (this.state !== undefined) await this.#past?.vouch(this.state, checkpoint);
  }

  #fold(position: LogPosition, value: Uint8Array): void {
    const { verify, observe } = this.#options;
    const { state, outcome } = apply(this.#state, position, value, verify === undefined ? {} : { verify });
    this.#state = state;
    this.#past?.take({ position, value }, outcome, this.state);
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
    if (this.position >= end && this.confirmed) {
      if (this.position === end) return true;
      // An end below what was folded: unless that is a slow broker's, the log was rolled back.
      this.#past?.doubt();
    }
    await this.poll(IDLE_WAIT_MS);
    return false;
  }
}

function splitView(position: LogPosition, size: bigint, key: VerifierKey): PlaitError {
  return new PlaitError('split-view', `the checkpoint of size ${size} at position ${position} of the log, signed by ` +
    `${key.vkey}, contradicts the blocks before it: keep it as evidence, and replace that checkpoint key by a configuration`,
  { details: { position: String(position), size: String(size), key: key.vkey } });
}
