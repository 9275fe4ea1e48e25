/**
 * Bytes, UTF-8, base64 and hash texts. Decoders are strict: of each value there is exactly one accepted spelling, so
 * encode(decode(x)) = x, and a hash over a text cannot be met by another spelling of the same value.
 */
import { invalid, invariant } from './errors.ts';
import type { Hash } from './types.ts';

/** Bytes of a SHA-256 hash. */
export const HASH_BYTES = 32;

/** A new array holding `parts` one after the other; empty for no parts. */
export function concatBytes(...parts: readonly Uint8Array[]): Uint8Array {
  let length = 0;
  for (const part of parts) length += part.length;
  const out = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    out.set(part, at);
    at += part.length;
  }
  return out;
}

/** True iff `a` and `b` hold the same bytes. Not constant-time: nothing secret is compared in Plait. */
export function equalBytes(a: Uint8Array, b: Uint8Array): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** Negative, 0 or positive as `a` sorts before, equal to or after `b`: by unsigned bytes, a prefix before what it begins. */
export function compareBytes(a: Uint8Array, b: Uint8Array): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const difference = (a[i] as number) - (b[i] as number);
    if (difference !== 0) return difference;
  }
  return a.length - b.length;
}

/**
 * Negative, 0 or positive as `a` sorts before, equal to or after `b` by the bytes of their UTF-8, which is the order of
 * code points. Not the order of `<`, which puts U+10000 and above before U+E000. Both must be well-formed; not checked.
 */
export function compareText(a: string, b: string): number {
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i++) {
    const x = a.charCodeAt(i);
    const y = b.charCodeAt(i);
    if (x !== y) return codePointRank(x) - codePointRank(y);
  }
  return a.length - b.length;
}

/** Lifts surrogates (halves of U+10000 and above) over U+E000 … U+FFFF, where their code points belong. */
function codePointRank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x2000 : unit >= 0xe000 ? unit - 0x800 : unit;
}

const encoder = new TextEncoder();
// `ignoreBOM: true` means: hand U+FEFF out as the character it is. Dropping it would make two byte strings one text.
const decoder = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** The UTF-8 bytes of `text`. Throws `invalid` for a lone surrogate, which UTF-8 cannot express. */
export function utf8Encode(text: string): Uint8Array {
  if (!text.isWellFormed()) throw invalid('a text holds a lone surrogate, which UTF-8 cannot express');
  return encoder.encode(text);
}

/**
 * The text of UTF-8 `bytes`; a byte order mark stays as U+FEFF. Throws `invalid` for anything that is not UTF-8
 * (overlong forms, surrogates, code points above U+10FFFF, cut sequences).
 */
export function utf8Decode(bytes: Uint8Array): string {
  try {
    return decoder.decode(bytes);
  } catch {
    throw invalid('bytes are not valid UTF-8', { bytes: bytes.length });
  }
}

const ALPHABET = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/';
const PADDING = '='.charCodeAt(0);
const SEXTET_OF_CODE = new Int8Array(128).fill(-1);
for (let i = 0; i < 64; i++) SEXTET_OF_CODE[ALPHABET.charCodeAt(i)] = i;

/** Standard base64 of `bytes` with padding (RFC 4648, section 4). */
export function base64Encode(bytes: Uint8Array): string {
  // As bytes, not as a growing string: that one takes fifty times its length in memory, and payloads are spelled here too.
  const out = new Uint8Array(Math.ceil(bytes.length / 3) * 4).fill(PADDING);
  for (let i = 0, at = 0; i < bytes.length; i += 3, at += 4) {
    const group = ((bytes[i] as number) << 16) | ((bytes[i + 1] ?? 0) << 8) | (bytes[i + 2] ?? 0);
    out[at] = ALPHABET.charCodeAt(group >> 18);
    out[at + 1] = ALPHABET.charCodeAt((group >> 12) & 63);
    if (i + 1 < bytes.length) out[at + 2] = ALPHABET.charCodeAt((group >> 6) & 63);
    if (i + 2 < bytes.length) out[at + 3] = ALPHABET.charCodeAt(group & 63);
  }
  return decoder.decode(out);
}

/**
 * The bytes of standard base64 `text` (RFC 4648, section 4). Throws `invalid` unless `text` is what
 * {@link base64Encode} makes of them: padded, no white space, no stray bits in the last character.
 */
export function base64Decode(text: string): Uint8Array {
  if (text.length % 4 !== 0) throw invalid('base64 is not padded to a multiple of 4', { length: text.length });
  const padding = text.endsWith('==') ? 2 : text.endsWith('=') ? 1 : 0;
  const out = new Uint8Array((text.length / 4) * 3 - padding);
  const characters = text.length - padding;
  let bits = 0;
  let held = 0;
  let at = 0;
  for (let i = 0; i < characters; i++) {
    const sextet = SEXTET_OF_CODE[text.charCodeAt(i)] ?? -1;
    if (sextet < 0) throw invalid('base64 holds a character outside its alphabet', { at: i });
    held = ((held << 6) | sextet) & 0xffff;
    bits += 6;
    if (bits >= 8) {
      bits -= 8;
      out[at++] = (held >> bits) & 0xff;
    }
  }
  if ((held & ((1 << bits) - 1)) !== 0) throw invalid('base64 has stray bits in its last character');
  return out;
}

/** The text of a 32-byte hash. Throws `invariant` for another length. */
export function hashToText(bytes: Uint8Array): Hash {
  invariant(bytes.length === HASH_BYTES, `a hash has ${HASH_BYTES} bytes, not ${bytes.length}`);
  return base64Encode(bytes) as Hash;
}

/** The 32 bytes of a hash text, a new array at each call. */
export function hashFromText(hash: Hash): Uint8Array {
  return base64Decode(hash);
}

/** `text` as a hash. Throws `invalid` unless it is the canonical base64 of exactly 32 bytes. */
export function parseHash(text: string): Hash {
  if (text.length !== 44 || base64Decode(text).length !== HASH_BYTES) {
    throw invalid('not a hash: wanted the base64 of 32 bytes', { found: text.slice(0, 64) });
  }
  return text as Hash;
}
