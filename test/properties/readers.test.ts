/** What readers take from outside: a group's commits, and start points. */
import { InvalidArgumentError } from 'commander';
import { height, invalid, messageHash, seq } from '@plait/core';
import { formatProgress, parseProgress } from '../../packages/ledger/src/progress.ts';
import { startPointArgument } from '../../apps/plait/src/reading/start-point.ts';
import { describeParser } from './hostile.ts';

const progress = formatProgress({ ledgerId: messageHash('ledger'), nextSeq: seq(12n), height: height(3n), header: messageHash('header') });

describeParser('the metadata of a commit', {
  samples: [progress],
  parse: (text) => {
    const found = parseProgress(text);
    if (found === undefined) throw invalid('foreign');
    return found;
  },
  format: formatProgress,
  codes: ['invalid'],
});

describeParser('a start point', {
  samples: ['oldest', 'newest', 'seq:7', 'time:0', 'time:1700000000000', 'orders/3@17', 'time:2026-11-23', 'time:2026-11-23T08:00Z', 'time:2026-11-23T08:00:01.5+01:00'],
  parse: (text) => {
    try {
      return startPointArgument(text);
    } catch (error) {
      if (!(error instanceof InvalidArgumentError)) throw error;
      throw invalid(error.message);
    }
  },
  format: (point) => {
    if (typeof point === 'string') return point;
    if ('seq' in point) return `seq:${point.seq}`;
    // A date has many spellings.
    if ('timeMs' in point) return typeof point.timeMs === 'bigint' ? `time:${point.timeMs}` : undefined;
    return `${point.topic}/${point.partition}@${point.offset}`;
  },
  codes: ['invalid'],
});
