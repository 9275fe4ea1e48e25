/** What an auditor keeps between two runs: every damage is found, nothing larger is lost, and what contradicts is not replaced. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import {
  formatCheckpoint, generation, hashToText, height, index, isPlaitError, logPosition, makeSignerKey, offset, seq, sha256, signNote, type Hash,
} from '@plait/core';
import {
  forgetVerifyProgress, formatCheckpointFile, formatVerifyProgress, loadCheckpoint, loadVerifyProgress, parseCheckpointFile, parseVerifyProgress, saveCheckpoint,
  saveVerifyProgress, type RememberedCheckpoint, type VerifyProgressMark,
} from '@plait/disk';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { AuditorMemory, memoryFolder, userFolder } from '../../apps/plait/src/verifying/auditor-memory.ts';

const ORIGIN = 'example.com/orders';
const KEY = makeSignerKey(ORIGIN, new Uint8Array(32).fill(7));
const hash = (text: string): Hash => hashToText(sha256(new TextEncoder().encode(text)));

function remembered(size: bigint, more: { root?: Hash; origin?: string; ledgerId?: Hash } = {}): RememberedCheckpoint {
  const { root = hash(`root ${size}`), origin = ORIGIN, ledgerId = hash('genesis') } = more;
  const checkpoint = { kind: 'checkpoint', origin, size, root } as const;
  return { ledgerId, timeMs: 1_795_413_600_000n, checkpoint, note: signNote(formatCheckpoint(checkpoint), KEY) };
}

const progress: VerifyProgressMark = {
  origin: ORIGIN, timeMs: 1_795_413_600_000n, firstSeq: seq(0n), nextSeq: seq(4_096n), position: logPosition(77n), digest: hash('messages'),
};
const withGone: VerifyProgressMark = {
  ...progress,
  gone: {
    seqs: 2n,
    first: {
      kind: 'deleted', message: 'they were deleted', topic: 'orders', partition: 3, generation: generation(1n), firstIndex: index(4n), nextIndex: index(6n),
      firstOffset: offset(5n), nextOffset: offset(9n), firstSeq: seq(7n), nextSeq: seq(9n), height: height(2n), position: logPosition(11n),
      expected: 'the records', found: 'the partition begins at offset 9', causes: ['somebody deleted them', 'or not'],
    },
  },
};

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'plait-verify-files-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let files = 0;
const fresh = (): string => join(folder, 'new', String((files += 1)), 'file.json');

describe.each([
  { name: 'remembered checkpoint', text: formatCheckpointFile(remembered(9n)), parse: parseCheckpointFile, value: remembered(9n) },
  { name: 'progress file', text: formatVerifyProgress(progress), parse: parseVerifyProgress, value: progress },
  { name: 'progress file', text: formatVerifyProgress(withGone), parse: parseVerifyProgress, value: withGone },
])('the text of a $name', ({ name, text, parse, value }) => {
  test('says what was saved', () => expect(parse(text, 'f')).toEqual(value));

  test('cut at any byte, or with any bit of it flipped, it is damaged, and the error names the file and what to do', () => {
    const bytes = Buffer.from(text);
    const damaged = Array.from(bytes, (_, at) => bytes.subarray(0, at));
    for (let bit = 0; bit < bytes.length * 8; bit += 1) {
      const changed = Buffer.from(bytes);
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      damaged.push(changed);
    }
    for (const each of damaged) {
      let error: unknown;
      try {
        parse(each.toString('utf8'), '/the/file.json');
      } catch (thrown) {
        error = thrown;
      }
      if (!isPlaitError(error, 'config')) throw new Error(`not refused: ${each.toString('utf8')}`);
      expect(error.message).toContain(`the ${name} /the/file.json is damaged`);
      expect(error.message).toContain('rm /the/file.json');
    }
  });
});

describe('a remembered checkpoint', () => {
  test('is kept for its owner only, in a folder for its owner only', async () => {
    const path = fresh();
    expect(await loadCheckpoint(path)).toBeUndefined();
    await saveCheckpoint(path, remembered(3n));
    expect(await loadCheckpoint(path)).toEqual(remembered(3n));
    expect([statSync(path).mode & 0o777, statSync(dirname(path)).mode & 0o777]).toEqual([0o600, 0o700]);
    expect(readdirSync(dirname(path))).toEqual(['file.json']);
  });

  test('is replaced by a larger one only', async () => {
    const path = fresh();
    for (const size of [3n, 5n, 4n, 5n]) await saveCheckpoint(path, remembered(size));
    expect((await loadCheckpoint(path))?.checkpoint.size).toBe(5n);
  });

  test('is not replaced by another of its size, nor by one of another ledger', async () => {
    const path = fresh();
    await saveCheckpoint(path, remembered(5n));
    const before = readFileSync(path, 'utf8');
    await expect(saveCheckpoint(path, remembered(5n, { root: hash('other') }))).rejects.toMatchObject({ code: 'split-view' });
    await expect(saveCheckpoint(path, remembered(6n, { ledgerId: hash('other') }))).rejects.toMatchObject({ code: 'config' });
    await expect(saveCheckpoint(path, remembered(6n, { origin: 'example.com/other' }))).rejects.toMatchObject({ code: 'config' });
    expect(readFileSync(path, 'utf8')).toBe(before);
  });

  test('that is damaged is neither read nor replaced', async () => {
    const path = fresh();
    await saveCheckpoint(path, remembered(5n));
    writeFileSync(path, readFileSync(path, 'utf8').slice(1));
    await expect(loadCheckpoint(path)).rejects.toMatchObject({ code: 'config', message: expect.stringContaining(path) as string });
    await expect(saveCheckpoint(path, remembered(6n))).rejects.toMatchObject({ code: 'config' });
  });

  test('of many savers at once the largest stays', async () => {
    const path = fresh();
    await Promise.all([3n, 8n, 5n, 1n, 7n].map((size) => saveCheckpoint(path, remembered(size))));
    expect((await loadCheckpoint(path))?.checkpoint.size).toBe(8n);
  });
});

test('progress is saved, replaced and forgotten', async () => {
  const path = fresh();
  expect(await loadVerifyProgress(path)).toBeUndefined();
  await saveVerifyProgress(path, progress);
  await saveVerifyProgress(path, { ...progress, nextSeq: seq(5_000n) });
  expect((await loadVerifyProgress(path))?.nextSeq).toBe(5_000n);
  expect(statSync(path).mode & 0o777).toBe(0o600);
  for (let i = 0; i < 2; i += 1) await forgetVerifyProgress(path);
  expect(await loadVerifyProgress(path)).toBeUndefined();
});

const ledger = (origin: string, key = 'key') => ({ origin, ledgerKey: key, log: 'orders.plait' });

describe('the memory of an auditor', () => {
  test('lies in the folder for settings; a relative one counts for nothing', () => {
    expect(userFolder({ XDG_CONFIG_HOME: '/settings' })).toBe('/settings/plait');
    for (const XDG_CONFIG_HOME of ['', 'settings', './settings']) expect(userFolder({ XDG_CONFIG_HOME })).toMatch(/\/\.config\/plait$/);
  });

  test('has a folder for each ledger, whatever its name is', () => {
    const origins = ['example.com/orders', 'example.com_orders', '..', '../..', '/', 'a'.repeat(200), `${'a'.repeat(199)}b`];
    const folders = [...origins.map((origin) => memoryFolder('/m', ledger(origin))), memoryFolder('/m', ledger('..', 'other'))];
    expect(new Set(folders).size).toBe(folders.length);
    for (const each of folders) expect(each).toMatch(/^\/m\/[\w.-]{1,60}-[0-9a-f]{12}$/);
  });

  test('is empty at first, and then has what was remembered', async () => {
    const base = join(folder, 'memory');
    const first = await AuditorMemory.open(base, ledger(ORIGIN));
    expect([first.isFirst, first.trusted]).toEqual([true, []]);
    const { checkpoint, note, ledgerId } = remembered(7n);
    await first.remember({ ledgerId, checkpoint: { name: 'the log', checkpoint, note } }, 1_795_413_600_000);
    const again = await AuditorMemory.open(base, ledger(ORIGIN));
    expect([again.isFirst, again.trusted]).toEqual([false, [{ name: 'remembered on 2026-11-23 06:00 UTC', checkpoint, note }]]);
    expect((await AuditorMemory.open(base, ledger('example.com/other'))).isFirst).toBe(true);
  });
});
