/** Whether two checkpoints are of one history: what is shown, and from what. */
import {
  EMPTY_ROOT, hashFromText, hashToText, isPlaitError, parseCheckpoint, parseNote, PlaitError, verifyConsistency, verifyNoteSignature,
  type Checkpoint, type Hash, type Note, type VerifierKey,
} from '@plait/core';
import { NOTE_BYTES_MAX, readInput } from '../input.ts';
import { nodesInTiles, nodesOfLeaves, proveConsistencyBy, rootAt, type HashOf } from './tree-nodes.ts';

/** A checkpoint of a file. */
export interface HeldCheckpoint {
  readonly file: string;
  readonly bytes: Uint8Array;
  readonly note: Note;
  readonly checkpoint: Checkpoint;
}

/** Reads a checkpoint. Throws `config` if it cannot be read, or is far too long, `invalid` if it holds none. Checks no signature. */
export async function readCheckpoint(file: string): Promise<HeldCheckpoint> {
  const bytes = await readInput(file, { bytesMax: NOTE_BYTES_MAX });
  try {
    const note = parseNote(bytes);
    return { file, bytes, note, checkpoint: parseCheckpoint(note.text) };
  } catch (error) {
    if (!isPlaitError(error, 'invalid')) throw error;
    throw new PlaitError('invalid', `${file} is no checkpoint: ${error.message}`, { details: error.details, cause: error });
  }
}

/** The first of the keys that signed it. Throws `invalid` if none did. */
export function signerOf({ file, note }: HeldCheckpoint, keys: readonly VerifierKey[]): VerifierKey {
  const signer = keys.find((key) => verifyNoteSignature(note, key));
  if (signer !== undefined) return signer;
  throw new PlaitError('invalid', `${file} carries no valid signature of ${keys.map(({ vkey }) => vkey).join(' or ')}`);
}

/** Where the tree is looked up. */
export type TreePlace =
  /** A server's URL, or a folder. */
  | { readonly kind: 'tiles'; readonly name: string }
  | { readonly kind: 'log'; readonly name: string; readonly leafHashes: readonly Uint8Array[] };

/** What two checkpoints of one origin show. */
export interface Comparison {
  /** `split-view`: two trees were signed of which none is a prefix of the other. */
  readonly verdict: 'consistent' | 'split-view';
  /** Empty if the sizes are equal: then nothing was looked up. */
  readonly proof: readonly Hash[];
}

/**
 * Whether `older` is a prefix of `newer`, which is not smaller. Their signatures are the caller's matter. Throws `missing` if
 * the older one is empty, since that shows nothing; `invalid` if the tiles are not those of the newer one, `rolled-back` if
 * the log is not; and as {@link nodesInTiles}. Nothing that the place gives is believed: all of it that matters is under the
 * newer root.
 */
export async function compareCheckpoints(older: HeldCheckpoint, newer: HeldCheckpoint, place: TreePlace): Promise<Comparison> {
  for (const each of [older, newer]) requireRootOfNothing(each);
  const [size1, size2] = [older.checkpoint.size, newer.checkpoint.size];
  if (size1 === size2) return { verdict: older.checkpoint.root === newer.checkpoint.root ? 'consistent' : 'split-view', proof: [] };
  if (size1 === 0n) throw new PlaitError('missing', `${older.file} is of a tree without blocks, which every other one extends: nothing is shown`);
  const hashOf = nodesOf(place, newer);
  await requireRoot(newer, { hashOf, place });
  const root1 = await rootAt(hashOf, size1);
  const proof = await proveConsistencyBy(hashOf, { size1, size2 });
  verifyConsistency({ size1, size2, root1, root2: hashFromText(newer.checkpoint.root), proof });
  // So this is the one root that the first blocks of the newer tree have.
  return { verdict: hashToText(root1) === older.checkpoint.root ? 'consistent' : 'split-view', proof: proof.map(hashToText) };
}

function requireRootOfNothing({ file, checkpoint: { size, root } }: HeldCheckpoint): void {
  const expected = hashToText(EMPTY_ROOT);
  if (size > 0n || root === expected) return;
  throw new PlaitError('invalid', `${file} gives a tree without blocks another root`, { details: { expected, found: root } });
}

function nodesOf(place: TreePlace, { file, checkpoint: { size } }: HeldCheckpoint): HashOf {
  if (place.kind === 'tiles') return nodesInTiles(place.name, size);
  const { name, leafHashes } = place;
  if (BigInt(leafHashes.length) >= size) return nodesOfLeaves(leafHashes);
  throw new PlaitError('rolled-back', `the log ${name} has ${leafHashes.length} blocks, and ${file} was signed over ${size}: the log is older than that`);
}

async function requireRoot({ file, checkpoint: { size, root } }: HeldCheckpoint, { hashOf, place }: { readonly hashOf: HashOf; readonly place: TreePlace }): Promise<void> {
  const found = hashToText(await rootAt(hashOf, size));
  if (found === root) return;
  const details = { size: String(size), expected: root, found };
  if (place.kind === 'tiles') throw new PlaitError('invalid', `the tiles of ${place.name} are not of the tree that ${file} was signed over: nothing can be shown with them`, { details });
  throw new PlaitError('rolled-back', `the log ${place.name} is not the one that ${file} was signed over: its first ${size} blocks are others`, { details });
}
