/** Results on stdout, and what of records may reach a terminal. */
import { isUtf8 } from 'node:buffer';
import type { LedgerEntry, LedgerRecord } from '@plait/ledger';

/** Stdout was closed by its reader, as `head` does: nothing more is wanted. */
export class OutputClosed extends Error {
  override readonly name = 'OutputClosed';
}

/** Writes text, or bytes as they are, and waits until it is taken. Throws {@link OutputClosed} if nobody reads any more. */
export async function print(content: string | Uint8Array): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    process.stdout.write(content, (error) => {
      if (error === null || error === undefined) resolve();
      else reject((error as NodeJS.ErrnoException).code === 'EPIPE' ? new OutputClosed() : error);
    });
  });
}

/** Writes a line, for short results. */
export function printLine(line: string): void {
  process.stdout.write(`${line}\n`);
}

/** How people start this program, for the commands it suggests: from a clone it is run by pnpm. */
export function programName(): string {
  return import.meta.url.endsWith('.ts') ? 'npx -y pnpm@12.21.0 -s plait' : 'plait';
}

/**
 * `text` with everything that could steer a terminal, or hide or reorder text, written as an escape: control and format
 * characters, line and paragraph separators, unassigned and private ones, and the backslash itself.
 */
export function escapeText(text: string): string {
  return text.replace(/[\\\p{C}\p{Zl}\p{Zp}]/gu, (char) => {
    if (char === '\\') return '\\\\';
    if (char === '\n') return '\\n';
    if (char === '\t') return '\\t';
    return escapeChar(char);
  });
}

/** Sentences of ours in which something may stand that others wrote, a broker's answer or a key's name: as {@link escapeText}, but lines and backslashes stay. */
export function printable(text: string): string {
  return text.replace(/(?!\n)[\p{C}\p{Zl}\p{Zp}]/gu, escapeChar);
}

function escapeChar(char: string): string {
  return `\\u{${(char.codePointAt(0) ?? 0).toString(16)}}`;
}

/** Bytes shortened to about `charsMax` characters for people: text where they are UTF-8, else hex; `∅` for null. */
export function showBytes(bytes: Uint8Array | null, charsMax: number): string {
  if (bytes === null) return '∅';
  if (bytes.length === 0) return '""';
  const head = headOf(bytes, charsMax * 4);
  if (!isUtf8(head)) return `0x${Buffer.from(bytes.subarray(0, charsMax / 2)).toString('hex')}${bytes.length > charsMax / 2 ? '…' : ''}`;
  const chars = Array.from(textOf(head));
  const cut = chars.length > charsMax || head.length < bytes.length;
  return `${escapeText(chars.slice(0, charsMax).join(''))}${cut ? '…' : ''}`;
}

/** At most the first `bytesMax` bytes, ended before a character that would be cut. */
function headOf(bytes: Uint8Array, bytesMax: number): Uint8Array {
  if (bytes.length <= bytesMax) return bytes;
  let end = bytesMax;
  // A UTF-8 character has at most 3 bytes after its first one.
  while (end > bytesMax - 4 && ((bytes[end] ?? 0) & 0xc0) === 0x80) end -= 1;
  return bytes.subarray(0, end);
}

function textOf(bytes: Uint8Array): string {
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
}

const KEY_CHARS = 32;
const VALUE_CHARS = 80;
const DATE_MS_MAX = 8_640_000_000_000_000n;

/** A timestamp as a date, or as its number where it is none. */
export function showTime(timestamp: bigint): string {
  const isDate = timestamp >= 0n && timestamp <= DATE_MS_MAX;
  return isDate ? new Date(Number(timestamp)).toISOString() : `time ${timestamp}`;
}

/** One line for people, without a newline; hostile content is shortened and escaped. */
export function entryLine(entry: LedgerEntry): string {
  if (entry.kind === 'record') {
    const place = `${entry.topic}/${entry.partition}@${entry.offset}`;
    return `${entry.seq}  ${place}  ${showTime(entry.timestamp)}  ${showBytes(entry.key, KEY_CHARS)}  ${showBytes(entry.value, VALUE_CHARS)}`;
  }
  const { topic, partition, firstOffset, nextOffset } = entry.segment;
  const range = `${topic}/${partition}@${firstOffset}…${nextOffset}`;
  if (entry.kind === 'loss') return `${entry.seq}  ${range}  LOSS: records that were gone before they were hashed`;
  const seqs = `${entry.seq}…${entry.nextSeq}`;
  if (entry.kind === 'void') return `${seqs}  ${range}  VOID: declared unusable by configuration`;
  return `${seqs}  ${range}  GONE: can no longer be read, so that nobody can check it`;
}

/**
 * One line of JSON, without a newline. Numbers beyond 2^53 are decimal strings; bytes are `{"utf8": …}` where they are
 * UTF-8, else `{"base64": …}`, or null; headers are pairs of name and value in wire order. Nothing that could steer a
 * terminal stands in it unescaped.
 */
export function entryJson(entry: LedgerEntry): string {
  return jsonText(entry.kind === 'record' ? recordObject(entry) : rangeObject(entry));
}

/** A value as one line of JSON, bigints as decimal strings, with nothing in it that could steer a terminal. */
export function jsonText(value: unknown): string {
  const text = JSON.stringify(value, (_, each: unknown) => (typeof each === 'bigint' ? String(each) : each));
  // JSON.stringify leaves these as they are; within JSON they stand in strings only, where an escape means the same.
  return text.replace(/[\u007f-\u009f\u2028\u2029\p{Cf}\p{Co}\p{Cn}]/gu, (char) =>
    Array.from({ length: char.length }, (_, i) => `\\u${char.charCodeAt(i).toString(16).padStart(4, '0')}`).join(''));
}

function recordObject(record: LedgerRecord): unknown {
  return {
    kind: 'record', seq: String(record.seq), topic: record.topic, partition: record.partition,
    generation: String(record.generation), offset: String(record.offset), index: String(record.index),
    timestamp: String(record.timestamp), key: bytesObject(record.key), value: bytesObject(record.value),
    headers: record.headers.map(({ key, value }) => [bytesObject(key), bytesObject(value)]),
    block: { height: String(record.block.height), time: String(record.block.timeMs) },
  };
}

function rangeObject(entry: Exclude<LedgerEntry, LedgerRecord>): unknown {
  const { topic, partition, generation, firstIndex, nextIndex, firstOffset, nextOffset } = entry.segment;
  return {
    kind: entry.kind, seq: String(entry.seq), ...(entry.kind === 'loss' ? {} : { nextSeq: String(entry.nextSeq) }),
    ...(entry.kind === 'gone' ? { why: entry.why } : {}),
    topic, partition, generation: String(generation), firstIndex: String(firstIndex), nextIndex: String(nextIndex),
    firstOffset: String(firstOffset), nextOffset: String(nextOffset),
    block: { height: String(entry.block.height), time: String(entry.block.timeMs) },
  };
}

function bytesObject(bytes: Uint8Array | null): unknown {
  if (bytes === null) return null;
  if (isUtf8(bytes)) return { utf8: textOf(bytes) };
  return { base64: Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64') };
}
