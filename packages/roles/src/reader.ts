/**
 * The reader: folds the log, fetches the records of each line in turn, recomputes everything, and hands out segments in
 * the global order. A segment is verified before any of its records is handed out.
 */
import {
  hashToText, isPlaitError, minimalPayload, partitionName, PlaitError, segmentCount, SegmentHasher,
  type BlockHeader, type ErrorDetails, type LedgerState, type Line, type LossSegment, type Outcome, 
  type RecordSegment, type Segment, type Seq, type TopicPartition, type VoidRange,
} from '@plait/core';
import { Follower, type FollowerOptions } from './follower.ts';
import { DEFAULT_TIMES, IDLE_WAIT_MS, PROBE_WAIT_MS, type RoleTimes } from './limits.ts';
import type { Clock, SourceOutOfRange, SourceReader, SourceRecord } from './ports.ts';
import { RecordBuffer } from './record-buffer.ts';

/** What a reader needs. */
export interface ReaderOptions extends FollowerOptions {
  readonly source: SourceReader;
  readonly clock: Clock;
  /** The first seq that is wanted; 0 if not given. */
  readonly fromSeq?: Seq;
  readonly times?: Partial<RoleTimes>;
}

/** Where a line stands. */
interface Numbered {
  readonly line: Line;
  readonly block: BlockHeader;
}

/** A line whose records were re-hashed and match, or that has none to show. */
export type VerifiedSegment =
  | (Numbered & {
      readonly kind: 'records';
      readonly segment: RecordSegment;
      /** Record i has seq `line.firstSeq + i` and index `segment.firstIndex + i`. */
      readonly records: readonly SourceRecord[];
    })
  | (Numbered & { readonly kind: 'loss'; readonly segment: LossSegment })
  /** Declared unusable by a configuration; its seqs stay, its records are not looked at. */
  | (Numbered & { readonly kind: 'void'; readonly segment: Segment });

/** Reads one ledger in its global order, verified; each step gives at most one segment. */
export class Reader {
  readonly #options: ReaderOptions;
  readonly #times: RoleTimes;
  readonly #follower: Follower;
  readonly #fromSeq: bigint;
  readonly #hasher = new SegmentHasher();
  readonly #buffers = new Map<string, RecordBuffer>();
  #queue: Numbered[] = [];
  #queueStart = 0;
  /** Since when nothing came for the line in front. */
  #nothingSinceMs: number | undefined;
  /** What was found wrong with the line in front, until the log was read to its end. */
  #finding: PlaitError | undefined;

  constructor(options: ReaderOptions) {
    this.#options = options;
    this.#times = { ...DEFAULT_TIMES, ...options.times };
    this.#follower = new Follower(options, ({ outcome }) => this.#absorb(outcome));
    this.#fromSeq = options.fromSeq ?? 0n;
  }

  /** The fold of what this reader has read; undefined before genesis. */
  get state(): LedgerState | undefined {
    return this.#follower.state;
  }

  /** Whether every line that was read from the log has been handed out. */
  get drained(): boolean {
    return this.#queueStart === this.#queue.length;
  }

  /**
   * The next segment in the global order, or undefined if it cannot be told yet (call again). The first one may begin
   * below `fromSeq`.
   *
   * Throws `invalid` when the records differ from what was hashed, with topic, partition, offset and seq range; `missing`
   * when they are below the partition's log start, so that nobody can tell; both only after the log was read to its end.
   * `unavailable`, also while a partition gives nothing though brokers answer. And what the ports and the fold throw.
   */
  async step(): Promise<VerifiedSegment | undefined> {
    if (this.drained) await this.#follower.poll(IDLE_WAIT_MS);
    const next = this.#queue[this.#queueStart];
    if (next === undefined) return undefined;
    const verified = await (this.#finding === undefined ? this.#examine(next) : this.#judge(next, this.#finding));
    if (verified !== undefined) this.#advance();
    return verified;
  }

  async #examine(next: Numbered): Promise<VerifiedSegment | undefined> {
    try {
      return await this.#resolve(next);
    } catch (error) {
      if (!isPlaitError(error, 'invalid') && !isPlaitError(error, 'missing')) throw error;
      this.#finding = error;
      return await this.#judge(next, error);
    }
  }

