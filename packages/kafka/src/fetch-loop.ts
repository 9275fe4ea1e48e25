/**
 * Fetches ahead. Every partition has a position of its own, given by its reader; there is no consumer group.
 *
 * For each broker that leads a wanted partition there are two connections ("lanes"). Lane 0 holds one long poll over
 * everything that may be fetched. A partition that joins meanwhile (sought, or taken below its bound again) cannot enter
 * that request, and Kafka answers one request of a connection at a time: it goes on lane 1 with a short wait, and enters
 * lane 0 with its next request, even while lane 1 still waits for it. So two answers may hold the same batches: an answer
 * counts only for the generation (of `seek`) and the position it was asked for.
 */
import type { TopicPartition } from '@plait/core';
import { PlaitError } from '@plait/core';
import { isRefusal, KAFKA, readError, reason } from './errors.ts';
import type { FetchedPartition } from './fetch-response.ts';
import { costOf, inTurn, outOfRange, requestOf, Source, undecodable } from './fetch-source.ts';
import type { Arrival, Asked, FetchLimits, Held, Taken } from './fetch-source.ts';
import { Silence } from './fetch-silence.ts';
import { extentOf } from './record-sets.ts';
import type { Lane, Wire } from './wire.ts';

/** How long a broker may hold a request back when there is nothing to read. Also bounds how long a lane stays apart. */
const IDLE_WAIT_MS = { 'fetch-0': 500, 'fetch-1': 50 } as const;
/** A request on lane 1 that is older than this is waiting for data: its partitions join lane 0. */
const WAITING_AFTER_MS = 10;
/** Without any answer for so long (beyond the idle wait) no broker counts as answering. */
const SILENCE_MS = 2_000;
const BACKOFF_MS = { first: 50, max: 1_000 } as const;
/** A queued slice keeps its whole response in memory: one smaller than this part of it is copied out. */
const PINNED_PART = 16;
/** An answer of so many bytes says that there is more: the next request does not wait for its pace. */
const LARGE_BYTES = 65_536;
/** Nobody has asked for so long: nothing more is fetched ahead until somebody does. */
const UNASKED_MS = 1_000;
/** The caller computes without ever waiting if chunks are at hand: let requests and answers through this often. */
const YIELD_AFTER_MS = 2;

const keyOf = ({ topic, partition }: TopicPartition): string => `${partition}/${topic}`;
const turnOfEventLoop = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

export class FetchLoop {
  readonly #wire: Wire;
  readonly #isolation: 0 | 1;
  readonly #limits: FetchLimits;
  readonly #sources = new Map<string, Source>();
  /** Those with something queued, next to be served first. */
  readonly #ready = new Set<Source>();
  /** Lanes that hold a request, as `node/lane`. */
  readonly #busy = new Set<string>();
  #generation = 0;
  #rotation = 0;
  #closed = false;
  #waiter: { readonly only: TopicPartition | undefined; readonly resolve: () => void } | undefined;
  readonly #silence = new Silence(SILENCE_MS + IDLE_WAIT_MS['fetch-0']);
  #lastFailure = 'no answer';
  #finding = false;
  #retryTimer: NodeJS.Timeout | undefined;
  /** When the next request to a node may begin, by its pace. */
  readonly #notBeforeMs = new Map<number, number>();
  #paceTimer: NodeJS.Timeout | undefined;
  #polledAtMs = performance.now();
  #yieldedAtMs = 0;

  constructor({ wire, isolation, limits }: { wire: Wire; isolation: 0 | 1; limits: FetchLimits }) {
    this.#wire = wire;
    this.#isolation = isolation;
    this.#limits = limits;
  }

