/** Valid messages and states to start from, out of the golden histories. */
import { readdirSync, readFileSync } from 'node:fs';
import {
  apply, emptyState, encodeState, isPlaitError, logPosition, parseMessage, parseVerifierKey, utf8Decode, type FoldState, type LedgerState, type Message,
} from '@plait/core';
import { bytesOf, type History } from '../vectors/histories/format.ts';

const folder = new URL('../vectors/histories/', import.meta.url);
const histories = readdirSync(folder).filter((name) => name.endsWith('.json')).map((name) => JSON.parse(readFileSync(new URL(name, folder), 'utf8')) as History);

/** A message of a history, as its bytes have it. */
export interface Sample {
  readonly kind: Message['body']['kind'];
  /** The whole note, or the snapshot. */
  readonly text: string;
  /** Without signatures. */
  readonly body: string;
}

/** Messages that a parser takes, the same one only once; at most `max` of a kind, the short ones. */
export function sampleMessages(max: number): readonly Sample[] {
  const found = new Map<string, Sample>();
  for (const step of histories.flatMap(({ messages }) => messages)) {
    if (!('text' in step) || step.text.length > 4_000) continue;
    const message = parsed(bytesOf(step));
    if (message === undefined) continue;
    found.set(step.text, { kind: message.body.kind, text: step.text, body: message.signed ? message.note.text : step.text });
  }
  const counts = new Map<string, number>();
  return [...found.values()].filter(({ kind }) => {
    const count = (counts.get(kind) ?? 0) + 1;
    counts.set(kind, count);
    return count <= max;
  });
}

/** The message of the bytes; undefined if they are `invalid`. Any other error is a bug. */
function parsed(bytes: Uint8Array): Message | undefined {
  try {
    return parseMessage(bytes);
  } catch (error) {
    if (!isPlaitError(error, 'invalid')) throw error;
    return undefined;
  }
}

/** The state after each history that ends with one, small ones. */
export function sampleStates(): readonly LedgerState[] {
  return histories.map(lastState).filter((state) => state.kind === 'ledger').filter((state) => encodeState(state).length < 8_000);
}

/** As text. */
export const stateText = (state: LedgerState): string => utf8Decode(encodeState(state));

function lastState({ origin, ledgerKey, messages }: History): FoldState {
  let state: FoldState = emptyState({ origin, ledgerKey: parseVerifierKey(ledgerKey) });
  for (const message of messages.filter(({ outcome }) => outcome.kind !== 'stop')) {
    ({ state } = apply(state, logPosition(BigInt(message.position)), bytesOf(message)));
  }
  return state;
}
