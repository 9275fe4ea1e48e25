/**
 * One partition read out of segment files. The headers of all batches are looked at once, which tells the partition's end,
 * its transactions and, every 256 KiB, where offsets lie; then any part can be read. Of files that overlap the batches of
 * the first one count: by base offset, then by the order of the folders. Records behind a missing file are given all the
 * same; what is missing shows as a gap.
 */
import { open, type FileHandle } from 'node:fs/promises';
import { partitionName, PlaitError, type TopicPartition } from '@plait/core';
import { batchSum, storedBatchSum } from './batch-sum.ts';
import { reason } from './errors.ts';
import { undecodable, type Chunk, type Held } from './fetch-source.ts';
import { checkpointedStart, readable, segmentFiles, unlessGone, type SegmentFile } from './log-dir-files.ts';
import { batchesIn, storedBatches, Transactions, type StoredBatch } from './log-dir-scan.ts';

const MARK_BYTES = 256 * 1024;
/** Read at once; one larger batch still comes. */
const CHUNK_BYTES = 1 << 20;

/** So long nothing may come where there is more: a broker that writes to the files takes milliseconds. */
const STUCK_MS = 3_000;

/** A batch's base offset, and its first byte in its file. */
interface Mark {
  readonly offset: bigint;
  readonly at: number;
}

/** The batches of one file that count, without gap in bytes. */
interface Stretch {
  readonly file: SegmentFile;
  /** Of the first of them, and of some behind it. */
  readonly marks: Mark[];
  nextOffset: bigint;
  endAt: number;
}

/** Bytes that are no batch, where one should begin with this offset or a higher one. */
interface Broken {
  readonly offset: bigint;
  readonly why: string;
}

/** What the headers say: grows file by file. */
class Scan {
  readonly files: SegmentFile[] = [];
  readonly stretches: Stretch[] = [];
  readonly broken: Broken[] = [];
  readonly transactions = new Transactions();
  /** Offset after the last batch. */
  nextOffset = 0n;

  /** Whether `files` can follow from what was scanned: the first ones gone, the last one grown, others behind it. */
  leadsTo(files: readonly SegmentFile[]): boolean {
    const left = this.files.slice(this.#indexOf(files[0]));
    return left.length > 0 && left.every(({ id, size }, i) => {
      const now = files[i];
      return now?.id === id && (now.size === size || (now.size > size && i === left.length - 1 && this.broken.length === 0));
    });
  }

  /** Forgets the files before `first`. */
  forgetBefore(first: SegmentFile): void {
    for (const { id } of this.files.splice(0, Math.max(0, this.#indexOf(first)))) {
      if (this.stretches[0]?.file.id === id) this.stretches.shift();
    }
  }

  /** Takes in what is new of the last file or of another. Throws `config` if it cannot be read. */
  async add(file: SegmentFile): Promise<void> {
    const last = this.files.at(-1);
    const isGrown = last?.id === file.id;
    if (isGrown && last.size === file.size) return;
    const grown = isGrown ? this.stretches.findLast((stretch) => stretch.file.id === file.id) : undefined;
    this.files.splice(isGrown ? -1 : this.files.length, isGrown ? 1 : 0, file);
    const handle = await readable(file.path, unlessGone(open(file.path), undefined));
    try {
      if (handle !== undefined) await this.#scan(handle, file, grown);
    } finally {
      await handle?.close();
    }
  }

  async #scan(handle: FileHandle, file: SegmentFile, grown: Stretch | undefined): Promise<void> {
    let stretch = grown;
    let inFile = -1n;
    try {
      for await (const batches of storedBatches(handle, { from: stretch?.endAt ?? 0, size: file.size })) {
        for (const batch of batches) {
          if (batch.baseOffset < inFile) throw new Error('batches are out of order');
          inFile = batch.nextOffset;
          if (batch.baseOffset < this.nextOffset) continue;
          if (stretch === undefined) this.stretches.push((stretch = { file, marks: [], nextOffset: 0n, endAt: 0 }));
          this.#take(stretch, batch);
        }
      }
    } catch (error) {
      this.broken.push({ offset: file.baseOffset > this.nextOffset ? file.baseOffset : this.nextOffset, why: reason(error) });
    }
  }

  #take(stretch: Stretch, batch: StoredBatch): void {
    const mark = stretch.marks.at(-1);
    if (mark === undefined || batch.at - mark.at >= MARK_BYTES) stretch.marks.push({ offset: batch.baseOffset, at: batch.at });
    stretch.endAt = batch.at + batch.bytes;
    this.nextOffset = stretch.nextOffset = batch.nextOffset;
    this.transactions.add(batch);
  }

  #indexOf(file: SegmentFile | undefined): number {
    return this.files.findIndex(({ id }) => id === file?.id);
  }
}

