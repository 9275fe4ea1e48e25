/** Opening a ledger. */
import { isPlaitError, logPosition, parseOrigin, parseTopic, parseVerifierKey, PlaitError, type LedgerState, type LogPosition, type TopicPartition } from '@plait/core';
import { logOpener, openLogReader, openSourceReader, topicOffsets, topicRetention, type KafkaOptions } from '@plait/kafka';
import { Follower, IDLE_WAIT_MS, positionBehind, requireRemembered, type LeavesOf, type LogCopy, type LogReader, type Memory } from '@plait/roles';
import { systemClock } from './clock.ts';
import type { LedgerEntry, LedgerSegment } from './entries.ts';
import { EntryReader } from './entry-reader.ts';
import type { LedgerFile } from './ledger-file.ts';
import { requireOrdered } from './ordered.ts';
import { readSegments, type ReadOptions } from './read.ts';
import { Receipts, type AwaitReceiptOptions, type LedgerReceipt, type ReceiptPlace } from './receipt.ts';
import { confirmedState, type Access } from './run.ts';
import { LogView, type LedgerStatus } from './status.ts';
import { verifyLedger } from './verify.ts';
import type { VerifyOptions, VerifyReport } from './verify-types.ts';

/** Which ledger (what {@link LedgerFile} holds), and how Kafka is reached. */
export interface OpenLedgerOptions extends LedgerFile {
  /** `host:port` of one or more brokers, as a list or separated by commas. */
  readonly bootstrapServers: string | readonly string[];
  /** Name shown in the brokers' logs and quotas. Default `plait`. */
  readonly clientId?: string;
  /** TLS, authentication, time-outs. */
  readonly kafka?: Omit<KafkaOptions, 'brokers' | 'clientId'>;
  /** How long reading goes on trying while no broker answers, in ms. Default 30,000. */
  readonly patienceMs?: number;
  /**
   * Where readings and `status` keep what they must find again in the log, so that an older log is
   * `rolled-back` after a restart, too. Default: that is noticed only while they run.
   */
  readonly memory?: Memory;
  /** Where one reading at a time copies the log's messages to, for `plait recover`. Default: nowhere. */
  readonly copy?: LogCopy;
  /**
   * Nothing is begun at a state whose configuration has a lower version: name the one that revoked a checkpoint key, which
   * could deceive those that remember nothing. Default 0.
   */
  readonly minConfiguration?: bigint;
  /** Leaves that were kept aside, so that there are receipts (without payload) of records that are gone. Default: none. */
  readonly leavesOf?: LeavesOf;
}

/** A ledger that was opened. It holds a connection until it is closed. */
export interface Ledger extends AsyncDisposable {
  readonly origin: string;
  readonly log: string;

  /**
   * The entries from the start point on in the global order: seqs without gap or repeat, those of void and gone entries
   * included. Every record was re-hashed and compared with its segment's root before it is handed out, the segment with
   * its signed report, the block with the log. Pull-based: at most some segments and some MiB of fetched batches wait
   * meanwhile. Each call reads by itself, with connections of its own, that are freed when the iteration ends.
   *
   * With a group the seqs are without gap as long as this member is the one that reads; after it stood by it goes on where
   * the group is. With `share` they are those of its partitions, and rise but for partitions that it gets.
   *
   * Throws `invalid` (tampered: the records, or what the log holds, differ), `missing` (records can no longer be checked;
   * see `onMissing`), `rolled-back`, `split-view`, `unavailable` (after `patienceMs`; and see `atEnd`), `config` (the rules
   * are newer than this program, access is refused, options or commits that do not fit). What was handed out before stays
   * true. Who has no `memory` can be shown an older log after a restart.
   */
  read(options?: ReadOptions): AsyncIterableIterator<LedgerEntry, undefined>;

  /**
   * As {@link read}, by verified segments, for programs that cannot pay a promise a record: `entriesOf` gives their
   * entries, without those below the start point. The last one may end above `toSeq`.
   */
  readSegments(options?: ReadOptions): AsyncGenerator<LedgerSegment, undefined>;

  /**
   * How the ledger stands at the log's end, sampled now. The first call folds the log from the newest confirmed state on, or
   * all of it if there is none, later ones what is new.
   * Throws as {@link read}, without its patience, and checks no record.
   */
  status(): Promise<LedgerStatus>;

  /**
   * Resolves if records of that partition get seqs now, as of the log's end and what Kafka says. Throws `config`, with what is
   * ordered instead, if its topic is no source (any more) or has no such partition; and as {@link status}.
   */
  requireOrdered(partition: TopicPartition): Promise<void>;

