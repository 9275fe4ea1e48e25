/** A log and sources that do not change, and without faults: for looks at a ledger as it was left. */
import { logPosition, offset, partitionName, PlaitError, type Offset, type TopicPartition } from '@plait/core';
import type { Clock, LogMessage, OpenLog, SourceEvent, SourceReader, SourceRecord } from '@plait/roles';

/** Time goes on only while somebody sleeps. */
export function stillClock(): Clock {
  let nowMs = 0;
  return {
    nowMs: () => nowMs, wallMs: () => 1_800_000_000_000 + nowMs,
    sleep: async (ms) => {
      nowMs += ms;
    },
  };
}

/** Opens readers of a log that holds just these messages, in order of their positions. */
export function stillLog(messages: readonly LogMessage[], logStart = 0n): OpenLog {
  const end = logPosition((messages.at(-1)?.position ?? -1n) + 1n);
  return async (from) => {
    let next = from;
    const poll = async (): Promise<readonly LogMessage[]> => {
      const details = { position: String(next), logStart: String(logStart), end: String(end) };
      if (next < logStart) throw new PlaitError('missing', 'the log begins above the position', { details });
      if (next > end) throw new PlaitError('rolled-back', 'the log ends below the position', { details });
      const ready = messages.filter(({ position }) => position >= next);
      next = end;
      return ready;
    };
    return { poll, position: () => next, end: async () => end, incarnation: () => 0, close: async () => undefined };
  };
}

/** What a partition holds. */
export interface StillPartition extends TopicPartition {
  readonly logStart: bigint;
  readonly end: bigint;
  /** Visible ones by rising offset. */
  readonly records: readonly SourceRecord[];
}

/** Offsets that one batch spans. */
const BATCH_OFFSETS = 50n;

/** Reads partitions that hold just this; those that are not named do not exist. */
export class StillSource implements SourceReader {
  readonly #partitions: ReadonlyMap<string, StillPartition>;
  readonly #clock: Clock;
  readonly #asked = new Map<string, 'find' | Offset>();

  constructor(partitions: readonly StillPartition[], clock: Clock) {
    this.#partitions = new Map(partitions.map((each) => [partitionName(each), each]));
    this.#clock = clock;
  }

  find(partition: TopicPartition): void {
    this.#asked.set(partitionName(partition), 'find');
  }

  seek(partition: TopicPartition, from: Offset): void {
    this.#asked.set(partitionName(partition), from);
  }

  drop(partition: TopicPartition): void {
    this.#asked.delete(partitionName(partition));
  }

  async poll({ maxWaitMs, only }: { readonly maxWaitMs: number; readonly only?: TopicPartition }): Promise<readonly SourceEvent[]> {
    const names = only === undefined ? [...this.#asked.keys()] : [partitionName(only)];
    const events = names.flatMap((name) => this.#eventOf(name) ?? []);
    if (events.length === 0) await this.#clock.sleep(maxWaitMs);
    return events;
  }

  #eventOf(name: string): SourceEvent | undefined {
    const asked = this.#asked.get(name);
    const held = this.#partitions.get(name);
    if (asked === undefined || held === undefined) return undefined;
    const { topic, partition } = held;
    const range = { topic, partition, logStart: offset(held.logStart), end: offset(held.end) };
    if (asked === 'find' || asked < held.logStart || asked > held.end) {
      this.#asked.delete(name);
      return asked === 'find' ? { kind: 'found', ...range } : { kind: 'out-of-range', ...range, offset: asked };
    }
    if (asked === held.end) return undefined;
    const nextOffset = offset(asked + BATCH_OFFSETS < held.end ? asked + BATCH_OFFSETS : held.end);
    this.#asked.set(name, nextOffset);
    const records = held.records.filter((record) => record.offset >= asked && record.offset < nextOffset);
    return { kind: 'records', topic, partition, firstOffset: asked, records, nextOffset };
  }

  async close(): Promise<void> {
    this.#asked.clear();
  }
}
