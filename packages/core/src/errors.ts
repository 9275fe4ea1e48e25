/**
 * Errors, named by what the caller must do. One class, one union, one file.
 *
 * - `unavailable`: surely not applied. Try again.
 * - `unknown`: perhaps applied. Reload and compare; never assume either way.
 * - `fenced`: another leads, or this process is stopping. Stop, stand by.
 * - `invalid`: evidence does not verify. Never retried. `details` says where, what was expected, what was found.
 * - `missing`: what must be checked cannot be read any more (expired, deleted). Nothing is known to be wrong.
 * - `rolled-back`: the log is older than, or differs from, what this process remembers of it.
 * - `split-view`: two signed statements of one origin contradict each other.
 * - `config`: refuse to start. The message names the setting, its value, what was wanted and what to do next.
 *
 * Anything else that is thrown is a bug of ours and ends the process.
 */
export type ErrorCode =
  | 'unavailable'
  | 'unknown'
  | 'fenced'
  | 'invalid'
  | 'missing'
  | 'rolled-back'
  | 'split-view'
  | 'config';

/** Where evidence failed, and how. All values are printable; numbers are decimal strings where they may exceed 2^53. */
export type ErrorDetails = Readonly<Record<string, string | number | boolean | undefined>>;

/** The one error of Plait. `code` decides what to do, `message` is a sentence for people, `details` are for programs. */
export class PlaitError extends Error {
  override readonly name = 'PlaitError';
  readonly code: ErrorCode;
  readonly details: ErrorDetails;

  constructor(code: ErrorCode, message: string, options: { details?: ErrorDetails; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.code = code;
    this.details = options.details ?? {};
  }
}

/** True iff `error` is a {@link PlaitError}, of code `code` when one is given. */
export function isPlaitError(error: unknown, code?: ErrorCode): error is PlaitError {
  return error instanceof PlaitError && (code === undefined || error.code === code);
}

/** True iff the error may pass by itself, so that the same can be tried again: `unavailable` or `unknown`. */
export function isTransient(error: unknown): error is PlaitError {
  return isPlaitError(error, 'unavailable') || isPlaitError(error, 'unknown');
}

/** An `invalid` error: hostile or damaged bytes, or evidence that does not verify. */
export function invalid(message: string, details: ErrorDetails = {}): PlaitError {
  return new PlaitError('invalid', message, { details });
}

/** Throws a plain Error (a bug of ours, never caught) unless `condition` holds. */
export function invariant(condition: boolean, message: string): asserts condition {
  if (!condition) throw new Error(`invariant: ${message}`);
}
