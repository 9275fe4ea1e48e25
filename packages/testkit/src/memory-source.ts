/**
 * Source topics in memory. A reader fetches ahead, in batches cut anywhere (between two records, inside a gap), and
 * hands out what it holds in any order of partitions, so what a poll gives may be older than the partition is now.
 */
import { offset, PlaitError, type Offset, type TopicPartition } from '@plait/core';
import type { SourceEvent, SourceFound, SourceReader, SourceRecord } from '@plait/roles';
import type { Faults } from './faults.ts';
import { Guard } from './guard.ts';
import type { Prng } from './prng.ts';
import { isAlive, type PendingEvent, type Process, type Scheduler, type Wait } from './scheduler.ts';

/** Offsets that one fetched batch spans at most, and batches of a partition that a reader holds at most. */
const BATCH_OFFSETS_MAX = 50;
const AHEAD_BATCHES_MAX = 4;

/** One life of a partition: from its making to its end, or to its truncation. */
export interface Incarnation {
  /** Every log start it had; the last one holds. */
  readonly starts: readonly Offset[];
  /** Visible records by rising offset, deleted ones too. */
  readonly records: readonly SourceRecord[];
}

/** One partition as the broker holds it. */
interface Stored extends TopicPartition {
  start: bigint;
  end: bigint;
  isGone: boolean;
  /** Grows with everything that makes a client lose it: another leader, an end and a new beginning. */
  era: number;
  starts: Offset[];
  /** Visible records by rising offset; deleted ones stay, for the test. */
  records: SourceRecord[];
  readonly former: Incarnation[];
}

/** All source topics. Everything public but `reader` is for the test itself: at once, without faults. */
export class MemorySource {
  /** While true no broker answers: nothing is fetched and polls throw `unavailable`. */
  isDown = false;

  readonly #scheduler: Scheduler;
  readonly #faults: Faults;
  readonly #partitions = new Map<string, Stored>();
  readonly #readers = new Set<MemorySourceReader>();

  constructor(scheduler: Scheduler, options: { readonly faults: Faults }) {
    this.#scheduler = scheduler;
    this.#faults = options.faults;
  }

  /** Makes an empty partition, if it does not exist. The methods that write do it too. */
  createPartition(topic: string, partition: number): void {
    this.#existing(topic, partition);
    this.#wakeReaders();
  }

  /** Another leader, which holds the same. */
  moveLeader(topic: string, partition: number): void {
    this.#stored(topic, partition).era += 1;
    this.#wakeReaders();
  }

  /** Deletes the partition: nothing comes of it until it is made again, empty. Readers may still hold what they fetched. */
  remove(topic: string, partition: number): void {
    const stored = this.#stored(topic, partition);
    this.#bury(stored);
    Object.assign(stored, { start: 0n, end: 0n, isGone: true, starts: [offset(0n)], records: [] });
    this.#scheduler.note(undefined, `removed ${topic}/${partition}`);
  }

  /** Takes everything from `end` on away, as an older copy of the broker's data does; `end` is not below the start. */
  truncate(topic: string, partition: number, end: Offset): void {
    const stored = this.#stored(topic, partition);
    if (end < stored.start || end > stored.end) throw new RangeError(`truncate(${end}) of ${stored.start} … ${stored.end}`);
    this.#bury(stored);
    Object.assign(stored, { end, starts: [offset(stored.start)], records: stored.records.filter((record) => record.offset < end) });
    this.#scheduler.note(undefined, `truncated ${topic}/${partition} ${end}`);
    this.#wakeReaders();
  }

