/** The checker of lines in this process: one reader of the sources, one line after the other. */
import { partitionName, PlaitError, type Line, type TopicPartition } from '@plait/core';
import type { LineChecker, LineResult, LineStretch } from './audit-types.ts';
import { DEFAULT_TIMES, PARTITIONS_AHEAD_MAX, type RoleTimes } from './limits.ts';
import { LineRecords } from './line-records.ts';
import type { Clock, SourceReader } from './ports.ts';

/** What a checker needs. */
export interface RecordCheckerOptions {
  /** Closed with the checker, which is its only caller. */
  readonly source: SourceReader;
  readonly clock: Clock;
  readonly times?: Partial<RoleTimes>;
}

/** See {@link LineChecker}. */
export class RecordChecker implements LineChecker {
  readonly #source: SourceReader;
  readonly #records: LineRecords;
  /** Partitions that are read ahead, the one that was read last at the end. */
  readonly #ahead = new Map<string, TopicPartition>();
  #turn: Promise<unknown> = Promise.resolve();
  #stretch: LineStretch | undefined;
  #isClosed = false;

  constructor({ source, clock, times }: RecordCheckerOptions) {
    this.#source = source;
    this.#records = new LineRecords({
      source, clock, beyondEndMs: { ...DEFAULT_TIMES, ...times }.beyondEndMs,
      hasEnded: () => this.#stretch?.hasEnded === true,
      isSource: async () => this.#stretch?.isSource,
    });
  }

  async check(stretch: LineStretch): Promise<readonly LineResult[]> {
    const mine = this.#turn.then(() => this.#work(stretch));
    this.#turn = mine.catch(() => undefined);
    return await mine;
  }

  async #work(stretch: LineStretch): Promise<readonly LineResult[]> {
    this.#stretch = stretch;
    this.#take(stretch);
    const results: LineResult[] = [];
    for (const line of stretch.lines) results.push(await this.#resultOf(line));
    return results;
  }

  async #resultOf(line: Line): Promise<LineResult> {
    for (;;) {
      if (this.#isClosed) throw new PlaitError('fenced', 'the checker is closed');
      const content = await this.#records.read(line);
      if (content !== undefined) return content.kind === 'wrong' ? content : { kind: 'right' };
    }
  }

  /** Reading goes on behind a stretch, since the next one of its partition is likely to follow; but not of very many. */
  #take({ topic, partition }: LineStretch): void {
    const name = partitionName({ topic, partition });
    this.#ahead.delete(name);
    this.#ahead.set(name, { topic, partition });
    const [oldest] = this.#ahead.values();
    if (this.#ahead.size <= PARTITIONS_AHEAD_MAX || oldest === undefined) return;
    this.#ahead.delete(partitionName(oldest));
    this.#records.release(oldest);
  }

  async close(): Promise<void> {
    this.#isClosed = true;
    await this.#turn;
    await this.#source.close();
  }
}
