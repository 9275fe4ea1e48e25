/** What the newest configuration makes of a finding. */
import type { Configuration, Hash, LedgerState, Line, LogPosition } from '@plait/core';
import type { LineFinding } from './audit-types.ts';
import { NEWEST_AGE_MS_MAX } from './limits.ts';
import type { Clock, OpenLog } from './ports.ts';
import { goneBy, isMissing, isVoid } from './reader-findings.ts';
import { Restarts } from './restarts.ts';

/** What judging needs. */
export interface LineJudgeOptions {
  readonly clock: Clock;
  readonly openLog?: OpenLog;
  /** See ReaderOptions. */
  readonly newest: () => Promise<LedgerState | undefined>;
}

/** A finding is about records that do not count, or that nobody can check any more (`why` is for people); or it stands. */
export type Judgement = { readonly kind: 'void' } | { readonly kind: 'gone'; readonly why: string } | { readonly kind: 'wrong' };

/** Judges findings by the newest configuration. One caller at a time. */
export class LineJudge {
  readonly #options: LineJudgeOptions;
  readonly #restarts: Restarts;
  #newest: { readonly state: LedgerState; readonly atMs: number } | undefined;

  constructor(options: LineJudgeOptions) {
    this.#options = options;
    this.#restarts = new Restarts(options.openLog);
  }

  /** The newest state that was asked for so far. */
  get newest(): LedgerState | undefined {
    return this.#newest?.state;
  }

  /** Takes in a configuration that was folded. */
  take(hash: Hash, configuration: Configuration): void {
    this.#restarts.take(hash, configuration);
  }

  /**
   * Nothing is called wrong or gone before the log was read to its end: the newest configuration may have declared it void,
   * or begun the partition anew. `position` is where the caller's fold goes on. Undefined if it cannot be told yet: the
   * finding is to be kept until then. Throws as `newest` and the log.
   */
  async judge(line: Line, finding: LineFinding, position: LogPosition): Promise<Judgement | undefined> {
    const newest = await this.ask({ isFresh: !isMissing(finding) });
    if (newest === undefined) return undefined;
    const { segment } = line;
    if (isVoid(newest.configuration.body.voids, segment)) return { kind: 'void' };
    const begins = isMissing(finding) ? undefined : await this.#restarts.after(segment, newest, position);
    const why = goneBy(finding, line, { newest, begins });
    return why === undefined ? { kind: 'wrong' } : { kind: 'gone', why };
  }

  /** The fold at the log's end. Of records that are gone there may be very many, and nothing is accused there: an answer of just now will do. */
  async ask({ isFresh }: { readonly isFresh: boolean }): Promise<LedgerState | undefined> {
    const nowMs = this.#options.clock.nowMs();
    if (!isFresh && this.#newest !== undefined && nowMs - this.#newest.atMs < NEWEST_AGE_MS_MAX) return this.#newest.state;
    const state = await this.#options.newest();
    this.#newest = state && { state, atMs: nowMs };
    return state;
  }
}
