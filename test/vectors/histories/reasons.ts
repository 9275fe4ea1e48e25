/** Every reason, typed so that a new one does not compile before it is listed here, and then fails without a history. */
import type { CheckpointVerdict, IgnoreReason, MessageKind, SegmentReason } from '@plait/core';

/** For every reason, the kinds of messages that must be seen ignored for it. A new reason does not compile without. */
export const ignored: Record<IgnoreReason, readonly (MessageKind | 'unknown')[]> = {
  'too-large': ['unknown'],
  malformed: ['genesis', 'configuration', 'claim', 'report', 'block', 'snapshot', 'unknown'],
  'unknown-kind': ['unknown'],
  'other-origin': ['genesis', 'configuration', 'claim', 'report', 'block', 'snapshot', 'checkpoint'],
  'other-ledger': ['configuration', 'claim', 'report', 'block', 'snapshot'],
  'before-genesis': ['configuration', 'claim', 'report', 'snapshot', 'checkpoint'],
  'second-genesis': ['genesis'],
  version: ['configuration'],
  previous: ['configuration'],
  voids: ['configuration'],
  generation: ['configuration'],
  epoch: ['claim'],
  follows: ['claim'],
  'unknown-key': ['configuration', 'claim', 'report', 'block', 'checkpoint'],
  'bad-signature': ['configuration', 'claim', 'report', 'block', 'checkpoint'],
  'report-too-large': ['report'],
  'no-leader': ['block'],
  'other-claim': ['block'],
  'other-configuration': ['block'],
  height: ['block'],
  'first-seq': ['block'],
  cut: ['block'],
  time: ['block'],
  history: ['block'],
  content: ['block'],
  state: ['block'],
};

/** What becomes of a segment. */
export const ofSegments: Record<SegmentReason | 'accepted', true> = {
  accepted: true, 'unknown-source': true, generation: true, duplicate: true, equivocation: true, 'not-at-end': true,
  range: true, 'too-many-records': true, root: true, full: true, 'loss-not-allowed': true,
};

/** What becomes of a checkpoint that counts. */
export const ofCheckpoints: Record<CheckpointVerdict, true> = { consistent: true, older: true, contradicts: true };