  #bury(stored: Stored): void {
    stored.former.push({ starts: stored.starts, records: stored.records });
    stored.era += 1;
  }

  /** All lives of a partition, the present one last. */
  incarnations(topic: string, partition: number): readonly Incarnation[] {
    const { former, starts, records } = this.#stored(topic, partition);
    return [...former, { starts, records }];
  }

  /** Partitions of a topic that exist, by rising number. */
  partitions(topic: string): readonly TopicPartition[] {
    return [...this.#partitions.values()]
      .filter((p) => p.topic === topic && !p.isGone)
      .map(({ partition }) => ({ topic, partition }))
      .sort((a, b) => a.partition - b.partition);
  }

  /** Appends a visible record and tells its offset. `payload` is the record's bytes as in {@link SourceRecord}. */
  produce(topic: string, partition: number, payload: Uint8Array, timestampMs = 0n): Offset {
    const stored = this.#existing(topic, partition);
    const record: SourceRecord = { offset: offset(stored.end), timestamp: timestampMs, payload: payload.slice() };
    stored.records.push(record);
    stored.end += 1n;
    this.#scheduler.note(undefined, `produced ${topic}/${partition} ${record.offset}`, record.payload);
    this.#wakeReaders();
    return record.offset;
  }

  /** Appends `count` offsets that no reader sees: transaction markers, records of aborted transactions. */
  produceInvisible(topic: string, partition: number, count = 1): void {
    this.#existing(topic, partition).end += BigInt(count);
    this.#scheduler.note(undefined, `invisible ${topic}/${partition} ${count}`);
    this.#wakeReaders();
  }

  /** Deletes all offsets below `before`, which is at most the end. Readers may still hold what they fetched. */
  deleteBefore(topic: string, partition: number, before: Offset): void {
    const stored = this.#stored(topic, partition);
    if (before > stored.end) throw new RangeError(`deleteBefore(${before}) of a partition that ends at ${stored.end}`);
    if (before > stored.start) stored.starts.push(before);
    if (before > stored.start) stored.start = before;
    this.#wakeReaders();
  }

  /** First offset that is not deleted. */
  startOffset(topic: string, partition: number): Offset {
    return offset(this.#stored(topic, partition).start);
  }

  /** Offset after the newest one, visible or not. */
  endOffset(topic: string, partition: number): Offset {
    return offset(this.#stored(topic, partition).end);
  }

  /** Every visible record that was produced in the partition's present life, deleted ones too, by rising offset. */
  records(topic: string, partition: number): readonly SourceRecord[] {
    return this.#stored(topic, partition).records;
  }

  /** A reader of one process; it reads nothing before the first `seek`. */
  reader(process: Process): SourceReader {
    const reader = new MemorySourceReader(this, this.#scheduler, this.#faults, process);
    this.#readers.add(reader);
    return reader;
  }

  /** Whether `fetch` from `first` would find anything. For views. */
  hasNews(partition: TopicPartition, first: bigint): boolean {
    const stored = this.#partitions.get(key(partition));
    return stored !== undefined && !stored.isGone && stored.end !== first;
  }

  /** What the partition holds, and the era it holds it in; undefined while it does not exist. For views. */
  find({ topic, partition }: TopicPartition): { readonly era: number; readonly event: SourceFound } | undefined {
    const stored = this.#partitions.get(key({ topic, partition }));
    if (stored === undefined || stored.isGone) return undefined;
    const event: SourceFound = { kind: 'found', topic, partition, logStart: offset(stored.start), end: offset(stored.end) };
    return { era: stored.era, event };
  }

  /**
   * What a fetch from `first` finds: a batch that spans at most `offsetsMax` offsets, or that `first` is out of range,
   * or nothing yet (the partition's end, no such partition). For views.
   */
  fetch({ topic, partition }: TopicPartition, first: bigint, offsetsMax: number): SourceEvent | undefined {
    const stored = this.#partitions.get(key({ topic, partition }));
    if (stored === undefined || stored.isGone || first === stored.end) return undefined;
    if (first < stored.start || first > stored.end) {
      const range = { logStart: offset(stored.start), end: offset(stored.end) };
      return { kind: 'out-of-range', topic, partition, offset: offset(first), ...range };
    }
    const spanEnd = first + BigInt(offsetsMax);
    const next = spanEnd < stored.end ? spanEnd : stored.end;
    const records: SourceRecord[] = [];
    for (let at = indexFrom(stored.records, first); at < stored.records.length; at += 1) {
      const record = stored.records[at] as SourceRecord;
      if (record.offset >= next) break;
      records.push({ ...record, payload: record.payload.slice() });
    }
    return { kind: 'records', topic, partition, firstOffset: offset(first), records, nextOffset: offset(next) };
  }

  #stored(topic: string, partition: number): Stored {
    const existing = this.#partitions.get(key({ topic, partition }));
    if (existing !== undefined) return existing;
    const made: Stored = { topic, partition, start: 0n, end: 0n, isGone: false, era: 0, starts: [offset(0n)], records: [], former: [] };
    this.#partitions.set(key(made), made);
    return made;
  }

  #existing(topic: string, partition: number): Stored {
    const stored = this.#stored(topic, partition);
    stored.isGone = false;
    return stored;
  }

  #wakeReaders(): void {
    for (const reader of this.#readers) {
      if (!reader.wake()) this.#readers.delete(reader);
    }
  }
}

