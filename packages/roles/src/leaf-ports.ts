/**
 * Leaves at hand (DESIGN, section 6): what a keeper of leaves needs from outside, and what those ask who use them. Derived
 * from the ledger, so that it can be thrown away and comes back, and never part of what counts.
 */
import type { Hash, Height, Line, LogPosition, Offset, RecordSegment, Seq, TopicPartition, Generation } from '@plait/core';
import type { VerifiedSegment } from './reader.ts';

/** The block that numbered a line. */
export interface KeptBlock {
  readonly height: Height;
  /** Message hash of its header. */
  readonly header: Hash;
  /** Of its message, in the log. */
  readonly position: LogPosition;
  /** As its leader claims, ms since 1970. */
  readonly timeMs: bigint;
}

/** A line that is kept. */
export interface KeptLine {
  readonly line: Line;
  /** What a reader made of it when it was kept; a configuration may have declared it void since. */
  readonly kind: VerifiedSegment['kind'];
  readonly block: KeptBlock;
  /** Its 0-based place among the lines of its block. */
  readonly number: number;
}

/** A line to be kept, with the leaves of its records (48 bytes each, in their order), if it has any to show. */
export type LineToKeep = KeptLine & { readonly leaves?: Uint8Array };

/** Of which lines there are leaves: of some from `firstSeq` on, of none from `nextSeq` on. */
export interface LeafBounds {
  readonly firstSeq: Seq;
  readonly nextSeq: Seq;
  /** How many records have a leaf there. */
  readonly leaves: bigint;
}

/**
 * Lines of one ledger in their order, and leaves of their records. All that is asked is answered at once, in O(log n) of
 * the lines. One process keeps, others may ask meanwhile.
 *
 * Everything throws `config` if the store is damaged, with what to delete so that it is kept anew; `unavailable` for what
 * may pass (a full disk). What a line says is as true as the store: who cannot trust it compares it with a header's root.
 */
export interface LeafStore extends Disposable {
  /** The block of the line that was kept last, perhaps not of all its lines; undefined while nothing is kept. */
  newestBlock(): KeptBlock | undefined;

  /**
   * Keeps lines that follow those that are kept, all of them or none. Those that are kept already are passed over, so that
   * the same may be given again. Whether leaves fit their segment is not checked: the keeper has verified them. Survives
   * the end of the process; a power cut may take the newest away again, in order.
   */
  append(lines: readonly LineToKeep[]): void;

  /** Deletes the oldest leaves beyond what the store was told to hold, by `wallMs`, the time now; lines stay. */
  expire(wallMs: number): void;

  /** The line that holds the seq. */
  lineOfSeq(seq: bigint): KeptLine | undefined;

  /** The line whose range holds the offset, of the partition's newest generation unless told. It may hold no record there. */
  lineAt(place: TopicPartition & { readonly offset: Offset | bigint; readonly generation?: Generation | bigint }): KeptLine | undefined;

  /** The first line of the first block that numbered lines and is not before that time, ms since 1970. */
  lineAtTime(timeMs: bigint): KeptLine | undefined;

  /** The lines of a block in canonical order, as far as they are kept. */
  linesOfBlock(height: bigint): readonly KeptLine[];

  /**
   * The leaves of a segment's records, 48 bytes each, whose root is the segment's: that was checked just now. Undefined if
   * they are not kept, or no longer what they were.
   */
  leavesOf(segment: RecordSegment): Uint8Array | undefined;

  /** All seqs below it are those of lines that are kept, from the store's first one on; 0 while there are none. */
  readonly nextSeq: Seq;

  /** Undefined while there are no leaves. */
  leafBounds(): LeafBounds | undefined;
}
