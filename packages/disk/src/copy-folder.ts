/**
 * A folder of copied messages. Every process writes files of its own there, each a run of the log without a gap, so that
 * several may share a folder and nobody ever appends behind a torn tail. What stands in a file already is not copied again
 * after a restart.
 */
import { randomBytes } from 'node:crypto';
import { open, readdir, readFile, rm, stat, type FileHandle } from 'node:fs/promises';
import { join } from 'node:path';
import { isPlaitError, PlaitError } from '@plait/core';
import type { LogCopy, LogMessage, Pinned } from '@plait/roles';
import { appendRecord, copyHead, readRecords } from './copy-format.ts';
import { makeFolder, syncFolder, writeError } from './files.ts';

const MODE = 0o600;
const SUFFIX = '.copy';
/** A reader of copies holds a file in memory. */
const FILE_BYTES_MAX = 64 * 1024 * 1024;
/** A file that nobody wrote to for so long is nobody's any more: its process begins another one long before. */
const ABANDONED_MS = 3_600_000;
const IN_USE_MS = ABANDONED_MS / 2;

/** Whose copies are meant. */
export type CopyOwner = Pinned;

/** A file of copies, as it was when it was looked at. */
export interface CopyFile {
  readonly path: string;
  readonly first: bigint;
  /** Position of its newest message. */
  readonly last: bigint;
  /** Bytes after its last whole record. */
  readonly tornBytes: number;
  /** Its messages in order. Throws `config` if it cannot be read any more. */
  read(): Promise<readonly LogMessage[]>;
}

/**
 * The files of a folder that hold at least one message, by their first positions; none if there is no such folder. Reads them
 * all. Throws `config` for a file of another ledger, or one that cannot be read.
 */
export async function readCopies(folder: string, owner: CopyOwner): Promise<readonly CopyFile[]> {
  const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw new PlaitError('config', `cannot read the copies in ${folder}: ${error.message}`, { cause: error });
  });
  const files: CopyFile[] = [];
  for (const name of names.filter((each) => each.endsWith(SUFFIX)).toSorted()) {
    const path = join(folder, name);
    const { messages, tornBytes } = await readCopyFile(path, owner);
    const [first, last] = [messages[0], messages.at(-1)];
    if (first === undefined || last === undefined) continue;
    files.push({ path, first: first.position, last: last.position, tornBytes, read: async () => (await readCopyFile(path, owner)).messages });
  }
  return files;
}

async function readCopyFile(path: string, { origin, ledgerKey }: CopyOwner): Promise<{ messages: readonly LogMessage[]; tornBytes: number }> {
  const bytes = await readFile(path).catch((error: Error) => {
    throw new PlaitError('config', `cannot read the copy ${path}: ${error.message}`, { cause: error });
  });
  try {
    const found = readRecords(bytes);
    if (found.origin === origin && found.ledgerKey === ledgerKey.vkey) return found;
    throw new PlaitError('config', `the copy ${path} is of the ledger ${found.origin} under the key ${found.ledgerKey}, not of ${origin} ` +
      `under ${ledgerKey.vkey}: give each ledger a folder of its own`);
  } catch (error) {
    // A crash while its head was written: it holds nothing.
    if (isPlaitError(error, 'invalid')) return { messages: [], tornBytes: bytes.length };
    throw error;
  }
}

/** Opens a folder for copying, and makes it if need be. Throws as {@link readCopies}, and what making a folder throws. */
export async function openCopy(folder: string, owner: CopyOwner): Promise<LogCopy> {
  await makeFolder(folder);
  return new CopyFolder(folder, owner, await readCopies(folder, owner));
}

/** The file that is written to. */
interface Current {
  readonly path: string;
  readonly handle: FileHandle;
  readonly first: bigint;
  last: bigint;
  bytes: number;
  wroteMs: number;
}

class CopyFolder implements LogCopy {
  readonly #folder: string;
  readonly #owner: CopyOwner;
  /** Of others, and of its own before: what need not be copied again, and may be removed some day. */
  #others: readonly CopyFile[];
  #closed: Pick<Current, 'path' | 'last'>[] = [];
  #current: Current | undefined;
  #waiting: LogMessage[] = [];
  #waitingBytes = 0;
  /** What waits does not follow what was written. */
  #isApart = true;

  constructor(folder: string, owner: CopyOwner, others: readonly CopyFile[]) {
    this.#folder = folder;
    this.#owner = owner;
    this.#others = others;
  }

  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  add(message: LogMessage): void {
    if (this.#others.some(({ first, last }) => first <= message.position && message.position <= last)) {
      // Only while a restarted role reads what it had read before.
      this.#isApart = true;
      return;
    }
    this.#waiting.push(message);
    this.#waitingBytes += message.value.length;
  }

  async flush(): Promise<void> {
    const messages = this.#waiting;
    if (messages.length === 0) return;
    try {
      const current = await this.#fileFor(messages);
      const bytes = Buffer.concat(messages.map(appendRecord));
      // A crash here leaves a torn tail, which counts as not there; nobody writes to this file again.
      await current.handle.write(bytes);
      await current.handle.datasync();
      current.last = (messages.at(-1) as LogMessage).position;
      current.bytes += bytes.length;
      current.wroteMs = Date.now();
    } catch (error) {
      // Whatever was written of them: they are written again, to another file.
      await this.#leave();
      throw writeError(this.#folder, error);
    }
    this.#waiting = this.#waiting.slice(messages.length);
    this.#waitingBytes = this.#waiting.reduce((sum, { value }) => sum + value.length, 0);
  }

  async #fileFor(messages: readonly LogMessage[]): Promise<Current> {
    const current = this.#current;
    if (current !== undefined && !this.#isApart && current.bytes < FILE_BYTES_MAX && Date.now() - current.wroteMs < IN_USE_MS) return current;
    await this.#leave();
    const first = (messages[0] as LogMessage).position;
    const path = join(this.#folder, `${String(first).padStart(19, '0')}-${randomBytes(4).toString('hex')}${SUFFIX}`);
    const handle = await open(path, 'wx', MODE);
    this.#current = { path, handle, first, last: first, bytes: 0, wroteMs: Date.now() };
    this.#isApart = false;
    await handle.write(copyHead(this.#owner));
    await syncFolder(this.#folder);
    return this.#current;
  }

  /** The present file is done with. */
  async #leave(): Promise<void> {
    const current = this.#current;
    this.#current = undefined;
    if (current === undefined) return;
    this.#closed.push(current);
    await current.handle.close().catch(() => undefined);
  }

  async forgetUpTo(position: bigint): Promise<void> {
    // So that what is in it now can be removed the next time, or at once.
    await this.#leave();
    const gone = this.#closed.filter(({ last }) => last <= position);
    this.#closed = this.#closed.filter(({ last }) => last > position);
    for (const { path } of gone) await rm(path, { force: true });
    for (const other of this.#others.filter(({ last }) => last <= position)) {
      const found = await stat(other.path).catch(() => undefined);
      if (found !== undefined && Date.now() - found.mtimeMs < ABANDONED_MS) continue;
      await rm(other.path, { force: true });
      this.#others = this.#others.filter((each) => each !== other);
    }
  }

  async *messages(from: bigint): AsyncGenerator<LogMessage, undefined> {
    let next = from;
    for (const file of await readCopies(this.#folder, this.#owner)) {
      if (file.last < next) continue;
      for (const message of await file.read()) {
        if (message.position < next) continue;
        yield message;
        next = message.position + 1n;
      }
    }
  }

  async close(): Promise<void> {
    await this.flush();
    await this.#leave();
  }
}
