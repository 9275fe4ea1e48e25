/** The fold of reports: chains are extended segment by segment. */
import { hashToText } from './bytes.ts';
import type { Applied, SegmentOutcome, SegmentReason } from './outcome.ts';
import { signerAmong } from './fold-signature.ts';
import { REPORT_BYTES_MAX, SEGMENT_RECORDS_MAX } from './limits.ts';
import { messageHash } from './message.ts';
import type { Note, VerifySignature } from './note.ts';
import type { Report } from './report.ts';
import { rulesOf, type Rules } from './rules.ts';
import { formatSegment, sameStart, segmentCount, segmentHash, type Segment } from './segment.ts';
import { EMPTY_ROOT } from './tree.ts';
import { chainOf, extendEnd, withChain, type Chain, type LedgerState } from './state.ts';
import type { LogPosition } from './types.ts';

const ROOT_OF_NONE = hashToText(EMPTY_ROOT);

/** Judges a report of this ledger at `position`. */
export function applyReport(
  state: LedgerState, position: LogPosition, report: Report, note: Note, verify: VerifySignature,
): Applied {
  if (note.text.length > REPORT_BYTES_MAX) {
    return { state, outcome: { kind: 'ignored', of: 'report', reason: 'report-too-large' } };
  }
  const signer = signerAmong(state.configuration.body.workerKeys, note, verify);
  if (typeof signer === 'string') return { state, outcome: { kind: 'ignored', of: 'report', reason: signer } };

  let next = state;
  const segments: SegmentOutcome[] = [];
  for (const segment of report.segments) {
    const reason = refusal(next, segment);
    if (reason === undefined) next = extend(next, position, segment);
    segments.push(reason === undefined ? { accepted: true, segment } : { accepted: false, segment, reason });
  }
  return { state: next, outcome: { kind: 'report', hash: messageHash(note.text), key: signer.name, segments } };
}

function extend(state: LedgerState, position: LogPosition, segment: Segment): LedgerState {
  const { end, pending } = chainOf(state, segment);
  const chain: Chain = { end: extendEnd(end, segment), pending: [...pending, { position, segment, before: end }] };
  return { ...state, chains: withChain(state.chains, segment, chain), pending: state.pending + 1 };
}

/** The first rule that the segment breaks, if any. */
function refusal(state: LedgerState, segment: Segment): SegmentReason | undefined {
  const { body } = state.configuration;
  if (!body.sources.includes(segment.topic)) return 'unknown-source';
  if (segment.partition >= body.partitionsMax) return 'full';
  const chain = chainOf(state, segment);
  if (segment.generation !== chain.end.generation) return 'generation';
  return (
    refusalAtEnd(chain, segment) ??
    refusalOfRange(segment) ??
    refusalOfRoot(rulesOf(state), segment) ??
    (chain.pending.length >= body.pendingMax ? 'full' : undefined) ??
    (segment.kind === 'loss' && body.onLoss === 'stop' ? 'loss-not-allowed' : undefined)
  );
}

function refusalAtEnd({ end, pending }: Chain, segment: Segment): SegmentReason | undefined {
  const atEnd =
    segment.firstIndex === end.nextIndex && segment.firstOffset === end.nextOffset && segment.previous === end.head;
  if (atEnd) return undefined;
  // At most one pending segment has this `previous`. It is found without hashing: a replayed report asks for all of them.
  const rival = pending.find((other) => sameStart(other.segment, segment) && other.segment.nextOffset === segment.nextOffset);
  if (rival !== undefined) return formatSegment(rival.segment) === formatSegment(segment) ? 'duplicate' : 'equivocation';
  return segmentHash(segment) === end.head ? 'duplicate' : 'not-at-end';
}

/** Other roots can be told only from the records: that is for readers. */
function refusalOfRoot({ emptyRoot }: Rules, segment: Segment): SegmentReason | undefined {
  const empty = segment.kind === 'segment' && segmentCount(segment) === 0n;
  return emptyRoot && empty && segment.root !== ROOT_OF_NONE ? 'root' : undefined;
}

function refusalOfRange(segment: Segment): SegmentReason | undefined {
  const count = segmentCount(segment);
  const offsets = segment.nextOffset - segment.firstOffset;
  if (offsets <= 0n || count < 0n || count > offsets) return 'range';
  if (segment.kind === 'loss') return count === 1n ? undefined : 'range';
  return count > BigInt(SEGMENT_RECORDS_MAX) ? 'too-many-records' : undefined;
}
