/**
 * Ordinary clients for tests in which brokers come and go. kafkajs gives some calls up when a connection fails, so each is made
 * again with a new client until it succeeds; whatever was sent twice counts once.
 */
import { setTimeout as delay } from 'node:timers/promises';
import kafkajs, { type Kafka } from 'kafkajs';
import { uniqueName } from '../global/services.ts';

const PATIENCE_MS = 60_000;
/** A consumer that was not given its partition by now is made anew. */
const CONSUME_MS = 20_000;

/** What `call` gives, called again after a rest while it throws what may pass; its last error when that has lasted too long. */
export async function patiently<T>(call: () => Promise<T>, mayPass: (error: unknown) => boolean = () => true): Promise<T> {
  const deadlineMs = performance.now() + PATIENCE_MS;
  for (;;) {
    try {
      return await call();
    } catch (error) {
      if (!mayPass(error) || performance.now() > deadlineMs) throw error;
      await delay(200);
    }
  }
}

/** A client that says nothing. */
export function client(bootstrapServers: string): Kafka {
  return new kafkajs.Kafka({ brokers: bootstrapServers.split(','), logLevel: kafkajs.logLevel.NOTHING });
}

export interface TopicOptions {
  /** Default 1, both. */
  readonly partitions?: number;
  readonly replicationFactor?: number;
  readonly settings?: Readonly<Record<string, string>>;
}

/** Makes a topic, unless it is there, and waits until it has leaders. */
export async function createTopic(bootstrapServers: string, topic: string, options: TopicOptions = {}): Promise<void> {
  const { partitions = 1, replicationFactor = 1, settings = {} } = options;
  const configEntries = Object.entries(settings).map(([name, value]) => ({ name, value }));
  await patiently(async () => {
    const admin = client(bootstrapServers).admin();
    try {
      await admin.connect();
      await admin.createTopics({ waitForLeaders: true, topics: [{ topic, numPartitions: partitions, replicationFactor, configEntries }] });
    } finally {
      await admin.disconnect();
    }
  });
}

/** Writes `values` to a topic of one partition, in this order; perhaps more than once, if an answer was lost. */
export async function produce(bootstrapServers: string, topic: string, values: readonly string[]): Promise<void> {
  await patiently(async () => {
    const producer = client(bootstrapServers).producer({ allowAutoTopicCreation: false });
    try {
      await producer.connect();
      await producer.send({ topic, acks: -1, messages: values.map((value) => ({ value })) });
    } finally {
      await producer.disconnect();
    }
  });
}

/** The first `count` different values of a topic of one partition, from its start. */
export async function consume(bootstrapServers: string, topic: string, count: number): Promise<string[]> {
  return await patiently(() => consumeOnce(bootstrapServers, topic, count));
}

async function consumeOnce(bootstrapServers: string, topic: string, count: number): Promise<string[]> {
  const consumer = client(bootstrapServers).consumer({ groupId: uniqueName('group') });
  const values = new Set<string>();
  const { promise: done, resolve, reject } = Promise.withResolvers<void>();
  done.catch(() => undefined);
  const deadline = setTimeout(() => reject(new Error(`${values.size} of ${count} values of ${topic}`)), CONSUME_MS);
  try {
    await consumer.connect();
    await consumer.subscribe({ topics: [topic], fromBeginning: true });
    await consumer.run({
      eachMessage: ({ message }) => {
        values.add(message.value?.toString() ?? '');
        if (values.size === count) resolve();
        return Promise.resolve();
      },
    });
    await done;
  } finally {
    clearTimeout(deadline);
    await consumer.disconnect();
  }
  return [...values];
}
