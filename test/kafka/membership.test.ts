import type { Membership } from '@plait/roles';
import { joinWorkerGroup } from '@plait/kafka';
import { describe, expect, it, onTestFinished } from 'vitest';
import { uniqueName } from '../global/services.ts';
import { Harness } from './harness.ts';
import { onceAvailable } from './patient.ts';

const harness = new Harness();

const SOON = { timeout: 60_000 };
/** More than that: whoever is gone {@link SOON} has left, and was not given up. */
const LONG_SESSION_MS = 120_000;

function member(groupId: string, sessionTimeoutMs?: number): Membership {
  const made = joinWorkerGroup({ kafka: harness.options, groupId, ...(sessionTimeoutMs === undefined ? {} : { sessionTimeoutMs }) });
  onTestFinished(() => made.leave());
  return { subscribe: (topics) => onceAvailable(() => made.subscribe(topics)), assignment: () => made.assignment(), leave: () => made.leave() };
}

const held = (...members: Membership[]): string[][] =>
  members.map((one) => one.assignment().partitions.map(({ topic, partition }) => `${topic.slice(-4)}/${partition}`).toSorted());
const counts = (...members: Membership[]): number[] => held(...members).map(({ length }) => length);
const membersOf = async (groupId: string): Promise<number | undefined> => (await (await harness.admin()).describeGroups([groupId])).groups[0]?.members.length;

describe('membership', () => {
  it('shares the partitions of a topic, takes over those of one that left, and commits nothing', async () => {
    const topic = await harness.makeTopic(4);
    const groupId = uniqueName('group');
    const [a, b] = [member(groupId, LONG_SESSION_MS), member(groupId, LONG_SESSION_MS)];
    expect(a.assignment()).toEqual({ version: 0, partitions: [] });
    await a.subscribe([topic]);
    await expect.poll(() => counts(a), SOON).toEqual([4]);
    const { version } = a.assignment();
    await b.subscribe([topic]);
    await expect.poll(() => counts(a, b), SOON).toEqual([2, 2]);
    expect(new Set(held(a, b).flat()).size).toBe(4);
    expect(a.assignment().version).toBeGreaterThan(version);
    await b.leave();
    await expect.poll(() => membersOf(groupId), SOON).toBe(1);
    await expect.poll(() => counts(a, b), SOON).toEqual([4, 0]);
    const admin = await harness.admin();
    expect(await admin.fetchOffsets({ groupId, topics: [topic] })).toMatchObject([{ partitions: Array.from({ length: 4 }, () => ({ offset: '-1' })) }]);
  });

  it('leaves while it still joins: the others do not wait for the end of its session', async () => {
    const topic = await harness.makeTopic(4);
    const groupId = uniqueName('group');
    const [a, b] = [member(groupId, LONG_SESSION_MS), member(groupId, LONG_SESSION_MS)];
    await a.subscribe([topic]);
    await expect.poll(() => counts(a), SOON).toEqual([4]);
    await b.subscribe([topic]);
    await b.leave();
    await expect.poll(() => membersOf(groupId), SOON).toBe(1);
    await expect.poll(() => counts(a, b), SOON).toEqual([4, 0]);
  });

  it('keeps its session beside partitions full of records, follows changed topics and new partitions', async () => {
    const [first, second] = [await harness.makeTopic(1), await harness.makeTopic(2)];
    await harness.produce({ topic: first, partition: 0 }, [{ key: null, value: Buffer.from('v'), headers: [] }]);
    const a = member(uniqueName('group'));
    await a.subscribe([first]);
    await expect.poll(() => counts(a), SOON).toEqual([1]);
    // Longer than the session's 6 s: paused partitions must not stop the heartbeats. A machine that stands still does so once.
    await expect.poll(async () => {
      const { version } = a.assignment();
      await new Promise((resolve) => setTimeout(resolve, 7_000));
      return [a.assignment().version - version, ...counts(a)];
    }, SOON).toEqual([0, 1]);
    await a.subscribe([first, second]);
    await expect.poll(() => counts(a), SOON).toEqual([3]);
    await harness.addPartitions(second, 4);
    await expect.poll(() => counts(a), SOON).toEqual([5]);
  });

  it('goes on with the other topics while one is gone, and shares that again when it is back', async () => {
    const [stays, goes] = [await harness.makeTopic(2), await harness.makeTopic(1)];
    const groupId = uniqueName('group');
    const [a, b] = [member(groupId), member(groupId)];
    await a.subscribe([stays, goes]);
    await expect.poll(() => counts(a), SOON).toEqual([3]);
    await harness.deleteTopic(goes);
    await expect.poll(() => a.assignment().partitions.map(({ topic }) => topic), SOON).toEqual([stays, stays]);
    // One that comes meanwhile does not know the topic at all.
    await b.subscribe([stays, goes]);
    await expect.poll(() => counts(a, b), SOON).toEqual([1, 1]);
    await harness.makeAgain(goes, 2);
    await expect.poll(() => counts(a, b), SOON).toEqual([2, 2]);
    expect(new Set(held(a, b).flat()).size).toBe(4);
  });

  it('is `unavailable` for a topic that does not exist', async () => {
    const a = joinWorkerGroup({ kafka: harness.options, groupId: uniqueName('group') });
    await expect(a.subscribe([uniqueName('none')])).rejects.toMatchObject({ code: 'unavailable' });
  });
});
