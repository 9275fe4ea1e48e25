import { PlaitError } from '@plait/core';
import { ContractError, Scheduler, SimulationError, type Process } from '@plait/testkit';
import { describe, expect, test } from 'vitest';

/** A world of `count` processes that write their turns into a shared list, with calls and sleeps of random length. */
async function busyWorld(seed: number, count = 4): Promise<{ order: string[]; hash: string; nowMs: number }> {
  const scheduler = new Scheduler({ seed });
  const delays = scheduler.random.fork('delays');
  const order: string[] = [];
  for (let n = 0; n < count; n += 1) {
    scheduler.spawn(`p${n}`, async (me) => {
      for (let turn = 0; turn < 20; turn += 1) {
        await scheduler.sleep(me, delays.int(5));
        const times = { delayMs: delays.int(3), answerMs: delays.int(3) };
        await scheduler.call(me, 'turn', () => order.push(`${me.name}:${turn}`), times);
      }
    });
  }
  expect(await scheduler.run()).toBe('quiet');
  return { order, hash: scheduler.trace.hash, nowMs: scheduler.nowMs };
}

/** The hash of a trace with one note of one byte. */
const hash = (byte: number): string => {
  const scheduler = new Scheduler({ seed: 1 });
  scheduler.note(undefined, 'n', Uint8Array.of(byte));
  return scheduler.trace.hash;
};

describe('one seed, one run', () => {
  test('the same seed gives the same run, bit for bit, also beside other runs', async () => {
    for (let seed = 0; seed < 20; seed += 1) {
      const [first, second] = await Promise.all([busyWorld(seed), busyWorld(seed)]);
      expect(second).toEqual(first);
      expect(first.order.length).toBe(80);
    }
  });

  test('other seeds give other runs', async () => {
    const hashes = new Set<string>();
    for (let seed = 0; seed < 50; seed += 1) hashes.add((await busyWorld(seed)).hash);
    expect(hashes.size).toBe(50);
  });

  test('every order of three calls that are due together comes up', async () => {
    const orders = new Set<string>();
    for (let seed = 0; seed < 100; seed += 1) {
      const scheduler = new Scheduler({ seed });
      const order: string[] = [];
      for (const name of ['a', 'b', 'c']) scheduler.after(5, name, () => order.push(name));
      await scheduler.run();
      orders.add(order.join(''));
    }
    expect(orders.size).toBe(6);
  });

  test('a note and its bytes are part of the hash', () => {
    expect(hash(1)).toBe(hash(1));
    expect(hash(1)).not.toBe(hash(2));
  });
});

describe('time', () => {
  test('sleeps take virtual time, an abort ends them at once, and a loop that never waits cannot stop time', async () => {
    const scheduler = new Scheduler({ seed: 1 });
    const stop = new AbortController();
    const wokeMs: number[] = [];
    scheduler.spawn('long', async (me) => {
      await scheduler.sleep(me, 1_000_000, stop.signal);
      wokeMs.push(scheduler.nowMs);
      await scheduler.sleep(me, 1_000_000, stop.signal);
      wokeMs.push(scheduler.nowMs);
    });
    scheduler.spawn('short', async (me) => {
      await scheduler.sleep(me, 50);
      stop.abort();
    });
    scheduler.spawn('eager', async (me) => {
      while (scheduler.nowMs < 100) await scheduler.sleep(me, 0);
    });
    expect(await scheduler.run()).toBe('quiet');
    for (const ms of wokeMs) expect(Math.abs(ms - 50)).toBeLessThan(0.1);
    expect(wokeMs.length).toBe(2);
  });

  test('run stops at untilMs and at until, and goes on from there', async () => {
    const scheduler = new Scheduler({ seed: 1 });
    const ticks: number[] = [];
    scheduler.spawn('p', async (me) => {
      for (let n = 0; n < 10; n += 1) {
        await scheduler.sleep(me, 10);
        ticks.push(n);
      }
    });
    expect(await scheduler.run({ untilMs: 35 })).toBe('time');
    expect(ticks).toEqual([0, 1, 2]);
    expect(scheduler.nowMs).toBe(35);
    expect(await scheduler.run({ until: () => ticks.length === 5 })).toBe('until');
    expect(ticks.length).toBe(5);
    expect(await scheduler.run()).toBe('quiet');
    expect(ticks.length).toBe(10);
  });
});

/** A process that calls once: effect after 10 ms, answer 10 ms later. */
function oneCall(seed: number): { scheduler: Scheduler; process: Process; seen: string[] } {
  const scheduler = new Scheduler({ seed });
  const seen: string[] = [];
  const process = scheduler.spawn('p', async (me) => {
    await scheduler.call(me, 'call', () => seen.push('effect'), { delayMs: 10, answerMs: 10 });
    seen.push('answer');
    await scheduler.sleep(me, 10);
    seen.push('woke');
  });
  return { scheduler, process, seen };
}

