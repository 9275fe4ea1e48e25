/** Messages that no honest role writes: well-formed, of this ledger, by keys in force, and wrong. */
import {
  appendLeaf, commitState, encodeState, epoch, formatBlock, formatCheckpoint, formatClaim, formatSnapshot, hashToText, headerLeafHash,
  makeSnapshots, rangeRoot, sealBlock, seq, signNote, stateAt, utf8Encode, type LedgerState,
} from '@plait/core';
import { COORDINATOR_KEYS, ORIGIN, WORKER_KEYS } from './keyring.ts';
import type { Prng } from './prng.ts';

/** A leader's key writes a block that is right in everything but its content; undefined while nobody leads. */
export function lieOfLeader(state: LedgerState, random: Prng): Uint8Array | undefined {
  const key = COORDINATOR_KEYS.find((each) => each.verifier.vkey === state.leader?.key.vkey);
  if (key === undefined) return undefined;
  const honest = sealBlock(state, { cut: state.position, wallMs: Number(state.timeMs) });
  const root = hashToText(random.bytes(32));
  const lie = random.pick([{ root }, { records: honest.records + 1n }, { segments: honest.segments + 1 }]);
  return signNote(formatBlock({ ...honest, ...lie }), key);
}

/** A coordinator's key claims an epoch that is not the next, after the right claim. */
export function claimOutOfTurn({ origin, ledgerId, follows, ...state }: LedgerState, random: Prng): Uint8Array {
  const wrong = epoch(state.epoch + BigInt(random.pick([0, 2, 7])));
  return signNote(formatClaim({ kind: 'claim', origin, ledgerId, epoch: wrong, follows, nonce: '0'.repeat(32) }), COORDINATOR_KEYS[1]);
}

/**
 * A leader's key commits to a state that is not the fold's, all its chunks follow, and a worker's key confirms it: everything
 * that a cold start asks for, but for the signature of a checkpoint key. None while nobody leads.
 */
export function forgedSnapshot(state: LedgerState, random: Prng): readonly Uint8Array[] {
  const key = COORDINATOR_KEYS.find((each) => each.verifier.vkey === state.leader?.key.vkey);
  if (key === undefined) return [];
  const truth = stateAt(state, state.tip);
  const lie: LedgerState = { ...truth, nextSeq: seq(truth.nextSeq + 1n + BigInt(random.int(1_000))) };
  const bytes = encodeState(lie);
  const header = { ...sealBlock(lie, { cut: lie.position, wallMs: Number(state.timeMs) }), state: commitState(bytes) };
  const text = formatBlock(header);
  const root = hashToText(rangeRoot(appendLeaf(lie.history, headerLeafHash(text))));
  const checkpoint = formatCheckpoint({ kind: 'checkpoint', origin: ORIGIN, size: header.height + 1n, root });
  const chunks = makeSnapshots(header, bytes).map((chunk) => utf8Encode(formatSnapshot(chunk)));
  return [signNote(text, key), ...chunks, signNote(checkpoint, WORKER_KEYS[0])];
}
