/**
 * What a partition holds where a line says something of it: its records are fetched and hashed again, and a loss is looked
 * for. What the newest configuration makes of that, others decide.
 */
import {
  hashToText, isPlaitError, LEAF_BYTES, minimalPayload, offset, partitionName, PlaitError, segmentCount, SegmentHasher,
  type Line, type LossSegment, type Offset, type RecordSegment, type Segment, type TopicPartition,
} from '@plait/core';
import type { LineFinding } from './audit-types.ts';
import { IDLE_WAIT_MS, PROBE_WAIT_MS } from './limits.ts';
import type { Clock, SourceOutOfRange, SourceReader, SourceRecord } from './ports.ts';
import { belowStart, beyondEnd, differs, falseLoss, silent, tooMany, unreadable, type Held } from './reader-findings.ts';
import { RecordBuffer } from './record-buffer.ts';

/** What looking at records needs. */
export interface LineRecordsOptions {
  readonly source: SourceReader;
  readonly clock: Clock;
  /** See RoleTimes. */
  readonly beyondEndMs: number;
  /** Whether a generation after the segment's has begun, as far as is known. */
  readonly hasEnded: (segment: Segment) => boolean;
  /** Whether the topic is a source still; undefined if that cannot be told yet. Asked only of a partition that gives nothing. */
  readonly isSource: (topic: string) => Promise<boolean | undefined>;
  /** Whether the leaves of records are handed out with them. Default false. */
  readonly withLeaves?: boolean;
}

/** The records of a line, all of them those that were hashed; or a loss that seems right; or what is wrong. */
export type LineContent =
  | { readonly kind: 'records'; readonly segment: RecordSegment; readonly records: readonly SourceRecord[]; readonly leaves?: Uint8Array }
  | { readonly kind: 'loss'; readonly segment: LossSegment }
  | { readonly kind: 'wrong'; readonly finding: LineFinding };

/** Looks at lines one after the other, those of a partition in order. One caller at a time. */
export class LineRecords {
  readonly #options: LineRecordsOptions;
  readonly #hasher = new SegmentHasher();
  readonly #buffers = new Map<string, RecordBuffer>();
  /** Where partitions begin, as far as they told, by generation (one made anew begins at 0 again): all below is gone. */
  readonly #logStarts = new Map<string, Offset>();
  /** The line that was asked for last. */
  #front: Line | undefined;
  /** A line that is all there, as its partition said when it was asked: its records only have not come yet. */
  #heldLine: Line | undefined;
  /** Generations that were waited for in vain: their partition ends too early, or gives nothing. For no other line of theirs is waited as long. */
  readonly #short = new Set<string>();
  readonly #silent = new Set<string>();
  /** Since when nothing came for the line in front. */
  #nothingSinceMs: number | undefined;

  constructor(options: LineRecordsOptions) {
    this.#options = options;
  }