describe('crash', () => {
  test('before the effect: it lands or not, by the seed; the process gets no further', async () => {
    const outcomes = new Set<string>();
    for (let seed = 0; seed < 40; seed += 1) {
      const { scheduler, process, seen } = oneCall(seed);
      scheduler.after(5, 'crash', () => scheduler.crash(process));
      expect(await scheduler.run()).toBe('quiet');
      outcomes.add(seen.join());
      expect(process.state).toBe('crashed');
    }
    expect(outcomes).toEqual(new Set(['', 'effect']));
  });

  test('between effect and answer: applied, and never known', async () => {
    const { scheduler, process, seen } = oneCall(1);
    scheduler.after(15, 'crash', () => scheduler.crash(process));
    await scheduler.run();
    expect(seen).toEqual(['effect']);
  });

  test('from the observer at each entry of the trace: nothing of the process runs past its next port call', async () => {
    const outcomes: string[] = [];
    for (let nth = 0; nth < 6; nth += 1) {
      const { scheduler, process, seen } = oneCall(1);
      let entries = 0;
      scheduler.observe = (_entry, who): void => {
        if (who === process && entries++ === nth) scheduler.crash(process);
      };
      await scheduler.run();
      outcomes.push(seen.join());
    }
    // start, call, effect, answer, the sleep's call, the sleep's end: the last is past all port calls.
    expect(outcomes).toEqual(['', '', 'effect', 'effect,answer', 'effect,answer', 'effect,answer,woke']);
  });

  test('a call of a dead process has no effect and never settles', async () => {
    const scheduler = new Scheduler({ seed: 1 });
    const seen: string[] = [];
    const process = scheduler.spawn('p', async (me) => {
      scheduler.crash(me);
      await scheduler.call(me, 'call', () => seen.push('effect'), { delayMs: 0, answerMs: 0 });
      seen.push('answer');
    });
    await scheduler.run();
    expect(seen).toEqual([]);
    expect(process.state).toBe('crashed');
  });

  test('a name may be taken again after a crash, by a process with another id', async () => {
    const scheduler = new Scheduler({ seed: 1 });
    const first = scheduler.spawn('p', (me) => scheduler.sleep(me, 10));
    expect(() => scheduler.spawn('p', async () => undefined)).toThrow('alive');
    scheduler.crash(first);
    const second = scheduler.spawn('p', (me) => scheduler.sleep(me, 10));
    expect([first.id, second.id]).toEqual(['p#1', 'p#2']);
    await scheduler.run();
    expect([first.state, second.state]).toEqual(['crashed', 'ended']);
  });
});

describe('pause', () => {
  test('effects land, answers and timers wait, time goes on', async () => {
    const { scheduler, process, seen } = oneCall(1);
    scheduler.after(5, 'pause', () => scheduler.pause(process));
    await scheduler.run({ untilMs: 500 });
    expect(seen).toEqual(['effect']);
    expect(scheduler.nowMs).toBe(500);
    scheduler.resume(process);
    await scheduler.run({ untilMs: 505 });
    expect(seen).toEqual(['effect', 'answer']);
    await scheduler.run();
    expect(seen).toEqual(['effect', 'answer', 'woke']);
  });

  test('a world in which only paused processes are left is quiet, not stuck', async () => {
    const { scheduler, process } = oneCall(1);
    scheduler.pause(process);
    expect(await scheduler.run()).toBe('quiet');
  });
});

const failureOf = async (scheduler: Scheduler): Promise<SimulationError> => {
  const error: unknown = await scheduler.run({ eventsMax: 1_000 }).catch((e: unknown) => e);
  expect(error).toBeInstanceOf(SimulationError);
  return error as SimulationError;
};

const isFenced = (e: unknown): boolean => e instanceof PlaitError && e.code === 'fenced';

describe('what ends a run', () => {
  test('an exception out of main, with seed and trace', async () => {
    const scheduler = new Scheduler({ seed: 4711 });
    scheduler.spawn('p', async (me) => {
      await scheduler.sleep(me, 3);
      throw new Error('a bug');
    });
    const error = await failureOf(scheduler);
    expect(error.message).toContain('seed 4711: a bug');
    expect(error.message).toMatch(/answer p#1 +sleep/);
  });

  test('not one that was expected; then the other loops of that process are dead too', async () => {
    const scheduler = new Scheduler({ seed: 1 });
    let turns = 0;
    const loop = async (me: Process): Promise<void> => {
      for (;;) {
        await scheduler.sleep(me, 1);
        turns += 1;
      }
    };
    const fails = async (me: Process): Promise<void> => {
      await scheduler.sleep(me, 10.5);
      throw new PlaitError('fenced', 'stop');
    };
    const process = scheduler.spawn('p', async (me) => void (await Promise.all([loop(me), fails(me)])), isFenced);
    expect(await scheduler.run()).toBe('quiet');
    expect(process.state).toBe('ended');
    expect(process.error).toBeInstanceOf(PlaitError);
    expect(turns).toBe(10);
  });

  test('a PlaitError out of an effect is an answer, any other error ends the run even if it would be caught', async () => {
    const scheduler = new Scheduler({ seed: 1 });
    const codes: string[] = [];
    scheduler.spawn('p', async (me) => {
      for (const error of [new PlaitError('unknown', 'lost'), new TypeError('a bug in a port')]) {
        const effect = (): never => {
          throw error;
        };
        await scheduler.call(me, 'call', effect, { delayMs: 1, answerMs: 1 }).catch((e: unknown) => {
          codes.push(e instanceof PlaitError ? e.code : 'caught');
        });
      }
    });
    expect((await failureOf(scheduler)).cause).toBeInstanceOf(TypeError);
    expect(codes).toEqual(['unknown']);
  });

  test('a breach of a contract', async () => {
    const scheduler = new Scheduler({ seed: 1 });
    scheduler.spawn('p', (me) => scheduler.breach(me, 'two at once').catch(() => undefined));
    expect((await failureOf(scheduler)).cause).toBeInstanceOf(ContractError);
  });

  test('a process that waits for what is not a port, and a run without end', async () => {
    const stuck = new Scheduler({ seed: 1 });
    stuck.spawn('p', () => new Promise(() => undefined));
    expect((await failureOf(stuck)).message).toContain('p#1 waits for something that is not a port');

    const endless = new Scheduler({ seed: 1 });
    endless.spawn('p', async (me) => {
      for (;;) await endless.sleep(me, 0);
    });
    expect((await failureOf(endless)).message).toContain('no end after 1000 events');
  });
});
