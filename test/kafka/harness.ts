/** Hands on the real Kafka of the test run: topics, records of any bytes, transactions. */
import { subscribe } from 'node:diagnostics_channel';
import { connect, type Socket } from 'node:net';
import { encodePayload, logPosition, type Payload, type TopicPartition } from '@plait/core';
import { createKafka, type KafkaOptions } from '@plait/kafka';
import type { Admin, Kafka, Producer } from 'kafkajs';
import { afterAll } from 'vitest';
import type { LogDriver } from '../contract/log-contract.ts';
import type { SourceDriver } from '../contract/source-contract.ts';
import { bootstrapServers, uniqueName } from '../global/services.ts';
import { createTopic } from './client.ts';
import { openPatientAppender, openPatientLog, openPatientSource } from './patient.ts';
import { recordBatch } from './record-batch.ts';

/** Longer than any machine stands still. */
const ANSWER_MS = 60_000;
/** Records that tests make may be years old. */
const FOR_EVER = { 'retention.ms': '-1' };

/** How the tests of this run reach Kafka. */
export function kafkaOptions(): KafkaOptions {
  return { brokers: bootstrapServers().split(','), clientId: 'plait-test' };
}

/** One admin and producers of a test file; disconnects when the file is done. */
export class Harness {
  readonly options: KafkaOptions;
  readonly kafka: Kafka;
  readonly #admin: Admin;
  #isConnected: Promise<void> | undefined;
  readonly #producers: Producer[] = [];

