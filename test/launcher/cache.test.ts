/** The cache folder: never seen half filled, filled by several at once, mended when it lost files. */
import { mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { cached, cacheFolder, isComplete } from '../../packages/launcher/src/cache.ts';
import { startKeeper, type Keeper } from '../../packages/launcher/src/keeper-client.ts';
import { redisBinaryName } from '../../packages/launcher/src/processes.ts';
import { javaMajor } from '../../packages/launcher/src/programs.ts';

let cache = '';
let keeper: Keeper;

beforeEach(async () => {
  cache = await mkdtemp(join(tmpdir(), 'plait-cache-test-'));
  keeper = startKeeper();
});

afterEach(async () => {
  await keeper.end();
  await rm(cache, { recursive: true });
});

function fillWith(text: string): (folder: string) => Promise<void> {
  return async (folder) => {
    await writeFile(join(folder, 'a.jar'), text);
    await writeFile(join(folder, 'b.jar'), text);
  };
}

it('is filled once', async () => {
  const entry = await cached(keeper, cache, 'entry', fillWith('1'));
  expect(await cached(keeper, cache, 'entry', fillWith('2'))).toBe(entry);
  expect(await readFile(join(entry, 'a.jar'), 'utf8')).toBe('1');
  expect(await readdir(cache)).toEqual(['entry']);
});

it('one of several that fill it at once wins, and all get a whole one', async () => {
  const entries = await Promise.all(['1', '2', '3', '4'].map((text) => cached(keeper, cache, 'entry', fillWith(text))));
  expect(new Set(entries).size).toBe(1);
  expect(await isComplete(entries[0] ?? '')).toBe(true);
  const texts = await Promise.all(['a.jar', 'b.jar'].map((name) => readFile(join(entries[0] ?? '', name), 'utf8')));
  expect(texts[0]).toBe(texts[1]);
  expect(await readdir(cache)).toEqual(['entry']);
});

it('a fill that fails leaves nothing', async () => {
  const failing = cached(keeper, cache, 'entry', async (folder) => {
    await writeFile(join(folder, 'a.jar'), 'half');
    throw new Error('no network');
  });
  await expect(failing).rejects.toThrow('no network');
  expect(await readdir(cache)).toEqual([]);
});

it('one that is cut off leaves nothing once the keeper ends', async () => {
  const never = cached(keeper, cache, 'entry', (folder) => writeFile(join(folder, 'a.jar'), 'half').then(() => new Promise(() => undefined)));
  never.catch(() => undefined);
  await expect.poll(() => readdir(cache), { timeout: 30_000 }).not.toEqual([]);
  expect(await readdir(cache)).not.toContain('entry');
  await keeper.end();
  expect(await readdir(cache)).toEqual([]);
});

it('one that lacks a file, or has a shortened one, is filled again', async () => {
  for (const harm of [(entry: string) => rm(join(entry, 'a.jar')), (entry: string) => writeFile(join(entry, 'b.jar'), '')]) {
    await harm(await cached(keeper, cache, 'entry', fillWith('1')));
    const entry = await cached(keeper, cache, 'entry', fillWith('3'));
    expect(await readFile(join(entry, 'a.jar'), 'utf8')).toBe('3');
    await rm(entry, { recursive: true });
  }
});

it('one that somebody made without the list of files is not used', async () => {
  await mkdir(join(cache, 'entry'));
  await writeFile(join(cache, 'entry', 'a.jar'), 'half');
  const entry = await cached(keeper, cache, 'entry', fillWith('1'));
  expect(await readFile(join(entry, 'a.jar'), 'utf8')).toBe('1');
});

it('lies where XDG_CACHE_HOME says, else at home', () => {
  const saved = process.env['XDG_CACHE_HOME'];
  process.env['XDG_CACHE_HOME'] = '/somewhere';
  expect(cacheFolder()).toBe('/somewhere/plait');
  process.env['XDG_CACHE_HOME'] = 'relative';
  expect(cacheFolder()).toMatch(/\/(\.cache\/plait|plait-cache-\w+)$/);
  if (saved === undefined) delete process.env['XDG_CACHE_HOME'];
  else process.env['XDG_CACHE_HOME'] = saved;
});

it('knows Java versions and the names of the Redis binaries', () => {
  expect(javaMajor('openjdk version "17.0.15" 2025-04-15')).toBe(17);
  expect(javaMajor('java version "1.8.0_401"')).toBe(8);
  expect(javaMajor('openjdk version "25" 2025-09-16')).toBe(25);
  expect(javaMajor('command not found')).toBe(undefined);
  const names = ['redis-server-6.2.6-v5-linux-amd64', 'redis-server-6.2.7-linux-386', 'redis-server-6.2.7-linux-arm64', 'redis-server-6.2.6-v5-darwin-arm64'];
  expect(redisBinaryName(names, 'linux', 'x64')).toBe('redis-server-6.2.6-v5-linux-amd64');
  expect(redisBinaryName(names, 'linux', 'arm64')).toBe('redis-server-6.2.7-linux-arm64');
  expect(redisBinaryName(names, 'darwin', 'x64')).toBe(undefined);
});
