/** What topics must be like, checked at start; and where their partitions begin and end. */
import kafkajs from 'kafkajs';
import type { Admin } from 'kafkajs';
import { isPlaitError, offset, PlaitError } from '@plait/core';
import type { Offset } from '@plait/core';
import type { Retention } from '@plait/roles';
import { createKafka } from './client.ts';
import type { KafkaOptions } from './client.ts';
import { withDeadline } from './deadline.ts';
import { deniedType, isRefusal, KAFKA, readError } from './errors.ts';
import { denied } from './refusal.ts';
import type { Operation } from './refusal.ts';
import { Wire } from './wire.ts';
import type { TopicMetadata } from './wire.ts';

const ADMIN_DEADLINE_MS = 10_000;
const ADMIN_REST_MS = 200;
/** Beside a message, what its batch header and record framing take of `max.message.bytes`, rounded up. */
const FRAMING_BYTES = 512;

/** Settings of the log; with another value the log can lose, rewrite or hide what was acknowledged. */
const LOG_SETTINGS: Readonly<Record<string, string>> = {
  'cleanup.policy': 'delete',
  'retention.ms': '-1',
  'retention.bytes': '-1',
  'unclean.leader.election.enable': 'false',
  'compression.type': 'uncompressed',
};

async function withWire<T>(kafka: KafkaOptions, use: (wire: Wire) => Promise<T>): Promise<T> {
  const wire = new Wire(kafka);
  try {
    await wire.connect();
    return await use(wire);
  } finally {
    wire.close();
  }
}

/**
 * What `use` gives of an admin. Again with a new one while it throws `unavailable`, within a deadline: kafkajs gives up as
 * soon as the one broker that it takes for the controller does not answer. So `use` may run more than once.
 */
async function withAdmin<T>(kafka: KafkaOptions, doing: string, use: (admin: Admin) => Promise<T>): Promise<T> {
  const deadlineMs = performance.now() + ADMIN_DEADLINE_MS;
  for (;;) {
    const admin = createKafka(kafka).admin();
    const all = async (): Promise<T> => {
      await admin.connect();
      return await use(admin);
    };
    try {
      return await withDeadline(all(), { ms: deadlineMs - performance.now(), doing });
    } catch (error) {
      const failure = readError(error, doing);
      if (failure.code !== 'unavailable' || performance.now() + ADMIN_REST_MS >= deadlineMs) throw failure;
    } finally {
      admin.disconnect().catch(() => undefined);
    }
    await new Promise((resolve) => setTimeout(resolve, ADMIN_REST_MS));
  }
}

/** The topics, after a look whether we have these rights on all of them. Throws `config`, `unavailable`. */
async function describe(wire: Wire, topics: readonly string[], operations: readonly Operation[]): Promise<readonly TopicMetadata[]> {
  await wire.mayAll(operations, topics);
  const found = await wire.metadata(topics).catch((error: unknown) => {
    throw readError(error, `topics ${topics.join(', ')}`);
  });
  for (const { topic, errorCode } of found) {
    if (errorCode === KAFKA.unknownTopicOrPartition) throw new PlaitError('config', `topic ${topic} does not exist; create it first`, { details: { topic, exists: false } });
    if (isRefusal(errorCode)) throw wire.refused('Describe', topic, errorCode);
    if (errorCode !== 0) throw new PlaitError('unavailable', `topic ${topic}: Kafka's error ${errorCode}`);
  }
  return found;
}

/** The settings in force for each topic, the brokers' defaults included. */
async function settingsOf(kafka: KafkaOptions, topics: readonly string[]): Promise<ReadonlyMap<string, ReadonlyMap<string, string>>> {
  return await withAdmin(kafka, 'topic settings', async (admin) => {
    const type = kafkajs.ConfigResourceTypes.TOPIC;
    const { resources } = await admin.describeConfigs({ includeSynonyms: false, resources: topics.map((name) => ({ type, name })) });
    return new Map(
      resources.map(({ resourceName, configEntries }) => [
        resourceName,
        new Map(configEntries.map(({ configName, configValue }) => [configName, configValue])),
      ]),
    );
  });
}

function wrongSetting(topic: string, setting: string, { value, wanted, next }: { value: string; wanted: string; next: string }): PlaitError {
  return new PlaitError('config', `topic ${topic}: ${setting} is ${value}, must be ${wanted}. ${next}`, {
    details: { topic, setting, value, wanted },
  });
}

const alter = (topic: string, setting: string, value: string): string =>
  `Set it with kafka-configs --alter --entity-type topics --entity-name ${topic} --add-config ${setting}=${value}`;

