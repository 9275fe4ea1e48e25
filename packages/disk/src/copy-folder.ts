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
    const { messages, tornBytes } = await readCopyFile(path, owner).catch((error: PlaitError) => {
      // Another process has removed it meanwhile: it was not needed any more.
      if ((error.cause as NodeJS.ErrnoException | undefined)?.code === 'ENOENT') return { messages: [], tornBytes: 0 };
      throw error;
    });
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
  last: bigint;
  bytes: number;
  wroteMs: number;
}

/** Positions between which nothing is left out. */
interface Stretch {
  readonly first: bigint;
  last: bigint;
}

/** Messages that wait to be written, one behind the other. */
interface Waiting {
  /** They need a file of their own: the one before has other messages before them, or a torn tail. */
  isApart: boolean;
  readonly messages: LogMessage[];
}

class CopyFolder implements LogCopy {
  readonly #folder: string;
  readonly #owner: CopyOwner;
  /** Of others, and of its own before: what need not be copied again, and may be removed some day. */
  #others: readonly CopyFile[];
  #closed: Pick<Current, 'path' | 'last'>[] = [];
  #current: Current | undefined;
  /** What this process added. */
  readonly #added: Stretch[] = [];
  #waiting: Waiting[] = [];
  #waitingBytes = 0;
  /** What is added next does not follow what was added last. */
  #isApart = true;
  #turn: Promise<void> = Promise.resolve();

  constructor(folder: string, owner: CopyOwner, others: readonly CopyFile[]) {
    this.#folder = folder;
    this.#owner = owner;
    this.#others = others;
  }

  get waitingBytes(): number {
    return this.#waitingBytes;
  }

  begin(): void {
    this.#isApart = true;
  }

  add(message: LogMessage): void {
    const holds = ({ first, last }: Stretch): boolean => first <= message.position && message.position <= last;
    if (this.#others.some(holds) || this.#added.some(holds)) {
      // Only while a role that starts reads what it had read before.
      this.#isApart = true;
      return;
    }
    this.#place(message);
    this.#waitingBytes += message.value.length;
  }

  #place(message: LogMessage): void {
    const { position } = message;
    const stretch = this.#added.at(-1);
    if (this.#isApart || stretch === undefined) this.#added.push({ first: position, last: position });
    else stretch.last = position;
    const waiting = this.#waiting.at(-1);
    if (this.#isApart || waiting === undefined) this.#waiting.push({ isApart: this.#isApart, messages: [message] });
    else waiting.messages.push(message);
    this.#isApart = false;
  }

  flush(): Promise<void> {
    return this.#inTurn(() => this.#flushAll());
  }

  /** One at a time: a role that fails closes its copy while a save may be under way. */
  async #inTurn(use: () => Promise<void>): Promise<void> {
    const mine = this.#turn.then(use);
    this.#turn = mine.catch(() => undefined);
    await mine;
  }

  async #flushAll(): Promise<void> {
    for (let next = this.#waiting[0]; next !== undefined; next = this.#waiting[0]) {
      const count = next.messages.length;
      try {
        await this.#write(next.messages, next.isApart);
      } catch (error) {
        // Whatever was written of them: they are written again, to another file.
        await this.#leave();
        next.isApart = true;
        throw writeError(this.#folder, error);
      }
      // More may have been added meanwhile.
      for (const { value } of next.messages.splice(0, count)) this.#waitingBytes -= value.length;
      next.isApart = false;
      if (next.messages.length === 0) this.#waiting.shift();
    }
  }

  async #write(messages: readonly LogMessage[], isApart: boolean): Promise<void> {
    const bytes = Buffer.concat(messages.map(appendRecord));
    const current = await this.#fileFor(messages[0] as LogMessage, isApart);
    const last = (messages.at(-1) as LogMessage).position;
    // A crash here leaves a torn tail, which counts as not there; nobody writes to this file again.
    await current.handle.appendFile(bytes);
    await current.handle.datasync();
    current.last = last;
    current.bytes += bytes.length;
    current.wroteMs = Date.now();
  }

  async #fileFor({ position }: LogMessage, isApart: boolean): Promise<Current> {
    const current = this.#current;
    if (current !== undefined && !isApart && current.bytes < FILE_BYTES_MAX && Date.now() - current.wroteMs < IN_USE_MS) return current;
    await this.#leave();
    const path = join(this.#folder, `${String(position).padStart(19, '0')}-${randomBytes(4).toString('hex')}${SUFFIX}`);
    const handle = await open(path, 'wx', MODE);
    this.#current = { path, handle, last: position, bytes: 0, wroteMs: Date.now() };
    await handle.appendFile(copyHead(this.#owner));
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

  forgetUpTo(position: bigint): Promise<void> {
    return this.#inTurn(() => this.#remove(position));
  }

  async #remove(position: bigint): Promise<void> {
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
    await this.#inTurn(async () => {
      try {
        await this.#flushAll();
      } finally {
        await this.#leave();
      }
    });
  }
}
