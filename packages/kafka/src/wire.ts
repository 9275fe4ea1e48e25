/** Connections of our own: each caller of a {@link Wire} decides which broker it asks, on which connection. */
import { PlaitError } from '@plait/core';
import type { TopicPartition } from '@plait/core';
import { createBroker } from './client.ts';
import type { KafkaOptions } from './client.ts';
import { withDeadline } from './deadline.ts';
import { isConnectTimeout, isRefused, KAFKA, readError } from './errors.ts';
import { decodeFetchResponse } from './fetch-response.ts';
import type { FetchedPartition } from './fetch-response.ts';
import { apiKeys, protocol } from './internals.ts';
import type { Broker, FetchArgs, MetadataAnswer, ProtocolRequest } from './internals.ts';
import { denied, whyNotConnected } from './refusal.ts';
import type { Operation } from './refusal.ts';
import { lacks, rightsRequest } from './rights.ts';

const { requests } = protocol;

/** Kafka 2.3 and later know it; 4.x still does. The layout read in `fetch-response.ts` is this version's. */
const FETCH_VERSION = 11;
/** For lookups; well below what a role waits for. */
const LOOKUP_DEADLINE_MS = 5_000;
/** Until then a first connection that was not there in time is tried again. */
const RECONNECT_MS = 3_000;

/** Which of a broker's connections. Two for long polls, so that one can be asked while the other waits; one for all else. */
export type Lane = 'fetch-0' | 'fetch-1' | 'other';

export interface PartitionMetadata {
  readonly partition: number;
  /** Undefined while there is none. */
  readonly leader: number | undefined;
  readonly replicas: number;
}

export interface TopicMetadata {
  readonly topic: string;
  /** 0, or Kafka's code, e.g. of an unknown topic. */
  readonly errorCode: number;
  readonly partitions: readonly PartitionMetadata[];
}

export interface ListedOffset {
  readonly errorCode: number;
  readonly logStart: bigint;
  /** The high watermark: uncommitted transactions included. */
  readonly end: bigint;
}

interface Link {
  readonly broker: Broker;
  readonly connected: Promise<void>;
}

/** The answer as decoded: an error code in it is the caller's to look at, not kafkajs' to throw. */
function asDecoded<T>(request: ProtocolRequest<T>): ProtocolRequest<T> {
  const { response } = request;
  return {
    ...request,
    logResponseError: false,
    response: { decode: async (payload) => await response.decode(payload), parse: async (decoded) => decoded },
  };
}

/** A wire that some broker has answered on, and that `check` is content with. Throws as `Wire.connect`, and leaves nothing open then. */
export async function connectWire(options: KafkaOptions, check: (wire: Wire) => Promise<void> = async () => undefined): Promise<Wire> {
  const wire = new Wire(options);
  try {
    await wire.connect();
    await check(wire);
  } catch (error) {
    wire.close();
    throw error;
  }
  return wire;
}

export class Wire {
  readonly #options: KafkaOptions;
  readonly #addresses = new Map<number, string>();
  readonly #links = new Map<string, Link>();
  /** Those that a fetch was answered on. */
  readonly #fetchedOn = new WeakSet<Broker>();
  #closed = false;
  #ended = 0;

  constructor(options: KafkaOptions) {
    this.#options = options;
  }

  /** How many connections have ended so far, or were given up. */
  get ended(): number {
    return this.#ended;
  }

