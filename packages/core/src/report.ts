/**
 * Reports: one signed message of a worker with the new segments of its partitions.
 *
 *     plait.report/v1
 *     <origin>
 *     <ledger id>
 *     segment … | loss …        (one or more, strictly increasing in canonical order)
 */
import { parseHead } from './configuration.ts';
import { compareSegments, formatSegment, parseSegment, type Segment } from './segment.ts';
import { LineReader, requireIncreasing } from './text.ts';
import type { Hash } from './types.ts';

/** What a worker hashed: new segments of its partitions, signed once. */
export interface Report {
  readonly kind: 'report';
  readonly origin: string;
  readonly ledgerId: Hash;
  /** At least one; strictly increasing in canonical order. */
  readonly segments: readonly Segment[];
}

/** The report's one spelling. Does not check the order of its segments: {@link parseReport} does. */
export function formatReport(r: Report): string {
  return `plait.report/v1\n${r.origin}\n${r.ledgerId}\n${r.segments.map((s) => `${formatSegment(s)}\n`).join('')}`;
}

/** Throws `invalid`. */
export function parseReport(text: string): Report {
  const lines = new LineReader(text);
  const { origin, ledgerId } = parseHead(lines, 'report');
  const segments = [parseSegment(lines.line())];
  while (lines.at('segment') || lines.at('loss')) segments.push(parseSegment(lines.line()));
  lines.end();
  requireIncreasing('segment', segments, compareSegments);
  return { kind: 'report', origin, ledgerId, segments };
}
