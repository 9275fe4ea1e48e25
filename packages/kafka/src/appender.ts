/** The roles' {@link LogAppender} over Kafka: a plain producer, without transactions, idempotence or retries of its own. */
import { PlaitError } from '@plait/core';
import type { LogAppender } from '@plait/roles';
import type { KafkaOptions } from './client.ts';
import { withDeadline } from './deadline.ts';
import { isRefusal, isSurelyNotAppended, KAFKA, readError, reason } from './errors.ts';
import { connectWire, type Wire } from './wire.ts';

/** Which log is appended to, and how long an append may take. */
export interface LogAppenderOptions {
  readonly kafka: KafkaOptions;
  /** A topic of one partition: its partition 0 is appended to. */
  readonly topic: string;
  /** How long one append may take before its outcome is `unknown`. Default 5,000 ms. */
  readonly timeoutMs?: number;
}

const TIMEOUT_MS = 5_000;

/** What is known of one append. */
interface Attempt {
  /** From here on its outcome can be unknown … */
  sent: boolean;
  /** … and from here on it is known again. */
  answered: boolean;
  /** Its deadline has passed: it must not be sent any more. */
  late: boolean;
}

class KafkaLogAppender implements LogAppender {
  readonly #wire: Wire;
  readonly #topic: string;
  readonly #timeoutMs: number;
  #leader: number | undefined;
  #outstanding = false;

  constructor(wire: Wire, { topic, timeoutMs }: LogAppenderOptions) {
    this.#wire = wire;
    this.#topic = topic;
    this.#timeoutMs = timeoutMs ?? TIMEOUT_MS;
  }

  async append(message: Uint8Array): Promise<void> {
    if (this.#outstanding) throw new Error('one outstanding append at a time');
    this.#outstanding = true;
    const attempt: Attempt = { sent: false, answered: false, late: false };
    try {
      const onLate = (): void => {
        attempt.late = true;
        // Its connection, too, is given up: an answer that comes later must not be taken for the next append's.
        if (this.#leader !== undefined) this.#wire.drop(this.#leader, 'other');
      };
      const doing = `append to ${this.#topic}`;
      const code = await withDeadline(this.#send(message, attempt), { ms: this.#timeoutMs, doing, onLate });
      if (code !== 0) throw this.#refused(code, message.length);
    } catch (error) {
      // Whatever went wrong, the next append looks the leader up again.
      this.#leader = undefined;
      if (attempt.answered) throw error;
      if (attempt.sent) throw new PlaitError('unknown', `append to ${this.#topic}: ${reason(error)}`, { cause: error });
      throw readError(error, `append to ${this.#topic}`);
    } finally {
      this.#outstanding = false;
    }
  }

  async close(): Promise<void> {
    this.#wire.close();
  }

  async #send(message: Uint8Array, attempt: Attempt): Promise<number> {
    this.#leader ??= await this.#lookUpLeader();
    const code = await this.#wire.produce(this.#leader, {
      topic: this.#topic,
      partition: 0,
      value: Buffer.from(message.buffer, message.byteOffset, message.byteLength),
      timeoutMs: this.#timeoutMs,
      beforeSend: () => {
        if (attempt.late) throw new Error('too late');
        attempt.sent = true;
      },
    });
    attempt.answered = true;
    return code;
  }

  async #lookUpLeader(): Promise<number> {
    const [topic] = await this.#wire.metadata([this.#topic]);
    if (topic !== undefined && isRefusal(topic.errorCode)) throw this.#refused(topic.errorCode, 0);
    const leader = topic?.partitions.find(({ partition }) => partition === 0)?.leader;
    if (leader === undefined) throw new PlaitError('unavailable', `the log ${this.#topic} has no leader (Kafka's error ${topic?.errorCode})`);
    return leader;
  }

  #refused(code: number, bytes: number): PlaitError {
    if (code === KAFKA.topicAuthorizationFailed) return this.#wire.refused('Write', this.#topic, code);
    if (isRefusal(code)) return new PlaitError('config', `the log ${this.#topic} refuses a message of ${bytes} bytes: Kafka's error ${code}`);
    return new PlaitError(isSurelyNotAppended(code) ? 'unavailable' : 'unknown', `append to ${this.#topic}: Kafka's error ${code}`);
  }
}

/**
 * Connects. Throws `unavailable` with the addresses within about 5 s when no broker answers, `config` when this client
 * is refused or may not write to the topic. `append` ends within `timeoutMs`; two at a time are an Error. Messages are not
 * compressed.
 */
export async function openLogAppender(options: LogAppenderOptions): Promise<LogAppender> {
  const { kafka, topic } = options;
  const wire = await connectWire(kafka, (connected) => connected.mayAll(['Write'], [topic]));
  return new KafkaLogAppender(wire, options);
}
