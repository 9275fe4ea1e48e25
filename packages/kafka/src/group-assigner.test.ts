import { describe, expect, test } from 'vitest';
import { partitionName, type TopicPartition } from '@plait/core';
import { shareOut, type Claimant } from './group-assigner.ts';

const all = (count: number): TopicPartition[] => Array.from({ length: count }, (_, partition) => ({ topic: 'orders', partition }));
const member = (id: string, ...numbers: number[]): Claimant => ({ id, generation: 3, has: new Set(numbers.map((partition) => partitionName({ topic: 'orders', partition }))) });
const numbersOf = (shared: ReadonlyMap<string, readonly TopicPartition[]>): Record<string, number[]> =>
  Object.fromEntries([...shared].map(([id, list]) => [id, list.map(({ partition }) => partition).toSorted((a, b) => a - b)]));

describe('who gets which partitions', () => {
  test('one partition stays with the member that has it, whoever else there is', () => {
    expect(numbersOf(shareOut(all(1), [member('a'), member('z', 0), member('b')]))).toEqual({ a: [], b: [], z: [0] });
    expect(numbersOf(shareOut(all(1), [member('a'), member('b')]))).toEqual({ a: [0], b: [] });
  });

  test('a new member gets its part, and the others keep what they may', () => {
    expect(numbersOf(shareOut(all(4), [member('a', 0, 1, 2, 3), member('b')]))).toEqual({ a: [0, 1], b: [2, 3] });
    expect(numbersOf(shareOut(all(4), [member('a', 0, 1), member('b', 2, 3), member('c')]))).toEqual({ a: [0, 1], b: [2], c: [3] });
    expect(numbersOf(shareOut(all(3), [member('a', 0), member('b', 2)]))).toEqual({ a: [0, 1], b: [2] });
  });

  test('a member that was away does not take back what another has by now', () => {
    const away = { ...member('a', 0, 1), generation: 2 };
    expect(numbersOf(shareOut(all(1), [away, member('b', 0)]))).toEqual({ a: [], b: [0] });
    expect(numbersOf(shareOut(all(4), [away, member('b', 0, 1), member('c', 2, 3)]))).toEqual({ a: [3], b: [0, 1], c: [2] });
    expect(numbersOf(shareOut(all(2), [away]))).toEqual({ a: [0, 1] });
  });

  test('each partition goes to exactly one, evenly, whatever they say that they have', () => {
    for (let partitions = 0; partitions <= 7; partitions += 1) {
      for (let members = 1; members <= 5; members += 1) {
        for (let seed = 0; seed < 20; seed += 1) {
          const claimants = Array.from({ length: members }, (_, i) => member(`m${i}`, ...all(9).map(({ partition }) => partition).filter((p) => (p * 7 + i * 5 + seed * 3) % 4 < 2)));
          const shared = [...shareOut(all(partitions), claimants).values()];
          expect(shared.flat().map(({ partition }) => partition).toSorted((a, b) => a - b)).toEqual(all(partitions).map(({ partition }) => partition));
          const sizes = shared.map(({ length }) => length);
          expect(Math.max(...sizes) - Math.min(...sizes)).toBeLessThanOrEqual(1);
        }
      }
    }
  });

  test('nobody is there, nothing is given', () => {
    expect(shareOut(all(2), []).size).toBe(0);
  });
});
