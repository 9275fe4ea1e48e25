/**
 * What a golden history's file says, and how to read it. A history is what one log holds, with what every reader must
 * make of it: outcome and state hash after each message. The files are frozen: `generate.ts` writes new ones only.
 */
import {
  apply, base64Decode, emptyState, encodeLine, isPlaitError, logPosition, parseVerifierKey, stateHash, utf8Encode,
} from '@plait/core';
import type { FoldState, Outcome } from '@plait/core';

/** A message's bytes: text, or text with runs of lines that only a number tells apart, or base64 where it is not UTF-8. */
export type Bytes = { readonly text: string } | { readonly parts: readonly Part[] } | { readonly base64: string };

/** As it stands; or `repeat` once for every n from `from` below `below`, each `{n}` in it replaced by n. */
export type Part = string | { readonly repeat: string; readonly from: number; readonly below: number };

export type Step = { readonly position: string } & Bytes & {
  readonly outcome: Expected;
  /** SHA-256 of the state's text after the message; null before the first accepted genesis and after a stop. */
  readonly stateHash: string | null;
};

/** An {@link Outcome} as JSON. Reports: `accepted` or the reason of each segment. Blocks: their lines as hashed. */
export type Expected =
  | { readonly kind: 'genesis' | 'configuration'; readonly hash: string; readonly version: string }
  | { readonly kind: 'claim'; readonly hash: string; readonly epoch: string; readonly key: string }
  | { readonly kind: 'report'; readonly hash: string; readonly key: string; readonly segments: readonly string[] }
  | { readonly kind: 'block'; readonly hash: string; readonly height: string; readonly lines: readonly string[] }
  | { readonly kind: 'checkpoint'; readonly size: string; readonly verdict: string }
  | { readonly kind: 'snapshot'; readonly height: string; readonly chunk: number }
  | { readonly kind: 'ignored'; readonly of: string; readonly reason: string }
  | { readonly kind: 'stop'; readonly code: string };

export interface History {
  readonly title: string;
  readonly why: string;
  readonly origin: string;
  /** Verifier key of the ledger, as everybody is given it. */
  readonly ledgerKey: string;
  /** The newest version of the rules that its reader knows: above it a configuration is a stop. 1 if not said. */
  readonly knows?: number;
  readonly messages: readonly Step[];
}

/** The bytes of a message. */
export function bytesOf(message: Bytes): Uint8Array {
  if ('base64' in message) return base64Decode(message.base64);
  return utf8Encode('text' in message ? message.text : message.parts.map(spell).join(''));
}

function spell(part: Part): string {
  if (typeof part === 'string') return part;
  const numbers = Array.from({ length: part.below - part.from }, (_, i) => String(part.from + i));
  return numbers.map((n) => part.repeat.replaceAll('{n}', n)).join('');
}

/** An outcome as its file has it. */
export function expectedOf(outcome: Outcome): Expected {
  switch (outcome.kind) {
    case 'genesis':
      return { kind: 'genesis', hash: outcome.hash, version: '0' };
    case 'configuration':
      return { kind: 'configuration', hash: outcome.hash, version: `${outcome.configuration.version}` };
    case 'claim':
      return { kind: 'claim', hash: outcome.hash, epoch: `${outcome.claim.epoch}`, key: outcome.key };
    case 'report':
      return {
        kind: 'report', hash: outcome.hash, key: outcome.key,
        segments: outcome.segments.map((segment) => (segment.accepted ? 'accepted' : segment.reason)),
      };
    case 'block':
      return {
        kind: 'block', hash: outcome.hash, height: `${outcome.header.height}`,
        lines: outcome.lines.map((line) => new TextDecoder().decode(encodeLine(line))),
      };
    case 'checkpoint':
      return { kind: 'checkpoint', size: `${outcome.checkpoint.size}`, verdict: outcome.verdict };
    case 'snapshot':
      return { kind: 'snapshot', height: `${outcome.snapshot.height}`, chunk: outcome.snapshot.chunk };
    default:
      return { kind: 'ignored', of: outcome.of, reason: outcome.reason };
  }
}

/** One message folded: what the file must say of it, and the state to go on with. */
export function fold(state: FoldState, position: bigint, bytes: Uint8Array, rulesMax: number): { state: FoldState; expected: Expected; hash: string | null } {
  try {
    const applied = apply(state, logPosition(position), bytes, { rulesMax });
    const hash = applied.state.kind === 'empty' ? null : stateHash(applied.state);
    return { state: applied.state, expected: expectedOf(applied.outcome), hash };
  } catch (error) {
    if (!isPlaitError(error)) throw error;
    return { state, expected: { kind: 'stop', code: error.code }, hash: null };
  }
}

/** Outcome and state hash after each message of a history, computed anew. */
export function replay(history: History): { position: string; outcome: Expected; stateHash: string | null }[] {
  let state: FoldState = emptyState({ origin: history.origin, ledgerKey: parseVerifierKey(history.ledgerKey) });
  return history.messages.map((message) => {
    const { state: next, expected, hash } = fold(state, BigInt(message.position), bytesOf(message), history.knows ?? 1);
    state = next;
    return { position: message.position, outcome: expected, stateHash: hash };
  });
}
