/** What a program reads: entries in the global order, out of verified segments. */
import {
  decodePayload, index, seq, type Generation, type Height, type Index, type LossSegment, type Offset, type Payload,
  type RecordHeader, type Segment, type Seq,
} from '@plait/core';
import type { SourceRecord, VerifiedSegment } from '@plait/roles';

/** A verified segment that holds records. */
type RecordsSegment = Extract<VerifiedSegment, { kind: 'records' }>;

/** In which block an entry was numbered. */
interface InBlock {
  /** `timeMs` is the leader's claim, a lower bound of when it was sequenced, ms since 1970. */
  readonly block: { readonly height: Height; readonly timeMs: bigint };
}

/**
 * One record and its place. Key, value and headers are decoded when first asked for, so that passing records on costs
 * little; all bytes are slices of what was fetched, and one that is kept keeps up to 16 MiB alive: copy what you keep.
 */
export class LedgerRecord implements InBlock {
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

  get block(): InBlock['block'] {
    return this.#from.block;
  }

  get #record(): SourceRecord {
    return this.#from.records[this.#at] as SourceRecord;
  }

  get #payload(): Payload {
    return (this.#decoded ??= decodePayload(this.#record.payload));
  }
}

/** A range of offsets whose records were gone before they were hashed, as a worker signed. Takes one seq. */
export interface LossEntry extends InBlock {
  readonly kind: 'loss';
  readonly seq: Seq;
  readonly segment: LossSegment;
}

/** Seqs whose records a configuration declared unusable: `seq` up to, not including, `nextSeq`. */
export interface VoidEntry extends InBlock {
  readonly kind: 'void';
  readonly seq: Seq;
  readonly nextSeq: Seq;
  /** The whole segment, which may begin below `seq` and end above `nextSeq`. */
  readonly segment: Segment;
}

/** One entry of the global order: told apart by `kind`. */
/** What stands at a seq, or at a range of them. */
export type LedgerEntry = LedgerRecord | LossEntry | VoidEntry;

/** Which seqs are wanted, half-open; without `toSeq` there is no end. */
export interface SeqRange {
  readonly fromSeq?: bigint;
  readonly toSeq?: bigint;
}

/** The seq after a segment's last one. */
export function nextSeqOf({ line }: VerifiedSegment): Seq {
  return seq(line.firstSeq + (line.segment.nextIndex - line.segment.firstIndex));
}

/** The entries of a verified segment within a range, in order; none if they do not meet. O(entries), decodes nothing. */
export function entriesOf(verified: VerifiedSegment, { fromSeq = 0n, toSeq }: SeqRange = {}): LedgerEntry[] {
  const { firstSeq } = verified.line;
  const nextSeq = nextSeqOf(verified);
  const from = fromSeq > firstSeq ? fromSeq : firstSeq;
  const to = toSeq !== undefined && toSeq < nextSeq ? toSeq : nextSeq;
  if (from >= to) return [];
  const { block } = verified;
  if (verified.kind === 'loss') return [{ kind: 'loss', seq: firstSeq, segment: verified.segment, block }];
  if (verified.kind === 'void') return [{ kind: 'void', seq: seq(from), nextSeq: seq(to), segment: verified.segment, block }];

  const entries: LedgerEntry[] = [];
  const end = Number(to - firstSeq);
  for (let at = Number(from - firstSeq); at < end; at += 1) entries.push(new LedgerRecord(verified, at));
  return entries;
}
