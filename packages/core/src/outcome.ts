/** Everything that may become of a message: what the fold says of each one. */
import type { BlockHeader } from './block.ts';
import type { Checkpoint } from './checkpoint.ts';
import type { Claim } from './claim.ts';
import type { Configuration, Genesis } from './configuration.ts';
import type { VerifierKey } from './keys.ts';
import type { MessageKind } from './message.ts';
import type { Line, Segment } from './segment.ts';
import type { Snapshot } from './snapshot.ts';
import type { FoldState } from './state.ts';
import type { Hash } from './types.ts';

/** Why no key in force signed a note: see {@link signerAmong}. */
export type SignatureReason = 'unknown-key' | 'bad-signature';

/** Why a whole report was ignored, apart from its signature. */
export type ReportReason = 'report-too-large';

/**
 * Why a segment was ignored. `duplicate`: the same one is pending or is the chain's head; `equivocation`: another one
 * over the same range is pending (an alarm: one of two workers lies, or the topic changed between them); `not-at-end`:
 * it does not begin at the chain's end; `root`: it holds no record, and its root is not that of the empty tree (from
 * rules 2 on); `full`: the partition number is not below `partitions-max`, or `pending-max` segments wait for a block
 * already.
 */
export type SegmentReason =
  | 'unknown-source' | 'generation' | 'duplicate' | 'equivocation' | 'not-at-end' | 'range' | 'too-many-records'
  | 'root' | 'full' | 'loss-not-allowed';

/** What became of one segment of a report whose signature counts. */
export type SegmentOutcome =
  | { readonly accepted: true; readonly segment: Segment }
  | { readonly accepted: false; readonly segment: Segment; readonly reason: SegmentReason };

/** Why a block was ignored, apart from its signature; the fields of a header in the order they are checked. */
export type BlockReason =
  | 'no-leader' | 'other-claim' | 'other-configuration' | 'height' | 'first-seq' | 'cut' | 'time' | 'history'
  | 'content' | 'state';

/** Why a whole message was ignored. */
export type IgnoreReason =
  | 'too-large' | 'malformed' | 'unknown-kind' | 'other-origin' | 'other-ledger'
  | 'before-genesis' | 'second-genesis'
  | 'version' | 'previous' | 'voids' | 'generation'
  | 'epoch' | 'follows'
  | SignatureReason | ReportReason | BlockReason;

/**
 * What became of a message. A report counts segment by segment. Checkpoints and snapshots are noted: they are never
 * part of validity. `contradicts`: a checkpoint signed by a key in force covers more than the log holds, or another tree
 * of the same size; `older`: it covers less, which the fold cannot compare.
 */
export type Outcome =
  | { readonly kind: 'genesis'; readonly hash: Hash; readonly genesis: Genesis }
  | { readonly kind: 'configuration'; readonly hash: Hash; readonly configuration: Configuration }
  | { readonly kind: 'claim'; readonly hash: Hash; readonly claim: Claim; readonly key: string }
  | { readonly kind: 'report'; readonly hash: Hash; readonly key: string; readonly segments: readonly SegmentOutcome[] }
  | { readonly kind: 'block'; readonly hash: Hash; readonly header: BlockHeader; readonly lines: readonly Line[] }
  | { readonly kind: 'checkpoint'; readonly checkpoint: Checkpoint; readonly key: VerifierKey; readonly verdict: CheckpointVerdict }
  | { readonly kind: 'snapshot'; readonly snapshot: Snapshot }
  | { readonly kind: 'ignored'; readonly of: MessageKind | 'unknown'; readonly reason: IgnoreReason };

/** How a checkpoint compares with the blocks accepted before it; see {@link Outcome}. */
export type CheckpointVerdict = 'consistent' | 'older' | 'contradicts';

/** The state after a message, and what became of it. */
export interface Applied<S extends FoldState = FoldState> {
  readonly state: S;
  readonly outcome: Outcome;
}
