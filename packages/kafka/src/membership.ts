/** The roles' {@link Membership} over kafkajs' consumer of a group; see group-consumer.ts. */
import type { Consumer } from 'kafkajs';
import { PlaitError } from '@plait/core';
import type { TopicPartition } from '@plait/core';
import type { Assignment, Membership } from '@plait/roles';
import { withDeadline } from './deadline.ts';
import { deniedType, isRefused, KAFKA } from './errors.ts';
import { GroupCommits } from './group-commits.ts';
import { connectConsumer, makeGroupConsumer, runConsumer, type GroupConsumerOptions } from './group-consumer.ts';
import { groupError } from './refusal.ts';
import { connectWire } from './wire.ts';

const LEAVE_DEADLINE_MS = 3_000;
const RESTART_AFTER_MS = 1_000;
/** How often topics that are gone are looked for. */
const LOOK_AGAIN_MS = 2_000;

class WorkerGroup implements Membership {
  readonly #options: GroupConsumerOptions;
  #topics: readonly string[] = [];
  #consumer: Consumer | undefined;
  /** Resolves when the consumer's first rebalance is over: before that kafkajs does not leave a group, even when told to. */
  #joining: Promise<void> = Promise.resolve();
  #assignment: Assignment = { version: 0, partitions: [] };
  #left = false;
  /** Starts and stops so far. */
  #starts = 0;
  #restart: NodeJS.Timeout | undefined;
  /** Looks for topics that were not there when the group was joined. */
  #lookout: NodeJS.Timeout | undefined;
  #refusal: PlaitError | undefined;

  constructor(options: GroupConsumerOptions) {
    this.#options = options;
  }

  async subscribe(topics: readonly string[]): Promise<void> {
    if (this.#left) throw new Error('this member has left');
    if (this.#refusal !== undefined) throw this.#refusal;
    const sorted = [...new Set(topics)].toSorted();
    if (this.#consumer !== undefined && sorted.join('\n') === this.#topics.join('\n')) return;
    await this.#stop();
    this.#topics = sorted;
    await this.#start();
  }

  assignment(): Assignment {
    if (this.#refusal !== undefined) throw this.#refusal;
    return this.#assignment;
  }

  async leave(): Promise<void> {
    this.#left = true;
    await this.#stop();
  }

  async #start(): Promise<void> {
    if (this.#topics.length === 0 || this.#left) return;
    const start = ++this.#starts;
    const topics = await this.#existing();
    await this.#requireGroup();
    // Meanwhile it may have been stopped, or started for other topics.
    if (start !== this.#starts) return;
    const consumer = this.#makeConsumer();
    this.#consumer = consumer;
    try {
      await connectConsumer(consumer, topics, `join group ${this.#options.groupId}`);
    } catch (error) {
      if (this.#consumer === consumer) this.#consumer = undefined;
      throw this.#failure(error);
    }
    // Stopped meanwhile, too; and kafkajs runs a consumer that was disconnected: a member that nobody knows of would keep
    // its partitions for ever.
    if (start !== this.#starts) return void consumer.disconnect().catch(() => undefined);
    if (topics.length < this.#topics.length) this.#lookOut(consumer, topics.length);
    // Not awaited: joining lasts as long as the group's rebalance. What goes wrong comes as the event CRASH.
    this.#joining = runConsumer(consumer).catch((error: unknown) => this.#crashed(consumer, error));
  }

  /** Those of the topics that exist, at least one. Throws `config` for one that may not be read: kafkajs does not say which. */
  async #existing(): Promise<string[]> {
    const wire = await connectWire(this.#options.kafka, (connected) => connected.mayAll(['Read'], this.#topics));
    try {
      const found = await wire.metadata(this.#topics);
      const topics = found.filter(({ errorCode }) => errorCode !== KAFKA.unknownTopicOrPartition).map(({ topic }) => topic);
      if (topics.length === 0) throw new Error('there is no such topic');
      return topics;
    } catch (error) {
      throw this.#failure(error);
    } finally {
      wire.close();
    }
  }

  async #requireGroup(): Promise<void> {
    const group = new GroupCommits(this.#options);
    await group.requireRight().finally(() => group.close());
  }

  /** Joins anew once a topic is back that was gone: it must not keep the others from being shared meanwhile. */
  #lookOut(consumer: Consumer, count: number): void {
    clearTimeout(this.#lookout);
    this.#lookout = setTimeout(() => {
      void this.#lookAgain(consumer, count).catch((failure: unknown) => this.#restartFailed(failure));
    }, LOOK_AGAIN_MS);
  }

  async #lookAgain(consumer: Consumer, count: number): Promise<void> {
    const found = await this.#existing().then(({ length }) => length, () => count);
    if (this.#consumer !== consumer) return;
    if (found <= count) return this.#lookOut(consumer, count);
    await this.#stop();
    await this.#start();
  }

  #failure(error: unknown): PlaitError {
    const { kafka, groupId } = this.#options;
    return groupError(error, { kafka, groupId, doing: `join group ${groupId} for ${this.#topics.join(', ')}` });
  }

  #makeConsumer(): Consumer {
    const consumer = makeGroupConsumer(this.#options, ({ partitions }) => this.#assign(consumer, partitions));
    consumer.on(consumer.events.REBALANCING, () => this.#assign(consumer, []));
    consumer.on(consumer.events.CRASH, ({ payload }) => this.#crashed(consumer, payload.error));
    return consumer;
  }

  #assign(consumer: Consumer, partitions: readonly TopicPartition[]): void {
    if (this.#consumer === consumer) this.#assignment = { version: this.#assignment.version + 1, partitions };
  }

  #crashed(consumer: Consumer, error: unknown): void {
    if (this.#consumer !== consumer || this.#left) return;
    this.#assign(consumer, []);
    this.#consumer = undefined;
    // Which topic is refused comes out at the restart.
    if (isRefused(error) && deniedType(error) !== 'TOPIC_AUTHORIZATION_FAILED') this.#refusal = this.#failure(error);
    this.#startLater();
  }

  #restartFailed(failure: unknown): void {
    if (this.#left || this.#consumer !== undefined) return;
    if (failure instanceof PlaitError && failure.code === 'config') this.#refusal = failure;
    this.#startLater();
  }

  #startLater(): void {
    clearTimeout(this.#restart);
    this.#restart = setTimeout(() => {
      this.#start().catch((failure: unknown) => this.#restartFailed(failure));
    }, RESTART_AFTER_MS);
  }

  /** Leaves the group, so that the others need not wait for the session's end; gives up after a while. Never rejects. */
  async #stop(): Promise<void> {
    clearTimeout(this.#restart);
    clearTimeout(this.#lookout);
    this.#starts += 1;
    const consumer = this.#consumer;
    if (consumer === undefined) return;
    this.#assign(consumer, []);
    this.#consumer = undefined;
    // `disconnect` stops first, and stopping leaves.
    const left = this.#joining.then(() => consumer.disconnect());
    await withDeadline(left, { ms: LEAVE_DEADLINE_MS, doing: 'leave' }).catch(() => undefined);
  }
}

/**
 * A member that has not joined yet: `subscribe` joins, within about 5 s or with `unavailable` (also while none of the
 * topics exists; one that is gone does not keep the others from being shared, and is shared once it is back). Later
 * failures are repaired in the background, without partitions meanwhile; a refusal by the brokers (`config`) is thrown by
 * the next `subscribe`.
 */
export function joinWorkerGroup(options: GroupConsumerOptions): Membership {
  return new WorkerGroup(options);
}
