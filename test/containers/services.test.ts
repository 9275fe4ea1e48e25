import { sealBatch } from '@plait/kafka';
import { launch } from '@plait/launcher';
import { Redis } from 'ioredis';
import { execFileSync } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { client, consume, createTopic, produce } from '../kafka/client.ts';
import { named, whyNot } from './engine.ts';
import { startContainers } from './start.ts';

async function ping(url: string): Promise<string> {
  const redis = new Redis(url);
  try {
    return await redis.ping();
  } finally {
    redis.disconnect();
  }
}

/** What there is of the containers and volumes of these ids or names. Others on the same engine are not ours to judge. */
function left(names: readonly string[]): string[] {
  const there = [
    execFileSync('docker', ['ps', '-a', '--no-trunc', '--format', '{{.ID}} {{.Names}}'], { encoding: 'utf8' }),
    execFileSync('docker', ['volume', 'ls', '-q'], { encoding: 'utf8' }),
  ].join(' ');
  return names.filter((name) => there.includes(name));
}

describe.skipIf(whyNot !== undefined)(named('Kafka and Redis in containers'), () => {
  it('records are still there after the broker was killed and started again', async () => {
    let ids: readonly string[];
    {
      await using containers = await startContainers();
      ids = containers.ids;
      expect(left(ids)).toEqual(ids);
      expect(await ping(containers.redisUrl)).toBe('PONG');
      await createTopic(containers.bootstrapServers, 'kept');
      await produce(containers.bootstrapServers, 'kept', ['1', '2', '3']);
      await containers.killBroker();
      await expect(client(containers.bootstrapServers).admin({ retry: { retries: 1 } }).connect()).rejects.toThrow();
      await containers.startBroker();
      await produce(containers.bootstrapServers, 'kept', ['4']);
      expect(await consume(containers.bootstrapServers, 'kept', 4)).toEqual(['1', '2', '3', '4']);
    }
    expect(left(ids)).toEqual([]);
  });
});

describe.skipIf(whyNot !== undefined)(named('the launcher in Docker'), () => {
  it('starts, stops, kills and starts again, and leaves no container and no volume', async () => {
    const services = await launch({ mode: 'docker' });
    const { kafka, redis, bootstrapServers, redisUrl } = services;
    if (kafka === undefined || redis === undefined) throw new Error('no control over containers');
    expect(services.how).toBe('docker');
    const port = bootstrapServers.split(':')[1] ?? '';
    const container = execFileSync('docker', ['ps', '--filter', `publish=${port}`, '--format', '{{.Names}}'], { encoding: 'utf8' }).trim();
    const project = container.replace(/-kafka-1$/, '');
    const names = [container, `${project}-redis-1`, `${project}_kafka-data`];
    expect(left(names)).toEqual(names);
    expect(await ping(redisUrl)).toBe('PONG');
    await createTopic(bootstrapServers, 'kept');
    await produce(bootstrapServers, 'kept', ['first']);
    await kafka.stop();
    await kafka.stop();
    await kafka.editFile('kept-0/00000000000000000000.log', (file) => {
      file.write('worst', file.indexOf('first'));
      sealBatch(file);
    });
    await kafka.start();
    await produce(bootstrapServers, 'kept', ['2']);
    await kafka.kill('SIGKILL');
    await kafka.start();
    await redis.stop();
    await redis.start();
    expect(await consume(bootstrapServers, 'kept', 2)).toEqual(['worst', '2']);
    expect(await ping(redisUrl)).toBe('PONG');
    await services.stop();
    expect(left(names)).toEqual([]);
  });
});
