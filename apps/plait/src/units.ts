/** Sizes and durations as people write them. */
import { InvalidArgumentError } from 'commander';

const BYTES: Readonly<Record<string, number>> = { '': 1, KB: 1e3, MB: 1e6, GB: 1e9, TB: 1e12, KiB: 2 ** 10, MiB: 2 ** 20, GiB: 2 ** 30, TiB: 2 ** 40 };
const MS: Readonly<Record<string, number>> = { ms: 1, s: 1_000, min: 60_000, h: 3_600_000, d: 86_400_000 };

/** For commander: a number of bytes, `500MB`, `2GiB` or without a unit. */
export function bytesArgument(text: string): number {
  return measured(text, BYTES, 'a whole number of bytes, KB, MB, GB, TB, KiB, MiB, GiB or TiB');
}

/** For commander: a duration in ms, `90d`, `36h`; a unit is needed. */
export function durationArgument(text: string): number {
  return measured(text, MS, 'a whole number with its unit: ms, s, min, h or d');
}

function measured(text: string, units: Readonly<Record<string, number>>, wanted: string): number {
  const [, count = '', unit = ''] = /^(\d{1,15})([A-Za-z]*)$/.exec(text) ?? [];
  const size = Object.hasOwn(units, unit) ? units[unit] : undefined;
  const value = Number(count) * (size ?? Number.NaN);
  if (count === '' || !Number.isSafeInteger(value)) throw new InvalidArgumentError(`wanted ${wanted}`);
  return value;
}
