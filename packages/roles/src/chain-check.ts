/**
 * Whether a partition still holds what was hashed of it: the newest segment that holds records is read again, and its root
 * compared, before anything is added behind it.
 *
 * What it covers. A worker asks for `found` (see {@link SourceReader.find}) whenever it starts with a partition, and is told
 * again whenever the partition may have become another one. A topic that was truncated, restored from a copy, or deleted and
 * made anew has another root there, or ends below what was read, and is never extended.
 *
 * What it does not cover. Records before that segment are not read again. Nothing can be told once the segment is below the
 * log's start, or if the chain holds no record yet. And Kafka's fetches name a topic by its name: one that is deleted, made
 * anew and filled beyond the offset to be read next, all between two fetches of one connection, is not noticed until the
 * next loss of the connection or change of its leader. Readers recompute every record, so what slips through here is found
 * by them.
 */
import {
  hashToText, invariant, minimalPayload, segmentCount, SegmentHasher, type Hash, type Offset, type RecordSegment,
} from '@plait/core';
import type { SourceBatch } from './ports.ts';

/** What the partition holds where a segment was hashed. */
export interface Reread {
  readonly segment: RecordSegment;
  readonly records: bigint;
  readonly root: Hash;
}

/** One segment that is read again, once. */
export class ChainCheck {
  readonly #segment: RecordSegment;
  readonly #hasher = new SegmentHasher();
  #readTo: Offset;

  constructor(segment: RecordSegment) {
    this.#segment = segment;
    this.#readTo = segment.firstOffset;
  }

  /** Takes in a batch that goes on where the last one ended; what was found once the whole segment was read. Throws `invalid`. */
  add(batch: SourceBatch): Reread | undefined {
    invariant(batch.firstOffset === this.#readTo, `batch begins at ${batch.firstOffset}, read again up to ${this.#readTo}`);
    const segment = this.#segment;
    for (const record of batch.records) {
      if (record.offset >= segment.nextOffset) break;
      this.#hasher.add(record.offset, record.timestamp, minimalPayload(record.payload));
    }
    this.#readTo = batch.nextOffset;
    if (batch.nextOffset < segment.nextOffset) return undefined;
    return { segment, records: BigInt(this.#hasher.count), root: hashToText(this.#hasher.root()) };
  }
}

/** Whether the partition still holds the records of the segment. */
export function isSame({ segment, records, root }: Reread): boolean {
  return records === segmentCount(segment) && root === segment.root;
}

/** What differs, for people. */
export function describeOther({ segment, records, root }: Reread, name: string): string {
  return `${name}: offsets ${segment.firstOffset} … ${segment.nextOffset} are other records than were hashed: expected ` +
    `${segmentCount(segment)} with root ${segment.root}, found ${records} with root ${root}`;
}
