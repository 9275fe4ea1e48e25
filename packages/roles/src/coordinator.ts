/**
 * The coordinator: claims the lead, and while it leads cuts what workers reported into blocks.
 *
 * What it is follows from the fold alone: it leads iff the claim in force is the very claim it wrote (by hash: two
 * processes with one key file are two). What it remembers beside the fold is what it sent and did not read back yet.
 *
 *     standby ── may claim ──► claiming ── own claim read ──► leading ── pending ──► sealing
 *        ▲                        │ another accepted            ▲  │                    │
 *        │                        ▼                             │  └── block read ◄─────┘
 *        └────────────────── (fenced) ◄── newer claim or configuration, or another text at its height
 */
import {
  epoch, formatBlock, formatClaim, invariant, isAmong, messageHash, sealBlock, signNote,
  type Epoch, type Hash, type Height, type LedgerState, type SignerKey,
} from '@plait/core';
import { appendIfConfirmed } from './append.ts';
import type { Observe } from './events.ts';
import { Follower, type Folded, type FollowerOptions } from './follower.ts';
import type { LeaseKeeper } from './lease-keeper.ts';
import { DEFAULT_TIMES, IDLE_WAIT_MS, SNAPSHOT_MESSAGES, type RoleTimes } from './limits.ts';
import type { Clock, LogAppender, Random } from './ports.ts';
import { SnapshotWriter } from './snapshot-writer.ts';
import { Takeover } from './takeover.ts';
import { Throttle } from './throttle.ts';

/** What a coordinator needs. */
export interface CoordinatorOptions extends FollowerOptions {
  /** A coordinator key; whether it is in force is for the fold to say. */
  readonly key: SignerKey;
  readonly appender: LogAppender;
  readonly lease: LeaseKeeper;
  readonly clock: Clock;
  readonly random: Random;
  readonly observe?: Observe;
  readonly times?: Partial<RoleTimes>;
  /** While it leads, it writes a snapshot after so many messages of the log. Default {@link SNAPSHOT_MESSAGES}. */
  readonly snapshotMessages?: number;
}

/** A message on its way: sent, perhaps applied, not read back. The same bytes are sent again, never others. */
interface Sent {
  readonly hash: Hash;
  readonly bytes: Uint8Array;
  readonly firstSentMs: number;
  sentMs: number;
}

/** A coordinator of one ledger; run its steps in a loop. */
export class Coordinator {
  readonly #options: CoordinatorOptions;
  readonly #times: RoleTimes;
  readonly #follower: Follower;
  readonly #takeover: Takeover;
  readonly #cuts: Throttle;
  #claim: (Sent & { readonly epoch: Epoch }) | undefined;
  #block: (Sent & { readonly height: Height }) | undefined;
  readonly #snapshots: SnapshotWriter;
  /** Whether a block of its own was accepted: then the tip lies behind whatever had waited for a leader. */
  #hasSealed = false;
  /** Fenced by a claim: the lease is to be released. */
  #wasFenced = false;

