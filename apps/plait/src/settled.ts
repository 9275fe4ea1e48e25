/** Patience with a topic that was made just now, and with a broker that is busy. */
import { isTransient } from '@plait/core';
import { systemClock } from '@plait/ledger';

const SETTLE_MS = 10_000;
const REST_MS = 200;

/** `attempt`, again while it throws `unavailable` or `unknown`, for a few seconds: a new topic takes a moment to settle. */
export async function settled<T>(attempt: () => Promise<T>): Promise<T> {
  const deadlineMs = systemClock.nowMs() + SETTLE_MS;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (!isTransient(error) || systemClock.nowMs() >= deadlineMs) throw error;
      await systemClock.sleep(REST_MS);
    }
  }
}
