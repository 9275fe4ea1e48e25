import { openLogAppender } from '@plait/kafka';
import { expect, it } from 'vitest';
import { Harness } from './harness.ts';
import { onceAvailable, openPatientAppender } from './patient.ts';

const harness = new Harness();

it('refuses a second append while one is outstanding, and goes on after it', async () => {
  const topic = await harness.makeTopic(1);
  const appender = await openPatientAppender({ kafka: harness.options, topic });
  const first = appender.append(Buffer.from('1'));
  await expect(appender.append(Buffer.from('2'))).rejects.toThrow('one outstanding append at a time');
  await first;
  await appender.append(Buffer.from('3'));
  await appender.close();
});

it('says `config` of a message that the topic never takes, and goes on after it', async () => {
  const topic = await harness.makeTopic(1, { 'max.message.bytes': '1000' });
  const appender = await openPatientAppender({ kafka: harness.options, topic });
  await expect(appender.append(Buffer.alloc(2_000, 1))).rejects.toMatchObject({ code: 'config' });
  await appender.append(Buffer.alloc(100, 1));
  await appender.close();
});

it('says `unavailable` while the topic does not exist', async () => {
  const appender = await onceAvailable(() => openLogAppender({ kafka: harness.options, topic: 'no-such-topic' }));
  await expect(appender.append(Buffer.from('1'))).rejects.toMatchObject({ code: 'unavailable' });
  await appender.close();
});
