/**
 * What a receipt proves, step by step from the signature down to the payload. Each step rests on the one before: the
 * checkpoint's root is signed, the header is under that root, the line under the header's, the leaf under the segment's;
 * and so the size of each tree is signed too. Offline, and with nothing but the checkpoint key.
 */
import { base64Encode, equalBytes, hashFromText, hashToText } from './bytes.ts';
import { headerLeafHash, parseBlock, type BlockHeader } from './block.ts';
import { parseCheckpoint, type Checkpoint } from './checkpoint.ts';
import { invalid, isPlaitError, type PlaitError } from './errors.ts';
import type { VerifierKey } from './keys.ts';
import { decodeLeaf, payloadDigest } from './leaf.ts';
import { parseNote, verifyNoteSignature } from './note.ts';
import type { Receipt } from './receipt.ts';
import { minimalPayload } from './record.ts';
import { encodeLine, segmentCount } from './segment.ts';
import { leafHash, verifyInclusion } from './tree.ts';
import * as types from './types.ts';
import type { Generation, Hash, Height, Index, Offset, Seq, TopicPartition } from './types.ts';

/** The steps in their order; docs/FORMAT.md, section 11, says when each holds. */
export type ReceiptStepName =
  | 'checkpoint-signature'
  | 'header-proof'
  | 'header'
  | 'line-proof'
  | 'line'
  | 'leaf-proof'
  | 'leaf'
  | 'payload';

/** What became of one step. */
export interface ReceiptStep {
  readonly step: ReceiptStepName;
  readonly ok: boolean;
  /** A sentence without a full stop: what holds, or why it does not. */
  readonly says: string;
  /** Of a failed step, where there is one value that should have been and one that is. */
  readonly expected?: string;
  readonly found?: string;
}

/** What a receipt is checked against. */
export interface ReceiptOptions {
  /** The ledger's checkpoint key; its name is the origin. */
  readonly key: VerifierKey;
  /** The record's wire bytes if they are in a file of their own; varints need not be minimal. */
  readonly payload?: Uint8Array;
}

/** What a receipt that holds says of its record. */
export interface VerifiedReceipt extends TopicPartition {
  readonly origin: string;
  readonly ledgerId: Hash;
  readonly checkpointSize: bigint;
  readonly height: Height;
  /** Milliseconds since 1970, as the block's leader claims: a lower bound. */
  readonly blockTimeMs: bigint;
  readonly seq: Seq;
  readonly generation: Generation;
  readonly index: Index;
  readonly offset: Offset;
  /** The record's own, in milliseconds since 1970; −1 where it has none. */
  readonly timestamp: bigint;
  readonly payloadDigest: Hash;
  /** Whether a payload, inside or given, was compared with the digest. */
  readonly hasPayload: boolean;
}

interface Evidence extends ReceiptOptions {
  readonly receipt: Receipt;
}

/** Each gives what it found to hold, or throws `invalid`; each may rely on those before it. */
const CHECKS: readonly (readonly [ReceiptStepName, (evidence: Evidence) => string])[] = [
  ['checkpoint-signature', checkSignature],
  ['header-proof', checkHeaderProof],
  ['header', checkHeader],
  ['line-proof', checkLineProof],
  ['line', checkLine],
  ['leaf-proof', checkLeafProof],
  ['leaf', checkLeaf],
  ['payload', checkPayload],
];

/** The names of all steps, in their order; the last one is run only with a payload. */
export const RECEIPT_STEPS: readonly ReceiptStepName[] = CHECKS.map(([step]) => step);

/**
 * The steps of checking `receipt`, in order, up to the first that fails: the receipt holds iff the last one is ok. Without
 * a payload, inside or given, there is no step `payload`. Throws nothing for a receipt of `parseReceipt`.
 */
export function checkReceipt(receipt: Receipt, options: ReceiptOptions): readonly ReceiptStep[] {
  const evidence = { ...options, receipt };
  const steps: ReceiptStep[] = [];
  for (const [step, check] of CHECKS) {
    if (step === 'payload' && payloadsOf(evidence).length === 0) break;
    try {
      steps.push({ step, ok: true, says: check(evidence) });
    } catch (error) {
      if (!isPlaitError(error, 'invalid')) throw error;
      return [...steps, { step, ok: false, says: error.message, ...detailsOf(error) }];
    }
  }
  return steps;
}

function detailsOf({ details: { expected, found } }: PlaitError): Pick<ReceiptStep, 'expected' | 'found'> {
  return { ...(expected === undefined ? {} : { expected: `${expected}` }), ...(found === undefined ? {} : { found: `${found}` }) };
}

/**
 * What `receipt` proves. Throws `invalid` if a step fails: `details.step` names it, and `expected` and `found` where there
 * are such values. Does not ask a ledger: what Kafka holds now may be something else.
 */
