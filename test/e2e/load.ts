/** Records from a seed, and a memory of each one that the broker acknowledged. */
import { createHash } from 'node:crypto';
import kafkajs, { type Kafka, type Producer, type ProducerBatch, type RecordMetadata } from 'kafkajs';
import type { Payload } from '@plait/core';
import { Prng } from '@plait/testkit';

const { Kafka: KafkaClient, logLevel } = kafkajs;

/** A client that says nothing and gives up soon: what fails is counted as not acknowledged. */
export function quietKafka(bootstrapServers: string): Kafka {
  return new KafkaClient({ brokers: bootstrapServers.split(','), logLevel: logLevel.NOTHING, connectionTimeout: 2_000, requestTimeout: 5_000 });
}

/** One string for key, value and headers, the same iff all of their bytes are: nothing of the product decides it. */
export function fingerprint({ key, value, headers }: Payload): string {
  const hash = createHash('sha1');
  const put = (bytes: Uint8Array | null): void => {
    hash.update(bytes === null ? 'null;' : `${bytes.length};`);
    if (bytes !== null) hash.update(bytes);
  };
  put(key);
  put(value);
  for (const header of headers) {
    put(header.key);
    put(header.value);
  }
  return hash.update(`${headers.length}`).digest('base64');
}

/** What was produced to one topic: {@link fingerprint}s. */
export class Memory {
  /** Of every acknowledged record, by `partition/offset`. */
  readonly acknowledged = new Map<string, string>();
  /** Of what was sent and not answered: it may have arrived, or not. */
  readonly unanswered = new Set<string>();

  /** Takes in a record that the broker has at that place. */
  add(place: { partition: number; offset: bigint }, payload: Payload): void {
    this.acknowledged.set(`${place.partition}/${place.offset}`, fingerprint(payload));
  }
}

export interface LoadOptions {
  readonly bootstrapServers: string;
  readonly topic: string;
  readonly memory: Memory;
  readonly seed: string;
  /** The partitions it writes to; one that stands there twice gets twice as many. */
  readonly partitions: readonly number[];
  /** About this many records a second. Default 1,500. */
  readonly ratePerSecond?: number;
}

interface Planned {
  readonly partition: number;
  readonly payload: Payload;
}

const BATCHES_PER_SECOND = 40;

/** Produces, in the background, until it is stopped. Sends that fail are forgotten, but for {@link Memory.unanswered}. */
export class Load implements AsyncDisposable {
  readonly #options: LoadOptions;
  readonly #random: Prng;
  readonly #run: Promise<void>;
  #count = 0;
  #stopped = false;

  constructor(options: LoadOptions) {
    this.#options = options;
    this.#random = new Prng(options.seed);
    this.#run = this.#produce();
    this.#run.catch(() => undefined);
  }

  /** How many records were acknowledged so far. */
  get acknowledged(): number {
    return this.#options.memory.acknowledged.size;
  }

  /** Resolves when the last send has ended. */
  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#run;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
  }

  async #produce(): Promise<void> {
    const size = Math.max(1, Math.round((this.#options.ratePerSecond ?? 1_500) / BATCHES_PER_SECOND));
    let producer: Producer | undefined;
    while (!this.#stopped) {
      const rest = new Promise((resolve) => setTimeout(resolve, 1_000 / BATCHES_PER_SECOND));
      const batch = Array.from({ length: size }, () => this.#plan());
      try {
        producer ??= await this.#connect();
        await this.#send(producer, batch);
      } catch {
        // After an error a new producer: what it sent may be there or not.
        await producer?.disconnect().catch(() => undefined);
        producer = undefined;
        await new Promise((resolve) => setTimeout(resolve, 200));
      }
      await rest;
    }
    await producer?.disconnect();
  }

  async #connect(): Promise<Producer> {
    // Resent by kafkajs, a batch that arrived twice would be acknowledged once.
    const producer = quietKafka(this.#options.bootstrapServers).producer({ allowAutoTopicCreation: false, retry: { retries: 0 } });
    await producer.connect();
    return producer;
  }

  async #send(producer: Producer, batch: readonly Planned[]): Promise<void> {
    const { topic, memory } = this.#options;
    const prints = batch.map(({ payload }) => fingerprint(payload));
    for (const print of prints) memory.unanswered.add(print);
    remember(memory, batch, await producer.sendBatch(batchOf(topic, batch)));
    for (const print of prints) memory.unanswered.delete(print);
  }

  #plan(): Planned {
    const random = this.#random;
    const number = this.#count++;
    const key = random.chance(0.1) ? null : Buffer.from(`customer-${random.int(97)}`);
    const value = Buffer.concat([Buffer.from(`${random.seed}#${number} `), random.bytes(random.int(150))]);
    const headers = random.chance(0.2) ? [{ key: Buffer.from('trace'), value: Buffer.from(random.bytes(8)) }] : [];
    return { partition: random.pick(this.#options.partitions), payload: { key, value, headers } };
  }
}

const buffer = (bytes: Uint8Array | null): Buffer | null => (bytes === null ? null : Buffer.from(bytes));

/** As kafkajs wants it. Header names must differ. */
export function batchOf(topic: string, batch: readonly Planned[]): ProducerBatch {
  const messages = batch.map(({ partition, payload }) => ({
    partition, key: buffer(payload.key), value: buffer(payload.value),
    headers: Object.fromEntries(payload.headers.map(({ key, value }) => [Buffer.from(key).toString(), Buffer.from(value ?? [])])),
  }));
  return { acks: -1, topicMessages: [{ topic, messages }] };
}

/** kafkajs keeps the order within a partition and says where each partition's batch begins. */
export function remember(memory: Memory, batch: readonly Planned[], answers: readonly RecordMetadata[]): void {
  const next = new Map(answers.map(({ partition, baseOffset }) => [partition, BigInt(baseOffset ?? -1)]));
  for (const { partition, payload } of batch) {
    const offset = next.get(partition);
    if (offset === undefined || offset < 0n) throw new Error(`no answer for partition ${partition}`);
    memory.add({ partition, offset }, payload);
    next.set(partition, offset + 1n);
  }
}
