/** The roles' {@link LogReader} over Kafka. */
import { logPosition, offset as toOffset, PlaitError } from '@plait/core';
import type { LogPosition } from '@plait/core';
import type { LogMessage, LogReader, OpenLog } from '@plait/roles';
import type { KafkaOptions } from './client.ts';
import { KAFKA, readError, reason } from './errors.ts';
import { FetchLoop } from './fetch-loop.ts';
import { undecodable } from './fetch-source.ts';
import type { Arrival, FetchLimits } from './fetch-source.ts';
import { decodeMessages, outsideLog } from './log-messages.ts';
import { connectWire, type Wire } from './wire.ts';

/** Which log is read, and from where. */
export interface LogReaderOptions {
  readonly kafka: KafkaOptions;
  /** A topic of one partition: its partition 0 is read. */
  readonly topic: string;
  /** The first position to read. */
  readonly from: LogPosition;
  /** Least time between two requests while little comes, in ms: how long a message may rest unread. Default 0. */
  readonly paceMs?: number;
}

const READ_UNCOMMITTED = 0;
const LIMITS: FetchLimits = { bufferBytesMax: 8 << 20, responseBytesMax: 4 << 20, partitionBytesMax: 4 << 20, paceMs: 0 };
/** One poll decodes about this much, so that its caller gets to its other duties. */
const POLL_BYTES_MAX = 1 << 20;
class KafkaLogReader implements LogReader {
  readonly #wire: Wire;
  readonly #loop: FetchLoop;
  readonly #log: { readonly topic: string; readonly partition: 0 };
  #position: LogPosition;
  #leader: number | undefined;
  /** How often the log's leader was found. */
  #found = 0;
  /** Once the log cannot be read on, it never can. */
  #failure: PlaitError | undefined;

  constructor(wire: Wire, { topic, from, paceMs = 0 }: LogReaderOptions) {
    this.#wire = wire;
    this.#log = { topic, partition: 0 };
    this.#position = from;
    this.#loop = new FetchLoop({ wire, isolation: READ_UNCOMMITTED, limits: { ...LIMITS, paceMs } });
    this.#loop.find(this.#log);
  }

  async poll({ maxWaitMs }: { readonly maxWaitMs: number }): Promise<readonly LogMessage[]> {
    if (this.#failure !== undefined) throw this.#failure;
    const untilMs = performance.now() + maxWaitMs;
    while (await this.#loop.ready(Math.max(0, untilMs - performance.now()))) {
      const messages = await this.#takeArrived();
      if (messages !== undefined) return messages;
    }
    return [];
  }

  /** Undefined if all that has arrived is that the leader was found. */
  async #takeArrived(): Promise<readonly LogMessage[] | undefined> {
    // All that has arrived, not one answer of the broker a call: under load an answer is one message, and a caller with
    // other duties would fall behind the log more and more.
    const messages: LogMessage[] = [];
    let bytes = 0;
    for (let taken = this.#loop.take(); taken !== undefined; taken = bytes < POLL_BYTES_MAX ? this.#loop.take() : undefined) {
      const { arrival } = taken;
      try {
        for (const message of await this.#messagesOf(arrival)) messages.push(message);
      } catch (error) {
        // What was decoded before goes out first; the failure comes with the next poll.
        if (messages.length === 0) throw error;
        break;
      }
      if (arrival.kind === 'found') {
        this.#goOn();
        return messages.length === 0 ? undefined : messages;
      }
      if (arrival.kind !== 'chunk') break;
      // Only now: what was not handed out is not behind us. A chunk of transaction markers moves it without a message.
      this.#position = logPosition(arrival.nextOffset);
      bytes += arrival.bytes.length;
    }
    return messages;
  }

  position(): LogPosition {
    return this.#position;
  }

  /** A connection that ended counts at once; that its leader was found again, when everything before was handed out. */
  incarnation(): number {
    return this.#found + this.#wire.ended;
  }

  async end(): Promise<LogPosition> {
    const doing = `end of the log ${this.#log.topic}`;
    // Twice: the leader may have moved since it was looked up.
    for (let attempt = 0; ; attempt++) {
      try {
        this.#leader ??= await this.#lookUpLeader();
        const { errorCode, end } = await this.#wire.listOffsets(this.#leader, this.#log);
        if (errorCode === 0) return logPosition(end);
        throw new PlaitError('unavailable', `${doing}: Kafka's error ${errorCode}`);
      } catch (error) {
        this.#leader = undefined;
        if (attempt > 0) throw readError(error, doing);
      }
    }
  }

  async close(): Promise<void> {
    this.#loop.close();
  }

  /** The leader was found (again), whichever it is: what was fetched of the former one has all been handed out. */
  #goOn(): void {
    this.#found += 1;
    this.#loop.seek(this.#log, this.#position);
  }

  async #lookUpLeader(): Promise<number> {
    const [topic] = await this.#wire.metadata([this.#log.topic]);
    if (topic?.errorCode === KAFKA.topicAuthorizationFailed) throw this.#wire.refused('Read', topic.topic, topic.errorCode);
    const leader = topic?.partitions.find(({ partition }) => partition === 0)?.leader;
    if (leader === undefined) throw new PlaitError('unavailable', `the log ${this.#log.topic} has no leader (Kafka's error ${topic?.errorCode})`);
    return leader;
  }

  async #messagesOf(arrival: Arrival): Promise<readonly LogMessage[]> {
    if (arrival.kind === 'failed') throw (this.#failure = arrival.error);
    if (arrival.kind === 'out-of-range') throw (this.#failure = outsideLog(this.#log.topic, arrival));
    if (arrival.kind !== 'chunk') return [];
    const { bytes, firstOffset } = arrival;
    try {
      return await decodeMessages({ bytes, from: firstOffset });
    } catch (error) {
      throw (this.#failure = undecodable(this.#log, toOffset(firstOffset), reason(error)));
    }
  }
}

/**
 * Connects and begins to read ahead. Throws `unavailable` with the addresses within about 5 s when no broker answers,
 * `config` when this client is refused. After `missing`, `rolled-back`, `config` or `invalid` every later poll throws the
 * same. The settings of the topic are not checked: see `checkLogTopic`.
 */
export async function openLogReader(options: LogReaderOptions): Promise<LogReader> {
  const wire = await connectWire(options.kafka);
  return new KafkaLogReader(wire, options);
}

/** Opens one log again and again, as {@link openLogReader}. */
export function logOpener({ kafka, topic }: Pick<LogReaderOptions, 'kafka' | 'topic'>): OpenLog {
  return async (from) => await openLogReader({ kafka, topic, from });
}
