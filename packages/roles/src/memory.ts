/**
 * What a role remembers of the log, and whether the log still says it (DESIGN, section 5).
 *
 * `acks=all` is not fsync, and disks are restored from backups: the log may come back shorter, and grow again as another
 * one, in which every signature is good. Only memory finds that. So a role keeps position and hash of the last message it
 * folded, and reads that message again whenever it may be reading another copy of the log than before: after a start, after
 * each reconnect, and when an authorised signer seems to know more than the log holds.
 *
 *     unknown ── read again: same ──► confirmed ── another incarnation, or a sign ──► unknown
 *        │ other, or absent
 *        ▼
 *     rolled back: every later call throws; nothing is saved any more
 */
import {
  hashToText, isPlaitError, logPosition, PlaitError, rangeRoot,
  type Hash, type Height, type LedgerState, type LogPosition, type Outcome, type VerifySignature,
} from '@plait/core';
import type { Observe } from './events.ts';
import { COPY_WAITING_BYTES_MAX, MEMORY_SAVE_MS } from './limits.ts';
import { findMark, lastCommonPoint, markOf, thinMarks } from './memory-marks.ts';
import { ConfirmedStates, seemsAhead } from './memory-signs.ts';
import type { Clock, LogCopy, LogMessage, Mark, Memory, OpenLog, Remembered } from './ports.ts';

/** What remembering needs. */
export interface PastOptions {
  /** Reads messages of the past again. */
  readonly openLog: OpenLog;
  readonly clock: Clock;
  /** Where it is kept over restarts; without it a role notices only what happens while it runs. */
  readonly memory?: Memory;
  readonly copy?: LogCopy;
  /** Where the fold begins, if not at the log's beginning; see {@link coldStart}. */
  readonly start?: LedgerState;
  readonly observe?: Observe;
  /** See core's FoldOptions. */
  readonly verify?: VerifySignature;
}

/** Marks of accepted genesis, configurations, claims and blocks, and of what was saved; so many before they are thinned. */
const MARKS_IN_MEMORY_MAX = 256;

type Newest = LogMessage & { readonly state: LedgerState | undefined };

/** A role's past. One caller at a time, which tells it every message that it folds. */
export class Past {
  readonly #options: PastOptions;
  readonly #states = new ConfirmedStates();
  #loaded = false;
  /** What was remembered at the start, until the fold has come as far. */
  #held: Remembered | undefined;
  #newest: Newest | undefined;
  #header: { readonly height: Height; readonly hash: Hash } | undefined;
  #checkpoint: Remembered['checkpoint'];
  /** The newest header with a state. */
  #stateHeader: Remembered['state'];
  #marks: readonly Mark[] = [];
  /** The incarnation in which the newest message was found again. */
  #confirmed: number | undefined;
  #inDoubt = false;
  #doubtNotBeforeMs = Number.NEGATIVE_INFINITY;
  /** It is known that the log is another; where from is looked for. */
  #isLost = false;
  #failure: PlaitError | undefined;
  #savedPosition = -1n;
  /** Size of the checkpoint that was saved. */
  #savedSize = 0n;
  #saveDueMs = Number.NEGATIVE_INFINITY;
  #saving: Promise<void> = Promise.resolve();
  #saveFailure: unknown;
  #copiedFrom: LogPosition | undefined;

  constructor(options: PastOptions) {
    this.#options = options;
    options.copy?.begin();
  }

  /** Whether the log was found to be the same one in this incarnation. Nobody appends, signs or reports otherwise. */
  isConfirmed(incarnation: number): boolean {
    return this.#loaded && !this.#isLost && !this.#inDoubt && this.#confirmed === incarnation;
  }

