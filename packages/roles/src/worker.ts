/**
 * The worker: hashes the records of the partitions it is assigned, and reports them as segments.
 *
 * Its next segment of a partition starts at the chain's end in the fold. It reports on while earlier reports are on
 * their way; when one is read as ignored, when none is read for a while, or when another worker's segment was taken
 * instead, the partition starts again from the chain's end.
 *
 * A partition that is not what it was, or that cannot be read on, stops with an alarm, and the others go on (DESIGN,
 * section 5). It is tried again when its chain went another way, with the next assignment, and with the next configuration.
 */
import {
  chainOf, compareSegments, formatReport, formatSegment, invariant, isAmong, isPlaitError, isTransient, partitionName, REPORT_BYTES_MAX, segmentCount,
  segmentHash, signNote, type Hash, type LedgerState, type Offset, type PlaitError, type Segment, type SignerKey, type TopicPartition,
} from '@plait/core';
import { describeOther } from './chain-check.ts';
import type { AlarmName, Observe } from './events.ts';
import { Follower, type Folded, type FollowerOptions } from './follower.ts';
import { DEFAULT_TIMES, WORKER_WAIT_MS, type RoleTimes } from './limits.ts';
import { PartitionWork } from './partition-work.ts';
import type { Clock, LogAppender, Membership, SourceBatch, SourceEvent, SourceFound, SourceOutOfRange, SourceReader } from './ports.ts';
import { Throttle } from './throttle.ts';

/** What a worker needs. */
export interface WorkerOptions extends FollowerOptions {
  /** A worker key; whether it is in force is for the fold to say. */
  readonly key: SignerKey;
  readonly appender: LogAppender;
  readonly source: SourceReader;
  readonly membership: Membership;
  readonly clock: Clock;
  readonly observe?: Observe;
  readonly times?: Partial<RoleTimes>;
}

/** Room that the head of a report and its signature take, in bytes, generously. */
const REPORT_HEAD_BYTES = 2_048;

/** A worker of one ledger; run its steps in a loop. */
export class Worker {
  readonly #options: WorkerOptions;
  readonly #times: RoleTimes;
  readonly #follower: Follower;
  readonly #reports: Throttle;
  readonly #work = new Map<string, PartitionWork>();
  /** Partitions that are not read on, after an alarm. What was hashed of them is still reported, if it still stands. */
  readonly #stopped = new Set<string>();
  /** Partitions not read for now, since their reports do not keep up. */
  readonly #held = new Set<string>();
  #subscribed = '';
  /** Partitions sought while events are taken: what was fetched of them before and comes behind in the same poll is not wanted. */
  readonly #sought = new Set<string>();
  #assignment = -1;
  #configuration: Hash | undefined;
  /** The append under way; settled by reading the log, whatever its answer says. */
  #sending: Promise<void> | undefined;
  /** A report whose append failed, to be sent again before any other. */
  #again: Uint8Array | undefined;
  #failure: unknown;
  #restUntilMs = 0;

  constructor(options: WorkerOptions) {
    this.#options = options;
    this.#times = { ...DEFAULT_TIMES, ...options.times };
    this.#follower = new Follower(options, (folded) => this.#absorb(folded));
    this.#reports = new Throttle(this.#times.cutIntervalMs);
  }

  /** Whether the log was read to an end sampled after the start; until then {@link state} is an older one. */
  get caughtUp(): boolean {
    return this.#follower.caughtUp;
  }

  /** The fold of what this worker has read; undefined before genesis. */
  get state(): LedgerState | undefined {
    return this.#follower.state;
  }

