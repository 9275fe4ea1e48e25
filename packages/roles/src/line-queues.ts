/** Lines whose records are wanted, in any order; partitions take turns, so that a slow one holds up its own lines only. */
import { partitionName, type Line } from '@plait/core';
import { LineRecords, type LineContent, type LineRecordsOptions } from './line-records.ts';

/** What came of a line that was wanted. */
export interface LineRead {
  readonly line: Line;
  readonly content: LineContent;
}

interface Queue {
  readonly records: LineRecords;
  /** Not empty but while one is added; the first is read next. */
  lines: Line[];
}

/** One caller of `next` at a time; the only one of the source. */
export class LineQueues {
  readonly #options: LineRecordsOptions;
  readonly #queues = new Map<string, Queue>();

  constructor(options: LineRecordsOptions) {
    this.#options = options;
  }

  /** Whether a line is wanted that has not come yet. */
  get isBusy(): boolean {
    return this.#queues.size > 0;
  }

  /** The line is wanted from now on, until it came; it is not wanted yet. */
  want(line: Line): void {
    const name = partitionName(line.segment);
    const queue = this.#queues.get(name) ?? { records: new LineRecords(this.#options), lines: [] };
    this.#queues.set(name, queue);
    queue.lines = [...queue.lines, line].toSorted((a, b) => (a.segment.firstOffset < b.segment.firstOffset ? -1 : 1));
    // Its records are on their way while other partitions have their turns.
    queue.records.begin(line.segment);
  }

  /** What came of a line of the partition whose turn it is; undefined if it cannot be told yet. Throws as {@link LineRecords.read}. */
  async next(): Promise<LineRead | undefined> {
    const [name, queue] = this.#queues.entries().next().value ?? [];
    const line = queue?.lines[0];
    if (name === undefined || queue === undefined || line === undefined) return undefined;
    this.#queues.delete(name);
    this.#queues.set(name, queue);
    const content = await queue.records.read(line);
    if (content === undefined) return undefined;
    queue.lines = queue.lines.filter((each) => each !== line);
    if (queue.lines.length === 0) {
      this.#queues.delete(name);
      queue.records.release(line.segment);
    }
    return { line, content };
  }
}
