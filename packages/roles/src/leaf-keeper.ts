/**
 * The keeper of leaves: reads the ledger verified, as any reader does, and keeps of each line where it stands, and the leaves
 * of its records. So a record that was changed can be named later, and its place proved when it is gone.
 *
 * It goes on where its store ends. A crash at any point leaves a store that ends earlier.
 */
import { formatBlock, invariant, isPlaitError, messageHash, PlaitError, type BlockHeader, type Hash, type LogPosition } from '@plait/core';
import type { KeptBlock, LeafStore, LineToKeep } from './leaf-ports.ts';
import { LEAVES_EXPIRE_MS, LEAVES_WAIT_MS, LEAVES_WAITING_BYTES_MAX, TAMPERED_REST_MS } from './limits.ts';
import { Reader, type NumberedLine, type ReaderOptions, type VerifiedSegment } from './reader.ts';

/** What a keeper of leaves needs: what a reader does, with a fold that comes by the store's newest block. */
export interface LeafKeeperOptions extends Omit<ReaderOptions, 'wants' | 'onMissing' | 'withLeaves'> {
  /** The keeper is the only one that appends to it. */
  readonly store: LeafStore;
}

/** What a line counts beside its leaves while it waits to be kept, in bytes. */
const LINE_BYTES = 512;

/** A keeper of the leaves of one ledger; run its steps in a loop. */
export class LeafKeeper {
  readonly #options: LeafKeeperOptions;
  readonly #reader: Reader;
  /** What the log must be found to hold before anything is kept. */
  #wanted: KeptBlock | undefined;
  #rolledBack: PlaitError | undefined;
  /** Up to where the log had been read when nothing came last. */
  #position: LogPosition | undefined;
  /** The block of the line that was read last, and that line's place in it. */
  #block: { readonly header: BlockHeader; readonly hash: Hash; number: number } | undefined;
  #waiting: LineToKeep[] = [];
  #waitingBytes = 0;
  #waitingSinceMs = 0;
  #expiredMs = Number.NEGATIVE_INFINITY;
  /** What was said last of records that differ. */
  #said: string | undefined;

  /** The store is asked here where to go on; `options.start` must not lie behind its newest block (`invariant`). */
  constructor(options: LeafKeeperOptions) {
    const newest = options.store.newestBlock();
    invariant(newest === undefined || (options.start?.height ?? 0n) <= newest.height, 'the fold comes by the newest block that is kept');
    this.#options = options;
    this.#wanted = newest;
    // That block is read again from its first line on: what is kept of it the store passes over.
    const wants = ({ block }: NumberedLine): boolean => this.#find(block) && block.height >= (newest?.height ?? 0n);
    this.#reader = new Reader({ ...options, onMissing: 'report', withLeaves: true, wants });
  }

  /**
   * Reads at most one segment, and keeps what waits once it is much or has waited for a while. Records that differ from what
   * was hashed raise the alarm `tampered` and are asked for again: nothing behind them is kept before a configuration
   * declares them void or begins their partition anew.
   *
   * Throws `rolled-back` when the log does not hold the block at which the store ends, what the reader throws apart from
   * `invalid` and `missing`, and what the store throws: then what waits still does.
   */
  async step(signal?: AbortSignal): Promise<void> {
    const nowMs = this.#options.clock.nowMs();
    const isDue = this.#waitingBytes >= LEAVES_WAITING_BYTES_MAX || nowMs - this.#waitingSinceMs >= LEAVES_WAIT_MS;
    if (isDue) this.#keep();
    if (nowMs - this.#expiredMs >= LEAVES_EXPIRE_MS) this.#expire(nowMs);
    const verified = await this.#read(signal);
    if (this.#rolledBack !== undefined) throw this.#rolledBack;
    if (verified !== undefined) this.#take(verified);
    else await this.#missNewest();
  }

  /** For a stop in good order, after the last step: what was read is kept. Throws as the store and the reader. */
  async drain(): Promise<void> {
    this.#keep();
    await this.#reader.drain();
  }

  async #read(signal: AbortSignal | undefined): Promise<VerifiedSegment | undefined> {
    try {
      return await this.#reader.step();
    } catch (error) {
      if (!isPlaitError(error, 'invalid')) throw error;
      this.#alarm(error);
      // The reader keeps its finding, and asks the newest configuration at each step.
      await this.#options.clock.sleep(TAMPERED_REST_MS, signal);
      return undefined;
    }
  }

  #alarm({ message }: PlaitError): void {
    if (this.#said === message) return;
    this.#said = message;
    this.#options.observe?.({ event: 'alarm', alarm: 'tampered', message: `${message}. No leaves are kept from there on` });
  }

  #take(verified: VerifiedSegment): void {
    const { line, block: header, position, kind } = verified;
    if (this.#block?.header === header) this.#block.number += 1;
    else this.#block = { header, hash: messageHash(formatBlock(header)), number: 0 };
    const { hash, number } = this.#block;
    const leaves = kind === 'records' && verified.records.length > 0 ? verified.leaves : undefined;
    if (this.#waiting.length === 0) this.#waitingSinceMs = this.#options.clock.nowMs();
    this.#waiting.push({
      line, kind, number, block: { height: header.height, header: hash, position, timeMs: header.timeMs }, ...(leaves === undefined ? {} : { leaves }),
    });
    this.#waitingBytes += LINE_BYTES + (leaves?.length ?? 0);
  }

  #keep(): void {
    if (this.#waiting.length === 0) return;
    // A crash before it is through leaves the store as it was: these lines are read again.
    this.#options.store.append(this.#waiting);
    this.#waiting = [];
    this.#waitingBytes = 0;
  }

  #expire(nowMs: number): void {
    this.#options.store.expire(this.#options.clock.wallMs());
    this.#expiredMs = nowMs;
  }

  /** Whether the log is known to hold the block at which the store ends; asked for the block of each line, in order. */
  #find(header: BlockHeader): boolean {
    const wanted = this.#wanted;
    if (wanted === undefined || header.height < wanted.height) return true;
    if (header.height > wanted.height || messageHash(formatBlock(header)) !== wanted.header) this.#rollBack(wanted);
    else this.#wanted = undefined;
    return this.#wanted === undefined;
  }

  /** Nothing more came, and the block has not come by: then the log must not be at its end. */
  async #missNewest(): Promise<void> {
    const wanted = this.#wanted;
    const { position } = this.#reader;
    const hasMoved = position !== this.#position;
    this.#position = position;
    if (wanted === undefined || hasMoved) return;
    const newest = await this.#options.newest();
    if (newest === undefined || newest.height > wanted.height) return;
    throw this.#rollBack(wanted);
  }

  #rollBack({ height, header }: KeptBlock): PlaitError {
    if (this.#rolledBack !== undefined) return this.#rolledBack;
    const message = `the leaves that are kept end with block ${height}, ${header}, and the log holds no such block: it was rolled back ` +
      'since, or is of another ledger. If it was recovered on purpose, delete the leaves: they are kept anew';
    this.#options.observe?.({ event: 'alarm', alarm: 'rolled-back', message });
    this.#rolledBack = new PlaitError('rolled-back', message, { details: { height: String(height), expected: header } });
    return this.#rolledBack;
  }
}
