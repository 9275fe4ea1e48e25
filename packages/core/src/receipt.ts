/**
 * Receipts: one record's place in the order, proved offline (c2sp.org/tlog-proof@v1).
 *
 *     c2sp.org/tlog-proof@v1
 *     extra <base64 of: >            plait.receipt/v1
 *     index <height>                 leaf <base64 of 48 bytes>
 *     <hash>                         leaf-index <number in its segment>
 *     …                              leaf-proof <hash> …
 *                                    line <firstSeq> <segment …>
 *     <checkpoint, signed note>      line-index <number in its block>
 *                                    line-proof <hash> …
 *                                    payload <base64>                       (or no such line)
 *                                    header
 *                                    <the header's text>
 *
 * No size of a tree stands in it: the leaf's tree has nextIndex − firstIndex entries, the line's the header's `segments`, the
 * header's the checkpoint's size. formatReceipt(parseReceipt(bytes)) = bytes. Whether it proves anything: receipt-check.ts.
 */
import { base64Decode, base64Encode, hashFromText, hashToText, parseHash, utf8Decode, utf8Encode } from './bytes.ts';
import { parseCheckpoint } from './checkpoint.ts';
import { invalid } from './errors.ts';
import { LEAF_BYTES } from './leaf.ts';
import { parseNote } from './note.ts';
import { formatLine, parseLine, type Line } from './segment.ts';
import { LineReader } from './text.ts';

/** The parts of a receipt as parsed: nothing of it is to be believed before `verifyReceipt`. */
export interface Receipt {
  /** 48 bytes. */
  readonly leaf: Uint8Array;
  /** Number of the leaf in its segment. */
  readonly leafIndex: bigint;
  /** Inclusion proof of the leaf under the segment's root. */
  readonly leafProof: readonly Uint8Array[];
  readonly line: Line;
  /** Number of the line in its block. */
  readonly lineIndex: bigint;
  /** Inclusion proof of the line under the header's root. */
  readonly lineProof: readonly Uint8Array[];
  /** The block's text without signature. Any text as parsed. */
  readonly header: string;
  /** The record's wire bytes from the key length on, with minimal varints. */
  readonly payload?: Uint8Array;
  /** The header's number in the checkpoint's tree: its height. */
  readonly index: bigint;
  /** Inclusion proof of the header under the checkpoint's root. */
  readonly proof: readonly Uint8Array[];
  /** The signed note whole. */
  readonly checkpoint: Uint8Array;
}

/** The tree over 2^63 − 1 leaves is as high. */
const PROOF_HASHES_MAX = 63;
const FIRST_LINE = 'c2sp.org/tlog-proof@v1';

/** The receipt's one spelling. Nothing is checked: not that its parts are well-formed, nor that they fit together. */
export function formatReceipt(receipt: Receipt): string {
  const lines = [FIRST_LINE, `extra ${base64Encode(utf8Encode(formatExtra(receipt)))}`, `index ${receipt.index}`, ...receipt.proof.map(hashToText)];
  return `${lines.join('\n')}\n\n${utf8Decode(receipt.checkpoint)}`;
}

function formatExtra(receipt: Receipt): string {
  const lines = [
    'plait.receipt/v1',
    `leaf ${base64Encode(receipt.leaf)}`,
    `leaf-index ${receipt.leafIndex}`,
    formatProof('leaf-proof', receipt.leafProof),
    formatLine(receipt.line),
    `line-index ${receipt.lineIndex}`,
    formatProof('line-proof', receipt.lineProof),
    ...(receipt.payload === undefined ? [] : [`payload ${base64Encode(receipt.payload)}`]),
    'header',
  ];
  return `${lines.join('\n')}\n${receipt.header}`;
}

function formatProof(keyword: string, proof: readonly Uint8Array[]): string {
  return [keyword, ...proof.map(hashToText)].join(' ');
}

/**
 * The receipt that `bytes` spell. Throws `invalid` for any other spelling, a leaf of another length, more than 63 hashes in
 * a proof, and a checkpoint that is no well-formed note of one. Header and payload may still be anything, and nothing of it
 * is proved.
 */
export function parseReceipt(bytes: Uint8Array): Receipt {
  const text = utf8Decode(bytes);
  const split = text.indexOf('\n\n');
  if (split < 0) throw invalid('a receipt has no empty line before its checkpoint');
  const lines = new LineReader(text.slice(0, split + 1));
  lines.expect(FIRST_LINE);
  const extra = parseExtra(utf8Decode(base64Decode(lines.value('extra'))));
  const index = lines.uint63('index');
  const proof = parseHashes(lines.rest());
  const checkpoint = utf8Encode(text.slice(split + 2));
  parseCheckpoint(parseNote(checkpoint).text);
  return { ...extra, index, proof, checkpoint };
}

function parseExtra(text: string): Omit<Receipt, 'index' | 'proof' | 'checkpoint'> {
  const lines = new LineReader(text);
  lines.expect('plait.receipt/v1');
  const leaf = base64Decode(lines.value('leaf'));
  if (leaf.length !== LEAF_BYTES) throw invalid(`a leaf has ${LEAF_BYTES} bytes`, { found: leaf.length });
  const leafIndex = lines.uint63('leaf-index');
  const leafProof = parseProof('leaf-proof', lines.line());
  const line = parseLine(lines.line());
  const lineIndex = lines.uint63('line-index');
  const lineProof = parseProof('line-proof', lines.line());
  const payload = lines.at('payload') ? { payload: base64Decode(lines.value('payload')) } : {};
  lines.expect('header');
  const header = lines.rest().map((each) => `${each}\n`).join('');
  return { leaf, leafIndex, leafProof, line, lineIndex, lineProof, ...payload, header };
}

function parseProof(keyword: string, line: string): readonly Uint8Array[] {
  const [found, ...hashes] = line.split(' ');
  if (found !== keyword) throw invalid(`a receipt has no ${keyword} where it belongs`);
  return parseHashes(hashes);
}

function parseHashes(texts: readonly string[]): readonly Uint8Array[] {
  if (texts.length > PROOF_HASHES_MAX) throw invalid(`a proof has more than ${PROOF_HASHES_MAX} hashes`, { found: texts.length });
  return texts.map((text) => hashFromText(parseHash(text)));
}
