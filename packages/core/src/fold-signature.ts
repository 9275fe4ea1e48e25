/** Who signed a note, among the keys in force. */
import type { VerifierKey } from './keys.ts';
import { verifyNoteSignature, type Note, type VerifySignature } from './note.ts';
import type { SignatureReason } from './outcome.ts';

/**
 * The key that signed the note. `unknown-key`: no signature line names one of `keys` (by name and id); `bad-signature`:
 * one does, and does not verify.
 */
export function signerAmong(
  keys: readonly VerifierKey[], note: Note, verify: VerifySignature,
): VerifierKey | SignatureReason {
  const named = keys.filter((key) => note.signatures.some((line) => line.name === key.name && line.keyId === key.keyId));
  if (named.length === 0) return 'unknown-key';
  return named.find((key) => verifyNoteSignature(note, key, verify)) ?? 'bad-signature';
}
