/** What somebody hands to a command, as a file or on stdin: read whole, and never more of it than there can be. */
import { createReadStream } from 'node:fs';
import { concatBytes, PlaitError } from '@plait/core';

/** More than a checkpoint or a key has, with all the signatures that a note may have. */
export const NOTE_BYTES_MAX = 1_000_000;
/** More than any receipt has: a batch of records inflates to 128 MiB at most, and a receipt spells its payload in base64 twice. */
export const RECEIPT_BYTES_MAX = 256 * 1024 * 1024;

/** How a file is read. */
export interface InputOptions {
  readonly bytesMax: number;
  /** Which option names the file, for messages. */
  readonly option?: string;
}

/** The bytes of a file. Throws `config` if it cannot be read, or has more than `bytesMax` bytes. */
export async function readInput(path: string, { bytesMax, option }: InputOptions): Promise<Uint8Array> {
  return await wholeOf(createReadStream(path), bytesMax).catch((error: NodeJS.ErrnoException) => {
    const why = error.code === 'ENOENT' ? 'there is no such file' : error.message;
    throw new PlaitError('config', `${option === undefined ? '' : `${option}: `}cannot read ${path}: ${why}`, { cause: error });
  });
}

/** The bytes that come from stdin. Throws `config` as {@link readInput}. */
export async function readStdin(bytesMax: number): Promise<Uint8Array> {
  return await wholeOf(process.stdin, bytesMax).catch((error: Error) => {
    throw new PlaitError('config', `cannot read stdin: ${error.message}`, { cause: error });
  });
}

async function wholeOf(stream: AsyncIterable<Uint8Array>, bytesMax: number): Promise<Uint8Array> {
  const parts: Uint8Array[] = [];
  let length = 0;
  for await (const part of stream) {
    parts.push(part);
    length += part.length;
    if (length > bytesMax) throw new Error(`it has more than ${bytesMax} bytes, as nothing has that is wanted here`);
  }
  return concatBytes(...parts);
}
