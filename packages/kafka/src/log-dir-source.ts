/** The roles' {@link SourceReader} over Kafka's log segment files, without a broker. */
import { setTimeout as delay } from 'node:timers/promises';
import { offset as toOffset, partitionName, PlaitError, type Offset, type TopicPartition } from '@plait/core';
import type { SourceEvent, SourceReader, SourceRecord } from '@plait/roles';
import { reason } from './errors.ts';
import { undecodable, type Chunk } from './fetch-source.ts';
import { openFolders } from './log-dir-files.ts';
import { LogDirPartition } from './log-dir-partition.ts';
import { decodeRecordSet, readableExtent } from './record-sets.ts';

/** Where the files lie. */
export interface LogDirSourceOptions {
  /**
   * One folder or several, each an entry of a broker's `log.dirs`, a copy of one, or a storage of tiered segments. The same
   * partition may lie in several of them.
   */
  readonly dir: string | readonly string[];
}

/** One poll decodes about this much, so that its caller gets to its other duties. */
const POLL_BYTES_MAX = 1 << 20;
/** How often a poll that waits looks whether files have grown. */
const LOOK_AGAIN_MS = 200;

/** One partition that is read, from one seek to the next. */
interface Reading {
  readonly files: LogDirPartition;
  /** Undefined: it is to be found. */
  next: bigint | undefined;
  /** Nothing more comes until the next seek. */
  isHalted: boolean;
  /** In which incarnation it was found; undefined if nobody asked for that. */
  foundIn: number | undefined;
}

const makeRecord = (offset: Offset, timestamp: bigint, payload: Buffer): SourceRecord => ({ offset, timestamp, payload });

class LogDirSourceReader implements SourceReader {
  readonly #folders: readonly string[];
  readonly #readings = new Map<string, Reading>();
  readonly #closing = new AbortController();

  constructor(folders: readonly string[]) {
    this.#folders = folders;
  }

  find(partition: TopicPartition): void {
    this.#begin(partition, undefined, -1);
  }

  seek(partition: TopicPartition, offset: Offset): void {
    this.#begin(partition, offset, this.#readings.get(partitionName(partition))?.foundIn);
  }

  /** What was looked at of a partition's files stays known. */
  #begin(partition: TopicPartition, next: bigint | undefined, foundIn: number | undefined): void {
    const name = partitionName(partition);
    const files = this.#readings.get(name)?.files ?? new LogDirPartition(this.#folders, partition);
    this.#readings.set(name, { files, next, isHalted: false, foundIn });
  }

  drop(partition: TopicPartition): void {
    this.#readings.delete(partitionName(partition));
  }

  async poll({ maxWaitMs, only }: { readonly maxWaitMs: number; readonly only?: TopicPartition }): Promise<readonly SourceEvent[]> {
    const untilMs = performance.now() + maxWaitMs;
    for (;;) {
      const events = await this.#arrived(only === undefined ? undefined : partitionName(only));
      const restMs = untilMs - performance.now();
      const { signal } = this.#closing;
      if (events.length > 0 || restMs <= 0 || signal.aborted) return events;
      await delay(Math.min(restMs, LOOK_AGAIN_MS), undefined, { signal }).catch(() => undefined);
    }
  }

  /** Files that are not there do not come by waiting. */
  silence(place: TopicPartition): PlaitError {
    const { topic, partition } = place;
    return new PlaitError('config', `no segment files of ${partitionName(place)}: looked for a folder ${topic}-${partition} in ${this.#folders.join(', ')}; ` +
      'name the log.dirs of every broker, or copies of them, so that each partition lies in one', { details: { topic, partition } });
  }

  async close(): Promise<void> {
    this.#closing.abort();
    this.#readings.clear();
  }

  async #arrived(only: string | undefined): Promise<readonly SourceEvent[]> {
    const events: { readonly event: SourceEvent; readonly isStale: () => boolean }[] = [];
    let bytes = 0;
    for (const [name, reading] of Array.from(this.#readings)) {
      if (bytes >= POLL_BYTES_MAX) break;
      if (reading.isHalted || (only !== undefined && only !== name)) continue;
      const isStale = (): boolean => this.#readings.get(name) !== reading;
      try {
        const event = await eventOf(reading);
        // What is only read ahead may wait for its transaction.
        if (event === undefined && only === name && reading.next !== undefined && !isStale()) reading.files.requireMore(reading.next);
        if (event === undefined || isStale()) continue;
        events.push({ event, isStale });
        if (event.kind === 'records') bytes += event.records.reduce((sum, { payload }) => sum + payload.length, 0);
        // Behind the others: the next poll begins with them.
        this.#readings.delete(name);
        this.#readings.set(name, reading);
      } catch (error) {
        if (isStale()) continue;
        // What was read before goes out first; the failure comes with the next poll.
        if (events.length > 0) break;
        reading.isHalted = true;
        throw error;
      }
    }
    return events.filter(({ isStale }) => !isStale()).map(({ event }) => event);
  }
}

