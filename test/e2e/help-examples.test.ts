/** Each command's help ends with two examples, and they do what they say, as they stand, in a folder with a ledger over `orders`. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { launch, type Services } from '@plait/launcher';
import { openLedger, readLedgerFile } from '@plait/ledger';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { programArguments, spawnRole, type RoleProcess } from '../../apps/plait/src/roles.ts';
import { everyHelp, type Help } from './help.ts';
import { createTopic, sleep } from './ledger-harness.ts';
import { quietKafka } from './load.ts';
import { eventually } from './plait.ts';

/** Examples that go on until they are told to stop. */
const GOES_ON = /^plait (worker|coordinator|publisher|serve|dev)\b|\s--(follow|watch|keep|at-end wait)\b/;
/** When a command that goes on is at work; others are with their first words. The examples that follow use what `serve` serves. */
const AT_WORK: Readonly<Record<string, (output: string) => boolean>> = {
  dev: (output) => output.includes('Ctrl-C ends everything'), demo: (output) => output.includes('Ctrl-C'),
  serve: () => existsSync(join(folder, 'plait', 'serve', 'checkpoint')),
};
/** How long it is left at work. */
const SOME_MS = 2_000;
/** `init` makes what the others use; `recover` moves the ledger elsewhere; the last two start servers and roles of their own. */
const FIRST = ['init'];
const LAST = ['recover', 'dev', 'demo'];
const EXAMPLE_MS_MAX = 240_000;
const RECORDS = 2_000;

const helps = await everyHelp();
const rank = ({ words: [name = ''] }: Help): number => (FIRST.includes(name) ? -1 : LAST.indexOf(name) + 1);
const sorted = helps.toSorted((a, b) => rank(a) - rank(b)).map((help) => ({ ...help, name: help.words.join(' ') }));

let services: Services;
let folder: string;
let bin: string;
const roles: RoleProcess[] = [];

beforeAll(async () => {
  services = await launch({ mode: 'processes' });
  folder = await mkdtemp(join(tmpdir(), 'plait-examples-'));
  bin = await mkdtemp(join(tmpdir(), 'plait-bin-'));
  const { path, args } = programArguments();
  await writeFile(join(bin, 'plait'), `#!/bin/sh\nexec ${[path, ...args].map((word) => `'${word}'`).join(' ')} "$@"\n`);
  await chmod(join(bin, 'plait'), 0o755);
  await createTopic(services, 'orders', { partitions: 4 });
  const producer = quietKafka(services.bootstrapServers).producer();
  await producer.connect();
  await producer.send({ topic: 'orders', acks: -1, messages: Array.from({ length: RECORDS }, (_, i) => ({ key: `customer-${i % 97}`, value: `order ${i}` })) });
  await producer.disconnect();
});
afterAll(async () => {
  await Promise.all(roles.map((role) => role.stop()));
  await services.stop();
  for (const each of [folder, bin]) await rm(each, { recursive: true, force: true });
});

interface Ran {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly output: string;
}

function environment(command: string): NodeJS.ProcessEnv {
  const own = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('PLAIT_')));
  // The demo makes a topic `orders` of its own, on a Kafka of its own.
  const there = command === 'demo' ? {} : { PLAIT_BOOTSTRAP_SERVERS: services.bootstrapServers, PLAIT_REDIS_URL: services.redisUrl };
  return { ...own, ...there, XDG_CONFIG_HOME: folder, PATH: `${bin}${delimiter}${process.env['PATH'] ?? ''}` };
}

/** Runs a line by a shell; what goes on is told to end once it is at work. */
async function run(line: string, command: string): Promise<Ran> {
  const isOne = !/[|&;<>]/.test(line);
  const child = spawn('bash', ['-c', `set -o pipefail; ${isOne ? 'exec ' : ''}${line}`], { cwd: folder, env: environment(command), stdio: ['ignore', 'pipe', 'pipe'] });
  const output: string[] = [];
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', (text: string) => void output.push(text));
  const ended = once(child, 'close');
  if (isOne && GOES_ON.test(line)) {
    const isAtWork = AT_WORK[command] ?? (() => true);
    while (child.exitCode === null && child.signalCode === null && (output.length === 0 || !isAtWork(output.join('')))) await sleep(100);
    await Promise.race([ended, sleep(SOME_MS)]);
    child.kill('SIGTERM');
  }
  const [code, signal] = (await ended) as [number | null, NodeJS.Signals | null];
  return { code, signal, output: output.join('') };
}

/** The roles that the examples look at, which have numbered all records; started when `init` has made the ledger. */
async function startRoles(): Promise<void> {
  for (const name of ['worker', 'coordinator'] as const) {
    roles.push(spawnRole({ command: name, args: ['--ledger', join(folder, 'plait')], env: environment(name), logFile: join(folder, `${name}.log`) }));
  }
  await using ledger = await openLedger({ ...(await readLedgerFile(join(folder, 'plait', 'ledger.json'))), bootstrapServers: services.bootstrapServers });
  await eventually(async () => (await ledger.status()).nextSeq >= BigInt(RECORDS));
}

test('there is help for every command', () => {
  expect(helps.map(({ words }) => words.join(' '))).toEqual(expect.arrayContaining(['init', 'worker', 'coordinator', 'read', 'status', 'config', 'dev', 'demo']));
});

describe.each(sorted)('$name', ({ name, words, examples }) => {
  test('two examples end its help', () => {
    expect(examples).toHaveLength(2);
    expect(examples.filter((line) => !line.startsWith('plait '))).toEqual([]);
    expect(examples.some((line) => line.startsWith(`plait ${name}`))).toBe(true);
  });

  test.each(examples.map((line) => [line]))('%s', async (line) => {
    const { code, signal, output } = await run(line, words[0] ?? '');
    expect({ code, signal }, output).toEqual({ code: 0, signal: null });
    if (words[0] === 'init' && roles.length === 0) await startRoles();
  }, EXAMPLE_MS_MAX);
});
