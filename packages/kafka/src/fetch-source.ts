/** What the fetch loop keeps of each partition, and what it hands on. */
import { PlaitError } from '@plait/core';
import type { TopicPartition } from '@plait/core';
import type { AbortedTransaction } from './internals.ts';
import type { Wire } from './wire.ts';

export interface FetchLimits {
  /** A partition with this many bytes fetched and not taken is left out until some are taken. */
  readonly bufferBytesMax: number;
  /** Of one response. A single larger batch still comes (KIP-74). */
  readonly responseBytesMax: number;
  /** Of one partition in one response, likewise. */
  readonly partitionBytesMax: number;
  /**
   * Least time between the beginnings of two requests to a broker, unless the last answer was large. A long poll is
   * answered at the first byte: without a pace, every small batch that a producer sends costs a request of its own.
   */
  readonly paceMs: number;
}

/** Whole batches of one partition, not decoded. */
export interface Chunk {
  readonly kind: 'chunk';
  readonly firstOffset: bigint;
  readonly nextOffset: bigint;
  readonly bytes: Buffer;
  readonly aborted: readonly AbortedTransaction[];
}

/** From where to where a partition holds records. */
export interface Held {
  readonly logStart: bigint;
  readonly end: bigint;
}

export interface OutOfRange extends Held {
  readonly kind: 'out-of-range';
  readonly offset: bigint;
}

/** Reading the partition failed for good: nothing comes of it until the next seek. */
export interface Failed {
  readonly kind: 'failed';
  readonly error: PlaitError;
}

/** What a watched partition holds, now that its leader was found (again): nothing comes of it until the next seek. */
export interface Found extends Held {
  readonly kind: 'found';
}

export type Arrival = Chunk | OutOfRange | Failed | Found;

/** One arrival, and whether its partition has been sought or dropped since (asked when it is handed on). */
export interface Taken {
  readonly source: TopicPartition;
  readonly arrival: Arrival;
  readonly isStale: () => boolean;
  /** Puts it, or parts of it, back in front of what is queued. */
  readonly putBack: (...arrivals: readonly Arrival[]) => void;
}

/** What a queued chunk costs beside its bytes. */
const CHUNK_COST_BYTES = 512;
/** One partition that is fetched, from one seek to the next. Only the fetch loop changes it. */
export class Source {
  readonly topic: string;
  readonly partition: number;
  /** Grows with every seek; -1 once dropped. */
  generation: number;
  next: bigint;
  queue: Arrival[] = [];
  bytes = 0;
  /** Nothing more is fetched until the next seek. */
  halted = false;
  /** Whoever finds its leader (again) tells what it holds. */
  watched = false;
  /** Its leader was found (again), and what it holds was not taken yet: a seek must not hide that. */
  untold = false;
  /** The leader, if known. */
  node: number | undefined;
  retryAtMs = 0;
  failures = 0;
  /** Which lanes hold a request for this generation, and since when. */
  flying = { 'fetch-0': false, 'fetch-1': false };
  flyingSinceMs = 0;
  /** Its last answer held only a part of a batch: it must come first next time to get it whole. */
  starved = false;

  constructor({ topic, partition }: TopicPartition, generation: number, next: bigint) {
    this.topic = topic;
    this.partition = partition;
    this.generation = generation;
    this.next = next;
  }
}

/** What to say of an offset that the broker refused; undefined if it lies within what the partition holds by now. */
export function outOfRange(offset: bigint, held: Held): OutOfRange | undefined {
  return offset < held.logStart || offset > held.end ? { kind: 'out-of-range', offset, ...held } : undefined;
}

/** How much of a partition's bound an arrival takes up. */
export function costOf(arrival: Arrival): number {
  return CHUNK_COST_BYTES + (arrival.kind === 'chunk' ? arrival.bytes.length : 0);
}

/** The `invalid` error of a batch that cannot be read. */
export function undecodable({ topic, partition }: TopicPartition, offset: bigint, why: string): PlaitError {
  return new PlaitError('invalid', `${topic}-${partition}: the stored batch at offset ${offset} cannot be decoded: ${why}`, {
    details: { topic, partition, offset: offset.toString() },
  });
}

/** One question of a request: from which offset a partition was wanted, and after which seek. */
export interface Asked {
  readonly source: Source;
  readonly generation: number;
  readonly offset: bigint;
}

/** The request that asks for all of `asked`, in their order, partitions of one topic that follow each other together. */
export function requestOf(
  asked: Iterable<Asked>, { maxWaitTime, isolation, limits }: { maxWaitTime: number; isolation: 0 | 1; limits: FetchLimits },
): Parameters<Wire['fetch']>[2] {
  const topics: Parameters<Wire['fetch']>[2]['topics'] = [];
  for (const { source, offset } of asked) {
    const wanted = { partition: source.partition, fetchOffset: offset.toString(), maxBytes: limits.partitionBytesMax };
    const last = topics.at(-1);
    if (last?.topic === source.topic) last.partitions.push(wanted);
    else topics.push({ topic: source.topic, partitions: [wanted] });
  }
  return { maxWaitTime, minBytes: 1, maxBytes: limits.responseBytesMax, isolationLevel: isolation, topics };
}

/**
 * The order in which partitions are asked for: starved ones first, the others beginning at another one each `round`.
 * Kafka fills a response in this order.
 */
export function inTurn(sources: readonly Source[], round: number): Source[] {
  const first = round % sources.length;
  const turned = [...sources.slice(first), ...sources.slice(0, first)];
  return [...turned.filter(({ starved }) => starved), ...turned.filter(({ starved }) => !starved)];
}
