import { launch } from '@plait/launcher';
import { Redis } from 'ioredis';
import { Kafka, logLevel } from 'kafkajs';
import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { named, whyNot } from './engine.ts';
import { startContainers } from './start.ts';

async function produce(brokers: string, topic: string, values: readonly string[], retries = 10): Promise<void> {
  const kafka = new Kafka({ brokers: [brokers], logLevel: logLevel.NOTHING, retry: { retries } });
  const admin = kafka.admin();
  await admin.connect();
  await admin.createTopics({ topics: [{ topic, numPartitions: 1, replicationFactor: 1 }] });
  await admin.disconnect();
  const producer = kafka.producer({ allowAutoTopicCreation: false });
  await producer.connect();
  await producer.send({ topic, acks: -1, messages: values.map((value) => ({ value })) });
  await producer.disconnect();
}

async function consume(brokers: string, topic: string, count: number): Promise<string[]> {
  const kafka = new Kafka({ brokers: [brokers], logLevel: logLevel.NOTHING, retry: { retries: 10 } });
  const consumer = kafka.consumer({ groupId: `group-${topic}-${count}` });
  const values: string[] = [];
  await consumer.connect();
  await consumer.subscribe({ topics: [topic], fromBeginning: true });
  await new Promise<void>((resolve, reject) => {
    consumer
      .run({
        eachMessage: ({ message }) => {
          values.push(message.value?.toString() ?? '');
          if (values.length === count) resolve();
          return Promise.resolve();
        },
      })
      .catch(reject);
  });
  await consumer.disconnect();
  return values;
}

async function ping(url: string): Promise<string> {
  const redis = new Redis(url);
  try {
    return await redis.ping();
  } finally {
    redis.disconnect();
  }
}

/** Ids of the containers there are, running or not. */
function containerIds(): string[] {
  return execFileSync('docker', ['ps', '-aq'], { encoding: 'utf8' }).split('\n').filter(Boolean).sort();
}

/** Names of the volumes there are. */
function volumeNames(): string[] {
  return execFileSync('docker', ['volume', 'ls', '-q'], { encoding: 'utf8' }).split('\n').filter(Boolean).sort();
}

describe.skipIf(whyNot !== undefined)(named('Kafka and Redis in containers'), () => {
  it('records are still there after the broker was killed and started again', async () => {
    const before = containerIds();
    {
      await using containers = await startContainers();
      expect(await ping(containers.redisUrl)).toBe('PONG');
      await produce(containers.bootstrapServers, 'kept', ['1', '2', '3']);
      await containers.killBroker();
      await expect(produce(containers.bootstrapServers, 'lost', ['x'], 1)).rejects.toThrow();
      await containers.startBroker();
      await produce(containers.bootstrapServers, 'kept', ['4']);
      expect(await consume(containers.bootstrapServers, 'kept', 4)).toEqual(['1', '2', '3', '4']);
    }
    expect(containerIds()).toEqual(before);
  });
});

describe.skipIf(whyNot !== undefined)(named('the launcher in Docker'), () => {
  it('starts, stops, kills and starts again, and leaves no container and no volume', async () => {
    const before = [containerIds(), volumeNames()];
    const services = await launch({ mode: 'docker' });
    const { kafka, redis, bootstrapServers, redisUrl } = services;
    if (kafka === undefined || redis === undefined) throw new Error('no control over containers');
    expect(services.how).toBe('docker');
    expect(await ping(redisUrl)).toBe('PONG');
    await produce(bootstrapServers, 'kept', ['1']);
    await kafka.stop();
    await kafka.stop();
    await kafka.start();
    await produce(bootstrapServers, 'kept', ['2']);
    await kafka.kill('SIGKILL');
    await kafka.start();
    await redis.stop();
    await redis.start();
    expect(await consume(bootstrapServers, 'kept', 2)).toEqual(['1', '2']);
    expect(await ping(redisUrl)).toBe('PONG');
    await services.stop();
    expect([containerIds(), volumeNames()]).toEqual(before);
  });
});
