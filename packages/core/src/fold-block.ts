/**
 * The fold of blocks, and its inverse: the block that a leader would have to write. Both take their lines from the same
 * function of the log, so a leader can choose where to cut and nothing else.
 */
import { commitState } from './snapshot.ts';
import { appendLeaf, rangeRoot } from './compact.ts';
import { headerLeafHash, linesRoot, type BlockHeader } from './block.ts';
import { hashToText } from './bytes.ts';
import { invariant } from './errors.ts';
import { signerAmong } from './fold-signature.ts';
import type { Applied, BlockReason, SignatureReason } from './outcome.ts';
import { messageHash } from './message.ts';
import type { Note, VerifySignature } from './note.ts';
import { compareSegments, segmentCount, type Line, type Segment } from './segment.ts';
import { encodeState, stateAt } from './state-text.ts';
import { eachChain, mapChains, type Chain, type LedgerState } from './state.ts';
import { height, seq } from './types.ts';
import type { LogPosition, Seq } from './types.ts';

/** Judges a block of this ledger at `position`. */
export function applyBlock(
  state: LedgerState, position: LogPosition, header: BlockHeader, note: Note, verify: VerifySignature,
): Applied {
  const ignored = (reason: BlockReason | SignatureReason): Applied => ({
    state, outcome: { kind: 'ignored', of: 'block', reason },
  });
  const early = refusalOfNumbers(state, position, header) ?? refusalOfSignature(state, note, verify);
  if (early !== undefined) return ignored(early);
  const lines = linesUpTo(state, header.cut);
  if (!contentMatches(header, lines)) return ignored('content');
  if (!stateMatches(state, header)) return ignored('state');

  const next: LedgerState = {
    ...state,
    tip: position,
    height: height(state.height + 1n),
    nextSeq: seq(state.nextSeq + header.records),
    cut: header.cut,
    timeMs: header.timeMs,
    history: appendLeaf(state.history, headerLeafHash(note.text)),
    chains: mapChains(state.chains, (chain) => withoutPendingUpTo(chain, header.cut)),
    pending: state.pending - lines.length,
  };
  return { state: next, outcome: { kind: 'block', hash: messageHash(note.text), header, lines } };
}

function refusalOfNumbers(state: LedgerState, position: LogPosition, header: BlockHeader): BlockReason | undefined {
  if (state.leader === undefined) return 'no-leader';
  if (header.claim !== state.leader.claim) return 'other-claim';
  if (header.configuration !== state.configuration.hash) return 'other-configuration';
  if (header.height !== state.height) return 'height';
  if (header.firstSeq !== state.nextSeq) return 'first-seq';
  if (header.cut < state.cut || header.cut >= position) return 'cut';
  if (header.timeMs < state.timeMs) return 'time';
  if (header.history !== hashToText(rangeRoot(state.history))) return 'history';
  return undefined;
}

function refusalOfSignature(state: LedgerState, note: Note, verify: VerifySignature): SignatureReason | undefined {
  invariant(state.leader !== undefined, 'a block without a leader was refused before');
  const signer = signerAmong([state.leader.key], note, verify);
  return typeof signer === 'string' ? signer : undefined;
}

function contentMatches(header: BlockHeader, lines: readonly Line[]): boolean {
  return header.records === countRecords(lines) && header.segments === lines.length && header.root === linesRoot(lines);
}

/** A `state` is the state at the cut, and the cut lies behind everything that is not a report, so that it can be told. */
function stateMatches(state: LedgerState, { state: committed, cut }: BlockHeader): boolean {
  if (committed === undefined) return true;
  if (cut < state.tip) return false;
  const found = commitState(encodeState(stateAt(state, cut)));
  return found.bytes === committed.bytes && found.root === committed.root;
}

/**
 * The lines of a block that cuts at `cut`: exactly the accepted segments that no block has numbered, at positions up to
 * it, in canonical order. O(partitions and pending segments).
 */
export function linesUpTo(state: LedgerState, cut: LogPosition): readonly Line[] {
  if (state.pending === 0) return [];
  const segments: Segment[] = [];
  for (const { chain } of eachChain(state.chains)) {
    for (const { position, segment } of chain.pending) {
      if (position <= cut) segments.push(segment);
    }
  }
  return number(state.nextSeq, segments.toSorted(compareSegments));
}

function number(firstSeq: Seq, segments: readonly Segment[]): readonly Line[] {
  let next = firstSeq;
  return segments.map((segment) => {
    const line = { firstSeq: next, segment };
    next = seq(next + segmentCount(segment));
    return line;
  });
}

function countRecords(lines: readonly Line[]): bigint {
  return lines.reduce((sum, { segment }) => sum + segmentCount(segment), 0n);
}

function withoutPendingUpTo(chain: Chain, cut: LogPosition): Chain {
  if (chain.pending[0] === undefined || chain.pending[0].position > cut) return chain;
  return { end: chain.end, pending: chain.pending.filter(({ position }) => position > cut) };
}

/**
 * The block that numbers every segment accepted up to `cut`, for the leader of `state`. Pure; O(partitions and pending
 * segments). `cut` must be at least `state.cut` and at most `state.position`, and somebody must lead: else it is a bug.
 *
 * With `withState` the header commits to the state at `cut`, which must be at least `state.tip`. Does not check the
 * right to seal: the fold does.
 */
export function sealBlock(
  state: LedgerState, options: { cut: LogPosition; wallMs: number; withState?: boolean },
): BlockHeader {
  const { cut } = options;
  invariant(state.leader !== undefined, 'nobody leads');
  invariant(cut >= state.cut && cut <= state.position, `cut ${cut} is outside ${state.cut} … ${state.position}`);
  const lines = linesUpTo(state, cut);
  const wallMs = BigInt(Math.floor(options.wallMs));
  return {
    kind: 'block', origin: state.origin, ledgerId: state.ledgerId,
    configuration: state.configuration.hash, claim: state.leader.claim, height: state.height,
    timeMs: wallMs > state.timeMs ? wallMs : state.timeMs,
    firstSeq: state.nextSeq, records: countRecords(lines), segments: lines.length, cut,
    root: linesRoot(lines), history: hashToText(rangeRoot(state.history)),
    ...(options.withState === true ? { state: commitState(encodeState(stateAt(state, cut))) } : {}),
  };
}