  /** Begins to read a partition at the first line that needs it, long before that line's turn. */
  begin(segment: Segment): void {
    if (segment.kind === 'segment' && !this.#buffers.has(partitionName(segment))) this.#seek(segment);
  }

  /** Stops reading ahead of a partition. */
  release(partition: TopicPartition): void {
    this.#buffers.delete(partitionName(partition));
    this.#options.source.drop(partition);
  }

  /**
   * What there is of the line, or undefined if it cannot be told yet (call again). Records are handed out once. Throws
   * `unavailable`, also while a source gives nothing though brokers answer (or what its port has for that), and what else the port throws but `invalid`.
   */
  async read(line: Line): Promise<LineContent | undefined> {
    if (this.#front !== line) this.#nothingSinceMs = undefined;
    this.#front = line;
    const { segment } = line;
    try {
      return segment.kind === 'loss' ? await this.#readLoss(segment, line) : await this.#readRecords(segment, line);
    } catch (error) {
      if (!isPlaitError(error, 'invalid')) throw error;
      return wrong(unreadable(line, error));
    }
  }

  #seek(segment: Segment): RecordBuffer {
    const buffer = new RecordBuffer(segment.firstOffset);
    this.#buffers.set(partitionName(segment), buffer);
    this.#options.source.seek(partitionOf(segment), segment.firstOffset);
    return buffer;
  }

  async #readRecords(segment: RecordSegment, line: Line): Promise<LineContent | undefined> {
    const known = this.#buffers.get(partitionName(segment));
    const atHand = known?.firstOffset === segment.firstOffset ? known : undefined;
    const logStart = this.#logStartOf(segment);
    if (atHand === undefined && segment.firstOffset < logStart) return wrong(belowStart(line, { logStart }));
    if (atHand === undefined && (await this.#isSilent(segment))) return wrong(silent(line));
    const buffer = atHand ?? this.#seek(segment);
    if (buffer.nextOffset < segment.nextOffset) {
      const finding = await this.#fetch(segment, buffer, line);
      if (finding !== undefined) return wrong(finding);
    }
    if (buffer.nextOffset < segment.nextOffset) return undefined;
    this.#short.delete(generationName(segment));
    const records = buffer.take(segment.nextOffset);
    const leaves = this.#options.withLeaves === true ? new Uint8Array(records.length * LEAF_BYTES) : undefined;
    const finding = this.#compare(segment, records, { line, leaves });
    return finding === undefined ? { kind: 'records', segment, records, ...(leaves === undefined ? {} : { leaves }) } : wrong(finding);
  }

  async #isSilent(segment: Segment): Promise<boolean> {
    return this.#silent.has(generationName(segment)) && (await this.#options.isSource(segment.topic)) === false;
  }

  /** A loss is right only if the partition begins above its range: whoever can still read of that calls it a lie. */
  async #readLoss(segment: LossSegment, line: Line): Promise<LineContent | undefined> {
    if (this.#logStartOf(segment) < segment.nextOffset) {
      const held = await this.#ask(line);
      if (held === undefined) return undefined;
      if ('kind' in held) return wrong(held);
      if (held.logStart < segment.nextOffset) return wrong(falseLoss(segment, held));
    }
    return { kind: 'loss', segment };
  }

