/** A record's place as people write it. */
import { InvalidArgumentError } from 'commander';
import { isPlaitError, parseCount, parseTopic, parseUint63, type TopicPartition } from '@plait/core';

const PARTITION_MAX = 2 ** 31 - 1;

/** Where a record stands in its topic, in the partition's newest generation. */
export type Place = TopicPartition & { readonly offset: bigint };

/** For commander: `TOPIC/PARTITION/OFFSET`. */
export function placeArgument(text: string): Place {
  const parts = /^([^/]+)\/([^/]+)\/([^/]+)$/.exec(text);
  if (parts === null) throw new InvalidArgumentError('wanted TOPIC/PARTITION/OFFSET');
  const [, topic = '', partition = '', offset = ''] = parts;
  try {
    return { topic: parseTopic(topic), partition: parseCount(partition, PARTITION_MAX), offset: parseUint63(offset) };
  } catch (error) {
    if (!isPlaitError(error, 'invalid')) throw error;
    throw new InvalidArgumentError(`${error.message}; wanted TOPIC/PARTITION/OFFSET`);
  }
}
