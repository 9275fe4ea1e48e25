/** How long a checker waits for what does not come: once for a partition, however many lines say that it should be there. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generation, hashToText, index, messageHash, offset, SegmentHasher, seq, type Line } from '@plait/core';
import { openLogDirSource } from '@plait/kafka';
import { systemClock } from '@plait/ledger';
import { RecordChecker } from '@plait/roles';
import { stillClock, StillSource } from '@plait/testkit';
import { expect, test } from 'vitest';

const LINES = 200n;
const WAIT_MS = 10_000;

/** Lines of one record each, of which nobody looks at the roots. */
const lines = Array.from({ length: Number(LINES) }, (_, i): Line => ({
  firstSeq: seq(BigInt(i)),
  segment: {
    kind: 'segment', topic: 'orders', partition: 0, generation: generation(0n), firstIndex: index(BigInt(i)), nextIndex: index(BigInt(i) + 1n),
    firstOffset: offset(BigInt(i)), nextOffset: offset(BigInt(i) + 1n), root: hashToText(new SegmentHasher().root()), previous: messageHash('any'),
  },
}));

test.each([
  ['beyond-end', 'was truncated', [{ topic: 'orders', partition: 0, logStart: 0n, end: 3n, records: [] }], true],
  ['silent', 'is of a topic that is gone', [], false],
] as const)('%s: a partition %s', async (kind, _, partitions, isSource) => {
  const clock = stillClock();
  const checker = new RecordChecker({ source: new StillSource(partitions, clock), clock });
  const results = await checker.check({ topic: 'orders', partition: 0, generation: generation(0n), lines, hasEnded: false, isSource });
  expect(results.slice(3).map((result) => result.kind === 'wrong' && result.finding.kind)).toEqual(Array.from(lines.slice(3), () => kind));
  expect(clock.nowMs()).toBeLessThan(3 * WAIT_MS);
  await checker.close();
});

const stretch = { topic: 'orders', partition: 0, generation: generation(0n), lines, hasEnded: false, isSource: true };

test('a source that gives nothing is out of reach: with brokers it may come', async () => {
  const clock = stillClock();
  const checker = new RecordChecker({ source: new StillSource([], clock), clock });
  await expect(checker.check(stretch)).rejects.toMatchObject({ code: 'unavailable', message: 'orders/0 gives nothing: it has no leader, or does not exist' });
  await checker.close();
});

test('in segment files it does not come: what was looked for, and where, is said', async () => {
  const folders = await Promise.all(['one', 'two'].map((name) => mkdtemp(join(tmpdir(), `plait-${name}-`))));
  const checker = new RecordChecker({ source: await openLogDirSource({ dir: folders }), clock: systemClock, times: { beyondEndMs: 0 } });
  await expect(checker.check(stretch)).rejects.toMatchObject({
    code: 'config', message: expect.stringContaining(`no segment files of orders/0: looked for a folder orders-0 in ${folders.join(', ')}; name `) as string,
  });
  await checker.close();
  for (const folder of folders) await rm(folder, { recursive: true });
});
