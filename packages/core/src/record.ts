/**
 * The payload of a record: its key, value and headers exactly as Kafka's record format v2 encodes them, from the key
 * length to the end of the record (kafka.apache.org/documentation, "Record"):
 *
 *     keyLength varint, key, valueLength varint, value, headerCount varint,
 *     then for each header: keyLength varint, key, valueLength varint, value
 *
 * A varint is a 32-bit integer in zigzag, 7 bits a byte, low bits first, 1 to 5 bytes; length −1 stands for null. The
 * payload digest is over the form in which every varint is minimal, so the same record has one digest.
 */
import { invalid, invariant } from './errors.ts';

/** A header. Keys may repeat, and need not be UTF-8: Kafka does not check. */
export interface RecordHeader {
  readonly key: Uint8Array;
  readonly value: Uint8Array | null;
}

/** What a record says. null and empty are two things. */
export interface Payload {
  readonly key: Uint8Array | null;
  readonly value: Uint8Array | null;
  /** In wire order. */
  readonly headers: readonly RecordHeader[];
}

/** Reads forward through a payload, and notices whether a varint was longer than it had to be. */
class PayloadReader {
  readonly bytes: Uint8Array;
  at = 0;
  minimal = true;

  constructor(bytes: Uint8Array) {
    this.bytes = bytes;
  }

  /** A 32-bit zigzag varint. Throws `invalid` if it is cut, longer than 5 bytes, or above 32 bits. */
  varint(): number {
    const first = this.bytes[this.at];
    // Nearly all lengths fit one byte.
    if (first !== undefined && first < 0x80) {
      this.at += 1;
      return (first >>> 1) ^ -(first & 1);
    }
    return this.#longVarint();
  }

  #longVarint(): number {
    const start = this.at;
    let raw = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.bytes[this.at++];
      if (byte === undefined) throw invalid('payload: cut inside a number', { at: start });
      if (shift === 28 && byte > 0x0f) break;
      raw |= (byte & 0x7f) << shift;
      if (byte < 0x80) {
        if (byte === 0 && shift > 0) this.minimal = false;
        return (raw >>> 1) ^ -(raw & 1);
      }
    }
    throw invalid('payload: a number has more than 32 bits', { at: start });
  }

  /** Reads a length and steps over as many bytes; false for null. Throws `invalid` if they go beyond the end. */
  skipBytes(): boolean {
    const start = this.at;
    const length = this.varint();
    if (length === -1) return false;
    if (length < 0 || length > this.bytes.length - this.at) {
      throw invalid('payload: a length is negative or goes beyond the end', { at: start, found: length });
    }
    this.at += length;
    return true;
  }

  /** Reads a length and as many bytes (a subarray), or null. */
  nullableBytes(): Uint8Array | null {
    const start = this.at;
    if (!this.skipBytes()) return null;
    // Where the bytes begin: behind the length, which is read again as that is cheaper than two results.
    const end = this.at;
    this.at = start;
    this.varint();
    const found = this.bytes.subarray(this.at, end);
    this.at = end;
    return found;
  }

  /** Reads the number of headers. Each takes at least two bytes, so a count cannot ask for more than is there. */
  headerCount(): number {
    const start = this.at;
    const count = this.varint();
    if (count < 0 || count * 2 > this.bytes.length - this.at) {
      throw invalid('payload: the number of headers is negative or goes beyond the end', { at: start, found: count });
    }
    return count;
  }

  end(): void {
    if (this.at !== this.bytes.length) {
      throw invalid('payload: bytes after the last header', { at: this.at, length: this.bytes.length });
    }
  }
}

function nullHeaderKey(at: number): Error {
  return invalid('payload: a header has no key', { at });
}

/**
 * What the payload `bytes` say; keys and values are subarrays of `bytes`. Varints need not be minimal. Throws `invalid`
 * for anything malformed: cut or trailing bytes, lengths beyond the end, negative ones other than −1, a header without
 * key, varints above 5 bytes or 32 bits.
 */
export function decodePayload(bytes: Uint8Array): Payload {
  const reader = new PayloadReader(bytes);
  const key = reader.nullableBytes();
  const value = reader.nullableBytes();
  const headers: RecordHeader[] = [];
  for (let left = reader.headerCount(); left > 0; left--) {
    const at = reader.at;
    const headerKey = reader.nullableBytes();
    if (headerKey === null) throw nullHeaderKey(at);
    headers.push({ key: headerKey, value: reader.nullableBytes() });
  }
  reader.end();
  return { key, value, headers };
}

/**
 * The payload `bytes` with minimal varints: `bytes` themselves if they have them already, which is what all known
 * clients write, else re-encoded in a new array. One pass without copying. Throws as {@link decodePayload}.
 */
export function minimalPayload(bytes: Uint8Array): Uint8Array {
  const reader = new PayloadReader(bytes);
  reader.skipBytes();
  reader.skipBytes();
  for (let left = reader.headerCount(); left > 0; left--) {
    const at = reader.at;
    if (!reader.skipBytes()) throw nullHeaderKey(at);
    reader.skipBytes();
  }
  reader.end();
  return reader.minimal ? bytes : encodePayload(decodePayload(bytes));
}

/** The bytes of `payload` with minimal varints. Throws `invariant` if one part or their number exceeds 2^31 − 1. */
export function encodePayload(payload: Payload): Uint8Array {
  let length = fieldBytes(payload.key) + fieldBytes(payload.value) + varintBytes(payload.headers.length);
  for (const header of payload.headers) length += fieldBytes(header.key) + fieldBytes(header.value);
  const out = new Uint8Array(length);
  let at = writeField(out, writeField(out, 0, payload.key), payload.value);
  at = writeVarint(out, at, payload.headers.length);
  for (const header of payload.headers) at = writeField(out, writeField(out, at, header.key), header.value);
  invariant(at === length, 'the encoded payload has the length that was counted');
  return out;
}

function fieldBytes(field: Uint8Array | null): number {
  return field === null ? 1 : varintBytes(field.length) + field.length;
}

/** Bytes of the varint of n ≥ 0; zigzag doubles it. */
function varintBytes(n: number): number {
  invariant(n <= 0x7fffffff, 'a length of a payload fits 31 bits');
  let bytes = 1;
  for (let rest = (n * 2) >>> 7; rest > 0; rest >>>= 7) bytes += 1;
  return bytes;
}

function writeField(out: Uint8Array, at: number, field: Uint8Array | null): number {
  if (field === null) {
    out[at] = 1;
    return at + 1;
  }
  const start = writeVarint(out, at, field.length);
  out.set(field, start);
  return start + field.length;
}

function writeVarint(out: Uint8Array, at: number, n: number): number {
  let rest = (n * 2) >>> 0;
  while (rest >= 0x80) {
    out[at++] = (rest & 0x7f) | 0x80;
    rest >>>= 7;
  }
  out[at++] = rest;
  return at;
}
