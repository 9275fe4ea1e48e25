/**
 * What a worker knows of one partition it works on: the run it is hashing, and the segments it made that the fold has
 * not taken yet. All of it can be thrown away at any time: the next owner starts at the chain's end.
 *
 *     chain's end in the fold ──► reported, not read back ──► sealed, not reported ──► open run
 *
 * What was hashed last is compared with the partition each time it was found (again), and nothing is reported meanwhile:
 *
 *     finding ── found ──► checking ── same root ──► hashing ── found again ──► checking
 *        │                                              ▲
 *        └────────── found, nothing to compare ─────────┘
 */
import {
  extendEnd, hashToText, index, invariant, minimalPayload, segmentHash, SEGMENT_RECORDS_MAX, SegmentHasher,
  type Chain, type ChainEnd, type Hash, type Offset, type Segment, type TopicPartition,
} from '@plait/core';
import { ChainCheck, isSame, type Reread } from './chain-check.ts';
import { SEGMENT_BYTES_MAX, UNREPORTED_SEGMENTS_MAX } from './limits.ts';
import type { SourceBatch } from './ports.ts';

interface Made {
  readonly segment: Segment;
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
  #phase: 'finding' | 'hashing' | ChainCheck = 'finding';

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
    return this.#phase === 'hashing' && (this.#sealed.length > 0 || this.#readTo > this.#end.nextOffset);
  }

  /** Whether it is so far ahead of its reports that it should not read on. */
  get full(): boolean {
    return this.#sealed.length >= UNREPORTED_SEGMENTS_MAX;
  }

  /** Whether it may read on after it was full. Well below: reading on begins with a comparison. */
  get hasRoom(): boolean {
    return this.#sealed.length <= UNREPORTED_SEGMENTS_MAX / 2;
  }

  /**
   * Takes in that the partition was found (again) and holds records from `logStart` on; where to read now. What was hashed
   * last is read first, if the partition still holds all of it.
   */
  found(logStart: Offset): Offset {
    this.#sealOpen();
    const { last } = this.#end;
    const isThere = last?.kind === 'segment' && last.firstOffset >= logStart;
    this.#phase = isThere ? new ChainCheck(last) : 'hashing';
    return isThere ? last.firstOffset : this.#readTo;
  }

  /**
   * Takes in a batch that goes on where the last one ended. `checked`: the partition holds the same as was hashed last, and is
   * to be read from `readTo` now; a {@link Reread}: it holds something else. Throws `invalid`; what lies before the record at
   * fault was hashed.
   */
  add(batch: SourceBatch): 'hashed' | 'checking' | 'checked' | Reread {
    invariant(this.#phase !== 'finding', 'a batch of a partition that was not found');
    if (this.#phase === 'hashing') return this.#hash(batch);
    const reread = this.#phase.add(batch);
    if (reread === undefined) return 'checking';
    if (!isSame(reread)) return reread;
    this.#phase = 'hashing';
    return 'checked';
  }

  /** Hashes a batch, sealing segments as they fill. */
  #hash(batch: SourceBatch): 'hashed' {
    invariant(batch.firstOffset === this.#readTo, `batch begins at ${batch.firstOffset}, read up to ${this.#readTo}`);
    for (const record of batch.records) {
      this.#readTo = record.offset;
      const payload = minimalPayload(record.payload);
      const tooLarge = this.#hasher.count > 0 && this.#openBytes + payload.length > SEGMENT_BYTES_MAX;
      if (tooLarge || this.#hasher.count === SEGMENT_RECORDS_MAX) this.#seal(record.offset);
      this.#hasher.add(record.offset, record.timestamp, payload);
      this.#openBytes += payload.length;
    }
    this.#readTo = batch.nextOffset;
    return 'hashed';
  }

  /** What was to be read next is gone up to `nextOffset`: a loss takes its place, behind what was hashed. */
  lose(nextOffset: Offset): void {
    this.#sealOpen();
    invariant(nextOffset > this.#readTo, `a loss up to ${nextOffset}, read up to ${this.#readTo}`);
    this.#push({ kind: 'loss', ...this.#range(nextOffset, 1) });
    this.#readTo = nextOffset;
  }

  #sealOpen(): void {
    if (this.#readTo > this.#end.nextOffset) this.#seal(this.#readTo);
  }

  /** Ends the open run below `nextOffset`. */
  #seal(nextOffset: Offset): void {
    this.#push({ kind: 'segment', ...this.#range(nextOffset, this.#hasher.count), root: hashToText(this.#hasher.root()) });
    this.#hasher.reset();
    this.#openBytes = 0;
  }

  /** The range from the end of what was made up to `nextOffset`, which takes `count` indexes. */
  #range(nextOffset: Offset, count: number) {
    const { generation, nextIndex, nextOffset: firstOffset, head: previous } = this.#end;
    return {
      ...this.partition, generation, firstIndex: nextIndex, nextIndex: index(nextIndex + BigInt(count)),
      firstOffset, nextOffset, previous,
    };
  }

  #push(segment: Segment): void {
    this.#sealed.push({ segment, hash: segmentHash(segment) });
    this.#end = extendEnd(this.#end, segment);
  }

  /**
   * The next segment to report, if there is one and the rules leave room: `room` is how many more may wait for a block.
   * It counts as reported from now on. The open run is ended only when nothing is sealed before it. None before the
   * partition was found and compared.
   */
  take(room: number, nowMs: number): Segment | undefined {
    if (this.#phase !== 'hashing' || this.#reported.length >= room) return undefined;
    if (this.#sealed.length === 0) this.#sealOpen();
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
