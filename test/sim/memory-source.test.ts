import { offset, PlaitError, type Offset } from '@plait/core';
import type { SourceBatch, SourceEvent, SourceReader } from '@plait/roles';
import { ContractError, Faults, MemorySource, Prng, Scheduler, SimulationError, type Process } from '@plait/testkit';
import { describe, expect, test } from 'vitest';

const T = 'orders';
const P0 = { topic: T, partition: 0 };
const P1 = { topic: T, partition: 1 };
const payload = Uint8Array.of(1, 2, 3);

interface World {
  readonly scheduler: Scheduler;
  readonly source: MemorySource;
}

function world(seed: number, sourceUnavailable = 0): World {
  const scheduler = new Scheduler({ seed });
  const faults = new Faults(scheduler.random.fork('faults'), { sourceUnavailable });
  return { scheduler, source: new MemorySource(scheduler, { faults }) };
}

/** Runs `main` as a process with a reader to its end. */
async function withReader({ scheduler, source }: World, main: (r: SourceReader, me: Process) => Promise<void>): Promise<void> {
  scheduler.spawn('p', (me) => main(source.reader(me), me));
  await scheduler.run();
}

function produceMany(source: MemorySource, count: number): void {
  for (let n = 0; n < count; n += 1) source.produce(T, 0, Uint8Array.of(n), BigInt(n));
}

/** Polls until a batch of partition 0 ends at `end`; the batches in order. Fails on any other event. */
async function readTo(reader: SourceReader, end: Offset): Promise<SourceBatch[]> {
  const batches: SourceBatch[] = [];
  while (batches.at(-1)?.nextOffset !== end) {
    for (const event of await reader.poll({ maxWaitMs: 1_000 })) {
      if (event.kind !== 'records') throw new Error(`${event.kind} after ${batches.at(-1)?.nextOffset}`);
      batches.push(event);
    }
  }
  return batches;
}

/** Batches tile the offsets from `from` on, and hold only records inside their range. */
function expectTiles(batches: readonly SourceBatch[], from: bigint): void {
  let next = from;
  for (const batch of batches) {
    expect(batch.firstOffset).toBe(next);
    expect(batch.nextOffset).toBeGreaterThan(batch.firstOffset);
    for (const r of batch.records) expect(r.offset >= batch.firstOffset && r.offset < batch.nextOffset).toBe(true);
    next = batch.nextOffset;
  }
}

describe('reading', () => {
  test('batches tile every partition whatever gaps it has and wherever they are cut; each visible record comes once', async () => {
    let empty = 0;
    const spans = new Set<bigint>();
    for (let seed = 0; seed < 60; seed += 1) {
      const w = world(seed, 0.1);
      const random = new Prng(`history ${seed}`);
      const ends = [0, 1].map((partition) => {
        for (let n = 0; n < 40; n += 1) {
          if (random.chance(0.3)) w.source.produceInvisible(T, partition, 1 + random.int(5));
          else w.source.produce(T, partition, random.bytes(4), BigInt(n) - 1n);
        }
        return w.source.endOffset(T, partition);
      });
      const read: SourceBatch[][] = [[], []];
      await withReader(w, async (reader) => {
        for (const p of [P0, P1]) reader.seek(p, offset(0n));
        while ([0, 1].some((p) => read[p]?.at(-1)?.nextOffset !== ends[p])) {
          const events = await reader.poll({ maxWaitMs: 100 }).catch((e: unknown): SourceEvent[] => {
            expect(e instanceof PlaitError && e.code).toBe('unavailable');
            return [];
          });
          for (const e of events) if (e.kind === 'records') read[e.partition]?.push(e);
        }
      });
      for (const [partition, batches] of read.entries()) {
        expectTiles(batches, 0n);
        expect(batches.flatMap((b) => b.records)).toEqual(w.source.records(T, partition));
        empty += batches.filter((b) => b.records.length === 0).length;
        for (const b of batches) spans.add(b.nextOffset - b.firstOffset);
      }
    }
    expect(empty).toBeGreaterThan(20);
    expect(spans.size).toBeGreaterThan(40);
  });

  test('a tail of markers only moves nextOffset', async () => {
    const w = world(1);
    produceMany(w.source, 3);
    w.source.produceInvisible(T, 0, 2);
    await withReader(w, async (reader) => {
      reader.seek(P0, offset(3n));
      const batches = await readTo(reader, offset(5n));
      expectTiles(batches, 3n);
      expect(batches.flatMap((b) => b.records)).toEqual([]);
    });
  });

  test('nothing before the first seek; nothing from a partition that does not exist yet, until it does', async () => {
    const w = world(1);
    produceMany(w.source, 3);
    w.scheduler.after(500, 'made', () => void w.source.produce(T, 1, payload));
    await withReader(w, async (reader) => {
      expect(await reader.poll({ maxWaitMs: 50 })).toEqual([]);
      reader.seek(P1, offset(0n));
      expect(await reader.poll({ maxWaitMs: 100 })).toEqual([]);
      expect(await reader.poll({ maxWaitMs: 10_000 })).toMatchObject([{ ...P1, firstOffset: 0n, nextOffset: 1n }]);
      expect(w.scheduler.nowMs).toBeGreaterThanOrEqual(500);
      expect(w.scheduler.nowMs).toBeLessThan(520);
    });
  });

  test('only: nothing of other partitions, and they lose nothing by it', async () => {
    for (let seed = 0; seed < 20; seed += 1) {
      const w = world(seed);
      produceMany(w.source, 20);
      for (let n = 0; n < 5; n += 1) w.source.produce(T, 1, payload);
      await withReader(w, async (reader) => {
        reader.seek(P0, offset(0n));
        reader.seek(P1, offset(0n));
        let next = 0n;
        while (next < 5n) {
          for (const e of await reader.poll({ maxWaitMs: 100, only: P1 })) {
            expect(e).toMatchObject(P1);
            if (e.kind === 'records') next = e.nextOffset;
          }
        }
        expectTiles(await readTo(reader, offset(20n)), 0n);
      });
    }
  });

  test('while no broker answers polls throw, and nothing is lost', async () => {
    const w = world(1);
    produceMany(w.source, 3);
    w.source.isDown = true;
    w.scheduler.after(1_000, 'up', () => (w.source.isDown = false));
    await withReader(w, async (reader) => {
      reader.seek(P0, offset(0n));
      await expect(reader.poll({ maxWaitMs: 100 })).rejects.toMatchObject({ code: 'unavailable' });
      await w.scheduler.sleep(w.scheduler.processes[0] as Process, 1_000);
      expectTiles(await readTo(reader, offset(3n)), 0n);
    });
  });
});

