/** Receipts for single records: one following of the log serves all that are asked of a ledger. */
import {
  chainOf, formatReceipt, offset as toOffset, partitionName, PlaitError, seq as toSeq, verifyReceipt,
  type LedgerState, type TopicPartition, type VerifiedReceipt,
} from '@plait/core';
import { isSequenced, type ProofQuestion, type Proved, type RecordPlace } from '@plait/roles';
import { Aborts } from './aborts.ts';
import { requireOrdered } from './ordered.ts';
import { Proving, type ProvingContext } from './proving.ts';
import { confirmedState } from './run.ts';

/** Which record: by its place in the order, or by where it stands in Kafka, in the partition's newest generation. */
export type ReceiptPlace = { readonly seq: bigint } | (TopicPartition & { readonly offset: bigint });

/** What a receipt shall hold, and how long it is waited for. */
export interface AwaitReceiptOptions {
  /** Whether the record's bytes stand in it, so that it shows the content by itself. Default true. */
  readonly payload?: boolean;
  /** Ends the waiting: the promise is rejected with the signal's reason at once. */
  readonly signal?: AbortSignal;
}

/** A receipt, and what it proves. */
export interface LedgerReceipt extends VerifiedReceipt {
  /** The file, c2sp.org/tlog-proof@v1 (docs/FORMAT.md, section 11), to be written in UTF-8. */
  readonly text: string;
  /** The checkpoint key under which it verifies, `<name>+<key id>+<base64>`: one in force where the checkpoint stands. */
  readonly key: string;
}

/** Old places that are asked for within so many ms are served by one fold. */
const BATCH_MS = 10;
/** By how many seqs a search for a state before a record goes back at first; then four times as many each time. */
const BACK_SEQS = 4_096n;

/** A receipt that somebody waits for. */
class Asked implements ProofQuestion {
  readonly payload: boolean;
  /** As the ledger's fold has it, once that is known. */
  place: RecordPlace = { seq: toSeq(0n) };
  /** Whether nothing more is to be done for it. */
  isOver = false;
  readonly #settle = Promise.withResolvers<LedgerReceipt>();

  constructor(payload: boolean) {
    this.payload = payload;
  }

  get promise(): Promise<LedgerReceipt> {
    return this.#settle.promise;
  }

  answer({ receipt, key }: Proved): void {
    this.isOver = true;
    try {
      // What is handed out is what a stranger would take.
      this.#settle.resolve({ ...verifyReceipt(receipt, { key }), text: formatReceipt(receipt), key: key.vkey });
    } catch (error) {
      this.refuse(error);
    }
  }

  refuse(error: unknown): void {
    this.isOver = true;
    this.#settle.reject(error);
  }
}

