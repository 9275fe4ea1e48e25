/** Writes a log anew: many messages at positions that are known beforehand, for recovery. Roles append with the appender. */
import { logPosition, PlaitError, type LogPosition } from '@plait/core';
import kafkajs from 'kafkajs';
import { createKafka, type KafkaOptions } from './client.ts';
import { reason } from './errors.ts';
import { connectWire } from './wire.ts';

/** One request holds about as much as the log's topic must let through; a single message may be larger. */
const BATCH_BYTES_MAX = 500_000;
const BATCH_MESSAGES_MAX = 1_000;
/** What a record takes beside its value, rounded up. */
const RECORD_BYTES = 64;
const TIMEOUT_MS = 30_000;

/** What to write, and where. */
export interface LogWriterOptions {
  readonly kafka: KafkaOptions;
  /** A topic of one partition that ends at `from`. */
  readonly topic: string;
  readonly from: LogPosition;
  /** The values of the messages at `from`, `from` + 1, and so on. */
  readonly messages: AsyncIterable<Uint8Array>;
}

/**
 * Appends messages in order, each batch only after the one before was acknowledged by all replicas; the position after the
 * last one. Throws `config` as soon as a batch did not land where it belongs (somebody else writes to the topic, or an answer
 * was lost and the client sent it twice): the topic is spoilt then; before anything is written, when we may not write there. `unknown` when Kafka does not answer: part of the batch
 * may be there; look where the topic ends, and go on from there. What was written is not read back here.
 */
export async function writeLog({ kafka, topic, from, messages }: LogWriterOptions): Promise<LogPosition> {
  (await connectWire(kafka, (wire) => wire.mayAll(['Write'], [topic]))).close();
  const producer = createKafka(kafka).producer({
    createPartitioner: kafkajs.Partitioners.DefaultPartitioner, idempotent: false, maxInFlightRequests: 1, allowAutoTopicCreation: false, retry: { retries: 0 },
  });
  await producer.connect().catch((error: unknown) => {
    throw new PlaitError('unavailable', `writing ${topic}: ${reason(error)}`, { cause: error });
  });
  let next: bigint = from;
  const send = async (batch: readonly Buffer[]): Promise<void> => {
    if (batch.length === 0) return;
    const [landed] = await producer
      .send({ topic, acks: -1, timeout: TIMEOUT_MS, messages: batch.map((value) => ({ partition: 0, key: null, value })) })
      .catch((error: unknown) => {
        throw new PlaitError('unknown', `writing ${topic} at position ${next}: ${reason(error)}`, { cause: error });
      });
    if (landed?.baseOffset !== String(next)) {
      throw new PlaitError('config', `the message for position ${next} of ${topic} landed at ${landed?.baseOffset}: somebody else writes to ` +
        'that topic, or a message was written twice. It cannot be used any more: name another one');
    }
    next += BigInt(batch.length);
  };
  try {
    for await (const batch of batches(messages)) await send(batch);
    return logPosition(next);
  } finally {
    await producer.disconnect().catch(() => undefined);
  }
}

async function* batches(messages: AsyncIterable<Uint8Array>): AsyncGenerator<readonly Buffer[], undefined> {
  let batch: Buffer[] = [];
  let bytes = 0;
  for await (const { buffer, byteOffset, byteLength } of messages) {
    const isFull = batch.length === BATCH_MESSAGES_MAX || bytes + byteLength + RECORD_BYTES > BATCH_BYTES_MAX;
    if (isFull && batch.length > 0) {
      yield batch;
      batch = [];
      bytes = 0;
    }
    batch.push(Buffer.from(buffer, byteOffset, byteLength));
    bytes += byteLength + RECORD_BYTES;
  }
  yield batch;
}
