/** When to stop: signals, and the end of a parent process. */
import { EXIT } from './exit.ts';

/** Set by a parent that holds the child's standard input open for as long as it lives; see roles.ts. */
export const WITH_PARENT_VARIABLE = 'PLAIT_WITH_PARENT';

/**
 * A signal that aborts at the first SIGINT or SIGTERM, or when the parent that asked for it ends; a second SIGINT or
 * SIGTERM ends the process at once. Call it once in a process.
 */
export function stopSignal(): AbortSignal {
  const controller = new AbortController();
  const stop = (): void => {
    if (controller.signal.aborted) process.exit(EXIT.interrupted);
    controller.abort();
  };
  process.on('SIGINT', stop);
  process.on('SIGTERM', stop);
  if (process.env[WITH_PARENT_VARIABLE] === '1') {
    process.stdin.on('end', () => controller.abort());
    process.stdin.on('error', () => controller.abort());
    process.stdin.resume();
    // It must not keep the process alive on its own.
    process.stdin.unref();
  }
  return controller.signal;
}
