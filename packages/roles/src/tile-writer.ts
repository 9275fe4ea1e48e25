/**
 * The tile writer: keeps the tree of block headers where others read it (c2sp.org/tlog-tiles), and publishes the newest
 * checkpoint of the log there once all tiles of its size are durable.
 *
 * What it writes is a function of the log, so it may be lost: whatever is not there at a start is written anew, with the
 * same bytes, and until then nothing is published.
 */
import {
  hashToText, invariant, isPlaitError, parseCheckpoint, parseNote, PlaitError, rangeRoot, utf8Encode,
  type Checkpoint, type Hash, type LedgerState,
} from '@plait/core';
import { coldStart, type ColdStart, type ColdStartOptions } from './cold-start.ts';
import { Follower, type Folded, type FollowerOptions } from './follower.ts';
import { IDLE_WAIT_MS, TREE_ROOTS_MAX } from './limits.ts';
import { TileEdge } from './tile-edge.ts';
import type { Published, TileBytes, TileStore } from './tile-ports.ts';

/** Where a tile writer goes on. */
export interface TileStart extends ColdStart {
  /** The tree at `start`; the empty one if everything is folded. */
  readonly edge: TileEdge;
  /** What is published, and of which the store holds all tiles. */
  readonly published: Checkpoint | undefined;
}

/**
 * Finds the newest confirmed state that the tiles of `store` can go on from: its tree is in them, as their edge shows. If
 * anything is not there that the published checkpoint needs, that is withdrawn. Throws `config` if the store is of another
 * ledger; as the store and {@link coldStart}. Of tiles away from the edge only their length is looked at.
 */
export async function startTiles(options: ColdStartOptions & { readonly store: TileStore }): Promise<TileStart> {
  const { store, origin } = options;
  const published = await publishedIn(store, origin);
  const size = published?.size ?? 0n;
  const whole = await store.wholeUpTo(size);
  const found = await coldStart({ ...options, heightMax: whole });
  const edge = await edgeAt(store, found.start);
  const isWhole = whole === size && edge !== undefined;
  // A crash here leaves tiles without a checkpoint: the next start writes all of them anew.
  if (!isWhole) await store.withdraw();
  const start = edge === undefined ? undefined : found.start;
  return { ...found, start, edge: edge ?? new TileEdge(), published: isWhole ? published : undefined };
}

async function publishedIn(store: TileStore, origin: string): Promise<Checkpoint | undefined> {
  const published = await store.published();
  if (published === undefined) return undefined;
  let checkpoint: Checkpoint;
  try {
    checkpoint = parseCheckpoint(parseNote(published.note).text);
  } catch (error) {
    if (!isPlaitError(error, 'invalid')) throw error;
    return undefined;
  }
  if (checkpoint.origin === origin) return checkpoint;
  throw new PlaitError('config', `the tiles are of the ledger ${checkpoint.origin}, not of ${origin}: give each ledger a folder of its own`);
}

async function edgeAt(store: TileStore, start: LedgerState | undefined): Promise<TileEdge | undefined> {
  const edge = await TileEdge.load(store, start?.height ?? 0n);
  return edge !== undefined && (start === undefined || hashToText(edge.root) === rootOf(start)) ? edge : undefined;
}

/** What a tile writer needs; `start` is that of its {@link TileStart}. */
export interface TileWriterOptions extends FollowerOptions, Pick<TileStart, 'edge' | 'published'> {
  readonly store: TileStore;
}

/** A checkpoint of the log that fits the blocks. */
interface Candidate extends Published {
  readonly size: bigint;
  readonly root: Hash;
}

/** A tile writer of one ledger; run its steps in a loop. */
export class TileWriter {
  readonly #options: TileWriterOptions;
  readonly #follower: Follower;
  readonly #edge: TileEdge;
  /** Full tiles that are not durable yet. */
  #unwritten: TileBytes[] = [];
  /** Roots of the sizes above the newest candidate: the fold itself compares no checkpoint that came behind a newer block. */
  readonly #roots = new Map<bigint, Hash>();
  #candidate: Candidate | undefined;
  #publishedSize = -1n;

