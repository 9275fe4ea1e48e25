/**
 * A file of copied messages:
 *
 *     plait.copy/v1\n<origin>\n<ledger key>\n
 *     then for each message: length (4 bytes) ‖ position (8 bytes) ‖ its bytes ‖ CRC-32 of all these (4 bytes)
 *
 * Numbers are big-endian. Positions grow, and no message of the log between the first and the last one is left out. What
 * follows the last whole record, as a crash leaves it, counts as not there. The checksum finds accidents: whoever could forge
 * it is found by folding.
 */
import { crc32 } from 'node:zlib';
import { invalid, logPosition } from '@plait/core';
import type { LogMessage, Pinned } from '@plait/roles';

const MAGIC = 'plait.copy/v1';
const NUMBERS_BYTES = 12;
const SUM_BYTES = 4;
const POSITION_MAX = 2n ** 63n - 1n;

/** What a file holds. */
export interface CopiedMessages {
  readonly origin: string;
  /** As text, `<name>+<key id>+<base64>`. */
  readonly ledgerKey: string;
  /** In order of their positions. Their bytes share the file's memory. */
  readonly messages: readonly LogMessage[];
  /** Bytes after the last whole record. */
  readonly tornBytes: number;
}

/** What every file of copies begins with. */
export function copyHead({ origin, ledgerKey }: Pinned): Uint8Array {
  return Buffer.from(`${MAGIC}\n${origin}\n${ledgerKey.vkey}\n`);
}

/** One message as it stands in the file. */
export function appendRecord({ position, value }: LogMessage): Uint8Array {
  const record = Buffer.alloc(NUMBERS_BYTES + value.length + SUM_BYTES);
  record.writeUInt32BE(value.length, 0);
  record.writeBigUInt64BE(position, 4);
  record.set(value, NUMBERS_BYTES);
  record.writeUInt32BE(crc32(record.subarray(0, -SUM_BYTES)), record.length - SUM_BYTES);
  return record;
}

/** The messages of a file's bytes. Throws `invalid` if they are no file of copies; damage behind its head ends it there. */
export function readRecords(bytes: Uint8Array): CopiedMessages {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const { origin, ledgerKey, end } = readHead(file);
  const messages: LogMessage[] = [];
  let at = end;
  for (let next = recordAt(file, at); next !== undefined; next = recordAt(file, at)) {
    const { message, length } = next;
    if (message.position <= (messages.at(-1)?.position ?? -1n)) break;
    messages.push(message);
    at += length;
  }
  return { origin, ledgerKey, messages, tornBytes: file.length - at };
}

function readHead(file: Buffer): { origin: string; ledgerKey: string; end: number } {
  const first = file.indexOf('\n');
  const second = file.indexOf('\n', first + 1);
  const third = file.indexOf('\n', second + 1);
  if (first < 0 || second < 0 || third < 0 || file.toString('utf8', 0, first) !== MAGIC) throw invalid(`no file of copies: it does not begin with ${MAGIC}`);
  return { origin: file.toString('utf8', first + 1, second), ledgerKey: file.toString('utf8', second + 1, third), end: third + 1 };
}

function recordAt(file: Buffer, at: number): { message: LogMessage; length: number } | undefined {
  if (at + NUMBERS_BYTES > file.length) return undefined;
  const length = NUMBERS_BYTES + file.readUInt32BE(at) + SUM_BYTES;
  if (at + length > file.length) return undefined;
  const body = file.subarray(at, at + length - SUM_BYTES);
  const position = body.readBigUInt64BE(4);
  if (position > POSITION_MAX || crc32(body) !== file.readUInt32BE(at + length - SUM_BYTES)) return undefined;
  return { message: { position: logPosition(position), value: body.subarray(NUMBERS_BYTES) }, length };
}
