/** Errors on their way from one process to another: what is copied there loses its class. */
import { isPlaitError, PlaitError, type ErrorCode, type ErrorDetails } from '@plait/core';

/** An error as it is sent. */
export type SentError =
  | { readonly kind: 'known'; readonly code: ErrorCode; readonly message: string; readonly details: ErrorDetails }
  /** Anything else: a bug of ours, with the stack of the process where it was thrown. */
  | { readonly kind: 'bug'; readonly message: string; readonly stack: string | undefined };

/** What to send of something that was thrown. Causes stay behind. */
export function sendError(error: unknown): SentError {
  if (isPlaitError(error)) return { kind: 'known', code: error.code, message: error.message, details: error.details };
  return error instanceof Error ? { kind: 'bug', message: error.message, stack: error.stack } : { kind: 'bug', message: String(error), stack: undefined };
}

/** What was sent, to be thrown. */
export function receiveError(sent: SentError): Error {
  if (sent.kind === 'known') return new PlaitError(sent.code, sent.message, { details: sent.details });
  const error = new Error(sent.message);
  if (sent.stack !== undefined) error.stack = sent.stack;
  return error;
}