  /** Proves that some broker answers. Throws `unavailable` with the addresses within about 5 s; `config` if refused. */
  async connect(): Promise<void> {
    const addresses = this.#options.brokers.join(', ');
    try {
      // A broker answers to anybody which requests it knows: only another one shows that it takes us.
      await withDeadline(this.#firstAnswer((broker) => broker.connectionPool.send(rightsRequest([]))), { ms: LOOKUP_DEADLINE_MS, doing: 'connect' });
    } catch (error) {
      throw readError(error, isRefused(error) ? 'Kafka' : `no Kafka broker answers at ${addresses}`);
    }
  }

  /** What to throw when the cluster refuses `operation` on a topic: `config`, with the right that is missing if that is why. */
  refused(operation: Operation, topic: string, errorCode: number): PlaitError {
    if (errorCode === KAFKA.topicAuthorizationFailed) return denied(this.#options, { operation, kind: 'topic', name: topic });
    return new PlaitError('config', `topic ${topic} is refused: Kafka's error ${errorCode}`);
  }

  /**
   * Throws `config` that names the first of these rights on these topics that we lack. Nothing if the cluster does not tell.
   * Throws `unavailable`.
   */
  async mayAll(operations: readonly Operation[], topics: readonly string[]): Promise<void> {
    const ask = withDeadline(this.#anyBroker((broker) => broker.connectionPool.send(rightsRequest(topics))), { ms: LOOKUP_DEADLINE_MS, doing: 'rights' });
    const answer = await ask.catch((error: unknown) => {
      throw readError(error, `rights on ${topics.join(', ')}`);
    });
    for (const found of answer) {
      const missing = operations.find((operation) => lacks(found, operation));
      if (missing !== undefined) throw this.refused(missing, found.topic, KAFKA.topicAuthorizationFailed);
    }
  }

  /** What the cluster says of these topics (at least one), unknown ones included. Creates none. Throws what the connection throws. */
  async metadata(topics: readonly string[]): Promise<readonly TopicMetadata[]> {
    const ask = async (broker: Broker): Promise<MetadataAnswer> =>
      await broker.connectionPool.send(
        asDecoded(broker.lookupRequest(apiKeys.Metadata, requests.Metadata)({ topics, allowAutoTopicCreation: false })),
      );
    const answer = await withDeadline(this.#anyBroker(ask), { ms: LOOKUP_DEADLINE_MS, doing: 'metadata' });
    for (const { nodeId, host, port } of answer.brokers) {
      const address = `${host.includes(':') ? `[${host}]` : host}:${port}`;
      if (this.#addresses.get(nodeId) !== address) this.drop(nodeId);
      this.#addresses.set(nodeId, address);
    }
    return answer.topicMetadata.map(({ topic, topicErrorCode, partitionMetadata }) => ({
      topic,
      errorCode: topicErrorCode,
      partitions: partitionMetadata.map(({ partitionId, leader, replicas }) => ({
        partition: partitionId,
        leader: leader < 0 ? undefined : leader,
        replicas: replicas.length,
      })),
    }));
  }

  /**
   * One fetch; waits at the broker for `maxWaitTime`. Partitions are served in the order given. Throws what the connection
   * throws; also when it ended between two fetches, which kafkajs would pass over by connecting again: the broker that
   * answers then may have been restored from a copy, and its partitions are no longer what they were.
   */
  async fetch(node: number, lane: Lane, args: FetchArgs): Promise<readonly FetchedPartition[]> {
    return await this.#ask(node, lane, async (broker) => {
      // kafkajs has a connection of its own for fetches, the second.
      if (this.#fetchedOn.has(broker) && broker.connectionPool.pool[1]?.isConnected() !== true) throw new Error('the connection ended');
      const { request, requestTimeout } = requests.Fetch.protocol({ version: FETCH_VERSION })(args);
      const answer = await broker.connectionPool.send<ReturnType<typeof decodeFetchResponse>>({
        request,
        ...(requestTimeout === undefined ? {} : { requestTimeout }),
        logResponseError: false,
        response: { decode: async (payload) => decodeFetchResponse(payload), parse: async (decoded) => decoded },
      });
      this.#fetchedOn.add(broker);
      return answer.partitions;
    });
  }

  /** Log start and end of one partition, asked now. Throws what the connection throws. */
  async listOffsets(node: number, { topic, partition }: TopicPartition): Promise<ListedOffset> {
    return await withDeadline(
      this.#ask(node, 'other', async (broker) => {
        const at = async (timestamp: string): Promise<{ errorCode: number; offset: string }> => {
          const make = broker.lookupRequest(apiKeys.ListOffsets, requests.ListOffsets);
          const answer = await broker.connectionPool.send(
            asDecoded(make({ replicaId: -1, isolationLevel: 0, topics: [{ topic, partitions: [{ partition, timestamp }] }] })),
          );
          return answer.responses[0]?.partitions[0] ?? { errorCode: -1, offset: '-1' };
        };
        const earliest = await at('-2');
        const latest = await at('-1');
        return {
          errorCode: earliest.errorCode === 0 ? latest.errorCode : earliest.errorCode,
          logStart: BigInt(earliest.offset),
          end: BigInt(latest.offset),
        };
      }),
      { ms: LOOKUP_DEADLINE_MS, doing: `offsets of ${topic}-${partition}`, onLate: () => this.drop(node, 'other') },
    );
  }

  /**
   * Appends one message with acks=all; gives Kafka's error code, 0 when appended. `beforeSend` runs when the connection
   * stands and nothing was sent yet. Throws what the connection throws: before `beforeSend` nothing was sent.
   */
  async produce(
    node: number,
    { topic, partition, value, timeoutMs, beforeSend }: TopicPartition & { value: Buffer; timeoutMs: number; beforeSend: () => void },
  ): Promise<number> {
    return await this.#ask(node, 'other', async (broker) => {
      // kafkajs would connect again without a word, perhaps to a broker with an older copy of the log: the caller looks first.
      if (broker.connectionPool.pool[0]?.isConnected() !== true) throw new Error('the connection ended');
      beforeSend();
      const make = broker.lookupRequest(apiKeys.Produce, requests.Produce);
      const message = { key: null, value, headers: {} };
      const answer = await broker.connectionPool.send(
        asDecoded(
          make({
            acks: -1,
            timeout: timeoutMs,
            compression: 0,
            transactionalId: null,
            producerId: -1,
            producerEpoch: -1,
            topicData: [{ topic, partitions: [{ partition, firstSequence: -1, messages: [message] }] }],
          }),
        ),
      );
      return answer.topics[0]?.partitions[0]?.errorCode ?? -1;
    });
  }

