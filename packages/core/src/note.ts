/**
 * Signed notes (c2sp.org/signed-note; golang.org/x/mod/sumdb/note):
 *
 *     <text: lines, the last ending with \n; may hold empty lines>
 *     \n
 *     — <name> <base64(4-byte big-endian key id ‖ signature)>\n        once or more, at most 16
 *
 * All of it UTF-8 without control characters below U+0020 but \n. The last empty line splits text and signatures.
 * A signature is over the bytes of the text, its last \n included. formatNote(parseNote(bytes)) = bytes.
 */
import { ed25519Sign, ed25519Verify } from '#ed25519';
import { base64Decode, base64Encode, concatBytes, utf8Decode, utf8Encode } from './bytes.ts';
import { invalid, invariant } from './errors.ts';
import { isKeyName, type SignerKey, type VerifierKey } from './keys.ts';
import { SIGNATURES_MAX } from './limits.ts';

/** One signature line. Parsed only: nothing is said about whether it verifies. */
export interface NoteSignature {
  readonly name: string;
  /** uint32 */
  readonly keyId: number;
  /** What follows the key id, at least 1 byte; 64 for Ed25519. */
  readonly signature: Uint8Array;
  /** The line without its newline: `— name base64`. */
  readonly line: string;
}

/** A note as parsed. Its text must not be believed before {@link verifyNoteSignature}. */
export interface Note {
  /** Ends with \n. */
  readonly text: string;
  /** 1 … 16 lines in their order, repeats included. */
  readonly signatures: readonly NoteSignature[];
}

/** Says whether `signature` is one of `publicKey` over `message`; `ed25519Verify`, or a cache in front of it. */
export type VerifySignature = (args: {
  readonly publicKey: Uint8Array;
  readonly message: Uint8Array;
  readonly signature: Uint8Array;
}) => boolean;

const DASH = '\u2014 ';

/**
 * The note that `bytes` spell. Throws `invalid` for bytes that are not UTF-8, a control character, no empty line, no
 * signature line or more than 16, a line that is not `— name base64`, base64 that is not canonical or holds less than
 * 5 bytes, and anything after the last line. Checks no signature and knows no key.
 */
export function parseNote(bytes: Uint8Array): Note {
  const whole = utf8Decode(bytes);
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  const control = whole.search(/[\u0000-\u0009\u000b-\u001f]/);
  if (control >= 0) throw invalid('a note holds a control character', { at: control });
  const split = whole.lastIndexOf('\n\n');
  if (split < 0) throw invalid('a note has no empty line between text and signatures');
  const block = whole.slice(split + 2);
  if (block === '') throw invalid('a note has no signature line');
  if (!block.endsWith('\n')) throw invalid('a note does not end with a newline');
  const lines = block.slice(0, -1).split('\n', SIGNATURES_MAX + 1);
  if (lines.length > SIGNATURES_MAX) throw invalid(`a note has more than ${SIGNATURES_MAX} signature lines`);
  return { text: whole.slice(0, split + 1), signatures: lines.map(parseSignatureLine) };
}

function parseSignatureLine(line: string): NoteSignature {
  if (!line.startsWith(DASH)) throw invalid('a signature line does not begin with an em dash and a space');
  const nameEnd = line.indexOf(' ', DASH.length);
  if (nameEnd < 0) throw invalid('a signature line has no signature');
  const name = line.slice(DASH.length, nameEnd);
  if (!isKeyName(name)) throw invalid('the key name of a signature line is empty, or has white space or a plus');
  const bytes = base64Decode(line.slice(nameEnd + 1));
  if (bytes.length < 5) throw invalid('a signature line holds less than 5 bytes', { name, found: bytes.length });
  const keyId = new DataView(bytes.buffer, bytes.byteOffset).getUint32(0);
  return { name, keyId, signature: bytes.subarray(4), line };
}

/**
 * The bytes of the note of `text` and `signatures` in the order given. Throws `invariant` unless `text` ends with \n
 * and holds no other control character, and there are 1 … 16 signatures.
 */
export function formatNote(text: string, signatures: readonly NoteSignature[]): Uint8Array {
  checkText(text);
  const count = signatures.length;
  invariant(count >= 1 && count <= SIGNATURES_MAX, `a note has 1 to ${SIGNATURES_MAX} signatures, not ${count}`);
  return utf8Encode(`${text}\n${signatures.map((signature) => `${signature.line}\n`).join('')}`);
}

function checkText(text: string): void {
  invariant(text.endsWith('\n'), 'the text of a note ends with a newline');
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  invariant(!/[\u0000-\u0009\u000b-\u001f]/.test(text), 'the text of a note holds no control character but newlines');
}

/** The signature of `signer` over `text`. Throws `invariant` for a text that {@link formatNote} refuses. */
export function signText(text: string, signer: SignerKey): NoteSignature {
  checkText(text);
  const { name, keyId, seed } = signer;
  const signature = ed25519Sign({ seed, message: utf8Encode(text) });
  const id = new Uint8Array(4);
  new DataView(id.buffer).setUint32(0, keyId);
  return { name, keyId, signature, line: `${DASH}${name} ${base64Encode(concatBytes(id, signature))}` };
}

/** The whole note of `text` with one signature line, by `signer`. Throws as {@link signText}. */
export function signNote(text: string, signer: SignerKey): Uint8Array {
  return formatNote(text, [signText(text, signer)]);
}

/**
 * True iff one of the note's lines has the key's name and id and its signature verifies over the text. Other lines are
 * not looked at, and a line of this key that fails does not spoil another that verifies: anybody can append lines.
 * `verify` is asked at most 16 times.
 */
export function verifyNoteSignature(note: Note, key: VerifierKey, verify: VerifySignature = ed25519Verify): boolean {
  let message: Uint8Array | undefined;
  for (const { name, keyId, signature } of note.signatures) {
    if (name !== key.name || keyId !== key.keyId) continue;
    message ??= utf8Encode(note.text);
    if (verify({ publicKey: key.publicKey, message, signature })) return true;
  }
  return false;
}
