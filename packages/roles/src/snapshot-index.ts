/**
 * What a stretch of the log offers to those who start cold: headers with a state, where the chunks of states lie, and
 * checkpoints. It is parsed and nothing of it believed: {@link SnapshotSearch} confirms what it uses.
 */
import {
  isPlaitError, MESSAGE_BYTES_MAX, messageHash, parseMessage, rootOfChunk, utf8Encode,
  type BlockHeader, type Hash, type Height, type LogPosition, type Message, type Note, type Snapshot, type StateCommitment,
} from '@plait/core';
import type { LogMessage } from './ports.ts';

/** A header with a state, as somebody wrote it into the log. */
export interface StateHeader {
  readonly header: BlockHeader & Required<Pick<BlockHeader, 'state'>>;
  readonly text: string;
  readonly hash: Hash;
}

/** A checkpoint as somebody wrote it, its signatures not checked. */
export interface FoundCheckpoint {
  readonly root: Hash;
  readonly note: Note;
}

const BLOCK = utf8Encode('plait.block/v1\n');
const SNAPSHOT = utf8Encode('plait.snapshot/v1\n');

/** Collects what it is shown of a log, in any order. Grows with the headers, chunks and checkpoints in it; keeps no chunk. */
export class SnapshotIndex {
  /** A checkpoint begins with its origin. */
  readonly #checkpoint: Uint8Array;
  readonly #headers = new Map<Hash, StateHeader>();
  readonly #checkpoints = new Map<bigint, FoundCheckpoint[]>();
  readonly #chunks = new Map<string, Map<number, LogPosition>>();

  constructor(origin: string) {
    this.#checkpoint = utf8Encode(`${origin}\n`);
  }

  /** Takes a message in. Never throws for what stands in it. */
  take({ position, value }: LogMessage): void {
    const wanted = [BLOCK, SNAPSHOT, this.#checkpoint].some((prefix) => startsWith(value, prefix));
    const message = wanted ? parseAny(value) : undefined;
    if (message === undefined) return;
    if (!message.signed) {
      this.#takeChunk(position, message.body);
    } else if (message.body.kind === 'checkpoint') {
      const { size, root } = message.body;
      entry(this.#checkpoints, size, () => []).push({ root, note: message.note });
    } else if (message.body.kind === 'block' && message.body.state !== undefined) {
      const { text } = message.note;
      const hash = messageHash(text);
      if (!this.#headers.has(hash)) this.#headers.set(hash, { header: { ...message.body, state: message.body.state }, text, hash });
    }
  }

  /** Under the root that it proves: so nobody's chunk is looked up for another state, and one place of each is enough. */
  #takeChunk(position: LogPosition, snapshot: Snapshot): void {
    const root = rootOf(snapshot);
    if (root === undefined) return;
    const chunks = entry(this.#chunks, keyOf(snapshot.height, { bytes: snapshot.stateBytes, root }), () => new Map<number, LogPosition>());
    if (!chunks.has(snapshot.chunk)) chunks.set(snapshot.chunk, position);
  }

  /** The headers with a state, the one of the largest height first. Several of one height may be there. */
  headers(): readonly StateHeader[] {
    return [...this.#headers.values()].toSorted((a, b) => Number(b.header.height - a.header.height));
  }

  /** The checkpoints of one size. */
  checkpoints(size: bigint): readonly FoundCheckpoint[] {
    return this.#checkpoints.get(size) ?? [];
  }

  /** Where the chunks of this header's state lie, by their numbers: one place of each. */
  chunks({ height, state }: StateHeader['header']): ReadonlyMap<number, LogPosition> {
    return this.#chunks.get(keyOf(height, state)) ?? new Map();
  }
}

function keyOf(height: Height, { bytes, root }: StateCommitment): string {
  return `${height} ${bytes} ${root}`;
}

function rootOf(snapshot: Snapshot): Hash | undefined {
  try {
    return rootOfChunk(snapshot);
  } catch (error) {
    if (!isPlaitError(error, 'invalid')) throw error;
    return undefined;
  }
}

/** The value under `key`, made if it is not there yet. */
function entry<K, V>(map: Map<K, V>, key: K, make: () => V): V {
  const known = map.get(key);
  if (known !== undefined) return known;
  const made = make();
  map.set(key, made);
  return made;
}

/** The message of these bytes; undefined if they are none. */
export function parseAny(value: Uint8Array): Message | undefined {
  if (value.length > MESSAGE_BYTES_MAX) return undefined;
  try {
    return parseMessage(value);
  } catch (error) {
    if (!isPlaitError(error, 'invalid')) throw error;
    return undefined;
  }
}

function startsWith(bytes: Uint8Array, prefix: Uint8Array): boolean {
  return bytes.length >= prefix.length && prefix.every((byte, i) => bytes[i] === byte);
}
