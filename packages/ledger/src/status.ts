/** How a ledger stands: the fold of its log, and where the source partitions end. */
import {
  chainOf, invariant, isPlaitError, partitionName, sequencedEnd, type BlockHeader, type Epoch, type Generation, type Hash, type Height, type LedgerState,
  type LogPosition, type Offset, type Outcome, type Seq,
} from '@plait/core';
import { topicOffsets, type KafkaOptions, type PartitionOffsets } from '@plait/kafka';
import { Follower, type FollowerOptions } from '@plait/roles';
import { systemClock } from './clock.ts';

/** How far a source partition is reported and sequenced. */
export interface PartitionStatus {
  readonly topic: string;
  readonly partition: number;
  readonly generation: Generation;
  /** First offset the partition still holds. */
  readonly logStart: Offset;
  /** Offset after its newest record, uncommitted ones included. */
  readonly end: Offset;
  /** Below it everything was hashed and reported. */
  readonly reported: Offset;
  /** Below it everything is numbered by a block. */
  readonly sequenced: Offset;
  /** Offsets between `sequenced` and `end`; 0 if the partition ends below. Counts markers and aborted records too. */
  readonly lag: bigint;
  /** Reported segments that no block has numbered yet. */
  readonly pending: number;
  /** Name of the worker key whose segment was accepted last; undefined if none was since the state the fold began with. */
  readonly worker: string | undefined;
}

/** The newest accepted block. */
export interface LastBlock {
  readonly height: Height;
  /** When, as its leader claims, ms since 1970. */
  readonly timeMs: bigint;
  /** Time since then on this machine's clock, ms; negative if the clocks differ so much. */
  readonly ageMs: number;
}

/** How a ledger stands, as of the end of its log. */
export interface LedgerStatus {
  readonly origin: string;
  readonly ledgerId: Hash;
  readonly log: { readonly topic: string; readonly end: LogPosition };
  /** Version of the configuration in force. */
  readonly configuration: bigint;
  /** The topics it orders, as of that configuration. */
  readonly sources: readonly string[];
  readonly epoch: Epoch;
  /** Name of the key that leads; undefined while nobody does. Not proof that its process lives: see `lastBlock`. */
  readonly leader: string | undefined;
  /** Number of blocks. */
  readonly height: Height;
  /** Number of sequenced records. */
  readonly nextSeq: Seq;
  readonly lastBlock: LastBlock | undefined;
  /** In order of topic and partition. Partitions that the topics have now, so one that was removed is not shown. */
  readonly partitions: readonly PartitionStatus[];
  /** Sources whose topic does not exist (any more): nothing more of them is numbered. */
  readonly missingSources: readonly string[];
  /** How many messages, or segments of reports, were ignored since the state the fold began with, by `kind/reason` and `segment/reason`. */
  readonly ignored: Readonly<Record<string, number>>;
}

/** Folds a log and counts what the fold itself does not keep. One caller at a time. */
export class LogView {
  readonly #follower: Follower;
  readonly #ignored = new Map<string, number>();
  readonly #workers = new Map<string, string>();
  #lastBlock: BlockHeader | undefined;

  /** `options.log` is at position 0, or right behind `options.start`, and has no other caller. */
  constructor(options: FollowerOptions) {
    this.#follower = new Follower(options, ({ outcome }) => this.#absorb(outcome));
  }

  get state(): LedgerState | undefined {
    return this.#follower.state;
  }

  get position(): LogPosition {
    return this.#follower.position;
  }

  /** Folds everything below `end`. Throws as `Follower.poll`. */
  async foldTo(end: LogPosition): Promise<void> {
    // Also when the log ends below what was folded: that is for the follower to notice.
    await this.#follower.poll(0);
    while (this.#follower.position < end) await this.#follower.poll(POLL_WAIT_MS);
  }

  /** The fold at an end of the log sampled now, or undefined if it is not read so far yet: then it folds some more. Throws as `Follower.poll`. */
  async newest(): Promise<LedgerState | undefined> {
    return (await this.#follower.readToEnd()) ? this.state : undefined;
  }

  #absorb(outcome: Outcome): void {
    if (outcome.kind === 'block') this.#lastBlock = outcome.header;
    if (outcome.kind === 'ignored') this.#count(`${outcome.of}/${outcome.reason}`);
    if (outcome.kind !== 'report') return;
    for (const each of outcome.segments) {
      if (each.accepted) this.#workers.set(partitionName(each.segment), outcome.key);
      else this.#count(`segment/${each.reason}`);
    }
  }

  #count(what: string): void {
    this.#ignored.set(what, (this.#ignored.get(what) ?? 0) + 1);
  }

  /** The status as of what was folded, with the partitions' ends asked for now. Throws `split-view`, `unavailable`, `config`. */
  async status(kafka: KafkaOptions, log: string): Promise<LedgerStatus> {
    const { state } = this;
    invariant(state !== undefined, 'a ledger is opened only with its genesis');
    await this.#follower.remember();
    if (this.#follower.conflict !== undefined) throw this.#follower.conflict;
    const partitions: PartitionStatus[] = [];
    const missingSources: string[] = [];
    for (const topic of state.configuration.body.sources) {
      const found = await offsetsOf(kafka, topic);
      if (found === undefined) missingSources.push(topic);
      else partitions.push(...found.map((offsets) => this.#partition(state, topic, offsets)));
    }
    return {
      origin: state.origin, ledgerId: state.ledgerId, log: { topic: log, end: this.position },
      configuration: state.configuration.version, sources: state.configuration.body.sources, epoch: state.epoch, leader: state.leader?.key.name,
      height: state.height, nextSeq: state.nextSeq, lastBlock: this.#blockStatus(), partitions, missingSources,
      ignored: Object.fromEntries([...this.#ignored].toSorted(([a], [b]) => (a < b ? -1 : 1))),
    };
  }

  #partition(state: LedgerState, topic: string, { partition, logStart, end }: PartitionOffsets): PartitionStatus {
    const chain = chainOf(state, { topic, partition });
    const sequenced = sequencedEnd(chain).nextOffset;
    return {
      topic, partition, generation: chain.end.generation, logStart, end,
      reported: chain.end.nextOffset, sequenced, lag: end > sequenced ? end - sequenced : 0n,
      pending: chain.pending.length, worker: this.#workers.get(partitionName({ topic, partition })),
    };
  }

  #blockStatus(): LastBlock | undefined {
    if (this.#lastBlock === undefined) return undefined;
    const { height, timeMs } = this.#lastBlock;
    return { height, timeMs, ageMs: systemClock.wallMs() - Number(timeMs) };
  }
}

/** Where the topic's partitions begin and end; undefined if there is no such topic. */
async function offsetsOf(kafka: KafkaOptions, topic: string): Promise<readonly PartitionOffsets[] | undefined> {
  try {
    return await topicOffsets({ kafka, topic });
  } catch (error) {
    if (isPlaitError(error, 'config') && error.details['exists'] === false) return undefined;
    throw error;
  }
}

const POLL_WAIT_MS = 100;
