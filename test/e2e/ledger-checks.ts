/** Checks a whole ledger anew, from what it promises: order, density, completeness, prefix stability, one leader at a time. */
import { join } from 'node:path';
import {
  apply, emptyState, logPosition, messageHash, parseMessage, parseVerifierKey, type BlockHeader, type FoldState, type Hash,
} from '@plait/core';
import { openLogReader } from '@plait/kafka';
import { openLedger, readLedgerFile, type Ledger, type LedgerFile, type LedgerRecord } from '@plait/ledger';
import { settled } from '../../apps/plait/src/settled.ts';
import { fingerprint, type Memory } from './load.ts';

/** One verified record as a reader saw it: `partition/offset/index/fingerprint`; its place in a list is its seq. */
export type Seen = string;

export interface Verified {
  readonly seen: readonly Seen[];
  /** Headers of all accepted blocks. */
  readonly blocks: readonly BlockHeader[];
  /** Number of accepted claims. */
  readonly claims: number;
}

/** Opens the ledger in `folder`; a busy machine may stand still for as long as a look-up may last. */
export async function open(folder: string, bootstrapServers: string): Promise<Ledger> {
  const file = await readLedgerFile(join(folder, 'ledger.json'));
  return await settled(() => openLedger({ ...file, bootstrapServers }));
}

/**
 * Reads everything from seq 0 and throws at the first entry that is out of place: a gap in seq, an index or offset of a
 * partition out of order, something that is no record, a partition that does not exist.
 */
export async function readAll(folder: string, bootstrapServers: string): Promise<Seen[]> {
  await using ledger = await open(folder, bootstrapServers);
  const order = new OrderCheck();
  for await (const entry of ledger.read({ follow: false })) {
    if (entry.kind !== 'record') throw new Error(`seq ${entry.seq} is a ${entry.kind}`);
    order.add(entry);
  }
  // Whatever it went through: an audit derives the same, and accuses nobody.
  const { verdict, finding, range } = await ledger.verify();
  if (verdict !== 'verified' || range.nextSeq !== BigInt(order.seen.length)) throw new Error(`${verdict} up to seq ${range.nextSeq}: ${finding?.message}`);
  return order.seen;
}

/** Takes entries in turn. */
export class OrderCheck {
  readonly seen: Seen[] = [];
  readonly #ends = new Map<number, { index: bigint; offset: bigint }>();

  add(record: LedgerRecord): void {
    const { seq, partition, index, offset } = record;
    if (seq !== BigInt(this.seen.length)) throw new Error(`seq ${seq} after ${this.seen.length - 1}`);
    const end = this.#ends.get(partition) ?? { index: 0n, offset: -1n };
    if (index !== end.index) throw new Error(`partition ${partition}: index ${index}, wanted ${end.index}, at seq ${seq}`);
    if (offset <= end.offset) throw new Error(`partition ${partition}: offset ${offset} after ${end.offset}, at seq ${seq}`);
    this.#ends.set(partition, { index: index + 1n, offset });
    this.seen.push(`${partition}/${offset}/${index}/${fingerprint(record)}`);
  }
}

/**
 * Throws unless every acknowledged record was seen once with the bytes that were sent, and nothing was seen that was
 * neither acknowledged nor sent without an answer.
 */
export function checkComplete(seen: readonly Seen[], memory: Memory): void {
  const missing = new Map(memory.acknowledged);
  for (const [seq, text] of seen.entries()) {
    const [partition, offset, , print = ''] = splitSeen(text);
    const place = `${partition}/${offset}`;
    const wanted = missing.get(place);
    if (wanted === undefined ? !memory.unanswered.has(print) : wanted !== print) {
      throw new Error(`seq ${seq}, ${place}: not what was produced there`);
    }
    missing.delete(place);
  }
  if (missing.size > 0) throw new Error(`${missing.size} acknowledged records are not in the ledger, the first is ${[...missing.keys()][0]}`);
}