  /** Reads the log, follows the assignment, hashes what has arrived and reports it when it is time. */
  async step(): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    await this.#follower.poll(0);
    if (!(await this.#follower.catchUp())) return;
    const state = this.state;
    invariant(state !== undefined, 'caught up before genesis');

    await this.#subscribe(state);
    this.#followAssignment(state);
    this.#followConfiguration(state);
    this.#reconcile(state);
    const events = await this.#poll();
    this.#sought.clear();
    for (const event of events) this.#take(event);
    this.#report(state);
  }

  /**
   * For a stop in good order, after the last step: reports what was hashed. True when every report of it was acknowledged;
   * false if the log did not answer, or had no room, for `drainMs`: then the next owner hashes again. Does not wait until
   * the reports are read back.
   */
  async drain(): Promise<boolean> {
    const { clock } = this.#options;
    const untilMs = clock.nowMs() + this.#times.drainMs;
    while (this.#isReporting && clock.nowMs() < untilMs) {
      if (this.state !== undefined) this.#report(this.state);
      const sending = this.#sending;
      await (sending === undefined ? clock.sleep(this.#waitMs()) : Promise.race([sending, clock.sleep(untilMs - clock.nowMs())]));
      // Blocks make room for reports.
      await this.#follower.poll(0).catch(ignoreOutage);
    }
    await this.#follower.remember().catch(ignoreOutage);
    return !this.#isReporting;
  }

  /** Whether something is hashed that is in no acknowledged report. */
  get #isReporting(): boolean {
    return this.#sending !== undefined || this.#again !== undefined || [...this.#work.values()].some((work) => work.unreported);
  }

  #waitMs(): number {
    const waiting = this.#again !== undefined || [...this.#work.values()].some((work) => work.unreported);
    if (!waiting) return WORKER_WAIT_MS;
    if (this.#sending !== undefined) return 1;
    const nowMs = this.#options.clock.nowMs();
    // Never 0: a report may also be waiting for a block to make room.
    return Math.min(WORKER_WAIT_MS, Math.max(1, this.#reports.waitMs(nowMs), this.#restUntilMs - nowMs));
  }

  /** What has arrived. A batch that nobody can decode stops its partition only. */
  async #poll(): Promise<readonly SourceEvent[]> {
    try {
      return await this.#options.source.poll({ maxWaitMs: this.#waitMs() });
    } catch (error) {
      const work = isPlaitError(error, 'invalid') ? this.#work.get(placeOf(error)) : undefined;
      if (work === undefined) throw error;
      this.#stop(work, 'record-unreadable', (error as Error).message);
      return [];
    }
  }

  /** A segment of its own that was read as ignored means that what follows it is worthless too. */
  #absorb({ outcome }: Folded): void {
    if (outcome.kind !== 'report') return;
    for (const each of outcome.segments) {
      if (each.accepted || each.reason === 'duplicate') continue;
      const work = this.#work.get(partitionName(each.segment));
      if (work?.awaits(segmentHash(each.segment)) === true) this.#forget(each.segment);
      if (each.reason === 'equivocation') {
        this.#alarm('equivocation', `two different segments over ${formatSegment(each.segment)}`);
      }
    }
  }

  /** Without a key in force it takes no part: it would only keep partitions from those who may report them. */
  async #subscribe(state: LedgerState): Promise<void> {
    const topics = this.#mayReport(state) ? state.configuration.body.sources : [];
    const wanted = topics.join(' ');
    if (wanted === this.#subscribed) return;
    await this.#options.membership.subscribe(topics);
    this.#subscribed = wanted;
  }

  #mayReport({ configuration }: LedgerState): boolean {
    return isAmong(configuration.body.workerKeys, this.#options.key.verifier);
  }

  #followAssignment(state: LedgerState): void {
    const { version, partitions } = this.#options.membership.assignment();
    if (version !== this.#assignment) {
      this.#assignment = version;
      this.#retry();
      const assigned = new Set(partitions.map(partitionName));
      for (const work of this.#work.values()) if (!assigned.has(partitionName(work.partition))) this.#forget(work.partition);
      this.#options.observe?.({ event: 'assigned', version, partitions });
    }
    for (const partition of partitions) {
      if (!this.#work.has(partitionName(partition))) this.#start(state, partition);
    }
  }

  /** A configuration may have restarted a partition, or allowed losses. */
  #followConfiguration({ configuration: { hash } }: LedgerState): void {
    if (hash !== this.#configuration) this.#retry();
    this.#configuration = hash;
  }

  /** Forgets the partitions that have stopped, so that they start again. */
  #retry(): void {
    for (const name of this.#stopped) {
      const work = this.#work.get(name);
      if (work !== undefined) this.#forget(work.partition);
    }
  }

  /** The next segment starts at the chain's end in the fold, if the partition is still what it was. */
  #start(state: LedgerState, partition: TopicPartition): void {
    const work = new PartitionWork(partition, chainOf(state, partition));
    this.#work.set(partitionName(partition), work);
    this.#options.source.find(partition);
    this.#options.observe?.({ event: 'started', partition, offset: work.readTo, why: 'chain end' });
  }

  #forget(partition: TopicPartition): void {
    const name = partitionName(partition);
    this.#work.delete(name);
    this.#held.delete(name);
    this.#stopped.delete(name);
    this.#options.source.drop(partition);
  }

