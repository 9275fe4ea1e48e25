/** Bounds on waiting. */
import { PlaitError } from '@plait/core';

/**
 * What `promise` gives, if within `ms`; else throws `unavailable` with `doing`. The promise is not stopped: a caller that
 * must not let it go on says so itself in `onLate`.
 */
export async function withDeadline<T>(
  promise: Promise<T>,
  options: { readonly ms: number; readonly doing: string; readonly onLate?: () => void },
): Promise<T> {
  const late = Promise.withResolvers<never>();
  const timer = setTimeout(() => {
    options.onLate?.();
    late.reject(new PlaitError('unavailable', `${options.doing}: no answer within ${options.ms} ms`));
  }, options.ms);
  try {
    return await Promise.race([promise, late.promise]);
  } finally {
    clearTimeout(timer);
    // The loser of the race may still reject; nobody listens any more.
    promise.catch(() => undefined);
  }
}
