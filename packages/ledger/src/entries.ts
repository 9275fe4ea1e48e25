/** What a program reads: entries in the global order, out of verified segments. */
import {
  decodePayload, index, PlaitError, seq, type Generation, type Height, type Index, type LossSegment, type Offset, type Payload,
  type RecordHeader, type RecordSegment, type Segment, type Seq,
} from '@plait/core';
import type { SourceRecord, VerifiedSegment } from '@plait/roles';

/** A verified segment, and what a reading wants of it. */
export type LedgerSegment = VerifiedSegment & {
  /** The first of its seqs that is wanted. */
  readonly fromSeq: Seq;
  /**
   * For a reading with a group: says that everything up to, not including, `nextSeq` is done (all of the segment if not
   * given). See {@link Entry.commit}.
   */
  commit(nextSeq?: Seq): Promise<void>;
  /** For a reading with a group: whether the partition under which it was read is still this member's. */
  readonly hold?: { readonly state: 'held' | 'unsure' | 'lost' };
};

/** A verified segment that holds records. */
type RecordsSegment = Extract<VerifiedSegment | LedgerSegment, { kind: 'records' }>;

/** What every entry has. */
interface Entry {
  /** In which block it was numbered. `timeMs` is the leader's claim, a lower bound of when it was sequenced, ms since 1970. */
  readonly block: { readonly height: Height; readonly timeMs: bigint };

  /**
   * For a reading with a group: says that this entry and all before it (shared: all before it of its partition) are done,
   * so that the group goes on behind it. Resolves when Kafka has it, at once if a later one was committed already; several
   * at a time cost one request. Not calling it commits nothing.
   *
   * Throws `fenced` when the partition is another member's by now, which reads again what was not committed; `unknown` when
   * it may or may not be committed (try again, or go on: the next commit covers it); `config` without a group, or when the
   * group may not be used.
   */
  commit(): Promise<void>;
}

/**
 * One record and its place. Key, value and headers are decoded when first asked for, so that passing records on costs
 * little; all bytes are slices of what was fetched, and one that is kept keeps up to 16 MiB alive: copy what you keep.
 */
export class LedgerRecord implements Entry {
  readonly kind = 'record';
  readonly #from: RecordsSegment;
  readonly #at: number;
  #decoded: Payload | undefined;

  /** Record `at` of the segment `from`, 0-based and in bounds. */
  constructor(from: RecordsSegment, at: number) {
    this.#from = from;
    this.#at = at;
  }