/** All receipts that are asked of one open ledger. */
export class Receipts {
  readonly #context: ProvingContext;
  /** Those that work now, and their ends. */
  readonly #provings = new Map<Proving, Promise<void>>();
  /** Partitions that are there, or are being looked for. */
  readonly #partitions = new Map<string, Promise<void>>();
  readonly #aborts = new Aborts<Asked>((asked, reason) => {
    for (const proving of this.#provings.keys()) proving.withdraw(asked);
    asked.refuse(reason);
  });
  #following: Promise<Proving> | undefined;
  #older: Asked[] | undefined;

  constructor(context: ProvingContext) {
    this.#context = context;
  }

  /** See `Ledger.receipt`. */
  async receipt(place: ReceiptPlace, { payload = true, signal }: AwaitReceiptOptions): Promise<LedgerReceipt> {
    requirePlace(place);
    const asked = new Asked(payload);
    const signals = [this.#context.signal, ...(signal === undefined ? [] : [signal])];
    for (const each of signals) this.#aborts.add(each, asked);
    try {
      this.#ask(asked, place).catch((error: unknown) => asked.refuse(error));
      return await asked.promise;
    } finally {
      for (const each of signals) this.#aborts.delete(each, asked);
    }
  }

  /** Resolves when nothing is at work any more; the context's signal has aborted. */
  async close(): Promise<void> {
    await this.#following?.catch(() => undefined);
    await Promise.all(this.#provings.values());
  }

  async #ask(asked: Asked, place: ReceiptPlace): Promise<void> {
    if (!('seq' in place)) await this.#requirePartition(place, stateOf(await this.#follow()));
    const following = await this.#follow();
    if (asked.isOver) return;
    asked.place = 'seq' in place ? { seq: toSeq(place.seq) } :
      { topic: place.topic, partition: place.partition, offset: toOffset(place.offset), generation: chainOf(stateOf(following), place).end.generation };
    if (!following.ask(asked)) this.#askOlder(asked);
  }

  /** The one that follows the log, which was read to its end; begun if it is not there. */
  async #follow(): Promise<Proving> {
    for (;;) {
      this.#context.signal.throwIfAborted();
      const following = (this.#following ??= this.#begin());
      try {
        const proving = await following;
        await proving.caughtUp;
        if (!proving.isOver) return proving;
      } catch (error) {
        if (this.#following === following) this.#following = undefined;
        throw error;
      }
      if (this.#following === following) this.#following = undefined;
    }
  }

  async #begin(): Promise<Proving> {
    const start = await confirmedState(this.#context.access);
    return this.#work(await Proving.open(this.#context, { start, isEndless: true }));
  }

  #work(proving: Proving): Proving {
    this.#provings.set(proving, proving.run().finally(() => this.#provings.delete(proving)));
    return proving;
  }

  /** What was numbered before all that is kept is proved by a fold of its own, together with others that are asked for just now. */
  #askOlder(asked: Asked): void {
    if (this.#older !== undefined) {
      this.#older.push(asked);
      return;
    }
    const older = [asked];
    this.#older = older;
    setTimeout(() => {
      this.#older = undefined;
      this.#proveOlder(older.filter(({ isOver }) => !isOver)).catch((error: unknown) => older.forEach((each) => each.refuse(error)));
    }, BATCH_MS);
  }

  async #proveOlder(older: readonly Asked[]): Promise<void> {
    if (older.length === 0) return;
    const newest = stateOf(await this.#follow());
    const start = await this.#stateBefore(older.map(({ place }) => place), newest);
    const proving = await Proving.open(this.#context, { start, isEndless: false });
    for (const asked of older) if (!asked.isOver) proving.ask(asked);
    this.#work(proving);
  }

  /** The newest confirmed state at which none of the places is numbered; undefined: the log's beginning. */
  async #stateBefore(places: readonly RecordPlace[], newest: LedgerState): Promise<LedgerState | undefined> {
    let before = places.reduce<bigint>((least, place) => ('seq' in place && place.seq < least ? place.seq : least), newest.nextSeq);
    for (let back = BACK_SEQS; before > 0n; back *= 4n) {
      const start = await confirmedState(this.#context.access, before);
      if (start === undefined || !places.some((place) => isSequenced(start, place))) return start;
      before = start.nextSeq > back ? start.nextSeq - back : 0n;
    }
    return undefined;
  }

  /** See {@link requireOrdered}. `known` is what was read so far; each is asked for once. */
  async #requirePartition(place: TopicPartition, known: LedgerState): Promise<void> {
    const name = partitionName(place);
    const found = known.configuration.body.sources.includes(place.topic) ? this.#partitions.get(name) : undefined;
    const asked = found ?? requireOrdered(place, this.#context);
    this.#partitions.set(name, asked);
    try {
      await asked;
    } catch (error) {
      this.#partitions.delete(name);
      throw error;
    }
  }
}

function requirePlace(place: ReceiptPlace): void {
  const { name, value } = 'seq' in place ? { name: 'seq', value: place.seq } : { name: 'offset', value: place.offset };
  if (value < 0n || value >= 2n ** 63n) throw new PlaitError('config', `${name}: ${value} is none, wanted 0 … 2^63 − 1`);
}

function stateOf({ state }: Proving): LedgerState {
  if (state === undefined) throw new Error('invariant: a ledger is opened only with its genesis');
  return state;
}
