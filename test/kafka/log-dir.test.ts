/** Records and log read out of the segment files of a broker that runs: what the files say is what the broker says. */
import { randomBytes } from 'node:crypto';
import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { encodePayload, logPosition, offset, type Payload, type TopicPartition } from '@plait/core';
import { openLogDirLog, openLogDirSource } from '@plait/kafka';
import { launch } from '@plait/launcher';
import type { LogMessage, LogReader, SourceReader, SourceRecord } from '@plait/roles';
import { afterAll, describe, expect, it } from 'vitest';
import { sourceContract } from '../contract/source-contract.ts';
import { Harness, sourceDriver } from './harness.ts';
import { openPatientLog, openPatientSource } from './patient.ts';
import { recordBatch } from './record-batch.ts';

// A broker of its own: the shared one may run where its files cannot be read. It writes down soon where partitions begin.
const settings = { 'log.flush.start.offset.checkpoint.interval.ms': '100', 'log.initial.task.delay.ms': '100', 'log.retention.ms': '-1' };
const services = await launch({ mode: 'processes', redis: false, kafkaProcess: { settings } });
afterAll(() => services.stop());
const dir = join(services.kafka?.dataDir ?? '', '1');
const harness = new Harness({ brokers: [services.bootstrapServers], clientId: 'plait-test' });

/** Resolves when the broker has written down where a partition begins. */
async function startWritten({ topic, partition }: TopicPartition, start: bigint): Promise<void> {
  const path = join(dir, 'log-start-offset-checkpoint');
  while (!(await readFile(path, 'utf8').catch(() => '')).includes(`${topic} ${partition} ${start}\n`)) await new Promise((resolve) => setTimeout(resolve, 20));
}

describe('SourceReader over segment files', () => {
  sourceContract(async () => ({
    ...(await sourceDriver(harness)),
    reader: () => openLogDirSource({ dir }),
    deleteBefore: async (at, to) => {
      await harness.deleteBefore(at, to);
      await startWritten(at, to);
    },
  }));
});

const payloadsOf = (prefix: string, count: number): Payload[] =>
  Array.from({ length: count }, (_, i) => ({ key: null, value: Buffer.from(`${prefix} ${i} ${randomBytes(4_000).toString('hex')}`), headers: [{ key: Buffer.from('n'), value: Buffer.from(`${i}`) }] }));

async function recordsUpTo(reader: SourceReader, at: TopicPartition, { from, end }: { from: bigint; end: bigint }): Promise<readonly SourceRecord[]> {
  reader.seek(at, offset(from));
  const records: SourceRecord[] = [];
  for (let next = from; next < end;) {
    for (const event of await reader.poll({ maxWaitMs: 5_000, only: at })) {
      if (event.kind !== 'records') throw new Error(`${event.kind} after ${next}`);
      expect(event.firstOffset).toBe(next);
      next = event.nextOffset;
      records.push(...event.records.map((record) => ({ ...record, payload: Uint8Array.from(record.payload) })));
    }
  }
  return records;
}

