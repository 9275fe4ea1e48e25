/**
 * The publisher: signs checkpoints over the tree of block headers, so that whoever holds one finds a change of the past.
 *
 * What it signs is a function of the blocks: for each size one root, and so one text, whichever publisher signs it and how
 * often. It signs only what it has read back as accepted, and what extends the largest checkpoint that it remembers.
 */
import {
  formatCheckpoint, hashToText, invariant, isAmong, rangeRoot, signNote, type Hash, type LedgerState, type SignerKey,
} from '@plait/core';
import { appendIfConfirmed } from './append.ts';
import type { Observe } from './events.ts';
import { Follower, type Folded, type FollowerOptions } from './follower.ts';
import { DEFAULT_TIMES, IDLE_WAIT_MS, type RoleTimes } from './limits.ts';
import type { Clock, LogAppender } from './ports.ts';
import { Throttle } from './throttle.ts';

/** What a publisher needs. */
export interface PublisherOptions extends FollowerOptions {
  /** A checkpoint key; whether it is in force is for the fold to say. */
  readonly key: SignerKey;
  readonly appender: LogAppender;
  readonly clock: Clock;
  readonly observe?: Observe;
  readonly times?: Partial<RoleTimes>;
}

/** The tree of headers at one size. */
interface Tree {
  readonly size: bigint;
  readonly root: Hash;
}

/** A publisher of one ledger; run its steps in a loop. */
export class Publisher {
  readonly #options: PublisherOptions;
  readonly #times: RoleTimes;
  readonly #follower: Follower;
  readonly #interval: Throttle;
  /** Trees that end with a header with a state and of which no checkpoint was read; and when one was sent last. */
  readonly #missing = new Map<bigint, { readonly tree: Tree; sentMs: number }>();
  /** Size of the newest checkpoint that was read and fits the blocks before it. */
  #published = 0n;

  constructor(options: PublisherOptions) {
    this.#options = options;
    this.#times = { ...DEFAULT_TIMES, ...options.times };
    this.#follower = new Follower(options, (folded) => this.#absorb(folded));
    this.#interval = new Throttle(this.#times.checkpointIntervalMs);
  }

  /** The fold of what this publisher has read; undefined before genesis. */
  get state(): LedgerState | undefined {
    return this.#follower.state;
  }

  /** Whether the log was read to its end once. */
  get caughtUp(): boolean {
    return this.#follower.caughtUp;
  }

  /**
   * Reads what has arrived, then signs and appends at most one checkpoint. Throws `rolled-back` when the log does not
   * extend what it remembers, `split-view` while a checkpoint in the log contradicts the blocks.
   */
  async step(): Promise<void> {
    await this.#follower.poll(this.#waitMs());
    if (!(await this.#follower.catchUp())) return;
    const { state } = this;
    invariant(state !== undefined, 'caught up before genesis');
    this.#follower.refuseConflict();
    const tree = this.#isInForce(state) && this.#follower.confirmed ? this.#choose(state) : undefined;
    if (tree !== undefined) await this.#publish(tree);
  }

  /** For a stop in good order, after the last step: what was folded is remembered. Throws as the memory and the copy. */
  async drain(): Promise<void> {
    await this.#follower.remember();
  }

  #waitMs(): number {
    const { state } = this;
    const isWaiting = state !== undefined && this.#isInForce(state) && state.height > this.#published;
    return isWaiting ? Math.min(IDLE_WAIT_MS, this.#interval.waitMs(this.#options.clock.nowMs())) : IDLE_WAIT_MS;
  }

  #isInForce({ configuration }: LedgerState): boolean {
    return isAmong(configuration.body.checkpointKeys, this.#options.key.verifier);
  }

  #absorb({ outcome, state }: Folded): void {
    if (outcome.kind === 'block' && outcome.header.state !== undefined && state !== undefined) {
      this.#missing.set(state.height, { tree: treeOf(state), sentMs: Number.NEGATIVE_INFINITY });
    } else if (outcome.kind === 'checkpoint' && outcome.verdict !== 'contradicts') {
      const { size, root } = outcome.checkpoint;
      if (this.#missing.get(size)?.tree.root === root) this.#missing.delete(size);
      if (outcome.verdict === 'consistent') this.#published = size;
      this.#interval.passed(this.#options.clock.nowMs());
    }
  }

  /** One for each header with a state, whenever it is missing; else the newest, if it is time. */
  #choose(state: LedgerState): Tree | undefined {
    const nowMs = this.#options.clock.nowMs();
    for (const { tree, sentMs } of this.#missing.values()) if (nowMs - sentMs >= this.#times.resendMs) return tree;
    return state.height > this.#published && this.#interval.waitMs(nowMs) === 0 ? treeOf(state) : undefined;
  }

  async #publish(tree: Tree): Promise<void> {
    const { clock, key, observe } = this.#options;
    const { state } = this;
    invariant(state !== undefined && tree.size <= state.height, 'signs only blocks that were read');
    // A crash before this line leaves nothing. Behind it no older past is taken for the newest after a restart.
    await this.#follower.vouch(tree);
    // A crash here leaves a checkpoint that only this role knows of: its text is the same whenever it is signed again.
    const nowMs = clock.nowMs();
    this.#interval.passed(nowMs);
    const missing = this.#missing.get(tree.size);
    if (missing !== undefined) missing.sentMs = nowMs;
    const text = formatCheckpoint({ kind: 'checkpoint', origin: state.origin, ...tree });
    // A crash while it is sent leaves it in the log or not. What is not read back is signed again.
    await this.#send(signNote(text, key));
    observe?.({ event: 'published', size: tree.size, hasState: missing !== undefined });
  }

  async #send(bytes: Uint8Array): Promise<void> {
    await appendIfConfirmed(bytes, { ...this.#options, follower: this.#follower });
  }
}

function treeOf({ height, history }: LedgerState): Tree {
  return { size: height, root: hashToText(rangeRoot(history)) };
}
