/**
 * The file in which leaves are kept: a SQLite database (docs/FORMAT.md, section 10), made, opened, and said to be damaged in
 * one way. Derived from the ledger: who deletes it has it made anew.
 */
import { existsSync } from 'node:fs';
import { open } from 'node:fs/promises';
import { join } from 'node:path';
import type { DatabaseSync } from 'node:sqlite';
import { isPlaitError, PlaitError } from '@plait/core';
import type { Pinned } from '@plait/roles';
import { makeFolder, writeError } from './files.ts';

const NAME = 'leaves.sqlite';
const MODE = 0o600;
/** `plLf`: whose file it is. */
const APPLICATION_ID = 0x706c4c66;
const VERSION = 1;
/** Another process writes for some ms at a time. */
const BUSY_MS = 5_000;
const WAL_BYTES_MAX = 16 * 1024 * 1024;

/** Ids of lines are in their order, from 1 on, without gaps: a block's are those from its `first_line` on. */
const SCHEMA = `
CREATE TABLE ledger (origin TEXT NOT NULL, ledger_key TEXT NOT NULL) STRICT;
CREATE TABLE blocks (height INTEGER PRIMARY KEY, header TEXT NOT NULL, position INTEGER NOT NULL, time INTEGER NOT NULL, first_line INTEGER NOT NULL) STRICT;
CREATE INDEX blocks_by_time ON blocks (time);
CREATE TABLE chains (id INTEGER PRIMARY KEY, topic TEXT NOT NULL, partition INTEGER NOT NULL, generation INTEGER NOT NULL, UNIQUE (topic, partition, generation)) STRICT;
CREATE TABLE lines (id INTEGER PRIMARY KEY, block INTEGER NOT NULL, chain INTEGER NOT NULL, next_offset INTEGER NOT NULL, first_seq INTEGER NOT NULL, kind TEXT NOT NULL, segment TEXT NOT NULL) STRICT;
CREATE INDEX lines_by_seq ON lines (first_seq);
CREATE UNIQUE INDEX lines_by_offset ON lines (chain, next_offset);
CREATE TABLE leaves (line INTEGER PRIMARY KEY, first_leaf INTEGER NOT NULL, leaves BLOB NOT NULL) STRICT;
PRAGMA application_id = ${APPLICATION_ID};
PRAGMA user_version = ${VERSION};
`;

/** SQLite's result codes (https://sqlite.org/rescode.html), the low byte: also tables and rows that our statements do not fit. */
const DAMAGED = new Set([1, 11, 19, 20, 26]);
const LASTING = new Set([3, 8, 14, 23]);

/** Where the leaves of a folder are. */
export function leafFilePath(folder: string): string {
  return join(folder, NAME);
}

/**
 * What is thrown for an error of SQLite, or for rows that cannot be: `config` where only a person can help, `unavailable`
 * for what may pass. A bug of ours stays one.
 */
export function leafFileError(path: string, error: unknown): unknown {
  const { errcode, message } = error as Error & { errcode?: number };
  const code = errcode === undefined ? undefined : errcode & 0xff;
  if (isPlaitError(error, 'invalid') || (code !== undefined && DAMAGED.has(code))) {
    return new PlaitError('config', `the leaves in ${path} are damaged: ${message}. They are derived: delete ${path}*, and they are kept anew`,
      { details: { path }, cause: error });
  }
  if (code === undefined) return error;
  return new PlaitError(LASTING.has(code) ? 'config' : 'unavailable', `cannot use the leaves in ${path}: ${message}`, { details: { path }, cause: error });
}

/** Opens the file for the one who keeps, and makes it if there is none. Throws `config`, `unavailable`. */
export async function openLeafFile(folder: string, owner: Pinned): Promise<DatabaseSync> {
  const path = leafFilePath(folder);
  await makeFolder(folder);
  try {
    // SQLite gives the files beside it the same mode.
    await (await open(path, 'a', MODE)).close();
  } catch (error) {
    throw writeError(path, error);
  }
  return opened(path, owner, false);
}

/** Opens the file to look things up in. Throws `config`, also if there is none; `unavailable`. */
export function openLeafFileToRead(folder: string, owner: Pinned): DatabaseSync {
  return opened(leafFilePath(folder), owner, true);
}

function opened(path: string, owner: Pinned, readOnly: boolean): DatabaseSync {
  if (readOnly && !existsSync(path)) throw noLeaves(path);
  let database: DatabaseSync | undefined;
  try {
    // Loaded by those only who keep leaves or ask for them.
    const sqlite = process.getBuiltinModule('node:sqlite');
    database = new sqlite.DatabaseSync(path, { readOnly, timeout: BUSY_MS });
    if (!readOnly) make(database, owner);
    check(database, path, owner);
    return database;
  } catch (error) {
    database?.close();
    throw leafFileError(path, error);
  }
}

function noLeaves(path: string): PlaitError {
  return new PlaitError('config', `there are no leaves in ${path} yet: "plait serve --leaves" keeps them`);
}

function make(database: DatabaseSync, { origin, ledgerKey }: Pinned): void {
  // What is deleted can be given back. Only counts in a file without tables.
  database.exec('PRAGMA auto_vacuum = INCREMENTAL');
  database.exec('PRAGMA journal_mode = WAL');
  database.exec('PRAGMA synchronous = NORMAL');
  database.exec(`PRAGMA journal_size_limit = ${WAL_BYTES_MAX}`);
  database.exec('BEGIN IMMEDIATE');
  try {
    if (isEmpty(database)) {
      database.exec(SCHEMA);
      database.prepare('INSERT INTO ledger VALUES (?, ?)').run(origin, ledgerKey.vkey);
    }
    database.exec('COMMIT');
  } finally {
    if (database.isTransaction) database.exec('ROLLBACK');
  }
}

function isEmpty(database: DatabaseSync): boolean {
  return database.prepare('SELECT count(*) AS tables FROM sqlite_schema').get()?.['tables'] === 0;
}

function check(database: DatabaseSync, path: string, { origin, ledgerKey }: Pinned): void {
  if (isEmpty(database)) throw noLeaves(path);
  const id = database.prepare('PRAGMA application_id').get()?.['application_id'];
  const version = database.prepare('PRAGMA user_version').get()?.['user_version'];
  if (id !== APPLICATION_ID) throw new PlaitError('config', `${path} holds no leaves: it is a database of something else`);
  if (version !== VERSION) {
    throw new PlaitError('config', `the leaves in ${path} are of version ${String(version)}, this program keeps version ${VERSION}: delete ${path}*, ` +
      'and they are kept anew');
  }
  const found = database.prepare('SELECT origin, ledger_key FROM ledger').get();
  if (found?.['origin'] === origin && found['ledger_key'] === ledgerKey.vkey) return;
  throw new PlaitError('config', `the leaves in ${path} are of the ledger ${String(found?.['origin'])} under the key ${String(found?.['ledger_key'])}, ` +
    `not of ${origin} under ${ledgerKey.vkey}: give each ledger a folder of its own`);
}