/**
 * Refuses a log that could lose or hide messages: throws `config` that names the first wrong setting, its value and the
 * wanted one (the number of partitions, `cleanup.policy`, `retention.ms`, `retention.bytes`,
 * `unclean.leader.election.enable`, `compression.type`, `max.message.bytes` for messages of `messageBytesMax`).
 * Returns warnings: replication below 3, `min.insync.replicas` below 2. Throws `unavailable`. Does not read the log.
 */
export async function checkLogTopic(options: {
  readonly kafka: KafkaOptions;
  readonly topic: string;
  readonly messageBytesMax: number;
}): Promise<readonly string[]> {
  const { kafka, topic } = options;
  const [found] = await withWire(kafka, (wire) => describe(wire, [topic], ['DescribeConfigs']));
  const partitions = found?.partitions ?? [];
  if (partitions.length !== 1) {
    const next = 'A topic cannot lose partitions: make another one for the log';
    throw wrongSetting(topic, 'the number of partitions', { value: `${partitions.length}`, wanted: '1', next });
  }
  const settings = (await settingsOf(kafka, [topic])).get(topic) ?? new Map<string, string>();
  for (const [setting, wanted] of Object.entries(LOG_SETTINGS)) {
    const value = settings.get(setting) ?? 'not told';
    if (value !== wanted) throw wrongSetting(topic, setting, { value, wanted, next: alter(topic, setting, wanted) });
  }
  const bytes = settings.get('max.message.bytes') ?? 'not told';
  const bytesMin = options.messageBytesMax + FRAMING_BYTES;
  if (!(Number(bytes) >= bytesMin)) {
    const next = alter(topic, 'max.message.bytes', `${bytesMin}`);
    throw wrongSetting(topic, 'max.message.bytes', { value: bytes, wanted: `at least ${bytesMin}`, next });
  }
  return durabilityWarnings(topic, partitions[0]?.replicas ?? 0, Number(settings.get('min.insync.replicas')));
}

function durabilityWarnings(topic: string, replicas: number, minInSync: number): readonly string[] {
  const warnings: string[] = [];
  if (replicas < 3) {
    warnings.push(`topic ${topic}: replication is ${replicas}; below 3 the loss of a broker can lose or stop the ledger. Fit for development only`);
  }
  if (!(minInSync >= 2)) {
    warnings.push(`topic ${topic}: min.insync.replicas is ${minInSync}; below 2 an acknowledged message may be on one disk only. Fit for development only`);
  }
  return warnings;
}

/**
 * Creates the log's topic with the settings that {@link checkLogTopic} demands. True: created; false: it was there, with
 * whatever settings. `replicationFactor` defaults to the brokers'; from 3 on `min.insync.replicas` becomes 2.
 * Throws `unavailable` (it may have been created), `config` when not allowed.
 */
export async function createLogTopic(options: {
  readonly kafka: KafkaOptions;
  readonly topic: string;
  readonly messageBytesMax: number;
  readonly replicationFactor?: number;
}): Promise<boolean> {
  const { kafka, topic, replicationFactor = -1, messageBytesMax } = options;
  const settings = {
    ...LOG_SETTINGS,
    'max.message.bytes': `${messageBytesMax + FRAMING_BYTES}`,
    ...(replicationFactor >= 3 ? { 'min.insync.replicas': '2' } : {}),
  };
  const configEntries = Object.entries(settings).map(([name, value]) => ({ name, value }));
  // Who may not create topics may still use one that somebody else created.
  if (await isThere(kafka, topic)) return false;
  return await withAdmin(kafka, `create topic ${topic}`, async (admin) =>
    await admin.createTopics({ waitForLeaders: true, topics: [{ topic, numPartitions: 1, replicationFactor, configEntries }] }),
  ).catch((error: unknown) => {
    throw deniedType(error) === undefined ? error : denied(kafka, { operation: 'Create', kind: 'topic', name: topic });
  });
}

async function isThere(kafka: KafkaOptions, topic: string): Promise<boolean> {
  return await withWire(kafka, async (wire) => {
    const [found] = await wire.metadata([topic]).catch((error: unknown) => {
      throw readError(error, `topic ${topic}`);
    });
    return found?.errorCode === 0;
  });
}

/** Those of the topics that do not exist. Throws `unavailable`. */
async function missing(kafka: KafkaOptions, topics: readonly string[]): Promise<string[]> {
  if (topics.length === 0) return [];
  return await withWire(kafka, async (wire) => {
    const found = await wire.metadata(topics).catch((error: unknown) => {
      throw readError(error, `topics ${topics.join(', ')}`);
    });
    return found.filter(({ errorCode }) => errorCode === KAFKA.unknownTopicOrPartition).map(({ topic }) => topic);
  });
}

