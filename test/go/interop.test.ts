/**
 * Other people's tools on our tiles: golang.org/x/mod/sumdb (main.go), and Tessera's fsck. A log over three levels of tiles,
 * by the code that writes and serves real ones.
 */
import { execFile, spawnSync } from 'node:child_process';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { formatCheckpoint, hashToText, makeSignerKey, signNote, utf8Encode } from '@plait/core';
import { openTileFolder } from '@plait/disk';
import { TileEdge } from '@plait/roles';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { makeLog } from '../../apps/plait/src/log.ts';
import { openTileServer, type TileServer } from '../../apps/plait/src/running/serve-http.ts';

const FSCK = 'github.com/transparency-dev/tessera/cmd/fsck@v1.0.4';
const SIZE = 66_000;
const PUBLISHED = [1, 255, 256, 300, 65_535, 65_536, SIZE];
const BUILD_MS_MAX = 240_000;
const PROGRAM_MS_MAX = 30_000;

const hasGo = spawnSync('go', ['version']).status === 0;
if (!hasGo) console.log('skipped: the check of our tiles by other people\'s tools needs Go on the PATH');

const key = makeSignerKey('example.com/interop', new Uint8Array(32).fill(5));
const place = (name: string): string => join(folder, name);

let folder: string;
let server: TileServer;

/** What a program says last, whatever its exit code: fsck ends with 0 in any case. */
async function lastLineOf(program: string, ...args: readonly string[]): Promise<string> {
  const { stdout, stderr } = await promisify(execFile)(program, args, { timeout: PROGRAM_MS_MAX }).catch((error: { stdout: string; stderr: string }) => error);
  return `${stdout}${stderr}`.trimEnd().split('\n').at(-1) ?? '';
}

const checkByGo = async (): Promise<string> => await lastLineOf(place('check'), server.url, place('key'), ...PUBLISHED.map((size) => place(`checkpoint-${size}`)));
const checkByTessera = async (): Promise<string> => await lastLineOf(place('fsck'), '--ui=false', '-N=2', `--storage_url=${server.url}/`, `--public_key=${place('key')}`);
const GOOD_BY_TESSERA = /Successfully fsck'd log with size 66000 and root /;

/** Without optimising, since building from nothing is most of the time that this test takes. One after the other: they share packages. */
async function buildPrograms(): Promise<void> {
  const cwd = fileURLToPath(new URL('.', import.meta.url));
  const env = { ...process.env, GOFLAGS: '-mod=mod -buildvcs=false', CGO_ENABLED: '0', GOBIN: folder };
  const quickly = ['-gcflags=all=-N -l', '-ldflags=-s -w'];
  await promisify(execFile)('go', ['install', ...quickly, FSCK], { cwd, env });
  await promisify(execFile)('go', ['build', ...quickly, '-o', place('check'), '.'], { cwd, env });
}

/** A log with checkpoints, written and served as real ones are. */
async function writeLog(): Promise<void> {
  const store = await openTileFolder(place('tiles'));
  const edge = new TileEdge();
  await writeFile(place('key'), key.verifier.vkey);
  for (let i = 0; i < SIZE; i += 1) {
    await store.write(edge.append(utf8Encode(`plait.block/v1\nheader ${i}\n`)));
    if (!PUBLISHED.includes(i + 1)) continue;
    const note = signNote(formatCheckpoint({ kind: 'checkpoint', origin: key.name, size: edge.size, root: hashToText(edge.root) }), key);
    await writeFile(place(`checkpoint-${edge.size}`), note);
    await store.write(edge.partials(edge.size));
    await store.publish({ note, size: edge.size, vkey: key.verifier.vkey });
  }
  server = await openTileServer({ store, address: { host: '127.0.0.1', port: 0 }, log: makeLog('silent') });
}

describe.skipIf(!hasGo)(hasGo ? 'other tools' : 'other tools (skipped: needs Go on the PATH)', () => {
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'plait-go-'));
    await Promise.all([writeLog(), buildPrograms()]);
  }, BUILD_MS_MAX);
  afterAll(async () => {
    await server.close();
    await rm(folder, { recursive: true });
  });

  test('golang.org/x/mod verifies checkpoint, tiles, entries, inclusion of each, and consistency', async () => {
    expect(await checkByGo()).toMatch(/^ok: 66000 entries, 261 tiles, consistent from \d\d sizes$/);
  });

  test('Tessera\'s fsck finds nothing', async () => {
    expect(await checkByTessera()).toMatch(GOOD_BY_TESSERA);
  });

  test.each(['tile/0/001', 'tile/1/000', 'tile/2/000.p/1', 'tile/entries/200'])('a byte that was changed in %s is noticed', async (path) => {
    const bytes = await readFile(place(`tiles/${path}`));
    await writeFile(place(`tiles/${path}`), bytes.map((byte, i) => (i === 17 ? byte ^ 1 : byte)));
    expect(await checkByGo()).toMatch(/^failed: /);
    // At a wrong entry that version of fsck never ends.
    if (!path.includes('entries')) expect(await checkByTessera()).not.toMatch(GOOD_BY_TESSERA);
    await writeFile(place(`tiles/${path}`), bytes);
  });
});
