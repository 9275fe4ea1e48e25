/** Runs a role: step after step until it is told to stop. */
import { isTransient } from '@plait/core';
import type { Observe } from './events.ts';
import type { Clock } from './ports.ts';

/** What a loop runs. One step at a time; a step that throws may be called again if the error is `unavailable` or `unknown`. */
export interface Role {
  step(signal: AbortSignal): Promise<void>;
}

const REST_MS = 200;
/** A broker that restarts is back within seconds: a role that rests for long makes its outage longer. */
const REST_MS_MAX = 1_000;

/**
 * Resolves when `signal` aborts and the current step has ended. After `unavailable` and `unknown` it rests (longer after
 * each in a row, at most 1 s) and goes on; every other error ends it and is thrown.
 */
export async function runLoop(
  role: Role, options: { clock: Clock; signal: AbortSignal; observe?: Observe },
): Promise<void> {
  const { clock, signal, observe } = options;
  let restMs = REST_MS;
  while (!signal.aborted) {
    try {
      await role.step(signal);
      restMs = REST_MS;
    } catch (error) {
      if (!isTransient(error)) throw error;
      observe?.({ event: 'waiting', why: error.message });
      await clock.sleep(restMs, signal);
      restMs = Math.min(restMs * 2, REST_MS_MAX);
    }
  }
}
