/** `plait serve`: what is served is the log's tree, byte for byte, whoever serves it and whatever happened before. */
import { readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { formatCheckpoint, messageHash, parseNote, parseSignerKey, parseVerifierKey, signNote, verifyNoteSignature, type Hash } from '@plait/core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { treeFiles } from '../cold/tree-files.ts';
import { HeaderLog } from './header-log.ts';
import { makeLedger, type LedgerHarness, type Role } from './ledger-harness.ts';
import { start, type Ran } from './plait.ts';

let ledger: LedgerHarness;
let log: HeaderLog;
let first: Role;
const folder = (name: string): string => join(ledger.folder, name);
const file = (name: string): string => folder(`${name}.checkpoint`);

beforeAll(async () => {
  ledger = await makeLedger({ partitions: 1 });
  log = await HeaderLog.open(ledger);
  await log.grow(530, { withState: true });
  first = serve('serve');
  await first.ready;
  await served(first, 530n);
});
afterAll(async () => {
  await ledger[Symbol.asyncDispose]();
});

/** Starts a server with a folder and a memory of its own. */
function serve(name: string, env: NodeJS.ProcessEnv = {}): Role {
  return ledger.start('serve', env, ['--listen', '127.0.0.1:0', '--dir', folder(name), '--state', folder(`${name}.json`), '--copy', folder(`${name}.copy`)]);
}

/** The address of a server, as soon as it says it. */
async function urlOf({ lines }: Role): Promise<string> {
  return await ledger.until('an address', () => Promise.resolve(lines.find(({ event }) => event === 'serving')?.['url'] as string | undefined));
}

async function get(role: Role, path: string, method = 'GET'): Promise<{ status: number; bytes: Buffer; type: string | null; cache: string | null }> {
  const answer = await fetch(`${await urlOf(role)}/${path}`, { method });
  return { status: answer.status, bytes: Buffer.from(await answer.arrayBuffer()), type: answer.headers.get('content-type'), cache: answer.headers.get('cache-control') };
}

/** Waits until a checkpoint of that size is served; its text. */
async function served(role: Role, size: bigint): Promise<string> {
  return await ledger.until(`a checkpoint of ${size}`, async () => {
    const { bytes } = await get(role, 'checkpoint');
    return bytes.toString().split('\n')[1] === String(size) && bytes.toString();
  });
}

/** A checkpoint by the ledger's own key, whatever it says. */
async function signed(size: bigint, root: Hash): Promise<Uint8Array> {
  const key = parseSignerKey((await readFile(join(ledger.folder, 'keys', 'checkpoint.key'), 'utf8')).trimEnd());
  return signNote(formatCheckpoint({ kind: 'checkpoint', origin: log.state.origin, size, root }), key);
}

/** The files of a folder, but for partial tiles of older checkpoints. */
async function filesOf(name: string): Promise<Map<string, Buffer>> {
  const wanted = [...treeFiles(log.headers).keys(), 'checkpoint', 'log.vkey'];
  return new Map(await Promise.all(wanted.map(async (path): Promise<[string, Buffer]> => [path, await readFile(join(folder(name), path))])));
}

test('the checkpoint is the newest of the log, and verifies under the key that is served', async () => {
  await log.read();
  const text = await served(first, 530n);
  expect(text).toBe(log.checkpoints.get(530n));
  const { bytes, type, cache } = await get(first, 'log.vkey');
  expect(verifyNoteSignature(parseNote(Buffer.from(text)), parseVerifierKey(bytes.toString().trimEnd()))).toBe(true);
  expect({ type, cache }).toEqual({ type: 'text/plain; charset=utf-8', cache: 'no-cache' });
  expect(await get(first, 'checkpoint')).toMatchObject({ status: 200, type: 'text/plain; charset=utf-8', cache: 'no-cache' });
});

test('every tile is what its definition says; partial ones of any width, whatever width is kept', async () => {
  const tiles = treeFiles(log.headers);
  expect([...tiles.keys()]).toEqual([
    'tile/entries/000', 'tile/entries/001', 'tile/entries/002.p/18', 'tile/0/000', 'tile/0/001', 'tile/0/002.p/18', 'tile/1/000.p/2',
  ]);
  for (const [path, bytes] of tiles) {
    expect(await get(first, path), path).toEqual({ status: 200, bytes, type: 'application/octet-stream', cache: 'public, max-age=31536000' });
    expect(await readFile(join(folder('serve'), path)), path).toEqual(bytes);
  }
  for (const size of [1, 7, 300, 529]) {
    for (const [path, bytes] of treeFiles(log.headers.slice(0, size))) expect((await get(first, path)).bytes, `${path} of ${size}`).toEqual(bytes);
  }
  for (const [accepted, encoding] of [['gzip', 'gzip'], ['br, gzip;q=0.5', 'gzip'], ['gzip;q=0', null], ['identity', null]] as const) {
    const answer = await fetch(`${await urlOf(first)}/tile/entries/000`, { headers: { 'accept-encoding': accepted } });
    expect(answer.headers.get('content-encoding'), accepted).toBe(encoding);
    expect(Buffer.from(await answer.arrayBuffer())).toEqual(tiles.get('tile/entries/000'));
  }
  expect(await get(first, 'tile/0/000', 'HEAD')).toMatchObject({ status: 200, bytes: Buffer.alloc(0), type: 'application/octet-stream' });
});

describe('nothing else is there', () => {
  test.each([
    '', 'tile', 'tile/', 'tile/0', 'tile/0/002', 'tile/0/002.p/19', 'tile/0/002.p/0', 'tile/0/002.p/018', 'tile/0/000.p/256', 'tile/0/003.p/1', 'tile/1/000',
    'tile/1/000.p/3', 'tile/2/000.p/1', 'tile/00/000', 'tile/0/x000/000', 'tile/0/0', 'tile/0/%30%30%30', 'tile/64/000', 'tile/entries/002', 'tile/entries/003.p/1',
    'tile/-1/000', 'tile/0/000?a=1', 'tile/0/000/', 'tile/../checkpoint.lock', 'log.vkey/', 'checkpoint/', 'checkpoint.lock', 'metrics',
  ])('/%s', async (path) => {
    expect(await get(first, path)).toMatchObject({ status: 404, type: 'text/plain; charset=utf-8' });
  });
  test('and nothing can be put there', async () => expect((await get(first, 'checkpoint', 'PUT')).status).toBe(404));
});

test('another server with the same key serves the same bytes, also after it was killed and its files were damaged', async () => {
  const second = serve('second');
  await second.ready;
  await served(second, 530n);
  expect(await filesOf('second')).toEqual(await filesOf('serve'));
  // Killed while it has much to write.
  await log.grow(1_000, { withState: true });
  await ledger.kill(second);
  await rm(join(folder('second'), 'tile/0/001'));
  await writeFile(join(folder('second'), 'tile/entries/000.12345.tmp'), 'half');
  await served(first, 1_530n);
  const again = serve('second');
  await served(again, 1_530n);
  await log.read();
  expect(await filesOf('second')).toEqual(await filesOf('serve'));
  await ledger.stop(again);
});

test('a folder that was removed is written anew, with the same bytes', async () => {
  const before = await filesOf('serve');
  await ledger.stop(first);
  await rm(folder('serve'), { recursive: true });
  first = serve('serve');
  await served(first, 1_530n);
  expect(await filesOf('serve')).toEqual(before);
  expect(new Set(await readdir(folder('serve')))).toEqual(new Set(['checkpoint', 'log.vkey', 'tile']));
});

test('while Kafka is away what is there is served, also by a server that starts', async () => {
  const without = serve('second', { PLAIT_BOOTSTRAP_SERVERS: '127.0.0.1:1' });
  expect(await served(without, 1_530n)).toBe(log.checkpoints.get(1_530n));
  await ledger.until('it waits', () => Promise.resolve(without.lines.some(({ event }) => event === 'waiting')));
  await ledger.stop(without);
});

const consistency = async (name: string, ...args: readonly string[]): Promise<Ran> => await ledger.plait('consistency', file(name), file('1530'), ...args);

describe('plait consistency', () => {
  beforeAll(async () => {
    for (const size of [530n, 1_530n]) await writeFile(file(String(size)), log.checkpoints.get(size) ?? '');
    await writeFile(file('other'), await signed(530n, messageHash('another\n')));
  });

  test('from the log, and from a server without Kafka', async () => {
    const { code, stdout, stderr } = await consistency('530', '-o', 'json');
    expect(code, stderr).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({
      schemaVersion: 1, verdict: 'consistent', origin: log.state.origin, checkpoints: [{ file: file('530'), size: '530' }, { size: '1530' }],
      from: { kind: 'log', name: ledger.file.log }, evidence: [],
    });
    const vkey = (await get(first, 'log.vkey')).bytes.toString().trimEnd();
    const text = await start(['consistency', file('1530'), file('530'), '--key', vkey, '--tiles', await urlOf(first)], { PLAIT_BOOTSTRAP_SERVERS: '' }).ended;
    expect(text, text.stderr).toMatchObject({ code: 0, stdout: expect.stringMatching(/^consistent: the first 530 of 1530 blocks are the same\n/) as string });
  });

  test('a contradiction is written out, byte for byte', async () => {
    const { code, stdout } = await consistency('other', '--evidence', folder('evidence'));
    expect({ code, stdout }).toEqual({ code: 12, stdout: expect.stringMatching(/^SPLIT VIEW: of the 1530 blocks that were signed the first 530 are not /) as string });
    const names = await readdir(folder('evidence'));
    expect(names.toSorted()).toEqual([expect.stringMatching(/^split-view-[0-9a-f]{12}-1530-[0-9a-f]{12}\.checkpoint$/), expect.stringMatching(/^split-view-[0-9a-f]{12}-530-[0-9a-f]{12}\.checkpoint$/)]);
    const texts = await Promise.all(names.map((name) => readFile(join(folder('evidence'), name), 'utf8')));
    expect(new Set(texts)).toEqual(new Set(await Promise.all(['other', '1530'].map((name) => readFile(file(name), 'utf8')))));
  });

  test('a key that signed neither is not enough', async () => {
    const { code, stderr } = await consistency('530', '--key', ledger.file.ledgerKey);
    expect({ code, stderr }).toEqual({ code: 10, stderr: expect.stringContaining('carries no valid signature of') as string });
  });
});

test('a checkpoint that contradicts the blocks ends it, and is not served', async () => {
  const { height } = log.state;
  await log.append([await signed(height, messageHash('another\n'))]);
  expect((await first.exited).code).toBe(12);
  await ledger.kill(first);
  expect(await readFile(join(folder('serve'), 'checkpoint'), 'utf8')).toBe(log.checkpoints.get(height));
});
