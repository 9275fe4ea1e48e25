import { Prng } from '@plait/testkit';
import { expect, test } from 'vitest';

const draw = (random: Prng, count: number): number[] => Array.from({ length: count }, () => random.int(2 ** 32));

test('the stream of a seed is pinned: a change here changes what every printed seed means', () => {
  // From a second implementation, in Python.
  expect(draw(new Prng(1), 4)).toEqual([2_848_149_110, 2_226_591_093, 3_368_649_723, 3_459_076_290]);
});

test('a fork depends on its name and the seed, not on what was drawn before', () => {
  const fresh = new Prng('a').fork('x');
  const used = new Prng('a');
  draw(used, 100);
  expect(draw(used.fork('x'), 8)).toEqual(draw(fresh, 8));
  expect(draw(new Prng('a').fork('y'), 8)).not.toEqual(draw(new Prng('a').fork('x'), 8));
  expect(draw(new Prng('b').fork('x'), 8)).not.toEqual(draw(new Prng('a').fork('x'), 8));
});

test('neighbouring seeds share no numbers, and each stream is evenly spread', () => {
  const seen = new Set<number>();
  for (let seed = 0; seed < 200; seed += 1) for (const n of draw(new Prng(seed), 50)) seen.add(n);
  // 10,000 draws of 32 bits: 0.01 collisions expected.
  expect(seen.size).toBeGreaterThan(9_995);

  const random = new Prng('spread');
  const buckets = Array.from({ length: 16 }, () => 0);
  for (let i = 0; i < 16_000; i += 1) {
    const bucket = random.int(16);
    buckets[bucket] = (buckets[bucket] as number) + 1;
  }
  // 1,000 ± 30 each; 6 sigma.
  for (const count of buckets) expect(Math.abs(count - 1_000)).toBeLessThan(190);
});

test('chance, pick, bytes and the bounds of int', () => {
  const random = new Prng(7);
  expect(Array.from({ length: 100 }, () => random.chance(0)).some(Boolean)).toBe(false);
  expect(Array.from({ length: 100 }, () => random.chance(1)).every(Boolean)).toBe(true);
  expect(new Set(Array.from({ length: 100 }, () => random.pick(['a', 'b', 'c'])))).toEqual(new Set(['a', 'b', 'c']));
  expect(random.bytes(1_000).length).toBe(1_000);
  expect(new Set(random.bytes(5_000)).size).toBe(256);
  for (const n of [0, -1, Number.NaN, 2 ** 32 + 1]) expect(() => random.int(n)).toThrow(RangeError);
});
