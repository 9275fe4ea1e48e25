/**
 * How far a verification has come, so that one that was interrupted can go on (docs/FORMAT.md, section 10). It holds for a log
 * that begins with the same bytes only, which a digest stands for.
 */
import { rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { logPosition, parseHash, parseOrigin, parseUint63, seq, type Hash, type LogPosition, type Seq } from '@plait/core';
import { makeFolder, replaceFile } from './files.ts';
import { formatSealed, parseSealed, readSealed, textOf, type Sealed } from './sealed.ts';

const MODE = 0o600;

/** What was checked. */
export interface VerifyProgressMark {
  readonly origin: string;
  /** When it was saved, ms since 1970. */
  readonly timeMs: bigint;
  readonly firstSeq: Seq;
  /** All from `firstSeq` on up to here were checked. */
  readonly nextSeq: Seq;
  /** Of them, those that nobody could check. */
  readonly gone: bigint;
  /** The log was read up to here; the blocks that numbered those seqs stand before it. */
  readonly position: LogPosition;
  /** SHA-256 of the log's messages before that position: of each its position (8 bytes), its length (4 bytes), both big-endian, and its bytes. */
  readonly digest: Hash;
}

const PROGRESS: Sealed<VerifyProgressMark> = {
  format: 'plait.verified/v1',
  name: 'progress file',
  members: (mark) => ({
    origin: mark.origin, time: String(mark.timeMs), firstSeq: String(mark.firstSeq), nextSeq: String(mark.nextSeq),
    gone: String(mark.gone), position: String(mark.position), digest: mark.digest,
  }),
  read: (members) => ({
    origin: parseOrigin(textOf(members, 'origin')),
    timeMs: parseUint63(textOf(members, 'time')),
    firstSeq: seq(parseUint63(textOf(members, 'firstSeq'))),
    nextSeq: seq(parseUint63(textOf(members, 'nextSeq'))),
    gone: parseUint63(textOf(members, 'gone')),
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
