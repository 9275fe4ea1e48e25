/**
 * What a worker knows of one partition it works on: the run it is hashing, and the segments it made that the fold has
 * not taken yet. All of it can be thrown away at any time: the next owner starts at the chain's end.
 *
 *     chain's end in the fold ──► reported, not read back ──► sealed, not reported ──► open run
 */
import {
  extendEnd, hashToText, index, invariant, minimalPayload, offset, segmentHash, SEGMENT_RECORDS_MAX, SegmentHasher,
  type Chain, type ChainEnd, type Hash, type Offset, type RecordSegment, type TopicPartition,
} from '@plait/core';
import { SEGMENT_BYTES_MAX, UNREPORTED_SEGMENTS_MAX } from './limits.ts';
import type { SourceBatch } from './ports.ts';

interface Made {
  readonly segment: RecordSegment;
  readonly hash: Hash;
}

export class PartitionWork {
  readonly partition: TopicPartition;
  readonly #hasher = new SegmentHasher();
  #openBytes = 0;
  /** Where the open run begins, if all that was made before it is taken. */
  #end: ChainEnd;
  /** Up to where the partition was read. */
  #readTo: Offset;
  /** Head of the chain as last seen in the fold. */
  #foldHead: Hash;
  #reported: Made[] = [];
  #sealed: Made[] = [];
  #oldestReportMs = 0;

  /** Starts at the chain's end in the fold: never at a committed offset. */
  constructor(partition: TopicPartition, chain: Chain) {
    this.partition = partition;
    this.#end = chain.end;
    this.#readTo = chain.end.nextOffset;
    this.#foldHead = chain.end.head;
  }

  /** The offset to read next. */
  get readTo(): Offset {
    return this.#readTo;
  }

  /** Whether there is something to report, now or once segments are taken. */
  get unreported(): boolean {
    return this.#sealed.length > 0 || this.#readTo > this.#end.nextOffset;
  }

  /** Whether it is so far ahead of its reports that it should not read on. */
  get full(): boolean {
    return this.#sealed.length >= UNREPORTED_SEGMENTS_MAX;
  }

  /** Hashes a batch that goes on where the last one ended, sealing segments as they fill. Throws `invalid`. */
  add(batch: SourceBatch): void {
    invariant(batch.firstOffset === this.#readTo, `batch begins at ${batch.firstOffset}, read up to ${this.#readTo}`);
    for (const record of batch.records) {
      const payload = minimalPayload(record.payload);
      const tooLarge = this.#hasher.count > 0 && this.#openBytes + payload.length > SEGMENT_BYTES_MAX;
      if (tooLarge || this.#hasher.count === SEGMENT_RECORDS_MAX) this.#seal(record.offset);
      this.#hasher.add(record.offset, record.timestamp, payload);
      this.#openBytes += payload.length;
    }
    this.#readTo = batch.nextOffset;
  }

  /** Ends the open run below `nextOffset`. */
  #seal(nextOffset: Offset): void {
    const { generation, nextIndex, nextOffset: firstOffset, head: previous } = this.#end;
    const segment: RecordSegment = {
      kind: 'segment', ...this.partition, generation,
      firstIndex: nextIndex, nextIndex: index(nextIndex + BigInt(this.#hasher.count)),
      firstOffset, nextOffset: offset(nextOffset), root: hashToText(this.#hasher.root()), previous,
    };
    this.#sealed.push({ segment, hash: segmentHash(segment) });
    this.#end = extendEnd(this.#end, segment);
    this.#hasher.reset();
    this.#openBytes = 0;
  }

  /**
   * The next segment to report, if there is one and the rules leave room: `room` is how many more may wait for a block.
   * It counts as reported from now on. The open run is ended only when nothing is sealed before it.
   */
  take(room: number, nowMs: number): RecordSegment | undefined {
    if (this.#reported.length >= room) return undefined;
    if (this.#sealed.length === 0 && this.#readTo > this.#end.nextOffset) this.#seal(this.#readTo);
    const made = this.#sealed.shift();
    if (made === undefined) return undefined;
    if (this.#reported.length === 0) this.#oldestReportMs = nowMs;
    this.#reported.push(made);
    return made.segment;
  }

  /**
   * Compares with the chain in the fold. `lost`: somebody else extended it, or a configuration restarted it, and what
   * was made here is worthless; `late`: nothing that was reported was read for `patienceMs`.
   */
  reconcile(chain: Chain, options: { nowMs: number; patienceMs: number }): 'good' | 'lost' | 'late' {
    const { head } = chain.end;
    if (head !== this.#foldHead) {
      const taken = this.#reported.findIndex(({ hash }) => hash === head);
      if (taken < 0) return 'lost';
      this.#reported.splice(0, taken + 1);
      this.#foldHead = head;
      this.#oldestReportMs = options.nowMs;
    }
    const waited = this.#reported.length > 0 && options.nowMs - this.#oldestReportMs >= options.patienceMs;
    return waited ? 'late' : 'good';
  }

  /** Whether a segment was reported from here and not read back yet. */
  awaits(hash: Hash): boolean {
    return this.#reported.some((made) => made.hash === hash);
  }
}
