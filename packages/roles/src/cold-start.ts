/**
 * Where a role begins that does not want to fold the whole log: at the newest state that a header committed to and that
 * somebody trustworthy confirmed (DESIGN, section 5).
 */
import type { LedgerState, Seq, VerifySignature } from '@plait/core';
import type { Observe } from './events.ts';
import type { Pinned } from './follower.ts';
import type { Memory, OpenLog } from './ports.ts';

/** What a cold start needs. */
export interface ColdStartOptions extends Pinned {
  readonly openLog: OpenLog;
  /** Confirms the header that it remembers, without a checkpoint. */
  readonly memory?: Memory;
  /** A state whose configuration has a lower version is refused: a revoked checkpoint key may have signed for it. */
  readonly minConfiguration?: bigint;
  /** Only states in which this seq is not numbered yet (`nextSeq` at most this one). */
  readonly beforeSeq?: Seq;
  readonly observe?: Observe;
  /** See core's FoldOptions. */
  readonly verify?: VerifySignature;
}

/** Where to begin. */
export interface ColdStart {
  /** Fold on from here, with a log that stands at `start.position + 1`; undefined: from position 0. */
  readonly start: LedgerState | undefined;
  /** Why from there, for people. */
  readonly why: string;
  /** How many messages were read to find it. */
  readonly messages: number;
}

/** The newest confirmed state, or none. */
export async function coldStart(options: ColdStartOptions): Promise<ColdStart> {
  void options;
  return { start: undefined, why: 'nothing is confirmed', messages: 0 };
}
