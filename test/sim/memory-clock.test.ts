import { Scheduler, VirtualClock, virtualRandom } from '@plait/testkit';
import { expect, test } from 'vitest';

test('monotonic time goes on while the process is paused; wall time follows its skew, backwards too', async () => {
  const scheduler = new Scheduler({ seed: 1 });
  const process = scheduler.spawn('p', (me) => scheduler.sleep(me, 1e9));
  const clock = new VirtualClock(scheduler, process, { skewMs: -500 });
  const honest = new VirtualClock(scheduler, process);
  const [startMs, startWallMs] = [clock.nowMs(), clock.wallMs()];
  expect(startWallMs).toBe(honest.wallMs() - 500);
  scheduler.pause(process);
  await scheduler.run({ untilMs: 1_000.5 });
  expect(clock.nowMs() - startMs).toBeCloseTo(1_000.5, 6);
  expect(clock.wallMs()).toBe(startWallMs + 1_000);
  clock.skewMs = -10_000;
  expect(clock.wallMs()).toBe(startWallMs - 8_500);
  expect(clock.nowMs() - startMs).toBeCloseTo(1_000.5, 6);
});

test('sleep ends after its time, or when the signal aborts', async () => {
  const scheduler = new Scheduler({ seed: 1 });
  const stop = new AbortController();
  scheduler.spawn('p', async (me) => {
    const clock = new VirtualClock(scheduler, me);
    const startMs = clock.nowMs();
    await clock.sleep(100, stop.signal);
    expect(Math.floor(clock.nowMs() - startMs)).toBe(100);
    scheduler.after(100, 'stop', () => stop.abort());
    await clock.sleep(1e9, stop.signal);
    expect(Math.floor(clock.nowMs() - startMs)).toBe(200);
  });
  expect(await scheduler.run()).toBe('quiet');
});

/** What two incarnations of one process get. */
const draw = (): { bytes: string; nowMs: number }[] => {
  const scheduler = new Scheduler({ seed: 1 });
  return [1, 2].map(() => {
    const process = scheduler.spawn('p', async () => undefined);
    scheduler.crash(process);
    const bytes = String(virtualRandom(scheduler, process).bytes(16));
    return { bytes, nowMs: new VirtualClock(scheduler, process).nowMs() };
  });
};

test('every incarnation of a process has random numbers and a monotonic origin of its own, fixed by the seed', () => {
  const [first, second] = draw();
  expect(draw()).toEqual([first, second]);
  expect(second?.bytes).not.toBe(first?.bytes);
  expect(second?.nowMs).not.toBe(first?.nowMs);
});
