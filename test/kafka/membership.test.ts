import type { Membership } from '@plait/roles';
import { joinWorkerGroup } from '@plait/kafka';
import { describe, expect, it, onTestFinished } from 'vitest';
import { uniqueName } from '../global/services.ts';
import { Harness } from './harness.ts';

const harness = new Harness();

function member(groupId: string): Membership {
  const made = joinWorkerGroup({ kafka: harness.options, groupId });
  onTestFinished(() => made.leave());
  return made;
}

const held = (...members: Membership[]): string[][] =>
  members.map((one) => one.assignment().partitions.map(({ topic, partition }) => `${topic.slice(-4)}/${partition}`).toSorted());
const counts = (...members: Membership[]): number[] => held(...members).map(({ length }) => length);

describe('membership', () => {
  it('shares the partitions of a topic, takes over those of one that left, and commits nothing', async () => {
    const topic = await harness.makeTopic(4);
    const groupId = uniqueName('group');
    const [a, b] = [member(groupId), member(groupId)];
    expect(a.assignment()).toEqual({ version: 0, partitions: [] });
    await a.subscribe([topic]);
    await expect.poll(() => counts(a), { timeout: 60_000 }).toEqual([4]);
    const { version } = a.assignment();
    await b.subscribe([topic]);
    await expect.poll(() => counts(a, b), { timeout: 60_000 }).toEqual([2, 2]);
    expect(new Set(held(a, b).flat()).size).toBe(4);
    expect(a.assignment().version).toBeGreaterThan(version);
    await b.leave();
    // It said so: its session need not end first.
    const admin = await harness.admin();
    expect((await admin.describeGroups([groupId])).groups.map(({ members }) => members.length)).toEqual([1]);
    await expect.poll(() => counts(a, b), { timeout: 60_000 }).toEqual([4, 0]);
    expect(await admin.fetchOffsets({ groupId, topics: [topic] })).toMatchObject([{ partitions: Array.from({ length: 4 }, () => ({ offset: '-1' })) }]);
  });

  it('leaves while it still joins: the others do not wait for the end of its session', async () => {
    const topic = await harness.makeTopic(4);
    const groupId = uniqueName('group');
    const [a, b] = [member(groupId), member(groupId)];
    await a.subscribe([topic]);
    await expect.poll(() => counts(a), { timeout: 15_000 }).toEqual([4]);
    await b.subscribe([topic]);
    await b.leave();
    const { groups } = await (await harness.admin()).describeGroups([groupId]);
    expect(groups[0]?.members).toHaveLength(1);
    await expect.poll(() => counts(a, b), { timeout: 15_000 }).toEqual([4, 0]);
  });

  it('keeps its session beside partitions full of records, follows changed topics and new partitions', async () => {
    const [first, second] = [await harness.makeTopic(1), await harness.makeTopic(2)];
    await harness.produce({ topic: first, partition: 0 }, [{ key: null, value: Buffer.from('v'), headers: [] }]);
    const a = member(uniqueName('group'));
    await a.subscribe([first]);
    await expect.poll(() => counts(a), { timeout: 60_000 }).toEqual([1]);
    const { version } = a.assignment();
    // Longer than the session's 6 s: paused partitions must not stop the heartbeats.
    await new Promise((resolve) => setTimeout(resolve, 7_000));
    expect(a.assignment().version).toBe(version);
    await a.subscribe([first, second]);
    await expect.poll(() => counts(a), { timeout: 60_000 }).toEqual([3]);
    await harness.addPartitions(second, 4);
    await expect.poll(() => counts(a), { timeout: 60_000 }).toEqual([5]);
  });

  it('goes on with the other topics while one is gone, and shares that again when it is back', async () => {
    const [stays, goes] = [await harness.makeTopic(2), await harness.makeTopic(1)];
    const groupId = uniqueName('group');
    const [a, b] = [member(groupId), member(groupId)];
    await a.subscribe([stays, goes]);
    await expect.poll(() => counts(a), { timeout: 60_000 }).toEqual([3]);
    await harness.deleteTopic(goes);
    await expect.poll(() => a.assignment().partitions.map(({ topic }) => topic), { timeout: 60_000 }).toEqual([stays, stays]);
    // One that comes meanwhile does not know the topic at all.
    await b.subscribe([stays, goes]);
    await expect.poll(() => counts(a, b), { timeout: 60_000 }).toEqual([1, 1]);
    await harness.makeAgain(goes, 2);
    await expect.poll(() => counts(a, b), { timeout: 60_000 }).toEqual([2, 2]);
    expect(new Set(held(a, b).flat()).size).toBe(4);
  });

  it('is `unavailable` for a topic that does not exist', async () => {
    const a = member(uniqueName('group'));
    await expect(a.subscribe([uniqueName('none')])).rejects.toMatchObject({ code: 'unavailable' });
  });
});
