/** Redis and the broker go away and come back: a Kafka and a Redis of this file's own. */
import { Redis } from 'ioredis';
import type { Services } from '@plait/launcher';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { longestGapMs } from './ledger-checks.ts';
import { endLedger, launchLedger } from './launched-ledger.ts';
import { sleep, type LedgerHarness } from './ledger-harness.ts';

/** Bound of what must not take for ever, generous for a busy machine. */
const GAP_MS_MAX = 20_000;

let services: Services;
let ledger: LedgerHarness;

beforeAll(async () => {
  ({ services, ledger } = await launchLedger(4));
});
afterAll(async () => await endLedger({ services, ledger }));

/** Resolves when so many blocks more have come. */
async function moreBlocks(count: bigint): Promise<void> {
  const { height } = await ledger.status();
  await ledger.until(`${count} more blocks`, async () => (await ledger.status()).height >= height + count);
}

test('FLUSHALL takes the lease away, and the leader goes on', async ({ annotate }) => {
  await using load = ledger.load();
  await moreBlocks(3n);
  const redis = new Redis(services.redisUrl);
  const fromMs = Date.now();
  for (let i = 0; i < 5; i += 1) {
    await redis.flushall();
    await sleep(700);
  }
  redis.disconnect();
  await moreBlocks(3n);
  await load.stop();
  const { blocks } = await ledger.verifyAll();
  await annotate(`longest time without a block while Redis was flushed: ${longestGapMs(blocks, fromMs)} ms`);
  expect(longestGapMs(blocks, fromMs)).toBeLessThan(GAP_MS_MAX);
});

test('without Redis the leader goes on, and when it dies a standby takes over', async ({ annotate }) => {
  await using load = ledger.load();
  await moreBlocks(3n);
  const fromMs = Date.now();
  await services.redis?.stop();
  await sleep(2_500);
  await moreBlocks(3n);
  const { epoch } = await ledger.status();
  const killedMs = Date.now();
  await ledger.kill(await ledger.leader());
  await ledger.until('the next leader', async () => (await ledger.status()).epoch > epoch);
  await moreBlocks(3n);
  await services.redis?.start();
  ledger.start('coordinator');
  await load.stop();
  const { blocks } = await ledger.verifyAll();
  const before = blocks.filter(({ timeMs }) => Number(timeMs) < killedMs);
  await annotate(`longest time without a block when Redis stopped: ${longestGapMs(before, fromMs)} ms, when then the leader was killed: ${longestGapMs(blocks, killedMs)} ms`);
  expect(longestGapMs(before, fromMs)).toBeLessThan(GAP_MS_MAX);
  expect(longestGapMs(blocks, killedMs)).toBeLessThan(GAP_MS_MAX);
});

test.each(['SIGKILL', 'SIGTERM'] as const)('the broker ends by %s and starts again: everybody goes on, the reader too', async (signal) => {
  await using load = ledger.load();
  const reader = await ledger.follow();
  await moreBlocks(3n);
  await (signal === 'SIGKILL' ? services.kafka?.kill('SIGKILL') : services.kafka?.stop());
  await sleep(1_000);
  await services.kafka?.start();
  const acknowledged = load.acknowledged;
  await ledger.until('the producer goes on', () => Promise.resolve(load.acknowledged > acknowledged + 100));
  await moreBlocks(3n);
  await load.stop();
  const { seen } = await ledger.verifyAll();
  await ledger.until('the reader has it all', () => Promise.resolve(reader.check.seen.length === seen.length));
  await reader.stop();
  // Nobody gave up.
  for (const role of [...ledger.running('worker'), ...ledger.running('coordinator')]) expect(role.lines.filter((line) => line['event'] === 'failed')).toEqual([]);
});