  /**
   * Asks what the partition holds; forgets what was fetched of it. It is watched until dropped: each time its leader was lost
   * and found again (another one, another connection, the topic was gone), that is told anew, instead of reading on.
   */
  find(partition: TopicPartition): void {
    this.drop(partition);
    const source = new Source(partition, ++this.#generation, 0n);
    source.watched = true;
    this.#sources.set(keyOf(partition), source);
    this.#pump();
  }

  /** From now on fetches the partition from `offset`; forgets what was fetched of it, but not that it was found again. */
  seek(partition: TopicPartition, offset: bigint): void {
    const key = keyOf(partition);
    const former = this.#sources.get(key);
    const source = new Source(partition, ++this.#generation, offset);
    if (former !== undefined) {
      source.node = former.untold ? undefined : former.node;
      source.watched = former.watched;
      this.#forget(former);
    }
    this.#sources.set(key, source);
    this.#pump();
  }

  drop(partition: TopicPartition): void {
    const source = this.#sources.get(keyOf(partition));
    if (source === undefined) return;
    this.#forget(source);
    this.#sources.delete(keyOf(partition));
    this.#endSilence();
  }

  #forget(source: Source): void {
    source.generation = -1;
    this.#ready.delete(source);
  }

  /** Stops everything at once; a pending {@link ready} resolves. Repeatable. Closes the wire. */
  close(): void {
    this.#closed = true;
    clearTimeout(this.#retryTimer);
    clearTimeout(this.#paceTimer);
    this.#wire.close();
    this.#waiter?.resolve();
  }

  /**
   * Resolves when something has arrived (of `only`, if given), after `maxWaitMs`, or when closed; true iff something has.
   * Throws `unavailable` if by then no broker has answered for some seconds.
   */
  async ready(maxWaitMs: number, only?: TopicPartition): Promise<boolean> {
    if (this.#waiter !== undefined) throw new Error('one caller at a time');
    const isResumed = this.#isUnasked();
    this.#polledAtMs = performance.now();
    if (isResumed) this.#pump();
    if (this.#has(only)) {
      if (performance.now() - this.#yieldedAtMs > YIELD_AFTER_MS) await turnOfEventLoop();
      this.#yieldedAtMs = performance.now();
    } else if (maxWaitMs === 0) {
      // Not a timer, which would wait for a millisecond: what has arrived already shall be let in, and nothing more.
      await turnOfEventLoop();
      this.#yieldedAtMs = performance.now();
    } else if (!this.#closed) {
      const { promise, resolve } = Promise.withResolvers<void>();
      const timer = setTimeout(resolve, maxWaitMs);
      this.#waiter = { only, resolve };
      await promise;
      clearTimeout(timer);
      this.#waiter = undefined;
      this.#yieldedAtMs = performance.now();
    }
    if (this.#has(only)) return true;
    if (!this.#closed && this.#silence.isTooLong) {
      throw new PlaitError('unavailable', `no Kafka broker answers: ${this.#lastFailure}`);
    }
    return false;
  }

  /** The next arrival, of all partitions in turn or of `only`; undefined when nothing is queued. */
  take(only?: TopicPartition): Taken | undefined {
    const source = only === undefined ? this.#ready.values().next().value : this.#sources.get(keyOf(only));
    const arrival = source?.queue.shift();
    if (source === undefined || arrival === undefined) return undefined;
    if (arrival.kind === 'found') source.untold = false;
    const wasFull = source.bytes >= this.#limits.bufferBytesMax;
    source.bytes -= costOf(arrival);
    this.#ready.delete(source);
    if (source.queue.length > 0) this.#ready.add(source);
    if (wasFull) this.#pump();
    const { generation } = source;
    return {
      source,
      arrival,
      isStale: () => source.generation !== generation,
      putBack: (...arrivals) => {
        if (source.generation !== generation) return;
        source.queue.unshift(...arrivals);
        for (const each of arrivals) source.bytes += costOf(each);
        this.#ready.add(source);
      },
    };
  }

  /** Nothing more is fetched of the partition, and what was is forgotten, until the next seek. */
  halt(partition: TopicPartition): void {
    const source = this.#sources.get(keyOf(partition));
    if (source === undefined) return;
    source.halted = true;
    source.queue = [];
    source.bytes = 0;
    this.#ready.delete(source);
  }

  #has(only: TopicPartition | undefined): boolean {
    return only === undefined ? this.#ready.size > 0 : (this.#sources.get(keyOf(only))?.queue.length ?? 0) > 0;
  }

  #isUnasked(): boolean {
    return performance.now() - this.#polledAtMs > UNASKED_MS;
  }

  #endSilence(): void {
    if ([...this.#sources.values()].every(({ halted }) => halted)) this.#silence.rest();
  }

  /** Starts whatever can be started now. Called after every change; never waits. */
  #pump(): void {
    if (this.#closed || this.#isUnasked()) return;
    const byNode = new Map<number, Source[]>();
    let lost = false;
    for (const source of this.#sources.values()) {
      if (source.halted || source.bytes >= this.#limits.bufferBytesMax) continue;
      if (source.node === undefined) lost = true;
      else {
        const list = byNode.get(source.node);
        if (list === undefined) byNode.set(source.node, [source]);
        else list.push(source);
      }
    }
    for (const [node, sources] of byNode) this.#pumpNode(node, sources);
    if (lost) this.#findLeaders();
  }

  #pumpNode(node: number, sources: Source[]): void {
    const nowMs = performance.now();
    const waitMs = (this.#notBeforeMs.get(node) ?? 0) - nowMs;
    if (!this.#busy.has(`${node}/fetch-0`) && waitMs > 0) return this.#pumpIn(waitMs);
    if (!this.#busy.has(`${node}/fetch-0`)) {
      const waiting = ({ flying, flyingSinceMs }: Source): boolean => !flying['fetch-1'] || nowMs - flyingSinceMs > WAITING_AFTER_MS;
      const list = sources.filter((source) => !source.flying['fetch-0'] && waiting(source));
      if (list.length > 0) void this.#fly(node, 'fetch-0', list);
    }
    if (this.#busy.has(`${node}/fetch-0`) && !this.#busy.has(`${node}/fetch-1`)) {
      const list = sources.filter(({ flying }) => !flying['fetch-0'] && !flying['fetch-1']);
      if (list.length > 0) void this.#fly(node, 'fetch-1', list);
    }
  }

  #pumpIn(waitMs: number): void {
    this.#paceTimer ??= setTimeout(() => {
      this.#paceTimer = undefined;
      this.#pump();
    }, Math.ceil(waitMs));
  }

  /** One request and its answer. Never rejects. */
  async #fly(node: number, lane: Exclude<Lane, 'other'>, sources: Source[]): Promise<void> {
    const asked = new Map<string, Asked>();
    const nowMs = performance.now();
    for (const source of inTurn(sources, this.#rotation++)) {
      source.flying[lane] = true;
      source.flyingSinceMs = nowMs;
      asked.set(keyOf(source), { source, generation: source.generation, offset: source.next });
    }
    this.#busy.add(`${node}/${lane}`);
    this.#notBeforeMs.set(node, nowMs + this.#limits.paceMs);
    this.#silence.asked();
    try {
      const answer = await this.#wire.fetch(node, lane, requestOf(asked.values(), { maxWaitTime: IDLE_WAIT_MS[lane], isolation: this.#isolation, limits: this.#limits }));
      this.#silence.answered();
      const total = answer.reduce((sum, { records }) => sum + records.length, 0);
      if (total >= LARGE_BYTES) this.#notBeforeMs.delete(node);
      for (const fetched of answer) this.#land(asked.get(keyOf(fetched)), fetched, total, node);
    } catch (error) {
      this.#lastFailure = reason(error);
      // Also those that were not asked for just now: what they are fetched over next is another connection.
      for (const source of this.#sources.values()) if (source.node === node) this.#lose(source);
    }
    this.#silence.ended();
    this.#busy.delete(`${node}/${lane}`);
    for (const { source } of asked.values()) source.flying[lane] = false;
    this.#endSilence();
    this.#pump();
    this.#wake();
  }

  /** Takes in what one response says of one partition, unless it answers an older question. */
  #land(asked: Asked | undefined, fetched: FetchedPartition, responseBytes: number, node: number): void {
    if (asked === undefined || this.#closed) return;
    const { source, generation, offset } = asked;
    if (source.generation !== generation || source.next !== offset || source.halted) return;
    const { errorCode } = fetched;
    if (errorCode === KAFKA.offsetOutOfRange) {
      void this.#tell(source, node, (held) => outOfRange(offset, held));
    } else if (isRefusal(errorCode)) {
      this.#fail(source, this.#wire.refused('Read', source.topic, errorCode));
    } else if (errorCode === KAFKA.corruptMessage) {
      this.#fail(source, undecodable(source, offset, 'the broker finds it corrupt'));
    } else if (errorCode !== 0) {
      this.#lose(source);
    } else {
      source.failures = 0;
      if (fetched.records.length > 0) this.#landRecords(source, offset, fetched, responseBytes);
    }
  }

  #landRecords(source: Source, offset: bigint, { records, aborted }: FetchedPartition, responseBytes: number): void {
    try {
      const { bytes, nextOffset } = extentOf(records);
      source.starved = nextOffset === undefined;
      if (nextOffset === undefined) return;
      if (nextOffset <= offset) throw new Error('the broker answers with records below it');
      const whole = records.subarray(0, bytes);
      this.#enqueue(source, {
        kind: 'chunk',
        firstOffset: offset,
        nextOffset,
        bytes: whole.length * PINNED_PART < responseBytes ? Buffer.from(whole) : whole,
        aborted,
      });
      source.next = nextOffset;
    } catch (error) {
      this.#fail(source, undecodable(source, offset, reason(error)));
    }
  }

  #enqueue(source: Source, arrival: Arrival): void {
    source.queue.push(arrival);
    source.bytes += costOf(arrival);
    this.#ready.add(source);
  }

  #fail(source: Source, error: PlaitError): void {
    source.halted = true;
    this.#enqueue(source, { kind: 'failed', error });
  }

