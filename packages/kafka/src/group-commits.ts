/**
 * Commits of a consumer group, with exactly the generation in which their partitions were held. kafkajs' own would commit
 * with whatever generation it is in by then, and drop a commit in silence while it is stopping.
 */
// Ambient declarations have no other way into a program that takes only this file in.
// oxlint-disable-next-line typescript/triple-slash-reference
/// <reference path="./kafkajs-group-internals.d.ts" />
import { offset, PlaitError } from '@plait/core';
import type { Offset, TopicPartition } from '@plait/core';
import { createBroker } from './client.ts';
import type { KafkaOptions } from './client.ts';
import { withDeadline } from './deadline.ts';
import { readError, reason } from './errors.ts';
import { denied } from './refusal.ts';
import { protocol } from './internals.ts';
import type { Broker, ProtocolRequest } from './internals.ts';

const { requests } = protocol;

/** Versions whose layouts kafkajs knows and Kafka 4 still takes. Of OffsetCommit the last in which a commit may say how long it is kept. */
const VERSIONS = { coordinator: 2, commit: 4, fetch: 4 };
/**
 * A group without members keeps its commits for 7 days by default, and what starts after that starts anew, in silence. Ours
 * say that they are to be kept for ten years.
 */
const RETENTION_MS = 10 * 365 * 24 * 3_600_000;
const REQUEST_DEADLINE_MS = 5_000;
const ATTEMPTS = 5;
const REST_MS = 200;

/** What a group committed for a partition. */
export interface Committed extends TopicPartition {
  readonly offset: Offset;
  /** Whatever was committed with it; at most 4 KiB by the brokers' default. */
  readonly metadata: string;
}

/** Who commits: the broker refuses it when the group has moved on. */
export interface Committer {
  readonly generation: number;
  readonly memberId: string;
}

/** Codes of Kafka's protocol that matter here. */
const CODE = {
  loading: 14, coordinatorNotAvailable: 15, notCoordinator: 16, illegalGeneration: 22, unknownMember: 25, rebalancing: 27,
  topicRefused: 29, groupRefused: 30,
} as const;
const ELSEWHERE: readonly number[] = [CODE.loading, CODE.coordinatorNotAvailable, CODE.notCoordinator];
const MOVED_ON: readonly number[] = [CODE.illegalGeneration, CODE.unknownMember, CODE.rebalancing];

/** An answer that says something else than that it was done. */
class Answered extends Error {
  readonly kafkaCode: number;

  constructor(doing: string, kafkaCode: number) {
    super(`${doing}: Kafka's error ${kafkaCode}`);
    this.kafkaCode = kafkaCode;
  }
}

export class GroupCommits {
  readonly #kafka: KafkaOptions;
  readonly #groupId: string;
  #coordinator: Broker | undefined;
  #closed = false;

  constructor({ kafka, groupId }: { readonly kafka: KafkaOptions; readonly groupId: string }) {
    this.#kafka = kafka;
    this.#groupId = groupId;
  }

