/**
 * What an auditor remembers of a ledger between two runs (docs/FORMAT.md, section 10): the largest signed checkpoint that was
 * found to be consistent. The signed bytes are kept, so that one that contradicts them later makes evidence.
 */
import { dirname } from 'node:path';
import { parseCheckpoint, parseHash, parseNote, parseUint63, PlaitError, utf8Decode, utf8Encode, type Checkpoint, type Hash } from '@plait/core';
import { makeFolder, replaceFile, withLock } from './files.ts';
import { formatSealed, parseSealed, readSealed, textOf, type Sealed } from './sealed.ts';

const MODE = 0o600;

/** A checkpoint that an auditor found to be consistent with all that it had verified. */
export interface RememberedCheckpoint {
  readonly ledgerId: Hash;
  /** When, ms since 1970. */
  readonly timeMs: bigint;
  /** The signed note's bytes. */
  readonly note: Uint8Array;
  /** What the note says. */
  readonly checkpoint: Checkpoint;
}

const CHECKPOINT: Sealed<RememberedCheckpoint> = {
  format: 'plait.checkpoint/v1',
  name: 'remembered checkpoint',
  members: ({ ledgerId, timeMs, note }) => ({ ledgerId, time: String(timeMs), note: utf8Decode(note) }),
  read: (members) => {
    const note = utf8Encode(textOf(members, 'note'));
    return {
      ledgerId: parseHash(textOf(members, 'ledgerId')), timeMs: parseUint63(textOf(members, 'time')),
      note, checkpoint: parseCheckpoint(parseNote(note).text),
    };
  },
  remedy: (path) => 'It says what the log must still hold, so it is not passed over: put it back from a backup, or, if you know that the log ' +
    `was not rolled back, remove it ("rm ${path}") and give a checkpoint that you trust with --trusted-checkpoint`,
};

/** The file's one spelling. */
export function formatCheckpointFile(remembered: RememberedCheckpoint): string {
  return formatSealed(CHECKPOINT, remembered);
}

/** Throws `config` that names the file and what to do, for anything but what {@link formatCheckpointFile} gives. Checks no signature. */
export function parseCheckpointFile(text: string, path: string): RememberedCheckpoint {
  return parseSealed(CHECKPOINT, text, path);
}

/** What is remembered at `path`; undefined if nothing is. Throws `config` for a damaged file or one that cannot be read. */
export async function loadCheckpoint(path: string): Promise<RememberedCheckpoint | undefined> {
  return await readSealed(CHECKPOINT, path);
}

/**
 * Remembers a checkpoint, durably when it resolves; a larger one that is there stays. Several processes may share the file.
 * Throws `split-view` if it holds one of the same size and another root, `config` for a file of another ledger, a damaged one
 * and one that cannot be written, `unavailable` where writing may work later.
 */
export async function saveCheckpoint(path: string, fresh: RememberedCheckpoint): Promise<void> {
  await makeFolder(dirname(path));
  await withLock(path, async () => {
    const held = await loadCheckpoint(path);
    if (held !== undefined) requireSame(path, held, fresh);
    // A crash here leaves the file as it was.
    if (held === undefined || held.checkpoint.size < fresh.checkpoint.size) await replaceFile(path, formatCheckpointFile(fresh), MODE);
  });
}

function requireSame(path: string, held: RememberedCheckpoint, fresh: RememberedCheckpoint): void {
  if (held.ledgerId !== fresh.ledgerId || held.checkpoint.origin !== fresh.checkpoint.origin) {
    throw new PlaitError('config', `the remembered checkpoint ${path} is of the ledger ${held.checkpoint.origin} (${held.ledgerId}), not of ` +
      `${fresh.checkpoint.origin} (${fresh.ledgerId}): give each ledger a folder of its own`, { details: { path } });
  }
  if (held.checkpoint.size !== fresh.checkpoint.size || held.checkpoint.root === fresh.checkpoint.root) return;
  throw new PlaitError('split-view', `another process has remembered a checkpoint of size ${held.checkpoint.size} in ${path} whose root differs ` +
    'from the one that this process found: keep both, each is signed', { details: { path, size: String(held.checkpoint.size) } });
}
