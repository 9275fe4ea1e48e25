/** What happens to the topics themselves: they expire, are deleted and made anew, restored from an older copy, moved. */
import {
  chainOf, encodePayload, generation, isPlaitError, offset, type Configuration, type LedgerState, type TopicPartition,
} from '@plait/core';
import type { MemorySource } from './memory-source.ts';
import type { Prng } from './prng.ts';
import type { Scheduler } from './scheduler.ts';

const GONE_MS_MAX = 400;
const RECORDS_MAX = 60;

/** Draws from its own stream, so that a run without it is as before. */
export class SourceTurmoil {
  readonly #source: MemorySource;
  readonly #scheduler: Scheduler;
  readonly #random: Prng;
  readonly #partitions: readonly TopicPartition[];

  constructor({ source, scheduler, partitions }: { source: MemorySource; scheduler: Scheduler; partitions: readonly TopicPartition[] }) {
    this.#source = source;
    this.#scheduler = scheduler;
    this.#random = scheduler.random.fork('source turmoil');
    this.#partitions = partitions;
  }

  /** What may happen, each about as often as it stands there. */
  readonly kinds: readonly (() => void)[] = [
    () => this.#expire(),
    () => this.#expire(),
    () => this.#makeAnew(),
    () => this.#truncate(),
    () => this.#move(),
    () => this.#move(),
  ];

  /** Every partition exists again; and what an operator configures then: those that began anew are restarted, losses recorded. */
  repair(state: LedgerState): Pick<Configuration, 'starts' | 'onLoss'> {
    for (const { topic, partition } of this.#partitions) this.#source.createPartition(topic, partition);
    const starts = this.#begunAnew().map((at) => ({
      ...at, generation: generation(chainOf(state, at).end.generation + 1n), offset: this.#source.startOffset(at.topic, at.partition),
    }));
    return { starts, onLoss: 'record' };
  }

  /** Whether every chain ends where its partition does, and nothing waits for a block. */
  hasAll(state: LedgerState | undefined): boolean {
    return state !== undefined && this.#partitions.every((at) => {
      const { end, pending } = chainOf(state, at);
      return pending.length === 0 && end.nextOffset === this.#source.endOffset(at.topic, at.partition);
    });
  }

  #begunAnew(): readonly TopicPartition[] {
    return this.#partitions.filter(({ topic, partition }) => this.#source.incarnations(topic, partition).length > 1);
  }

  /** Whether a reader may end with this error: the partition that it names has changed. */
  explains(error: unknown): boolean {
    const { topic, partition } = isPlaitError(error) ? error.details : {};
    const isAnew = this.#begunAnew().some((each) => each.topic === topic && each.partition === partition);
    const isExpired = typeof topic === 'string' && this.#source.startOffset(topic, Number(partition)) > 0n;
    return (isPlaitError(error, 'invalid') && isAnew) || (isPlaitError(error, 'missing') && (isAnew || isExpired));
  }

  #pick(): TopicPartition {
    return this.#random.pick(this.#partitions);
  }

  #expire(): void {
    const { topic, partition } = this.#pick();
    this.#source.deleteBefore(topic, partition, this.#within({ topic, partition }));
  }

  #makeAnew(): void {
    const { topic, partition } = this.#pick();
    this.#source.remove(topic, partition);
    this.#scheduler.after(this.#random.int(GONE_MS_MAX), 'topic made anew', () => this.#fill({ topic, partition }));
  }

  #truncate(): void {
    const { topic, partition } = this.#pick();
    this.#source.truncate(topic, partition, this.#within({ topic, partition }));
    if (this.#random.chance(0.5)) this.#fill({ topic, partition });
  }

  #move(): void {
    const { topic, partition } = this.#pick();
    this.#source.moveLeader(topic, partition);
  }

  #fill({ topic, partition }: TopicPartition): void {
    this.#source.createPartition(topic, partition);
    for (let i = this.#random.int(RECORDS_MAX); i > 0; i -= 1) {
      this.#source.produce(topic, partition, encodePayload({ key: null, value: this.#random.bytes(8), headers: [] }), BigInt(i));
    }
  }

  /** An offset from the partition's start to its end. */
  #within({ topic, partition }: TopicPartition) {
    const start = this.#source.startOffset(topic, partition);
    return offset(start + BigInt(this.#random.int(Number(this.#source.endOffset(topic, partition) - start) + 1)));
  }
}
