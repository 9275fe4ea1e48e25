/**
 * The reader: folds the log, fetches the records of each line in turn, recomputes everything, and hands out segments in
 * the global order. A segment is verified before any of its records is handed out.
 */
import { chainOf, PlaitError, type BlockHeader, type LedgerState, type Line, type LogPosition, type LossSegment, type RecordSegment, type Segment } from '@plait/core';
import type { LineFinding } from './audit-types.ts';
import { Follower, type Folded, type FollowerOptions } from './follower.ts';
import { DEFAULT_TIMES, IDLE_WAIT_MS, type RoleTimes } from './limits.ts';
import { LineJudge } from './line-judge.ts';
import { LineRecords } from './line-records.ts';
import type { Clock, SourceReader, SourceRecord } from './ports.ts';
import { errorOf, isVoid, type Reported } from './reader-findings.ts';

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
  /** Whether the leaves of records are handed out with them. Default false. */
  readonly withLeaves?: boolean;
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
      /** Those of the records, 48 bytes each, in their order; only if they were asked for. */
      readonly leaves?: Uint8Array;
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
  readonly #follower: Follower;
  readonly #judge: LineJudge;
  readonly #records: LineRecords;
  /** Who reported what waits, and where. Segments of a state from which reading began are not in it. */
  readonly #reported = new WeakMap<Segment, Reported>();
  #queue: NumberedLine[] = [];
  #queueStart = 0;
  /** What was found wrong with the line in front, until the newest configuration was asked. */
  #finding: LineFinding | undefined;

  constructor(options: ReaderOptions) {
    this.#options = options;
    const { source, clock, newest, withLeaves = false } = options;
    this.#follower = new Follower(options, (folded) => this.#absorb(folded));
    this.#judge = new LineJudge(options);
    this.#records = new LineRecords({
      source, clock, withLeaves, beyondEndMs: { ...DEFAULT_TIMES, ...options.times }.beyondEndMs,
      hasEnded: (segment) => this.#known !== undefined && chainOf(this.#known, segment).end.generation > segment.generation,
      isSource: async (topic) => (await newest())?.configuration.body.sources.includes(topic),
    });
  }

  /** The fold of what this reader has read; undefined before genesis. */
  get state(): LedgerState | undefined {
    return this.#follower.state;
  }

  /** The newest state that is known here: of the own fold, or the one that was asked for. */
  get #known(): LedgerState | undefined {
    const asked = this.#judge.newest;
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
    const verified = await (this.#finding === undefined ? this.#examine(next) : this.#settle(next, this.#finding));
    if (verified !== undefined) this.#advance();
    return verified;
  }

  async #examine(next: NumberedLine): Promise<VerifiedSegment | undefined> {
    const { segment } = next.line;
    // The newest configuration that is known decides: each repeats the voids of those before it.
    if (isVoid(this.#known?.configuration.body.voids ?? [], segment)) return { kind: 'void', segment, ...next };
    const content = await this.#records.read(next.line);
    if (content?.kind !== 'wrong') return content && { ...next, ...content };
    this.#finding = content.finding;
    return await this.#settle(next, content.finding);
  }

  /** The finding is kept until it was judged, also while no broker answers, since the records were taken and are not found twice. */
  async #settle(next: NumberedLine, finding: LineFinding): Promise<VerifiedSegment | undefined> {
    const judgement = await this.#judge.judge(next.line, finding, this.position);
    if (judgement === undefined) return undefined;
    const { segment } = next.line;
    if (judgement.kind === 'void') return { kind: 'void', segment, ...next };
    if (judgement.kind === 'wrong') throw errorOf(finding, next.line, this.#reported.get(segment));
    if (segment.kind === 'loss') return { kind: 'loss', segment, ...next };
    const { why } = judgement;
    if (this.#options.onMissing === 'report') return { kind: 'gone', segment, why, ...next };
    throw new PlaitError('missing', why, { details: errorOf(finding, next.line, undefined).details });
  }

  #advance(): void {
    this.#queueStart += 1;
    this.#finding = undefined;
    if (this.#queueStart * 2 < this.#queue.length) return;
    this.#queue = this.#queue.slice(this.#queueStart);
    this.#queueStart = 0;
  }

  #absorb({ position, outcome }: Folded): void {
    if (outcome.kind === 'report') {
      for (const { segment } of outcome.segments) this.#reported.set(segment, { worker: outcome.key, position });
    }
    if (outcome.kind === 'configuration') this.#judge.take(outcome.hash, outcome.configuration);
    if (outcome.kind !== 'block') return;
    for (const line of outcome.lines) {
      const numbered = { line, block: outcome.header, position };
      if (this.#options.wants?.(numbered) === false) continue;
      this.#queue.push(numbered);
      this.#records.begin(line.segment);
    }
  }
}
