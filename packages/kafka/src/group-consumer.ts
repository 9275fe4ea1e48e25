/**
 * kafkajs' consumer, used for the group protocol and nothing else: each assigned partition is paused in the same turn in
 * which it is assigned, so it never fetches, never decodes what a producer wrote, never has a position. (Read in its source:
 * with everything paused `ConsumerGroup.fetch` sleeps `maxWaitTimeInMs` and returns nothing, upon which `Runner.fetch` sends
 * the heartbeat.) It commits nothing either.
 */
import type { Consumer, PartitionAssigner } from 'kafkajs';
import type { TopicPartition } from '@plait/core';
import { createKafka } from './client.ts';
import type { KafkaOptions } from './client.ts';
import { withDeadline } from './deadline.ts';

/** Which group, and how. */
export interface GroupConsumerOptions {
  readonly kafka: KafkaOptions;
  readonly groupId: string;
  /**
   * How long a killed member's partitions rest. Default 6,000 ms, the least that brokers allow by default; more costs
   * waiting, less is refused.
   */
  readonly sessionTimeoutMs?: number;
}

/** What a member is told when it joins. */
export interface Joined {
  readonly memberId: string;
  readonly partitions: readonly TopicPartition[];
}

const SESSION_TIMEOUT_MS = 6_000;
/** How long a rebalance waits for members to come back. They notice it with their next heartbeat. */
const REBALANCE_TIMEOUT_MS = 10_000;
const HEARTBEAT_INTERVAL_MS = 500;
/** With everything paused, how often kafkajs looks whether a heartbeat is due. */
const PAUSED_WAIT_MS = 250;
/** How long new partitions of a topic may stay unnoticed. */
const METADATA_MAX_AGE_MS = 5_000;
const CONNECT_DEADLINE_MS = 5_000;

/** A consumer that is not connected yet. `onJoin` is called at each end of a rebalance, with everything paused. */
export function makeGroupConsumer(
  { kafka, groupId, sessionTimeoutMs = SESSION_TIMEOUT_MS }: GroupConsumerOptions, onJoin: (joined: Joined) => void, assigner?: PartitionAssigner,
): Consumer {
  const consumer = createKafka(kafka).consumer({
    groupId,
    sessionTimeout: sessionTimeoutMs,
    rebalanceTimeout: REBALANCE_TIMEOUT_MS,
    heartbeatInterval: HEARTBEAT_INTERVAL_MS,
    maxWaitTimeInMs: PAUSED_WAIT_MS,
    metadataMaxAge: METADATA_MAX_AGE_MS,
    allowAutoTopicCreation: false,
    readUncommitted: false,
    ...(assigner === undefined ? {} : { partitionAssigners: [assigner] }),
    // Restarting is its owner's, with a consumer that knows nothing of the former.
    retry: { retries: 3, restartOnFailure: async () => false },
  });
  consumer.on(consumer.events.GROUP_JOIN, ({ payload: { memberId, memberAssignment } }) => {
    consumer.pause(Object.keys(memberAssignment).map((topic) => ({ topic })));
    onJoin({ memberId, partitions: Object.entries(memberAssignment).flatMap(([topic, numbers]) => numbers.map((partition) => ({ topic, partition }))) });
  });
  return consumer;
}

/** Connects and subscribes, within about 5 s each. Throws what kafkajs does, and gives the connection up then. */
export async function connectConsumer(consumer: Consumer, topics: readonly string[], doing: string): Promise<void> {
  try {
    await withDeadline(consumer.connect(), { ms: CONNECT_DEADLINE_MS, doing });
    await withDeadline(consumer.subscribe({ topics: [...topics] }), { ms: CONNECT_DEADLINE_MS, doing });
  } catch (error) {
    consumer.disconnect().catch(() => undefined);
    throw error;
  }
}

/**
 * Joins. Resolves when the first rebalance is over: before that kafkajs does not leave a group, even when told to. What goes
 * wrong later comes as the event CRASH.
 */
export async function runConsumer(consumer: Consumer): Promise<void> {
  await consumer.run({ autoCommit: false, eachBatch: async () => undefined });
}
