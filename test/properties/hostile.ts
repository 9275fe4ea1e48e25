/**
 * Hostile input, and what a parser may make of it: refuse it by an error of the codes it documents, or give a value that
 * is spelled as the input was; in bounded time and memory.
 */
import { isPlaitError, type ErrorCode } from '@plait/core';
import { describe, expect, it } from 'vitest';
import { fc } from './fast-check.ts';

/** Parsing some kilobytes takes well below a millisecond: this is for what hangs, also on a machine that is busy. */
const MS_MAX = 10_000;
const MEMORY_BYTES_MAX = 64 * 1024 * 1024;

/** Tries `judge` on `runs` values. */
export function holds<T>(values: fc.Arbitrary<T>, judge: (value: T) => void, runs = 1_000): void {
  fc.assert(fc.property(values, (value) => { judge(value); }), { numRuns: runs });
}

/** As {@link holds}, for what is asynchronous. */
export async function holdsAsync<T>(values: fc.Arbitrary<T>, judge: (value: T) => Promise<void>, runs = 300): Promise<void> {
  await fc.assert(fc.asyncProperty(values, async (value) => { await judge(value); }), { numRuns: runs });
}

/** The value, or undefined if it was refused by an error of `codes`. Any other error fails, and so does what takes too much. */
export function taken<T>(parse: () => T, codes: readonly ErrorCode[] = ['invalid']): T | undefined {
  const bounds = startBounds();
  try {
    return parse();
  } catch (error) {
    if (!codes.some((code) => isPlaitError(error, code))) throw error;
    return undefined;
  } finally {
    bounds();
  }
}

/** As {@link taken}, for what is asynchronous, refuses by an Error that its caller translates, or may take more memory. */
export async function takenAsync<T>(
  parse: () => Promise<T> | T, isRefusal: (error: unknown) => boolean, bytesMax = MEMORY_BYTES_MAX,
): Promise<T | undefined> {
  const bounds = startBounds(bytesMax);
  try {
    return await parse();
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return undefined;
  } finally {
    bounds();
  }
}

/** Of which code an error may be for {@link takenAsync}. */
export const ofCode = (...codes: readonly ErrorCode[]) => (error: unknown): boolean => codes.some((code) => isPlaitError(error, code));

function startBounds(bytesMax = MEMORY_BYTES_MAX): () => void {
  const startMs = performance.now();
  const start = heldBytes();
  return () => {
    expect(performance.now() - startMs, 'ms').toBeLessThan(MS_MAX);
    expect(heldBytes() - start, 'bytes').toBeLessThan(bytesMax);
  };
}

