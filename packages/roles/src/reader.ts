/**
 * The reader: folds the log, fetches the records of each line in turn, recomputes everything, and hands out segments in
 * the global order. A segment is verified before any of its records is handed out.
 */
import {
  chainOf, hashToText, isPlaitError, minimalPayload, offset, partitionName, PlaitError, segmentCount, SegmentHasher,
  type BlockHeader, type LedgerState, type Line, type LogPosition, type LossSegment, type Offset, type RecordSegment, type Segment,
  type TopicPartition,
} from '@plait/core';
import { Follower, type Folded, type FollowerOptions } from './follower.ts';
import { DEFAULT_TIMES, IDLE_WAIT_MS, NEWEST_AGE_MS_MAX, PROBE_WAIT_MS, type RoleTimes } from './limits.ts';
import type { Clock, SourceOutOfRange, SourceReader, SourceRecord } from './ports.ts';
import { accused, belowStart, beyondEnd, differs, falseLoss, givesNothing, goneBy, isVoid, tooMany, type Held, type Reported } from './reader-findings.ts';
import { RecordBuffer } from './record-buffer.ts';
import { Restarts } from './restarts.ts';

/** What a reader needs. */
export interface ReaderOptions extends FollowerOptions {
  readonly source: SourceReader;
  readonly clock: Clock;
  /**
   * The fold at the log's end, sampled in this call, of a follower other than this reader's; undefined if it is not read so
   * far yet: then it is asked again. Asked only when records differ or are gone. Throws as {@link Follower.poll}.
   */
  readonly newest: () => Promise<LedgerState | undefined>;
  /** Which lines are wanted; asked once for each, in order. All if not given. */
  readonly wants?: (numbered: NumberedLine) => boolean;
  /** Records that nobody can check any more: `stop` (default) throws `missing`, `report` hands them out as gone. */
  readonly onMissing?: 'stop' | 'report';
  readonly times?: Partial<RoleTimes>;
}

/** A line, and where it was numbered. */
export interface NumberedLine {
  readonly line: Line;
  readonly block: BlockHeader;
  /** Of the block, in the log. */
  readonly position: LogPosition;
}

/** A line whose records were re-hashed and match, or that has none to show. */
export type VerifiedSegment =
  | (NumberedLine & {
      readonly kind: 'records';
      readonly segment: RecordSegment;
      /** Record i has seq `line.firstSeq + i` and index `segment.firstIndex + i`. */
      readonly records: readonly SourceRecord[];
    })
  /** The range was asked for and can no longer be read, as was reported. */
  | (NumberedLine & { readonly kind: 'loss'; readonly segment: LossSegment })
  /** Declared unusable by a configuration; its seqs stay, its records are not looked at. */
  | (NumberedLine & { readonly kind: 'void'; readonly segment: Segment })
  /** Not all of its records can be read any more, so that none was checked; `why` is for people. */
  | (NumberedLine & { readonly kind: 'gone'; readonly segment: RecordSegment; readonly why: string });

/** Reads one ledger in its global order, verified; each step gives at most one segment. */
export class Reader {
  readonly #options: ReaderOptions;
  readonly #times: RoleTimes;
  readonly #follower: Follower;
  readonly #restarts: Restarts;
  readonly #hasher = new SegmentHasher();
  readonly #buffers = new Map<string, RecordBuffer>();
  /** Where partitions begin, as far as they told, by generation (one made anew begins at 0 again): all below is gone. */
  readonly #logStarts = new Map<string, Offset>();
  /** Who reported what waits, and where. Segments of a state from which reading began are not in it. */
  readonly #reported = new WeakMap<Segment, Reported>();
  #queue: NumberedLine[] = [];
  #queueStart = 0;
  /** A line that is all there, as its partition said when it was asked: its records only have not come yet. */
  #heldLine: Line | undefined;
  /** Since when nothing came for the line in front. */
  #nothingSinceMs: number | undefined;
  /** What was found wrong with the line in front, until the newest configuration was asked. */
  #finding: PlaitError | undefined;
  #newest: { readonly state: LedgerState; readonly atMs: number } | undefined;

  constructor(options: ReaderOptions) {
    this.#options = options;
    this.#times = { ...DEFAULT_TIMES, ...options.times };
    this.#follower = new Follower(options, (folded) => this.#absorb(folded));
    this.#restarts = new Restarts(options.openLog);
  }

  /** The fold of what this reader has read; undefined before genesis. */
  get state(): LedgerState | undefined {
    return this.#follower.state;
  }

