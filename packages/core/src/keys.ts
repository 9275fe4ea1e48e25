/**
 * Keys of signed notes as text (c2sp.org/signed-note; the vkey and skey of golang.org/x/mod/sumdb/note):
 *
 *     verifier key   <name>+<key id>+<base64(0x01 ‖ 32-byte public key)>
 *     signer key     PRIVATE+KEY+<name>+<key id>+<base64(0x01 ‖ 32-byte seed)>
 *
 * where the key id is 8 lower-case hex digits: the first 4 bytes of SHA-256(name ‖ 0x0A ‖ 0x01 ‖ public key).
 * Only algorithm 0x01, Ed25519 over the note's text, is known here.
 */
import { ed25519PublicKey, isValidPublicKey } from '#ed25519';
import { sha256 } from '#sha256';
import { base64Decode, base64Encode, concatBytes, utf8Encode } from './bytes.ts';
import { invalid, invariant } from './errors.ts';

/** The signature type identifier of Ed25519 (c2sp.org/signed-note, "Signature types"). */
const ALGORITHM_ED25519 = 1;

/** A public key with its name, as {@link parseVerifierKey} gives it. */
export interface VerifierKey {
  /** Non-empty, no Unicode white space, no plus, no control character. */
  readonly name: string;
  /** uint32; says which key is meant, proves nothing. */
  readonly keyId: number;
  /** 32 bytes, valid by `isValidPublicKey`. */
  readonly publicKey: Uint8Array;
  /** The key as text; parsing it again gives the same key. */
  readonly vkey: string;
}

/** A secret key with its name. Never log it: `seed` and `skey` are the secret. */
export interface SignerKey {
  readonly name: string;
  readonly keyId: number;
  /** 32 secret bytes (RFC 8032, section 5.1.5). */
  readonly seed: Uint8Array;
  readonly verifier: VerifierKey;
  /** The secret key as text. */
  readonly skey: string;
}

/**
 * True iff `name` may name a key: non-empty, well-formed, without Unicode white space, plus and ASCII control
 * characters (which a note cannot hold).
 */
export function isKeyName(name: string): boolean {
  // oxlint-disable-next-line no-control-regex -- control characters are what is looked for
  return name !== '' && name.isWellFormed() && !/[+\p{White_Space}\u0000-\u001f]/u.test(name);
}

/**
 * The verifier key that `vkey` spells. Throws `invalid` for a malformed text, base64 or hex digits in another spelling
 * than the canonical one, another algorithm, a key id that does not fit name and key, and a public key that
 * `isValidPublicKey` refuses.
 */
export function parseVerifierKey(vkey: string): VerifierKey {
  const key = parseVerifierKeyForm(vkey);
  if (!isValidPublicKey(key.publicKey)) {
    throw invalid('a verifier key is not a valid Ed25519 public key', { name: key.name });
  }
  return key;
}

/**
 * The verifier key that `vkey` spells, its public key not checked to be valid: that costs a millisecond, and nothing
 * verifies under a key that is not. For texts that may come from anybody and hold many keys. Throws `invalid` as
 * {@link parseVerifierKey} for everything else.
 */
export function parseVerifierKeyForm(vkey: string): VerifierKey {
  const { name, keyId, key } = parseKeyParts(vkey, 'verifier key');
  const expected = keyIdOf(name, key);
  if (keyId !== expected) {
    throw invalid('the key id of a verifier key does not fit its name and key', {
      name,
      expected: hexKeyId(expected),
      found: hexKeyId(keyId),
    });
  }
  return { name, keyId, publicKey: key, vkey };
}

const SIGNER_PREFIX = 'PRIVATE+KEY+';

/**
 * The signer key that `skey` spells. Throws `invalid` for a malformed text, another algorithm and a key id that does
 * not fit; no message and no detail repeats the secret.
 */
export function parseSignerKey(skey: string): SignerKey {
  if (!skey.startsWith(SIGNER_PREFIX)) throw invalid(`a signer key begins with ${SIGNER_PREFIX}`);
  const { name, keyId, key } = parseKeyParts(skey.slice(SIGNER_PREFIX.length), 'signer key');
  const signer = makeSignerKey(name, key);
  if (signer.keyId !== keyId) {
    throw invalid('the key id of a signer key does not fit its name and key', {
      name,
      expected: hexKeyId(signer.keyId),
      found: hexKeyId(keyId),
    });
  }
  return signer;
}

/** Whether the key is one of those. Its name counts: it is part of the key id. */
export function isAmong(keys: readonly VerifierKey[], { vkey }: VerifierKey): boolean {
  return keys.some((key) => key.vkey === vkey);
}

/**
 * The signer key of `name` and 32 secret bytes `seed` (copied). Where the seed comes from is the caller's matter.
 * Throws `invalid` for a name that {@link isKeyName} refuses, `invariant` for a seed of another length.
 */
export function makeSignerKey(name: string, seed: Uint8Array): SignerKey {
  if (!isKeyName(name)) throw invalid('not a key name: wanted no white space, plus or control character', { found: name });
  invariant(seed.length === 32, `an Ed25519 seed has 32 bytes, not ${seed.length}`);
  const publicKey = ed25519PublicKey(seed);
  const keyId = keyIdOf(name, publicKey);
  const verifier: VerifierKey = { name, keyId, publicKey, vkey: formatKey(name, keyId, publicKey) };
  return { name, keyId, seed: seed.slice(), verifier, skey: SIGNER_PREFIX + formatKey(name, keyId, seed) };
}

function keyIdOf(name: string, publicKey: Uint8Array): number {
  const hash = sha256(concatBytes(utf8Encode(name), Uint8Array.of(0x0a, ALGORITHM_ED25519), publicKey));
  return new DataView(hash.buffer, hash.byteOffset).getUint32(0);
}

function hexKeyId(keyId: number): string {
  return keyId.toString(16).padStart(8, '0');
}

function formatKey(name: string, keyId: number, key: Uint8Array): string {
  return `${name}+${hexKeyId(keyId)}+${base64Encode(concatBytes(Uint8Array.of(ALGORITHM_ED25519), key))}`;
}

function parseKeyParts(text: string, what: string): { name: string; keyId: number; key: Uint8Array } {
  // Names and key ids hold no plus, so the first two split the text; the base64 may hold more.
  const nameEnd = text.indexOf('+');
  const idEnd = text.indexOf('+', nameEnd + 1);
  if (nameEnd < 0 || idEnd < 0) throw invalid(`a ${what} has the form name+id+key`);
  const name = text.slice(0, nameEnd);
  const id = text.slice(nameEnd + 1, idEnd);
  if (!isKeyName(name)) throw invalid(`the name of a ${what} is empty, or has white space or a control character`);
  if (!/^[0-9a-f]{8}$/.test(id)) throw invalid(`the key id of a ${what} is not 8 lower-case hex digits`, { name });
  const bytes = base64Decode(text.slice(idEnd + 1));
  if (bytes.length !== 33) throw invalid(`a ${what} holds 1 + 32 bytes`, { name, found: bytes.length });
  if (bytes[0] !== ALGORITHM_ED25519) {
    throw invalid(`a ${what} is not of algorithm 1, Ed25519`, { name, found: bytes[0] });
  }
  return { name, keyId: Number.parseInt(id, 16), key: bytes.slice(1) };
}