function heldBytes(): number {
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** Characters and lines that some parser could take for something else. */
const TOKENS = [
  '\n', ' ', '0', '00', '1', '-', '+', '=', 'A', 'a', '\r', '\t', '\u0000', 'é', '\ufeff', '/', '.', '9'.repeat(20), '\u2014 ', 'state 1 x\n',
  '\u{1f600}', '"', '{', '}', '[', ',', ':', '\\', '\\u0022', '%', '@', '#', '&a', '*a', 'null', '1e999', '__proto__', 'constructor',
];

/** Texts with one to three edits: a token put in or in place of another, parts cut, lines repeated, swapped or dropped, two spliced. */
export function hostileTexts(samples: readonly string[]): fc.Arbitrary<string> {
  const edit = fc.tuple(fc.nat({ max: 6 }), fc.nat(), fc.nat(), fc.constantFrom(...TOKENS));
  return fc.tuple(fc.nat(), fc.nat(), fc.array(edit, { minLength: 1, maxLength: 3 })).map(([which, other, edits]) => {
    const spare = samples[other % samples.length] as string;
    return edits.reduce((text, each) => editText(text, each, spare), samples[which % samples.length] as string).toWellFormed();
  });
}

function editText(text: string, [how, at, length, token]: readonly [number, number, number, string], spare: string): string {
  const place = at % (text.length + 1);
  if (how === 0) return text.slice(0, place) + token + text.slice(place);
  if (how === 1) return text.slice(0, place) + token + text.slice(place + 1);
  if (how === 2) return text.slice(0, place) + text.slice(place + 1 + (length % 5));
  if (how === 3) return text.slice(0, place) + spare.slice(length % (spare.length + 1));
  const lines = text.split('\n');
  const [a, b] = [at % lines.length, length % lines.length];
  if (how === 4) lines.splice(b, 0, lines[a] as string);
  if (how === 5) [lines[a], lines[b]] = [lines[b] as string, lines[a] as string];
  if (how === 6) lines.splice(a, 1);
  return lines.join('\n');
}

/** Lengths and counts that some decoder could believe. */
const NUMBERS = ['ff', '00', '7f', '80', '01', 'ffffffff', '7fffffff', '80000000', '00000000', 'fffffffe', 'ffffffff0f', '7fffffffffffffff'].map((hex) => Buffer.from(hex, 'hex'));

/** Bytes with one to four edits: a bit flipped, a number put in or in place of another, parts cut or repeated, an end, two spliced. */
export function hostileBytes(samples: readonly Uint8Array[]): fc.Arbitrary<Buffer> {
  const edit = fc.tuple(fc.nat({ max: 6 }), fc.nat(), fc.nat(), fc.constantFrom(...NUMBERS));
  return fc.tuple(fc.nat(), fc.nat(), fc.array(edit, { minLength: 1, maxLength: 4 })).map(([which, other, edits]) => {
    const spare = Buffer.from(samples[other % samples.length] as Uint8Array);
    return edits.reduce<Buffer>((bytes, each) => editBytes(bytes, each, spare), Buffer.from(samples[which % samples.length] as Uint8Array));
  });
}

function editBytes(bytes: Buffer, [how, at, length, number]: readonly [number, number, number, Buffer], spare: Buffer): Buffer {
  const place = at % (bytes.length + 1);
  const [before, after] = [bytes.subarray(0, place), bytes.subarray(place)];
  const some = length % 16;
  if (how === 0) return Buffer.concat([before, after.subarray(0, 1).map((byte) => byte ^ (1 << (length % 8))), after.subarray(1)]);
  if (how === 1) return Buffer.concat([before, number, after]);
  if (how === 2) return Buffer.concat([before, number, after.subarray(number.length)]);
  if (how === 3) return Buffer.concat([before, after.subarray(1 + some)]);
  if (how === 4) return Buffer.concat([before, after.subarray(0, some), after]);
  if (how === 5) return before;
  return Buffer.concat([before, spare.subarray(length % (spare.length + 1))]);
}

/** Bytes that are no edits of anything. */
export const anyBytes = fc.uint8Array({ maxLength: 400 }).map((bytes) => Buffer.from(bytes));
/** Texts that are no edits of anything. */
export const anyText = fc.string({ unit: 'binary', maxLength: 200 });

/** A parser of texts: samples that it takes, and how the value is spelled (undefined: there is no formatter). */
export interface TextParser<T> {
  readonly samples: readonly string[];
  readonly parse: (text: string) => T;
  readonly format: (value: T) => string | undefined;
  /** By which errors it refuses. Default: `invalid`. */
  readonly codes?: readonly ErrorCode[];
  readonly runs?: number;
}

/** Declares the tests of a parser: it takes its samples, and of anything else it makes what a parser may. */
export function describeParser<T>(name: string, { samples, parse, format, codes, runs }: TextParser<T>): void {
  const spelledAgain = (text: string): boolean => {
    const value = taken(() => parse(text), codes);
    if (value === undefined) return false;
    const again = format(value);
    if (again !== undefined) expect(again).toBe(text);
    return true;
  };
  describe(name, () => {
    it('takes what it is for', () => {
      expect(samples.length).toBeGreaterThan(0);
      for (const sample of samples) expect(spelledAgain(sample), sample).toBe(true);
    });

    it('refuses hostile edits, or spells them as they were', () => {
      let refused = 0;
      holds(hostileTexts(samples), (text) => void (refused += Number(!spelledAgain(text))), runs);
      expect(refused).toBeGreaterThan(0);
    });

    it('refuses any text, or spells it as it was', () => {
      holds(anyText, (text) => void spelledAgain(text), runs);
    });
  });
}