  /**
   * Reads records and log again from the beginning and recomputes everything, up to the end that the log has now: the report
   * says `verified` with what was and what was not checked, or names the first bad place. Memory does not grow with the ledger,
   * but for 32 bytes a block. See {@link verifyLedger}, also for what it throws.
   */
  verify(options?: VerifyOptions): Promise<VerifyReport>;

  /**
   * The receipt of one record, which proves its place offline. Resolves once a block has numbered the record and a checkpoint,
   * signed by a key in force, covers that block: so a producer that awaits it knows its place, about a second after a publisher
   * is to sign one. A place at which nothing stands yet is waited for; so is a checkpoint while no publisher runs: give a signal.
   *
   * Thousands at once are cheap: the first call begins to follow the log, over two connections, until the ledger is closed, and
   * all share that. Records from before it are looked up in a fold of their own, those that are asked for together in one. The
   * records of their segments are read again and compared with what was hashed.
   *
   * Rejects with the signal's reason when it aborts, or when the ledger is closed (`AbortError`); `config` for a topic or
   * partition that is not ordered, and records that a configuration declares void; `missing` when there is no such record to be
   * seen (a transaction marker, an aborted one, one below where the ledger began), it was lost before it was hashed, or it can no
   * longer be read; `invalid` when it is not what was hashed; `split-view` when it needs another checkpoint while the log holds one
   * that contradicts the blocks; and as {@link read}, after `patienceMs` without a broker.
   */
  receipt(place: ReceiptPlace, options?: AwaitReceiptOptions): Promise<LedgerReceipt>;

  /** Ends all readings and frees the connections. Repeatable. */
  close(): Promise<void>;
}

const PATIENCE_MS = 30_000;

class OpenLedger implements Ledger {
  readonly #access: Access;
  readonly #reader: LogReader;
  readonly #view: LogView;
  readonly #closing = new AbortController();
  readonly #receipts: Receipts;
  #turn: Promise<unknown> = Promise.resolve();

  constructor(access: Access, reader: LogReader, view: LogView) {
    this.#access = access;
    this.#reader = reader;
    this.#view = view;
    const { leavesOf } = access;
    this.#receipts = new Receipts({ access, newest: () => this.#newest(), signal: this.#closing.signal, ...(leavesOf === undefined ? {} : { leavesOf }) });
  }

  get origin(): string {
    return this.#access.origin;
  }

  get log(): string {
    return this.#access.log;
  }

