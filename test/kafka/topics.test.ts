import { checkLogTopic, checkSourceTopics, createLogTopic, openLogReader, topicOffsets } from '@plait/kafka';
import { logPosition, type Payload } from '@plait/core';
import { describe, expect, it } from 'vitest';
import { uniqueName } from '../global/services.ts';
import { Harness } from './harness.ts';
import { onceAvailable } from './patient.ts';

const harness = new Harness();
const kafka = harness.options;
const messageBytesMax = 1_000_000;
const LOG = {
  'cleanup.policy': 'delete', 'retention.ms': '-1', 'retention.bytes': '-1', 'unclean.leader.election.enable': 'false',
  'compression.type': 'uncompressed', 'max.message.bytes': '1100000',
};

const SOON = { timeout: 60_000 };
const checkLog = (topic: string): ReturnType<typeof checkLogTopic> => onceAvailable(() => checkLogTopic({ kafka, topic, messageBytesMax }));
const checkSources = (topics: readonly string[], toRead = false): ReturnType<typeof checkSourceTopics> => onceAvailable(() => checkSourceTopics({ kafka, topics, toRead }));

describe('the log', () => {
  it('is created as it must be, once', async () => {
    let topic = '';
    // A broker that did not answer for a while may have made it unheard: then it is there at the second try.
    await expect.poll(async () => {
      topic = uniqueName('log');
      return await createLogTopic({ kafka, topic, messageBytesMax });
    }, SOON).toBe(true);
    expect(await onceAvailable(() => createLogTopic({ kafka, topic, messageBytesMax }))).toBe(false);
    const warnings = await checkLog(topic);
    expect(warnings.map((warning) => /replication is 1|min\.insync\.replicas is 1/.test(warning))).toEqual([true, true]);
  });

  it.each([
    ['cleanup.policy', 'compact', 'delete'],
    ['cleanup.policy', 'compact,delete', 'delete'],
    ['retention.ms', '604800000', '-1'],
    ['retention.bytes', '1073741824', '-1'],
    ['unclean.leader.election.enable', 'true', 'false'],
    ['compression.type', 'producer', 'uncompressed'],
    ['max.message.bytes', '1000000', 'at least 1000512'],
  ])('is refused with %s=%s', async (setting, value, wanted) => {
    const topic = await harness.makeTopic(1, { ...LOG, [setting]: value });
    await expect(checkLog(topic)).rejects.toMatchObject({ code: 'config', details: { topic, setting, value, wanted } });
  });

  it('is refused with 2 partitions, and when it does not exist', async () => {
    const topic = await harness.makeTopic(2, LOG);
    await expect(checkLog(topic)).rejects.toMatchObject({ code: 'config', details: { value: '2', wanted: '1' } });
    await expect(checkLog(uniqueName('none'))).rejects.toMatchObject({ code: 'config' });
  });
});

describe('sources', () => {
  it('may be kept for ever', async () => {
    const topic = await harness.makeTopic(3, { 'retention.ms': '-1' });
    expect(await checkSources([topic])).toEqual({ topics: [{ topic, partitions: 3 }], warnings: [] });
  });

  it('with limited retention are a warning that names it', async () => {
    const topic = await harness.makeTopic(1, { 'retention.ms': '3600000', 'retention.bytes': '1048576' });
    const { warnings } = await checkSources([topic]);
    expect(warnings).toHaveLength(2);
    expect(warnings.join()).toMatch(/retention\.ms=3600000.*retention\.bytes=1048576/);
  });

  it('are refused when compacted or not there', async () => {
    const topic = await harness.makeTopic(1, { 'cleanup.policy': 'compact' });
    await expect(checkSources([topic])).rejects.toMatchObject({ code: 'config', details: { setting: 'cleanup.policy', value: 'compact' } });
    await expect(checkSources([uniqueName('none')])).rejects.toMatchObject({ code: 'config' });
  });

  it('may be gone for who reads them already: a warning, and the others are looked at', async () => {
    const [there, gone] = [await harness.makeTopic(1), uniqueName('none')];
    const { topics, warnings } = await checkSources([gone, there], true);
    expect(topics).toEqual([{ topic: there, partitions: 1 }]);
    expect(warnings[0]).toContain(`topic ${gone} does not exist`);
  });

  it('tell where their partitions begin and end', async () => {
    const topic = await harness.makeTopic(2);
    const payload: Payload = { key: null, value: null, headers: [] };
    await harness.produce({ topic, partition: 1 }, [payload, payload, payload]);
    await harness.deleteBefore({ topic, partition: 1 }, 2n);
    expect(await onceAvailable(() => topicOffsets({ kafka, topic }))).toEqual([{ partition: 0, logStart: 0n, end: 0n }, { partition: 1, logStart: 2n, end: 3n }]);
    await expect(onceAvailable(() => topicOffsets({ kafka, topic: uniqueName('none') }))).rejects.toMatchObject({ code: 'config' });
  });
});

describe('a cluster that is not there', () => {
  it('is `unavailable` within 5 s, with its address', async () => {
    const nobody = { brokers: ['127.0.0.1:1'] };
    // At once, as it is; and once, since this process may stand still in the midst of it.
    await expect.poll(async () => {
      const startMs = performance.now();
      await expect(openLogReader({ kafka: nobody, topic: 't', from: logPosition(0n) })).rejects.toMatchObject({
        code: 'unavailable', message: expect.stringContaining('127.0.0.1:1') as string,
      });
      await expect(checkLogTopic({ kafka: nobody, topic: 't', messageBytesMax })).rejects.toMatchObject({ code: 'unavailable' });
      return performance.now() - startMs;
    }, SOON).toBeLessThan(5_000);
  });

  it('is `config` when its address is none', async () => {
    await expect(openLogReader({ kafka: { brokers: ['localhost'] }, topic: 't', from: logPosition(0n) })).rejects.toMatchObject({ code: 'config' });
  });
});
