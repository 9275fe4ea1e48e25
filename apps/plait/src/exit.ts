/** How the program ends: its exit codes, and what it says of an error. */
import { isPlaitError, type ErrorCode, type PlaitError } from '@plait/core';
import { LauncherError } from '@plait/launcher';
import { printable } from './output.ts';

/** Every exit code. 0 is never given for "could not check". */
export const EXIT = {
  done: 0,
  /** Usage or configuration: the same command fails again until something is changed. */
  usage: 1,
  /** Kafka or Redis did not answer. */
  unreachable: 2,
  /** Evidence does not verify: records, or the log, differ from what was signed. */
  tampered: 10,
  /** The log is older than, or differs from, what was remembered of it. */
  rolledBack: 11,
  /** Two signed statements of one origin contradict each other. */
  splitView: 12,
  /** What must be checked cannot be read any more: nobody can decide. */
  undecided: 14,
  /** A bug of ours. */
  bug: 70,
  /** Cut short by Ctrl-C, as shells have it. */
  interrupted: 130,
} as const;

const CODES: Readonly<Record<ErrorCode, number>> = {
  config: EXIT.usage,
  unavailable: EXIT.unreachable,
  unknown: EXIT.unreachable,
  invalid: EXIT.tampered,
  'rolled-back': EXIT.rolledBack,
  'split-view': EXIT.splitView,
  missing: EXIT.undecided,
  // No command leads, so none is fenced.
  fenced: EXIT.bug,
};

/** An error that was logged already; the program ends with its code and says no more. */
export class Told extends Error {
  override readonly name = 'Told';
  readonly exitCode: number;

  constructor(cause: unknown) {
    super(explain(cause), { cause });
    this.exitCode = exitCodeOf(cause);
  }
}

/** The code with which the program ends after `error`. */
export function exitCodeOf(error: unknown): number {
  if (error instanceof Told) return error.exitCode;
  if (isPlaitError(error)) return CODES[error.code];
  if (!(error instanceof LauncherError)) return EXIT.bug;
  return error.unreachable ? EXIT.unreachable : EXIT.usage;
}

const PREFIXES: Partial<Record<ErrorCode, string>> = {
  unavailable: 'not reachable',
  unknown: 'not reachable',
  invalid: 'TAMPERED',
  'rolled-back': 'ROLLED BACK',
  'split-view': 'SPLIT VIEW',
  missing: 'cannot decide',
};

/** What to tell people: one sentence for what we know, with a stack only for bugs of ours. Nothing in it can steer a terminal. */
export function explain(error: unknown): string {
  return printable(explanation(error));
}

function explanation(error: unknown): string {
  if (isPlaitError(error)) return explainKnown(error);
  if (error instanceof LauncherError) return error.message;
  const stack = error instanceof Error ? (error.stack ?? error.message) : String(error);
  return `this is a bug in Plait, please report it: ${stack}`;
}

function explainKnown({ code, message, details }: PlaitError): string {
  const prefix = PREFIXES[code];
  const sentence = prefix === undefined ? message : `${prefix}: ${message}`;
  const places = Object.entries(details).filter(([, value]) => value !== undefined);
  if (code !== 'invalid' || places.length === 0) return sentence;
  return `${sentence}\n  ${places.map(([name, value]) => `${name}=${value}`).join(' ')}`;
}
