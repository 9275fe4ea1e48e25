/** What a line's finding comes to: which record it is where leaves are at hand, whether records expired, and what may have happened. */
import {
  areLeavesOf, decodeLeaf, index, offset, segmentCount, seq, splitLeaves, isPlaitError,
  type Line, type RecordSegment, type Seq,
} from '@plait/core';
import { firstDifference, type LeafDifference } from './audit-leaves.ts';
import type { Finding, LeavesOf, LineFinding, RetentionOf } from './audit-types.ts';
import type { NumberedLine } from './reader.ts';
import type { Reported } from './reader-findings.ts';

/** A line at which something is wrong. */
export interface BadLine extends NumberedLine {
  readonly finding: LineFinding;
  /** Who signed it, if that was read. */
  readonly reported: Reported | undefined;
}

/** The finding of a line that is not what was hashed. Throws what `leavesOf` throws, but for a store that is damaged. */
export async function tamperedFinding(bad: BadLine, leavesOf: LeavesOf | undefined): Promise<Finding> {
  const { finding, line, reported } = bad;
  const difference = await differenceOf(bad, leavesOf);
  const by = reported === undefined ? '' : `; reported by ${reported.worker} at position ${reported.position} of the log`;
  const common = { ...placeOf(bad), ...(reported === undefined ? {} : { worker: reported.worker, report: reported.position }) };
  if (difference !== undefined) return { ...common, ...recordFinding(line, difference, by), causes: [...hintOf(difference), ...causesOf(bad)] };
  const { expected = wantedOf(bad), found = heldOf(finding) } = finding;
  return {
    kind: finding.kind === 'beyond-end' || finding.kind === 'false-loss' ? finding.kind : 'records-differ', message: `${finding.message}${by}`,
    ...common, ...(finding.offset === undefined ? {} : { offset: finding.offset }), expected, found, causes: causesOf(bad),
  };
}

function wantedOf({ finding, line: { segment: { firstOffset, nextOffset } } }: BadLine): string {
  const range = `offsets ${firstOffset} … ${nextOffset}`;
  return finding.kind === 'false-loss' ? `no record at ${range}, as was signed` : `the records that were hashed at ${range}`;
}

function heldOf({ message, logStart, end }: LineFinding): string {
  return end === undefined ? message : `the partition holds ${logStart} … ${end}`;
}

function placeOf({ line: { firstSeq, segment }, block, position }: NumberedLine) {
  const { topic, partition, generation, firstIndex, nextIndex, firstOffset, nextOffset } = segment;
  return {
    topic, partition, generation, firstIndex, nextIndex, firstOffset, nextOffset, firstSeq, nextSeq: seq(firstSeq + segmentCount(segment)) satisfies Seq,
    height: block.height, position,
  };
}

async function differenceOf({ finding, line: { segment } }: BadLine, leavesOf: LeavesOf | undefined): Promise<LeafDifference | undefined> {
  if (finding.leaves === undefined || segment.kind === 'loss') return undefined;
  const hashed = await trueLeaves(segment, leavesOf);
  return hashed && firstDifference(hashed, finding.leaves);
}

/** Leaves that are those of the segment; a store that holds others is of no help. */
async function trueLeaves(segment: RecordSegment, leavesOf: LeavesOf | undefined): Promise<Uint8Array | undefined> {
  try {
    const leaves = await leavesOf?.(segment);
    return leaves !== undefined && areLeavesOf(segment, leaves) ? leaves : undefined;
  } catch (error) {
    if (!isPlaitError(error)) throw error;
    return undefined;
  }
}

function recordFinding({ firstSeq, segment }: Line, { kind, at, expected, found, offset: where }: LeafDifference, by: string) {
  const what = {
    'payload-changed': 'key, value or headers are others than were hashed', 'timestamp-changed': 'its timestamp is another than was hashed',
    'record-missing': 'the record that was hashed is not there', 'record-added': 'a record is there that was not hashed',
  }[kind];
  const [place, number] = [seq(firstSeq + BigInt(at)), index(segment.firstIndex + BigInt(at))];
  return {
    kind, seq: place, index: number, offset: offset(where), expected, found,
    message: `${segment.topic}/${segment.partition} offset ${where}, seq ${place}: ${what}${by}`,
  };
}

function hintOf({ hint }: LeafDifference): readonly string[] {
  return hint === undefined ? [] : [hint];
}

function causesOf({ finding, line: { segment }, reported }: BadLine): readonly string[] {
  const worker = reported?.worker ?? 'the worker that signed it';
  switch (finding.kind) {
    case 'beyond-end':
      return ['the partition lost its end: it was truncated, restored from an older copy, or deleted and made anew', `${worker} reported records that never were`];
    case 'false-loss':
      return [`${worker} signed a loss that was none`, 'the partition was restored from an older copy after its records had expired'];
    default:
      return [
        `records of ${segment.topic}/${segment.partition} were changed on a broker's disk`, 'the partition was restored from another copy, or deleted and filled anew',
        `${worker} signed a root that was never that of its records`,
      ];
  }
}

/** The finding of records that are gone. `wallMs` is now. */
export async function goneFinding(
  bad: BadLine & { readonly why: string }, { leavesOf, retentionOf, wallMs }: { readonly leavesOf?: LeavesOf; readonly retentionOf?: RetentionOf; readonly wallMs: number },
): Promise<Finding> {
  const { finding, line: { segment }, block, why } = bad;
  const retention = finding.kind === 'below-start' ? await retentionOf?.(segment.topic) : undefined;
  const found = finding.logStart === undefined ? finding.message : `the partition begins at offset ${finding.logStart}`;
  const common = { ...placeOf(bad), expected: wantedOf(bad), found };
  const leaves = segment.kind === 'loss' ? undefined : await trueLeaves(segment, leavesOf);
  const newestMs = leaves === undefined ? block.timeMs : newestOf(leaves);
  const isBounded = retention === undefined || !retention.onlyDelete || retention.bytes !== -1n;
  if (isBounded || (retention.ms !== -1n && BigInt(wallMs) - newestMs >= retention.ms)) {
    return { kind: 'expired-or-deleted', message: why, ...common, causes: ['the records have expired', 'they were deleted (DeleteRecords), or the topic was'] };
  }
  const keeps = retention.ms === -1n ? 'keeps its records for ever' : `keeps its records for ${retention.ms} ms, and the newest of these is ${BigInt(wallMs) - newestMs} ms old`;
  const doubt = leaves === undefined && retention.ms !== -1n ? ['a producer gave them timestamps of long ago, so that they expired at once'] : [];
  return {
    kind: 'deleted', message: `${why}; the topic ${keeps}: they were deleted`, ...common,
    causes: ['somebody deleted them (DeleteRecords)', 'the topic\'s retention was shorter for a while', ...doubt],
  };
}

function newestOf(leaves: Uint8Array): bigint {
  let newest = -1n;
  for (const leaf of splitLeaves(leaves)) {
    const { timestamp } = decodeLeaf(leaf);
    if (timestamp > newest) newest = timestamp;
  }
  return newest;
}