/** One partition that a reader reads. A new `seek` makes a new one, so nothing fetched before can come out of it. */
interface Reading {
  readonly partition: TopicPartition;
  nextOffset: bigint;
  /** Fetched and not yet handed out, oldest first. */
  readonly ahead: SourceEvent[];
  /** An out-of-range was fetched, or the partition was found: nothing more until a `seek`. */
  isStopped: boolean;
  /** The era in which a watched partition was found last; -1 if it is to be found. */
  era: number | 'not watched';
}

class MemorySourceReader implements SourceReader {
  readonly #source: MemorySource;
  readonly #scheduler: Scheduler;
  readonly #faults: Faults;
  readonly #random: Prng;
  readonly #process: Process;
  readonly #guard: Guard;
  readonly #readings = new Map<string, Reading>();
  #fetching: PendingEvent | undefined;
  #waiting: { readonly wait: Wait<readonly SourceEvent[]>; readonly only: string | undefined } | undefined;

  constructor(source: MemorySource, scheduler: Scheduler, faults: Faults, process: Process) {
    this.#source = source;
    this.#scheduler = scheduler;
    this.#faults = faults;
    this.#random = scheduler.random.fork(`source reader ${process.id}`);
    this.#process = process;
    this.#guard = new Guard(scheduler, process, 'SourceReader');
  }

  find(partition: TopicPartition): void {
    if (this.#guard.check('find')) this.#begin(partition, offset(0n), -1);
  }

  seek(partition: TopicPartition, offset: Offset): void {
    if (!this.#guard.check('seek')) return;
    const { era = 'not watched', ahead = [] } = this.#readings.get(key(partition)) ?? {};
    const isUntold = ahead.some(({ kind }) => kind === 'found');
    this.#begin(partition, offset, isUntold ? -1 : era);
  }

  #begin(partition: TopicPartition, nextOffset: Offset, era: Reading['era']): void {
    // A copy: the caller may reuse its object.
    const copy = { topic: partition.topic, partition: partition.partition };
    this.#readings.set(key(copy), { partition: copy, nextOffset, ahead: [], isStopped: false, era });
    this.wake();
  }

  drop(partition: TopicPartition): void {
    if (this.#guard.check('drop')) this.#readings.delete(key(partition));
  }

  poll(options: { readonly maxWaitMs: number; readonly only?: TopicPartition }): Promise<readonly SourceEvent[]> {
    return this.#guard.alone('poll', async () => {
      const only = options.only === undefined ? undefined : key(options.only);
      const isReady = this.#wanted(only).length > 0;
      const delayMs = isReady ? this.#faults.delayMs() : Math.max(options.maxWaitMs, this.#faults.delayMs());
      const wait = this.#scheduler.wait(this.#process, 'source poll', () => this.#take(only), delayMs);
      this.#waiting = { wait, only };
      try {
        return await wait.promise;
      } finally {
        this.#waiting = undefined;
      }
    });
  }