export function verifyReceipt(receipt: Receipt, options: ReceiptOptions): VerifiedReceipt {
  const failed = checkReceipt(receipt, options).find(({ ok }) => !ok);
  if (failed !== undefined) {
    const { step, says, expected, found } = failed;
    throw invalid(`receipt: ${step}: ${says}`, { step, expected, found });
  }
  const checkpoint = checkpointOf(receipt);
  const header = headerOf(receipt);
  const leaf = decodeLeaf(receipt.leaf);
  const { firstSeq, segment } = receipt.line;
  return {
    origin: checkpoint.origin, ledgerId: header.ledgerId, checkpointSize: checkpoint.size,
    height: header.height, blockTimeMs: header.timeMs,
    seq: types.seq(firstSeq + receipt.leafIndex),
    topic: segment.topic, partition: segment.partition, generation: segment.generation,
    index: types.index(segment.firstIndex + receipt.leafIndex),
    offset: types.offset(leaf.offset), timestamp: leaf.timestamp, payloadDigest: hashToText(leaf.digest),
    hasPayload: payloadsOf({ ...options, receipt }).length > 0,
  };
}

function checkpointOf({ checkpoint }: Receipt): Checkpoint {
  return parseCheckpoint(parseNote(checkpoint).text);
}

function headerOf({ header }: Receipt): BlockHeader {
  return parseBlock(header);
}

function checkSignature({ receipt, key }: Evidence): string {
  const { origin, size } = checkpointOf(receipt);
  if (origin !== key.name) throw invalid('the checkpoint is of another origin than the key', { expected: key.name, found: origin });
  if (!verifyNoteSignature(parseNote(receipt.checkpoint), key)) throw invalid('the checkpoint has no valid signature by the key', { expected: key.vkey });
  return `the checkpoint of ${size} blocks of ${origin} is signed by the key`;
}

function checkHeaderProof({ receipt }: Evidence): string {
  const { size, root } = checkpointOf(receipt);
  const { index, proof, header } = receipt;
  verifyInclusion({ index, size, proof, leafHash: headerLeafHash(header), root: hashFromText(root) });
  return `the header is number ${index} of the ${size} under the checkpoint's root`;
}

function checkHeader({ receipt }: Evidence): string {
  const { origin, height } = headerOf(receipt);
  const expected = checkpointOf(receipt).origin;
  if (origin !== expected) throw invalid('the header is of another origin than the checkpoint', { expected, found: origin });
  if (height !== receipt.index) throw invalid("the header's height is not its number", { expected: `${receipt.index}`, found: `${height}` });
  return `it is the header of block ${height} of ${origin}`;
}

function checkLineProof({ receipt }: Evidence): string {
  const { segments, root } = headerOf(receipt);
  const { line, lineIndex, lineProof } = receipt;
  verifyInclusion({ index: lineIndex, size: BigInt(segments), proof: lineProof, leafHash: leafHash(encodeLine(line)), root: hashFromText(root) });
  return `the line is number ${lineIndex} of the ${segments} under the header's root`;
}

function checkLine({ receipt }: Evidence): string {
  const { firstSeq, records } = headerOf(receipt);
  const { firstSeq: first, segment } = receipt.line;
  if (segment.kind === 'loss') throw invalid('the line is a loss, which proves no record', { expected: 'segment', found: 'loss' });
  const count = segmentCount(segment);
  if (count < 0n || first < firstSeq || first + count > firstSeq + records) {
    throw invalid("the line's seqs are not among the block's", {
      expected: `within ${firstSeq} to ${firstSeq + records}`, found: `${first} to ${first + count}`,
    });
  }
  return `the line numbers ${count} records of ${types.partitionName(segment)} from seq ${first} on`;
}

function checkLeafProof({ receipt }: Evidence): string {
  const { leaf, leafIndex, leafProof, line: { segment } } = receipt;
  if (segment.kind === 'loss') throw invalid('a loss has no leaves');
  const size = segmentCount(segment);
  verifyInclusion({ index: leafIndex, size, proof: leafProof, leafHash: leafHash(leaf), root: hashFromText(segment.root) });
  return `the leaf is number ${leafIndex} of the ${size} under the segment's root`;
}

function checkLeaf({ receipt }: Evidence): string {
  const { offset } = decodeLeaf(receipt.leaf);
  const { segment } = receipt.line;
  if (offset < segment.firstOffset || offset >= segment.nextOffset) {
    throw invalid("the leaf's offset is not among the segment's", {
      expected: `within ${segment.firstOffset} to ${segment.nextOffset}`, found: `${offset}`,
    });
  }
  return `the leaf is that of the record at offset ${offset}`;
}

function checkPayload(evidence: Evidence): string {
  const { digest } = decodeLeaf(evidence.receipt.leaf);
  for (const { what, payload } of payloadsOf(evidence)) {
    const found = payloadDigest(payload());
    if (!equalBytes(found, digest)) throw invalid(`the payload ${what} has another digest than the leaf`, { expected: base64Encode(digest), found: base64Encode(found) });
  }
  return `the payload has the leaf's digest ${base64Encode(digest)}`;
}

/** The payloads to compare: the one inside has one spelling, the one given may have longer varints. */
function payloadsOf({ receipt, payload: given }: Evidence): readonly { readonly what: string; readonly payload: () => Uint8Array }[] {
  const { payload: inside } = receipt;
  return [
    ...(inside === undefined ? [] : [{ what: 'inside', payload: () => requireMinimal(inside) }]),
    ...(given === undefined ? [] : [{ what: 'given', payload: () => minimalPayload(given) }]),
  ];
}

function requireMinimal(payload: Uint8Array): Uint8Array {
  if (minimalPayload(payload) !== payload) throw invalid('the payload inside has longer varints than it needs');
  return payload;
}
