/**
 * Signed checkpoints kept as evidence, each in a file named by what it is:
 *
 *     <what>-<ledger>-<size>-<root>.checkpoint            12 hex digits of SHA-256(origin), the tree's size, 12 of its root
 *     <what>-<ledger>-<size>-<root>-<bytes>.checkpoint    the same tree signed otherwise: 12 of SHA-256(the note)
 *
 * What was kept once is never replaced.
 */
import { createHash } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { parseCheckpoint, parseNote, utf8Decode } from '@plait/core';
import { makeFolder, writeNew } from '@plait/disk';

/** Evidence is for others to see. */
const MODE = 0o644;
/** Hex digits of a hash in the name of a file. */
const DIGITS = 12;

/**
 * Keeps the notes of checkpoints in a folder, byte for byte: the names of their files, in order. `what` begins the names. One
 * that is there already stays as it is. Throws `invalid` for a note that is no checkpoint, `config`, and as `makeFolder`.
 */
export async function keepCheckpoints(folder: string, what: string, notes: readonly Uint8Array[]): Promise<readonly string[]> {
  await makeFolder(folder);
  const names: string[] = [];
  for (const note of notes) {
    const { origin, size, root } = parseCheckpoint(parseNote(note).text);
    const stem = `${what}-${digitsOf(origin)}-${size}-${Buffer.from(root, 'base64').toString('hex').slice(0, DIGITS)}`;
    const text = utf8Decode(note);
    names.push(await keep(folder, [`${stem}.checkpoint`, `${stem}-${digitsOf(text)}.checkpoint`], text));
  }
  return names;
}

/** Keeps a text under a name that is its own, so that it replaces none: that name. Throws `config`, and as `makeFolder`. */
export async function keepText(folder: string, what: string, text: string): Promise<string> {
  await makeFolder(folder);
  return await keep(folder, [`${what}-${digitsOf(text)}.txt`], text);
}

function digitsOf(text: string): string {
  return createHash('sha256').update(text).digest('hex').slice(0, DIGITS);
}

/** Under the first of the names at which it is, or nothing was; the last one is of this text alone. Throws `config`. */
async function keep(folder: string, [name, ...others]: readonly [string, ...string[]], text: string): Promise<string> {
  const path = join(folder, name);
  try {
    await writeNew(path, text, MODE);
  } catch (error) {
    const held = await readFile(path, 'utf8').catch(() => undefined);
    const [next, ...rest] = others;
    if (held !== text && next === undefined) throw error;
    if (held !== text && next !== undefined) return await keep(folder, [next, ...rest], text);
  }
  return name;
}