  /**
   * Reads the newest message that is known again, if this is another incarnation or there is a reason to doubt. Throws
   * `rolled-back` if it is not there, with the last common point, and ever after; what the log and the memory throw.
   */
  async confirm(incarnation: number): Promise<void> {
    if (!this.#loaded) await this.#load();
    if (this.#isLost) throw await this.rolledBack();
    if (this.isConfirmed(incarnation)) return;
    const known = this.#newestMark();
    const found = known === undefined ? 'same' : await findMark(this.#options.openLog, known);
    if (found === 'other') {
      // So that it is found again after a restart, too.
      await this.save();
      throw await this.rolledBack();
    }
    if (found === 'deleted') this.#alarmLogStart(known);
    this.#skipToStart();
    this.#confirmed = incarnation;
    this.#inDoubt = false;
  }

  /** The newest message is read again at the next call of {@link confirm}, whatever the incarnation. */
  doubt(): void {
    this.#inDoubt = true;
  }

  /** A fold that begins behind what is remembered does not pass it: that its message is there is all that can be told. */
  #skipToStart(): void {
    const { start } = this.#options;
    if (start === undefined || this.#held === undefined || start.position < this.#held.position) return;
    if (this.#held.header !== undefined) this.#header = { height: this.#held.height, hash: this.#held.header };
    this.#held = undefined;
  }

  async #load(): Promise<void> {
    this.#held = await this.#options.memory?.load();
    this.#checkpoint = this.#held?.checkpoint;
    this.#stateHeader = this.#held?.state;
    if (this.#held !== undefined) this.#marks = [{ position: this.#held.position, message: this.#held.message }, ...this.#held.marks];
    this.#savedPosition = this.#held?.position ?? -1n;
    this.#savedSize = this.#checkpoint?.size ?? 0n;
    this.#loaded = true;
  }

  #newestMark(): Mark | undefined {
    return this.#held ?? (this.#newest === undefined ? undefined : markOf(this.#newest));
  }

  #alarmLogStart(known: Mark | undefined): void {
    this.#options.observe?.({
      event: 'alarm', alarm: 'log-start',
      message: `the log begins above position ${known?.position}, the last one that is remembered: whether it is the same log can only be told by its signatures`,
    });
  }

