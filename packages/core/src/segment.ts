/**
 * Segments: contiguous runs of one partition's leaves, each naming the one before it.
 *
 *     segment <topic> <generation> <partition> <firstIndex> <nextIndex> <firstOffset> <nextOffset> <root> <previous>
 *     loss    <topic> <generation> <partition> <firstIndex> <nextIndex> <firstOffset> <nextOffset> <previous>
 *
 * A segment's hash is SHA-256 of that line, without a newline. `previous` is the hash of the partition's segment before
 * it, or of the text of {@link chainStart}, which names the ledger.
 */
import { hashToText, parseHash, utf8Encode } from './bytes.ts';
import { invalid } from './errors.ts';
import { parsePartition, parseTopic, parseUint63, quote } from './text.ts';
import { sha256 } from '#sha256';
import * as types from './types.ts';
import type { Generation, Hash, Index, Offset, Seq, TopicPartition } from './types.ts';

interface Range extends TopicPartition {
  readonly generation: Generation;
  /** Records of the partition before this one. */
  readonly firstIndex: Index;
  readonly nextIndex: Index;
  readonly firstOffset: Offset;
  /** Last offset looked at + 1, records that nobody sees included. */
  readonly nextOffset: Offset;
  /** Hash of the chain's segment before this one. */
  readonly previous: Hash;
}

/** A run of hashed records. */
export interface RecordSegment extends Range {
  readonly kind: 'segment';
  /** RFC 6962 root over the leaves of its records; of the empty tree if it holds none. */
  readonly root: Hash;
}

/** A signed statement that the records of a range were gone before they were hashed. Takes one index and one seq. */
export interface LossSegment extends Range {
  readonly kind: 'loss';
}

/** What a chain consists of. */
export type Segment = RecordSegment | LossSegment;

/** A segment with the seq of its first record, as a block numbers it: `line <firstSeq> <segment>`. */
export interface Line {
  readonly firstSeq: Seq;
  readonly segment: Segment;
}

/** How many indexes and seqs a segment takes; 1 for a loss. Not checked to be in bounds. */
export function segmentCount(segment: Segment): bigint {
  return segment.nextIndex - segment.firstIndex;
}

/** The segment's one spelling, without a newline. */
export function formatSegment(s: Segment): string {
  const range = `${s.topic} ${s.generation} ${s.partition} ${s.firstIndex} ${s.nextIndex} ${s.firstOffset} ${s.nextOffset}`;
  return s.kind === 'loss' ? `loss ${range} ${s.previous}` : `segment ${range} ${s.root} ${s.previous}`;
}

/** The segment of a line of text. Throws `invalid`. Does not check that the ranges make sense: the fold does. */
export function parseSegment(line: string): Segment {
  const [kind, ...values] = line.split(' ');
  const wanted = kind === 'segment' ? 9 : 8;
  if ((kind !== 'segment' && kind !== 'loss') || values.length !== wanted) {
    throw invalid(`not a segment: ${quote(line)}`);
  }
  const [topic, generation, partition, firstIndex, nextIndex, firstOffset, nextOffset, a, b] = values as [
    string, string, string, string, string, string, string, string, string | undefined,
  ];
  const range = {
    topic: parseTopic(topic),
    generation: types.generation(parseUint63(generation)),
    partition: parsePartition(partition),
    firstIndex: types.index(parseUint63(firstIndex)),
    nextIndex: types.index(parseUint63(nextIndex)),
    firstOffset: types.offset(parseUint63(firstOffset)),
    nextOffset: types.offset(parseUint63(nextOffset)),
  };
  return b === undefined
    ? { kind: 'loss', ...range, previous: parseHash(a) }
    : { kind: 'segment', ...range, root: parseHash(a), previous: parseHash(b) };
}

/** The hash by which the next segment of the chain names this one; the chain's head while it is the newest. */
export function segmentHash(segment: Segment): Hash {
  return hashToText(sha256(utf8Encode(formatSegment(segment))));
}

/** The `previous` of a chain's first segment. */
export function chainStart(
  start: TopicPartition & { readonly ledgerId: Hash; readonly generation: Generation; readonly offset: Offset },
): Hash {
  const text = `plait.start/v1\n${start.ledgerId}\n${start.topic} ${start.generation} ${start.partition} ${start.offset}\n`;
  return hashToText(sha256(utf8Encode(text)));
}

/** The line's one spelling, `line <firstSeq> <segment>`, without a newline. */
export function formatLine(line: Line): string {
  return `line ${line.firstSeq} ${formatSegment(line.segment)}`;
}

/** The line of a text. Throws `invalid`. Does not check that its numbers make sense: that a block holds it shows that. */
export function parseLine(text: string): Line {
  const [keyword, firstSeq = '', ...segment] = text.split(' ');
  if (keyword !== 'line') throw invalid(`not a line: ${quote(text)}`);
  return { firstSeq: types.seq(parseUint63(firstSeq)), segment: parseSegment(segment.join(' ')) };
}

/** The bytes of a line as a block's tree has them: {@link formatLine} as UTF-8. */
export function encodeLine(line: Line): Uint8Array {
  return utf8Encode(formatLine(line));
}

/**
 * Canonical order: topic (by bytes), generation, partition, firstIndex, and firstOffset, since a segment without records
 * has the firstIndex of the one after it.
 */
export function compareSegments(a: Segment, b: Segment): number {
  if (a.topic !== b.topic) return a.topic < b.topic ? -1 : 1;
  return (
    compareNumbers(a.generation, b.generation) ||
    compareNumbers(a.partition, b.partition) ||
    compareNumbers(a.firstIndex, b.firstIndex) ||
    compareNumbers(a.firstOffset, b.firstOffset)
  );
}

/** −1, 0 or 1. */
export function compareNumbers<T extends bigint | number>(a: T, b: T): number {
  if (a === b) return 0;
  return a < b ? -1 : 1;
}

/** Whether two segments are of the same partition and generation and begin at the same place of the same chain. */
export function sameStart(a: Segment, b: Segment): boolean {
  return (
    a.topic === b.topic &&
    a.partition === b.partition &&
    a.generation === b.generation &&
    a.firstIndex === b.firstIndex &&
    a.firstOffset === b.firstOffset &&
    a.previous === b.previous
  );
}