  /** Gives up the connections to a broker, or one of them, at once; requests on them reject. */
  drop(node: number, lane?: Lane): void {
    for (const key of this.#links.keys()) {
      if (lane === undefined ? key.startsWith(`${node}/`) : key === `${node}/${lane}`) this.#destroy(key);
    }
  }

  /** Closes every connection at once; requests on them reject, later ones too. Repeatable. */
  close(): void {
    this.#closed = true;
    for (const key of this.#links.keys()) this.#destroy(key);
  }

  /** Runs `ask` on a connected broker; on failure the connection is given up, so that the next try makes a new one. */
  async #ask<T>(node: number, lane: Lane, ask: (broker: Broker) => Promise<T>): Promise<T> {
    const address = this.#addresses.get(node);
    if (address === undefined) throw new PlaitError('unavailable', `broker ${node} is not known (any more)`);
    return await this.#on(`${node}/${lane}`, address, ask);
  }

  async #on<T>(key: string, address: string, ask: (broker: Broker) => Promise<T>): Promise<T> {
    if (this.#closed) throw new PlaitError('unavailable', 'closed');
    let link = this.#links.get(key);
    if (link === undefined) {
      const broker = createBroker(this.#options, address);
      link = { broker, connected: broker.connect() };
      this.#links.set(key, link);
    }
    try {
      await link.connected;
      return await ask(link.broker);
    } catch (error) {
      if (this.#links.get(key) === link) this.#destroy(key);
      throw error;
    }
  }

  /** Asks the brokers one after the other: those known from metadata first, then those the user named. */
  async #anyBroker<T>(ask: (broker: Broker) => Promise<T>): Promise<T> {
    const failures: string[] = [];
    let last: unknown;
    const known = [...this.#addresses].map(([node, address]) => ({ key: `${node}/other`, address }));
    const named = this.#options.brokers.map((address) => ({ key: `seed ${address}`, address }));
    const standing = known.filter(({ key }) => this.#links.has(key));
    for (const { key, address } of new Set([...standing, ...known, ...named])) {
      try {
        return await this.#on(key, address, ask);
      } catch (error) {
        if (error instanceof PlaitError && error.code === 'config') throw error;
        // A refusal says more than that another broker is away.
        if (!isRefused(last)) last = error;
        failures.push(whyNotConnected(this.#options, address, error));
      }
    }
    throw new Error(failures.join('; '), { cause: last });
  }

  /** As {@link #anyBroker}, more than once if they are only slow: a busy machine, ours or theirs, is no wrong address. */
  async #firstAnswer<T>(ask: (broker: Broker) => Promise<T>): Promise<T> {
    const untilMs = performance.now() + RECONNECT_MS;
    for (;;) {
      try {
        return await this.#anyBroker(ask);
      } catch (error) {
        if (!isConnectTimeout(error) || performance.now() >= untilMs) throw error;
      }
    }
  }

  #destroy(key: string): void {
    const link = this.#links.get(key);
    if (this.#links.delete(key)) this.#ended += 1;
    link?.connected.catch(() => undefined);
    for (const connection of link?.broker.connectionPool.pool ?? []) {
      // kafkajs' disconnect waits for answers: end the requests first, so that a long poll does not hold us up.
      connection.rejectRequests(new Error('connection given up'));
      connection.disconnect().catch(() => undefined);
      connection.socket?.destroy();
    }
  }
}
