/** Opening a ledger. */
import { isPlaitError, logPosition, parseOrigin, parseTopic, parseVerifierKey, PlaitError } from '@plait/core';
import { openLogReader, topicOffsets, type KafkaOptions } from '@plait/kafka';
import { type LogReader, type VerifiedSegment } from '@plait/roles';
import type { LedgerEntry } from './entries.ts';
import type { LedgerFile } from './ledger-file.ts';
import { EntryReader, readSegments, type Access, type ReadOptions } from './read.ts';
import { LogView, type LedgerStatus } from './status.ts';

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
}

/** A ledger that was opened. It holds a connection until it is closed. */
export interface Ledger extends AsyncDisposable {
  readonly origin: string;
  readonly log: string;

  /**
   * The entries from `fromSeq` on in the global order: seqs without gap or repeat, those of a void entry included. Every
   * record was re-hashed and compared with its segment's root before it is handed out, the segment with its signed
   * report, the block with the log. Pull-based: at most some segments and some MiB of fetched batches wait meanwhile.
   * Each call reads by itself, with connections of its own, that are freed when the iteration ends.
   *
   * Throws `invalid` (tampered: the records, or what the log holds, differ), `missing` (records were deleted before they
   * could be checked), `rolled-back`, `split-view`, `unavailable` (after `patienceMs`), `config` (the rules are newer
   * than this program, access is refused). What was handed out before stays true. Does not check that the log is the
   * newest: who remembers nothing can be shown an older one.
   */
  read(options?: ReadOptions): AsyncIterableIterator<LedgerEntry, undefined>;

  /**
   * As {@link read}, by verified segments, for programs that cannot pay a promise a record: `entriesOf` gives their
   * entries. The first one may begin below `fromSeq`, the last one end above `toSeq`.
   */
  readSegments(options?: ReadOptions): AsyncGenerator<VerifiedSegment, undefined>;

  /**
   * How the ledger stands at the log's end, sampled now. The first call folds the whole log, later ones what is new.
   * Throws as {@link read}, without its patience, and checks no record.
   */
  status(): Promise<LedgerStatus>;

  /** Ends all readings and frees the connections. Repeatable. */
  close(): Promise<void>;
}

const PATIENCE_MS = 30_000;

class OpenLedger implements Ledger {
  readonly #access: Access;
  readonly #reader: LogReader;
  readonly #view: LogView;
  readonly #closing = new AbortController();
  #turn: Promise<unknown> = Promise.resolve();

  constructor(access: Access, reader: LogReader, view: LogView) {
    this.#access = access;
    this.#reader = reader;
    this.#view = view;
  }

  get origin(): string {
    return this.#access.origin;
  }

  get log(): string {
    return this.#access.log;
  }

  read(options: ReadOptions = {}): AsyncIterableIterator<LedgerEntry, undefined> {
    return new EntryReader(this.readSegments(options), options);
  }

  readSegments(options: ReadOptions = {}): AsyncGenerator<VerifiedSegment, undefined> {
    this.#requireOpen();
    const closing = this.#closing.signal;
    const signal = options.signal === undefined ? closing : AbortSignal.any([closing, options.signal]);
    return readSegments(this.#access, { ...options, signal });
  }

  async status(): Promise<LedgerStatus> {
    this.#requireOpen();
    const mine = this.#turn.then(async () => {
      await this.#view.foldTo(await this.#reader.end());
      return await this.#view.status(this.#access.kafka, this.#access.log);
    });
    this.#turn = mine.catch(() => undefined);
    return await mine;
  }

  async close(): Promise<void> {
    this.#closing.abort();
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
 * Opens a ledger and reads its log up to genesis, so that a wrong address, topic, origin or key shows here.
 *
 * Throws `config` for malformed values, a log topic that does not exist or holds no genesis of this origin, and a genesis
 * that another key signed; `unavailable` with the addresses within about 5 s when no broker answers; `missing` when the
 * log's beginning was deleted.
 */
export async function openLedger(options: OpenLedgerOptions): Promise<Ledger> {
  const access = accessOf(options);
  const { kafka, log: topic, origin, ledgerKey } = access;
  await requireLog(access);
  const reader = await openLogReader({ kafka, topic, from: logPosition(0n) });
  try {
    const view = new LogView({ origin, ledgerKey, log: reader });
    const end = await reader.end();
    await view.foldTo(end, { toGenesis: true });
    if (view.state === undefined) {
      throw new PlaitError('config', `the log ${topic} holds ${end} messages and no genesis of ${origin}: this is not the ` +
        'log of that ledger, or `plait init` did not finish');
    }
    return new OpenLedger(access, reader, view);
  } catch (error) {
    await reader.close();
    throw error;
  }
}

function accessOf(options: OpenLedgerOptions): Access {
  const { bootstrapServers, clientId, patienceMs = PATIENCE_MS } = options;
  const brokers = (typeof bootstrapServers === 'string' ? bootstrapServers.split(',') : bootstrapServers).map((broker) => broker.trim());
  if (brokers.length === 0 || brokers.includes('')) throw new PlaitError('config', 'bootstrapServers: wanted host:port of at least one broker');
  try {
    return {
      kafka: { ...options.kafka, brokers, ...(clientId === undefined ? {} : { clientId }) },
      log: parseTopic(options.log), origin: parseOrigin(options.origin), ledgerKey: parseVerifierKey(options.ledgerKey), patienceMs,
    };
  } catch (error) {
    if (!isPlaitError(error, 'invalid')) throw error;
    throw new PlaitError('config', `cannot open the ledger: ${error.message}`, { cause: error });
  }
}

async function requireLog({ kafka, log }: Access): Promise<void> {
  const [partition] = await topicOffsets({ kafka, topic: log });
  if (partition !== undefined && partition.logStart > 0n) {
    throw new PlaitError('missing', `the log ${log} begins at position ${partition.logStart}: what was before is deleted, ` +
      'so that nobody can tell what it said', { details: { topic: log, logStart: String(partition.logStart) } });
  }
}
