/** Segments whose leaves are at hand, so that each of their records can be proved. */
import {
  areLeavesOf, decodeLeaf, EMPTY_RANGE, GrowingTree, leafHash, minimalPayload, segmentCount, splitLeaves,
  type Line, type Offset, type Receipt, type RecordSegment,
} from '@plait/core';
import type { SourceRecord } from './ports.ts';

/** What a receipt says of a record within its segment. */
export type HashedRecord = Pick<Receipt, 'leaf' | 'leafIndex' | 'leafProof' | 'payload'>;

/** The leaves of a segment, and its records if they are at hand. */
export class HashedSegment {
  readonly #leaves: readonly Uint8Array[];
  readonly #tree = new GrowingTree(EMPTY_RANGE);
  readonly #records: readonly SourceRecord[] | undefined;
  /** About how much memory it takes. */
  readonly bytes: number;

  private constructor(leaves: readonly Uint8Array[], records?: readonly SourceRecord[]) {
    this.#leaves = leaves;
    this.#records = records;
    for (const leaf of leaves) this.#tree.append(leafHash(leaf));
    this.bytes = (records ?? []).reduce((sum, { payload }) => sum + payload.length, leaves.length * BYTES_A_LEAF);
  }

  /** Of records that were compared with the segment's root, and their leaves, 48 bytes each. */
  static ofRecords(records: readonly SourceRecord[], leaves: Uint8Array): HashedSegment {
    return new HashedSegment(copiesOf(leaves), records);
  }

  /** Of leaves, 48 bytes each; undefined if they are not those of the segment. */
  static ofLeaves(bytes: Uint8Array, segment: RecordSegment): HashedSegment | undefined {
    return segmentCount(segment) > 0n && areLeavesOf(segment, bytes) ? new HashedSegment(copiesOf(bytes)) : undefined;
  }

  /** Which record has that offset; undefined if none is to be seen there. */
  numberAt(offset: Offset): number | undefined {
    let low = 0;
    let high = this.#leaves.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if (this.#offsetOf(middle) < offset) low = middle + 1;
      else high = middle;
    }
    return low < this.#leaves.length && this.#offsetOf(low) === offset ? low : undefined;
  }

  /** Record `number` with its proof; with its payload if that is wanted and at hand. All copies. */
  prove(number: number, { withPayload }: { readonly withPayload: boolean }): HashedRecord {
    const record = withPayload ? this.#records?.[number] : undefined;
    const leafIndex = BigInt(number);
    return {
      leaf: this.#leaf(number), leafIndex, leafProof: this.#tree.prove({ index: leafIndex, size: this.#tree.size }),
      ...(record === undefined ? {} : { payload: minimalPayload(record.payload).slice() }),
    };
  }

  #leaf(number: number): Uint8Array {
    return this.#leaves[number] as Uint8Array;
  }

  #offsetOf(number: number): bigint {
    return decodeLeaf(this.#leaf(number)).offset;
  }
}

/** A leaf, two nodes of the tree, and what arrays take besides. */
const BYTES_A_LEAF = 400;

/** A receipt keeps one leaf, and not all of them alive. */
function copiesOf(leaves: Uint8Array): readonly Uint8Array[] {
  return splitLeaves(leaves).map((leaf) => leaf.slice());
}

/** Bytes of segments that are kept for those who ask for one more record of them. */
const KEPT_BYTES_MAX = 16 * 1024 * 1024;

/** The segments that were hashed last, by line. */
export class HashedSegments {
  readonly #kept = new Map<Line, HashedSegment>();
  #bytes = 0;

  get(line: Line): HashedSegment | undefined {
    return this.#kept.get(line);
  }

  /** Keeps a segment, at least until the next one. */
  add(line: Line, segment: HashedSegment): void {
    this.#kept.set(line, segment);
    this.#bytes += segment.bytes;
    for (const [oldest, { bytes }] of this.#kept) {
      if (this.#bytes <= KEPT_BYTES_MAX || oldest === line) return;
      this.#kept.delete(oldest);
      this.#bytes -= bytes;
    }
  }
}