function splitSeen(text: Seen): string[] {
  // A fingerprint is base64 and may hold slashes.
  const [partition = '', offset = '', index = '', ...rest] = text.split('/');
  return [partition, offset, index, rest.join('/')];
}

/** Throws unless `earlier` is what `later` begins with. */
export function checkPrefix(earlier: readonly Seen[], later: readonly Seen[]): void {
  if (earlier.length > later.length) throw new Error(`an earlier reader saw ${earlier.length} records, a later one ${later.length}`);
  const at = earlier.findIndex((text, i) => text !== later[i]);
  if (at >= 0) throw new Error(`seq ${at} was ${earlier[at]} and is ${later[at]}`);
}

/**
 * Folds the log from its beginning and throws if a block counted whose claim was not the newest accepted one, if two texts
 * were signed for one claim and height, or if heights or first seqs are not dense.
 */
export async function checkBlocks(file: LedgerFile, bootstrapServers: string): Promise<Pick<Verified, 'blocks' | 'claims'>> {
  const reader = await openLogReader({ kafka: { brokers: bootstrapServers.split(',') }, topic: file.log, from: logPosition(0n) });
  let state: FoldState = emptyState({ origin: file.origin, ledgerKey: parseVerifierKey(file.ledgerKey) });
  let claim: Hash | undefined;
  let claims = 0;
  const blocks: BlockHeader[] = [];
  const signed = new Map<string, Hash>();
  try {
    const end = await reader.end();
    while (reader.position() < end) {
      for (const { position, value } of await reader.poll({ maxWaitMs: 1_000 })) {
        oneTextForEachHeight(signed, value);
        const applied = apply(state, position, value);
        state = applied.state;
        const { outcome } = applied;
        if (outcome.kind === 'configuration') claim = undefined;
        if (outcome.kind === 'claim') {
          claim = outcome.hash;
          claims += 1;
        }
        if (outcome.kind !== 'block') continue;
        if (claim === undefined || outcome.header.claim !== claim) throw new Error(`block ${outcome.header.height} at ${position} is of a fenced claim, and counted`);
        blocks.push(outcome.header);
      }
    }
  } finally {
    await reader.close();
  }
  checkHeaders(blocks);
  return { blocks, claims };
}

function oneTextForEachHeight(signed: Map<string, Hash>, value: Uint8Array): void {
  let message;
  try {
    message = parseMessage(value);
  } catch {
    return;
  }
  if (!message.signed || message.body.kind !== 'block') return;
  const hash = messageHash(message.note.text);
  const place = `${message.body.claim} ${message.body.height}`;
  const before = signed.get(place) ?? hash;
  if (before !== hash) throw new Error(`two texts for height ${message.body.height} of one claim`);
  signed.set(place, hash);
}

function checkHeaders(blocks: readonly BlockHeader[]): void {
  let nextSeq = 0n;
  for (const [i, { height, firstSeq, records }] of blocks.entries()) {
    if (height !== BigInt(i) || firstSeq !== nextSeq) throw new Error(`block ${i} has height ${height} and first seq ${firstSeq}, wanted ${nextSeq}`);
    nextSeq += records;
  }
}

/** The longest time between two blocks after `sinceMs`, by their own times, ms; infinite if none came. */
export function longestGapMs(blocks: readonly BlockHeader[], sinceMs: number): number {
  const times = blocks.map(({ timeMs }) => Number(timeMs));
  const first = times.findIndex((timeMs) => timeMs > sinceMs);
  if (first < 0) return Number.POSITIVE_INFINITY;
  let longest = times[first] === undefined ? 0 : times[first] - Math.min(sinceMs, times[first - 1] ?? sinceMs);
  for (let i = first + 1; i < times.length; i += 1) longest = Math.max(longest, (times[i] ?? 0) - (times[i - 1] ?? 0));
  return longest;
}
