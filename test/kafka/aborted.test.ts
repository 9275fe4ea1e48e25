/** Records of aborted transactions, through our reader and through an ordinary consumer of the patched kafkajs. */
import { offset, type TopicPartition } from '@plait/core';
import { describe, expect, it } from 'vitest';
import { uniqueName } from '../global/services.ts';
import { patiently } from './client.ts';
import { Harness } from './harness.ts';
import { openPatientSource } from './patient.ts';

const harness = new Harness();
const textOf = (value: Uint8Array | null): string => Buffer.from(value ?? []).toString();

/** Values that our reader hands out from `from` to `end`. Without headers and below 64 bytes they end one byte before the payload's end. */
async function readValues(at: TopicPartition, from: bigint, end: bigint): Promise<string[]> {
  const reader = await openPatientSource(harness.options);
  reader.seek(at, offset(from));
  const values: string[] = [];
  for (let next = from; next < end; ) {
    for (const event of await reader.poll({ maxWaitMs: 2_000 })) {
      if (event.kind !== 'records') throw new Error(event.kind);
      next = event.nextOffset;
      for (const { payload } of event.records) {
        const keyLength = (payload[0] ?? 0) >> 1;
        const valueAt = payload[0] === 1 ? 2 : keyLength + 2;
        values.push(textOf(payload.subarray(valueAt, payload.length - 1)));
      }
    }
  }
  await reader.close();
  return values;
}

/** The same through kafkajs' consumer, until `last` comes. */
async function consumeValues({ topic, partition }: TopicPartition, from: bigint, last: string): Promise<string[]> {
  const consumer = harness.kafka.consumer({ groupId: uniqueName('aborted') });
  const values: string[] = [];
  const done = Promise.withResolvers<void>();
  await consumer.connect();
  await consumer.subscribe({ topics: [topic], fromBeginning: true });
  await consumer.run({
    autoCommit: false,
    eachMessage: async ({ message }) => {
      if (BigInt(message.offset) < from) return;
      values.push(textOf(message.value));
      if (values.at(-1) === last) done.resolve();
    },
  });
  // kafkajs says that it runs before it has joined, when a broker takes its time; then it joins anew.
  await patiently(async () => consumer.seek({ topic, partition, offset: from.toString() }));
  await done.promise;
  await consumer.disconnect();
  return values;
}

interface OpenTransaction {
  send(value: string, key?: Buffer): Promise<void>;
  commit(): Promise<void>;
  abort(): Promise<void>;
}

/** One partition, and what its transactions say. A value of 9 bytes or less is read by {@link readValues}. */
async function make(): Promise<{
  readonly at: TopicPartition;
  readonly begin: () => Promise<OpenTransaction>;
  readonly plain: (value: string) => Promise<void>;
}> {
  const topic = await harness.makeTopic(1);
  const producer = await harness.producer();
  return {
    at: { topic, partition: 0 },
    begin: async () => {
      const transaction = await (await harness.producer(true)).transaction();
      return {
        send: async (value, key) => void (await transaction.send({ topic, messages: [{ partition: 0, key: key ?? null, value }] })),
        commit: () => transaction.commit(),
        abort: () => transaction.abort(),
      };
    },
    plain: async (value) => void (await producer.send({ topic, messages: [{ partition: 0, value }] })),
  };
}

describe('aborted transactions', () => {
  it('a record with the key 00 00 00 00 does not end one', async () => {
    const { at, begin, plain } = await make();
    const a = await begin();
    await a.send('x0', Buffer.from([0, 0, 0, 0]));
    await a.send('x1');
    await a.abort();
    await plain('end');
    // x0, x1, marker, end
    expect(await readValues(at, 0n, 4n)).toEqual(['end']);
    expect(await consumeValues(at, 0n, 'end')).toEqual(['end']);
  });

  it('a fetch that begins inside two of them leaks neither', async () => {
    const { at, begin, plain } = await make();
    const [a, b] = [await begin(), await begin()];
    await a.send('a0');
    await b.send('b0');
    await b.send('b1');
    await a.send('a1');
    await a.abort();
    await b.abort();
    await plain('end');
    // a0 b0 b1 a1, two markers, end; from b1 on both have begun
    expect(await readValues(at, 2n, 7n)).toEqual(['end']);
    expect(await consumeValues(at, 2n, 'end')).toEqual(['end']);
  });

  it('overlapping ones, the first to begin being the last to end, leak nothing', async () => {
    const { at, begin, plain } = await make();
    const [a, b, c] = [await begin(), await begin(), await begin()];
    await a.send('a0');
    await b.send('b0');
    await c.send('c0');
    await a.send('a1');
    await b.abort();
    await c.commit();
    await a.send('a2');
    await a.abort();
    await plain('end');
    // a0 b0 c0 a1, marker b, marker c, a2, marker a, end
    expect(await readValues(at, 0n, 9n)).toEqual(['c0', 'end']);
    expect(await consumeValues(at, 0n, 'end')).toEqual(['c0', 'end']);
  });

  it('an open one holds back what follows it, and nothing is said of it before it ends', async () => {
    const { at, begin, plain } = await make();
    const a = await begin();
    await plain('first');
    await a.send('a0');
    await plain('after');
    const reader = await openPatientSource(harness.options);
    reader.seek(at, offset(0n));
    const read: unknown[] = [];
    while (read.length === 0) {
      for (const event of await reader.poll({ maxWaitMs: 2_000 })) read.push(event.kind === 'records' && [event.records.length, event.nextOffset]);
    }
    expect(read).toEqual([[1, 1n]]);
    expect(await reader.poll({ maxWaitMs: 300 })).toEqual([]);
    await reader.close();
    await a.abort();
    expect(await readValues(at, 1n, 4n)).toEqual(['after']);
  });
});
