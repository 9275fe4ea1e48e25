import { isPlaitError, logPosition, PlaitError, type LogPosition } from '@plait/core';
import type { LogMessage } from '@plait/roles';
import {
  ContractError, Faults, HARSH_FAULTS, MemoryLog, Scheduler, SimulationError, type FaultRates, type Process,
} from '@plait/testkit';
import { describe, expect, test } from 'vitest';

interface World {
  readonly scheduler: Scheduler;
  readonly faults: Faults;
  readonly log: MemoryLog;
}

function world(seed: number, rates: Partial<FaultRates> = {}, gapChance = 0): World {
  const scheduler = new Scheduler({ seed });
  const faults = new Faults(scheduler.random.fork('faults'), rates);
  return { scheduler, faults, log: new MemoryLog(scheduler, { faults, gapChance }) };
}

const text = (m: LogMessage): string => new TextDecoder().decode(m.value);
const bytes = (s: string): Uint8Array => new TextEncoder().encode(s);

/** The code of the PlaitError that `promise` rejects with, or `ok`. */
const codeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'ok',
    (error: unknown) => (error instanceof PlaitError ? error.code : 'bug'),
  );

/** Runs `main` as a process to its end and tells what it returned. */
async function inProcess<T>(scheduler: Scheduler, main: (me: Process) => Promise<T>): Promise<T> {
  const results: T[] = [];
  scheduler.spawn('p', async (me) => void results.push(await main(me)));
  await scheduler.run();
  return results[0] as T;
}

async function breachOf(main: (w: World, me: Process) => Promise<unknown>): Promise<string> {
  const w = world(1);
  w.scheduler.spawn('p', async (me) => void (await main(w, me)));
  const error: unknown = await w.scheduler.run().catch((e: unknown) => e);
  const cause = error instanceof SimulationError ? error.cause : error;
  return cause instanceof ContractError ? cause.message : `no breach: ${String(cause)}`;
}

/** One append with one certain fault, then a look at the log at once and after a minute. */
async function appendWith(fault: keyof FaultRates, seed = 1): Promise<[string, number, number]> {
  const { scheduler, log } = world(seed, { [fault]: 1 });
  return inProcess(scheduler, async (me) => {
    const code = await codeOf(log.appender(me).append(bytes('m')));
    const atOnce = log.messages.length;
    await scheduler.sleep(me, 60_000);
    return [code, atOnce, log.messages.length];
  });
}

describe('append', () => {
  test('each fault does what its name says', async () => {
    for (let seed = 0; seed < 20; seed += 1) {
      expect(await appendWith('slow', seed)).toEqual(['ok', 1, 1]);
      expect(await appendWith('appendUnavailable', seed)).toEqual(['unavailable', 0, 0]);
      expect(await appendWith('appendAnswerLost', seed)).toEqual(['unknown', 1, 1]);
      expect(await appendWith('appendLost', seed)).toEqual(['unknown', 0, 0]);
      expect(await appendWith('appendLate', seed)).toEqual(['unknown', 0, 1]);
      expect(await appendWith('appendDuplicated', seed)).toEqual(['ok', 2, 2]);
    }
  });

  test('a late message lands after its process crashed, and after faults were switched off', async () => {
    const { scheduler, faults, log } = world(3, { appendLate: 1 });
    const process = scheduler.spawn('p', async (me) => {
      await codeOf(log.appender(me).append(bytes('late')));
      await scheduler.sleep(me, 1e9);
    });
    let refusedMs = 0;
    scheduler.observe = (entry): void => {
      if (entry.phase !== 'answer') return;
      refusedMs = entry.atMs;
      faults.off();
      scheduler.crash(process);
    };
    expect(await scheduler.run()).toBe('quiet');
    expect(log.messages.map(text)).toEqual(['late']);
    expect(scheduler.nowMs).toBeGreaterThan(refusedMs);
  });

  test('switched off, nothing goes wrong any more', async () => {
    const everything = Object.fromEntries(Object.keys(HARSH_FAULTS).map((name) => [name, 1]));
    const { scheduler, faults, log } = world(1, everything);
    faults.off();
    const codes = await inProcess(scheduler, async (me) => {
      const [appender, reader] = [log.appender(me), log.reader(me, logPosition(0n))];
      const appended = await codeOf(appender.append(bytes('m')));
      return [appended, await codeOf(reader.end()), (await reader.poll({ maxWaitMs: 0 })).length];
    });
    expect(codes).toEqual(['ok', 'ok', 1]);
  });

  test('the bytes are taken at the call: what the caller does to its buffer later changes nothing', async () => {
    const { scheduler, log } = world(1);
    await inProcess(scheduler, async (me) => {
      const buffer = bytes('before');
      const appended = log.appender(me).append(buffer);
      buffer.fill(0);
      await appended;
    });
    expect(log.messages.map(text)).toEqual(['before']);
  });

  test('while no broker answers nothing is applied', async () => {
    const { scheduler, log } = world(1);
    log.isDown = true;
    const codes = await inProcess(scheduler, async (me) => {
      const reader = log.reader(me, logPosition(0n));
      const appended = await codeOf(log.appender(me).append(bytes('m')));
      return [appended, await codeOf(reader.end()), await codeOf(reader.poll({ maxWaitMs: 10 }))];
    });
    expect(codes).toEqual(['unavailable', 'unavailable', 'unavailable']);
    expect(log.messages.length).toBe(0);
  });
});

