/** The library as it is given away: packed, installed by npm into an empty project, type-checked there, and run on a ledger. */
import { execFile } from 'node:child_process';
import { mkdir, mkdtemp, readdir, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { packLedger } from '../../packages/ledger/pack.ts';
import { readAll } from '../e2e/ledger-checks.ts';
import { makeLedger } from '../e2e/ledger-harness.ts';
import { plait } from '../e2e/plait.ts';
import { bootstrapServers } from '../global/services.ts';

const run = promisify(execFile);
const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const TSC = join(ROOT, 'node_modules/typescript/bin/tsc');
const STRICT = { module: 'nodenext', target: 'es2024', strict: true, exactOptionalPropertyTypes: true, noUncheckedIndexedAccess: true, skipLibCheck: false, types: [] };

let work = '';
let tarball = '';
/** The empty project. */
let project = '';
/** Where npm put the package. */
let installed = '';

beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), 'plait-package-'));
  tarball = await packLedger(join(work, 'packed'));
  project = join(work, 'project');
  installed = join(project, 'node_modules/@plait/ledger');
  await mkdir(project);
  await run('npm', ['init', '--yes', '--init-type=module'], { cwd: project });
  await run('npm', ['install', '--no-audit', '--no-fund', '--cache', join(work, 'cache'), tarball], { cwd: project });
});

afterAll(async () => {
  await rm(work, { recursive: true, force: true });
});

/** The programs that the package's README shows: one that reads, one that awaits a receipt. */
async function examples(): Promise<readonly [reading: string, producing: string]> {
  const text = await readFile(join(installed, 'README.md'), 'utf8');
  const [reading = '', producing = ''] = Array.from(text.matchAll(/```ts\n([^]*?)```/g), ([, code = '']) => code);
  expect(reading).toContain('ledger.read(');
  expect(producing).toContain('ledger.receipt(');
  return [reading, producing];
}

/** Compiles these sources of the project; what the compiler says, empty if nothing. */
async function compile(sources: Readonly<Record<string, string>>): Promise<string> {
  for (const [name, text] of Object.entries(sources)) await writeFile(join(project, name), text);
  await writeFile(join(project, 'tsconfig.json'), JSON.stringify({ compilerOptions: STRICT, files: Object.keys(sources) }));
  return await run(process.execPath, [TSC, '-p', project]).then(({ stdout }) => stdout, (error: { stdout: string }) => error.stdout);
}

describe('the tarball', () => {
  it('holds what it must and nothing else', async () => {
    const files = (await readdir(installed, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
    expect(files.map((file) => join(file.parentPath, file.name).slice(installed.length + 1)).toSorted()).toEqual(
      ['LICENSE', 'README.md', 'dist/index.d.ts', 'dist/index.js', 'licenses/kafkajs.txt', 'package.json'],
    );
  });

  it('names no place of the machine that packed it, and nothing that is not in it', async () => {
    for (const name of ['dist/index.js', 'dist/index.d.ts', 'package.json', 'README.md']) {
      const text = await readFile(join(installed, name), 'utf8');
      for (const place of [ROOT, homedir(), tmpdir(), '.pnpm/']) expect(text.includes(place), `${name}: ${place}`).toBe(false);
      // The README's producer brings a kafkajs of its own.
      if (name !== 'README.md') expect(text).not.toMatch(/from ["'](?:kafkajs|@plait\/(?:core|roles|kafka|redis))|\.test\.ts|sourceMappingURL/);
    }
  });

  it('has the same bytes when it is packed again', async () => {
    const again = await packLedger(join(work, 'again'));
    expect((await readFile(again)).equals(await readFile(tarball))).toBe(true);
  });
});

describe('in an empty project', () => {
  it('brings no other kafkajs: the patched one is inside', async () => {
    const modules = await readdir(join(project, 'node_modules'));
    expect(modules).toEqual(expect.arrayContaining(['@noble', '@plait', 'snappy']));
    expect(modules).not.toContain('kafkajs');
    expect(await readdir(join(project, 'node_modules/@plait'))).toEqual(['ledger']);
  });

  it('its types are strict, and are real ones', async () => {
    const [program] = await examples();
    expect(await compile({ 'example.ts': program })).toBe('');
    const wrong = "import { openLedger, type LedgerEntry } from '@plait/ledger';\nconst a: number = openLedger;\nexport const f = (entry: LedgerEntry): number => entry.seq;\n";
    expect((await compile({ 'wrong.ts': wrong })).match(/error TS2322/g)).toHaveLength(2);
  });

  it('can be required, too', async () => {
    const code = "const { openLedger, PlaitError } = require('@plait/ledger'); console.log(typeof openLedger, new PlaitError('config', 'x').code)";
    const { stdout } = await run(process.execPath, ['--input-type=commonjs', '--eval', code], { cwd: project });
    expect(stdout).toBe('function config\n');
  });

  it('reads a ledger, and gives a producer its receipt', async () => {
    await using ledger = await makeLedger({ partitions: 2 });
    await Promise.all([ledger.start('worker').ready, ledger.start('coordinator').ready, ledger.start('publisher').ready]);
    const load = ledger.load();
    await ledger.until('some records', () => Promise.resolve(load.acknowledged > 1_000));
    await load.stop();
    await ledger.settled();
    const seen = await readAll(ledger.folder, bootstrapServers());

    // The program's own kafkajs, which is not the one inside the package.
    await symlink(join(ROOT, 'packages/kafka/node_modules/kafkajs'), join(project, 'node_modules/kafkajs'));
    const [reading, producing] = await examples();
    expect(await compile({ 'example.ts': reading, 'producer.ts': producing })).toBe('');
    const env = {
      ...process.env, PLAIT_LEDGER_FILE: join(ledger.folder, 'ledger.json'), PLAIT_BOOTSTRAP_SERVERS: bootstrapServers(), TOPIC: ledger.topic, KAFKAJS_NO_PARTITIONER_WARNING: '1',
    };
    const { stdout, stderr } = await run(process.execPath, [join(project, 'example.js')], { cwd: project, env, maxBuffer: 2 ** 26 });
    expect(stderr).toBe('');
    const places = stdout.trimEnd().split('\n').map((line) => line.split(' ').slice(0, 2).join(' '));
    expect(places).toEqual(seen.map((record, seq) => `${seq} ${ledger.topic}/${record.split('/').slice(0, 2).join('@')}`));
    expect(places.length).toBeGreaterThan(1_000);

    const produced = await run(process.execPath, [join(project, 'producer.js')], { cwd: project, env });
    expect(produced.stdout).toMatch(new RegExp(`^seq ${seen.length} is ${ledger.topic}/[01]@\\d+\n$`));
    const key = join(ledger.folder, 'keys/checkpoint.key');
    const verified = await plait('verify-receipt', join(project, 'order.tlog-proof'), '--key', (await plait('keys', 'show', key)).stdout.trim());
    expect(verified.code, verified.stderr).toBe(0);
  });
});
