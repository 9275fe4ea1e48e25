/** The reader of the log, beyond its contract. */
import { logPosition } from '@plait/core';
import { expect, it } from 'vitest';
import { Harness } from './harness.ts';
import { openPatientAppender, openPatientLog } from './patient.ts';

const harness = new Harness();

it('gives all that has arrived in few polls, however many answers of the broker it came in', async () => {
  const topic = await harness.makeTopic(1);
  const reader = await openPatientLog({ kafka: harness.options, topic, from: logPosition(0n) });
  const appender = await openPatientAppender({ kafka: harness.options, topic });
  const count = 40;
  for (let i = 0; i < count; i += 1) {
    await appender.append(Buffer.from(`${i}`));
    // So that each comes as an answer of its own.
    await new Promise((resolve) => setTimeout(resolve, 10));
  }
  await new Promise((resolve) => setTimeout(resolve, 700));
  const values: string[] = [];
  let polls = 0;
  for (; reader.position() < BigInt(count); polls += 1) {
    for (const { value } of await reader.poll({ maxWaitMs: 2_000 })) values.push(Buffer.from(value).toString());
  }
  expect(values).toEqual(Array.from({ length: count }, (_, i) => `${i}`));
  // One, unless the machine is so busy that not all had arrived; an answer a poll would be some forty.
  expect(polls).toBeLessThan(10);
  await Promise.all([reader.close(), appender.close()]);
});
