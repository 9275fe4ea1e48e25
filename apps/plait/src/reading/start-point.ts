/** Start points as people write them. */
import { InvalidArgumentError } from 'commander';
import { isPlaitError, parseCount, parseTopic, parseUint63 } from '@plait/core';
import type { StartPoint } from '@plait/ledger';

const FORMS = 'oldest, newest, seq:N, time:2026-11-23T08:00Z, time:MS (since 1970) or TOPIC/PARTITION@OFFSET';
/** A date (UTC), or a time with its zone: what JavaScript reads the same everywhere. */
const DATE = /^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2}(\.\d{1,3})?)?(Z|[+-]\d{2}:\d{2}))?$/;
const PARTITION_MAX = 2 ** 31 - 1;

/** For commander: the start point of `--from`. */
export function startPointArgument(text: string): StartPoint {
  try {
    const point = pointOf(text);
    if (point !== undefined) return point;
  } catch (error) {
    if (!isPlaitError(error, 'invalid')) throw error;
    throw new InvalidArgumentError(`${error.message}; wanted ${FORMS}`);
  }
  throw new InvalidArgumentError(`wanted ${FORMS}`);
}

function pointOf(text: string): StartPoint | undefined {
  if (text === 'oldest' || text === 'newest') return text;
  const [, kind, value = ''] = /^(seq|time):(.*)$/.exec(text) ?? [];
  if (kind === 'seq') return { seq: parseUint63(value) };
  if (kind === 'time') return timeOf(value);
  const [, topic = '', partition = '', offset = ''] = /^([^/]*)\/([^@]*)@(.*)$/.exec(text) ?? [];
  if (topic === '') return undefined;
  return { topic: parseTopic(topic), partition: parseCount(partition, PARTITION_MAX), offset: parseUint63(offset) };
}

function timeOf(text: string): StartPoint | undefined {
  if (/^\d+$/.test(text)) return { timeMs: parseUint63(text) };
  const timeMs = DATE.test(text) ? Date.parse(text) : NaN;
  return timeMs >= 0 ? { timeMs } : undefined;
}
