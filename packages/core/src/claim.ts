/**
 * Claims: a coordinator takes the lead by appending one.
 *
 *     plait.claim/v1
 *     <origin>
 *     <ledger id>
 *     epoch <current + 1>
 *     follows <hash of the claim or configuration that set the current epoch>
 *     nonce <16 random bytes, hex>
 */
import { parseHead } from './configuration.ts';
import { invalid } from './errors.ts';
import { LineReader, quote } from './text.ts';
import { epoch } from './types.ts';
import type { Epoch, Hash } from './types.ts';

/** A coordinator takes the lead: the first of its epoch that counts does. */
export interface Claim {
  readonly kind: 'claim';
  readonly origin: string;
  readonly ledgerId: Hash;
  readonly epoch: Epoch;
  /** Hash of the claim or configuration that it follows. */
  readonly follows: Hash;
  /** 32 lower-case hex digits: two processes with one key never write the same claim. */
  readonly nonce: string;
}

/** The claim's one spelling. */
export function formatClaim(c: Claim): string {
  return `plait.claim/v1\n${c.origin}\n${c.ledgerId}\nepoch ${c.epoch}\nfollows ${c.follows}\nnonce ${c.nonce}\n`;
}

/** Throws `invalid`. */
export function parseClaim(text: string): Claim {
  const lines = new LineReader(text);
  const { origin, ledgerId } = parseHead(lines, 'claim');
  const number = lines.uint63('epoch');
  const follows = lines.hash('follows');
  const nonce = lines.value('nonce');
  if (!/^[0-9a-f]{32}$/.test(nonce)) throw invalid(`nonce: expected 32 hex digits, found ${quote(nonce)}`);
  lines.end();
  return { kind: 'claim', origin, ledgerId, epoch: epoch(number), follows, nonce };
}
