/** What may be found wrong with a line, and the errors that a reader makes of it. */
import {
  chainOf, encodeLeaf, isPlaitError, LEAF_BYTES, minimalPayload, PlaitError, payloadDigest, segmentCount,
  type ErrorDetails, type LedgerState, type Line, type LogPosition, type LossSegment, type Offset, type Segment, type VoidRange,
} from '@plait/core';
import type { LineFinding } from './audit-types.ts';
import type { SourceOutOfRange, SourceRecord } from './ports.ts';

/** From where to where a partition holds records. */
export type Held = Pick<SourceOutOfRange, 'logStart' | 'end'>;

/** A segment that begins below what its partition still holds. */
export function belowStart({ segment }: Line, { logStart }: Pick<Held, 'logStart'>): LineFinding {
  const message = `${describe(segment)} is no longer in the partition, which begins at offset ${logStart}: its records cannot be checked`;
  return { kind: 'below-start', message, logStart };
}

/** A segment above what its partition holds. */
export function beyondEnd({ segment }: Line, { logStart, end }: Held): LineFinding {
  const message = `${describe(segment)} lies beyond the partition's end at offset ${end}: sequenced records are missing`;
  return { kind: 'beyond-end', message, logStart, end };
}

/** Records that are not those that were hashed; those that are there are named by their leaves. */
export function differs({ segment }: Line, { expected, found, records }: { expected: string; found: string; records: readonly SourceRecord[] }): LineFinding {
  const message = `${describe(segment)} differs from what was hashed: expected ${expected}, found ${found}`;
  const leaves = leavesOfRecords(records);
  return { kind: 'differs', message, expected, found, ...(leaves === undefined ? {} : { leaves }) };
}

/** A segment whose first part, all that was fetched of it, holds more records than the whole shall. */
export function tooMany(line: Line, { records, nextOffset }: { readonly records: readonly SourceRecord[]; readonly nextOffset: Offset }): LineFinding {
  const expected = `${segmentCount(line.segment)} records`;
  return differs(line, { expected, found: `${records.length} up to offset ${nextOffset} already`, records });
}

/** Records that cannot be read though they are there: what the port says of them. */
export function unreadable({ segment }: Line, { message, details }: PlaitError): LineFinding {
  const expected = `${segmentCount(segment)} records`;
  const { offset } = details;
  return { kind: 'differs', message, expected, found: 'a batch that cannot be read', ...(typeof offset === 'string' ? { offset: BigInt(offset) as Offset } : {}) };
}

/** A loss whose range is still there: its worker lied, or the topic was restored. */
export function falseLoss(segment: LossSegment, { logStart, end }: Held): LineFinding {
  const message = `${describe(segment)} was reported as lost, and the partition still holds ${logStart} … ${end}: the loss is false`;
  return { kind: 'false-loss', message, logStart, end };
}

/** A partition that is no source any more and gives nothing, not even its bounds, though brokers answer. */
export function silent({ segment }: Line): LineFinding {
  return { kind: 'silent', message: `${describe(segment)} cannot be read: ${segment.topic} is no source any more and gives nothing` };
}

/** Whether nobody can tell what the records were. */
export function isMissing({ kind }: LineFinding): boolean {
  return kind === 'below-start' || kind === 'silent';
}

/** The error that a reader throws for a finding: `missing` or `invalid`, with the report it is about, if that is known: its signature is the evidence. */
export function errorOf(finding: LineFinding, line: Line, reported: Reported | undefined): PlaitError {
  const { expected, found, offset, logStart, end } = finding;
  const held = logStart === undefined ? {} : { held: `${logStart} …${end === undefined ? '' : ` ${end}`}` };
  const details = placeOf(line, {
    ...(expected === undefined ? {} : { expected, found }), ...(offset === undefined ? {} : { offset: String(offset) }), ...held,
  });
  if (isMissing(finding)) return new PlaitError('missing', finding.message, { details });
  if (reported === undefined) return new PlaitError('invalid', finding.message, { details });
  const { worker, position } = reported;
  return new PlaitError('invalid', `${finding.message}; reported by ${worker} at position ${position} of the log`, {
    details: { ...details, worker, report: String(position) },
  });
}

/**
 * Why the records are gone, for people, or undefined if it is tampering. A partition that began anew holds other records than
 * those of its former generations: that they differ proves nothing. What lies wholly below `begins`, where the generations
 * after the segment's begin, was never given up, though.
 */
export function goneBy(finding: LineFinding, { segment }: Line, { newest, begins }: { newest: LedgerState; begins: Offset | undefined }): string | undefined {
  if (isMissing(finding)) return finding.message;
  const { generation } = chainOf(newest, segment).end;
  if (segment.generation >= generation || (begins !== undefined && segment.nextOffset <= begins)) return undefined;
  return `${describe(segment)} is of generation ${segment.generation}, and the partition began anew as ` +
    `generation ${generation}: what it holds now cannot tell (${finding.message})`;
}

/** Who reported a segment, and where. */
export interface Reported {
  /** Name of the key. */
  readonly worker: string;
  readonly position: LogPosition;
}

/** Whether void ranges cover the segment wholly. */
export function isVoid(ranges: readonly VoidRange[], segment: Segment): boolean {
  let next: bigint = segment.firstIndex;
  // Ranges are sorted and do not overlap, so one pass finds a cover if there is one.
  for (const range of ranges) {
    const ofChain = range.topic === segment.topic && range.partition === segment.partition &&
      range.generation === segment.generation;
    if (ofChain && range.firstIndex <= next && next < range.nextIndex) next = range.nextIndex;
  }
  return next > segment.firstIndex && next >= segment.nextIndex;
}

/** The range of a segment, for people. */
export function describe({ topic, partition, firstOffset, nextOffset }: Segment): string {
  return `${topic}/${partition} offsets ${firstOffset} … ${nextOffset}`;
}

/** Where a line lies, as details of an error. */
function placeOf({ firstSeq, segment }: Line, more: ErrorDetails): ErrorDetails {
  return {
    topic: segment.topic, partition: segment.partition, generation: String(segment.generation),
    firstIndex: String(segment.firstIndex), nextIndex: String(segment.nextIndex),
    firstOffset: String(segment.firstOffset), nextOffset: String(segment.nextOffset),
    firstSeq: String(firstSeq), nextSeq: String(firstSeq + segmentCount(segment)), ...more,
  };
}

/** The leaves of records, 48 bytes each; undefined if one of them cannot be hashed. */
function leavesOfRecords(records: readonly SourceRecord[]): Uint8Array | undefined {
  const leaves = new Uint8Array(records.length * LEAF_BYTES);
  try {
    for (const [i, { offset, timestamp, payload }] of records.entries()) {
      leaves.set(encodeLeaf({ offset, timestamp, digest: payloadDigest(minimalPayload(payload)) }), i * LEAF_BYTES);
    }
  } catch (error) {
    if (!isPlaitError(error, 'invalid')) throw error;
    return undefined;
  }
  return leaves;
}