describe('contracts', () => {
  test('a breach ends the run and names the call', async () => {
    const from = logPosition(0n);
    expect(await breachOf(({ log }, me) => {
      const appender = log.appender(me);
      return Promise.all([appender.append(bytes('a')), appender.append(bytes('b'))]);
    })).toBe('p#1: LogAppender.append while append is outstanding');
    expect(await breachOf(({ log }, me) => {
      const reader = log.reader(me, from);
      return Promise.all([reader.poll({ maxWaitMs: 5 }), reader.poll({ maxWaitMs: 5 })]);
    })).toBe('p#1: LogReader.poll while poll is outstanding');
    expect(await breachOf(({ log }, me) => {
      const reader = log.reader(me, from);
      return Promise.all([reader.poll({ maxWaitMs: 5 }), reader.end()]);
    })).toBe('p#1: LogReader.end while poll is outstanding');
    expect(await breachOf(async ({ log }, me) => {
      const reader = log.reader(me, from);
      await reader.close();
      await reader.close();
      await reader.poll({ maxWaitMs: 5 });
    })).toBe('p#1: LogReader.poll after close');
    expect(await breachOf(async ({ log }, me) => {
      const appender = log.appender(me);
      await appender.close();
      await appender.append(bytes('a'));
    })).toBe('p#1: LogAppender.append after close');
  });

  test('calls one after the other, two views of one process, and a close during a poll are none', async () => {
    const { scheduler, log } = world(1);
    const polled = await inProcess(scheduler, async (me) => {
      const reader = log.reader(me, logPosition(0n));
      await Promise.all([log.appender(me).append(bytes('a')), log.appender(me).append(bytes('b'))]);
      await reader.poll({ maxWaitMs: 5 });
      await codeOf(reader.end());
      const closing = log.reader(me, log.end);
      return Promise.all([closing.poll({ maxWaitMs: 1e9 }), closing.close()]);
    });
    expect(polled[0]).toEqual([]);
    expect(scheduler.nowMs).toBeLessThan(1_000);
  });
});

/** Two writers under all faults and a reader each; every reader goes on until it has all that will ever land. */
async function chaos(seed: number): Promise<{ w: World; acknowledged: string[]; outputs: LogMessage[][] }> {
  const w = world(seed, HARSH_FAULTS, 0.1);
  const { scheduler, log } = w;
  const acknowledged: string[] = [];
  const outputs: LogMessage[][] = [[], []];
  const writing = new Set([0, 1]);
  for (const n of [0, 1]) {
    scheduler.spawn(`p${n}`, async (me) => {
      const write = async (): Promise<void> => {
        const appender = log.appender(me);
        for (let i = 0; i < 30; i += 1) {
          if ((await codeOf(appender.append(bytes(`${n}:${i}`)))) === 'ok') acknowledged.push(`${n}:${i}`);
        }
        writing.delete(n);
      };
      const read = async (): Promise<void> => {
        const output = outputs[n] as LogMessage[];
        const reader = log.reader(me, logPosition(0n));
        while (writing.size > 0 || scheduler.nowMs < 200_000 || output.length < log.messages.length) {
          try {
            output.push(...(await reader.poll({ maxWaitMs: 5_000 })));
          } catch (error) {
            if (!isPlaitError(error, 'unavailable')) throw error;
          }
          expect(output).toEqual(log.messages.filter((m) => m.position < reader.position()));
        }
      };
      await Promise.all([write(), read()]);
    });
  }
  await scheduler.run();
  return { w, acknowledged, outputs };
}

