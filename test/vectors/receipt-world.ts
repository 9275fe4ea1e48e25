/** A small ledger to prove records of: 11 records in a segment, 9 lines in its block, 13 headers under the checkpoint. */
import {
  encodeLeaf, encodeLine, encodePayload, formatBlock, formatCheckpoint, generation, hashToText, headerLeafHash, height, index, leafHash, linesRoot,
  logPosition, makeSignerKey, offset, payloadDigest, proveInclusion, seq, sha256, signNote, treeRoot, utf8Encode,
  type BlockHeader, type Line, type Receipt, type RecordSegment, type Segment, type SignerKey,
} from '@plait/core';

export const ORIGIN = 'ledger.example/orders';
export const keyOf = (name: string): SignerKey => makeSignerKey(name, sha256(utf8Encode(`the receipts' key ${name}`)));
export const checkpointKey = keyOf(ORIGIN);

const someHash = (name: string) => hashToText(sha256(utf8Encode(name)));

/** What a test asks to be otherwise, where the rest is made to fit it: everything else stays well-formed and proved. */
export interface Wish {
  readonly origin?: string;
  readonly signer?: SignerKey;
  readonly header?: Partial<BlockHeader>;
  readonly firstSeq?: bigint;
  /** Of the record's segment. */
  readonly segment?: Partial<Omit<RecordSegment, 'kind'>>;
  readonly loss?: boolean;
  /** Offset that the record's leaf says. */
  readonly offset?: bigint;
  readonly withPayload?: boolean;
}

export const RECORDS = 11;
export const LINES = 9;
export const HEADERS = 13;
/** Where the record is: record 4 of line 5 of block 7. */
export const PLACE = { leafIndex: 4n, lineIndex: 5n, index: 7n, offset: 104n, seq: 1_054n } as const;

export const payloadOf = (at: number): Uint8Array =>
  encodePayload({ key: utf8Encode(`key ${at}`), value: utf8Encode(`record ${at}`), headers: [{ key: utf8Encode('h'), value: null }] });

function leaves(wish: Wish): Uint8Array[] {
  return Array.from({ length: RECORDS }, (_, at) => {
    const own = BigInt(at) === PLACE.leafIndex ? wish.offset : undefined;
    return encodeLeaf({ offset: own ?? 100n + BigInt(at), timestamp: 1_700_000_000_000n + BigInt(at), digest: payloadDigest(payloadOf(at)) });
  });
}

function lines(wish: Wish, root: Uint8Array): readonly Line[] {
  return Array.from({ length: LINES }, (_, at): Line => {
    const range = {
      topic: 'orders', partition: at, generation: generation(2n), firstIndex: index(50n), nextIndex: index(50n + BigInt(RECORDS)),
      firstOffset: offset(100n), nextOffset: offset(100n + BigInt(RECORDS)), previous: someHash(`end of ${at}`),
    };
    if (BigInt(at) !== PLACE.lineIndex) return { firstSeq: seq(1_000n + BigInt(at) * 10n), segment: { kind: 'segment', ...range, root: someHash(`root ${at}`) } };
    const segment: Segment = wish.loss === true ? { kind: 'loss', ...range } : { kind: 'segment', ...range, root: hashToText(root), ...wish.segment };
    return { firstSeq: seq(wish.firstSeq ?? PLACE.seq - PLACE.leafIndex), segment };
  });
}

/** A receipt that holds but for what was wished. */
export function receiptOf(wish: Wish = {}): Receipt {
  const { signer = checkpointKey, origin = ORIGIN } = wish;
  const leafList = leaves(wish);
  const leafHashes = leafList.map((leaf) => leafHash(leaf));
  const lineList = lines(wish, treeRoot(leafHashes));
  const header = (at: number): string => formatBlock({
    kind: 'block', origin, ledgerId: someHash('ledger'), configuration: someHash('configuration'), claim: someHash('claim'),
    height: height(BigInt(at)), timeMs: 1_700_000_100_000n, firstSeq: seq(1_000n), records: 200n, segments: LINES, cut: logPosition(40n),
    root: linesRoot(lineList), history: someHash('history'), ...(BigInt(at) === PLACE.index ? wish.header : {}),
  });
  const headers = Array.from({ length: HEADERS }, (_, at) => header(at));
  const headerHashes = headers.map(headerLeafHash);
  const checkpoint = formatCheckpoint({ kind: 'checkpoint', origin, size: BigInt(HEADERS), root: hashToText(treeRoot(headerHashes)) });
  const at = { leaf: Number(PLACE.leafIndex), line: Number(PLACE.lineIndex), header: Number(PLACE.index) };
  return {
    leaf: leafList[at.leaf] as Uint8Array, leafIndex: PLACE.leafIndex, leafProof: proveInclusion({ index: at.leaf, leafHashes }),
    line: lineList[at.line] as Line, lineIndex: PLACE.lineIndex,
    lineProof: proveInclusion({ index: at.line, leafHashes: lineList.map((line) => leafHash(encodeLine(line))) }),
    header: headers[at.header] as string,
    ...(wish.withPayload === false ? {} : { payload: payloadOf(at.leaf) }),
    index: PLACE.index, proof: proveInclusion({ index: at.header, leafHashes: headerHashes }),
    checkpoint: signNote(checkpoint, signer),
  };
}
