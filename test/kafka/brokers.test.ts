/** Three brokers, one of which dies: administration goes on. kafkajs' admin asks the one broker that it takes for the controller. */
import { checkLogTopic, createLogTopic, topicOffsets, type KafkaOptions } from '@plait/kafka';
import { launch } from '@plait/launcher';
import { describe, expect, it } from 'vitest';
import { uniqueName } from '../global/services.ts';
import { findJava } from '../launcher/machine.ts';
import { onceAvailable } from './patient.ts';

const java = findJava();
if (java === undefined) console.log('skipped: three brokers need Java 17 on the PATH');
const MESSAGE_BYTES_MAX = 100_000;

describe.skipIf(java === undefined)(java === undefined ? 'brokers (skipped: needs Java 17 on the PATH)' : 'brokers', () => {
  it('settings are asked for and topics made while one of three is away', async () => {
    await using services = await launch({ mode: 'processes', redis: false, brokers: 3 });
    const kafka: KafkaOptions = { brokers: services.bootstrapServers.split(',') };
    const log = (topic: string): { kafka: KafkaOptions; topic: string; messageBytesMax: number } => ({ kafka, topic, messageBytesMax: MESSAGE_BYTES_MAX });
    const first = uniqueName('log');
    expect(await onceAvailable(() => createLogTopic({ ...log(first), replicationFactor: 3 }))).toBe(true);
    await services.kafka?.brokers[0]?.kill('SIGKILL');
    // Until its session has ended every answer may name the dead one.
    for (let call = 0; call < 5; call++) expect(await checkLogTopic(log(first))).toEqual([]);
    expect(await createLogTopic({ ...log(first), replicationFactor: 3 })).toBe(false);
    const second = uniqueName('log');
    await onceAvailable(() => createLogTopic({ ...log(second), replicationFactor: 2 }));
    expect(await onceAvailable(() => topicOffsets({ kafka, topic: second }))).toHaveLength(1);
  });
});