describe('what the files say', () => {
  it('is what the broker says: compressed batches, transactions, several segments, a deleted head', async () => {
    const at = { topic: await harness.makeTopic(1, { 'segment.bytes': '1048576' }), partition: 0 };
    const driver = await sourceDriver(harness);
    for (const [codec, compress] of [[0, undefined], [1, gzipSync], [4, zstdCompressSync]] as const) {
      for (let i = 0; i < 5; i += 1) {
        const records = payloadsOf(`codec ${codec} batch ${i}`, 40).map((payload) => ({ payload: encodePayload(payload) }));
        await harness.produceRaw(at, recordBatch(records, compress === undefined ? {} : { codec, compress: (raw) => compress(raw) }));
      }
      await driver.produceInTransaction(at, payloadsOf('aborted', 30), 'abort');
      await driver.produceInTransaction(at, payloadsOf('committed', 30), 'commit');
    }
    const end = 3n * (200n + 31n + 31n);
    expect((await readdir(join(dir, `${at.topic}-0`))).filter((name) => name.endsWith('.log')).length).toBeGreaterThan(3);
    const [files, broker] = [await openLogDirSource({ dir }), await openPatientSource(harness.options)];
    for (const from of [0n, 1n, 199n, 215n, 240n, 400n, end - 1n]) {
      const [found, wanted] = [await recordsUpTo(files, at, { from, end }), await recordsUpTo(broker, at, { from, end })];
      expect(found.length).toBe(wanted.length);
      expect(found).toEqual(wanted.map((record) => ({ ...record, payload: Uint8Array.from(record.payload) })));
    }
    await harness.deleteBefore(at, 300n);
    await startWritten(at, 300n);
    files.find(at);
    expect(await files.poll({ maxWaitMs: 5_000 })).toEqual([{ kind: 'found', ...at, logStart: 300n, end }]);
    expect(await recordsUpTo(files, at, { from: 300n, end })).toEqual(await recordsUpTo(broker, at, { from: 300n, end }));
    files.seek(at, offset(299n));
    expect(await files.poll({ maxWaitMs: 5_000 })).toEqual([{ kind: 'out-of-range', ...at, offset: 299n, logStart: 300n, end }]);
    await Promise.all([files.close(), broker.close()]);
  });

  it('ends for readers where a transaction is open, until it ends', async () => {
    const at = { topic: await harness.makeTopic(1), partition: 0 };
    await harness.produce(at, payloadsOf('before', 3));
    const transaction = await (await harness.producer(true)).transaction();
    await transaction.send({ topic: at.topic, messages: [{ partition: 0, value: 'open' }] });
    await harness.produce(at, payloadsOf('behind', 2));
    const reader = await openLogDirSource({ dir });
    expect(await recordsUpTo(reader, at, { from: 0n, end: 3n })).toHaveLength(3);
    expect(await reader.poll({ maxWaitMs: 300 })).toEqual([]);
    await transaction.abort();
    expect((await recordsUpTo(reader, at, { from: 3n, end: 7n })).map((record) => record.offset)).toEqual([4n, 5n]);
    await reader.close();
  });

  it('is the log, aborted messages included, from any position', async () => {
    const at = { topic: await harness.makeTopic(1, { 'segment.bytes': '1048576' }), partition: 0 };
    const driver = await sourceDriver(harness);
    for (let i = 0; i < 20; i += 1) await harness.produce(at, payloadsOf(`message ${i}`, 10));
    await driver.produceInTransaction(at, payloadsOf('aborted', 5), 'abort');
    const end = 206n;
    for (const from of [0n, 7n, 150n, 204n]) {
      const files = await openLogDirLog({ dir, topic: at.topic, from: logPosition(from) });
      const broker = await openPatientLog({ kafka: harness.options, topic: at.topic, from: logPosition(from) });
      // Kafka writes the marker after it has answered.
      while ((await files.end()) < end) await new Promise((resolve) => setTimeout(resolve, 20));
      expect(await messagesUpTo(files, end)).toEqual(await messagesUpTo(broker, end));
      expect(await files.poll({ maxWaitMs: 0 })).toEqual([]);
      expect(files.incarnation()).toBe(1);
      await Promise.all([files.close(), broker.close()]);
    }
    const beyond = await openLogDirLog({ dir, topic: at.topic, from: logPosition(207n) });
    for (let i = 0; i < 2; i += 1) await expect(beyond.poll({ maxWaitMs: 0 })).rejects.toMatchObject({ code: 'rolled-back', details: { end: '206' } });
    await harness.deleteBefore(at, 100n);
    await startWritten(at, 100n);
    const deleted = await openLogDirLog({ dir, topic: at.topic, from: logPosition(99n) });
    await expect(deleted.poll({ maxWaitMs: 0 })).rejects.toMatchObject({ code: 'missing', details: { logStart: '100' } });
  });
});

async function messagesUpTo(log: LogReader, end: bigint): Promise<readonly LogMessage[]> {
  const messages: LogMessage[] = [];
  while (log.position() < end) messages.push(...(await log.poll({ maxWaitMs: 5_000 })));
  return messages.map(({ position, value }) => ({ position, value: Uint8Array.from(value) }));
}
