/** Appending for those who settle by reading what became of it, whatever the answer says. */
import { isTransient } from '@plait/core';
import type { Observe } from './events.ts';
import type { Follower } from './follower.ts';
import type { LogAppender } from './ports.ts';

/** Appends once, unless the follower is not sure of its log. Throws what the appender throws, but for what may pass. */
export async function appendIfConfirmed(
  bytes: Uint8Array, { appender, follower, observe }: { readonly appender: LogAppender; readonly follower: Follower; readonly observe?: Observe },
): Promise<void> {
  // The log may have been rolled back since it was last looked at. Not sent is as good as lost: it is sent again.
  if (!follower.confirmed) return;
  try {
    await appender.append(bytes);
  } catch (error) {
    if (!isTransient(error)) throw error;
    observe?.({ event: 'waiting', why: error.message });
  }
}
