/** What an attack is, and what attackers need who know the formats. */
import { apply, emptyState, logPosition, messageHash, parseVerifierKey, utf8Decode, type FoldState, type LedgerState, type MessageKind } from '@plait/core';
import { changeRecord, editPartition, readPartition, type Edit } from './segment-file.ts';
import type { SmallLedger, SmallLedgerOptions } from './small-ledger.ts';

/** One attack, on a ledger of its own that has had three waves and was verified and remembered by an auditor. */
export interface Attack {
  /** As docs/SECURITY.md calls it. */
  readonly name: string;
  readonly ledger?: SmallLedgerOptions;
  /** What is done over Kafka. */
  readonly online?: (ledger: SmallLedger) => Promise<void>;
  /** What is done on the broker's disk, while the broker is down. */
  readonly onDisk?: (ledger: SmallLedger) => Promise<void>;
  /** What is done when the broker is up again. */
  readonly afterwards?: (ledger: SmallLedger) => Promise<void>;
}

/** Waves that each ledger has had when it is attacked. */
export const WAVES = 3;
/** A hash that nothing has. */
export const NONSENSE = messageHash('the root of nothing\n');

/** The state after these messages of the ledger. Throws an Error if there is no genesis among them. */
export function foldOf({ file }: SmallLedger, messages: readonly Uint8Array[]): LedgerState {
  let state: FoldState = emptyState({ origin: file.origin, ledgerKey: parseVerifierKey(file.ledgerKey) });
  for (const [at, message] of messages.entries()) ({ state } = apply(state, logPosition(BigInt(at)), message));
  if (state.kind === 'empty') throw new Error('no genesis');
  return state;
}

/** Which kind a message of ours is. */
export function kindOf(message: Uint8Array): MessageKind {
  const [, kind] = /^plait\.([a-z]+)\//.exec(utf8Decode(message)) ?? [];
  return (kind ?? 'checkpoint') as MessageKind;
}

/** The position of the n-th message of a kind, from 0 on. Throws an Error if there is none. */
export function positionOf(messages: readonly Uint8Array[], kind: MessageKind, n: number): bigint {
  const position = messages.flatMap((message, at) => (kindOf(message) === kind ? [at] : []))[n];
  if (position === undefined) throw new Error(`no ${kind} number ${n}`);
  return BigInt(position);
}

/** The position of the first report of a wave: it stands behind the block of the wave before. */
export function reportOf(messages: readonly Uint8Array[], wave: number): bigint {
  const before = wave === 0 ? 0n : positionOf(messages, 'block', wave - 1);
  const at = messages.findIndex((message, position) => position > before && kindOf(message) === 'report');
  if (at < 0) throw new Error(`no report of wave ${wave}`);
  return BigInt(at);
}

/** Changes the log's file; `edit` gets the messages that are there. */
export async function editLog({ logFolder }: SmallLedger, edit: (messages: readonly Uint8Array[]) => Edit): Promise<void> {
  const records = (await readPartition(logFolder)).flatMap((batch) => batch.records);
  await editPartition(logFolder, edit(records.map(({ payload }) => payload.value ?? new Uint8Array())));
}

/** Puts another message in the place of one. */
export function rewrite(position: bigint, change: (message: Uint8Array) => Uint8Array): Edit {
  return changeRecord(position, ({ payload }) => ({ payload: { ...payload, value: change(payload.value ?? new Uint8Array()) } }));
}

/** The message with another hash in the line that begins so, at the same place. */
export function withOtherHash(prefix: string): (message: Uint8Array) => Uint8Array {
  return (message) => {
    const text = utf8Decode(message);
    const at = text.indexOf(`\n${prefix}`);
    const hash = /[A-Za-z0-9+/]{43}=/g;
    hash.lastIndex = at;
    const found = at < 0 ? undefined : hash.exec(text)?.index;
    if (found === undefined) throw new Error(`no line ${prefix}`);
    return Buffer.from(`${text.slice(0, found)}${NONSENSE}${text.slice(found + NONSENSE.length)}`);
  };
}
