/**
 * A worker, a coordinator and a publisher of a small ledger in this process, over its real topics and state files, driven by
 * hand so that each wave of records becomes one segment a partition, one block and one checkpoint.
 */
import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import { chainOf, isTransient, logPosition, type SignerKey, type TopicPartition } from '@plait/core';
import { openStateFile } from '@plait/disk';
import { logOpener, topicOffsets, type KafkaOptions } from '@plait/kafka';
import { systemClock, type LedgerFile } from '@plait/ledger';
import {
  Coordinator, LeaseKeeper, Publisher, Worker, type Clock, type Lease, type LogAppender, type LogMessage, type LogReader, type Membership, type Observe, type Random,
} from '@plait/roles';
import { pinnedOf } from '../../apps/plait/src/running/wiring.ts';
import { patiently } from '../kafka/client.ts';
import { openPatientAppender, openPatientLog, openPatientSource } from '../kafka/patient.ts';

/** Which ledger they work for, and with what. */
export interface TeamOptions {
  readonly kafka: KafkaOptions;
  readonly file: LedgerFile;
  readonly partitions: readonly TopicPartition[];
  readonly keys: { readonly worker: SignerKey; readonly coordinator: SignerKey; readonly checkpoint: SignerKey };
  /** Folder of their state files. */
  readonly memory: string;
  /** As a coordinator's. */
  readonly snapshotMessages?: number;
  /** Whether the publisher does anything. Default true. */
  readonly publishes?: boolean;
}

interface Members {
  readonly worker: Worker;
  readonly coordinator: Coordinator;
  readonly publisher: Publisher;
  /** Size of the newest checkpoint that the publisher has read and that fits. */
  readonly read: { checkpoint: bigint };
}

const PATIENCE_MS = 120_000;
const LEASE_TTL_MS = 10_000;
const CHECKPOINT_MS = 200;
const POLL_MS = 1_000;

const random: Random = { uniform: () => Math.random(), bytes: (count) => randomBytes(count) };
/** It is never in the way of whoever may try. */
const clock: Clock = { ...systemClock, sleep: () => Promise.resolve() };
const grantsEveryone: Lease = {
  ttlMs: LEASE_TTL_MS,
  acquire: () => Promise.resolve({ extend: () => Promise.resolve(true), release: () => Promise.resolve() }),
  close: () => Promise.resolve(),
};

/** The three, at work. */
export class Team implements AsyncDisposable {
  readonly #options: TeamOptions;
  readonly #members: Members;
  readonly #ports: AsyncDisposableStack;

  private constructor(made: { options: TeamOptions; members: Members; ports: AsyncDisposableStack }) {
    this.#options = made.options;
    this.#members = made.members;
    this.#ports = made.ports;
  }

  /** Connects. */
  static async start(options: TeamOptions): Promise<Team> {
    const { kafka, file, keys, memory, partitions, snapshotMessages } = options;
    await using ports = new AsyncDisposableStack();
    const common = async (role: string) => ({
      ...pinnedOf(file), clock: systemClock, openLog: logOpener({ kafka, topic: file.log }), memory: openStateFile(join(memory, `${role}.json`)),
      log: ports.adopt(whole(await openPatientLog({ kafka, topic: file.log, from: logPosition(0n) })), (port) => port.close()),
      appender: ports.adopt<LogAppender>(await openPatientAppender({ kafka, topic: file.log }), (port) => port.close()),
      // Nobody begins anew because a machine stood still: what is in the log twice is ignored, and told of.
      times: { cutIntervalMs: 0, checkpointIntervalMs: CHECKPOINT_MS, takeoverMs: 0, stallMs: PATIENCE_MS, reportTimeoutMs: PATIENCE_MS },
    });
    const source = ports.adopt(await openPatientSource(kafka), (port) => port.close());
    const membership: Membership = { subscribe: () => Promise.resolve(), assignment: () => ({ version: 1, partitions }), leave: () => Promise.resolve() };
    const lease = new LeaseKeeper({ lease: grantsEveryone, clock, random });
    await lease.step();
    const read = { checkpoint: 0n };
    const observe: Observe = (event) => {
      if (event.event !== 'folded' || event.outcome.kind !== 'checkpoint') return;
      if (event.outcome.verdict === 'consistent') read.checkpoint = event.outcome.checkpoint.size;
    };
    const members = {
      read,
      worker: new Worker({ ...(await common('worker')), key: keys.worker, source, membership }),
      coordinator: new Coordinator({
        ...(await common('coordinator')), key: keys.coordinator, lease, random, ...(snapshotMessages === undefined ? {} : { snapshotMessages }),
      }),
      publisher: new Publisher({ ...(await common('publisher')), key: keys.checkpoint, observe }),
    };
    return new Team({ options, members, ports: ports.move() });
  }