  constructor(options: CoordinatorOptions) {
    this.#options = options;
    this.#times = { ...DEFAULT_TIMES, ...options.times };
    this.#follower = new Follower(options, (folded) => this.#absorb(folded));
    this.#takeover = new Takeover(this.#times, options.clock, options.random, options.start);
    this.#snapshots = new SnapshotWriter({
      messagesMin: options.snapshotMessages ?? SNAPSHOT_MESSAGES, resendMs: this.#times.resendMs,
    });
    this.#cuts = new Throttle(this.#times.cutIntervalMs);
  }

  /** Whether the log was read to an end sampled after the start; until then {@link state} is an older one. */
  get caughtUp(): boolean {
    return this.#follower.caughtUp;
  }

  /** The fold of what this coordinator has read; undefined before genesis. */
  get state(): LedgerState | undefined {
    return this.#follower.state;
  }

  /** Whether its own claim is in force, under its own key: anybody can copy a text and sign it with another. */
  get leading(): boolean {
    const leader = this.state?.leader;
    return leader !== undefined && leader.claim === this.#claim?.hash && leader.key.vkey === this.#options.key.verifier.vkey;
  }

  /** Reads what has arrived, then does at most one thing: claim, seal, or send something again. */
  async step(): Promise<void> {
    await this.#follower.poll(this.#waitMs());
    const caughtUp = await this.#follower.catchUp();
    if (this.#wasFenced) await this.#giveWay();
    if (!caughtUp) return;
    const { state } = this;
    invariant(state !== undefined, 'caught up before genesis');
    this.#follower.refuseConflict();

    if (this.leading) await this.#lead(state);
    else if (this.#claim !== undefined) await this.#insist(this.#claim);
    else await this.#standBy(state);
  }

  /** For a stop in good order, after the last step: what was folded is remembered. Throws as the memory and the copy. */
  async drain(): Promise<void> {
    await this.#follower.remember();
  }

  #waitMs(): number {
    const toCut = (this.state?.pending ?? 0) > 0 || this.#snapshots.due;
    const busy = this.leading && this.#block === undefined && toCut;
    return busy ? Math.min(IDLE_WAIT_MS, this.#cuts.waitMs(this.#options.clock.nowMs())) : IDLE_WAIT_MS;
  }

  /** Takes in what became of a message. Only accepted ones change anything. */
  #absorb(folded: Folded): void {
    const { outcome, state } = folded;
    this.#snapshots.absorb(folded);
    if (state === undefined) return;
    this.#takeover.absorb(outcome, state);
    if (outcome.kind === 'claim' && this.leading) {
      this.#options.observe?.({ event: 'leading', epoch: outcome.claim.epoch });
    } else if (outcome.kind === 'claim' || outcome.kind === 'configuration') {
      this.#standDown(outcome.kind === 'claim');
    } else if (outcome.kind === 'block' && this.#block !== undefined && outcome.header.height === this.#block.height) {
      const mine = outcome.hash === this.#block.hash;
      this.#block = undefined;
      this.#hasSealed = true;
      if (!mine) this.#standDown(true);
    }
  }

  /** Fenced, or overtaken while claiming: forget what was sent, and let the new leader have the lease. */
  #standDown(byClaim: boolean): void {
    if (this.#claim === undefined) return;
    this.#options.observe?.({ event: 'fenced', epoch: this.#claim.epoch });
    this.#wasFenced ||= byClaim;
    this.#leadNoMore();
  }

  #leadNoMore(): void {
    this.#claim = undefined;
    this.#block = undefined;
    this.#hasSealed = false;
    this.#snapshots.forget();
  }

  async #giveWay(): Promise<void> {
    this.#wasFenced = false;
    await this.#options.lease.release();
  }

  /** Leading: see the block through, or cut the next; and one chunk of a snapshot, if there is one to send. */
  async #lead(state: LedgerState): Promise<void> {
    const nowMs = this.#options.clock.nowMs();
    const chunk = this.#snapshots.next(nowMs);
    // A crash here leaves a snapshot without some of its chunks: of no use, and the next leader writes another.
    if (chunk !== undefined) await this.#send(chunk);
    if (this.#block === undefined) {
      if ((state.pending > 0 || this.#snapshots.due) && this.#cuts.waitMs(nowMs) === 0) await this.#seal(state, nowMs);
    } else if (nowMs - this.#block.firstSentMs >= this.#times.stallMs) {
      // Not fenced, and yet not accepted: whatever is wrong, a new claim ends it. Or it slept, and has not read yet by whom
      // it is fenced.
      this.#options.observe?.({
        event: 'waiting', why: `block ${this.#block.height} was not read back for ${this.#times.stallMs} ms: leading no more, until a new claim`,
      });
      this.#leadNoMore();
    } else {
      await this.#insist(this.#block);
    }
  }

  /**
   * One signed text for each (epoch, height): the block is kept until it, or a newer claim, is read.
   *
   * A state counts from the tip on, and the earlier its cut, the less is pending in it. So a block with a state cuts at the
   * tip and leaves the newest segments to the next; and what had waited for a leader is numbered before.
   */
  async #seal(state: LedgerState, nowMs: number): Promise<void> {
    const { clock, key } = this.#options;
    const withState = this.#snapshots.due && (this.#hasSealed || state.pending === 0);
    const header = sealBlock(state, { cut: withState ? state.tip : state.position, wallMs: clock.wallMs(), withState });
    if (withState) this.#snapshots.hold(header, state);
    const text = formatBlock(header);
    this.#cuts.passed(nowMs);
    this.#block = {
      height: header.height, hash: messageHash(text), bytes: signNote(text, key), firstSentMs: nowMs, sentMs: nowMs,
    };
    // A crash before this line leaves nothing: the next leader cuts. During it, the commit point: the block counts or
    // not, by the fold, and whoever leads reads it.
    await this.#send(this.#block.bytes);
  }

  async #standBy(state: LedgerState): Promise<void> {
    const held = this.#options.lease.held();
    const inForce = isAmong(state.configuration.body.coordinatorKeys, this.#options.key.verifier);
    if (!inForce) return;
    if (!this.#takeover.mayClaim(state, held)) return;
    // Reading to an end sampled now, so that nobody claims over what it has merely not read.
    if (!(await this.#follower.readToEnd())) return;
    await this.#follower.vouch();
    await this.#claimLead(state, held ? 'lease' : 'stall');
  }

  async #claimLead(state: LedgerState, why: 'lease' | 'stall'): Promise<void> {
    const { clock, random, key, observe } = this.#options;
    const nowMs = clock.nowMs();
    const nonce = Array.from(random.bytes(16), (byte) => byte.toString(16).padStart(2, '0')).join('');
    const { origin, ledgerId, follows } = state;
    const next = epoch(state.epoch + 1n);
    const text = formatClaim({ kind: 'claim', origin, ledgerId, epoch: next, follows, nonce });
    this.#claim = { epoch: next, hash: messageHash(text), bytes: signNote(text, key), firstSentMs: nowMs, sentMs: nowMs };
    observe?.({ event: 'claiming', epoch: next, why });
    // A crash here leaves a claim in the log or not. If it counts, nobody acts on it, and the next one claims after it.
    await this.#send(this.#claim.bytes);
  }

  /** Sends the same bytes again if they were not read back for a while. */
  async #insist(sent: Sent): Promise<void> {
    const nowMs = this.#options.clock.nowMs();
    if (nowMs - sent.sentMs < this.#times.resendMs) return;
    sent.sentMs = nowMs;
    await this.#send(sent.bytes);
  }

  async #send(bytes: Uint8Array): Promise<void> {
    await appendIfConfirmed(bytes, { ...this.#options, follower: this.#follower });
  }
}
