/**
 * Lines of text as the bodies of notes have them: `keyword value value …`, one space between, `\n` at the end of each.
 * Everything has exactly one spelling, so that format(parse(text)) = text. All failures are `invalid`.
 */
import { parseHash } from './bytes.ts';
import { invalid } from './errors.ts';
import { ORIGIN_CHARS_MAX } from './limits.ts';
import type { Hash } from './types.ts';

const INT64_MAX = 2n ** 63n - 1n;
const DECIMAL = /^(?:0|[1-9][0-9]{0,18})$/;
const TOPIC = /^[a-zA-Z0-9._-]{1,249}$/;
const ORIGIN = /^[!-*,-~]+$/;

/** Parses a canonical decimal of 0 … 2^63 − 1: no sign, no leading zero. */
export function parseUint63(text: string): bigint {
  if (!DECIMAL.test(text)) throw invalid(`not a decimal number: ${quote(text)}`);
  const value = BigInt(text);
  if (value > INT64_MAX) throw invalid(`number above 2^63 − 1: ${text}`);
  return value;
}

/** Parses a canonical decimal of 0 … `max`, with `max` at most 2^53 − 1. */
export function parseCount(text: string, max: number): number {
  const value = parseUint63(text);
  if (value > BigInt(max)) throw invalid(`number above ${max}: ${text}`);
  return Number(value);
}

/** Parses a partition number, 0 … 2^31 − 1. */
export function parsePartition(text: string): number {
  return parseCount(text, 2 ** 31 - 1);
}

/** Parses a legal Kafka topic name (org.apache.kafka.common.internals.Topic). */
export function parseTopic(text: string): string {
  if (!TOPIC.test(text) || text === '.' || text === '..') throw invalid(`not a topic name: ${quote(text)}`);
  return text;
}

/**
 * Parses an origin: 1 … 200 visible ASCII characters, no `+`, as note key names must be. It does not begin with
 * `plait.`, since a checkpoint begins with its origin and every other kind with `plait.<kind>/v1`.
 */
export function parseOrigin(text: string): string {
  if (!ORIGIN.test(text) || text.length > ORIGIN_CHARS_MAX) throw invalid(`not an origin: ${quote(text)}`);
  if (text.startsWith('plait.')) throw invalid(`an origin does not begin with "plait.": ${quote(text)}`);
  return text;
}

/** Text of hostile origin, shortened and quoted for a message. */
export function quote(text: string): string {
  return JSON.stringify(text.length > 80 ? `${text.slice(0, 80)}…` : text);
}

/** Reads a body line by line. Every method throws `invalid` when the next line is not what is wanted. */
export class LineReader {
  readonly #lines: readonly string[];
  #next = 0;

  /** `text` ends with a newline. */
  constructor(text: string) {
    if (!text.endsWith('\n')) throw invalid('text does not end with a newline');
    this.#lines = text.slice(0, -1).split('\n');
  }

  /** The next line whole. */
  line(): string {
    const line = this.#lines[this.#next];
    if (line === undefined) throw invalid('text ends too early');
    this.#next += 1;
    return line;
  }

  /** The next line must be exactly `wanted`. */
  expect(wanted: string): void {
    const line = this.line();
    if (line !== wanted) throw invalid(`expected ${quote(wanted)}, found ${quote(line)}`);
  }

  /** Whether the next line begins with `keyword` and a space. */
  at(keyword: string): boolean {
    return this.#lines[this.#next]?.startsWith(`${keyword} `) ?? false;
  }

  /** The `count` values of the next line, which must begin with `keyword`. */
  values(keyword: string, count: number): string[] {
    const [found, ...values] = this.line().split(' ');
    if (found !== keyword) throw invalid(`expected ${quote(keyword)}, found ${quote(found ?? '')}`);
    if (values.length !== count) throw invalid(`${keyword}: expected ${count} values, found ${values.length}`);
    return values;
  }

  /** The one value of the next line, which must begin with `keyword`. */
  value(keyword: string): string {
    return this.values(keyword, 1)[0] ?? '';
  }

  /** The one value of the next line as a number of 0 … 2^63 − 1. */
  uint63(keyword: string): bigint {
    return parseUint63(this.value(keyword));
  }

  /** The one value of the next line as a hash. */
  hash(keyword: string): Hash {
    return parseHash(this.value(keyword));
  }

  /** All lines that are left, which may be none. */
  rest(): readonly string[] {
    const lines = this.#lines.slice(this.#next);
    this.#next = this.#lines.length;
    return lines;
  }

  /** Nothing may follow. */
  end(): void {
    if (this.#next !== this.#lines.length) throw invalid(`unexpected line: ${quote(this.line())}`);
  }
}

/** Throws `invalid` unless `items` are strictly increasing by `compare`. */
export function requireIncreasing<T>(what: string, items: readonly T[], compare: (a: T, b: T) => number): void {
  for (let i = 1; i < items.length; i += 1) {
    if (compare(items[i - 1] as T, items[i] as T) >= 0) throw invalid(`${what} ${i} is not above the one before it`);
  }
}