  /** Waits until all that the partitions hold is numbered: as {@link report}, then {@link seal}. */
  async sequence(): Promise<void> {
    await this.report();
    await this.seal();
  }

  /** Waits until all that the partitions hold is reported, by whomever. */
  async report(): Promise<void> {
    const { worker } = this.#members;
    const ends = await this.#ends();
    await this.#drive('reports', worker, () => {
      const { state } = worker;
      return state !== undefined && this.#options.partitions.every((partition, i) => chainOf(state, partition).end.nextOffset >= (ends[i] ?? 0n));
    });
  }

  /** Waits until all that was reported is in one more block, and, if there are to be any, a checkpoint over it in the log. */
  async seal(): Promise<void> {
    const { coordinator, publisher, read } = this.#members;
    const { kafka, file, publishes = true } = this.#options;
    const end = (await patiently(() => topicOffsets({ kafka, topic: file.log })))[0]?.end ?? 0n;
    await this.#drive('a claim', coordinator, () => coordinator.leading);
    await this.#drive('a block', coordinator, () => coordinator.state?.pending === 0 && coordinator.state.position + 1n >= end);
    if (publishes) await this.#drive('a checkpoint', publisher, () => read.checkpoint >= (coordinator.state?.height ?? 0n));
  }

  /** What is new is numbered, as far as the roles take it, until one more checkpoint is in the log or it is no more time. Throws what ends a role. */
  async goOn(isTime: () => boolean): Promise<void> {
    const { worker, coordinator, publisher, read } = this.#members;
    let before: bigint | undefined;
    while (isTime() && (before === undefined || read.checkpoint <= before)) {
      for (const role of [publisher, worker, coordinator]) await stepOf(role);
      if (publisher.caughtUp) before ??= publisher.state?.height;
    }
  }

  async #ends(): Promise<readonly bigint[]> {
    const { kafka, partitions } = this.#options;
    const topics = [...new Set(partitions.map(({ topic }) => topic))];
    const found = new Map(await Promise.all(topics.map(async (topic) => [topic, await patiently(() => topicOffsets({ kafka, topic }))] as const)));
    return partitions.map(({ topic, partition }) => found.get(topic)?.find((each) => each.partition === partition)?.end ?? -1n);
  }

  async #drive(what: string, role: { step(): Promise<void> }, isDone: () => boolean): Promise<void> {
    const deadlineMs = performance.now() + PATIENCE_MS;
    while (!isDone()) {
      if (performance.now() > deadlineMs) throw new Error(`no ${what} in ${this.#options.file.log} within ${PATIENCE_MS} ms`);
      await stepOf(role);
    }
  }

  /** What they remember is saved; connections are freed. */
  async [Symbol.asyncDispose](): Promise<void> {
    const { worker, coordinator, publisher } = this.#members;
    const ends = await Promise.allSettled([worker.drain(), coordinator.drain(), publisher.drain()]);
    await this.#ports.disposeAsync();
    const failed = ends.find((end) => end.status === 'rejected');
    if (failed !== undefined) throw failed.reason;
  }
}

/**
 * A log of which each poll gives all that was there when it began. So a role reads back what it appended before it does
 * anything else, and one that cuts takes in all that was reported: whatever a broker takes its time for.
 */
function whole(log: LogReader): LogReader {
  return {
    poll: async ({ maxWaitMs }) => {
      const end = await log.end();
      const messages: LogMessage[] = [...(await log.poll({ maxWaitMs }))];
      while (log.position() < end) {
        try {
          messages.push(...(await log.poll({ maxWaitMs: POLL_MS })));
        } catch (error) {
          // The next poll throws it again.
          if (messages.length === 0) throw error;
          break;
        }
      }
      return messages;
    },
    position: () => log.position(), end: () => log.end(), incarnation: () => log.incarnation(), close: () => log.close(),
  };
}

async function stepOf(role: { step(): Promise<void> }): Promise<void> {
  await role.step().catch((error: unknown) => {
    if (!isTransient(error)) throw error;
  });
}
