/** Records of one partition that were fetched and not handed out yet. */
import { invariant, type Offset } from '@plait/core';
import type { SourceBatch, SourceRecord } from './ports.ts';

export class RecordBuffer {
  #firstOffset: Offset;
  #nextOffset: Offset;
  #batches: SourceBatch[] = [];
  /** Records of the first batch that were taken already. */
  #taken = 0;
  #count = 0;

  constructor(offset: Offset) {
    this.#firstOffset = offset;
    this.#nextOffset = offset;
  }

  /** Below it everything was taken. */
  get firstOffset(): Offset {
    return this.#firstOffset;
  }

  /** Up to here everything was fetched. */
  get nextOffset(): Offset {
    return this.#nextOffset;
  }

  /** Records that were fetched and not taken. */
  get count(): number {
    return this.#count;
  }

  /** Adds the batch that goes on where the last one ended. */
  add(batch: SourceBatch): void {
    invariant(batch.firstOffset === this.#nextOffset, `batch begins at ${batch.firstOffset}, fetched up to ${this.#nextOffset}`);
    this.#batches.push(batch);
    this.#count += batch.records.length;
    this.#nextOffset = batch.nextOffset;
  }

  /** The records below `nextOffset`, all of which must have been fetched. */
  take(nextOffset: Offset): readonly SourceRecord[] {
    invariant(nextOffset <= this.#nextOffset, `taking up to ${nextOffset}, fetched up to ${this.#nextOffset}`);
    const records: SourceRecord[] = [];
    for (let batch = this.#batches[0]; batch !== undefined; batch = this.#batches[0]) {
      const stop = endBelow(batch.records, this.#taken, nextOffset);
      for (let i = this.#taken; i < stop; i += 1) records.push(batch.records[i] as SourceRecord);
      this.#taken = stop;
      if (stop < batch.records.length || batch.nextOffset > nextOffset) break;
      this.#batches.shift();
      this.#taken = 0;
    }
    this.#count -= records.length;
    this.#firstOffset = nextOffset;
    return records;
  }
}

/** The first place at or after `from` whose record is not below `nextOffset`; by bisection. */
function endBelow(records: readonly SourceRecord[], from: number, nextOffset: Offset): number {
  let low = from;
  let high = records.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((records[middle] as SourceRecord).offset < nextOffset) low = middle + 1;
    else high = middle;
  }
  return low;
}