  constructor(options: KafkaOptions = kafkaOptions()) {
    this.options = options;
    // What a client gives up and sends again may be there twice.
    this.kafka = createKafka({ ...options, requestTimeoutMs: ANSWER_MS });
    this.#admin = this.kafka.admin({ retry: { retries: 8 } });
    afterAll(async () => {
      for (const producer of this.#producers) await producer.disconnect();
      if (this.#isConnected !== undefined) await this.#admin.disconnect();
    });
  }

  async admin(): Promise<Admin> {
    this.#isConnected ??= this.#admin.connect();
    await this.#isConnected;
    return this.#admin;
  }

  /** A new topic, kept for ever; `settings` beside the brokers' defaults. */
  async makeTopic(partitions = 1, settings: Readonly<Record<string, string>> = {}): Promise<string> {
    const topic = uniqueName('kafka-test');
    await createTopic(this.options.brokers.join(','), topic, { partitions, settings: { ...FOR_EVER, ...settings } });
    return topic;
  }

  /** Resolves when no broker has the topic any more. */
  async deleteTopic(topic: string): Promise<void> {
    const admin = await this.admin();
    await admin.deleteTopics({ topics: [topic], timeout: ANSWER_MS });
    while ((await admin.listTopics()).includes(topic)) await new Promise((resolve) => setTimeout(resolve, 50));
  }

  /** A topic of that name. The brokers may still be busy deleting the former one of it. */
  async makeAgain(topic: string, partitions: number): Promise<void> {
    await createTopic(this.options.brokers.join(','), topic, { partitions, settings: FOR_EVER });
  }

  async addPartitions(topic: string, total: number): Promise<void> {
    await (await this.admin()).createPartitions({ topicPartitions: [{ topic, count: total }] });
  }

  async deleteBefore({ topic, partition }: TopicPartition, to: bigint): Promise<void> {
    const admin = await this.admin();
    // kafkajs looks the leader up in what it knows already; this makes it know.
    await admin.fetchTopicOffsets(topic);
    await admin.deleteTopicRecords({ topic, partitions: [{ partition, offset: to.toString() }] });
  }

  async producer(transactional = false): Promise<Producer> {
    const producer = this.kafka.producer({
      ...(transactional ? { transactionalId: uniqueName('txn'), maxInFlightRequests: 1, idempotent: true } : {}),
      createPartitioner: () => ({ message }) => message.partition ?? 0,
      retry: { retries: 8 },
    });
    await producer.connect();
    this.#producers.push(producer);
    return producer;
  }

  /** Appends one batch of records with these payloads, byte by byte as given, that were made now: Kafka looks for what has expired whenever it likes. */
  async produce(at: TopicPartition, payloads: readonly Payload[]): Promise<void> {
    await this.produceRaw(at, recordBatch(payloads.map((payload) => ({ payload: encodePayload(payload) })), { baseTimestamp: BigInt(Date.now()) }));
  }

  /** Appends a batch as it is, waiting for a partition that was made just now. Throws when the broker refuses the batch. */
  async produceRaw({ topic, partition }: TopicPartition, batch: Buffer): Promise<void> {
    const send = (): Promise<number> => sendProduce(this.options.brokers[0] ?? '', { topic, partition, batch });
    let code = await send();
    for (let attempt = 0; NOT_READY.has(code) && attempt < 600; attempt += 1) {
      await new Promise((resolve) => setTimeout(resolve, 100));
      code = await send();
    }
    if (code !== 0) throw new Error(`produce: Kafka's error ${code}`);
  }
}

/** UNKNOWN_TOPIC_OR_PARTITION, LEADER_NOT_AVAILABLE, NOT_LEADER_OR_FOLLOWER: nothing was appended, and that may pass. */
const NOT_READY: ReadonlySet<number> = new Set([3, 5, 6]);

const toHeaders = (payload: Payload): Record<string, Buffer> =>
  Object.fromEntries(payload.headers.map(({ key, value }) => [Buffer.from(key).toString(), Buffer.from(value ?? [])]));
const toBuffer = (bytes: Uint8Array | null): Buffer | null => (bytes === null ? null : Buffer.from(bytes));

/** For the source contract. */
export async function sourceDriver(harness: Harness): Promise<SourceDriver> {
  let transactional: Promise<Producer> | undefined;
  return {
    makeTopic: (partitions) => harness.makeTopic(partitions),
    reader: () => openPatientSource(harness.options),
    produce: (at, payloads) => harness.produce(at, payloads),
    produceInTransaction: async ({ topic, partition }, payloads, end) => {
      transactional ??= harness.producer(true);
      const transaction = await (await transactional).transaction();
      const messages = payloads.map((payload) => ({
        partition, key: toBuffer(payload.key), value: toBuffer(payload.value), headers: toHeaders(payload),
      }));
      await transaction.send({ topic, messages });
      await (end === 'commit' ? transaction.commit() : transaction.abort());
    },
    deleteBefore: (at, to) => harness.deleteBefore(at, to),
    addPartitions: (topic, total) => harness.addPartitions(topic, total),
    deleteTopic: (topic) => harness.deleteTopic(topic),
    makeAgain: (topic, partitions) => harness.makeAgain(topic, partitions),
    settle: (promise) => promise,
  };
}

/** For the log contract. */
export async function logDriver(harness: Harness): Promise<LogDriver> {
  const topic = await harness.makeTopic(1);
  return {
    reader: (from) => openPatientLog({ kafka: harness.options, topic, from }),
    appender: () => openPatientAppender({ kafka: harness.options, topic }),
    deleteBefore: (to) => harness.deleteBefore({ topic, partition: 0 }, to),
    gap: async () => {
      const transaction = await (await harness.producer(true)).transaction();
      await transaction.send({ topic, messages: [{ partition: 0, value: 'filler' }] });
      await transaction.commit();
      // Kafka writes the marker after it has answered.
      const reader = await openPatientLog({ kafka: harness.options, topic, from: logPosition(0n) });
      while ((await reader.end()) < 3n) await new Promise((resolve) => setTimeout(resolve, 20));
      await reader.close();
    },
    disconnect: () => {
      for (const socket of sockets) socket.destroy(new Error('the test ends this connection'));
    },
    settle: (promise) => promise,
  };
}

/** Every connection of this process that stands: Node tells of each one that is made. */
const sockets = new Set<Socket>();
subscribe('net.client.socket', (message) => {
  const { socket } = message as { readonly socket: Socket };
  sockets.add(socket);
  socket.once('close', () => sockets.delete(socket));
});

const short = (n: number): Buffer => {
  const bytes = Buffer.alloc(2);
  bytes.writeInt16BE(n);
  return bytes;
};
const int = (n: number): Buffer => {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32BE(n);
  return bytes;
};
const string = (text: string): Buffer => Buffer.concat([short(Buffer.byteLength(text)), Buffer.from(text)]);

/** One Produce request, version 7 (the first that may hold zstd), on a connection of its own; the answer's error code. kafkajs cannot send given bytes. */
async function sendProduce(address: string, { topic, partition, batch }: TopicPartition & { batch: Buffer }): Promise<number> {
  const body = Buffer.concat([
    short(0), short(7), int(1), string('plait-test'),
    short(-1), short(-1), int(10_000), int(1), string(topic), int(1), int(partition), int(batch.length), batch,
  ]);
  const [host = '', port = ''] = address.split(':');
  const socket = connect({ host, port: Number(port) });
  try {
    socket.write(Buffer.concat([int(body.length), body]));
    let answer = Buffer.alloc(0);
    for await (const chunk of socket) {
      answer = Buffer.concat([answer, chunk as Buffer]);
      if (answer.length >= 4 && answer.length >= 4 + answer.readInt32BE(0)) break;
    }
    // Size, correlation id, one topic with its name, one partition with its number, error code.
    return answer.readInt16BE(4 + 4 + 4 + 2 + Buffer.byteLength(topic) + 4 + 4);
  } finally {
    socket.destroy();
  }
}