  read(options: ReadOptions = {}): AsyncIterableIterator<LedgerEntry, undefined> {
    const range = options.toSeq === undefined ? {} : { toSeq: options.toSeq };
    return new EntryReader(this.readSegments(options), { range, signal: this.#signalOf(options) });
  }

  readSegments(options: ReadOptions = {}): AsyncGenerator<LedgerSegment, undefined> {
    this.#requireOpen();
    return readSegments({ access: this.#access, newest: () => this.#newest(), signal: this.#signalOf(options) }, options);
  }

  #signalOf({ signal }: ReadOptions): AbortSignal {
    return signal === undefined ? this.#closing.signal : AbortSignal.any([this.#closing.signal, signal]);
  }

  async status(): Promise<LedgerStatus> {
    this.#requireOpen();
    return await this.#inTurn(async () => {
      await this.#view.foldTo(await this.#reader.end());
      return await this.#view.status(this.#access.kafka, this.#access.log);
    });
  }

  async requireOrdered(partition: TopicPartition): Promise<void> {
    this.#requireOpen();
    await requireOrdered(partition, { access: this.#access, newest: () => this.#newest(), signal: this.#closing.signal });
  }

  async receipt(place: ReceiptPlace, options: AwaitReceiptOptions = {}): Promise<LedgerReceipt> {
    this.#requireOpen();
    return await this.#receipts.receipt(place, options);
  }

  /** The fold at the log's end, sampled now; undefined if it is not read so far yet. */
  async #newest(): Promise<LedgerState | undefined> {
    return await this.#inTurn(() => this.#view.newest());
  }

  async verify(options: VerifyOptions = {}): Promise<VerifyReport> {
    this.#requireOpen();
    const { kafka, log, origin, ledgerKey, patienceMs } = this.#access;
    const ports = {
      origin, ledgerKey, patienceMs, openLog: logOpener({ kafka, topic: log }), openSource: () => openSourceReader({ kafka }),
      newest: () => this.#inTurn(() => this.#view.newest()), retentionOf: (topic: string) => topicRetention({ kafka, topic }),
    };
    return await verifyLedger(ports, { ...options, signal: this.#signalOf(options) });
  }

  /** The view has one caller at a time. */
  async #inTurn<T>(use: () => Promise<T>): Promise<T> {
    const mine = this.#turn.then(use);
    this.#turn = mine.catch(() => undefined);
    return await mine;
  }

  async close(): Promise<void> {
    this.#closing.abort();
    await this.#receipts.close();
    await this.#turn;
    await this.#reader.close();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.close();
  }

  #requireOpen(): void {
    if (this.#closing.signal.aborted) throw new Error('the ledger is closed');
  }
}

/**
 * Opens a ledger, and looks for its newest confirmed state, or else its genesis, so that a wrong address, topic, origin or key
 * shows here.
 *
 * Throws `config` for malformed values, a log topic that does not exist or holds no genesis of this origin, and a genesis
 * that another key signed; `unavailable` with the addresses within about 5 s when no broker answers; `missing` when the
 * log's beginning was deleted and no state in the rest of it is confirmed; `rolled-back` if the log is not what the memory says.
 */
export async function openLedger(options: OpenLedgerOptions): Promise<Ledger> {
  const access = accessOf(options);
  const { kafka, log: topic, origin, ledgerKey, memory } = access;
  const [partition] = await topicOffsets({ kafka, topic, toRead: true });
  const openLog = logOpener({ kafka, topic });
  // Before genesis is missed in a log that was made anew.
  if (memory !== undefined) await requireRemembered({ memory, openLog, clock: systemClock });
  const start = await confirmedState(access);
  if (start === undefined) await requireGenesis(access, partition?.logStart ?? 0n);
  const reader = await openLogReader({ kafka, topic, from: positionBehind(start) });
  const view = new LogView({
    origin, ledgerKey, log: reader, clock: systemClock, openLog,
    ...(memory === undefined ? {} : { memory }), ...(start === undefined ? {} : { start }),
  });
  return new OpenLedger(access, reader, view);
}

function accessOf(options: OpenLedgerOptions): Access {
  const { bootstrapServers, clientId, patienceMs = PATIENCE_MS, memory, copy, minConfiguration, leavesOf } = options;
  const brokers = (typeof bootstrapServers === 'string' ? bootstrapServers.split(',') : bootstrapServers).map((broker) => broker.trim());
  if (brokers.length === 0 || brokers.includes('')) throw new PlaitError('config', 'bootstrapServers: wanted host:port of at least one broker');
  try {
    return {
      kafka: { ...options.kafka, brokers, ...(clientId === undefined ? {} : { clientId }) },
      log: parseTopic(options.log), origin: parseOrigin(options.origin), ledgerKey: parseVerifierKey(options.ledgerKey), patienceMs,
      ...(memory === undefined ? {} : { memory }), ...(copy === undefined ? {} : { copy }),
      ...(minConfiguration === undefined ? {} : { minConfiguration }), ...(leavesOf === undefined ? {} : { leavesOf }),
    };
  } catch (error) {
    if (!isPlaitError(error, 'invalid')) throw error;
    throw new PlaitError('config', `cannot open the ledger: ${error.message}`, { cause: error });
  }
}

/** Which log is read, and whose genesis is looked for. */
type GenesisPlace = Pick<Access, 'kafka' | 'log' | 'origin' | 'ledgerKey'>;

/**
 * The state after the log's first genesis of that origin; undefined if it holds none below `end`, which it has now. Throws
 * `config` if another key signed that; as the log's port.
 */
export async function readGenesis(
  { kafka, log: topic, origin, ledgerKey }: GenesisPlace,
): Promise<{ readonly state: LedgerState | undefined; readonly end: LogPosition }> {
  const log = await openLogReader({ kafka, topic, from: logPosition(0n) });
  try {
    const follower = new Follower({ origin, ledgerKey, log });
    const end = await log.end();
    while (follower.state === undefined && follower.position < end) await follower.poll(IDLE_WAIT_MS);
    return { state: follower.state, end };
  } finally {
    await log.close();
  }
}

/**
 * Reads the log up to the ledger's genesis. Throws `config` if it holds none, or one that another key signed; `missing` if its
 * beginning, below `logStart`, was deleted; `unavailable`.
 */
export async function requireGenesis(place: GenesisPlace, logStart: bigint): Promise<void> {
  const { log: topic, origin } = place;
  if (logStart > 0n) {
    throw new PlaitError('missing', `the log ${topic} begins at position ${logStart}, and no state in it is confirmed: what was before ` +
      'is deleted, so that nobody can tell what it said', { details: { topic, logStart: String(logStart) } });
  }
  const { state, end } = await readGenesis(place);
  if (state !== undefined) return;
  throw new PlaitError('config', `the log ${topic} holds ${end} messages and no genesis of ${origin}: this is not the ` +
    'log of that ledger, or `plait init` did not finish');
}
