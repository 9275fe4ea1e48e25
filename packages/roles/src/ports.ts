/**
 * What the roles need from outside. Each port is declared here, by its callers, and its doc is the contract: the fakes
 * in testkit fail a test that breaks it, and one contract suite runs on the fakes and on the real adapters.
 *
 * Errors are {@link PlaitError}s. `unavailable` and `unknown` are the only codes that a caller meets in normal
 * operation; a role's loop waits and goes on after them.
 */
import type { Hash, Height, LogPosition, Offset, PlaitError, TopicPartition } from '@plait/core';

/** One message of the log. Only its value counts; key, headers and timestamp are never looked at. */
export interface LogMessage {
  readonly position: LogPosition;
  /** The value's bytes; empty for a null value. */
  readonly value: Uint8Array;
}

/**
 * Reads the log from a position on, in offset order, every data record that was ever acknowledged to anyone
 * (`read_uncommitted`; transaction markers left out). One caller at a time.
 */
export interface LogReader {
  /**
   * Messages that have arrived since the last call, oldest first, each once; waits at most `maxWaitMs` for the first.
   * An empty answer says nothing about the log's end. Holds a bounded number of bytes that were not taken yet.
   *
   * Throws `unavailable` while no broker answers (nothing is lost: the next call goes on where this one was), `missing`
   * if the next position has been deleted from the log's head (`details.logStart`: where the log begins now),
   * `rolled-back` if the log ends below it.
   */
  poll(options: { readonly maxWaitMs: number }): Promise<readonly LogMessage[]>;

  /** Where the next poll goes on: everything below was handed out, or is no data record. Never waits. */
  position(): LogPosition;

  /** The log's end (position after its newest record), asked of the broker in this call. Throws `unavailable`. */
  end(): Promise<LogPosition>;

  /**
   * Which copy of the log is read: another, higher number whenever what the next poll gives may come from another one, that
   * is after a lost connection or a change of leader. The messages of one poll are all of one copy. Never waits.
   */
  incarnation(): number;

  /** Frees connections. Repeatable. */
  close(): Promise<void>;
}

/**
 * Another, independent reading of the same log, which begins at `from`: for searching backwards, and to read single
 * messages again. Several may be open at once; whoever opens one closes it. Throws `unavailable`, `config`. That nothing
 * is there, or nothing any more, only the reader's polls tell.
 */
export type OpenLog = (from: LogPosition) => Promise<LogReader>;

/** What a role remembers of the log across restarts. Several callers at a time are fine, also in other processes. */
export interface Memory {
  /** What was saved last; undefined if nothing ever was. Throws `config` if it cannot be read. */
  load(): Promise<Remembered | undefined>;
  /**
   * Durable when it resolves; a crash before leaves what was saved before. Never replaces what is further along. Throws
   * `config`, `rolled-back` if another process has saved what cannot be of the same log, and `unavailable` while it cannot be
   * written.
   */
  save(remembered: Remembered): Promise<void>;
}

/** A message of the log, to be recognised by. */
export interface Mark {
  readonly position: LogPosition;
  /** SHA-256 of its bytes. */
  readonly message: Hash;
}

/** How far a role has come, and what it must find again. */
export interface Remembered extends Mark {
  readonly origin: string;
  readonly ledgerId: Hash;
  /** Number of accepted blocks. */
  readonly height: Height;
  /** Message hash of the header at height − 1; undefined at height 0. */
  readonly header: Hash | undefined;
  /** The newest accepted header that carries a state: a cold start may begin at it without a checkpoint. */
  readonly state?: { readonly height: Height; readonly header: Hash };
  /** The largest checkpoint that this role signed or trusted. */
  readonly checkpoint?: { readonly size: bigint; readonly root: Hash };
  /** Older messages at widening distances, newest first, so that a last common point can be named. */
  readonly marks: readonly Mark[];
}

/**
 * A role's own copy of the log's messages, from which a lost or rolled back log can be written anew. One fold at a time
 * adds to it.
 */
export interface LogCopy {
  /** What is added next need not follow what was added before: a fold begins. */
  begin(): void;
  /** Takes the next message, in order of positions; each is kept once, also over restarts. Never waits, never throws. */
  add(message: LogMessage): void;
  /** Bytes of messages that were added and are not durable yet. */
  readonly waitingBytes: number;
  /** What was added before is durable when it resolves. Throws `unavailable` or `config`; what was added still waits then. */
  flush(): Promise<void>;
  /** Messages at positions up to `position` are not needed any more; they may stay for a while. */
  forgetUpTo(position: LogPosition): Promise<void>;
  /** What is durable from position `from` on, in order. */
  messages(from: LogPosition): AsyncIterable<LogMessage>;
  /** Flushes, then frees files. */
  close(): Promise<void>;
}

/** Appends to the log. One outstanding append at a time; the adapter refuses a second one (a bug of the caller). */
export interface LogAppender {
  /**
   * Appends one message with acks=all. Resolved: the message is in the log at some position, once or more. It is not
   * said where: what counts is what a reader of the log reads.
   *
   * Throws `unavailable` if it surely was not applied, `unknown` if it may have been or may still be (a lost answer, a
   * deadline). Sending the same bytes again is always safe. `config` if the topic refuses such messages at all (size,
   * authorization).
   */
  append(message: Uint8Array): Promise<void>;

  close(): Promise<void>;
}

/** One record of a source partition, as the broker stores it. */
export interface SourceRecord {
  readonly offset: Offset;
  /** Milliseconds, as in the record; int64, may be −1 or anything a producer wrote. */
  readonly timestamp: bigint;
  /** Kafka record format v2, from the key length to the end of the record, as fetched (varints not yet made minimal). */
  readonly payload: Uint8Array;
}