/** One partition in folders of segment files. One caller at a time. */
export class LogDirPartition implements TopicPartition {
  readonly topic: string;
  readonly partition: number;
  readonly #folders: readonly string[];
  #scan = new Scan();
  #held: Held | undefined;
  #incarnation = 0;
  /** Where nothing could be read though there is more behind it, and since when. */
  #stuck: { readonly from: bigint; readonly sinceMs: number } | undefined;
  /** Where the last read ended, for the next. */
  #resume: (Mark & { readonly stretch: Stretch }) | undefined;

  constructor(folders: readonly string[], { topic, partition }: TopicPartition) {
    this.#folders = folders;
    this.topic = topic;
    this.partition = partition;
  }

  /** From where to where the files held the partition when they were last looked at; undefined if there were none. */
  get held(): Held | undefined {
    return this.#held;
  }

  /** Another, higher number after the files became others than the same ones, grown or fewer. */
  get incarnation(): number {
    return this.#incarnation;
  }

  /** Looks at the files again: at the headers of what is new. Throws `config` for what cannot be read. */
  async look(): Promise<Held | undefined> {
    const files = await segmentFiles(this.#folders, this);
    const [first] = files;
    if (!this.#scan.leadsTo(files)) {
      this.#scan = new Scan();
      this.#incarnation += 1;
    }
    if (first === undefined) return (this.#held = undefined);
    this.#scan.forgetBefore(first);
    for (const file of files.slice(Math.max(0, this.#scan.files.length - 1))) await this.#scan.add(file);
    const logStart = highest(first.baseOffset, await checkpointedStart(this.#folders, this));
    // A file that was begun and holds nothing yet has the end in its name; behind broken bytes there is more.
    const { nextOffset, broken } = this.#scan;
    const end = highest(nextOffset, logStart, ...files.map(({ baseOffset }) => baseOffset), ...broken.map(({ offset }) => offset + 1n));
    return (this.#held = { logStart, end });
  }

  /**
   * Whole batches from the one that holds `from`, or the first above it, on: about 1 MiB, at least one. With `committed` only
   * those below the first transaction that has not ended, and which are aborted is told. Undefined where there is nothing
   * (yet). Throws `invalid` with topic, partition and offset at a batch that is none or that does not have its checksum.
   */
  async read(from: bigint, { committed }: { readonly committed: boolean }): Promise<Chunk | undefined> {
    const { stretches, transactions } = this.#scan;
    const at = stretches.findIndex(({ nextOffset }) => nextOffset > from);
    const stretch = stretches[at];
    const former = at === -1 ? stretches.at(-1) : stretches[at - 1];
    if (stretch === undefined || (stretch.marks[0]?.offset ?? 0n) > from) this.#checkGap(from, former?.nextOffset ?? 0n);
    const limit = committed ? transactions.firstOpen() : undefined;
    const found = stretch === undefined ? undefined : await this.#batches(stretch, { from, limit });
    if (stretch === undefined || found === undefined) return undefined;
    const { nextOffset, endAt, firstOffset, bytes } = this.#checked(found);
    this.#resume = { stretch, offset: nextOffset, at: endAt };
    this.#stuck = undefined;
    return { kind: 'chunk', firstOffset: from, nextOffset, bytes, aborted: committed ? transactions.abortedIn(firstOffset, nextOffset) : [] };
  }

  /**
   * For who waits for what {@link read} did not give: throws `unavailable` once that has been so for some seconds at the same place
   * though the files hold more behind it, with what may be wrong with them.
   */
  requireMore(from: bigint): void {
    const end = this.#held?.end ?? from;
    if (this.#stuck?.from !== from) this.#stuck = { from, sinceMs: performance.now() };
    if (from >= end || performance.now() - this.#stuck.sinceMs < STUCK_MS) return;
    throw new PlaitError('unavailable', `the segment files of ${partitionName(this)} give nothing from offset ${from} on, though they go on to ${end}: a file is missing or ` +
      `cut off, or a transaction was open when they were copied; copy them again (looked in ${this.#folders.join(', ')})`, { details: { offset: String(from) } });
  }

  /** Throws `invalid` if broken bytes lie between `start`, where the batches before `from` end, and `from`. */
  #checkGap(from: bigint, start: bigint): void {
    const broken = this.#scan.broken.find(({ offset }) => offset >= start && offset <= from);
    if (broken !== undefined) throw undecodable(this, broken.offset, broken.why);
  }

  /** Whole batches of a stretch that hold `from` and more and begin below `limit`, and their bytes, which lie at byte `at`. */
  async #batches(stretch: Stretch, { from, limit }: { readonly from: bigint; readonly limit: bigint | undefined }): Promise<Found | undefined> {
    const { path } = stretch.file;
    const handle = await readable(path, unlessGone(open(path), undefined));
    if (handle === undefined) return undefined;
    try {
      let at = this.#placeOf(stretch, from);
      for (let length = CHUNK_BYTES; ; ) {
        const bytes = Buffer.alloc(Math.min(length, stretch.endAt - at));
        const { bytesRead } = await readable(path, handle.read(bytes, 0, bytes.length, at));
        const batches = bytesRead === bytes.length ? batchesIn(bytes, { at, size: stretch.endAt }) : [];
        const [last] = batches.slice(-1);
        if (last === undefined) throw new Error('the file is not what it was');
        const wanted = batches.filter(({ nextOffset }) => nextOffset > from);
        const [first] = wanted;
        const whole = wanted.filter((batch) => batch.at + batch.bytes <= at + bytes.length && (limit === undefined || batch.baseOffset < limit));
        if (whole.length > 0) return { at, bytes, batches: whole };
        if (first !== undefined && limit !== undefined && first.baseOffset >= limit) return undefined;
        // All that was read lies below, or the one wanted is larger.
        at = first?.at ?? last.at + last.bytes;
        length = Math.max(CHUNK_BYTES, first?.bytes ?? 0);
      }
    } catch (error) {
      throw error instanceof PlaitError ? error : undecodable(this, from, reason(error));
    } finally {
      await handle.close();
    }
  }

  #placeOf(stretch: Stretch, from: bigint): number {
    if (this.#resume?.stretch === stretch && this.#resume.offset === from) return this.#resume.at;
    return (stretch.marks.findLast(({ offset }) => offset <= from) ?? stretch.marks[0])?.at ?? 0;
  }

  /** The batches up to the first without its checksum. Throws `invalid` if that is the first of all. */
  #checked({ at, bytes, batches }: Found): { readonly firstOffset: bigint; readonly nextOffset: bigint; readonly endAt: number; readonly bytes: Buffer } {
    const bad = batches.findIndex((batch) => {
      const stored = bytes.subarray(batch.at - at, batch.at - at + batch.bytes);
      return batchSum(stored) !== storedBatchSum(stored);
    });
    const [first, last] = [batches[0] as StoredBatch, batches.at(bad === -1 ? -1 : bad - 1) as StoredBatch];
    if (bad === 0) throw undecodable(this, first.baseOffset, 'it does not have its checksum (CRC-32C)');
    const endAt = last.at + last.bytes;
    return { firstOffset: first.baseOffset, nextOffset: last.nextOffset, endAt, bytes: bytes.subarray(first.at - at, endAt - at) };
  }
}

/** Batches, and the bytes of a file from byte `at` on that hold them. */
interface Found {
  readonly at: number;
  readonly bytes: Buffer;
  readonly batches: readonly StoredBatch[];
}

function highest(...offsets: readonly bigint[]): bigint {
  return offsets.reduce((a, b) => (a > b ? a : b));
}