/** What comes next of a partition; undefined if nothing does yet. */
async function eventOf(reading: Reading): Promise<SourceEvent | undefined> {
  const { files, next } = reading;
  const { topic, partition } = files;
  const isKnown = next !== undefined && files.held !== undefined && next >= files.held.logStart && next < files.held.end;
  const held = isKnown ? files.held : await files.look();
  if (held === undefined) return undefined;
  const place = { topic, partition, logStart: toOffset(held.logStart), end: toOffset(held.end) };
  if (next === undefined || (reading.foundIn !== undefined && reading.foundIn !== files.incarnation)) {
    Object.assign(reading, { isHalted: true, foundIn: files.incarnation });
    return { kind: 'found', ...place };
  }
  if (next < held.logStart || next > held.end) {
    reading.isHalted = true;
    return { kind: 'out-of-range', ...place, offset: toOffset(next) };
  }
  const read = (await readOn(files, next)) ?? ((await files.look()) === undefined ? undefined : await readOn(files, next));
  if (read === undefined) return undefined;
  reading.next = read.nextOffset;
  return { kind: 'records', topic, partition, firstOffset: toOffset(next), records: read.records, nextOffset: toOffset(read.nextOffset) };
}

interface Read {
  readonly records: readonly SourceRecord[];
  readonly nextOffset: bigint;
}

async function readOn(files: LogDirPartition, next: bigint): Promise<Read | undefined> {
  const chunk = await files.read(next, { committed: true });
  if (chunk === undefined) return undefined;
  try {
    return { records: await recordsOf(chunk), nextOffset: chunk.nextOffset };
  } catch (error) {
    const extent = await readableExtent(chunk.bytes);
    if (extent === undefined) throw undecodable(files, next, reason(error));
    return { records: await recordsOf({ ...chunk, bytes: chunk.bytes.subarray(0, extent.bytes) }), nextOffset: extent.nextOffset };
  }
}

async function recordsOf({ bytes, firstOffset, aborted }: Chunk): Promise<readonly SourceRecord[]> {
  return await decodeRecordSet({ bytes, from: firstOffset, aborted }, makeRecord);
}

/**
 * Reads partitions out of Kafka's log segment files, with no broker: of one that runs, as far as it has written, or of one
 * that is stopped, or a copy. Nothing is read before the first `find` or `seek`; a partition's first event takes as long as
 * looking at the headers of all its batches does. Throws `config` for a folder that is not there.
 *
 * Committed is what the files say: a record is visible once the marker of its transaction lies there, and the last stable
 * offset is where the first open transaction begins. What the other replicas have is not asked. Every batch's checksum is
 * compared; `poll` throws `invalid` with topic, partition and offset where it does not fit, and the partition is not read
 * until its next `seek`. A batch that is cut at the end of a file counts as not there.
 */
export async function openLogDirSource({ dir }: LogDirSourceOptions): Promise<SourceReader> {
  return new LogDirSourceReader(await openFolders(dir));
}
