/** What a role reads in the log that concerns its memory: signs of a later log, and states from which others can start. */
import {
  chunkCount, hashToText, isChunkOf, parseMessage, rangeRoot, verifyNoteSignature,
  type BlockHeader, type Hash, type LedgerState, type LogPosition, type Outcome, type VerifySignature,
} from '@plait/core';

/**
 * Whether an ignored message shows that its signer, who has the right to lead, knows of more than the log holds: a block of
 * the leader's above the next height, or a claim above the next epoch.
 */
export function seemsAhead(value: Uint8Array, outcome: Outcome, state: LedgerState, verify?: VerifySignature): boolean {
  if (outcome.kind !== 'ignored') return false;
  const isCandidate = (outcome.of === 'block' && outcome.reason === 'height') || (outcome.of === 'claim' && outcome.reason === 'epoch');
  if (!isCandidate) return false;
  const message = parseMessage(value);
  if (!message.signed) return false;
  const { body, note } = message;
  if (body.kind === 'block') {
    return body.height > state.height && state.leader !== undefined && verifyNoteSignature(note, state.leader.key, verify);
  }
  const keys = state.configuration.body.coordinatorKeys;
  return body.kind === 'claim' && body.epoch > state.epoch + 1n && keys.some((key) => verifyNoteSignature(note, key, verify));
}

interface Candidate {
  readonly header: BlockHeader;
  /** Of the tree of headers that ends with it. */
  readonly root: Hash;
  readonly chunks: Set<number>;
  isConfirmed: boolean;
}

/** States that are looked at at once; a leader writes the next one only long after the last. */
const CANDIDATES_MAX = 4;

/** Finds the newest state that is complete in the log and confirmed by a checkpoint right behind its header. */
export class ConfirmedStates {
  #candidates: readonly Candidate[] = [];

  /** Takes in an outcome and the state after it. The cut of a state that has just become confirmed and complete, if one has. */
  take(outcome: Outcome, state: LedgerState): LogPosition | undefined {
    if (outcome.kind === 'block' && outcome.header.state !== undefined) {
      const root = hashToText(rangeRoot(state.history));
      this.#candidates = [...this.#candidates, { header: outcome.header, root, chunks: new Set<number>(), isConfirmed: false }].slice(-CANDIDATES_MAX);
    } else if (outcome.kind === 'checkpoint') {
      const { size, root } = outcome.checkpoint;
      for (const each of this.#candidates) each.isConfirmed ||= size === each.header.height + 1n && root === each.root;
    } else if (outcome.kind === 'snapshot') {
      for (const { header, chunks } of this.#candidates) {
        if (header.height === outcome.snapshot.height && isChunkOf(header, outcome.snapshot)) chunks.add(outcome.snapshot.chunk);
      }
    } else return undefined;
    return this.#settled();
  }

  #settled(): LogPosition | undefined {
    const at = this.#candidates.findLastIndex(({ header, chunks, isConfirmed }) => isConfirmed && chunks.size === chunkCount(header.state?.bytes ?? 0));
    const cut = this.#candidates[at]?.header.cut;
    this.#candidates = this.#candidates.slice(at + 1);
    return cut;
  }
}
