/**
 * Blocks: signed headers that number the records between two cuts.
 *
 *     plait.block/v1
 *     <origin>
 *     <ledger id>
 *     configuration <hash of the configuration in force>
 *     claim <hash of the leader's claim>
 *     height <blocks before this one>
 *     time <ms since 1970, as the leader claims; a lower bound>
 *     first-seq <records numbered before this block>
 *     records <count>
 *     segments <count>
 *     cut <position in the log up to which accepted segments are taken>
 *     root <RFC 6962 root over its lines in canonical order>
 *     history <RFC 6962 root over all earlier headers>
 *     state <bytes> <RFC 6962 root over chunks of 256 KiB>     (not in every block)
 */
import { hashToText, parseHash, utf8Encode } from './bytes.ts';
import { parseHead } from './configuration.ts';
import { invalid } from './errors.ts';
import { HEADER_BYTES_MAX } from './limits.ts';
import { encodeLine, type Line } from './segment.ts';
import { LineReader, parseCount } from './text.ts';
import { leafHash, treeRoot } from './tree.ts';
import { height, logPosition, seq } from './types.ts';
import type { Hash, Height, LogPosition, Seq } from './types.ts';

/** What a header says of the fold's state after the message at its cut. */
export interface StateCommitment {
  /** Bytes of the state's canonical text. */
  readonly bytes: number;
  /** RFC 6962 root over the text in chunks of 256 KiB. */
  readonly root: Hash;
}

/** Numbers the segments accepted since the block before it, up to a cut; signed by who leads. */
export interface BlockHeader {
  readonly kind: 'block';
  readonly origin: string;
  readonly ledgerId: Hash;
  readonly configuration: Hash;
  readonly claim: Hash;
  readonly height: Height;
  /** Milliseconds since 1970, never below the block's before; a lower bound claimed by the leader. */
  readonly timeMs: bigint;
  readonly firstSeq: Seq;
  /** Seqs this block gives out: records, and one for each loss. */
  readonly records: bigint;
  readonly segments: number;
  readonly cut: LogPosition;
  readonly root: Hash;
  readonly history: Hash;
  readonly state?: StateCommitment;
}

/** The header's one spelling; also its entry in the tree of headers. */
export function formatBlock(b: BlockHeader): string {
  const lines = [
    'plait.block/v1', b.origin, b.ledgerId,
    `configuration ${b.configuration}`,
    `claim ${b.claim}`,
    `height ${b.height}`,
    `time ${b.timeMs}`,
    `first-seq ${b.firstSeq}`,
    `records ${b.records}`,
    `segments ${b.segments}`,
    `cut ${b.cut}`,
    `root ${b.root}`,
    `history ${b.history}`,
    ...(b.state === undefined ? [] : [`state ${b.state.bytes} ${b.state.root}`]),
  ];
  return `${lines.join('\n')}\n`;
}

/** Throws `invalid`. */
export function parseBlock(text: string): BlockHeader {
  if (text.length > HEADER_BYTES_MAX) throw invalid(`header above ${HEADER_BYTES_MAX} bytes`);
  const lines = new LineReader(text);
  const head = parseHead(lines, 'block');
  const header: BlockHeader = {
    kind: 'block',
    ...head,
    configuration: lines.hash('configuration'),
    claim: lines.hash('claim'),
    height: height(lines.uint63('height')),
    timeMs: lines.uint63('time'),
    firstSeq: seq(lines.uint63('first-seq')),
    records: lines.uint63('records'),
    segments: parseCount(lines.value('segments'), Number.MAX_SAFE_INTEGER),
    cut: logPosition(lines.uint63('cut')),
    root: lines.hash('root'),
    history: lines.hash('history'),
  };
  if (!lines.at('state')) {
    lines.end();
    return header;
  }
  const [bytes = '', root = ''] = lines.values('state', 2);
  lines.end();
  return { ...header, state: { bytes: parseCount(bytes, Number.MAX_SAFE_INTEGER), root: parseHash(root) } };
}

/** RFC 6962 root over the lines of a block, given in canonical order; of the empty tree for none. */
export function linesRoot(lines: readonly Line[]): Hash {
  return hashToText(treeRoot(lines.map((line) => leafHash(encodeLine(line)))));
}

/** The header's leaf hash in the tree of headers. */
export function headerLeafHash(text: string): Uint8Array {
  return leafHash(utf8Encode(text));
}