  /**
   * Takes in a message that was folded, and the state after it. Throws `rolled-back` if the fold comes to another header, or
   * another message, than what is remembered at its place; {@link rolledBack} tells more.
   */
  take(message: LogMessage, outcome: Outcome, state: LedgerState | undefined): void {
    const { copy, clock, verify } = this.#options;
    this.#newest = { ...message, state };
    copy?.add(message);
    if (state === undefined) return;
    if (outcome.kind === 'block') this.#header = { height: state.height, hash: outcome.hash };
    if (outcome.kind === 'block' && outcome.header.state !== undefined) {
      this.#stateHeader = { height: outcome.header.height, header: outcome.hash };
    }
    this.#compare(outcome, state);
    if (state.tip === message.position) this.#mark(message);
    if (outcome.kind === 'checkpoint' && outcome.verdict === 'consistent' && outcome.checkpoint.size >= (this.#checkpoint?.size ?? 0n)) {
      this.#checkpoint = { size: outcome.checkpoint.size, root: outcome.checkpoint.root };
    }
    if (copy !== undefined) this.#copiedFrom = this.#states.take(outcome, state) ?? this.#copiedFrom;
    if (outcome.kind === 'ignored' && clock.nowMs() >= this.#doubtNotBeforeMs && seemsAhead(message.value, outcome, state, verify)) {
      this.#doubtNotBeforeMs = clock.nowMs() + MEMORY_SAVE_MS;
      this.#inDoubt = true;
    }
  }

  /** Marks a message, if it lies behind all that is marked. */
  #mark(message: LogMessage): void {
    if (this.#held !== undefined || message.position <= (this.#marks[0]?.position ?? -1n)) return;
    const marks = [markOf(message), ...this.#marks];
    this.#marks = marks.length > MARKS_IN_MEMORY_MAX ? thinMarks(marks, logPosition(message.position + 1n)) : marks;
  }

  #compare(outcome: Outcome, state: LedgerState): void {
    const held = this.#held;
    const { size, root } = this.#checkpoint ?? {};
    const otherTree = outcome.kind === 'block' && state.height === size && hashToText(rangeRoot(state.history)) !== root;
    const otherHeader = outcome.kind === 'block' && state.height === held?.height && outcome.hash !== held.header;
    const passed = held !== undefined && state.position >= held.position;
    const otherMessage = passed && (state.position > held.position || state.height !== held.height || markOf(this.#newest as Newest).message !== held.message);
    if (otherTree || otherHeader || otherMessage) {
      this.#isLost = true;
      throw new PlaitError('rolled-back', 'the log is not what is remembered of it');
    }
    if (!passed) return;
    // From here on what is folded is at least as far as what was remembered.
    if (this.#header?.height !== held.height && held.header !== undefined) this.#header = { height: held.height, hash: held.header };
    this.#held = undefined;
  }

  /**
   * The error for a log that is older than, or differs from, what is remembered: names that, and the last common point. The
   * same one at every call. Throws `unavailable` while that point cannot be looked for.
   */
  async rolledBack(): Promise<PlaitError> {
    this.#isLost = true;
    if (this.#failure !== undefined) return this.#failure;
    const { openLog, copy, observe } = this.#options;
    await this.#flush();
    const known = this.#newestMark();
    const marks = known === undefined ? this.#marks : [...this.#marks, known];
    const common = await lastCommonPoint(openLog, marks, copy);
    const height = this.#held?.height ?? this.#newest?.state?.height ?? 0n;
    const message = `the log is older than, or differs from, what is remembered of it: position ${known?.position} and ${height} ` +
      `blocks; the last common point ${common === undefined ? 'is not known' : `that is known is position ${common}`}. Do not ` +
      'write to it any more: write it anew from copies with "plait recover", or see "plait recover --help" for the other ways out';
    this.#failure = new PlaitError('rolled-back', message, {
      details: { position: String(known?.position), height: String(height), common: common === undefined ? undefined : String(common) },
    });
    observe?.({ event: 'alarm', alarm: 'rolled-back', message });
    return this.#failure;
  }

  async #flush(): Promise<void> {
    await this.#saving.catch(() => undefined);
    await this.#options.copy?.flush();
  }

  /** Saves about once a second, without making the caller wait; throws what an earlier save threw, if that cannot pass. */
  async settle(): Promise<void> {
    if (this.#saveFailure !== undefined) throw this.#saveFailure;
    const { copy, clock } = this.#options;
    if ((copy?.waitingBytes ?? 0) > COPY_WAITING_BYTES_MAX) await this.save();
    if (clock.nowMs() < this.#saveDueMs || this.#newest === undefined || this.#newest.position <= this.#savedPosition) return;
    this.#saveDueMs = clock.nowMs() + MEMORY_SAVE_MS;
    this.save().catch((error: unknown) => {
      if (!isPlaitError(error, 'unavailable')) this.#saveFailure = error;
      this.#options.observe?.({ event: 'waiting', why: (error as Error).message });
    });
  }

  /** What was folded is remembered durably when it resolves; the copy holds all of it then. Throws as copy and memory. */
  async save(): Promise<void> {
    const mine = this.#saving.catch(() => undefined).then(() => this.#write());
    this.#saving = mine;
    await mine;
  }

  /**
   * Before a claim or a signature, when the log was read to its end: saves, and throws `rolled-back` unless `state` has come
   * as far as everything that is remembered. `checkpoint`, of blocks in `state`, is remembered from now on if it is larger.
   */
  async vouch(state: LedgerState, checkpoint?: Remembered['checkpoint']): Promise<void> {
    if (this.#held !== undefined || (this.#checkpoint?.size ?? 0n) > state.height) throw await this.rolledBack();
    if (checkpoint !== undefined && checkpoint.size > (this.#checkpoint?.size ?? 0n)) this.#checkpoint = checkpoint;
    await this.save().catch((error: unknown) => {
      if (!isPlaitError(error, 'rolled-back')) throw error;
    });
    if (this.#isLost) throw await this.rolledBack();
  }

  async #write(): Promise<void> {
    if (this.#isLost) return;
    const { copy, memory } = this.#options;
    const remembered = this.#remembered();
    const upTo = this.#copiedFrom;
    // A crash here leaves the memory of a second ago, which is as true.
    await copy?.flush();
    if (remembered === undefined) return;
    const size = remembered.checkpoint?.size ?? 0n;
    if (remembered.position <= this.#savedPosition && size <= this.#savedSize) return;
    await memory?.save(remembered).catch((error: unknown) => this.#refuse(error));
    [this.#savedPosition, this.#savedSize] = [remembered.position, size];
    if (upTo === undefined) return;
    // A crash here leaves files that are not needed: the next process removes them.
    await copy?.forgetUpTo(upTo);
    this.#copiedFrom = undefined;
  }

  /** When another process with the same memory knew of a past that is no more: that one counts. Throws the error. */
  async #refuse(error: unknown): Promise<never> {
    if (isPlaitError(error, 'rolled-back')) {
      this.#isLost = true;
      await this.#load();
    }
    throw error;
  }

  /** Undefined before genesis, while it is behind what is remembered, and until the newest header is known. */
  #remembered(): Remembered | undefined {
    const newest = this.#newest;
    if (newest?.state === undefined || this.#held !== undefined) return undefined;
    const { origin, ledgerId, height } = newest.state;
    if (height > 0n && this.#header?.height !== height) return undefined;
    const mark = markOf(newest);
    this.#mark(newest);
    return {
      ...mark, origin, ledgerId, height, header: this.#header?.hash, marks: thinMarks(this.#marks, mark.position),
      ...(this.#checkpoint === undefined ? {} : { checkpoint: this.#checkpoint }),
      ...(this.#stateHeader === undefined ? {} : { state: this.#stateHeader }),
    };
  }
}

/**
 * Throws `rolled-back` if the message that is remembered is not in the log: for a look before anything else is done with it.
 * Throws what the log and the memory throw.
 */
export async function requireRemembered(options: PastOptions): Promise<void> {
  await new Past(options).confirm(0);
}