  /** Starts partitions again whose chain went another way, and lets go on those whose reports were taken. */
  #reconcile(state: LedgerState): void {
    const options = { nowMs: this.#options.clock.nowMs(), patienceMs: this.#times.reportTimeoutMs };
    for (const work of Array.from(this.#work.values())) {
      const name = partitionName(work.partition);
      if (work.reconcile(chainOf(state, work.partition), options) !== 'good') {
        this.#forget(work.partition);
        this.#start(state, work.partition);
      } else if (this.#held.has(name) && work.hasRoom) {
        this.#held.delete(name);
        this.#options.source.find(work.partition);
      }
    }
  }

  #take(event: SourceEvent): void {
    const name = partitionName(event);
    const work = this.#work.get(name);
    if (work === undefined || this.#stopped.has(name) || this.#held.has(name)) return;
    // Also behind what was compared just now: that may have been fetched from what the partition was before.
    if (event.kind === 'found') return this.#found(work, event);
    if (this.#sought.has(name)) return;
    if (event.kind === 'out-of-range') this.#outOfRange(work, event);
    else this.#hash(work, event);
  }

  /** Before anything is added to what was hashed, it is compared; also when the partition was lost for a while. */
  #found(work: PartitionWork, { logStart, end }: SourceFound): void {
    if (end < work.readTo) return this.#regressed(work, endsBelow(work, end));
    this.#seek(work, work.found(logStart));
  }

  /** No position is ever moved here but over a range that is signed as lost. */
  #outOfRange(work: PartitionWork, { logStart, end }: SourceOutOfRange): void {
    const { readTo } = work;
    if (end < readTo) return this.#regressed(work, endsBelow(work, end));
    // What was to be compared may have expired meanwhile: then nobody can tell, and it is read on.
    const next = work.found(logStart);
    if (logStart <= readTo) return this.#seek(work, next);
    if (this.state?.configuration.body.onLoss !== 'record') {
      return this.#stop(work, 'source-expired', `${partitionName(work.partition)}: offsets ${readTo} … ${logStart} expired before they were ` +
        `hashed; the partition holds ${logStart} … ${end}`);
    }
    work.lose(logStart);
    this.#options.observe?.({ event: 'lost', partition: work.partition, firstOffset: readTo, nextOffset: logStart });
    this.#seek(work, work.readTo);
  }

  #seek({ partition }: PartitionWork, offset: Offset): void {
    this.#sought.add(partitionName(partition));
    this.#options.source.seek(partition, offset);
  }

  #hash(work: PartitionWork, batch: SourceBatch): void {
    const name = partitionName(batch);
    try {
      const found = work.add(batch);
      if (typeof found === 'object') this.#regressed(work, describeOther(found, name));
      else if (found === 'checked') this.#seek(work, work.readTo);
      else if (found === 'hashed' && work.full) this.#hold(work);
    } catch (error) {
      if (!isPlaitError(error, 'invalid')) throw error;
      this.#stop(work, 'record-unreadable', `${name}: a record in ${batch.firstOffset} … ${batch.nextOffset} cannot be hashed: ${error.message}`);
    }
  }

  #hold({ partition }: PartitionWork): void {
    this.#held.add(partitionName(partition));
    this.#options.source.drop(partition);
  }

  /** What was hashed here and not reported is of a partition that is no more. */
  #regressed({ partition }: PartitionWork, what: string): void {
    const { state } = this;
    invariant(state !== undefined, 'a partition before genesis');
    const work = new PartitionWork(partition, chainOf(state, partition));
    this.#work.set(partitionName(partition), work);
    this.#stop(work, 'source-regressed', `${what}. It is not reported on until a configuration restarts it`);
  }

  /** Stops one partition with an alarm; the others go on. */
  #stop({ partition }: PartitionWork, alarm: AlarmName, message: string): void {
    this.#options.source.drop(partition);
    this.#held.delete(partitionName(partition));
    this.#stopped.add(partitionName(partition));
    this.#alarm(alarm, message);
  }

  #alarm(alarm: AlarmName, message: string): void {
    this.#options.observe?.({ event: 'alarm', alarm, message });
  }

  /** Sends the next report if it is time, without waiting for the answer. */
  #report(state: LedgerState): void {
    const nowMs = this.#options.clock.nowMs();
    if (this.#sending !== undefined || this.#reports.waitMs(nowMs) > 0 || nowMs < this.#restUntilMs) return;
    // The log may have been rolled back since it was last looked at.
    if (!this.#follower.confirmed) return;
    if (!this.#mayReport(state)) return;
    const bytes = this.#again ?? this.#nextReport(state, nowMs);
    if (bytes === undefined) return;
    this.#reports.passed(nowMs);
    this.#sending = this.#send(bytes);
  }

  #nextReport(state: LedgerState, nowMs: number): Uint8Array | undefined {
    const segments = this.#collect(state, nowMs);
    if (segments.length === 0) return undefined;
    const { origin, ledgerId } = state;
    const text = formatReport({ kind: 'report', origin, ledgerId, segments });
    const records = segments.reduce((sum, segment) => sum + segmentCount(segment), 0n);
    this.#options.observe?.({ event: 'reported', segments: segments.length, records });
    return signNote(text, this.#options.key);
  }

  /** New segments of all partitions, as many as fit a report, in canonical order. */
  #collect(state: LedgerState, nowMs: number): Segment[] {
    const segments: Segment[] = [];
    let bytes = REPORT_HEAD_BYTES;
    for (const work of this.#work.values()) {
      const room = state.configuration.body.pendingMax - chainOf(state, work.partition).pending.length;
      while (bytes < REPORT_BYTES_MAX - REPORT_HEAD_BYTES) {
        const segment = work.take(room, nowMs);
        if (segment === undefined) break;
        segments.push(segment);
        bytes += formatSegment(segment).length + 1;
      }
    }
    return segments.toSorted(compareSegments);
  }

  /** An append whose outcome is settled by reading. */
  async #send(bytes: Uint8Array): Promise<void> {
    // A crash here leaves a report in the log or not: the next owner of its partitions reads the log and goes on.
    try {
      await this.#options.appender.append(bytes);
      this.#again = undefined;
    } catch (error) {
      if (!isTransient(error)) this.#failure = error;
      this.#again = bytes;
      this.#restUntilMs = this.#options.clock.nowMs() + this.#times.resendMs / 4;
      this.#options.observe?.({ event: 'waiting', why: (error as Error).message });
    } finally {
      this.#sending = undefined;
    }
  }
}

function ignoreOutage(error: unknown): void {
  if (!isTransient(error)) throw error;
}

/** The partition that an error of the source names. */
function placeOf({ details: { topic, partition } }: PlaitError): string {
  return partitionName({ topic: String(topic), partition: Number(partition) });
}

function endsBelow({ partition, readTo }: PartitionWork, end: Offset): string {
  return `${partitionName(partition)}: ends at offset ${end}, and was hashed up to ${readTo}`;
}
