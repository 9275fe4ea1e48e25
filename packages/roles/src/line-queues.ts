/** Lines whose records are wanted, in any order; partitions take turns, so that a slow one holds up its own lines only. */
import { partitionName, type Line, type TopicPartition } from '@plait/core';
import { LineRecords, type LineContent, type LineRecordsOptions } from './line-records.ts';

/** What came of a line that was wanted. */
export interface LineRead {
  readonly line: Line;
  readonly content: LineContent;
}

interface Queue {
  readonly partition: TopicPartition;
  readonly records: LineRecords;
  /** The first is read next. */
  lines: readonly Line[];
  /** Since when it is empty, in ms. */
  idleSinceMs: number;
}

/** A partition of which nothing was wanted for so long is not read ahead any more: who produces wants more of it soon. */
const RELEASE_MS = 5_000;

/** One caller of `next` at a time; the only one of the source. */
export class LineQueues {
  readonly #options: LineRecordsOptions;
  /** By partition; those that were read longest ago come first. */
  readonly #queues = new Map<string, Queue>();

  constructor(options: LineRecordsOptions) {
    this.#options = options;
  }

  /** Whether a line is wanted that has not come yet. */
  get isBusy(): boolean {
    return this.#nextTurn() !== undefined;
  }

  /** The line is wanted from now on, until it came; it is not wanted yet. */
  want(line: Line): void {
    const { topic, partition } = line.segment;
    const name = partitionName(line.segment);
    const queue = this.#queues.get(name) ?? { partition: { topic, partition }, records: new LineRecords(this.#options), lines: [], idleSinceMs: 0 };
    this.#queues.set(name, queue);
    queue.lines = [...queue.lines, line].toSorted((a, b) => (a.segment.firstOffset < b.segment.firstOffset ? -1 : 1));
    // Its records are on their way while other partitions have their turns.
    queue.records.begin(line.segment);
  }

  /** What came of a line of the partition whose turn it is; undefined if it cannot be told yet. Throws as {@link LineRecords.read}. */
  async next(): Promise<LineRead | undefined> {
    const nowMs = this.#options.clock.nowMs();
    this.#release(nowMs - RELEASE_MS);
    const [name, queue] = this.#nextTurn() ?? [];
    const line = queue?.lines[0];
    if (name === undefined || queue === undefined || line === undefined) return undefined;
    this.#queues.delete(name);
    this.#queues.set(name, queue);
    const content = await queue.records.read(line);
    if (content === undefined) return undefined;
    queue.lines = queue.lines.filter((each) => each !== line);
    queue.idleSinceMs = nowMs;
    return { line, content };
  }

  #nextTurn(): readonly [name: string, queue: Queue] | undefined {
    for (const entry of this.#queues) if (entry[1].lines.length > 0) return entry;
    return undefined;
  }

  #release(idleBeforeMs: number): void {
    for (const [name, { partition, records, lines, idleSinceMs }] of this.#queues) {
      if (lines.length > 0 || idleSinceMs > idleBeforeMs) continue;
      this.#queues.delete(name);
      records.release(partition);
    }
  }
}