/** Consecutive visible records of one partition. */
export interface SourceBatch extends TopicPartition {
  readonly kind: 'records';
  /** Where the fetch began. Nothing visible lies between it and the first record. */
  readonly firstOffset: Offset;
  /** Visible (committed, no markers) records in offset order; may be empty when only markers or aborted ones were read. */
  readonly records: readonly SourceRecord[];
  /** Last offset that the fetch really returned, filtered ones included, + 1; above `firstOffset`. Never a watermark. */
  readonly nextOffset: Offset;
}

/** The partition does not hold the offset that was to be read. Reading it stops until the next `seek`. */
export interface SourceOutOfRange extends TopicPartition {
  readonly kind: 'out-of-range';
  readonly offset: Offset;
  /** First offset the partition still holds. */
  readonly logStart: Offset;
  /** Offset after its newest record. */
  readonly end: Offset;
}

/**
 * What a partition holds: the answer to `find`, and told again whenever it may have become another one since (its leader
 * changed, the connection to it was lost, the topic was gone). Nothing more comes of it until the next `seek`.
 */
export interface SourceFound extends TopicPartition {
  readonly kind: 'found';
  /** First offset the partition holds. */
  readonly logStart: Offset;
  /** Offset after its newest record. */
  readonly end: Offset;
}

/** What a poll of the sources gives; `found` only of partitions that were asked for with `find`. */
export type SourceEvent = SourceBatch | SourceOutOfRange | SourceFound;

/**
 * Reads source partitions with `read_committed`, each from the offset last given to `seek`, and goes on fetching ahead
 * within a bounded number of bytes a partition. No consumer group, no committed offsets, no default positions.
 * Batches of a partition come in order, without gap or overlap: each `firstOffset` is the former `nextOffset`.
 * One caller at a time.
 */
export interface SourceReader {
  /**
   * Asks what the partition holds; what was fetched of it before is thrown away. A {@link SourceFound} says it, as soon as
   * the partition has a leader. From now on, until `drop`, it is watched: before anything is handed out that was fetched
   * from another leader or over another connection than before, it is found again.
   */
  find(partition: TopicPartition): void;

  /**
   * From now on reads the partition from `offset`; what was fetched of it before is thrown away, but that it was found
   * again: if that was not handed out yet, it is found once more first.
   */
  seek(partition: TopicPartition, offset: Offset): void;

  /** Stops reading and watching the partition and throws away what was fetched of it. */
  drop(partition: TopicPartition): void;

  /**
   * The next events, of all partitions or of `only`; waits at most `maxWaitMs` for the first. At least one event when
   * something has arrived, not necessarily everything. A partition that does not exist (yet) gives nothing.
   *
   * Throws `unavailable` while no broker answers; nothing is lost. `config` when reading is not allowed. `invalid` when
   * a stored batch cannot be decoded (the message names topic, partition and offset).
   */
  poll(options: { readonly maxWaitMs: number; readonly only?: TopicPartition }): Promise<readonly SourceEvent[]>;

  /**
   * The error for a partition of a source that was asked for and gave nothing for so long that nobody waits any more: what was
   * looked for, where, and what to do next; `config` where it will not come by itself. Default: `unavailable`, as of brokers.
   */
  silence?(partition: TopicPartition): PlaitError;

  close(): Promise<void>;
}

/** Partitions a member may work on for now. */
export interface Assignment {
  /** Differs from every earlier assignment of this member. */
  readonly version: number;
  readonly partitions: readonly TopicPartition[];
}

/**
 * Membership in the group of workers that share the sources' partitions. It only avoids double work: two members that
 * both hold a partition, for ever, harm nothing, since the fold takes the first valid extension of a chain.
 */
export interface Membership {
  /** Shares the partitions of exactly these topics; joins the group at the first call, and is in none while there are no topics. Throws `unavailable`, `config`. */
  subscribe(topics: readonly string[]): Promise<void>;

  /**
   * The newest assignment; without partitions before the first, and while the group rebalances. Never waits. Throws
   * `config` once the brokers have refused this member (authorization).
   */
  assignment(): Assignment;

  /** Leaves the group at once, so that others need not wait for the session to expire. Repeatable. */
  leave(): Promise<void>;
}

/** A lease that was granted. It may have expired, or be granted to somebody else too: see {@link Lease}. */
export interface HeldLease {
  /** One attempt to hold it for another `ttlMs` from now. False: it is lost. Throws `unavailable`, `config` when refused by now. */
  extend(): Promise<boolean>;
  /** One attempt to give it up. Never throws. */
  release(): Promise<void>;
}

/**
 * The right to *try* to lead, for a limited time. Nothing rests on it but quiet: two holders at once, or none, cost time
 * and never order (DESIGN, section 3).
 */
export interface Lease {
  /** How long a grant lasts, in ms, on the server's clock. */
  readonly ttlMs: number;
  /** One attempt. Undefined: somebody else holds it. Throws `unavailable`, `config` when refused by now. Answers within a bounded time (well below the TTL). */
  acquire(): Promise<HeldLease | undefined>;
  close(): Promise<void>;
}

/** Time, passed in so that a simulator can drive the roles. */
export interface Clock {
  /** Monotonic milliseconds from an arbitrary start; goes on while the process is stopped. */
  nowMs(): number;
  /** Milliseconds since 1970 as the machine believes; may jump. Only ever a claimed block time. */
  wallMs(): number;
  /** Resolves after `ms`, or at once when `signal` aborts. Never rejects. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
}

/** Randomness, passed in for the same reason. */
export interface Random {
  /** Uniform in [0, 1). */
  uniform(): number;
  /** `count` bytes nobody can guess; for the nonce of a claim. */
  bytes(count: number): Uint8Array;
}
