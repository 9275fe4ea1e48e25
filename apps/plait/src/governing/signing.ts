/**
 * Signatures of the ledger key, which may live on another machine:
 *
 *     here   --write-text FILE       the text to sign
 *     there  plait keys sign FILE    FILE.signed: a signed note
 *     here   --signed FILE.signed    goes on with it
 *
 * No file of this way is secret. The key itself is used by `init` and `reconfigure` only: `recover` writes what was signed.
 */
import { readFile } from 'node:fs/promises';
import { isPlaitError, parseConfiguration, parseGenesis, parseNote, PlaitError, signNote, verifyNoteSignature, type Note, type VerifierKey } from '@plait/core';
import { writeNew } from '@plait/disk';
import { loadKey } from '../keys.ts';

/** The name of what `keys sign` makes of a file. */
export const SIGNED_SUFFIX = '.signed';

const TEXT_MODE = 0o644;

/** Signs a text with the ledger key of a file. Throws `config` when the file holds another key than the ledger's. */
export async function signWithFile(text: string, { path, ledgerKey }: { readonly path: string; readonly ledgerKey: VerifierKey }): Promise<Uint8Array> {
  const key = await loadKey(path);
  if (key.verifier.vkey === ledgerKey.vkey) return signNote(text, key);
  throw new PlaitError('config', `the key file ${path} holds ${key.verifier.vkey}, and the ledger key is ${ledgerKey.vkey}: name its file with ` +
    '--key, or sign where that key is (--write-text)');
}

/** Writes a text to sign. Throws `config` if there is such a file. */
export async function writeForSigning(path: string, text: string): Promise<void> {
  await writeNew(path, text, TEXT_MODE);
}

/** A note as a file had it: whole, and its text. */
export interface SignedFile {
  readonly note: Uint8Array;
  readonly text: string;
}

/** What `keys sign` made. Throws `config` for a file that is no note or that the ledger key did not sign. */
export async function readSigned(path: string, ledgerKey: VerifierKey): Promise<SignedFile> {
  const bytes = await readFileOf('--signed', path);
  const note = parseSigned(path, bytes);
  if (verifyNoteSignature(note, ledgerKey)) return { note: bytes, text: note.text };
  const signers = note.signatures.map(({ name }) => name).join(', ');
  throw new PlaitError('config', `--signed: ${path} is signed in the name of ${signers}, and its signature is not by the ledger key ${ledgerKey.vkey}: ` +
    'sign the text with that key, and do not change it');
}

function parseSigned(path: string, bytes: Uint8Array): Note {
  try {
    return parseNote(bytes);
  } catch (error) {
    if (!isPlaitError(error, 'invalid')) throw error;
    throw new PlaitError('config', `--signed: ${path} is no signed note (${error.message}): make one with "plait keys sign"`, { cause: error });
  }
}

/**
 * Signs the text of a file and writes the note beside it; what it says, for people. Signs nothing but a genesis or a
 * configuration, so that nobody gets another statement signed. Throws `config`.
 */
export async function signFile(path: string, options: { readonly key: string; readonly out: string }): Promise<string> {
  const text = Buffer.from(await readFileOf('keys sign', path)).toString('utf8');
  const said = describe(path, text);
  const note = signNote(text, await loadKey(options.key));
  await writeNew(options.out, Buffer.from(note).toString('utf8'), TEXT_MODE);
  return said;
}

function describe(path: string, text: string): string {
  const wanted = 'wanted a file as --write-text makes it';
  // What else the file holds is not repeated: it may be a secret key.
  const kind = /^plait\.(genesis|configuration)\/v1\n/.exec(text)?.[1];
  if (kind === undefined) throw new PlaitError('config', `${path} holds neither a genesis nor a configuration: ${wanted}`);
  try {
    if (kind === 'genesis') return `the genesis of ${parseGenesis(text).origin}`;
    const { origin, version } = parseConfiguration(text);
    return `configuration ${version} of ${origin}`;
  } catch (error) {
    if (!isPlaitError(error, 'invalid')) throw error;
    throw new PlaitError('config', `${path} holds no ${kind} that counts (${error.message}): ${wanted}`, { cause: error });
  }
}

async function readFileOf(what: string, path: string): Promise<Uint8Array> {
  return await readFile(path).catch((error: NodeJS.ErrnoException) => {
    const why = error.code === 'ENOENT' ? 'there is no such file' : error.message;
    throw new PlaitError('config', `${what}: cannot read ${path}: ${why}`, { cause: error });
  });
}
