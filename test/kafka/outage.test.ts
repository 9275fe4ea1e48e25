/** A broker of this file's own goes away and comes back. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isPlaitError, logPosition, offset, type Payload } from '@plait/core';
import { openLogAppender, openLogReader, openSourceReader, type KafkaOptions } from '@plait/kafka';
import { launch, type Services } from '@plait/launcher';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { uniqueName } from '../global/services.ts';
import { createTopic } from './client.ts';
import { Harness } from './harness.ts';
import { onceAvailable, openPatientSource } from './patient.ts';

let services: Services;
let kafka: KafkaOptions;
let harness: Harness;

beforeAll(async () => {
  services = await launch({ redis: false, mode: 'processes' });
  kafka = { brokers: services.bootstrapServers.split(',') };
  harness = new Harness(kafka);
});
afterAll(async () => {
  await services.stop();
});

const codeOf = async (call: Promise<unknown>): Promise<string | undefined> =>
  await call.then(
    () => undefined,
    (error: unknown) => (isPlaitError(error) ? error.code : String(error)),
  );

/** Bound of what must come, generous for a busy machine. */
const SOON = { timeout: 60_000 };

const unavailable = async (call: () => Promise<unknown>): Promise<boolean> => (await codeOf(call())) === 'unavailable';

/** Holds the whole process up again and again, for so long each time that no timer of `holdMs` is in time. */
async function holdUp({ times, holdMs }: { readonly times: number; readonly holdMs: number }): Promise<void> {
  for (let i = 0; i < times; i += 1) {
    const untilMs = performance.now() + holdMs * 1.5;
    while (performance.now() < untilMs);
    await new Promise((resolve) => void setImmediate(resolve));
  }
}