describe('reading', () => {
  test('an empty poll waits maxWaitMs of virtual time, and wakes when something lands', async () => {
    const { scheduler, log } = world(1);
    scheduler.after(500, 'land', () => void log.land(bytes('m')));
    await inProcess(scheduler, async (me) => {
      const reader = log.reader(me, logPosition(0n));
      expect(await reader.poll({ maxWaitMs: 100 })).toEqual([]);
      expect(Math.abs(scheduler.nowMs - 100)).toBeLessThan(1);
      expect((await reader.poll({ maxWaitMs: 10_000 })).map(text)).toEqual(['m']);
      expect(scheduler.nowMs).toBeGreaterThanOrEqual(500);
      expect(scheduler.nowMs).toBeLessThan(510);
    });
  });

  test('a gap at the end is waited at, not spun at; position passes it at the first poll or the second', async () => {
    const passed = new Set<LogPosition>();
    for (let seed = 0; seed < 20; seed += 1) {
      const { scheduler, log } = world(seed);
      log.land(bytes('m'));
      log.gap();
      await inProcess(scheduler, async (me) => {
        const reader = log.reader(me, logPosition(0n));
        expect(reader.position()).toBe(0n);
        await reader.poll({ maxWaitMs: 0 });
        passed.add(reader.position());
        expect(await reader.poll({ maxWaitMs: 300 })).toEqual([]);
        expect(await reader.end()).toBe(2n);
        expect(reader.position()).toBe(2n);
      });
      expect(scheduler.nowMs).toBeGreaterThan(300);
    }
    expect(passed).toEqual(new Set([1n, 2n]));
  });

  test('a position deleted from the head is missing, one beyond the end is rolled back, at once', async () => {
    const { scheduler, log } = world(1);
    for (const m of ['a', 'b', 'c']) log.land(bytes(m));
    log.deleteBefore(logPosition(2n));
    const poll = (me: Process, from: bigint): Promise<string> =>
      codeOf(log.reader(me, logPosition(from)).poll({ maxWaitMs: 1e9 }));
    expect(await inProcess(scheduler, async (me) => [await poll(me, 1n), await poll(me, 2n), await poll(me, 4n)])).toEqual(
      ['missing', 'ok', 'rolled-back'],
    );
    expect(scheduler.nowMs).toBeLessThan(1_000);
  });

  test('under all faults every reader reads what landed, in order, each once, and all that was acknowledged', async () => {
    let gaps = 0;
    let more = 0;
    for (let seed = 0; seed < 30; seed += 1) {
      const { w, acknowledged, outputs } = await chaos(seed);
      for (const output of outputs) expect(output).toEqual(w.log.messages);
      const landed = w.log.messages.map(text);
      for (const m of acknowledged) expect(landed).toContain(m);
      const positions: LogPosition[] = w.log.messages.map((m) => m.position);
      for (const [i, p] of positions.entries()) expect(i === 0 || p > (positions[i - 1] as LogPosition)).toBe(true);
      gaps += Number(w.log.end) - landed.length;
      more += landed.length - acknowledged.length;
    }
    expect(gaps).toBeGreaterThan(50);
    expect(more).toBeGreaterThan(100);
  });

  test('the same seed gives the same run, faults included', async () => {
    for (let seed = 0; seed < 5; seed += 1) {
      const [a, b] = await Promise.all([chaos(seed), chaos(seed)]);
      expect(b.w.scheduler.trace.hash).toBe(a.w.scheduler.trace.hash);
      expect(b.w.log.messages).toEqual(a.w.log.messages);
    }
  });
});
