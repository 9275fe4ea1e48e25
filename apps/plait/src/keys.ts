/**
 * The ledger's folder:
 *
 *     ledger.json                                            what everybody is given; nothing secret
 *     keys/{ledger,checkpoint,coordinator,worker}.key        one signer key each, mode 0600
 *     state/<role>.json                                      what the processes of a role remember of the log
 *     copy/<role>/                                           the log's messages, as those of a role copied them
 */
import { randomBytes } from 'node:crypto';
import { mkdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { isPlaitError, makeSignerKey, parseSignerKey, PlaitError, type SignerKey } from '@plait/core';
import { writeNew } from '@plait/disk';
import { readLedgerFile, type LedgerFile } from '@plait/ledger';

/** The keys of a ledger, in the order in which they are made. */
export const KEY_ROLES = ['ledger', 'checkpoint', 'coordinator', 'worker'] as const;
/** Those that running processes use; the ledger key may live on another machine. */
export const ONLINE_ROLES = ['checkpoint', 'coordinator', 'worker'] as const;
/** One of {@link KEY_ROLES}. */
export type KeyRole = (typeof KEY_ROLES)[number];

const KEY_MODE = 0o600;
const FOLDER_MODE = 0o700;

/** Where the ledger file of a folder is. */
export function ledgerFilePath(folder: string): string {
  return join(folder, 'ledger.json');
}

/** Where a key of a folder is. */
export function keyPath(folder: string, role: KeyRole): string {
  return join(folder, 'keys', `${role}.key`);
}

/** Where what a role remembers is. */
export function stateFilePath(folder: string, role: string): string {
  return join(folder, 'state', `${role}.json`);
}

/** Where a role's copy of the log is. */
export function copyFolderPath(folder: string, role: string): string {
  return join(folder, 'copy', role);
}

/** The name of a key: checkpoints are signed in the name of the origin itself (C2SP tlog-checkpoint). */
export function keyName(origin: string, role: KeyRole): string {
  return role === 'checkpoint' ? origin : `${origin}/${role}`;
}

/** The ledger that a folder names. Throws `config`, with what to do if there is none. */
export async function loadLedger(folder: string): Promise<LedgerFile> {
  const path = ledgerFilePath(folder);
  if (!(await exists(path))) {
    throw new PlaitError('config', `there is no ledger in the folder ${folder} (no ${path}): create one with "plait init ` +
      '--topic TOPIC", or name its folder with --ledger or PLAIT_LEDGER');
  }
  return await readLedgerFile(path);
}

/** Whether something is at `path`. */
export async function exists(path: string): Promise<boolean> {
  return await stat(path).then(() => true, () => false);
}

/** Reads a key. Throws `config` for a file that is not there, that others may read, or that holds no signer key. */
export async function loadKey(path: string): Promise<SignerKey> {
  const mode = await stat(path).then(
    (found) => found.mode & 0o777,
    (error: NodeJS.ErrnoException) => {
      throw new PlaitError('config', `cannot read the key file ${path}: ${error.code === 'ENOENT' ? 'there is no such file' : error.message}`);
    },
  );
  if ((mode & 0o077) !== 0) {
    throw new PlaitError('config', `the key file ${path} has mode ${octal(mode)}, wanted ${octal(KEY_MODE)}, so that nobody ` +
      `else can read it: run "chmod 600 ${path}"`, { details: { path, found: octal(mode), wanted: octal(KEY_MODE) } });
  }
  const text = await readFile(path, 'utf8').catch((error: Error) => {
    throw new PlaitError('config', `cannot read the key file ${path}: ${error.message}`, { cause: error });
  });
  try {
    return parseSignerKey(text.replace(/\n$/, ''));
  } catch (error) {
    if (!isPlaitError(error, 'invalid')) throw error;
    throw new PlaitError('config', `the key file ${path} holds no signer key: ${error.message}`, { cause: error });
  }
}

/**
 * The keys of some roles in a folder, for `origin`: those that are there are read, the others made; none is ever
 * overwritten. Throws `config` as {@link loadKey}, and for a key of another origin.
 */
export async function ensureKeys<R extends KeyRole>(folder: string, origin: string, roles: readonly R[]): Promise<Readonly<Record<R, SignerKey>>> {
  await mkdir(join(folder, 'keys'), { recursive: true, mode: FOLDER_MODE });
  const entries: [R, SignerKey][] = [];
  for (const role of roles) entries.push([role, await ensureKey(keyPath(folder, role), keyName(origin, role))]);
  return Object.fromEntries(entries) as Record<R, SignerKey>;
}

async function ensureKey(path: string, name: string): Promise<SignerKey> {
  if (await exists(path)) {
    const found = await loadKey(path);
    if (found.name === name) return found;
    throw new PlaitError('config', `the key file ${path} is there already and is named ${found.name}, wanted ${name}: give the ` +
      'origin it belongs to with --origin, or another folder with --ledger; keys are never overwritten');
  }
  const key = makeSignerKey(name, randomBytes(32));
  await writeKey(path, key);
  return key;
}

/** Writes a secret key, for its owner only. Throws `config` if there is such a file. */
export async function writeKey(path: string, key: SignerKey): Promise<void> {
  await writeNew(path, `${key.skey}\n`, KEY_MODE);
}

function octal(mode: number): string {
  return `0${mode.toString(8).padStart(3, '0')}`;
}
