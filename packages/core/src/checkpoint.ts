/**
 * Checkpoints: C2SP tlog-checkpoint without extension lines, over the tree whose entries are the block headers.
 *
 *     <origin>
 *     <tree size>
 *     <RFC 6962 root>
 */
import { LineReader, parseOrigin, parseUint63 } from './text.ts';
import { parseHash } from './bytes.ts';
import type { Hash } from './types.ts';

/** The tree of block headers at one size, for those who remember or publish it. */
export interface Checkpoint {
  readonly kind: 'checkpoint';
  readonly origin: string;
  /** Number of headers it covers. */
  readonly size: bigint;
  readonly root: Hash;
}

/** The checkpoint's one spelling. */
export function formatCheckpoint(c: Checkpoint): string {
  return `${c.origin}\n${c.size}\n${c.root}\n`;
}

/** Throws `invalid`, also for extension lines. */
export function parseCheckpoint(text: string): Checkpoint {
  const lines = new LineReader(text);
  const origin = parseOrigin(lines.line());
  const size = parseUint63(lines.line());
  const root = parseHash(lines.line());
  lines.end();
  return { kind: 'checkpoint', origin, size, root };
}
