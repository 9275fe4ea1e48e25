/** What roles remember, as files: every damage is found, and nothing that is further along is lost. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hashToText, height, isPlaitError, logPosition, sha256, type Hash } from '@plait/core';
import { formatStateFile, openStateFile, parseStateFile } from '@plait/disk';
import type { Remembered } from '@plait/roles';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { fc } from '../properties/fast-check.ts';

const hash = (text: string): Hash => hashToText(sha256(new TextEncoder().encode(text)));
const mark = (position: bigint) => ({ position: logPosition(position), message: hash(`message ${position}`) });

function remembered(position: bigint, more: Partial<Remembered> = {}): Remembered {
  return {
    ...mark(position), origin: 'example.com/orders', ledgerId: hash('genesis'), height: height(position / 3n),
    header: position < 3n ? undefined : hash(`header ${position / 3n}`), marks: [mark(position - 1n), mark(position / 2n)], ...more,
  };
}

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'plait-state-'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

let files = 0;
const fresh = (): string => join(folder, 'new', String((files += 1)), 'worker.json');

function failure(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    return error;
  }
  return undefined;
}

describe('the text', () => {
  const full = remembered(40n, { checkpoint: { size: 9n, root: hash('root') }, state: { height: height(7n), header: hash('header 7') } });

  test('says what was remembered', () => {
    for (const each of [full, remembered(40n), remembered(2n, { marks: [] })]) expect(parseStateFile(formatStateFile(each), 'f')).toEqual(each);
  });

  test('cut at any byte, it is damaged, and the error names the file and what to do', () => {
    const text = formatStateFile(full);
    for (let end = 0; end < text.length; end += 1) {
      const error = failure(() => parseStateFile(text.slice(0, end), '/the/file.json'));
      if (!isPlaitError(error, 'config')) throw new Error(`cut at ${end}: ${String(error)}`);
      expect(error.message).toContain('/the/file.json');
      expect(error.message).toContain('plait recover --forget');
    }
  });

  test('with any byte changed, it is damaged', () => {
    const bytes = Buffer.from(formatStateFile(full));
    for (let at = 0; at < bytes.length; at += 1) {
      for (const flip of [1, 0x20, 0x80]) {
        const changed = Buffer.from(bytes);
        changed[at] = (changed[at] ?? 0) ^ flip;
        expect(isPlaitError(failure(() => parseStateFile(changed.toString(), 'f')), 'config'), `byte ${at}`).toBe(true);
      }
    }
  });

  test('hostile text and hostile JSON are damaged, never more', () => {
    fc.assert(fc.property(fc.oneof(fc.string(), fc.json()), (text) => {
      expect(isPlaitError(failure(() => parseStateFile(text, 'f')), 'config')).toBe(true);
    }));
    const values = JSON.parse(formatStateFile(full)) as Record<string, unknown>;
    fc.assert(fc.property(fc.constantFrom(...Object.keys(values)), fc.jsonValue(), (name, value) => {
      const text = `${JSON.stringify({ ...values, [name]: value }, undefined, 2)}\n`;
      if (text !== formatStateFile(full)) expect(isPlaitError(failure(() => parseStateFile(text, 'f')), 'config')).toBe(true);
    }));
  });
});

describe('the file', () => {
  test('is nothing before the first save, and whole after each, for nobody else to read', async () => {
    const path = fresh();
    const memory = openStateFile(path);
    expect(await memory.load()).toBeUndefined();
    for (const position of [3n, 4n, 50n]) {
      await memory.save(remembered(position));
      expect(await openStateFile(path).load()).toEqual(remembered(position));
    }
    expect(statSync(path).mode & 0o777).toBe(0o600);
    expect(readdirSync(join(path, '..'))).toEqual(['worker.json']);
  });

  test('keeps what is further along, and the larger checkpoint, whoever saves last', async () => {
    const path = fresh();
    const small = { size: 3n, root: hash('3') };
    const large = { size: 5n, root: hash('5') };
    await openStateFile(path).save(remembered(50n, { checkpoint: small }));
    await openStateFile(path).save(remembered(40n, { checkpoint: large }));
    expect(await openStateFile(path).load()).toEqual(remembered(50n, { checkpoint: large }));
    await openStateFile(path).save(remembered(60n));
    expect(await openStateFile(path).load()).toEqual(remembered(60n, { checkpoint: large }));
  });

  test.each<[string, Partial<Remembered>]>([
    ['another message at the same position', { position: logPosition(50n), message: hash('other') }],
    ['another header at the same height', { height: height(16n), header: hash('other') }],
    ['another tree at the same size', { checkpoint: { size: 5n, root: hash('other') } }],
    ['another message where the other one is', { marks: [{ position: logPosition(50n), message: hash('other') }] }],
    ['another message at a mark', { marks: [{ position: logPosition(25n), message: hash('other') }] }],
  ])('two of a kind that remember different pasts: whoever comes second is told, with %s', async (_, more) => {
    const path = fresh();
    const held = remembered(50n, { checkpoint: { size: 5n, root: hash('5') } });
    await openStateFile(path).save(held);
    for (const position of [60n, 45n]) {
      await expect(openStateFile(path).save(remembered(position, more))).rejects.toMatchObject({ code: 'rolled-back' });
    }
    expect(await openStateFile(path).load()).toEqual(held);
  });

  test('of many savers at once, the furthest remains', async () => {
    const path = fresh();
    const positions = Array.from({ length: 40 }, (_, i) => BigInt((i * 17) % 40) + 10n);
    await Promise.all(positions.map((position) => openStateFile(path).save(remembered(position))));
    expect((await openStateFile(path).load())?.position).toBe(49n);
    expect(readdirSync(join(path, '..'))).toEqual(['worker.json']);
  });

  test('what a crash leaves beside it harms nothing: a draft, or a lock of long ago, or of a clock that was ahead', async () => {
    const path = fresh();
    const memory = openStateFile(path);
    await memory.save(remembered(7n));
    writeFileSync(`${path}.0123456789ab.tmp`, formatStateFile(remembered(99n)).slice(0, 100));
    writeFileSync(`${path}.lock`, '');
    const { utimesSync } = await import('node:fs');
    for (const [at, mtime] of [[8n, 1], [9n, Date.now() / 1_000 + 3_600]] as const) {
      writeFileSync(`${path}.lock`, '');
      utimesSync(`${path}.lock`, mtime, mtime);
      await memory.save(remembered(at));
      expect((await memory.load())?.position).toBe(at);
    }
  });

  test('a damaged one is never replaced, and one of another ledger neither', async () => {
    const path = fresh();
    const memory = openStateFile(path);
    await memory.save(remembered(7n));
    await expect(memory.save(remembered(9n, { ledgerId: hash('other') }))).rejects.toMatchObject({ code: 'config' });
    writeFileSync(path, readFileSync(path).subarray(0, 30));
    await expect(memory.save(remembered(9n))).rejects.toMatchObject({ code: 'config' });
    await expect(memory.load()).rejects.toMatchObject({ code: 'config' });
    expect(readFileSync(path)).toHaveLength(30);
  });
});
