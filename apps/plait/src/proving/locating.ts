/** Finding where a record stands: in the ledger, or in an index that a server keeps of it. */
import {
  decodeLeaf, isPlaitError, messageHash, formatBlock, minimalPayload, payloadDigest, PlaitError, segmentCount, splitLeaves,
  type Line, type RecordSegment, type Seq,
} from '@plait/core';
import type { Ledger, LedgerSegment, StartPoint } from '@plait/ledger';
import type { KeptBlock, KeptLine, LeafStore } from '@plait/roles';
import type { Place } from './place.ts';

/** What to look for: a seq, a record's place, or the first record of the first block that is not before a time. */
export type Wanted = { readonly seq: bigint } | { readonly timeMs: bigint } | Place;

/** What a record is hashed as, as far as it is at hand. */
export interface LocatedRecord {
  readonly offset: bigint;
  readonly timestamp?: bigint;
  readonly digest?: Uint8Array;
}

/** What was found. */
export interface Located {
  /** `none`: the offset is sequenced, and nobody sees a record there (a transaction marker, an aborted one). */
  readonly kind: 'record' | 'loss' | 'void' | 'gone' | 'none';
  readonly line: Line;
  readonly block: KeptBlock;
  /** Unknown for a place of which only the segment is known. */
  readonly seq?: Seq;
  /** Unknown where the segment has gaps and neither its records nor their leaves are at hand. */
  readonly record?: LocatedRecord;
}

/**
 * In the ledger, whose segment is verified. Throws `missing` if it is not sequenced yet, `config` if it never is, since its
 * topic or partition is not ordered; and as `Ledger.readSegments`.
 */
export async function locateInLedger(ledger: Ledger, wanted: Wanted, signal: AbortSignal): Promise<Located | undefined> {
  const from: StartPoint = wanted;
  try {
    for await (const segment of ledger.readSegments({ from, atEnd: 'fail', onMissing: 'report', signal })) {
      if (segmentCount(segment.segment) > 0n) return foundIn(segment, wanted);
    }
  } catch (error) {
    // Kafka answers: so it is the ledger that ends before.
    if (!isPlaitError(error, 'unavailable') || error.details['nextSeq'] === undefined) throw error;
    // A topic that was a source once has records that are found.
    if ('offset' in wanted) await ledger.requireOrdered(wanted);
    throw new PlaitError('missing', error.message, { details: error.details, cause: error });
  }
  if (signal.aborted) return undefined;
  throw new PlaitError('missing', 'what was asked for is not sequenced yet');
}

function foundIn(found: LedgerSegment, wanted: Wanted): Located {
  const { line, block: header, position } = found;
  const block = { height: header.height, header: messageHash(formatBlock(header)), position, timeMs: header.timeMs };
  const records = found.kind !== 'records' ? undefined
    : found.records.map(({ offset, timestamp, payload }) => ({ offset, timestamp, digest: () => payloadDigest(minimalPayload(payload)) }));
  return locatedIn({ line, block, kind: found.kind }, wanted, records);
}

/** In an index. Throws `missing` if it is not kept there, and as the store. Nothing is compared with the ledger. */
export function locateInLeaves(store: LeafStore, wanted: Wanted): Located {
  const kept = keptLine(store, wanted);
  if (kept === undefined) {
    throw new PlaitError('missing', `what was asked for is not in the leaves: they hold seqs below ${store.nextSeq}`, { details: { nextSeq: String(store.nextSeq) } });
  }
  const { segment } = kept.line;
  const leaves = segment.kind === 'segment' && kept.kind === 'records' ? store.leavesOf(segment) : undefined;
  return locatedIn(kept, wanted, leaves === undefined ? undefined : recordsOf(leaves));
}

function keptLine(store: LeafStore, wanted: Wanted): KeptLine | undefined {
  if ('seq' in wanted) return store.lineOfSeq(wanted.seq);
  if ('offset' in wanted) return store.lineAt(wanted);
  const first = store.lineAtTime(wanted.timeMs);
  // That line may hold no record.
  return first && store.lineOfSeq(first.line.firstSeq);
}

type Records = readonly { readonly offset: bigint; readonly timestamp?: bigint; readonly digest?: () => Uint8Array }[];

function recordsOf(leaves: Uint8Array): Records {
  return splitLeaves(leaves).map((leaf) => {
    const { offset, timestamp, digest } = decodeLeaf(leaf);
    return { offset, timestamp, digest: () => digest };
  });
}

/** What is wanted within a line that holds it. `records` are all of the line's; undefined if they are not at hand. */
function locatedIn({ line, block, kind }: Pick<KeptLine, 'line' | 'block' | 'kind'>, wanted: Wanted, records: Records | undefined): Located {
  const at = 'seq' in wanted ? Number(wanted.seq - line.firstSeq) : 0;
  const seqAt = (i: number): Seq => (line.firstSeq + BigInt(i)) as Seq;
  if (kind === 'loss') return { kind, line, block, seq: line.firstSeq };
  const known = records ?? (line.segment.kind === 'segment' ? denseRecords(line.segment) : undefined);
  const named = kind === 'records' ? 'record' : kind;
  if (!('offset' in wanted)) return { kind: named, line, block, seq: seqAt(at), ...recordAt(known?.[at]) };
  if (known === undefined) return { kind: named, line, block };
  const found = known.findIndex(({ offset }) => offset === wanted.offset);
  if (found < 0) return { kind: 'none', line, block };
  return { kind: named, line, block, seq: seqAt(found), ...recordAt(known[found]) };
}

/** Where a segment has as many records as offsets, each has the next one; one without records has none. */
function denseRecords(segment: RecordSegment): Records | undefined {
  const count = segmentCount(segment);
  if (count > 0n && segment.nextOffset - segment.firstOffset !== count) return undefined;
  return Array.from({ length: Number(count) }, (_, i) => ({ offset: segment.firstOffset + BigInt(i) }));
}

function recordAt(record: Records[number] | undefined): { readonly record?: LocatedRecord } {
  if (record === undefined) return {};
  const { offset, timestamp, digest } = record;
  return { record: { offset, ...(timestamp === undefined ? {} : { timestamp }), ...(digest === undefined ? {} : { digest: digest() }) } };
}
