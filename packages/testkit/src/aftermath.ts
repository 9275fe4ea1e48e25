/** What a simulated run leaves behind: for looks at the ledger as it is then. */
import type { LogMessage } from '@plait/roles';
import type { MemoryLog } from './memory-log.ts';
import type { MemorySource } from './memory-source.ts';
import type { StillPartition } from './still.ts';

/** Log and partitions at the end of a run. */
export interface Aftermath {
  readonly messages: readonly LogMessage[];
  /** Whether a message was written by no role. */
  readonly isHostile: (message: LogMessage) => boolean;
  /** All partitions there ever were, as they are now. */
  readonly partitions: readonly StillPartition[];
  /** Whether topics expired, shrank or were made anew. */
  readonly hasTurmoil: boolean;
}

/** What is left of a run whose log held these hostile messages, as latin-1. */
export function aftermathOf({ log, source, hostile, partitions, hasTurmoil }: {
  readonly log: MemoryLog;
  readonly source: MemorySource;
  readonly hostile: ReadonlySet<string>;
  readonly partitions: readonly (readonly [topic: string, partition: number])[];
  readonly hasTurmoil: boolean;
}): Aftermath {
  return {
    messages: log.messages, isHostile: ({ value }) => hostile.has(Buffer.from(value).toString('latin1')), hasTurmoil,
    partitions: partitions.map(([topic, partition]) => {
      const [logStart, end] = [source.startOffset(topic, partition), source.endOffset(topic, partition)];
      return { topic, partition, logStart, end, records: source.records(topic, partition).filter(({ offset }) => offset >= logStart) };
    }),
  };
}