  async #fetch(segment: RecordSegment, buffer: RecordBuffer, line: Line): Promise<LineFinding | undefined> {
    const only = partitionOf(segment);
    const events = await this.#options.source.poll({ maxWaitMs: IDLE_WAIT_MS, only });
    for (const event of events) {
      if (event.kind === 'out-of-range') return await this.#outOfRange(event, segment, line);
      // The partition is watched only while it is asked what it holds.
      if (event.kind === 'records') buffer.add(event);
      this.#nothingSinceMs = undefined;
    }
    // A worker may say of any range that it holds a few records: nobody buffers all of it to see that it does not.
    const { nextOffset, count } = buffer;
    if (nextOffset < segment.nextOffset && BigInt(count) > segmentCount(segment)) return tooMany(line, { records: buffer.take(nextOffset), nextOffset });
    return events.length === 0 && this.#isPatienceOver(line) ? await this.#lookInto(segment, line) : undefined;
  }

  /** Whether nothing came for the line in front for long enough, counting from the first time it is asked. */
  #hasWaited(): boolean {
    const nowMs = this.#options.clock.nowMs();
    this.#nothingSinceMs ??= nowMs;
    return nowMs - this.#nothingSinceMs >= this.#options.beyondEndMs;
  }

  /** A generation that has ended, as far as is known here, gets nothing more: what it does not hold is not waited for. */
  #isPatienceOver(line: Line): boolean {
    const isWaitedFor = !this.#options.hasEnded(line.segment) && !this.#short.has(generationName(line.segment));
    return (!isWaitedFor && this.#heldLine !== line) || this.#hasWaited();
  }

  async #outOfRange(event: SourceOutOfRange, segment: RecordSegment, line: Line): Promise<LineFinding | undefined> {
    this.#learn(segment, event);
    if (segment.firstOffset < event.logStart) return belowStart(line, event);
    if (this.#isPatienceOver(line)) return this.#beyondEnd(line, event);
    await this.#options.clock.sleep(IDLE_WAIT_MS);
    this.#seek(segment);
    return undefined;
  }

  /** Kafka says nothing of a partition that ends right where the fetch begins: it waits for more. So it is asked what it holds. */
  async #lookInto(segment: RecordSegment, line: Line): Promise<LineFinding | undefined> {
    const held = await this.#ask(line);
    if (held === undefined || 'kind' in held) return held;
    if (segment.firstOffset < held.logStart) return belowStart(line, held);
    if (held.end < segment.nextOffset) return this.#beyondEnd(line, held);
    this.#heldLine = line;
    this.#nothingSinceMs = undefined;
    return undefined;
  }

  #beyondEnd(line: Line, held: Held): LineFinding {
    this.#short.add(generationName(line.segment));
    return beyondEnd(line, held);
  }

  /**
   * What the partition of the line holds, as it says now; undefined if it says nothing, and a finding if it will not say
   * anything any more. What was fetched of it is thrown away.
   */
  async #ask(line: Line): Promise<Held | LineFinding | undefined> {
    const { segment } = line;
    const only = partitionOf(segment);
    const { source, isSource } = this.#options;
    this.#buffers.delete(partitionName(segment));
    source.find(only);
    try {
      const [event] = await source.poll({ maxWaitMs: PROBE_WAIT_MS, only });
      if (event?.kind === 'found') {
        this.#learn(segment, event);
        return { logStart: event.logStart, end: event.end };
      }
    } finally {
      source.drop(only);
    }
    if (!this.#hasWaited()) return undefined;
    const isWaitedFor = await isSource(segment.topic);
    if (isWaitedFor === undefined) return undefined;
    if (!isWaitedFor) {
      this.#silent.add(generationName(segment));
      return silent(line);
    }
    throw source.silence?.(only) ?? new PlaitError('unavailable', `${partitionName(segment)} gives nothing: it has no leader, or does not exist`);
  }

  #logStartOf(segment: Segment): Offset {
    return this.#logStarts.get(generationName(segment)) ?? offset(0n);
  }

  #learn(segment: Segment, { logStart }: Held): void {
    this.#logStarts.set(generationName(segment), logStart);
  }

  /** Every record of the segment is hashed again, and all of them must give its root. `leaves`, if given, is filled with theirs. */
  #compare(
    segment: RecordSegment, records: readonly SourceRecord[], { line, leaves }: { readonly line: Line; readonly leaves: Uint8Array | undefined },
  ): LineFinding | undefined {
    const expected = `${segmentCount(segment)} records with root ${segment.root}`;
    const found = `${records.length} records with root ${this.#rootOf(records, leaves)}`;
    return found === expected ? undefined : differs(line, { expected, found, records });
  }

  /** The root over the records' leaves, or why there is none. */
  #rootOf(records: readonly SourceRecord[], leaves: Uint8Array | undefined): string {
    this.#hasher.reset();
    try {
      // Every record of the product comes by here: nothing is made for each.
      let end = 0;
      for (const record of records) {
        this.#hasher.add(record.offset, record.timestamp, minimalPayload(record.payload));
        leaves?.set(this.#hasher.leaf, end);
        end += LEAF_BYTES;
      }
    } catch (error) {
      if (!isPlaitError(error, 'invalid')) throw error;
      return `none (${error.message})`;
    }
    return hashToText(this.#hasher.root());
  }
}

function wrong(finding: LineFinding): LineContent {
  return { kind: 'wrong', finding };
}

function generationName(segment: Segment): string {
  return `${partitionName(segment)} ${segment.generation}`;
}

function partitionOf({ topic, partition }: TopicPartition): TopicPartition {
  return { topic, partition };
}
