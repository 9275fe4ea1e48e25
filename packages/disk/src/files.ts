/** Files that are there whole or not at all, whatever crashes when. */
import { randomBytes } from 'node:crypto';
import { link, mkdir, open, rename, rm, stat, utimes } from 'node:fs/promises';
import { dirname } from 'node:path';
import { PlaitError } from '@plait/core';

const FOLDER_MODE = 0o700;
/** A lock is held for some milliseconds, and made young again where a disk takes longer: one that is older was left behind by a crash. */
const LOCK_STALE_MS = 5_000;
const LOCK_RENEW_MS = 1_000;
const LOCK_REST_MS = 5;
/** What will not pass by itself: the others (a full disk, for one) may. */
const LASTING = new Set(['EACCES', 'EEXIST', 'EPERM', 'EROFS', 'ENOTDIR', 'EISDIR', 'ENAMETOOLONG', 'ELOOP']);

/** The error for a file that cannot be written: `config` if only a person can change that, else `unavailable`. */
export function writeError(path: string, error: unknown): PlaitError {
  const { code = '', message } = error as NodeJS.ErrnoException;
  return new PlaitError(LASTING.has(code) ? 'config' : 'unavailable', `cannot write ${path}: ${message}`, { cause: error });
}

/** Makes a folder and those above it, for nobody else to look into. Throws as {@link writeError}. */
export async function makeFolder(path: string): Promise<void> {
  await mkdir(path, { recursive: true, mode: FOLDER_MODE }).catch((error: unknown) => {
    throw writeError(path, error);
  });
}

/** Makes what was created, renamed or removed in a folder durable. */
export async function syncFolder(path: string): Promise<void> {
  const folder = await open(path, 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/**
 * Writes a file, or replaces it: durable when it resolves; a crash at any point leaves the old text or the new one. Throws
 * `config` where writing is not allowed, `unavailable` for what may pass (a full disk).
 */
export async function replaceFile(path: string, content: string | Uint8Array, mode: number): Promise<void> {
  try {
    await placeFile(path, content, mode);
    await syncFolder(dirname(path));
  } catch (error) {
    throw writeError(path, error);
  }
}

/** As {@link replaceFile}, but durable only after a {@link syncFolder} of its folder, and throws what Node does: for many files at once. */
export async function placeFile(path: string, content: string | Uint8Array, mode: number): Promise<void> {
  await placeDraft(path, content, { mode, place: rename });
}

/** Writes a file whole or not at all, durably, and never over another. Throws `config` if there is one, or it cannot be written. */
export async function writeNew(path: string, text: string, mode: number): Promise<void> {
  try {
    // Unlike a rename, a link refuses to replace what is there.
    await placeDraft(path, text, { mode, place: link });
    await syncFolder(dirname(path));
  } catch (error) {
    const { code, message } = error as NodeJS.ErrnoException;
    throw new PlaitError('config', `cannot write ${path}: ${code === 'EEXIST' ? 'it is there already' : message}`, { cause: error });
  }
}

/** A draft beside `path`, its bytes durable, that `place` puts there. A crash before that leaves a draft that nobody reads. */
async function placeDraft(
  path: string, content: string | Uint8Array, { mode, place }: { readonly mode: number; readonly place: (draft: string, path: string) => Promise<void> },
): Promise<void> {
  const draft = `${path}.${randomBytes(6).toString('hex')}.tmp`;
  try {
    const file = await open(draft, 'wx', mode);
    try {
      await file.writeFile(content);
      await file.sync();
    } finally {
      await file.close();
    }
    await place(draft, path);
  } finally {
    await rm(draft, { force: true });
  }
}

/**
 * Runs `use` while no other process of this machine does for the same path. A lock that a crash left behind is broken after
 * 5 s. Throws what `use` throws, and as {@link replaceFile}.
 */
export async function withLock<T>(path: string, use: () => Promise<T>): Promise<T> {
  const lock = `${path}.lock`;
  for (;;) {
    try {
      await (await open(lock, 'wx', 0o600)).close();
      break;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw writeError(lock, error);
      await breakStale(lock);
    }
  }
  const renewal = setInterval(() => void utimes(lock, new Date(), new Date()).catch(() => undefined), LOCK_RENEW_MS);
  try {
    return await use();
  } finally {
    clearInterval(renewal);
    await rm(lock, { force: true });
  }
}

async function breakStale(lock: string): Promise<void> {
  const found = await stat(lock).catch(() => undefined);
  // One from the future is of a clock that has been put back since: nobody could tell when it is stale.
  if (found !== undefined && Math.abs(Date.now() - found.mtimeMs) > LOCK_STALE_MS) await rm(lock, { force: true });
  else await new Promise((resolve) => setTimeout(resolve, LOCK_REST_MS));
}
