/** Where a reading begins. */
import { chainOf, PlaitError, segmentCount, sequencedEnd, seq, type LedgerState, type Line, type Seq, type TopicPartition } from '@plait/core';
import type { NumberedLine, VerifiedSegment } from '@plait/roles';

/**
 * Where to begin to read:
 *
 * - `oldest`: seq 0. `newest`: behind what is sequenced when the reading begins.
 * - `seq`: at that seq.
 * - `timeMs`: with the first block whose time is not below it, ms since 1970. (Of a block, not of a record: it says when
 *   that was sequenced, by the coordinator's clock.)
 * - a place: at the seq of that record of the partition's newest generation. Where nobody sees a record (a transaction
 *   marker, an aborted one), behind the partition's record before it and not behind the next. One that is not sequenced yet
 *   is waited for.
 */
export type StartPoint =
  | 'oldest'
  | 'newest'
  | { readonly seq: bigint }
  | { readonly timeMs: number | bigint }
  | (TopicPartition & { readonly offset: bigint });

/** How the options of a reading say where it begins. */
export interface StartOptions {
  /** Default `oldest`. */
  readonly from?: StartPoint;
  /** Short for `from: { seq }`. */
  readonly fromSeq?: bigint;
}

/** A start point that lines can be compared with. Used for one reading of the log, from its beginning or from `start`. */
export interface Begin {
  /** Nothing below it is wanted. */
  readonly fromSeq: Seq;
  /** A state at which all that is not wanted was folded. */
  readonly start?: LedgerState;
  /** Whether a line is wanted; asked for every line, in order. */
  wants(numbered: NumberedLine): boolean;
  /** The first wanted seq of a segment that is wanted. */
  first(segment: VerifiedSegment): Seq;
}

/** The start point that the options name. Throws `config` if they name two. */
export function startPointOf({ from, fromSeq }: StartOptions): StartPoint {
  if (from !== undefined && fromSeq !== undefined) throw new PlaitError('config', 'from and fromSeq: give one of them');
  return from ?? (fromSeq === undefined ? 'oldest' : { seq: fromSeq });
}

/** `newest` gives the fold at the log's end; asked only where the point needs it. Undefined if it gives none. Throws as it does. */
export async function beginAt(point: StartPoint, newest: () => Promise<LedgerState | undefined>): Promise<Begin | undefined> {
  if (point === 'oldest') return beginAtSeq(0n);
  if (point !== 'newest' && 'seq' in point) return beginAtSeq(point.seq);
  if (point !== 'newest' && 'timeMs' in point) return beginAtTime(BigInt(point.timeMs));
  const state = await newest();
  if (state === undefined) return undefined;
  return point === 'newest' ? { ...beginAtSeq(state.nextSeq), start: state } : beginAtPlace(point, state);
}

/** At a seq. */
export function beginAtSeq(from: bigint): Begin {
  return {
    fromSeq: seq(from),
    wants: ({ line }) => line.firstSeq + segmentCount(line.segment) > from,
    first: ({ line }) => (line.firstSeq > from ? line.firstSeq : seq(from)),
  };
}

/** Times of blocks never fall. */
function beginAtTime(timeMs: bigint): Begin {
  return {
    fromSeq: seq(0n),
    wants: ({ block }) => block.timeMs >= timeMs,
    first: ({ line }) => line.firstSeq,
  };
}

function beginAtPlace(place: TopicPartition & { readonly offset: bigint }, newest: LedgerState): Begin {
  const { generation } = sequencedEnd(chainOf(newest, place));
  let begun: Line | undefined;
  return {
    fromSeq: seq(0n),
    wants: ({ line }) => {
      const { segment } = line;
      const isOfPartition = segment.topic === place.topic && segment.partition === place.partition;
      const isReached = segmentCount(segment) > 0n && (segment.generation > generation || (segment.generation === generation && segment.nextOffset > place.offset));
      if (begun === undefined && isOfPartition && isReached) begun = line;
      return begun !== undefined;
    },
    first: (segment) => {
      const { line } = segment;
      if (line !== begun || segment.kind !== 'records' || line.segment.generation !== generation) return line.firstSeq;
      return seq(line.firstSeq + BigInt(segment.records.filter(({ offset }) => offset < place.offset).length));
    },
  };
}