describe('seek and drop', () => {
  test('seek throws away what was fetched before: the next batch begins where it says', async () => {
    for (let seed = 0; seed < 40; seed += 1) {
      const w = world(seed);
      produceMany(w.source, 100);
      await withReader(w, async (reader, me) => {
        reader.seek(P0, offset(0n));
        await reader.poll({ maxWaitMs: 100 });
        await w.scheduler.sleep(me, 100);
        reader.seek(P0, offset(30n));
        expectTiles(await readTo(reader, offset(100n)), 30n);
      });
    }
  });

  test('drop throws it away too, and nothing comes until the next seek', async () => {
    const w = world(1);
    produceMany(w.source, 100);
    await withReader(w, async (reader, me) => {
      reader.seek(P0, offset(0n));
      await w.scheduler.sleep(me, 100);
      reader.drop(P0);
      expect(await reader.poll({ maxWaitMs: 500 })).toEqual([]);
      reader.seek(P0, offset(99n));
      expectTiles(await readTo(reader, offset(100n)), 99n);
    });
  });

  test('what was fetched ahead outlives a deletion, but ahead is bounded', async () => {
    const w = world(5);
    produceMany(w.source, 100);
    w.source.produceInvisible(T, 0, 900);
    const seen: SourceEvent[] = [];
    await withReader(w, async (reader, me) => {
      reader.seek(P0, offset(0n));
      await w.scheduler.sleep(me, 100);
      w.source.deleteBefore(T, 0, offset(1_000n));
      while (seen.at(-1)?.kind !== 'out-of-range') seen.push(...(await reader.poll({ maxWaitMs: 100 })));
    });
    const batches = seen.filter((e) => e.kind === 'records');
    expect(batches.length).toBeGreaterThan(0);
    expectTiles(batches, 0n);
    const stoppedAt = batches.at(-1)?.nextOffset;
    expect(stoppedAt).toBeLessThan(1_000n);
    expect(seen.at(-1)).toEqual({ kind: 'out-of-range', ...P0, offset: stoppedAt, logStart: 1_000n, end: 1_000n });
  });
});

describe('out of range', () => {
  test('below the start and beyond the end: told once, then nothing until the next seek', async () => {
    const w = world(1);
    produceMany(w.source, 10);
    w.source.deleteBefore(T, 0, offset(4n));
    expect([w.source.startOffset(T, 0), w.source.endOffset(T, 0)]).toEqual([4n, 10n]);
    await withReader(w, async (reader) => {
      for (const wrong of [3n, 11n]) {
        reader.seek(P0, offset(wrong));
        const expected = { kind: 'out-of-range', ...P0, offset: wrong, logStart: 4n, end: 10n };
        expect(await reader.poll({ maxWaitMs: 1_000 })).toEqual([expected]);
        w.source.produceInvisible(T, 1);
        expect(await reader.poll({ maxWaitMs: 1_000 })).toEqual([]);
      }
      reader.seek(P0, offset(4n));
      expectTiles(await readTo(reader, offset(10n)), 4n);
    });
  });

  test('at the end is not out of range: the reader waits there', async () => {
    const w = world(1);
    w.source.createPartition(T, 0);
    await withReader(w, async (reader) => {
      reader.seek(P0, offset(0n));
      expect(await reader.poll({ maxWaitMs: 100 })).toEqual([]);
    });
    expect(w.source.partitions(T)).toEqual([P0]);
  });
});

const poll = (r: SourceReader): Promise<unknown> => r.poll({ maxWaitMs: 10 });

/** Makes a call while a poll is outstanding. */
const withPoll = (r: SourceReader, call: () => void): Promise<unknown> => {
  const polled = poll(r);
  call();
  return polled;
};

test('a breach of the contract ends the run: two polls, a seek or drop during a poll, anything after close', async () => {
  const breaches: [string, (r: SourceReader) => Promise<unknown>][] = [
    ['poll while poll is outstanding', (r) => Promise.all([poll(r), poll(r)])],
    ['seek while poll is outstanding', (r) => withPoll(r, () => r.seek(P0, offset(0n)))],
    ['drop while poll is outstanding', (r) => withPoll(r, () => r.drop(P0))],
    ['poll after close', (r) => r.close().then(() => poll(r))],
    ['seek after close', (r) => r.close().then(() => r.seek(P0, offset(0n)))],
  ];
  for (const [message, main] of breaches) {
    const error: unknown = await withReader(world(1), async (r) => void (await main(r))).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(SimulationError);
    const { cause } = error as SimulationError;
    expect(cause).toBeInstanceOf(ContractError);
    expect((cause as ContractError).message).toBe(`p#1: SourceReader.${message}`);
  }
});
