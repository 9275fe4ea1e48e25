/**
 * When a leader writes a snapshot, and how its chunks come into the log (DESIGN, section 5). A snapshot is complete when
 * every chunk of an accepted header's state was read behind it, whoever appended them.
 */
import {
  chunkCount, encodeState, formatSnapshot, isChunkOf, makeSnapshots, stateAt, utf8Encode,
  type BlockHeader, type LedgerState, type Snapshot,
} from '@plait/core';
import type { Folded } from './follower.ts';

/** At least so much of the log lies between two snapshots, for each byte of state: they stay a small part of it. */
const LOG_BYTES_PER_STATE_BYTE = 10;

/** A header's state, and which chunks of it were not read yet. */
interface Attempt {
  readonly header: BlockHeader;
  readonly missing: Set<number>;
  /** Read behind the header. */
  messages: number;
  logBytes: number;
}

/** A chunk of a block of our own. */
interface Chunk {
  readonly snapshot: Snapshot;
  sentMs: number;
}

/** Follows the snapshots in the log, and holds the chunks of the one that this process writes. */
export class SnapshotWriter {
  readonly #messagesMin: number;
  readonly #resendMs: number;
  /** Since the newest complete snapshot, or since the start. */
  #since = { stateBytes: 0, messages: 0, logBytes: 0 };
  #attempt: Attempt | undefined;
  #chunks: readonly Chunk[] = [];

  /** A snapshot is due after `messagesMin` messages of any kind; a chunk not read back for `resendMs` is sent again. */
  constructor(options: { readonly messagesMin: number; readonly resendMs: number }) {
    this.#messagesMin = options.messagesMin;
    this.#resendMs = options.resendMs;
  }

  /** Whether the next block should carry the state. Not while one of our own is on its way. */
  get due(): boolean {
    const { stateBytes, messages, logBytes } = this.#since;
    return this.#chunks.length === 0 && messages >= this.#messagesMin && logBytes >= LOG_BYTES_PER_STATE_BYTE * stateBytes;
  }

  /** Takes in a message. */
  absorb({ outcome, value }: Folded): void {
    for (const count of [this.#since, this.#attempt]) {
      if (count === undefined) continue;
      count.messages += 1;
      count.logBytes += value.length;
    }
    if (outcome.kind === 'block' && outcome.header.state !== undefined) {
      const missing = new Set(Array.from({ length: chunkCount(outcome.header.state.bytes) }, (_, chunk) => chunk));
      this.#attempt = { header: outcome.header, missing, messages: 0, logBytes: 0 };
    } else if (outcome.kind === 'snapshot' && this.#attempt !== undefined) {
      this.#take(this.#attempt, outcome.snapshot);
    }
  }

  #take({ header, missing, messages, logBytes }: Attempt, snapshot: Snapshot): void {
    if (!missing.has(snapshot.chunk) || !isChunkOf(header, snapshot)) return;
    missing.delete(snapshot.chunk);
    if (missing.size > 0) return;
    this.#since = { stateBytes: snapshot.stateBytes, messages, logBytes };
    this.#attempt = undefined;
    this.#chunks = [];
  }

  /** Holds the chunks of the state that `header`, a block of our own over `state`, commits to. */
  hold(header: BlockHeader, state: LedgerState): void {
    const snapshots = makeSnapshots(header, encodeState(stateAt(state, header.cut)));
    this.#chunks = snapshots.map((snapshot) => ({ snapshot, sentMs: Number.NEGATIVE_INFINITY }));
  }

  /** Whoever leads no more leaves it to the next leader to write one of its own. */
  forget(): void {
    this.#chunks = [];
  }

  /** A chunk that is to be sent now, first or again; none before its header was read back. */
  next(nowMs: number): Uint8Array | undefined {
    const { height } = this.#attempt?.header ?? {};
    const chunk = this.#chunks.find(({ snapshot, sentMs }) =>
      snapshot.height === height && this.#attempt?.missing.has(snapshot.chunk) === true && nowMs - sentMs >= this.#resendMs);
    if (chunk === undefined) return undefined;
    chunk.sentMs = nowMs;
    return utf8Encode(formatSnapshot(chunk.snapshot));
  }
}
