/** The orders of the demo: made from a seed, produced at an even rate or as fast as it goes. */
import { PlaitError } from '@plait/core';
import { createKafka, type KafkaOptions } from '@plait/kafka';

export const DEMO_TOPIC = 'orders';
export const DEMO_PARTITIONS = 6;
/** Header with the time at which an order was handed to the producer, ms since 1970 with fractions. */
export const SENT_HEADER = 'sent';

const CUSTOMERS = 5_000;
const ITEMS = ['anvil', 'lamp', 'rope', 'kettle', 'violin', 'map', 'crate of apples', 'left boot'];
const BATCH_RECORDS_MAX = 500;
/** Sends on their way. A Kafka that falls behind gets fewer and larger ones, instead of a queue in which they expire. */
const IN_FLIGHT_MAX = 8;

/** Milliseconds since 1970 with fractions, comparable between processes of one machine. */
export function preciseNowMs(): number {
  return performance.timeOrigin + performance.now();
}

/** mulberry32: small, seeded, good enough to vary orders. */
function prng(seed: number): () => number {
  let state = seed | 0;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

type Producer = ReturnType<ReturnType<typeof createKafka>['producer']>;

interface Order {
  readonly key: string;
  readonly value: string;
  readonly partition: number;
}

/** Produces orders 0, 1, 2 …; `acknowledged` counts those that Kafka has confirmed. */
export class OrderProducer implements AsyncDisposable {
  readonly #producer: Producer;
  readonly #random: () => number;
  #made = 0;
  #acknowledged = 0;
  #inFlight = new Set<Promise<void>>();
  #failure: unknown;

  private constructor(producer: Producer, seed: number) {
    this.#producer = producer;
    this.#random = prng(seed);
  }

  static async connect(kafka: KafkaOptions, seed: number): Promise<OrderProducer> {
    const producer = createKafka(kafka).producer({ allowAutoTopicCreation: false });
    await producer.connect();
    return new OrderProducer(producer, seed);
  }

  get acknowledged(): number {
    return this.#acknowledged;
  }

  /** Produces `perSecond` × `seconds` orders, a small batch every few milliseconds; takes longer if Kafka does. */
  async produceEvenly(options: { perSecond: number; seconds: number; signal: AbortSignal }): Promise<void> {
    const startMs = performance.now();
    const total = options.perSecond * options.seconds;
    let sent = 0;
    while (sent < total && !options.signal.aborted) {
      await this.#settle(IN_FLIGHT_MAX - 1);
      const due = Math.min(total, Math.floor(((performance.now() - startMs) / 1000) * options.perSecond), sent + BATCH_RECORDS_MAX);
      if (due > sent) this.#send(due - sent);
      sent = due;
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    await this.#settle(0);
  }

  /** Produces `count` orders as fast as Kafka takes them; calls `halfway` once in the middle. */
  async produceFast(options: { count: number; signal: AbortSignal; halfway: () => void }): Promise<void> {
    let isBefore = true;
    for (let sent = 0; sent < options.count && !options.signal.aborted; sent += BATCH_RECORDS_MAX) {
      if (isBefore && sent >= options.count / 2) {
        isBefore = false;
        options.halfway();
      }
      await this.#settle(IN_FLIGHT_MAX - 1);
      this.#send(Math.min(BATCH_RECORDS_MAX, options.count - sent));
    }
    await this.#settle(0);
  }

  #send(count: number): void {
    const sent = Buffer.from(preciseNowMs().toFixed(3));
    const messages = Array.from({ length: count }, () => ({ ...this.#order(), headers: { [SENT_HEADER]: sent } }));
    const sending = this.#producer.send({ topic: DEMO_TOPIC, acks: -1, messages }).then(
      () => void (this.#acknowledged += count),
      (error: unknown) => void (this.#failure ??= error),
    );
    this.#inFlight.add(sending);
    void sending.finally(() => this.#inFlight.delete(sending));
  }

  /** Waits until at most `left` sends are on their way. Throws `unavailable` if one failed. */
  async #settle(left: number): Promise<void> {
    while (this.#inFlight.size > left) await Promise.race(this.#inFlight);
    if (this.#failure === undefined) return;
    throw new PlaitError('unavailable', `producing orders to ${DEMO_TOPIC}: ${(this.#failure as Error).message}`, { cause: this.#failure });
  }

  /** Most customers order now and then, some all the time; a few orders are long. */
  #order(): Order {
    const customer = Math.floor(CUSTOMERS * this.#random() ** 3);
    const lines = 1 + Math.floor(12 * this.#random() ** 4);
    const items = Array.from({ length: lines }, () => ({
      item: ITEMS[Math.floor(ITEMS.length * this.#random())], quantity: 1 + Math.floor(9 * this.#random()),
    }));
    const value = JSON.stringify({ order: this.#made, customer, items });
    this.#made += 1;
    return { key: `customer-${customer}`, value, partition: customer % DEMO_PARTITIONS };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#producer.disconnect();
  }
}