  constructor(options: TileWriterOptions) {
    this.#options = options;
    this.#edge = options.edge;
    this.#follower = new Follower(options, (folded) => this.#absorb(folded));
    invariant(this.#edge.size === (options.start?.height ?? 0n), 'the tiles go on where the fold does');
  }

  /** The fold of what this writer has read; undefined before genesis. */
  get state(): LedgerState | undefined {
    return this.#follower.state;
  }

  /** Whether the log was read to its end once. */
  get caughtUp(): boolean {
    return this.#follower.caughtUp;
  }

  /**
   * Reads what has arrived and makes its full tiles durable; once the log was read to its end, publishes the newest
   * checkpoint if there is a newer one. Throws `rolled-back` when the log does not extend what is remembered or published,
   * `split-view` while a checkpoint in the log contradicts the blocks, and as the store.
   */
  async step(): Promise<void> {
    // Tiles that could not be written before: nothing more is read until they are.
    await this.#writeFull();
    await this.#follower.poll(IDLE_WAIT_MS);
    const isCaughtUp = await this.#follower.catchUp();
    await this.#writeFull();
    if (!isCaughtUp) return;
    this.#follower.refuseConflict();
    this.#refuseShorter();
    if (this.#candidate !== undefined && this.#candidate.size > this.#publishedSize && this.#follower.confirmed) await this.#publish(this.#candidate);
  }

  /** For a stop in good order, after the last step: what was folded is remembered. Throws as the memory. */
  async drain(): Promise<void> {
    await this.#follower.remember();
  }

  async #writeFull(): Promise<void> {
    if (this.#unwritten.length === 0) return;
    // A crash here leaves full tiles beyond the checkpoint: the next process writes the same bytes.
    await this.#options.store.write(this.#unwritten);
    this.#unwritten = [];
  }

  async #publish(candidate: Candidate): Promise<void> {
    const { store, observe } = this.#options;
    const { size, root } = candidate;
    // A crash here leaves partial tiles that nobody is told of.
    await store.write(this.#edge.partials(size));
    // A crash here leaves a memory of more than is published, which is as true.
    await this.#follower.vouch({ size, root });
    // A crash here leaves the checkpoint before, whose tiles are all there: the next process finds this one in the log.
    await store.publish(candidate);
    this.#publishedSize = size;
    observe?.({ event: 'tiles', size });
  }

  #absorb({ value, outcome, state }: Folded): void {
    if (state === undefined) return;
    if (outcome.kind === 'block') this.#append(value, state);
    if (outcome.kind !== 'checkpoint') return;
    const { checkpoint: { size, root }, verdict, key } = outcome;
    const isOfTree = verdict === 'consistent' || (verdict === 'older' && this.#roots.get(size) === root);
    if (!isOfTree || size <= (this.#candidate?.size ?? 0n)) return;
    this.#candidate = { size, root, note: value, vkey: key.vkey };
    for (const each of this.#roots.keys()) {
      if (each > size) return;
      this.#roots.delete(each);
    }
  }

  #append(value: Uint8Array, state: LedgerState): void {
    this.#unwritten.push(...this.#edge.append(utf8Encode(parseNote(value).text)));
    const { height: size } = state;
    const root = rootOf(state);
    const { published } = this.#options;
    // The follower says what is known of the log, and remembers that it is lost.
    if (published?.size === size && published.root !== root) throw new PlaitError('rolled-back', 'the log has another tree than what is published');
    this.#roots.set(size, root);
    if (this.#roots.size > TREE_ROOTS_MAX) this.#roots.delete(size - BigInt(TREE_ROOTS_MAX));
  }

  #refuseShorter(): void {
    const { published, observe } = this.#options;
    const { state } = this;
    if (published === undefined || state === undefined || published.size <= state.height) return;
    const message = `the log has ${state.height} blocks, and a checkpoint of ${published.size} is published: the log is older than that. If it is ` +
      'another log on purpose, remove the folder of the tiles; else see "plait recover --help"';
    observe?.({ event: 'alarm', alarm: 'rolled-back', message });
    throw new PlaitError('rolled-back', message, { details: { size: String(published.size), height: String(state.height) } });
  }
}

function rootOf({ history }: LedgerState): Hash {
  return hashToText(rangeRoot(history));
}
