/**
 * Files of JSON in one spelling, whose last value is a checksum over all before: SHA-256 of their JSON without white space.
 * So a damaged file is never taken for one that says something else.
 */
import { readFile } from 'node:fs/promises';
import { hashToText, PlaitError, sha256, utf8Encode } from '@plait/core';

/** An object of a file, before its values are looked at. */
export type Json = Readonly<Record<string, unknown>>;

/** What a kind of file holds, and what to tell who cannot read one. */
export interface Sealed<T> {
  /** Its first member. */
  readonly format: string;
  /** What the file is called in errors. */
  readonly name: string;
  /** The members between format and checksum, in order. */
  readonly members: (value: T) => Json;
  /** The value of the members. Throws anything for what cannot be. */
  readonly read: (members: Json) => T;
  /** What to do with a damaged file: the end of a sentence. */
  readonly remedy: (path: string) => string;
}

/** The file's one spelling. */
export function formatSealed<T>({ format, members }: Sealed<T>, value: T): string {
  const values = { format, ...members(value) };
  const sum = hashToText(sha256(utf8Encode(JSON.stringify(values))));
  return `${JSON.stringify({ ...values, sum }, undefined, 2)}\n`;
}

/** Throws `config` that names the file and what to do, for anything but what {@link formatSealed} gives. */
export function parseSealed<T>(kind: Sealed<T>, text: string, path: string): T {
  try {
    const members = objectOf(JSON.parse(text) as unknown);
    if (members['format'] !== kind.format) throw new Error(`its format is not ${kind.format}`);
    const value = kind.read(members);
    // One spelling: so the checksum, too, was right.
    if (formatSealed(kind, value) === text) return value;
    throw new Error('its checksum or its spelling is wrong');
  } catch (error) {
    throw new PlaitError('config', `the ${kind.name} ${path} is damaged: ${(error as Error).message}. ${kind.remedy(path)}`, { details: { path }, cause: error });
  }
}

/** What a file holds; undefined if there is none. Throws as {@link parseSealed}, and `config` if it cannot be read. */
export async function readSealed<T>(kind: Sealed<T>, path: string): Promise<T | undefined> {
  let text: string;
  try {
    text = await readFile(path, 'utf8');
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw new PlaitError('config', `cannot read the ${kind.name} ${path}: ${(error as Error).message}`, { cause: error });
  }
  return parseSealed(kind, text, path);
}

/** An object, of a value of JSON. Throws for any other. */
export function objectOf(value: unknown): Json {
  if (typeof value !== 'object' || value === null || Array.isArray(value)) throw new Error('an object is missing');
  return value as Json;
}

/** A member that is a text. Throws for any other. */
export function textOf(members: Json, name: string): string {
  const value = members[name];
  if (typeof value !== 'string') throw new Error(`"${name}" is missing or no text`);
  return value;
}
