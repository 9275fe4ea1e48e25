/**
 * When a coordinator may claim (DESIGN, section 3, "Redis"): with the lease at once, without it when the ledger is
 * stalled, and never so soon after the last accepted claim that coordinators duel.
 */
import type { LedgerState, Outcome } from '@plait/core';
import type { RoleTimes } from './limits.ts';
import type { Clock, Random } from './ports.ts';

const DOUBLINGS_MAX = 6;

export class Takeover {
  readonly #times: RoleTimes;
  readonly #clock: Clock;
  readonly #random: Random;
  /** Accepted claims since the last block that were made while a segment waited. */
  #claimsInVain = 0;
  /** No claim before this time. */
  #notBeforeMs = Number.NEGATIVE_INFINITY;
  /** Since when a segment waits and nothing was done about it. */
  #waitingSinceMs = Number.POSITIVE_INFINITY;
  #pending = 0;

  /** `start`: where the fold goes on from, if its claim and what waits in it are not read again. */
  constructor(times: RoleTimes, clock: Clock, random: Random, start?: LedgerState) {
    this.#times = times;
    this.#clock = clock;
    this.#random = random;
    if (start === undefined) return;
    this.#rest();
    this.#waitingSinceMs = clock.nowMs();
    this.#pending = start.pending;
  }

  /** Takes in an outcome and the state after it. */
  absorb(outcome: Outcome, state: LedgerState): void {
    const nowMs = this.#clock.nowMs();
    if (outcome.kind === 'claim') {
      if (state.pending > 0) this.#claimsInVain += 1;
      this.#rest();
    }
    if (outcome.kind === 'block') this.#claimsInVain = 0;
    const tookSegments = outcome.kind === 'block' && outcome.header.segments > 0;
    const firstToWait = this.#pending === 0 && state.pending > 0;
    if (firstToWait || tookSegments || outcome.kind === 'claim' || outcome.kind === 'configuration') {
      this.#waitingSinceMs = nowMs;
    }
    this.#pending = state.pending;
  }

  #rest(): void {
    const factor = (1 + this.#random.uniform()) * 2 ** Math.min(DOUBLINGS_MAX, this.#claimsInVain);
    this.#notBeforeMs = this.#clock.nowMs() + this.#times.takeoverMs * factor;
  }

  /** Whether one who does not lead may claim now, given whether it holds the lease. */
  mayClaim(state: LedgerState, holdsLease: boolean): boolean {
    const nowMs = this.#clock.nowMs();
    if (nowMs < this.#notBeforeMs) return false;
    return holdsLease || (state.pending > 0 && nowMs - this.#waitingSinceMs >= this.#times.stallMs);
  }
}
