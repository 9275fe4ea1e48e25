/**
 * A member of a consumer group of readers. As in membership.ts kafkajs' consumer is used for the group protocol and nothing
 * else; here commits matter, so a member also knows its generation, and for each partition whether it had it without
 * interruption: whoever had it in between may have gone on, and what was read before must not be committed any more.
 */
import type { Consumer } from 'kafkajs';
import { partitionName, PlaitError } from '@plait/core';
import type { TopicPartition } from '@plait/core';
import { withDeadline } from './deadline.ts';
import { isRefused } from './errors.ts';
import { stickyAssigner } from './group-assigner.ts';
import { GroupCommits, type Committed, type Committer } from './group-commits.ts';
import { connectConsumer, makeGroupConsumer, runConsumer, type GroupConsumerOptions, type Joined } from './group-consumer.ts';
import { groupError } from './refusal.ts';

/** Which group a reader joins, and which topics' partitions it shares with the others. */
export interface ReaderGroupOptions extends GroupConsumerOptions {
  readonly topics: readonly string[];
}

/**
 * A partition that this member has, from when it got it until it loses it: one that it gets back is another hold.
 *
 * `held`: it is ours. `unsure`: the group rebalances, or has not said yet. `lost`: another may have it; for ever.
 */
export interface Hold extends TopicPartition {
  readonly state: 'held' | 'unsure' | 'lost';
}

/** One member. Joins by itself, and again after every failure. */
export interface ReaderGroup {
  /** What it has, in no order; undefined while it is not known. Never waits. Throws `config` once it was refused. */
  holds(): readonly Hold[] | undefined;

  /** What the group committed for these partitions; nothing for one without a commit. Throws `unavailable`, `config`. */
  committed(partitions: readonly TopicPartition[]): Promise<readonly Committed[]>;

  /**
   * Commits for holds of this member. Throws `fenced` if one of them is lost, by what this member or the broker knows:
   * then none of it is committed. `unknown` when it may or may not be committed, also while the group goes on rebalancing;
   * the same again is safe. `config` when it is not allowed.
   */
  commit(commits: readonly { readonly hold: Hold; readonly offset: bigint; readonly metadata: string }[]): Promise<void>;

  /** Leaves, so that others need not wait for the session to expire. All holds are lost. Repeatable, never rejects. */
  leave(): Promise<void>;
}

const LEAVE_DEADLINE_MS = 3_000;
/** How long leaving waits for the first rebalance to be over. */
const JOINING_DEADLINE_MS = 300;
const RESTART_AFTER_MS = 1_000;
/** How long a commit waits for the group to know who has what. */
const SURE_DEADLINE_MS = 20_000;
const SURE_POLL_MS = 50;

interface OwnHold extends Hold {
  state: Hold['state'];
}

class Member implements ReaderGroup {
  readonly #options: ReaderGroupOptions;
  readonly #commits: GroupCommits;
  #consumer: Consumer | undefined;
  /** Resolves when the consumer's first rebalance is over: before that kafkajs does not leave a group, even when told to. */
  #joining: Promise<void> = Promise.resolve();
  #holds = new Map<string, OwnHold>();
  /** In which generation `holds` is known to be right. */
  #sure: Committer | undefined;
  /** What it was told when it joined last, until it knows in which generation. */
  #joined: Joined | undefined;
  /** The last one that was sure. */
  #former: Committer | undefined;
  #left = false;
  #restart: NodeJS.Timeout | undefined;
  #refusal: PlaitError | undefined;

  constructor(options: ReaderGroupOptions) {
    this.#options = options;
    this.#commits = new GroupCommits(options);
  }