describe('an outage', () => {
  it('is not what a process has that is too busy to connect in time', async () => {
    // Again while the broker was too busy to answer: this process is held up each time.
    const source = await onceAvailable(async () => {
      const [opening] = await Promise.allSettled([openSourceReader({ kafka: { ...kafka, connectTimeoutMs: 20 } }), holdUp({ times: 20, holdMs: 20 })]);
      if (opening.status === 'rejected') throw opening.reason;
      return opening.value;
    });
    await source.close();
  });

  it('of the broker is `unavailable` or `unknown`, and readers go on where they were', async () => {
    const topic = await harness.makeTopic(1);
    const log = uniqueName('log');
    await createTopic(services.bootstrapServers, log);
    const at = { topic, partition: 0 };
    const value = Buffer.from('v');
    await harness.produce(at, [{ key: null, value, headers: [] }]);

    const source = await onceAvailable(() => openSourceReader({ kafka }));
    source.seek(at, offset(0n));
    const appender = await onceAvailable(() => openLogAppender({ kafka, topic: log, timeoutMs: 2_000 }));
    const reader = await onceAvailable(() => openLogReader({ kafka, topic: log, from: logPosition(0n) }));
    await expect.poll(() => codeOf(appender.append(value)), SOON).toBeUndefined();
    await expect.poll(() => reader.poll({ maxWaitMs: 500 }), SOON).not.toEqual([]);
    await expect.poll(() => source.poll({ maxWaitMs: 500 }), SOON).toHaveLength(1);

    // Silent: it may have been appended.
    await services.kafka?.kill('SIGSTOP');
    await expect.poll(() => codeOf(appender.append(value)), SOON).toBe('unknown');
    await services.kafka?.kill('SIGCONT');
    await expect.poll(() => codeOf(appender.append(value)), SOON).toBeUndefined();

    // Gone: it cannot have been.
    await services.kafka?.kill('SIGKILL');
    await expect.poll(() => codeOf(appender.append(value)), SOON).toBe('unavailable');
    await expect.poll(() => codeOf(reader.end()), SOON).toBe('unavailable');
    await Promise.all([
      expect.poll(async () => await unavailable(() => reader.poll({ maxWaitMs: 500 })), SOON).toBe(true),
      expect.poll(async () => await unavailable(() => source.poll({ maxWaitMs: 500 })), SOON).toBe(true),
    ]);

    await services.kafka?.start();
    await expect.poll(() => codeOf(appender.append(Buffer.from('after'))), SOON).toBeUndefined();
    await harness.produce(at, [{ key: null, value, headers: [] }]);
    const values: string[] = [];
    const offsets: bigint[] = [];
    await expect.poll(async () => {
      values.push(...(await reader.poll({ maxWaitMs: 200 }).catch(() => [])).map((message) => Buffer.from(message.value).toString()));
      for (const event of await source.poll({ maxWaitMs: 200 }).catch(() => [])) {
        if (event.kind === 'records') offsets.push(...event.records.map((record) => record.offset));
      }
      return offsets.length > 0 && reader.position() === (await reader.end());
    }, SOON).toBe(true);
    expect(values.at(-1)).toBe('after');
    expect(offsets).toEqual([1n]);
    await Promise.all([source.close(), reader.close(), appender.close()]);
  });

  it('is over for a reader that asked for nothing when it ended', async () => {
    const topic = await harness.makeTopic(1);
    const at = { topic, partition: 0 };
    await harness.produce(at, [{ key: null, value: Buffer.from('v'), headers: [] }]);
    const source = await onceAvailable(() => openSourceReader({ kafka }));
    source.seek(at, offset(0n));
    await expect.poll(() => source.poll({ maxWaitMs: 500 }), SOON).toHaveLength(1);
    await services.kafka?.kill('SIGKILL');
    await expect.poll(async () => await unavailable(() => source.poll({ maxWaitMs: 500 })), SOON).toBe(true);
    source.drop(at);
    await expect.poll(async () => await unavailable(() => source.poll({ maxWaitMs: 100 })), SOON).toBe(false);
    await services.kafka?.start();
    source.seek(at, offset(0n));
    // The first polls find no answer yet, which is not the silence of before.
    expect(await codeOf(source.poll({ maxWaitMs: 0 }))).toBeUndefined();
    await expect.poll(async () => (await source.poll({ maxWaitMs: 100 })).length, SOON).toBe(1);
    await source.close();
  });

  it('of the disk, a damaged batch, is `invalid`, while other partitions go on', async () => {
    const topic = await harness.makeTopic(2);
    const record: Payload = { key: null, value: Buffer.from('v'), headers: [] };
    for (const partition of [0, 0, 1]) await harness.produce({ topic, partition }, [record]);
    // Stopped in good order, Kafka does not look at its segments when it starts again.
    await services.kafka?.stop();
    const file = join(services.kafka?.dataDir ?? '', '1', `${topic}-0`, '00000000000000000000.log');
    const segment = await readFile(file);
    const secondBatch = 12 + segment.readInt32BE(8);
    // The length of its only record, now beyond the batch.
    segment.writeUInt8(0x7e, secondBatch + 61);
    await writeFile(file, segment);
    await services.kafka?.start();

    const source = await openPatientSource(kafka);
    source.seek({ topic, partition: 1 }, offset(0n));
    source.seek({ topic, partition: 0 }, offset(1n));
    const other: bigint[] = [];
    let failure: unknown;
    await expect.poll(async () => {
      try {
        for (const event of await source.poll({ maxWaitMs: 500 })) {
          if (event.kind === 'records' && event.partition === 1) other.push(...event.records.map((one) => one.offset));
        }
      } catch (error) {
        failure = error;
      }
      return failure !== undefined && other.length > 0;
    }, SOON).toBe(true);
    expect(failure).toMatchObject({ code: 'invalid', details: { topic, partition: 0, offset: '1' } });
    expect(other).toEqual([0n]);
    // Silent until sought again.
    expect(await source.poll({ maxWaitMs: 300 })).toEqual([]);
    await source.close();
  });
});
