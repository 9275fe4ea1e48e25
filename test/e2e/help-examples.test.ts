/** Each command's help ends with two examples, and they do what they say, as they stand, in a folder with a ledger over `orders`. */
import { spawn } from 'node:child_process';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { launch, type Services } from '@plait/launcher';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { programArguments, spawnRole, type RoleProcess } from '../../apps/plait/src/roles.ts';
import { everyHelp, type Help } from './help.ts';
import { createTopic } from './ledger-harness.ts';
import { quietKafka } from './load.ts';

/** Examples that go on until they are told to stop. */
const GOES_ON = /^plait (worker|coordinator|publisher|serve|dev)\b|\s--(follow|watch|keep|at-end wait)\b/;
/** What a command that goes on says when it is at work; others get some seconds after their first words. */
const AT_WORK: Readonly<Record<string, RegExp>> = { dev: /Ctrl-C ends everything/, demo: /Ctrl-C/ };
const SOME_MS = 2_000;
/** `init` makes what the others use; `recover` moves the ledger elsewhere; the last two start servers and roles of their own. */
const FIRST = ['init'];
const LAST = ['recover', 'dev', 'demo'];
const EXAMPLE_MS_MAX = 240_000;

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
  await producer.send({ topic: 'orders', acks: -1, messages: Array.from({ length: 2_000 }, (_, i) => ({ key: `customer-${i % 97}`, value: `order ${i}` })) });
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
  let output = '';
  let timer: NodeJS.Timeout | undefined;
  const goesOn = isOne && GOES_ON.test(line);
  const heard = (text: string): void => {
    output += text;
    const isAtWork = AT_WORK[command]?.test(output) ?? true;
    if (goesOn && isAtWork) timer ??= setTimeout(() => child.kill('SIGTERM'), SOME_MS);
  };
  for (const stream of [child.stdout, child.stderr]) stream.setEncoding('utf8').on('data', heard);
  return await new Promise((done, failed) => {
    child.on('error', failed);
    child.on('close', (code, signal) => {
      clearTimeout(timer);
      done({ code, signal, output });
    });
  });
}

/** The roles that the examples look at; started when `init` has made the ledger. */
async function startRoles(): Promise<void> {
  for (const name of ['worker', 'coordinator'] as const) {
    roles.push(spawnRole({ command: name, args: ['--ledger', join(folder, 'plait')], env: environment(name), logFile: join(folder, `${name}.log`) }));
  }
  await Promise.all(roles.map(({ ready }) => ready));
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
