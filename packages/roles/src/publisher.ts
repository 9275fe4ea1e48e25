/**
 * The publisher: signs checkpoints over the tree of block headers, so that whoever holds one finds a change of the past.
 *
 * What it signs is a function of the blocks: for each size one root, and so one text, whichever publisher signs it and how
 * often. It signs only what it has read back as accepted, and what extends the largest checkpoint that it remembers.
 */
import {
  formatCheckpoint, hashToText, invariant, isPlaitError, PlaitError, rangeRoot, sha256, signNote,
  type Hash, type LedgerState, type SignerKey,
} from '@plait/core';
import type { Observe } from './events.ts';
import { Follower, type Folded, type FollowerOptions } from './follower.ts';
import { DEFAULT_TIMES, IDLE_WAIT_MS, type RoleTimes } from './limits.ts';
import type { Clock, LogAppender, Memory, Remembered } from './ports.ts';
import { Throttle } from './throttle.ts';

/** What a publisher needs. */
export interface PublisherOptions extends FollowerOptions {
  /** A checkpoint key; whether it is in force is for the fold to say. */
  readonly key: SignerKey;
  readonly appender: LogAppender;
  readonly clock: Clock;
  /** Without it a publisher that is started again can be shown another past. `start` is at or below its checkpoint. */
  readonly memory?: Memory;
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
  #remembered: Remembered | undefined;
  #isLoaded = false;
  /** The fold contradicts what is remembered. */
  #contradiction: PlaitError | undefined;
  #newest: Folded | undefined;
  #header: Hash | undefined;

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

  /**
   * Reads what has arrived, then signs and appends at most one checkpoint. Throws `rolled-back` when the log does not
   * extend the checkpoint it remembers, `split-view` while a checkpoint in the log contradicts the blocks.
   */
  async step(): Promise<void> {
    if (!this.#isLoaded) await this.#load();
    await this.#follower.poll(this.#waitMs());
    if (this.#contradiction !== undefined) throw this.#contradiction;
    if (!(await this.#follower.catchUp())) return;
    const { state } = this;
    invariant(state !== undefined, 'caught up before genesis');
    if (this.#follower.conflict !== undefined) throw this.#follower.conflict;
    this.#requireReached(state);
    const tree = this.#isInForce(state) ? this.#choose(state) : undefined;
    if (tree !== undefined) await this.#publish(tree);
  }

  #waitMs(): number {
    const { state } = this;
    const isWaiting = state !== undefined && this.#isInForce(state) && state.height > this.#published;
    return isWaiting ? Math.min(IDLE_WAIT_MS, this.#interval.waitMs(this.#options.clock.nowMs())) : IDLE_WAIT_MS;
  }

  #isInForce({ configuration }: LedgerState): boolean {
    return configuration.body.checkpointKeys.some(({ vkey }) => vkey === this.#options.key.verifier.vkey);
  }

  /** Before anything is folded: the tree is compared when it has the size that is remembered. */
  async #load(): Promise<void> {
    const { memory, start } = this.#options;
    this.#remembered = await memory?.load();
    this.#isLoaded = true;
    if (start === undefined) return;
    invariant(start.height <= (this.#remembered?.checkpoint?.size ?? start.height), 'starts above the checkpoint it remembers');
    this.#compare(start);
  }

  #absorb(folded: Folded): void {
    const { outcome, state } = folded;
    this.#newest = folded;
    if (outcome.kind === 'block' && state !== undefined) {
      this.#header = outcome.hash;
      this.#compare(state);
      if (outcome.header.state !== undefined) {
        this.#missing.set(state.height, { tree: treeOf(state), sentMs: Number.NEGATIVE_INFINITY });
      }
    } else if (outcome.kind === 'checkpoint' && outcome.verdict !== 'contradicts') {
      const { size, root } = outcome.checkpoint;
      if (this.#missing.get(size)?.tree.root === root) this.#missing.delete(size);
      if (outcome.verdict === 'consistent') this.#published = size;
      this.#interval.passed(this.#options.clock.nowMs());
    }
  }

  #compare(state: LedgerState): void {
    const checkpoint = this.#remembered?.checkpoint;
    if (checkpoint?.size !== state.height || checkpoint.root === treeOf(state).root) return;
    this.#contradiction ??= rolledBack(checkpoint, `has another root there (${treeOf(state).root})`);
  }

  #requireReached({ height }: LedgerState): void {
    const checkpoint = this.#remembered?.checkpoint;
    if (checkpoint !== undefined && checkpoint.size > height) throw rolledBack(checkpoint, `has ${height} blocks`);
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
    // A crash before this line leaves nothing.
    await this.#remember(state, tree);
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

  /** Before a checkpoint leaves this process, it is remembered: an older one is never taken for the newest after a restart. */
  async #remember({ origin, ledgerId, height }: LedgerState, tree: Tree): Promise<void> {
    const { memory } = this.#options;
    const known = this.#remembered;
    if (memory === undefined || this.#newest === undefined || tree.size <= (known?.checkpoint?.size ?? 0n)) return;
    const { position, value } = this.#newest;
    this.#remembered = {
      origin, ledgerId, height, header: this.#header, position, message: hashToText(sha256(value)),
      checkpoint: tree, marks: known?.marks ?? [],
    };
    await memory.save(this.#remembered);
  }

  /** An append whose outcome is settled by reading, whatever the answer says. */
  async #send(bytes: Uint8Array): Promise<void> {
    try {
      await this.#options.appender.append(bytes);
    } catch (error) {
      if (!isPlaitError(error, 'unavailable') && !isPlaitError(error, 'unknown')) throw error;
      this.#options.observe?.({ event: 'waiting', why: error.message });
    }
  }
}

function treeOf({ height, history }: LedgerState): Tree {
  return { size: height, root: hashToText(rangeRoot(history)) };
}

function rolledBack({ size, root }: Tree, found: string): PlaitError {
  return new PlaitError('rolled-back', `this publisher remembers the checkpoint of size ${size} with root ${root}, and the log ` +
    `${found}: the past has changed, or an older copy of the log was put in its place; nothing is signed`,
  { details: { size: String(size), root } });
}