  /**
   * Tells what the partition holds, as `arrivalOf` puts it, and waits for the next seek. If the broker does not say, or
   * nothing is to be told, all is tried again from the look-up on. Never rejects.
   */
  async #tell(source: Source, node: number, arrivalOf: (held: Held) => Arrival | undefined): Promise<void> {
    const { generation } = source;
    source.halted = true;
    try {
      const { errorCode, logStart, end } = await this.#wire.listOffsets(node, source);
      if (source.generation !== generation) return;
      const arrival = errorCode === 0 ? arrivalOf({ logStart, end }) : undefined;
      if (arrival !== undefined) {
        this.#enqueue(source, arrival);
        return this.#wake();
      }
    } catch (error) {
      this.#lastFailure = reason(error);
    }
    if (source.generation !== generation) return;
    source.halted = false;
    this.#lose(source);
    this.#pump();
  }

  /** Its leader is not known (any more): it is looked up again, at once the first time, then less and less often. */
  #lose(source: Source): void {
    source.node = undefined;
    source.retryAtMs = performance.now() + Math.min(BACKOFF_MS.max, source.failures === 0 ? 0 : BACKOFF_MS.first * 2 ** Math.min(source.failures, 8));
    source.failures++;
  }

  #findLeaders(): void {
    if (this.#finding || this.#closed) return;
    const lost = [...this.#sources.values()].filter(({ node, halted }) => node === undefined && !halted);
    if (lost.length === 0) return;
    const waitMs = lost.reduce((min, { retryAtMs }) => Math.min(min, retryAtMs), Infinity) - performance.now();
    clearTimeout(this.#retryTimer);
    if (waitMs > 0) this.#retryTimer = setTimeout(() => this.#findLeaders(), waitMs + 1);
    else void this.#find(lost);
  }

  /** One lookup for all that are lost. Never rejects. */
  async #find(lost: readonly Source[]): Promise<void> {
    this.#finding = true;
    this.#silence.asked();
    try {
      const topics = await this.#wire.metadata([...new Set(lost.map(({ topic }) => topic))]);
      this.#silence.answered();
      for (const source of lost) {
        const found = topics.find(({ topic }) => topic === source.topic);
        const leader = found?.partitions.find(({ partition }) => partition === source.partition)?.leader;
        if (source.generation === -1) continue;
        if (found !== undefined && isRefusal(found.errorCode)) {
          this.#fail(source, this.#wire.refused('Read', source.topic, found.errorCode));
        } else if (leader === undefined) this.#lose(source);
        else {
          source.node = leader;
          source.untold = source.watched;
          if (source.watched) void this.#tell(source, leader, (held) => ({ kind: 'found', ...held }));
        }
      }
    } catch (error) {
      const failure = readError(error, 'metadata');
      this.#lastFailure = failure.message;
      for (const source of lost) {
        if (source.generation === -1) continue;
        if (failure.code === 'config') this.#fail(source, failure);
        else this.#lose(source);
      }
    }
    this.#silence.ended();
    this.#finding = false;
    this.#endSilence();
    this.#pump();
    this.#wake();
  }

  /** After this turn of the event loop: the next request must be on its way before the caller begins to compute. */
  #wake(): void {
    const waiter = this.#waiter;
    if (waiter !== undefined && this.#has(waiter.only)) setImmediate(waiter.resolve);
  }
}
