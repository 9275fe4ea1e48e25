/**
 * Where Kafka's log segment files lie:
 *
 *     <log.dirs>/<topic>-<partition>/<base offset, 20 digits>.log                                a broker's folder, or a copy
 *     <storage>/<topic>-<partition>-<topic id>/<base offset>-<segment id>.log                    tiered (LocalTieredStorage)
 *     <log.dirs>/log-start-offset-checkpoint                                                     where partitions begin
 *
 * with ids of 22 characters. Folders of partitions that are deleted or moved end in `-delete`, `-future` or `-stray` and do
 * not count, nor do files that end in `.deleted`. Kafka's indexes are not looked at: what they say stands in the files.
 */
import { readdir, readFile, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { parseCount, parseUint63, PlaitError, type TopicPartition } from '@plait/core';
import { registerCodecs } from './codecs.ts';
import { reason } from './errors.ts';

/** One file of record batches. */
export interface SegmentFile {
  readonly path: string;
  /** Another one if another file lies at this path. */
  readonly id: string;
  /** No batch of it begins below; its name says so. */
  readonly baseOffset: bigint;
  /** Bytes when it was listed. */
  readonly size: number;
}

const SEGMENT = /^([0-9]{20}).*\.log$/;
const TIERED_SEGMENT = /^([0-9]{1,20})-[a-zA-Z0-9_-]{22}\.log$/;
const TOPIC_ID = /^[a-zA-Z0-9_-]{22}$/;

/**
 * The segment files of a partition in all of `folders`, by base offset; those of the folder named first come first. None if
 * there is no such partition. Throws `config` for a folder that is not there or cannot be read.
 */
export async function segmentFiles(folders: readonly string[], { topic, partition }: TopicPartition): Promise<readonly SegmentFile[]> {
  const own = `${topic}-${partition}`;
  const files: SegmentFile[] = [];
  for (const folder of folders) {
    for (const name of await readable(folder, readdir(folder))) {
      if (name === own) files.push(...(await segmentsIn(join(folder, name), SEGMENT)));
      else if (name.startsWith(`${own}-`) && TOPIC_ID.test(name.slice(own.length + 1))) files.push(...(await segmentsIn(join(folder, name), TIERED_SEGMENT)));
    }
  }
  return files.toSorted((a, b) => (a.baseOffset < b.baseOffset ? -1 : Number(a.baseOffset > b.baseOffset)));
}

async function segmentsIn(folder: string, pattern: RegExp): Promise<SegmentFile[]> {
  const files: SegmentFile[] = [];
  for (const name of await readable(folder, unlessGone(readdir(folder), []))) {
    const [, digits] = pattern.exec(name) ?? [];
    if (digits === undefined) continue;
    const path = join(folder, name);
    const found = await readable(path, unlessGone(stat(path), undefined));
    if (found?.isFile() === true) files.push({ path, id: `${found.dev}:${found.ino} ${path}`, baseOffset: BigInt(digits), size: found.size });
  }
  return files;
}

/**
 * Where a partition begins, by the `log-start-offset-checkpoint` of each of `folders`: the highest that is said, 0 if it is
 * named in none. A broker writes it once a minute and when it stops. Throws `config` for a file that is damaged.
 */
export async function checkpointedStart(folders: readonly string[], { topic, partition }: TopicPartition): Promise<bigint> {
  let start = 0n;
  for (const folder of folders) {
    const path = join(folder, 'log-start-offset-checkpoint');
    const text = await readable(path, unlessGone(readFile(path, 'utf8'), ''));
    if (text === '') continue;
    const offset = startsIn(path, text).get(`${topic} ${partition}`) ?? 0n;
    if (offset > start) start = offset;
  }
  return start;
}

/** Version 0, number of lines, and then `<topic> <partition> <offset>` in each. */
function startsIn(path: string, text: string): ReadonlyMap<string, bigint> {
  const [version, count = '', ...lines] = text.trimEnd().split('\n');
  try {
    if (version !== '0' || parseCount(count, lines.length) !== lines.length) throw new Error('not of version 0, or cut');
    return new Map(lines.map((line): [string, bigint] => {
      const [topic = '', partition = '', offset = ''] = line.split(' ');
      return [`${topic} ${partition}`, parseUint63(offset)];
    }));
  } catch (error) {
    throw new PlaitError('config', `${path} is damaged: ${reason(error)}. Without it a partition begins with its first segment file`, { cause: error });
  }
}

/** The folders to read, once it is sure that they are some, and that compressed batches can be read. Throws `config` for one that is none. */
export async function openFolders(dir: string | readonly string[]): Promise<readonly string[]> {
  const folders = typeof dir === 'string' ? [dir] : dir;
  if (folders.length === 0) throw new PlaitError('config', 'no folder of log segment files was given');
  for (const folder of folders) {
    const found = await readable(folder, stat(folder));
    if (!found.isDirectory()) throw new PlaitError('config', `${folder} is no folder: wanted one that holds folders of partitions, as Kafka's log.dirs do`);
  }
  registerCodecs();
  return folders;
}

/** What is found, or `other` if it is not there (any more): a broker that runs deletes and renames files. */
export async function unlessGone<T, U>(found: Promise<T>, other: U): Promise<T | U> {
  try {
    return await found;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return other;
    throw error;
  }
}

/** What is found. Throws `config` for what the file system refuses. */
export async function readable<T>(path: string, found: Promise<T>): Promise<T> {
  try {
    return await found;
  } catch (error) {
    throw new PlaitError('config', `${path} cannot be read: ${reason(error)}`, { cause: error });
  }
}