  /** Place in the global order. */
  get seq(): Seq {
    return seq(this.#from.line.firstSeq + BigInt(this.#at));
  }

  get topic(): string {
    return this.#from.segment.topic;
  }

  get partition(): number {
    return this.#from.segment.partition;
  }

  get generation(): Generation {
    return this.#from.segment.generation;
  }

  /** Place among the visible records of its partition and generation; dense, unlike `offset`. */
  get index(): Index {
    return index(this.#from.segment.firstIndex + BigInt(this.#at));
  }

  get offset(): Offset {
    return this.#record.offset;
  }

  /** Milliseconds since 1970 as the record says; int64, may be −1 or anything a producer wrote. */
  get timestamp(): bigint {
    return this.#record.timestamp;
  }

  get key(): Uint8Array | null {
    return this.#payload.key;
  }

  get value(): Uint8Array | null {
    return this.#payload.value;
  }

  /** In wire order, equal names and all; names are bytes, as Kafka does not check them. */
  get headers(): readonly RecordHeader[] {
    return this.#payload.headers;
  }

  /** Key, value and headers in Kafka's record format v2, as fetched. */
  get payload(): Uint8Array {
    return this.#record.payload;
  }

  get block(): Entry['block'] {
    return this.#from.block;
  }

  /** See the other entries: says that this record and all before it are done. */
  async commit(): Promise<void> {
    await commitOf(this.#from, seq(this.seq + 1n))();
  }

  get #record(): SourceRecord {
    return this.#from.records[this.#at] as SourceRecord;
  }

  get #payload(): Payload {
    return (this.#decoded ??= decodePayload(this.#record.payload));
  }
}

/** A range of offsets whose records were gone before they were hashed, as a worker signed. Takes one seq. */
export interface LossEntry extends Entry {
  readonly kind: 'loss';
  readonly seq: Seq;
  readonly segment: LossSegment;
}

/** Seqs whose records a configuration declared unusable: `seq` up to, not including, `nextSeq`. */
export interface VoidEntry extends Entry {
  readonly kind: 'void';
  readonly seq: Seq;
  readonly nextSeq: Seq;
  /** The whole segment, which may begin below `seq` and end above `nextSeq`. */
  readonly segment: Segment;
}

/**
 * Seqs whose records cannot be checked any more, since some of their segment's can no longer be read: `seq` up to, not
 * including, `nextSeq`. Only with `onMissing: 'report'`.
 */
export interface GoneEntry extends Entry {
  readonly kind: 'gone';
  readonly seq: Seq;
  readonly nextSeq: Seq;
  /** The whole segment, as for void entries. */
  readonly segment: RecordSegment;
  /** Why, for people. */
  readonly why: string;
}

/** What stands at a seq, or at a range of them: told apart by `kind`. */
export type LedgerEntry = LedgerRecord | LossEntry | VoidEntry | GoneEntry;

/** Which seqs are wanted, half-open; without `toSeq` there is no end. */
export interface SeqRange {
  readonly fromSeq?: bigint;
  readonly toSeq?: bigint;
}

/** The seq after a segment's last one. */
export function nextSeqOf({ line }: VerifiedSegment): Seq {
  return seq(line.firstSeq + (line.segment.nextIndex - line.segment.firstIndex));
}

/**
 * The entries of a segment within a range, and within what its reading wants of it, in order; none if they do not meet.
 * O(entries), decodes nothing.
 */
export function entriesOf(verified: VerifiedSegment | LedgerSegment, { fromSeq = 0n, toSeq }: SeqRange = {}): LedgerEntry[] {
  const { firstSeq } = verified.line;
  const wanted = 'fromSeq' in verified ? verified.fromSeq : firstSeq;
  const nextSeq = nextSeqOf(verified);
  const from = fromSeq > wanted ? fromSeq : wanted;
  const to = toSeq !== undefined && toSeq < nextSeq ? toSeq : nextSeq;
  if (from >= to) return [];
  if (verified.kind !== 'records') return [rangeOf(verified, { from: seq(from), to: seq(to) })];

  const entries: LedgerEntry[] = [];
  const end = Number(to - firstSeq);
  for (let at = Number(from - firstSeq); at < end; at += 1) entries.push(new LedgerRecord(verified, at));
  return entries;
}

/** The one entry of a segment that has no records to show. */
function rangeOf(
  verified: Exclude<VerifiedSegment | LedgerSegment, { kind: 'records' }>, { from, to }: { from: Seq; to: Seq },
): LedgerEntry {
  const common = { block: verified.block, commit: commitOf(verified, to) };
  if (verified.kind === 'loss') return { kind: 'loss', seq: from, segment: verified.segment, ...common };
  if (verified.kind === 'void') return { kind: 'void', seq: from, nextSeq: to, segment: verified.segment, ...common };
  return { kind: 'gone', seq: from, nextSeq: to, segment: verified.segment, why: verified.why, ...common };
}

function commitOf(from: VerifiedSegment | LedgerSegment, nextSeq: Seq): () => Promise<void> {
  return 'commit' in from ? () => from.commit(nextSeq) : refuseCommit;
}

/** There is nothing to commit to. */
export async function refuseCommit(): Promise<void> {
  throw new PlaitError('config', 'commit: this reading has no group; give one (`group`) to ledger.read');
}
