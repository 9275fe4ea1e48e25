/**
 * Where a role begins that does not want to fold the whole log: at the newest state that a header committed to and that
 * is confirmed (DESIGN, section 5).
 */
import { height as toHeight, logPosition, type Height, type LedgerState, type LogPosition, type Seq, type VerifySignature } from '@plait/core';
import type { Observe } from './events.ts';
import type { Pinned } from './follower.ts';
import { LogStretches } from './log-stretch.ts';
import type { Memory, OpenLog, Remembered } from './ports.ts';
import { SnapshotSearch } from './snapshot-search.ts';

/** What a cold start needs. */
export interface ColdStartOptions extends Pinned {
  readonly openLog: OpenLog;
  /**
   * Confirms the header with a state that it remembers, without a checkpoint. A role begins at or below the newest block
   * that it remembers, so that its fold comes by there and is compared, unless `mayPassMemory`.
   */
  readonly memory?: Memory;
  /** Whether a state above what is remembered will do: for roles that neither claim nor sign. Default false. */
  readonly mayPassMemory?: boolean;
  /** A state whose configuration has a lower version is refused: a revoked checkpoint key may have signed for it. */
  readonly minConfiguration?: bigint;
  /** Only states before this seq: its `nextSeq` is at most this one. */
  readonly beforeSeq?: Seq;
  /** Only states of at most so many blocks. */
  readonly heightMax?: bigint;
  readonly observe?: Observe;
  /** See core's FoldOptions. */
  readonly verify?: VerifySignature;
}

/** Where a log stands that is folded on from `start`: right behind it, or at its beginning. */
export function positionBehind(start: LedgerState | undefined): LogPosition {
  return logPosition(start === undefined ? 0n : start.position + 1n);
}

/** Where to begin. */
export interface ColdStart {
  /** Fold on from here, with a log that stands at `start.position + 1`; undefined: from position 0. */
  readonly start: LedgerState | undefined;
  /** Why from there, and not from a newer one, for people. */
  readonly why: string;
  /** The newest block whose state is complete and newer, but neither a checkpoint nor the memory confirms it. */
  readonly unconfirmed: Height | undefined;
  /** How many messages were read to find it. */
  readonly messages: number;
}

/**
 * The newest confirmed state of the log, searched backwards from its end; with `beforeSeq` the newest one before that
 * seq. A state counts if every byte of it is under the root in its header, its configuration carries the ledger key's
 * signature, and a checkpoint of size height + 1 by a checkpoint key of that configuration covers the header; or if the
 * memory names the header. Chunks, states, headers and checkpoints that are not so are passed over.
 *
 * Reads about three times as many messages as lie behind that state, however long the log is. Throws what the log and
 * the memory throw. Does not check that the log is the newest one.
 */
export async function coldStart(options: ColdStartOptions): Promise<ColdStart> {
  const { openLog, memory, beforeSeq, observe } = options;
  const log = new LogStretches(openLog);
  const remembered = await memory?.load();
  const search = new SnapshotSearch(options, { log, beforeSeq, remembered, heightBelow: heightBelow(options, remembered) });
  const { start, confirmedBy } = await search.run();
  const { unconfirmed } = search;
  const height = start?.height;
  const why = [
    height === undefined ? 'from the beginning of the log: no state in it is confirmed' : `from the state in block ${height}, confirmed by ${confirmedBy}`,
    ...(unconfirmed === undefined ? [] : [`block ${unconfirmed.height} has a newer one, but ${unconfirmed.why}`]),
  ].join('; ');
  const found = { start, why, unconfirmed: unconfirmed?.height, messages: log.messages };
  observe?.({ event: 'cold-start', position: start?.position, height, unconfirmed: found.unconfirmed, messages: found.messages, why });
  return found;
}

/** The least height that a header may not have: at or above what is remembered, above what is asked for. */
function heightBelow({ mayPassMemory, heightMax }: ColdStartOptions, remembered: Remembered | undefined): Height | undefined {
  const limits = [mayPassMemory === true ? undefined : remembered?.height, heightMax === undefined ? undefined : toHeight(heightMax + 1n)];
  return limits.filter((limit) => limit !== undefined).toSorted((a, b) => (a < b ? -1 : 1))[0];
}
