import { chmod, mkdtemp, readdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { makeSignerKey, PlaitError, type ErrorCode } from '@plait/core';
import { writeNew } from '@plait/disk';
import { formatLedgerFile, parseLedgerFile, readLedgerFile } from '@plait/ledger';
import { LauncherError } from '@plait/launcher';
import { EXIT, exitCodeOf, explain, Told } from '../../apps/plait/src/exit.ts';
import { makePlan } from '../../apps/plait/src/governing/init.ts';
import { ensureKeys, keyPath, KEY_ROLES, loadKey, loadLedger } from '../../apps/plait/src/keys.ts';

let folder: string;

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'plait-keys-'));
});

afterEach(async () => {
  await rm(folder, { recursive: true, force: true });
});

const config = (text: string): unknown => expect.objectContaining({ code: 'config', message: expect.stringContaining(text) as string });

test('keys are made once, with their names and mode 0600, and never overwritten', async () => {
  const keys = await ensureKeys(folder, 'example.com/a', KEY_ROLES);
  expect(KEY_ROLES.map((role) => keys[role].name)).toEqual(['example.com/a/ledger', 'example.com/a', 'example.com/a/coordinator', 'example.com/a/worker']);
  for (const role of KEY_ROLES) {
    expect((await stat(keyPath(folder, role))).mode & 0o777).toBe(0o600);
    expect((await loadKey(keyPath(folder, role))).skey).toBe(keys[role].skey);
  }
  expect((await stat(join(folder, 'keys'))).mode & 0o777).toBe(0o700);
  // What an interrupted init left is gone on from.
  await rm(keyPath(folder, 'worker'));
  const again = await ensureKeys(folder, 'example.com/a', KEY_ROLES);
  expect(again.ledger.skey).toBe(keys.ledger.skey);
  expect(again.worker.skey).not.toBe(keys.worker.skey);
  await expect(ensureKeys(folder, 'example.com/b', KEY_ROLES)).rejects.toEqual(config('never overwritten'));
  expect((await loadKey(keyPath(folder, 'ledger'))).skey).toBe(keys.ledger.skey);
});

test.each([0o644, 0o640, 0o604, 0o620, 0o601])('a key file of mode %o is refused', async (mode) => {
  const path = join(folder, 'some.key');
  await writeFile(path, makeSignerKey('someone', new Uint8Array(32)).skey);
  await chmod(path, mode);
  await expect(loadKey(path)).rejects.toEqual(config(`has mode 0${mode.toString(8)}, wanted 0600`));
});

test('a key file that is not there, or holds something else, is named, and no secret is shown', async () => {
  const path = join(folder, 'some.key');
  await expect(loadKey(path)).rejects.toEqual(config('there is no such file'));
  const { skey } = makeSignerKey('someone', new Uint8Array(32).fill(9));
  await writeFile(path, skey.replace('someone', 'another'), { mode: 0o600 });
  const error = (await loadKey(path).catch((thrown: unknown) => thrown)) as PlaitError;
  expect(error).toEqual(config(`${path} holds no signer key`));
  expect(explain(error)).not.toContain(skey.slice(-20));
});

test('a file is written whole, and never over another', async () => {
  const path = join(folder, 'file');
  await writeNew(path, 'one', 0o600);
  await expect(writeNew(path, 'two', 0o600)).rejects.toEqual(config('is there already'));
  expect(await readFile(path, 'utf8')).toBe('one');
  expect(await readdir(folder)).toEqual(['file']);
});

test('the ledger file is read back, and what is wrong in one is named', async () => {
  const { vkey } = makeSignerKey('example.com/a/ledger', new Uint8Array(32).fill(1)).verifier;
  const file = { origin: 'example.com/a', ledgerKey: vkey, log: 'a.plait' };
  const path = join(folder, 'ledger.json');
  await expect(loadLedger(folder)).rejects.toEqual(config('there is no ledger in the folder'));
  await writeFile(path, formatLedgerFile(file));
  expect(await loadLedger(folder)).toEqual(file);
  const text = formatLedgerFile(file);
  const wrong: readonly (readonly [string, string])[] = [
    ['{', 'is no JSON'], ['[]', '"format" is undefined'], ['null', 'wanted a JSON object'], [text.replace('/v1', '/v2'), 'plait.ledger/v2'],
    [text.replace('a.plait', 'a plait'), '"log"'], [text.replace('"example.com/a"', '7'), '"origin"'], [text.replace('"example.com/a"', '"plait.x"'), '"origin"'],
    [text.replace(vkey, vkey.slice(0, -2)), '"ledgerKey"'],
  ];
  for (const [bad, what] of wrong) expect(() => parseLedgerFile(bad)).toThrow(config(what));
  await expect(readLedgerFile(join(folder, 'none.json'))).rejects.toEqual(config('there is no such file'));
});

test('every error has its exit code, and none has 0', () => {
  const codes: Record<ErrorCode, number> = {
    config: 1, unavailable: 2, unknown: 2, invalid: 10, 'rolled-back': 11, 'split-view': 12, missing: 14, fenced: 70,
  };
  for (const [code, exit] of Object.entries(codes)) {
    const error = new PlaitError(code as ErrorCode, 'why');
    expect(exitCodeOf(error)).toBe(exit);
    expect(new Told(error).exitCode).toBe(exit);
    expect(explain(error)).toContain('why');
  }
  expect(exitCodeOf(new LauncherError('install Java'))).toBe(EXIT.usage);
  expect(exitCodeOf(new LauncherError('nobody there', { unreachable: true }))).toBe(EXIT.unreachable);
  expect([exitCodeOf(new Error('oops')), exitCodeOf('oops'), exitCodeOf(undefined)]).toEqual([EXIT.bug, EXIT.bug, EXIT.bug]);
  expect(explain(new Error('oops'))).toMatch(/bug in Plait.*oops\n\s+at /s);
  expect(explain(new PlaitError('invalid', 'differs', { details: { topic: 'a', firstSeq: '7', none: undefined } }))).toBe('TAMPERED: differs\n  topic=a firstSeq=7');
});

test('a plan has defaults from the first topic, and its sources sorted', () => {
  expect(makePlan(['b', 'a', 'b'])).toMatchObject({ sources: ['a', 'b'], origin: 'ledger.local/b', log: 'b.plait', from: 'earliest' });
  expect(() => makePlan(['a b'])).toThrow(config('--topic'));
  expect(() => makePlan(['a'], { log: 'a' })).toThrow(config('the log needs a topic of its own'));
  expect(() => makePlan(['a'], { origin: 'plait.x' })).toThrow(config('--origin'));
});
