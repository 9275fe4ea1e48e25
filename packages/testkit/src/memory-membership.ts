/**
 * The group of workers in memory. Each member switches to a new assignment at a moment of its own, with or without an
 * empty one between, so for a while a partition has two owners or none, as in life; a paused member keeps its old one.
 */
import { PlaitError, type TopicPartition } from '@plait/core';
import type { Assignment, Membership } from '@plait/roles';
import type { Faults } from './faults.ts';
import { Guard } from './guard.ts';
import type { Prng } from './prng.ts';
import { isAlive, type Process, type Scheduler } from './scheduler.ts';

/** How a group in memory behaves. */
export interface MemoryGroupOptions {
  readonly faults: Faults;
  /** The partitions of a topic that exist now; asked at each rebalance and look-around. */
  readonly partitionsOf: (topic: string) => readonly TopicPartition[];
  /** How long a member may be crashed or paused before its partitions go to others. Default 6,000. */
  readonly sessionTimeoutMs?: number;
}

/** What the group knows of a member. */
interface Member {
  readonly process: Process;
  topics: readonly string[];
  /** In the group: gets partitions. False before the first `subscribe`, after `leave` and after its session expired. */
  isIn: boolean;
  hasLeft: boolean;
  lastSeenMs: number;
  assignment: Assignment;
}

/** One group. `rebalance` is for the test itself. */
export class MemoryGroup {
  readonly #scheduler: Scheduler;
  readonly #faults: Faults;
  readonly #random: Prng;
  readonly #partitionsOf: (topic: string) => readonly TopicPartition[];
  readonly #sessionTimeoutMs: number;
  readonly #members = new Set<Member>();
  /** Counts rebalances: what an older one still had to tell is void. */
  #round = 0;
  #isLooking = false;
  #sharedBefore = '';

  constructor(scheduler: Scheduler, options: MemoryGroupOptions) {
    this.#scheduler = scheduler;
    this.#faults = options.faults;
    this.#random = scheduler.random.fork('group');
    this.#partitionsOf = options.partitionsOf;
    this.#sessionTimeoutMs = options.sessionTimeoutMs ?? 6_000;
  }

  /** The membership of one process; not in the group before `subscribe`. */
  member(process: Process): Membership {
    const assignment = { version: 0, partitions: [] };
    const member: Member = { process, topics: [], isIn: false, hasLeft: false, lastSeenMs: 0, assignment };
    const guard = new Guard(this.#scheduler, process, 'Membership');
    return {
      subscribe: (topics) => guard.open('subscribe', () => this.#subscribe(member, [...topics])),
      assignment: () => member.assignment,
      leave: () => {
        guard.close();
        return this.#leave(member);
      },
    };
  }

  /**
   * Shares all partitions anew, at random, each to one member that subscribed to its topic; some to two, or none to
   * anybody, when the faults say so, and then another rebalance follows within a session timeout.
   */
  rebalance(): void {
    this.#round += 1;
    const round = this.#round;
    const members = [...this.#members].filter((m) => m.isIn);
    const isOverlapping = this.#faults.happens('assignmentOverlap');
    const isEmpty = this.#faults.happens('assignmentEmpty');
    const shares = new Map<Member, TopicPartition[]>(members.map((m) => [m, []]));
    this.#sharedBefore = this.#shared();
    for (const partition of isEmpty ? [] : this.#partitions()) {
      const entitled = members.filter((m) => m.topics.includes(partition.topic));
      const owner = this.#random.pick(entitled);
      const second = isOverlapping && this.#random.chance(0.5) ? this.#random.pick(entitled) : owner;
      for (const member of new Set([owner, second])) shares.get(member)?.push(partition);
    }
    for (const [member, partitions] of shares) this.#tell(member, partitions, round);
    if (isOverlapping || isEmpty) {
      const delayMs = this.#sessionTimeoutMs * this.#random.uniform();
      this.#scheduler.after(delayMs, 'group repairs', () => {
        if (round === this.#round) this.rebalance();
      });
    }
  }

  #subscribe(member: Member, topics: readonly string[]): Promise<void> {
    const isUnavailable = this.#faults.happens('subscribeUnavailable');
    const effect = (): void => {
      if (isUnavailable) throw new PlaitError('unavailable', 'simulated: subscribe');
      if (member.hasLeft) return;
      member.topics = topics;
      this.#join(member);
    };
    const times = { delayMs: this.#faults.delayMs(), answerMs: this.#faults.delayMs() };
    return this.#scheduler.call(member.process, 'subscribe', effect, times);
  }

  #join(member: Member): void {
    member.isIn = true;
    member.lastSeenMs = this.#scheduler.nowMs;
    this.#members.add(member);
    this.rebalance();
    this.#lookAroundSoon();
  }

  #leave(member: Member): Promise<void> {
    if (!member.hasLeft) this.#assign(member, []);
    member.hasLeft = true;
    const effect = (): void => {
      if (this.#members.delete(member) && member.isIn) this.rebalance();
      member.isIn = false;
    };
    const times = { delayMs: this.#faults.delayMs(), answerMs: this.#faults.delayMs() };
    return this.#scheduler.call(member.process, 'leave', effect, times);
  }

  /** Brings a member its share: perhaps first an empty one, then, later, the new one. Inside its process. */
  #tell(member: Member, partitions: readonly TopicPartition[], round: number): void {
    const tell = (share: readonly TopicPartition[], then?: () => void): void => {
      const run = (): void => {
        if (round !== this.#round || member.hasLeft) return;
        this.#assign(member, share);
        then?.();
      };
      this.#scheduler.after(this.#faults.delayMs(), 'assignment', run, member.process);
    };
    if (this.#random.chance(0.5)) tell(partitions);
    else tell([], () => tell(partitions));
  }

  #assign(member: Member, partitions: readonly TopicPartition[]): void {
    member.assignment = { version: member.assignment.version + 1, partitions: partitions.map((p) => ({ ...p })) };
    const list = partitions.map((p) => `${p.topic}/${p.partition}`).join(' ');
    this.#scheduler.note(member.process, `assigned ${member.assignment.version}: ${list}`);
  }

  /** Partitions of all topics that somebody in the group subscribed to. */
  #partitions(): readonly TopicPartition[] {
    const topics = new Set([...this.#members].filter((m) => m.isIn).flatMap((m) => m.topics));
    return [...topics].flatMap((topic) => this.#partitionsOf(topic));
  }

  #shared(): string {
    return this.#partitions()
      .map((p) => `${p.topic}/${p.partition}`)
      .join(' ');
  }

  #lookAroundSoon(): void {
    if (this.#isLooking || this.#members.size === 0) return;
    this.#isLooking = true;
    this.#scheduler.after(this.#sessionTimeoutMs / 4, 'group looks around', () => {
      this.#isLooking = false;
      this.#lookAround();
      this.#lookAroundSoon();
    });
  }

  /** Expires silent members, takes returned ones in again, sees new partitions; rebalances if anything changed. */
  #lookAround(): void {
    let isChanged = this.#shared() !== this.#sharedBefore;
    for (const member of this.#members) {
      if (member.process.state === 'running') {
        member.lastSeenMs = this.#scheduler.nowMs;
        isChanged ||= !member.isIn;
        member.isIn = true;
      } else if (this.#scheduler.nowMs - member.lastSeenMs >= this.#sessionTimeoutMs) {
        isChanged ||= member.isIn;
        member.isIn = false;
        if (!isAlive(member.process)) this.#members.delete(member);
      }
    }
    if (isChanged) this.rebalance();
  }
}
