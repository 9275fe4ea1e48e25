/** Segment files in which something is missing where there is more behind it: who waits for that is told, who reads ahead is not. */
import { appendFile } from 'node:fs/promises';
import { logPosition, offset } from '@plait/core';
import { openLogDirLog, openLogDirSource } from '@plait/kafka';
import { expect, it, onTestFinished } from 'vitest';
import { at, batch, drain, marker, newFolder, writeSegment } from './log-dir-files.ts';

/** Longer than anybody waits in vain. */
const LONG_MS = 10_000;
const STUCK = { code: 'unavailable', message: expect.stringContaining('/0 give nothing from offset 5 on, though they go on to 10') as string };

it.each([
  ['a file is cut off before the next begins', [batch(0n, 5)], [batch(5n, 5)]],
  ['a transaction is open', [batch(0n, 5), batch(5n, 5, { producer: 1n })], [marker(10n, 1n, 'commit')]],
])('of a partition: %s', async (_what, before, missing) => {
  const folder = await newFolder();
  const path = await writeSegment(folder, 0n, before);
  if (before.length === 1) await writeSegment(folder, 10n, []);
  const reader = await openLogDirSource({ dir: folder });
  onTestFinished(() => reader.close());
  reader.seek(at, offset(0n));
  expect(await drain(reader, 0n)).toMatchObject({ nextOffset: 5n });
  // Nobody waits for it.
  expect(await reader.poll({ maxWaitMs: 4_000 })).toEqual([]);
  await expect(reader.poll({ maxWaitMs: LONG_MS, only: at })).rejects.toMatchObject(STUCK);
  await appendFile(path, Buffer.concat(missing));
  reader.seek(at, offset(5n));
  expect(await reader.poll({ maxWaitMs: LONG_MS, only: at })).toMatchObject([{ kind: 'records', firstOffset: 5n }]);
});

it('of a log: a file is cut off before the next begins', async () => {
  const folder = await newFolder();
  const path = await writeSegment(folder, 0n, [batch(0n, 5)], 'log-0');
  await writeSegment(folder, 10n, [], 'log-0');
  const log = await openLogDirLog({ dir: folder, topic: 'log', from: logPosition(0n) });
  onTestFinished(() => log.close());
  expect(await log.poll({ maxWaitMs: 0 })).toHaveLength(5);
  await expect(async () => {
    for (;;) expect(await log.poll({ maxWaitMs: 1_000 })).toEqual([]);
  }).rejects.toMatchObject(STUCK);
  await appendFile(path, batch(5n, 5));
  expect(await log.poll({ maxWaitMs: LONG_MS })).toHaveLength(5);
});