  holds(): readonly Hold[] | undefined {
    if (this.#refusal !== undefined) throw this.#refusal;
    return this.#sure === undefined ? undefined : [...this.#holds.values()];
  }

  async committed(partitions: readonly TopicPartition[]): Promise<readonly Committed[]> {
    return await this.#commits.fetch(partitions);
  }

  async commit(commits: Parameters<ReaderGroup['commit']>[0]): Promise<void> {
    const deadlineMs = performance.now() + SURE_DEADLINE_MS;
    const offsets = commits.map(({ hold, offset, metadata }) => ({ topic: hold.topic, partition: hold.partition, offset: offset as Committed['offset'], metadata }));
    while (performance.now() < deadlineMs) {
      for (const { hold } of commits) if (hold.state === 'lost') throw this.#fenced(hold);
      if (this.#refusal !== undefined) throw this.#refusal;
      const committer = this.#sure;
      if (committer !== undefined && (await this.#commits.commit(committer, offsets))) return;
      // The next heartbeat tells the member what the broker knows already.
      await new Promise((resolve) => setTimeout(resolve, SURE_POLL_MS));
    }
    throw new PlaitError('unknown', `commit of group ${this.#options.groupId}: the group did not come to rest within ${SURE_DEADLINE_MS} ms`);
  }

  #fenced(hold: Hold): PlaitError {
    return new PlaitError('fenced', `group ${this.#options.groupId}: ${partitionName(hold)} is another member's by now, or this one has left: ` +
      'what was read of it and not committed is read again there', { details: { group: this.#options.groupId, topic: hold.topic, partition: hold.partition } });
  }

  /** Joins in the background; later failures are repaired there too. Throws `unavailable`, `config`. */
  async join(): Promise<void> {
    if (this.#left) return;
    const { groupId, topics } = this.#options;
    const doing = `join group ${groupId}`;
    await this.#commits.requireRight();
    if (this.#left) return;
    const consumer = this.#makeConsumer();
    this.#consumer = consumer;
    try {
      await connectConsumer(consumer, topics, doing);
    } catch (error) {
      if (this.#consumer === consumer) this.#consumer = undefined;
      throw groupError(error, { kafka: this.#options.kafka, groupId, doing: `${doing} for ${topics.join(', ')}` });
    }
    // Meanwhile it may have left, and kafkajs runs a consumer that was disconnected: a member that nobody knows of would
    // keep its partitions for ever.
    if (this.#consumer !== consumer) return void consumer.disconnect().catch(() => undefined);
    // Not awaited: joining lasts as long as the group's rebalance. What goes wrong comes as the event CRASH.
    this.#joining = runConsumer(consumer).catch((error: unknown) => this.#crashed(consumer, error));
  }

  #makeConsumer(): Consumer {
    const assigner = stickyAssigner(() => ({ generation: this.#former?.generation ?? -1, has: new Set(this.#holds.keys()) }));
    const consumer = makeGroupConsumer(this.#options, (joined) => {
      if (this.#consumer !== consumer) return;
      this.#doubt();
      this.#joined = joined;
    }, assigner);
    const { HEARTBEAT, REBALANCING, CRASH } = consumer.events;
    consumer.on(HEARTBEAT, ({ payload: { memberId, groupGenerationId } }) => {
      if (this.#consumer === consumer) this.#heard(memberId, groupGenerationId);
    });
    consumer.on(REBALANCING, () => {
      if (this.#consumer === consumer) this.#doubt();
    });
    consumer.on(CRASH, ({ payload }) => this.#crashed(consumer, payload.error));
    return consumer;
  }

  /** Somebody else may be given what this member has. */
  #doubt(): void {
    this.#sure = undefined;
    this.#joined = undefined;
    for (const hold of this.#holds.values()) hold.state = 'unsure';
  }

  /** The first answer to a heartbeat after joining tells the generation: kafkajs does not say it when it joins. */
  #heard(memberId: string, generation: number): void {
    const joined = this.#joined;
    const former = this.#former;
    const isStale = former?.memberId === memberId && former.generation === generation;
    if (joined === undefined || joined.memberId !== memberId || isStale) return;
    // It was a member in two generations in a row: nobody had its partitions in between.
    const isNext = generation === (former?.generation ?? 0) + 1;
    const kept = new Map<string, OwnHold>();
    for (const partition of joined.partitions) {
      const name = partitionName(partition);
      const hold = isNext ? this.#holds.get(name) : undefined;
      if (hold !== undefined) this.#holds.delete(name);
      kept.set(name, hold ?? { ...partition, state: 'held' });
    }
    for (const hold of this.#holds.values()) hold.state = 'lost';
    for (const hold of kept.values()) hold.state = 'held';
    this.#holds = kept;
    this.#joined = undefined;
    this.#former = this.#sure = { generation, memberId };
  }

  #crashed(consumer: Consumer, error: unknown): void {
    if (this.#consumer !== consumer || this.#left) return;
    this.#doubt();
    this.#consumer = undefined;
    const { kafka, groupId } = this.#options;
    if (isRefused(error)) this.#refusal = groupError(error, { kafka, groupId, doing: `group ${groupId}` });
    else this.#joinAgain();
  }

  #joinAgain(): void {
    clearTimeout(this.#restart);
    this.#restart = setTimeout(() => {
      this.join().catch((error: unknown) => {
        if (error instanceof PlaitError && error.code === 'config') this.#refusal = error;
        else this.#joinAgain();
      });
    }, RESTART_AFTER_MS);
  }

  async leave(): Promise<void> {
    this.#left = true;
    clearTimeout(this.#restart);
    this.#doubt();
    for (const hold of this.#holds.values()) hold.state = 'lost';
    this.#commits.close();
    const consumer = this.#consumer;
    this.#consumer = undefined;
    if (consumer === undefined) return;
    // `disconnect` stops first, and stopping leaves.
    const left = this.#joining.then(() => consumer.disconnect());
    left.catch(() => undefined);
    // A rebalance may last. It leaves behind it then, and nobody waits for that.
    const isJoined = await withDeadline(this.#joining.then(() => true), { ms: JOINING_DEADLINE_MS, doing: 'join' }).catch(() => false);
    if (isJoined) await withDeadline(left, { ms: LEAVE_DEADLINE_MS, doing: 'leave' }).catch(() => undefined);
  }
}

/**
 * Joins a group of readers. Within about 5 s it has asked to join, or throws `unavailable` (also while a topic does not
 * exist) or `config`; what it holds it knows some seconds later. Consumers of other kinds cannot be in the same group.
 */
export async function joinReaderGroup(options: ReaderGroupOptions): Promise<ReaderGroup> {
  const member = new Member(options);
  try {
    await member.join();
    return member;
  } catch (error) {
    await member.leave();
    throw error;
  }
}
