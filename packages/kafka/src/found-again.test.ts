/** A partition whose leader was lost is found again, whatever is sought meanwhile. */
import { isPlaitError, offset } from '@plait/core';
import type { SourceEvent, SourceReader } from '@plait/roles';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import { openSourceReader } from './source-reader.ts';
import type { ListedOffset } from './wire.ts';

/** What the connections' stand-in was asked last, to be answered by the test. */
const asked = vi.hoisted(() => ({
  fetch: Promise.withResolvers<never>(), listed: undefined as PromiseWithResolvers<ListedOffset> | undefined,
}));

vi.mock('./wire.ts', () => ({
  connectWire: async () => ({
    ended: 0,
    metadata: async () => [{ topic: 'orders', errorCode: 0, partitions: [{ partition: 0, leader: 1, replicas: 1 }] }],
    listOffsets: async () => await (asked.listed = Promise.withResolvers<ListedOffset>()).promise,
    fetch: async () => await (asked.fetch = Promise.withResolvers<never>()).promise,
    close: () => undefined,
  }),
}));

const at = { topic: 'orders', partition: 0 };
const other = { topic: 'orders', partition: 1 };
let reader: SourceReader;

/** Answers what the partition holds, as soon as that is asked. */
async function tell(end: bigint): Promise<void> {
  await vi.waitUntil(() => asked.listed !== undefined, { timeout: 30_000 });
  asked.listed?.resolve({ errorCode: 0, logStart: 0n, end });
  asked.listed = undefined;
}

async function next(): Promise<readonly SourceEvent[]> {
  return await reader.poll({ maxWaitMs: 200, only: at });
}

beforeEach(async () => {
  reader = await openSourceReader({ kafka: { brokers: ['localhost:9092'] } });
  reader.find(at);
  await tell(10n);
  expect(await next()).toEqual([{ kind: 'found', ...at, logStart: 0n, end: 10n }]);
  reader.seek(at, offset(10n));
  // The connection ends.
  asked.fetch.reject(new Error('closed'));
});

afterEach(async () => await reader.close());

it('sought while the broker is asked what it holds', async () => {
  await vi.waitUntil(() => asked.listed !== undefined, { timeout: 30_000 });
  const former = asked.listed;
  asked.listed = undefined;
  reader.seek(at, offset(5n));
  former?.resolve({ errorCode: 0, logStart: 0n, end: 29n });
  await tell(30n);
  expect(await next()).toEqual([{ kind: 'found', ...at, logStart: 0n, end: 30n }]);
});

it('sought before what it holds was handed out', async () => {
  await tell(30n);
  expect(await reader.poll({ maxWaitMs: 50, only: other })).toEqual([]);
  reader.seek(at, offset(5n));
  await tell(31n);
  expect(await next()).toEqual([{ kind: 'found', ...at, logStart: 0n, end: 31n }]);
});

it('sought once it was handed out: nothing more is asked', async () => {
  await tell(30n);
  expect(await next()).toEqual([{ kind: 'found', ...at, logStart: 0n, end: 30n }]);
  reader.seek(at, offset(5n));
  // Nobody answers the fetch: where this process stands still meanwhile, that is said instead.
  const events = await next().catch((error: unknown) => (isPlaitError(error, 'unavailable') ? [] : Promise.reject(error as Error)));
  expect(events).toEqual([]);
  expect(asked.listed).toBeUndefined();
});
