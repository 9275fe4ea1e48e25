/** What `plait locate` and `plait serve --leaves` take: places, sizes and durations. */
import { InvalidArgumentError } from 'commander';
import { invalid } from '@plait/core';
import { describe, expect, test } from 'vitest';
import { placeArgument, type Place } from '../../apps/plait/src/proving/place.ts';
import { bytesArgument, durationArgument } from '../../apps/plait/src/units.ts';
import { describeParser } from './hostile.ts';

/** A parser for commander, whose refusals become `invalid`. */
const refusing = <T>(parse: (text: string) => T) => (text: string): T => {
  try {
    return parse(text);
  } catch (error) {
    if (!(error instanceof InvalidArgumentError)) throw error;
    throw invalid(error.message);
  }
};

describeParser('a place', {
  samples: ['orders/0/0', 'orders.v2/3/17', `a/2147483647/${2n ** 63n - 1n}`],
  parse: refusing(placeArgument),
  format: ({ topic, partition, offset }: Place) => `${topic}/${partition}/${offset}`,
  codes: ['invalid'],
});

describe('sizes and durations', () => {
  test.each([['0', 0], ['17', 17], ['500MB', 5e8], ['2GiB', 2 ** 31], ['1TB', 1e12]])('%s is %d bytes', (text, bytes) => expect(bytesArgument(text)).toBe(bytes));
  test.each([['0s', 0], ['1500ms', 1_500], ['90s', 90_000], ['5min', 300_000], ['36h', 129_600_000], ['90d', 7_776_000_000]])('%s is %d ms', (text, ms) => expect(durationArgument(text)).toBe(ms));
  test.each(['', 'MB', '1.5GB', '-1', '1 GB', '1gb', '1constructor', '999999999999TB', '1e3'])('"%s" is no size', (text) => expect(() => bytesArgument(text)).toThrow(InvalidArgumentError));
  test.each(['', '5', '1m', '1.5h', '-1s', '1toString', '999999999999999d'])('"%s" is no duration', (text) => expect(() => durationArgument(text)).toThrow(InvalidArgumentError));
});
