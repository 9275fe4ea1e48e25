/**
 * Snapshots: the state a header commits to, in chunks, each checked alone against that header. Nobody signs them.
 *
 *     plait.snapshot/v1
 *     <origin>
 *     <ledger id>
 *     height <of the header that carries the state>
 *     chunk <index> <bytes of the whole state>
 *     path <hash> …          (inclusion proof of the chunk; the line is just `path` where it is empty)
 *     data <base64>
 */
import { base64Decode, base64Encode, hashFromText, hashToText, parseHash } from './bytes.ts';
import { parseHead } from './configuration.ts';
import type { BlockHeader, StateCommitment } from './block.ts';
import { invalid, isPlaitError } from './errors.ts';
import { CHUNK_BYTES_MAX } from './limits.ts';
import { LineReader, parseCount } from './text.ts';
import { leafHash, proveInclusion, rootOfInclusion, treeRoot } from './tree.ts';
import { height } from './types.ts';
import type { Hash, Height } from './types.ts';

const PATH_HASHES_MAX = 64;

/** A part of the state that a header commits to; checked against that header, so it needs no signature. */
export interface Snapshot {
  readonly kind: 'snapshot';
  readonly origin: string;
  readonly ledgerId: Hash;
  /** Of the header whose `state` this is a part of. */
  readonly height: Height;
  /** 0-based number of this chunk. */
  readonly chunk: number;
  /** Bytes of the whole state. */
  readonly stateBytes: number;
  /** Inclusion proof of the chunk among the state's chunks. */
  readonly path: readonly Hash[];
  /** This chunk's bytes, at most 256 KiB. */
  readonly data: Uint8Array;
}

/** The snapshot's one spelling. */
export function formatSnapshot(s: Snapshot): string {
  return (
    `plait.snapshot/v1\n${s.origin}\n${s.ledgerId}\nheight ${s.height}\nchunk ${s.chunk} ${s.stateBytes}\n` +
    `${['path', ...s.path].join(' ')}\ndata ${base64Encode(s.data)}\n`
  );
}

/** Throws `invalid`. Does not check the chunk: {@link verifyChunk} does. */
export function parseSnapshot(text: string): Snapshot {
  const lines = new LineReader(text);
  const { origin, ledgerId } = parseHead(lines, 'snapshot');
  const number = height(lines.uint63('height'));
  const [chunk = '', bytes = ''] = lines.values('chunk', 2);
  const [keyword, ...path] = lines.line().split(' ');
  if (keyword !== 'path' || path.length > PATH_HASHES_MAX) throw invalid('snapshot: expected a path');
  const data = base64Decode(lines.value('data'));
  if (data.length > CHUNK_BYTES_MAX) throw invalid(`snapshot: chunk above ${CHUNK_BYTES_MAX} bytes`);
  lines.end();
  return {
    kind: 'snapshot', origin, ledgerId, height: number,
    chunk: parseCount(chunk, Number.MAX_SAFE_INTEGER),
    stateBytes: parseCount(bytes, Number.MAX_SAFE_INTEGER),
    path: path.map(parseHash), data,
  };
}

/** Size and root by which a header commits to a state's canonical bytes. */
export function commitState(state: Uint8Array): StateCommitment {
  return { bytes: state.length, root: hashToText(treeRoot(chunksOf(state).map(leafHash))) };
}

/** The snapshot messages of the state that `header` commits to, in order. Does not check that it commits to it. */
export function makeSnapshots(header: BlockHeader, state: Uint8Array): readonly Snapshot[] {
  const chunks = chunksOf(state);
  const leafHashes = chunks.map(leafHash);
  return chunks.map((data, chunk) => ({
    kind: 'snapshot', origin: header.origin, ledgerId: header.ledgerId, height: header.height, chunk,
    stateBytes: state.length, path: proveInclusion({ index: chunk, leafHashes }).map(hashToText), data,
  }));
}

/** Throws `invalid` unless the chunk is part of the state that the header commits to. */
export function verifyChunk(header: BlockHeader, snapshot: Snapshot): void {
  const { state } = header;
  if (state === undefined) throw invalid('header carries no state', { height: String(header.height) });
  if (snapshot.height !== header.height || snapshot.stateBytes !== state.bytes) {
    throw invalid('chunk is of another state', { height: String(header.height), chunk: snapshot.chunk });
  }
  if (rootOfChunk(snapshot) !== state.root) throw invalid('chunk is not under the root', { height: String(header.height), chunk: snapshot.chunk });
}

/** The root of the state whose chunk this is, by its own number, path and size. Throws `invalid` if it is a chunk of none. */
export function rootOfChunk({ chunk, stateBytes, path, data }: Snapshot): Hash {
  const size = BigInt(chunkCount(stateBytes));
  return hashToText(rootOfInclusion({ index: BigInt(chunk), size, leafHash: leafHash(data), proof: path.map(hashFromText) }));
}

/** Whether the chunk is part of the state that the header commits to. Anybody may append chunks, wrong ones too. */
export function isChunkOf(header: BlockHeader, snapshot: Snapshot): boolean {
  try {
    verifyChunk(header, snapshot);
    return true;
  } catch (error) {
    if (!isPlaitError(error, 'invalid')) throw error;
    return false;
  }
}

/** How many chunks a state of so many bytes has. */
export function chunkCount(bytes: number): number {
  return Math.ceil(bytes / CHUNK_BYTES_MAX);
}

function chunksOf(state: Uint8Array): Uint8Array[] {
  return Array.from({ length: chunkCount(state.length) }, (_, i) =>
    state.subarray(i * CHUNK_BYTES_MAX, (i + 1) * CHUNK_BYTES_MAX));
}
