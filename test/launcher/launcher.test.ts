/** The launcher itself, on processes of its own. What needs Java or Maven says so when it is skipped. */
import { sealBatch } from '@plait/kafka';
import { launch, LauncherError } from '@plait/launcher';
import { Redis } from 'ioredis';
import { existsSync } from 'node:fs';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, it } from 'vitest';
import { bootstrapServers, redisUrl, uniqueName } from '../global/services.ts';
import { client, consume, createTopic, produce } from '../kafka/client.ts';
import { findJava } from './machine.ts';

const java = findJava();
if (java === undefined) console.log('skipped: launching Kafka as a process needs Java 17 on the PATH');

/** Overwrites the only record of a partition's file, and makes the checksum of its batch, the file's only one, fit again. */
function tamper(file: Buffer): void {
  file.write('worst', file.indexOf('first'));
  sealBatch(file);
}

const savedEnvironment = { ...process.env };

afterEach(() => {
  for (const name of ['PLAIT_BOOTSTRAP_SERVERS', 'PLAIT_REDIS_URL', 'PATH', 'JAVA_HOME', 'XDG_CACHE_HOME']) {
    const saved = savedEnvironment[name];
    if (saved === undefined) delete process.env[name];
    else process.env[name] = saved;
  }
});

describe('the services of this run', () => {
  it('are a Kafka that keeps records and a Redis that keeps keys', async () => {
    const topic = uniqueName('launcher');
    await createTopic(bootstrapServers(), topic);
    await produce(bootstrapServers(), topic, ['a', 'b']);
    expect(await consume(bootstrapServers(), topic, 2)).toEqual(['a', 'b']);
    const redis = new Redis(redisUrl());
    const key = uniqueName('key');
    await redis.set(key, '1', 'EX', 60);
    expect(await redis.get(key)).toBe('1');
    await redis.quit();
  });

  it('does not make topics that were not asked for', async () => {
    const admin = client(bootstrapServers()).admin();
    await admin.connect();
    await expect(admin.fetchTopicMetadata({ topics: [uniqueName('nobody')] })).rejects.toThrow(/does not host/);
    await admin.disconnect();
  });
});

describe('given addresses', () => {
  it('are used, and left alone at the end', async () => {
    process.env['PLAIT_BOOTSTRAP_SERVERS'] = bootstrapServers();
    process.env['PLAIT_REDIS_URL'] = redisUrl();
    const services = await launch();
    expect(services.how).toBe('given');
    expect([services.bootstrapServers, services.redisUrl]).toEqual([bootstrapServers(), redisUrl()]);
    expect([services.kafka, services.redis]).toEqual([undefined, undefined]);
    await services.stop();
    const redis = new Redis(redisUrl());
    expect(await redis.ping()).toBe('PONG');
    await redis.quit();
  });

  it('count each for itself', async () => {
    process.env['PLAIT_REDIS_URL'] = redisUrl();
    await using services = await launch({ kafka: false });
    expect([services.how, services.redisUrl]).toEqual(['given', redisUrl()]);
    expect(() => services.bootstrapServers).toThrow(LauncherError);
  });

  it('that nobody answers at are named', async () => {
    process.env['PLAIT_BOOTSTRAP_SERVERS'] = '127.0.0.1:1';
    await expect(launch({ redis: false })).rejects.toThrow('PLAIT_BOOTSTRAP_SERVERS names 127.0.0.1:1, which does not accept connections');
    process.env['PLAIT_BOOTSTRAP_SERVERS'] = 'no address';
    await expect(launch({ redis: false })).rejects.toThrow('PLAIT_BOOTSTRAP_SERVERS does not name an address');
  });
});

