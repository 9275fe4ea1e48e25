/** How lines go to several checkers: all of them get work, none more than it has room for, and results come out in order. */
import { generation, index, offset, seq, type BlockHeader, type Hash, type Line, type LogPosition } from '@plait/core';
import type { LineChecker, LineResult, LineStretch } from '@plait/roles';
import { Prng } from '@plait/testkit';
import { systemClock } from '@plait/ledger';
import { expect, test } from 'vitest';
import { Lanes } from '../../packages/roles/src/audit-lanes.ts';

const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

/** Remembers what it was given, and answers in its own time. */
class Recorder implements LineChecker {
  readonly stretches: LineStretch[] = [];
  readonly #random: Prng;
  inHand = 0;
  inHandMax = 0;

  constructor(name: string) {
    this.#random = new Prng(name);
  }

  async check(stretch: LineStretch): Promise<readonly LineResult[]> {
    this.stretches.push(stretch);
    this.inHandMax = Math.max(this.inHandMax, (this.inHand += 1));
    // Slower than the lines come.
    for (let i = stretch.lines.length / 8 + this.#random.int(4); i >= 0; i -= 1) await turn();
    this.inHand -= 1;
    return stretch.lines.map(() => ({ kind: 'right' }));
  }

  async close(): Promise<void> {
    this.inHand = 0;
  }

  get records(): bigint {
    return this.stretches.flatMap(({ lines }) => lines).reduce((sum, { segment }) => sum + segment.nextIndex - segment.firstIndex, 0n);
  }
}

/** Lines of as many partitions, in turn, each of so many records. */
function linesOf(partitions: number, count: number, records: bigint): readonly Line[] {
  return Array.from({ length: count }, (_, i) => {
    const first = BigInt(Math.floor(i / partitions)) * records;
    return {
      firstSeq: seq(BigInt(i) * records), segment: {
        kind: 'segment', topic: 'orders', partition: i % partitions, generation: generation(0n), firstIndex: index(first), nextIndex: index(first + records),
        firstOffset: offset(first), nextOffset: offset(first + records), root: '' as Hash, previous: '' as Hash,
      },
    };
  });
}

async function pass(lines: readonly Line[], checkers: readonly LineChecker[]): Promise<readonly Line[]> {
  const lanes = new Lanes({ checkers, clock: { ...systemClock, sleep: turn }, about: () => ({ hasEnded: false, isSource: true }), patienceMs: 0 });
  const out: Line[] = [];
  let added = 0;
  while (out.length < lines.length) {
    for (let i = 0; i < 50 && added < lines.length && !lanes.isFull; i += 1, added += 1) {
      lanes.add({ line: lines[added] as Line, block: {} as BlockHeader, position: 0n as LogPosition }, false);
    }
    lanes.pump(added === lines.length);
    await lanes.wait(0);
    for (let { front } = lanes; front?.result !== undefined; { front } = lanes) {
      out.push(front.line);
      lanes.shift();
    }
  }
  return out;
}

test.each([
  { partitions: 1, checkers: 1 }, { partitions: 1, checkers: 2 }, { partitions: 1, checkers: 3 },
  { partitions: 7, checkers: 2 }, { partitions: 64, checkers: 3 },
])('$partitions partitions, $checkers checkers', async ({ partitions, checkers: count }) => {
  const checkers = Array.from({ length: count }, (_, i) => new Recorder(`checker ${i}`));
  const lines = linesOf(partitions, 6_000, 200n);
  expect(await pass(lines, checkers)).toEqual(lines);
  const all = BigInt(lines.length) * 200n;
  for (const checker of checkers) {
    expect(checker.records * BigInt(2 * count), 'at least half of its share').toBeGreaterThanOrEqual(all);
    expect(checker.inHandMax).toBeLessThanOrEqual(2);
    for (const { partition, lines: [first, ...rest] } of checker.stretches) {
      expect(first?.segment.partition).toBe(partition);
      let next = first?.segment.nextOffset;
      for (const { segment } of rest) {
        expect(segment).toMatchObject({ partition, firstOffset: next });
        next = segment.nextOffset;
      }
    }
  }
});

test('what a checker throws is thrown, and nothing comes out behind it', async () => {
  const checkers: LineChecker[] = [{ check: () => Promise.reject(new Error('broken')), close: async () => undefined }];
  await expect(pass(linesOf(1, 10, 1n), checkers)).rejects.toThrow('broken');
});
