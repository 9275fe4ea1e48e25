/** Whether a ledger orders a partition. */
import { PlaitError, type LedgerState, type TopicPartition } from '@plait/core';
import { topicOffsets } from '@plait/kafka';
import type { Access } from './run.ts';

/** Where that is looked up. */
export interface OrderedContext {
  readonly access: Pick<Access, 'kafka' | 'origin'>;
  /** The fold at the log's end, sampled in this call; undefined if it is not read so far yet. */
  readonly newest: () => Promise<LedgerState | undefined>;
  /** Ends the asking: then nothing is known, and nothing is thrown. */
  readonly signal: AbortSignal;
}

/**
 * Throws `config` unless the topic is a source, as of the log's end, and has that partition, as Kafka says now, below the
 * ledger's bound; and as `topicOffsets` and `newest`.
 */
export async function requireOrdered({ topic, partition }: TopicPartition, { access: { kafka, origin }, newest, signal }: OrderedContext): Promise<void> {
  let state: LedgerState | undefined;
  while (state === undefined && !signal.aborted) state = await newest();
  if (state === undefined) return;
  const { sources, partitionsMax } = state.configuration.body;
  if (!sources.includes(topic)) throw new PlaitError('config', `${topic} is no source of ${origin}, which orders ${sources.join(', ')}`);
  const found = await topicOffsets({ kafka, topic });
  if (partition < partitionsMax && found.some((each) => each.partition === partition)) return;
  throw new PlaitError('config', `${topic} has no partition ${partition} that is ordered: it has ${found.length}, and the ledger orders those below ${partitionsMax}`);
}