describe('what is missing is named', () => {
  it('the mode that settings need', async () => {
    await expect(launch({ redisProcess: { tls: true } })).rejects.toThrow("mode 'processes'");
    await expect(launch({ kafkaProcess: {}, mode: 'docker' })).rejects.toThrow("mode 'processes'");
  });

  it('Java', async () => {
    process.env['PATH'] = '/nonexistent';
    delete process.env['JAVA_HOME'];
    await expect(launch({ mode: 'processes', redis: false })).rejects.toThrow(/needs Java 17 or newer.*apt install/);
  });

  it('Maven, or a Redis, with an empty cache', async () => {
    const empty = await mkdtemp(join(tmpdir(), 'plait-empty-cache-'));
    process.env['XDG_CACHE_HOME'] = empty;
    process.env['PATH'] = '/nonexistent';
    await expect(launch({ mode: 'processes', kafka: false })).rejects.toThrow(/mvn was not found.*apt install redis-server/);
    await rm(empty, { recursive: true });
  });

  it('Docker', async () => {
    process.env['PATH'] = '/nonexistent';
    await expect(launch({ mode: 'docker' })).rejects.toThrow('no engine answers');
    await expect(launch({ mode: 'docker', brokers: 3 })).rejects.toThrow('Three brokers run as processes only');
  });
});

describe.skipIf(java === undefined)(java === undefined ? 'processes (skipped: needs Java 17 on the PATH)' : 'processes', () => {
  it('keep address and records when Kafka and Redis are stopped, killed and started again', async () => {
    const services = await launch({ mode: 'processes' });
    const { kafka, redis, bootstrapServers: brokers } = services;
    if (kafka?.dataDir === undefined || redis === undefined) throw new Error('no control over processes');
    const topic = uniqueName('restart');
    await createTopic(brokers, topic);
    await produce(brokers, topic, ['first']);
    await kafka.stop();
    expect(kafka.pid).toBe(undefined);
    await kafka.editFile(`${topic}-0/00000000000000000000.log`, tamper);
    await kafka.start();
    await produce(brokers, topic, ['2']);
    await kafka.kill('SIGKILL');
    await expect(kafka.kill('SIGKILL')).rejects.toThrow(LauncherError);
    await kafka.start();
    expect(await consume(brokers, topic, 2)).toEqual(['worst', '2']);
    expect(existsSync(join(kafka.dataDir, '1', `${topic}-0`, '00000000000000000000.log'))).toBe(true);

    const before = redis.pid;
    await redis.stop();
    await redis.start();
    expect(redis.pid).not.toBe(before);
    const connection = new Redis(services.redisUrl);
    expect(await connection.ping()).toBe('PONG');
    await connection.quit();
    await services.stop();
    await services.stop();
    expect(existsSync(kafka.dataDir)).toBe(false);
  });

  it('keep records between launches in a given folder', async () => {
    const dataDir = await mkdtemp(join(tmpdir(), 'plait-data-'));
    const topic = uniqueName('kept');
    {
      await using services = await launch({ mode: 'processes', redis: false, dataDir });
      await createTopic(services.bootstrapServers, topic);
      await produce(services.bootstrapServers, topic, ['1', '2']);
    }
    {
      await using services = await launch({ mode: 'processes', redis: false, dataDir });
      expect(await consume(services.bootstrapServers, topic, 2)).toEqual(['1', '2']);
    }
    await expect(launch({ mode: 'processes', redis: false, dataDir, brokers: 3 })).rejects.toThrow('holds a cluster of 1 broker(s)');
    await rm(dataDir, { recursive: true });
  });

  it('three brokers go on without one', async () => {
    await using services = await launch({ mode: 'processes', redis: false, brokers: 3 });
    expect(services.bootstrapServers.split(',')).toHaveLength(3);
    const { bootstrapServers: brokers } = services;
    const topic = uniqueName('three');
    await createTopic(brokers, topic, { replicationFactor: 3 });
    await produce(brokers, topic, ['1']);
    await services.kafka?.brokers[1]?.kill('SIGKILL');
    await produce(brokers, topic, ['2']);
    expect(await consume(brokers, topic, 2)).toEqual(['1', '2']);
  });

  it('an aborted launch ends with the reason', async () => {
    const abort = new AbortController();
    const reason = new Error('enough');
    const launched = launch({ mode: 'processes', signal: abort.signal });
    setTimeout(() => abort.abort(reason), 700);
    await expect(launched).rejects.toBe(reason);
  });
});
