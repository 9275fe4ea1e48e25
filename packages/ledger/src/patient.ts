/** Going on while no broker answers, for a while. */
import { isTransient, PlaitError } from '@plait/core';
import { systemClock } from './clock.ts';

const REST_MS = 200;

/**
 * `step`, called again after a rest while it throws `unavailable` or `unknown`, until that has lasted for `patienceMs`;
 * then that error is thrown. Undefined when `signal` aborts meanwhile, or `isWanted` gives false.
 */
export function patient<T>(
  step: () => Promise<T | undefined>,
  { patienceMs, signal, isWanted = () => true }: { readonly patienceMs: number; readonly signal: AbortSignal; readonly isWanted?: () => boolean },
): () => Promise<T | undefined> {
  // Read anew each time: it changes while the step runs.
  const stopped = (): boolean => signal.aborted || !isWanted();
  return async () => {
    let sinceMs: number | undefined;
    while (!stopped()) {
      try {
        return await step();
      } catch (error) {
        if (!isTransient(error)) throw error;
        const nowMs = systemClock.nowMs();
        sinceMs ??= nowMs;
        if (nowMs - sinceMs >= patienceMs) throw new PlaitError('unavailable', error.message, { details: error.details, cause: error });
        await systemClock.sleep(REST_MS, signal);
      }
    }
    return undefined;
  };
}
