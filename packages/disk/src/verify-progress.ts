/**
 * How far a verification has come, so that one that was interrupted can go on (docs/FORMAT.md, section 10). It holds for a log
 * that begins with the same bytes only, which a digest stands for.
 */
import { rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import {
  generation, height, index, logPosition, offset, parseCount, parseHash, parseOrigin, parseTopic, parseUint63, PARTITIONS_MAX, seq, type Hash, type LogPosition, type Seq,
} from '@plait/core';
import type { Finding, Gone } from '@plait/roles';
import { makeFolder, replaceFile } from './files.ts';
import { formatSealed, objectOf, parseSealed, readSealed, textOf, type Json, type Sealed } from './sealed.ts';

const MODE = 0o600;

/** What was checked. */
export interface VerifyProgressMark {
  readonly origin: string;
  /** When it was saved, ms since 1970. */
  readonly timeMs: bigint;
  readonly firstSeq: Seq;
  /** All from `firstSeq` on up to here were checked. */
  readonly nextSeq: Seq;
  /** Of them, those that could not be read any more, if any. */
  readonly gone?: Gone;
  /** The log was read up to here; the blocks that numbered those seqs stand before it. */
  readonly position: LogPosition;
  /** SHA-256 of the log's messages before that position: of each its position (8 bytes), its length (4 bytes), both big-endian, and its bytes. */
  readonly digest: Hash;
}

/** The numbers of a place, in their order in the file. */
const NUMBERS = {
  generation, firstIndex: index, nextIndex: index, firstOffset: offset, nextOffset: offset, firstSeq: seq, nextSeq: seq, height, position: logPosition,
} as const;
const KINDS = ['deleted', 'expired-or-deleted'] as const satisfies readonly Finding['kind'][];

function goneMembers({ seqs, first }: Gone): Json {
  const { kind, message, topic, partition, expected, found, causes } = first;
  const numbers = Object.keys(NUMBERS).map((name) => [name, String(first[name as keyof typeof NUMBERS])]);
  return { seqs: String(seqs), kind, message, topic, partition: String(partition), ...Object.fromEntries(numbers), expected, found, causes };
}

function readGone(members: Json): Gone {
  const { causes } = members;
  const kind = KINDS.find((each) => each === members['kind']);
  if (kind === undefined) throw new Error(`"kind" is none of ${KINDS.join(', ')}`);
  if (!Array.isArray(causes) || causes.some((cause) => typeof cause !== 'string')) throw new Error('"causes" is no list of texts');
  const numbers = Object.entries(NUMBERS).map(([name, number]) => [name, number(parseUint63(textOf(members, name)))]);
  return {
    seqs: parseUint63(textOf(members, 'seqs')),
    first: {
      kind, message: textOf(members, 'message'), topic: parseTopic(textOf(members, 'topic')), partition: parseCount(textOf(members, 'partition'), PARTITIONS_MAX - 1),
      ...(Object.fromEntries(numbers) as Pick<Finding, keyof typeof NUMBERS>), expected: textOf(members, 'expected'), found: textOf(members, 'found'),
      causes: causes as readonly string[],
    },
  };
}

const PROGRESS: Sealed<VerifyProgressMark> = {
  format: 'plait.verified/v1',
  name: 'progress file',
  members: (mark) => ({
    origin: mark.origin, time: String(mark.timeMs), firstSeq: String(mark.firstSeq), nextSeq: String(mark.nextSeq),
    gone: mark.gone === undefined ? null : goneMembers(mark.gone), position: String(mark.position), digest: mark.digest,
  }),
  read: (members) => ({
    origin: parseOrigin(textOf(members, 'origin')),
    timeMs: parseUint63(textOf(members, 'time')),
    firstSeq: seq(parseUint63(textOf(members, 'firstSeq'))),
    nextSeq: seq(parseUint63(textOf(members, 'nextSeq'))),
    ...(members['gone'] === null ? {} : { gone: readGone(objectOf(members['gone'])) }),
    position: logPosition(parseUint63(textOf(members, 'position'))),
    digest: parseHash(textOf(members, 'digest')),
  }),
  remedy: (path) => `Nothing is lost with it but time: remove it ("rm ${path}"), or verify without --resume`,
};

/** The file's one spelling. */
export function formatVerifyProgress(mark: VerifyProgressMark): string {
  return formatSealed(PROGRESS, mark);
}

/** Throws `config` that names the file and what to do, for anything but what {@link formatVerifyProgress} gives. */
export function parseVerifyProgress(text: string, path: string): VerifyProgressMark {
  return parseSealed(PROGRESS, text, path);
}

/** What was saved at `path`; undefined if nothing was. Throws `config` for a damaged file or one that cannot be read. */
export async function loadVerifyProgress(path: string): Promise<VerifyProgressMark | undefined> {
  return await readSealed(PROGRESS, path);
}

/** Replaces what was saved; durable when it resolves. Throws `config`, and `unavailable` where writing may work later. */
export async function saveVerifyProgress(path: string, mark: VerifyProgressMark): Promise<void> {
  await makeFolder(dirname(path));
  await replaceFile(path, formatVerifyProgress(mark), MODE);
}

/** There is nothing to go on from any more. Repeatable. */
export async function forgetVerifyProgress(path: string): Promise<void> {
  await rm(path, { force: true });
}
