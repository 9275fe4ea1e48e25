/**
 * The batches of a segment file by their headers alone (drawn in record-sets.ts), and the transactions that they belong to:
 * one begins with the first transactional batch of a producer behind its last marker, and ends with the next marker.
 */
import type { FileHandle } from 'node:fs/promises';
import type { AbortedTransaction } from './internals.ts';

/** What the header of a stored batch says, and where it is. */
export interface StoredBatch {
  /** In the file, in bytes. */
  readonly at: number;
  readonly bytes: number;
  readonly baseOffset: bigint;
  readonly nextOffset: bigint;
  readonly producerId: bigint;
  readonly isTransactional: boolean;
  /** What a control batch says of its producer's transaction; undefined for a batch of records. */
  readonly control: 'commit' | 'abort' | 'other' | undefined;
}

const HEADER_BYTES = 61;
const LENGTH_PREFIX_BYTES = 12;
const MAGIC = 2;
const TRANSACTIONAL = 0x10;
const CONTROL = 0x20;
/** Of a batch, this much is looked at: the header and the one small record of a marker. */
const LOOKED_AT_BYTES = HEADER_BYTES + 64;
/** Read at once. Larger batches are stepped over. */
const WINDOW_BYTES = 128 * 1024;

/**
 * The batches of a file from byte `from` on, some at a time, up to byte `size` or to a batch that is cut there. Throws an
 * Error at bytes that are no batch of format v2. Checksums are not looked at.
 */
export async function* storedBatches(file: FileHandle, { from, size }: { readonly from: number; readonly size: number }): AsyncGenerator<readonly StoredBatch[]> {
  const window = Buffer.alloc(WINDOW_BYTES);
  for (let at = from; at + HEADER_BYTES <= size; ) {
    const { bytesRead } = await file.read(window, 0, WINDOW_BYTES, at);
    const batches = batchesIn(window.subarray(0, bytesRead), { at, size });
    const last = batches.at(-1);
    if (last === undefined) return;
    yield batches;
    at = last.at + last.bytes;
  }
}

/**
 * The batches that begin in a part of a file, which lies there at byte `at`, and end before byte `size`. The last may go on
 * behind the part. Throws an Error if the first is no batch.
 */
export function batchesIn(part: Buffer, { at, size }: { readonly at: number; readonly size: number }): readonly StoredBatch[] {
  const batches: StoredBatch[] = [];
  const lookedAt = at + part.length >= size ? HEADER_BYTES : LOOKED_AT_BYTES;
  for (let next = 0; next + lookedAt <= part.length; ) {
    try {
      const batch = storedBatch(part.subarray(next), at + next);
      if (batch === undefined || batch.at + batch.bytes > size) break;
      batches.push(batch);
      next += batch.bytes;
    } catch (error) {
      if (batches.length === 0) throw error;
      break;
    }
  }
  return batches;
}

/** The batch that begins with `bytes`; undefined for zeros, which a file has behind its end where it was preallocated. */
function storedBatch(bytes: Buffer, at: number): StoredBatch | undefined {
  const length = bytes.readInt32BE(8);
  const magic = bytes.readInt8(16);
  if (length === 0 && magic === 0 && bytes.subarray(0, HEADER_BYTES).every((byte) => byte === 0)) return undefined;
  if (magic !== MAGIC) throw new Error(`record format v${magic}; only v2 can be read`);
  if (length < HEADER_BYTES - LENGTH_PREFIX_BYTES) throw new Error('a batch is shorter than its header');
  const baseOffset = bytes.readBigInt64BE(0);
  const lastOffsetDelta = bytes.readInt32BE(23);
  if (baseOffset < 0n || lastOffsetDelta < 0) throw new Error('a batch ends before it begins');
  const attributes = bytes.readInt16BE(21);
  return {
    at, bytes: LENGTH_PREFIX_BYTES + length, baseOffset, nextOffset: baseOffset + BigInt(lastOffsetDelta) + 1n,
    producerId: bytes.readBigInt64BE(43),
    isTransactional: (attributes & TRANSACTIONAL) !== 0,
    control: (attributes & CONTROL) === 0 ? undefined : controlOf(bytes.subarray(HEADER_BYTES, LENGTH_PREFIX_BYTES + length)),
  };
}

/**
 * The type of a control record, which is in its key: version int16, type int16. Before it: length, attributes (1 byte),
 * deltas of timestamp and offset, and the key's length.
 */
function controlOf(record: Buffer): 'commit' | 'abort' | 'other' {
  let at = 0;
  const skipVarint = (): void => {
    while ((record[at] ?? 0) >= 0x80) at += 1;
    at += 1;
  };
  skipVarint();
  at += 1;
  for (let i = 0; i < 3; i += 1) skipVarint();
  const type = at + 4 <= record.length ? record.readInt16BE(at + 2) : -1;
  return type === 0 ? 'abort' : type === 1 ? 'commit' : 'other';
}

interface Aborted {
  readonly producerId: bigint;
  readonly firstOffset: bigint;
  /** After its marker. */
  readonly nextOffset: bigint;
}

/** The transactions of a partition, as its batches come by in order. Of one that began below the first batch, the rest is known. */
export class Transactions {
  readonly #open = new Map<bigint, bigint>();
  /** By the offset of their markers. */
  readonly #aborted: Aborted[] = [];
  /** Offsets that the longest aborted one spans. */
  #spanMax = 0n;

  add({ producerId, baseOffset, nextOffset, isTransactional, control }: StoredBatch): void {
    if (control === 'other') return;
    const firstOffset = this.#open.get(producerId);
    if (control === undefined) {
      if (isTransactional && firstOffset === undefined) this.#open.set(producerId, baseOffset);
      return;
    }
    this.#open.delete(producerId);
    if (control === 'commit' || firstOffset === undefined) return;
    this.#aborted.push({ producerId, firstOffset, nextOffset });
    if (nextOffset - firstOffset > this.#spanMax) this.#spanMax = nextOffset - firstOffset;
  }

  /** Where the first transaction begins that has not ended; undefined if all have. */
  firstOpen(): bigint | undefined {
    let first: bigint | undefined;
    for (const offset of this.#open.values()) if (first === undefined || offset < first) first = offset;
    return first;
  }

  /** Those aborted ones that have anything in [first, next), as a broker would name them. */
  abortedIn(first: bigint, next: bigint): readonly AbortedTransaction[] {
    const found: AbortedTransaction[] = [];
    for (let i = this.#firstEndingAbove(first); i < this.#aborted.length; i += 1) {
      const { producerId, firstOffset, nextOffset } = this.#aborted[i] as Aborted;
      if (nextOffset - this.#spanMax >= next) break;
      if (firstOffset < next) found.push({ producerId: `${producerId}`, firstOffset: `${firstOffset}` });
    }
    return found;
  }

  #firstEndingAbove(offset: bigint): number {
    let [low, high] = [0, this.#aborted.length];
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#aborted[middle] as Aborted).nextOffset <= offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}