  /**
   * Throws `config` if the group is refused to us. Nothing else: what is wrong otherwise shows when the group is used. (kafkajs
   * takes a refusal here for a coordinator that is not found, and asks for ever.)
   */
  async requireRight(): Promise<void> {
    const doing = `coordinator of group ${this.#groupId}`;
    await withDeadline(this.#found(), { ms: REQUEST_DEADLINE_MS, doing }).catch((error: unknown) => {
      if (error instanceof Answered && error.kafkaCode === CODE.groupRefused) throw this.#failure(error, doing, 'unavailable');
    });
  }

  /** What the group committed for these partitions; nothing for those without a commit. Throws `unavailable`, `config`. */
  async fetch(partitions: readonly TopicPartition[]): Promise<readonly Committed[]> {
    const doing = `commits of group ${this.#groupId}`;
    const topics = byTopic(partitions, ({ partition }) => ({ partition }));
    const answer = await this.#asked(doing, async (broker) => {
      const { errorCode, responses } = await send(broker, requests.OffsetFetch.protocol({ version: VERSIONS.fetch })({ groupId: this.#groupId, topics }));
      throwIfAny(doing, [errorCode, ...responses.flatMap((each) => each.partitions.map((one) => one.errorCode))]);
      return responses;
    }).catch((error: unknown) => {
      throw this.#failure(error, doing, 'unavailable');
    });
    return answer.flatMap(({ topic, partitions: found }) =>
      found.filter((each) => BigInt(each.offset) >= 0n).map((each) => ({ topic, partition: each.partition, offset: offset(BigInt(each.offset)), metadata: each.metadata ?? '' })));
  }

  /**
   * Commits. True: done; false: refused, since the group has moved on from that generation, or does so now. Throws `unknown`
   * when it may or may not be done (again is safe), `config` when it is not allowed.
   */
  async commit({ generation, memberId }: Committer, commits: readonly Committed[]): Promise<boolean> {
    const doing = `commit of group ${this.#groupId}`;
    const topics = byTopic(commits, (each) => ({ partition: each.partition, offset: each.offset.toString(), metadata: each.metadata }));
    try {
      await this.#asked(doing, async (broker) => {
        const make = requests.OffsetCommit.protocol({ version: VERSIONS.commit });
        const { responses } = await send(broker, make({ groupId: this.#groupId, groupGenerationId: generation, memberId, retentionTime: `${RETENTION_MS}`, topics }));
        throwIfAny(doing, responses.flatMap((each) => each.partitions.map((one) => one.errorCode)));
      });
      return true;
    } catch (error) {
      if (error instanceof Answered && MOVED_ON.includes(error.kafkaCode)) return false;
      throw this.#failure(error, doing, 'unknown');
    }
  }

  /** Closes the connection at once. Repeatable. */
  close(): void {
    this.#closed = true;
    this.#drop();
  }

  /** Asks the group's coordinator, and again while it is not found, not there or not ready. */
  async #asked<T>(doing: string, ask: (broker: Broker) => Promise<T>): Promise<T> {
    for (let attempt = 1; ; attempt++) {
      try {
        return await withDeadline(this.#found().then(ask), { ms: REQUEST_DEADLINE_MS, doing });
      } catch (error) {
        const isFinal = error instanceof Answered && !ELSEWHERE.includes(error.kafkaCode);
        if (isFinal || this.#closed || attempt === ATTEMPTS) throw error;
        this.#drop();
        await new Promise((resolve) => setTimeout(resolve, REST_MS * attempt));
      }
    }
  }

  async #found(): Promise<Broker> {
    if (this.#coordinator !== undefined) return this.#coordinator;
    const failures: string[] = [];
    for (const address of this.#kafka.brokers) {
      const seed = createBroker(this.#kafka, address);
      try {
        await seed.connect();
        const { errorCode, coordinator } = await send(seed, requests.GroupCoordinator.protocol({ version: VERSIONS.coordinator })({ groupId: this.#groupId }));
        throwIfAny(`coordinator of group ${this.#groupId}`, [errorCode]);
        const { host, port } = coordinator;
        const broker = createBroker(this.#kafka, `${host.includes(':') ? `[${host}]` : host}:${port}`);
        await broker.connect();
        if (this.#closed) destroy(broker);
        else this.#coordinator = broker;
        return broker;
      } catch (error) {
        if (error instanceof Answered) throw error;
        failures.push(`${address}: ${reason(error)}`);
      } finally {
        destroy(seed);
      }
    }
    throw new Error(failures.join('; '));
  }

  #failure(error: unknown, doing: string, otherwise: 'unavailable' | 'unknown'): PlaitError {
    if (error instanceof Answered && error.kafkaCode === CODE.groupRefused) return denied(this.#kafka, { operation: 'Read', kind: 'group', name: this.#groupId });
    if (error instanceof Answered && error.kafkaCode === CODE.topicRefused) return new PlaitError('config', `${error.message}: one of its topics may not be read`, { cause: error });
    const known = readError(error, doing);
    return known.code === 'unavailable' ? new PlaitError(otherwise, known.message, { cause: error }) : known;
  }

  #drop(): void {
    if (this.#coordinator !== undefined) destroy(this.#coordinator);
    this.#coordinator = undefined;
  }
}

/** Sends and gives the answer as decoded: an error code in it is ours to look at. */
async function send<T>(broker: Broker, { request, response }: ProtocolRequest<T>): Promise<T> {
  return await broker.connectionPool.send({
    request, logResponseError: false,
    response: { decode: async (payload: Buffer) => await response.decode(payload), parse: async (decoded: T) => decoded },
  });
}

function throwIfAny(doing: string, codes: readonly number[]): void {
  const code = codes.find((each) => each !== 0);
  if (code !== undefined) throw new Answered(doing, code);
}

function byTopic<P extends TopicPartition, T>(partitions: readonly P[], of: (partition: P) => T): { topic: string; partitions: T[] }[] {
  const topics = new Map<string, T[]>();
  for (const each of partitions) topics.set(each.topic, [...(topics.get(each.topic) ?? []), of(each)]);
  return [...topics].map(([topic, list]) => ({ topic, partitions: list }));
}

function destroy(broker: Broker): void {
  for (const connection of broker.connectionPool.pool) {
    connection.rejectRequests(new Error('connection given up'));
    connection.disconnect().catch(() => undefined);
    connection.socket?.destroy();
  }
}
