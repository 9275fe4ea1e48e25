/** Checkpoints that the user has kept, to be compared with the ledger. */
import { isPlaitError, parseCheckpoint, parseNote, PlaitError } from '@plait/core';
import type { SignedCheckpoint } from '@plait/ledger';
import { NOTE_BYTES_MAX, readInput } from '../input.ts';

/**
 * The checkpoints in the files of `--trusted-checkpoint`, each a signed note as `plait serve` gives it. Throws `config` for a
 * file that holds none, or one of another origin. Whose signature it is, the verification checks.
 */
export async function readTrusted(paths: readonly string[], origin: string): Promise<readonly SignedCheckpoint[]> {
  return await Promise.all(paths.map((path) => readCheckpoint(path, origin)));
}

async function readCheckpoint(path: string, origin: string): Promise<SignedCheckpoint> {
  const note = await readInput(path, { bytesMax: NOTE_BYTES_MAX, option: '--trusted-checkpoint' });
  try {
    const checkpoint = parseCheckpoint(parseNote(note).text);
    if (checkpoint.origin === origin) return { name: path, note, checkpoint };
    throw new PlaitError('config', `--trusted-checkpoint: ${path} is a checkpoint of ${checkpoint.origin}, not of ${origin}`);
  } catch (error) {
    if (!isPlaitError(error, 'invalid')) throw error;
    throw new PlaitError('config', `--trusted-checkpoint: ${path} holds no checkpoint: ${error.message}`, { cause: error });
  }
}