  /**
   * Nothing is called wrong or gone before the log was read to its end: the newest configuration may have declared it
   * void. The finding is kept meanwhile, also while no broker answers, since the records were taken and are not found twice.
   */
  async #judge(next: Numbered, finding: PlaitError): Promise<VerifiedSegment | undefined> {
    if (!(await this.#follower.readToEnd())) return undefined;
    const { segment } = next.line;
    if (!this.#isVoid(segment)) throw finding;
    return { kind: 'void', segment, ...next };
  }

  #advance(): void {
    this.#queueStart += 1;
    this.#nothingSinceMs = undefined;
    this.#finding = undefined;
    if (this.#queueStart * 2 < this.#queue.length) return;
    this.#queue = this.#queue.slice(this.#queueStart);
    this.#queueStart = 0;
  }

  #absorb(outcome: Outcome): void {
    if (outcome.kind !== 'block') return;
    for (const line of outcome.lines) {
      if (line.firstSeq + segmentCount(line.segment) <= this.#fromSeq) continue;
      this.#queue.push({ line, block: outcome.header });
      this.#prefetch(line.segment);
    }
  }

  /** Begins to read a partition at the first line that needs it, long before that line's turn. */
  #prefetch(segment: Segment): void {
    const name = partitionName(segment);
    if (segment.kind !== 'segment' || this.#buffers.has(name)) return;
    this.#seek(segment);
  }

  #seek(segment: Segment): RecordBuffer {
    const buffer = new RecordBuffer(segment.firstOffset);
    this.#buffers.set(partitionName(segment), buffer);
    this.#options.source.seek(partitionOf(segment), segment.firstOffset);
    return buffer;
  }

  async #resolve(next: Numbered): Promise<VerifiedSegment | undefined> {
    const { segment } = next.line;
    if (this.#isVoid(segment)) return { kind: 'void', segment, ...next };
    if (segment.kind === 'loss') return { kind: 'loss', segment, ...next };
    const known = this.#buffers.get(partitionName(segment));
    const buffer = known?.firstOffset === segment.firstOffset ? known : this.#seek(segment);
    if (buffer.nextOffset < segment.nextOffset) await this.#fetch(segment, buffer, next.line);
    if (buffer.nextOffset < segment.nextOffset) return undefined;
    const records = buffer.take(segment.nextOffset);
    this.#verify(segment, records, next);
    return { kind: 'records', segment, records, ...next };
  }

  async #fetch(segment: RecordSegment, buffer: RecordBuffer, line: Line): Promise<void> {
    const only = partitionOf(segment);
    const events = await this.#options.source.poll({ maxWaitMs: IDLE_WAIT_MS, only });
    for (const event of events) {
      if (event.kind === 'out-of-range') return this.#outOfRange(event, segment, line);
      // A reader never asks for `found`.
      if (event.kind === 'records') buffer.add(event);
      this.#nothingSinceMs = undefined;
    }
    if (events.length === 0 && this.#waitedMs() >= this.#times.beyondEndMs) await this.#probe(segment, line);
  }

  /** How long nothing came for the line in front, counting from the first time it is asked. */
  #waitedMs(): number {
    const nowMs = this.#options.clock.nowMs();
    this.#nothingSinceMs ??= nowMs;
    return nowMs - this.#nothingSinceMs;
  }

  /**
   * Kafka says nothing of a partition that ends right where the fetch begins: it waits for more. So the segment's end is
   * asked for, which is out of range iff the partition ends below it.
   */
  async #probe(segment: RecordSegment, line: Line): Promise<void> {
    const only = partitionOf(segment);
    this.#options.source.seek(only, segment.nextOffset);
    const [event] = await this.#options.source.poll({ maxWaitMs: PROBE_WAIT_MS, only });
    if (event?.kind === 'out-of-range') return this.#outOfRange(event, segment, line);
    this.#nothingSinceMs = undefined;
    this.#seek(segment);
  }

  #outOfRange(event: SourceOutOfRange, segment: RecordSegment, line: Line): void {
    const place = placeOf(line, { held: `${event.logStart} … ${event.end}` });
    if (segment.firstOffset < event.logStart) {
      throw new PlaitError('missing', `${describe(segment)} is no longer in the partition, which begins at offset ` +
        `${event.logStart}: its records cannot be checked`, { details: place });
    }
    if (this.#waitedMs() >= this.#times.beyondEndMs) {
      throw new PlaitError('invalid', `${describe(segment)} lies beyond the partition's end at offset ${event.end}: ` +
        'sequenced records are missing', { details: place });
    }
    this.#seek(segment);
  }

  /** Every record of the segment is hashed again, and all of them must give its root. */
  #verify(segment: RecordSegment, records: readonly SourceRecord[], { line }: Numbered): void {
    const expected = `${segmentCount(segment)} records with root ${segment.root}`;
    const found = `${records.length} records with root ${this.#rootOf(records)}`;
    if (found === expected) return;
    throw new PlaitError('invalid', `${describe(segment)} differs from what was hashed: expected ${expected}, found ${found}`, {
      details: placeOf(line, { expected, found }),
    });
  }

  /** The root over the records' leaves, or why there is none. */
  #rootOf(records: readonly SourceRecord[]): string {
    this.#hasher.reset();
    try {
      for (const record of records) this.#hasher.add(record.offset, record.timestamp, minimalPayload(record.payload));
    } catch (error) {
      if (!isPlaitError(error, 'invalid')) throw error;
      return `none (${error.message})`;
    }
    return hashToText(this.#hasher.root());
  }

  /** A segment is void iff void ranges cover it wholly. The newest configuration that was read decides. */
  #isVoid(segment: Segment): boolean {
    const ranges = this.state?.configuration.body.voids ?? [];
    return ranges.length > 0 && coveredBy(ranges, segment);
  }
}

function coveredBy(ranges: readonly VoidRange[], segment: Segment): boolean {
  let next: bigint = segment.firstIndex;
  // Ranges are sorted and do not overlap, so one pass finds a cover if there is one.
  for (const range of ranges) {
    const ofChain = range.topic === segment.topic && range.partition === segment.partition &&
      range.generation === segment.generation;
    if (ofChain && range.firstIndex <= next && next < range.nextIndex) next = range.nextIndex;
  }
  return next > segment.firstIndex && next >= segment.nextIndex;
}

function partitionOf({ topic, partition }: TopicPartition): TopicPartition {
  return { topic, partition };
}

function describe({ topic, partition, firstOffset, nextOffset }: Segment): string {
  return `${topic}/${partition} offsets ${firstOffset} … ${nextOffset}`;
}

function placeOf({ firstSeq, segment }: Line, more: ErrorDetails): ErrorDetails {
  return {
    topic: segment.topic, partition: segment.partition, generation: String(segment.generation),
    firstOffset: String(segment.firstOffset), nextOffset: String(segment.nextOffset),
    firstSeq: String(firstSeq), nextSeq: String(firstSeq + segmentCount(segment)), ...more,
  };
}
