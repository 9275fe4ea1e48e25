/**
 * The end of all microtasks, cheaply. Node drains microtasks after every immediate, but goes around its event loop once
 * for each batch of them; so immediates are queued ahead of need, and those that nobody waits for do nothing. Measured
 * on Node 24: 1.3 µs for an event of the scheduler, 2.0 µs with one immediate at a time.
 */
const BATCH = 64;

let queued = 0;
const waiting: (() => void)[] = [];

function tick(): void {
  queued -= 1;
  waiting.shift()?.();
}

/** Resolves when no microtask and no `process.nextTick` is left. */
export function drained(): Promise<void> {
  return new Promise((resolve) => {
    waiting.push(resolve);
    if (queued >= waiting.length) return;
    for (; queued < BATCH; queued += 1) setImmediate(tick);
  });
}