  close(): Promise<void> {
    this.#guard.close();
    this.#readings.clear();
    this.#waiting?.wait.hasten(0);
    return this.#scheduler.wait(this.#process, 'source close', () => undefined, this.#faults.delayMs()).promise;
  }

  /** Fetches soon, if there is something to fetch. False if this reader never wants to know of news again. */
  wake(): boolean {
    if (!isAlive(this.#process) || this.#guard.isClosed) return false;
    if (this.#fetching === undefined && this.#fetchable().length > 0) {
      const delayMs = this.#source.isDown ? this.#faults.times.slowMsMax : this.#faults.delayMs();
      this.#fetching = this.#scheduler.after(delayMs, 'source fetch', () => this.#fetch(), this.#process);
    }
    return true;
  }

  /** Readings that have room and something to fetch. */
  #fetchable(): readonly Reading[] {
    return [...this.#readings.values()].filter(
      (r) => !r.isStopped && r.ahead.length < AHEAD_BATCHES_MAX &&
        (this.#isLost(r) ? this.#source.find(r.partition) !== undefined : this.#source.hasNews(r.partition, r.nextOffset)),
    );
  }

  /** Whether a watched partition is to be found (again) before it is read. */
  #isLost({ partition, era }: Reading): boolean {
    return era !== 'not watched' && this.#source.find(partition)?.era !== era;
  }

  /** One round of fetches: of some partitions one batch each. */
  #fetch(): void {
    this.#fetching = undefined;
    const fetchable = this.#source.isDown ? [] : this.#fetchable();
    const certain = fetchable.length === 0 ? undefined : this.#random.pick(fetchable);
    for (const reading of fetchable) {
      if (reading !== certain && this.#random.chance(0.5)) continue;
      if (this.#isLost(reading)) {
        this.#meet(reading);
        continue;
      }
      const event = this.#source.fetch(reading.partition, reading.nextOffset, 1 + this.#random.int(BATCH_OFFSETS_MAX));
      if (event === undefined) continue;
      reading.ahead.push(event);
      if (event.kind === 'records') reading.nextOffset = event.nextOffset;
      else reading.isStopped = true;
    }
    if (this.#waiting !== undefined && this.#wanted(this.#waiting.only).length > 0) {
      this.#waiting.wait.hasten(this.#faults.delayMs());
    }
    this.wake();
  }

  #meet(reading: Reading): void {
    const found = this.#source.find(reading.partition);
    if (found === undefined) return;
    reading.era = found.era;
    reading.isStopped = true;
    reading.ahead.push(found.event);
  }

  #wanted(only: string | undefined): Reading[] {
    return [...this.#readings.values()].filter(
      (r) => r.ahead.length > 0 && (only === undefined || only === key(r.partition)),
    );
  }

  /** Some of what is held, at least one event if there is one, the partitions mixed. */
  #take(only: string | undefined): readonly SourceEvent[] {
    if (this.#guard.isClosed) return [];
    if (this.#source.isDown || this.#faults.happens('sourceUnavailable')) {
      throw new PlaitError('unavailable', 'simulated: source poll');
    }
    const taken: SourceEvent[] = [];
    let wanted = this.#wanted(only);
    while (wanted.length > 0 && (taken.length === 0 || this.#random.chance(0.7))) {
      taken.push(this.#random.pick(wanted).ahead.shift() as SourceEvent);
      wanted = wanted.filter((r) => r.ahead.length > 0);
    }
    this.wake();
    return taken;
  }
}

function key({ topic, partition }: TopicPartition): string {
  return `${topic}/${partition}`;
}

/** Index of the first record at or above `first`. */
function indexFrom(records: readonly SourceRecord[], first: bigint): number {
  let low = 0;
  let high = records.length;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if ((records[middle] as SourceRecord).offset < first) low = middle + 1;
    else high = middle;
  }
  return low;
}