/** What is known of the sources at start. */
export interface SourceTopics {
  readonly topics: readonly { readonly topic: string; readonly partitions: number }[];
  /** Sentences for people: what will be deleted, and can then not be read again. */
  readonly warnings: readonly string[];
}

/**
 * Refuses topics that cannot be sources: throws `config` when one does not exist or is compacted (records would vanish
 * out of the middle of segments), or when we may not describe it and its settings, nor, with `toRead`, read it. Limited
 * retention is a warning, and with `toRead` also a topic that is gone: its reader goes on with the others. Throws
 * `unavailable`.
 */
export async function checkSourceTopics(
  options: { readonly kafka: KafkaOptions; readonly topics: readonly string[]; readonly toRead?: boolean },
): Promise<SourceTopics> {
  const { kafka, toRead = false } = options;
  const gone = toRead ? await missing(kafka, options.topics) : [];
  const topics = options.topics.filter((topic) => !gone.includes(topic));
  const warnings = gone.map((topic) => `topic ${topic} does not exist: nothing of it is hashed until it is back; the ledger's other topics go on`);
  if (topics.length === 0) return { topics: [], warnings };
  const found = await withWire(kafka, (wire) => describe(wire, topics, [toRead ? 'Read' : 'Describe', 'DescribeConfigs']));
  const settings = await settingsOf(kafka, topics);
  for (const topic of topics) {
    const of = (setting: string): string => settings.get(topic)?.get(setting) ?? 'not told';
    const policy = of('cleanup.policy');
    if (policy.split(',').some((part) => part.trim() === 'compact')) {
      const next = 'Compaction removes records that the ledger has numbered. ' + alter(topic, 'cleanup.policy', 'delete');
      throw wrongSetting(topic, 'cleanup.policy', { value: policy, wanted: 'delete', next });
    }
    if (of('retention.ms') !== '-1') warnings.push(`topic ${topic}: records older than retention.ms=${of('retention.ms')} are deleted and can then not be read again`);
    if (of('retention.bytes') !== '-1') warnings.push(`topic ${topic}: records beyond retention.bytes=${of('retention.bytes')} a partition are deleted and can then not be read again`);
  }
  return { topics: found.map(({ topic, partitions }) => ({ topic, partitions: partitions.length })), warnings };
}

/** How long a topic keeps its records; undefined if that cannot be told: there is no such topic, or we may not ask. Throws `unavailable`. */
export async function topicRetention({ kafka, topic }: { readonly kafka: KafkaOptions; readonly topic: string }): Promise<Retention | undefined> {
  const settings = await settingsOf(kafka, [topic]).catch((error: unknown) => {
    if (isPlaitError(error, 'config')) return undefined;
    throw error;
  });
  const of = settings?.get(topic);
  const [ms, bytes, policy] = [of?.get('retention.ms'), of?.get('retention.bytes'), of?.get('cleanup.policy')];
  if (ms === undefined || bytes === undefined || policy === undefined) return undefined;
  return { ms: BigInt(ms), bytes: BigInt(bytes), onlyDelete: policy.trim() === 'delete' };
}

/** Where a partition begins and ends, at the moment of asking. */
export interface PartitionOffsets {
  readonly partition: number;
  /** First offset it still holds. */
  readonly logStart: Offset;
  /** Offset after its newest record, uncommitted ones included. */
  readonly end: Offset;
}

/**
 * Asks for every partition of a topic, in order of their numbers. Throws `config` if there is no such topic (with
 * `exists: false` in its details) or we may not describe, with `toRead` read it; `unavailable`.
 */
export async function topicOffsets(
  options: { readonly kafka: KafkaOptions; readonly topic: string; readonly toRead?: boolean },
): Promise<readonly PartitionOffsets[]> {
  const { kafka, topic, toRead = false } = options;
  return await withWire(kafka, async (wire) => {
    const [found] = await describe(wire, [topic], [toRead ? 'Read' : 'Describe']);
    const offsets: PartitionOffsets[] = [];
    for (const { partition, leader } of (found?.partitions ?? []).toSorted((a, b) => a.partition - b.partition)) {
      if (leader === undefined) throw new PlaitError('unavailable', `${topic}-${partition} has no leader`);
      const listed = await wire.listOffsets(leader, { topic, partition }).catch((error: unknown) => {
        throw readError(error, `offsets of ${topic}-${partition}`);
      });
      if (listed.errorCode !== 0) throw new PlaitError('unavailable', `offsets of ${topic}-${partition}: Kafka's error ${listed.errorCode}`);
      offsets.push({ partition, logStart: offset(listed.logStart), end: offset(listed.end) });
    }
    return offsets;
  });
}
