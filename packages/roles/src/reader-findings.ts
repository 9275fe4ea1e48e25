/** What a reader may find wrong with a line, and what the newest configuration makes of it. */
import {
  chainOf, PlaitError, segmentCount,
  type ErrorDetails, type LedgerState, type Line, type LogPosition, type LossSegment, type Offset, type Segment, type VoidRange,
} from '@plait/core';
import type { SourceOutOfRange } from './ports.ts';

/** From where to where a partition holds records. */
export type Held = Pick<SourceOutOfRange, 'logStart' | 'end'>;

/** The `missing` error of a segment that begins below what its partition still holds. */
export function belowStart({ line, held }: { line: Line; held: Pick<Held, 'logStart'> }): PlaitError {
  return new PlaitError('missing', `${describe(line.segment)} is no longer in the partition, which begins at offset ` +
    `${held.logStart}: its records cannot be checked`, { details: placeOf(line, { held: `${held.logStart} …` }) });
}

/** The `invalid` error of a segment above what its partition holds. */
export function beyondEnd({ line, held }: { line: Line; held: Held }): PlaitError {
  return new PlaitError('invalid', `${describe(line.segment)} lies beyond the partition's end at offset ${held.end}: ` +
    'sequenced records are missing', { details: placeOf(line, { held: `${held.logStart} … ${held.end}` }) });
}

/** The `invalid` error of records that are not those that were hashed. */
export function differs(line: Line, { expected, found }: { expected: string; found: string }): PlaitError {
  return new PlaitError('invalid', `${describe(line.segment)} differs from what was hashed: expected ${expected}, found ${found}`, {
    details: placeOf(line, { expected, found }),
  });
}

/** The `invalid` error of a segment whose first part, all that was fetched of it, holds more records than the whole shall. */
export function tooMany(line: Line, { count, nextOffset }: { readonly count: number; readonly nextOffset: Offset }): PlaitError {
  return differs(line, { expected: `${segmentCount(line.segment)} records`, found: `${count} up to offset ${nextOffset} already` });
}

/** The `invalid` error of a loss whose range is still there: its worker lied, or the topic was restored. */
export function falseLoss(line: Line & { segment: LossSegment }, held: Held): PlaitError {
  return new PlaitError('invalid', `${describe(line.segment)} was reported as lost, and the partition still holds ` +
    `${held.logStart} … ${held.end}: the loss is false`, { details: placeOf(line, { held: `${held.logStart} … ${held.end}` }) });
}

/** What becomes of a partition that gives nothing, not even its bounds, though brokers answer. */
export function givesNothing(line: Line, newest: LedgerState): PlaitError {
  const { topic, partition } = line.segment;
  return newest.configuration.body.sources.includes(topic)
    ? new PlaitError('unavailable', `${topic}/${partition} gives nothing: it has no leader, or does not exist`)
    : new PlaitError('missing', `${describe(line.segment)} cannot be read: ${topic} is no source any more and gives nothing`, { details: placeOf(line, {}) });
}

/**
 * The `missing` error that a finding comes to, or undefined if it is tampering. A partition that began anew holds other
 * records than those of its former generations: that they differ proves nothing. What lies wholly below `begins`, where the
 * generations after the segment's begin, was never given up, though.
 */
export function goneBy(finding: PlaitError, line: Line, { newest, begins }: { newest: LedgerState; begins: Offset | undefined }): PlaitError | undefined {
  if (finding.code === 'missing') return finding;
  const { segment } = line;
  const { generation } = chainOf(newest, segment).end;
  if (segment.generation >= generation || (begins !== undefined && segment.nextOffset <= begins)) return undefined;
  return new PlaitError('missing', `${describe(segment)} is of generation ${segment.generation}, and the partition began anew as ` +
    `generation ${generation}: what it holds now cannot tell (${finding.message})`, { details: placeOf(line, {}), cause: finding });
}

/** Who reported a segment, and where. */
export interface Reported {
  /** Name of the key. */
  readonly worker: string;
  readonly position: LogPosition;
}

/** The finding with the report it is about, if that is known: its signature is the evidence. */
export function accused(finding: PlaitError, reported: Reported | undefined): PlaitError {
  if (reported === undefined) return finding;
  const { worker, position } = reported;
  return new PlaitError(finding.code, `${finding.message}; reported by ${worker} at position ${position} of the log`, {
    details: { ...finding.details, worker, report: String(position) }, cause: finding,
  });
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

function describe({ topic, partition, firstOffset, nextOffset }: Segment): string {
  return `${topic}/${partition} offsets ${firstOffset} … ${nextOffset}`;
}

function placeOf({ firstSeq, segment }: Line, more: ErrorDetails): ErrorDetails {
  return {
    topic: segment.topic, partition: segment.partition, generation: String(segment.generation),
    firstIndex: String(segment.firstIndex), nextIndex: String(segment.nextIndex),
    firstOffset: String(segment.firstOffset), nextOffset: String(segment.nextOffset),
    firstSeq: String(firstSeq), nextSeq: String(firstSeq + segmentCount(segment)), ...more,
  };
}