  /** The newest state that is known here: of the own fold, or the one that was asked for. */
  get #known(): LedgerState | undefined {
    const asked = this.#newest?.state;
    return asked !== undefined && (this.state === undefined || asked.position > this.state.position) ? asked : this.state;
  }

  /** For a stop in good order, after the last step: what was folded is remembered. Throws as the memory and the copy. */
  async drain(): Promise<void> {
    await this.#follower.remember();
  }

  /** Everything below was folded. */
  get position(): LogPosition {
    return this.#follower.position;
  }

  /** Whether every wanted line that was read from the log has been handed out. */
  get drained(): boolean {
    return this.#queueStart === this.#queue.length;
  }

  /**
   * The next wanted segment in the global order, or undefined if it cannot be told yet (call again).
   *
   * Throws `invalid` when the records differ from what was hashed, are missing above the partition's log start, or are
   * still there though they were reported as lost, with topic, partition, offset and seq range, and who reported them where; unless `onMissing` is
   * `report`, `missing` when they can no longer be read, so that nobody can tell; all that only after the newest
   * configuration was asked. `unavailable`, also while a partition gives nothing though brokers answer. And what the ports
   * and the fold throw.
   */
  async step(): Promise<VerifiedSegment | undefined> {
    if (this.drained) await this.#follower.poll(IDLE_WAIT_MS);
    const next = this.#queue[this.#queueStart];
    if (next === undefined) return undefined;
    const verified = await (this.#finding === undefined ? this.#examine(next) : this.#judge(next, this.#finding));
    if (verified !== undefined) this.#advance();
    return verified;
  }

  async #examine(next: NumberedLine): Promise<VerifiedSegment | undefined> {
    try {
      return await this.#resolve(next);
    } catch (error) {
      if (!isPlaitError(error, 'invalid') && !isPlaitError(error, 'missing')) throw error;
      this.#finding = error;
      return await this.#judge(next, error);
    }
  }

  /**
   * Nothing is called wrong or gone before the log was read to its end: the newest configuration may have declared it void,
   * or begun the partition anew. The finding is kept meanwhile, also while no broker answers, since the records were taken
   * and are not found twice.
   */
  async #judge(next: NumberedLine, finding: PlaitError): Promise<VerifiedSegment | undefined> {
    const newest = await this.#askNewest(finding);
    if (newest === undefined) return undefined;
    const { segment } = next.line;
    if (isVoid(newest.configuration.body.voids, segment)) return { kind: 'void', segment, ...next };
    const begins = finding.code === 'missing' ? undefined : await this.#restarts.after(segment, newest, this.position);
    const gone = goneBy(finding, next.line, { newest, begins });
    if (gone === undefined) throw accused(finding, this.#reported.get(segment));
    if (segment.kind === 'loss') return { kind: 'loss', segment, ...next };
    if (this.#options.onMissing !== 'report') throw gone;
    return { kind: 'gone', segment, why: gone.message, ...next };
  }

  /** Of records that are gone there may be very many, and nothing is accused there: an answer of just now will do. */
  async #askNewest({ code }: PlaitError): Promise<LedgerState | undefined> {
    const nowMs = this.#options.clock.nowMs();
    if (code === 'missing' && this.#newest !== undefined && nowMs - this.#newest.atMs < NEWEST_AGE_MS_MAX) return this.#newest.state;
    const state = await this.#options.newest();
    this.#newest = state && { state, atMs: nowMs };
    return state;
  }

  #advance(): void {
    this.#queueStart += 1;
    this.#nothingSinceMs = undefined;
    this.#finding = undefined;
    if (this.#queueStart * 2 < this.#queue.length) return;
    this.#queue = this.#queue.slice(this.#queueStart);
    this.#queueStart = 0;
  }

  #absorb({ position, outcome }: Folded): void {
    if (outcome.kind === 'report') {
      for (const { segment } of outcome.segments) this.#reported.set(segment, { worker: outcome.key, position });
    }
    if (outcome.kind === 'configuration') this.#restarts.take(outcome.hash, outcome.configuration);
    if (outcome.kind !== 'block') return;
    for (const line of outcome.lines) {
      const numbered = { line, block: outcome.header, position };
      if (this.#options.wants?.(numbered) === false) continue;
      this.#queue.push(numbered);
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

  async #resolve(next: NumberedLine): Promise<VerifiedSegment | undefined> {
    const { line } = next;
    const { segment } = line;
    // The newest configuration that is known decides: each repeats the voids of those before it.
    if (isVoid(this.#known?.configuration.body.voids ?? [], segment)) return { kind: 'void', segment, ...next };
    if (segment.kind === 'loss') return await this.#resolveLoss(segment, next);
    const known = this.#buffers.get(partitionName(segment));
    const atHand = known?.firstOffset === segment.firstOffset ? known : undefined;
    const logStart = this.#logStartOf(segment);
    if (atHand === undefined && segment.firstOffset < logStart) throw belowStart({ line, held: { logStart } });
    const buffer = atHand ?? this.#seek(segment);
    if (buffer.nextOffset < segment.nextOffset) await this.#fetch(segment, buffer, line);
    if (buffer.nextOffset < segment.nextOffset) return undefined;
    const records = buffer.take(segment.nextOffset);
    this.#verify(segment, records, line);
    return { kind: 'records', segment, records, ...next };
  }

  /** A loss is right only if the partition begins above its range: whoever can still read of that calls it a lie. */
  async #resolveLoss(segment: LossSegment, next: NumberedLine): Promise<VerifiedSegment | undefined> {
    if (this.#logStartOf(segment) < segment.nextOffset) {
      const held = await this.#ask(segment, next.line);
      if (held === undefined) return undefined;
      if (held.logStart < segment.nextOffset) throw falseLoss({ ...next.line, segment }, held);
    }
    return { kind: 'loss', segment, ...next };
  }

  async #fetch(segment: RecordSegment, buffer: RecordBuffer, line: Line): Promise<void> {
    const only = partitionOf(segment);
    const events = await this.#options.source.poll({ maxWaitMs: IDLE_WAIT_MS, only });
    for (const event of events) {
      if (event.kind === 'out-of-range') return await this.#outOfRange(event, segment, line);
      // The partition is watched only while it is asked what it holds.
      if (event.kind === 'records') buffer.add(event);
      this.#nothingSinceMs = undefined;
    }
    // A worker may say of any range that it holds a few records: nobody buffers all of it to see that it does not.
    if (buffer.nextOffset < segment.nextOffset && BigInt(buffer.count) > segmentCount(segment)) throw tooMany(line, buffer);
    if (events.length === 0 && this.#isPatienceOver(line)) await this.#lookInto(segment, line);
  }

  /** How long nothing came for the line in front, counting from the first time it is asked. */
  #waitedMs(): number {
    const nowMs = this.#options.clock.nowMs();
    this.#nothingSinceMs ??= nowMs;
    return nowMs - this.#nothingSinceMs;
  }

  /** A generation that has ended, as far as is known here, gets nothing more: what it does not hold is not waited for. */
  #isPatienceOver(line: Line): boolean {
    const hasEnded = this.#known !== undefined && chainOf(this.#known, line.segment).end.generation > line.segment.generation;
    return (hasEnded && this.#heldLine !== line) || this.#waitedMs() >= this.#times.beyondEndMs;
  }

  async #outOfRange(event: SourceOutOfRange, segment: RecordSegment, line: Line): Promise<void> {
    this.#learn(segment, event);
    if (segment.firstOffset < event.logStart) throw belowStart({ line, held: event });
    if (this.#isPatienceOver(line)) throw beyondEnd({ line, held: event });
    await this.#options.clock.sleep(IDLE_WAIT_MS);
    this.#seek(segment);
  }

  /** Kafka says nothing of a partition that ends right where the fetch begins: it waits for more. So it is asked what it holds. */
  async #lookInto(segment: RecordSegment, line: Line): Promise<void> {
    const held = await this.#ask(segment, line);
    if (held === undefined) return;
    if (segment.firstOffset < held.logStart) throw belowStart({ line, held });
    if (held.end < segment.nextOffset) throw beyondEnd({ line, held });
    this.#heldLine = line;
    this.#nothingSinceMs = undefined;
  }

  /** What the partition of the line holds, as it says now; undefined if it says nothing. What was fetched of it is thrown away. */
  async #ask(segment: Segment, line: Line): Promise<Held | undefined> {
    const only = partitionOf(segment);
    const { source, newest } = this.#options;
    this.#buffers.delete(partitionName(segment));
    source.find(only);
    try {
      const [event] = await source.poll({ maxWaitMs: PROBE_WAIT_MS, only });
      if (event?.kind === 'found') {
        this.#learn(segment, event);
        return event;
      }
    } finally {
      source.drop(only);
    }
    if (this.#waitedMs() < this.#times.beyondEndMs) return undefined;
    const state = await newest();
    if (state === undefined) return undefined;
    throw givesNothing(line, state);
  }

  #logStartOf(segment: Segment): Offset {
    return this.#logStarts.get(generationName(segment)) ?? offset(0n);
  }

  #learn(segment: Segment, { logStart }: Held): void {
    this.#logStarts.set(generationName(segment), logStart);
  }

  /** Every record of the segment is hashed again, and all of them must give its root. */
  #verify(segment: RecordSegment, records: readonly SourceRecord[], line: Line): void {
    const expected = `${segmentCount(segment)} records with root ${segment.root}`;
    const found = `${records.length} records with root ${this.#rootOf(records)}`;
    if (found !== expected) throw differs(line, { expected, found });
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
}

function generationName(segment: Segment): string {
  return `${partitionName(segment)} ${segment.generation}`;
}

function partitionOf({ topic, partition }: TopicPartition): TopicPartition {
  return { topic, partition };
}
