/**
 * `ledger.json`: what everybody who uses a ledger is given, and nothing secret.
 *
 *     { "format": "plait.ledger/v1", "origin": "…", "ledgerKey": "<vkey>", "log": "<topic>" }
 */
import { readFile } from 'node:fs/promises';
import { isPlaitError, parseOrigin, parseTopic, parseVerifierKey, PlaitError } from '@plait/core';

const FORMAT = 'plait.ledger/v1';

/** Which ledger, whose signature its configurations carry, and in which topic its log is. */
export interface LedgerFile {
  readonly origin: string;
  /** The ledger key as text, `<name>+<key id>+<base64>`. */
  readonly ledgerKey: string;
  /** The topic of the log. */
  readonly log: string;
}

/** The file's text. */
export function formatLedgerFile({ origin, ledgerKey, log }: LedgerFile): string {
  return `${JSON.stringify({ format: FORMAT, origin, ledgerKey, log }, undefined, 2)}\n`;
}

/** Throws `config`; `name` is what the file is called in the message. */
export function parseLedgerFile(text: string, name = 'the ledger file'): LedgerFile {
  const found = parseJson(text, name);
  if (found['format'] !== FORMAT) {
    throw new PlaitError('config', `${name}: "format" is ${JSON.stringify(found['format'])}, wanted "${FORMAT}"`);
  }
  const field = (key: keyof LedgerFile, check: (text: string) => unknown): string => {
    const value = found[key];
    if (typeof value !== 'string') throw new PlaitError('config', `${name}: "${key}" is missing or no string`);
    return checked(value, check, `${name}: "${key}"`);
  };
  return {
    origin: field('origin', parseOrigin),
    ledgerKey: field('ledgerKey', parseVerifierKey),
    log: field('log', parseTopic),
  };
}

/**
 * Reads a `ledger.json`. Throws `config` when there is none, it cannot be read or says something impossible. Does not
 * check that such a ledger exists: `openLedger` does.
 */
export async function readLedgerFile(path: string): Promise<LedgerFile> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'there is no such file' : (error as Error).message;
    throw new PlaitError('config', `cannot read the ledger file ${path}: ${why}`, { cause: error });
  }
  return parseLedgerFile(text, path);
}

function parseJson(text: string, name: string): Readonly<Record<string, unknown>> {
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  } catch (error) {
    throw new PlaitError('config', `${name} is no JSON: ${(error as Error).message}`, { cause: error });
  }
  throw new PlaitError('config', `${name}: wanted a JSON object`);
}

/** `value`, if `check` takes it; its refusal (`invalid`) becomes `config`. */
function checked(value: string, check: (text: string) => unknown, what: string): string {
  try {
    check(value);
    return value;
  } catch (error) {
    if (!isPlaitError(error, 'invalid')) throw error;
    throw new PlaitError('config', `${what}: ${error.message}`, { cause: error });
  }
}
