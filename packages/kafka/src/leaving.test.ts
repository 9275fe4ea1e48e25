/** Members that leave a group while they are still joining it: kafkajs runs a consumer that was disconnected, which must not happen. */
import { beforeEach, expect, it, vi } from 'vitest';
import { joinWorkerGroup } from './membership.ts';
import { joinReaderGroup } from './reader-group.ts';

/** What the consumer in kafkajs' place was told, and what it has not answered yet. */
const said = vi.hoisted(() => ({ calls: [] as string[], connected: Promise.withResolvers<void>(), joined: Promise.withResolvers<void>(), crash: (_error: Error): void => undefined }));

vi.mock('./client.ts', () => {
  const consumer = {
    events: { GROUP_JOIN: 'join', HEARTBEAT: 'heartbeat', REBALANCING: 'rebalancing', CRASH: 'crash' },
    on: (event: string, listener: (event: { payload: { error: Error } }) => void): void => {
      if (event === 'crash') said.crash = (error) => listener({ payload: { error } });
    },
    pause: () => undefined,
    connect: async () => await said.connected.promise,
    subscribe: async () => undefined,
    run: async () => {
      said.calls.push('run');
      await said.joined.promise;
    },
    disconnect: async () => void said.calls.push('disconnect'),
  };
  return { createKafka: () => ({ consumer: () => consumer }), createBroker: () => ({}) };
});
vi.mock('./group-commits.ts', () => ({
  GroupCommits: class {
    async requireRight(): Promise<void> {}
    close(): void {}
  },
}));
vi.mock('./wire.ts', () => ({
  connectWire: async () => ({ metadata: async () => [{ topic: 'orders', errorCode: 0 }], close: () => undefined }),
}));

const options = { kafka: { brokers: ['localhost:9092'] }, groupId: 'g' };

beforeEach(() => {
  said.calls.length = 0;
  said.connected = Promise.withResolvers();
  said.joined = Promise.withResolvers();
});

it('a worker that leaves while it connects does not join afterwards', async () => {
  const member = joinWorkerGroup(options);
  const subscribed = member.subscribe(['orders']);
  await new Promise((resolve) => setTimeout(resolve, 10));
  await member.leave();
  said.connected.resolve();
  await subscribed;
  expect(said.calls).not.toContain('run');
  expect(said.calls.at(-1)).toBe('disconnect');
});

it('a reader that leaves while it connects again does not join afterwards', async () => {
  said.connected.resolve();
  said.joined.resolve();
  const member = await joinReaderGroup({ ...options, topics: ['orders'] });
  said.connected = Promise.withResolvers();
  said.calls.length = 0;
  said.crash(new Error('gone'));
  await new Promise((resolve) => setTimeout(resolve, 1_100));
  await member.leave();
  said.connected.resolve();
  await new Promise((resolve) => setTimeout(resolve, 10));
  expect(said.calls).not.toContain('run');
  expect(said.calls.at(-1)).toBe('disconnect');
});

it('a reader that leaves during its first rebalance leaves when that is over', async () => {
  said.connected.resolve();
  const member = await joinReaderGroup({ ...options, topics: ['orders'] });
  await member.leave();
  expect(said.calls).toEqual(['run']);
  said.joined.resolve();
  await new Promise((resolve) => setTimeout(resolve, 10));
  expect(said.calls).toEqual(['run', 'disconnect']);
});
