/** The checks of the end-to-end tests find what they are there to find. */
import type { BlockHeader } from '@plait/core';
import { describe, expect, test } from 'vitest';
import { checkComplete, checkPrefix, longestGapMs } from './ledger-checks.ts';
import { fingerprint, Memory } from './load.ts';

/** Blocks of these times. */
const at = (...times: number[]): BlockHeader[] => times.map((timeMs) => ({ timeMs: BigInt(timeMs) }) as BlockHeader);
const payload = (text: string) => ({ key: null, value: Buffer.from(text), headers: [] });
const seen = (partition: number, offset: number, text: string): string => `${partition}/${offset}/${offset}/${fingerprint(payload(text))}`;

function memoryOf(...texts: string[]): Memory {
  const memory = new Memory();
  for (const [i, text] of texts.entries()) memory.add({ partition: 0, offset: BigInt(i) }, payload(text));
  return memory;
}

describe('completeness', () => {
  const all = [seen(0, 0, 'a'), seen(0, 1, 'b')];
  test('takes what was acknowledged, each once', () => {
    expect(() => checkComplete(all, memoryOf('a', 'b'))).not.toThrow();
  });
  test.each([
    ['one missing', [seen(0, 0, 'a')], 'not in the ledger'],
    ['one twice', [...all, seen(0, 1, 'b')], 'not what was produced'],
    ['another content', [seen(0, 0, 'a'), seen(0, 1, 'x')], 'not what was produced'],
    ['one too many', [...all, seen(0, 2, 'c')], 'not what was produced'],
    ['another partition', [seen(0, 0, 'a'), seen(1, 1, 'b')], 'not what was produced'],
  ])('refuses %s', (_, list, why) => {
    expect(() => checkComplete(list, memoryOf('a', 'b'))).toThrow(why);
  });
  test('takes what was sent and not answered, and nothing else', () => {
    const memory = memoryOf('a', 'b');
    memory.unanswered.add(fingerprint(payload('c')));
    expect(() => checkComplete([...all, seen(0, 2, 'c')], memory)).not.toThrow();
    expect(() => checkComplete([...all, seen(0, 2, 'd')], memory)).toThrow('not what was produced');
  });
});

test('an earlier reader saw a prefix', () => {
  expect(() => checkPrefix(['a', 'b'], ['a', 'b', 'c'])).not.toThrow();
  expect(() => checkPrefix(['a', 'c'], ['a', 'b', 'c'])).toThrow('seq 1 was c and is b');
  expect(() => checkPrefix(['a', 'b'], ['a'])).toThrow('a later one 1');
});

test('fingerprints tell null from empty, and names from values', () => {
  const bytes = Buffer.from('x');
  const prints = [
    { key: null, value: null, headers: [] }, { key: Buffer.alloc(0), value: null, headers: [] }, { key: null, value: Buffer.alloc(0), headers: [] },
    { key: null, value: null, headers: [{ key: bytes, value: null }] }, { key: null, value: null, headers: [{ key: bytes, value: Buffer.alloc(0) }] },
    { key: null, value: null, headers: [{ key: Buffer.alloc(0), value: bytes }] }, { key: bytes, value: null, headers: [] }, { key: null, value: bytes, headers: [] },
  ].map(fingerprint);
  expect(new Set(prints).size).toBe(prints.length);
});

test('the longest gap counts from the moment on, also to the first block after it', () => {
  expect(longestGapMs(at(0, 100, 150, 900, 950), 160)).toBe(750);
  expect(longestGapMs(at(0, 100, 150, 200, 900), 160)).toBe(700);
  expect(longestGapMs(at(0, 100), 160)).toBe(Number.POSITIVE_INFINITY);
});
