/**
 * What a group's commits say, in their metadata, one line without a newline:
 *
 *     plait.progress/v1 <ledger id> <next seq> <height> <hash of the header at that height>
 *
 * The header is that of the block with which the group came so far: it pins what the group has read.
 */
import {
  height, parseHash, parseUint63, seq, isPlaitError, type Hash, type Height, type Seq,
} from '@plait/core';

/** How far a group is. */
export interface Progress {
  readonly ledgerId: Hash;
  /** Everything below is done. */
  readonly nextSeq: Seq;
  /** Of the block with which it came so far: seqs up to the one before the next are in it, or before it. */
  readonly height: Height;
  /** Message hash of that block. */
  readonly header: Hash;
}

const FORMAT = 'plait.progress/v1';

/** The one spelling, some 120 bytes. */
export function formatProgress({ ledgerId, nextSeq, height: at, header }: Progress): string {
  return `${FORMAT} ${ledgerId} ${nextSeq} ${at} ${header}`;
}

/** Undefined for a text that is none. */
export function parseProgress(text: string): Progress | undefined {
  const [format, ledgerId = '', nextSeq = '', at = '', header = '', ...more] = text.split(' ');
  if (format !== FORMAT || more.length > 0) return undefined;
  try {
    return { ledgerId: parseHash(ledgerId), nextSeq: seq(parseUint63(nextSeq)), height: height(parseUint63(at)), header: parseHash(header) };
  } catch (error) {
    if (!isPlaitError(error, 'invalid')) throw error;
    return undefined;
  }
}
