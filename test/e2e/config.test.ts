/** The program takes its settings from flags, variables and a file, and shows where from, without secrets. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { bootstrapServers, redisUrl, uniqueName } from '../global/services.ts';
import { createTopic, eventually, produce, start, type Ran } from './plait.ts';

let folder: string;
const topic = uniqueName('configured');

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'plait-config-'));
  await createTopic(topic, 2);
  await produce(topic, Array.from({ length: 20 }, (_, i) => ({ key: `k${i}`, value: `v${i}` })));
});
afterAll(async () => {
  await rm(folder, { recursive: true, force: true });
});

/** Nothing of the run's own environment reaches the program. */
const BARE = { PLAIT_BOOTSTRAP_SERVERS: '', PLAIT_REDIS_URL: '', PLAIT_LOG_LEVEL: '', PLAIT_CONFIG: '', PLAIT_PROFILE: '', PLAIT_LEDGER: '' };

async function run(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Ran> {
  return await start(args, { ...BARE, PLAIT_CONFIG: join(folder, 'plait.yaml'), ...env }).ended;
}

interface Shown {
  readonly file: string | null;
  readonly profile: string | null;
  readonly values: readonly { readonly key: string; readonly value: unknown; readonly source: string; readonly from: string }[];
  readonly unknown: readonly string[];
}

async function shown(args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<Shown> {
  const { code, stdout, stderr } = await run(['config', '-o', 'json', ...args], env);
  expect(code, stderr).toBe(0);
  return JSON.parse(stdout) as Shown;
}

test('a ledger is made, run and read by nothing but a file with a profile', async () => {
  await writeFile(join(folder, 'plait.yaml'), `
ledger: ledger
log-level: debug
init:
  topic: [${topic}]
profiles:
  here:
    bootstrap-server: [${bootstrapServers().split(',').join(', ')}]
    redis-url: ${redisUrl()}
    command-config: client.properties
    log-level: info
`);
  await writeFile(join(folder, 'client.properties'), 'security.protocol=PLAINTEXT\nclient.id=configured\nacks=all\n');
  const env = { PLAIT_PROFILE: 'here' };
  const made = await run(['init'], env);
  expect(made.code, made.stderr).toBe(0);
  expect(made.stderr).toContain('acks is not used here');
  const roles = ['worker', 'coordinator'].map((role) => start([role], { ...BARE, PLAIT_CONFIG: join(folder, 'plait.yaml'), ...env }));
  await eventually(async () => (JSON.parse((await run(['status', '-o', 'json'], env)).stdout) as { nextSeq: string }).nextSeq === '20');
  for (const { child } of roles) child.kill('SIGTERM');
  expect((await Promise.all(roles.map(({ ended }) => ended))).map(({ code }) => code)).toEqual([0, 0]);
  const read = await run(['read'], env);
  expect({ code: read.code, lines: read.stdout.trimEnd().split('\n').length }, read.stderr).toEqual({ code: 0, lines: 20 });
});

describe('plait config', () => {
  test('tells of every value where it comes from', async () => {
    await writeFile(join(folder, 'plait.yaml'), 'ledger: here\nprofiles:\n  far:\n    log-level: warn\n    coordinator: { lease-ttl: 3000 }\n');
    const { file, profile, values } = await shown(['--profile', 'far', '--bootstrap-server', 'a:1'], { PLAIT_READ_OUTPUT: 'jsonl' });
    expect({ file, profile }).toEqual({ file: join(folder, 'plait.yaml'), profile: 'far' });
    const path = join(folder, 'plait.yaml');
    expect(values).toEqual(expect.arrayContaining([
      { key: 'bootstrap-server', value: 'a:1', source: 'flag', from: '--bootstrap-server' },
      { key: 'ledger', value: join(folder, 'here'), source: 'file', from: `${path}:1` },
      { key: 'log-level', value: 'warn', source: 'file', from: `${path}:4 (profile far)` },
      { key: 'coordinator.lease-ttl', value: 3_000, source: 'file', from: `${path}:5 (profile far)` },
      { key: 'read.output', value: 'jsonl', source: 'environment', from: 'PLAIT_READ_OUTPUT' },
      { key: 'status.output', value: 'text', source: 'default', from: 'default' },
      { key: 'redis-url', value: null, source: 'none', from: 'not set' },
    ]));
  });

  test('hides what is secret, in text and in JSON', async () => {
    const jaas = 'org.apache.kafka.common.security.scram.ScramLoginModule required username="me" password="hush";';
    await writeFile(join(folder, 'client.properties'), `security.protocol=SASL_SSL\nsasl.mechanism=SCRAM-SHA-512\nsasl.jaas.config=${jaas}\nssl.key.password=hush\n`);
    await writeFile(join(folder, 'plait.yaml'), 'redis-url: rediss://me:hush@a:1,rediss://me:hush@b:1\ncommand-config: client.properties\n');
    const { values } = await shown([]);
    const text = await run(['config']);
    expect(JSON.stringify(values) + text.stdout + text.stderr).not.toContain('hush');
    expect(values).toEqual(expect.arrayContaining([
      { key: 'redis-url', value: 'rediss://********@a:1,rediss://********@b:1', source: 'file', from: `${join(folder, 'plait.yaml')}:1` },
      { key: 'command-config.sasl.mechanism', value: 'SCRAM-SHA-512', source: 'file', from: `${join(folder, 'client.properties')}:2` },
      { key: 'command-config.sasl.jaas.config', value: '********', source: 'file', from: `${join(folder, 'client.properties')}:3` },
    ]));
    expect(text.stdout).toContain('rediss://********@a:1');
  });

  test('names what is wrong, and code 1', async () => {
    await writeFile(join(folder, 'plait.yaml'), 'ledger: here\nredis_url: redis://h\n');
    const wrong = await run(['config']);
    expect({ code: wrong.code, stderr: wrong.stderr }).toEqual({ code: 1, stderr: expect.stringContaining(`plait.yaml:2: redis_url is no key of the configuration; did you mean "redis-url"?`) as string });
    expect((await shown([], { PLAIT_CONFIG: '', PLAIT_BOOTSTRAP_SERVER: 'a:1' })).unknown).toEqual(expect.arrayContaining([
      'the variable PLAIT_BOOTSTRAP_SERVER sets nothing; did you mean "PLAIT_BOOTSTRAP_SERVERS"?',
    ]));
  });
});

test('a password as an argument is refused, before it is used, and not repeated', async () => {
  await writeFile(join(folder, 'plait.yaml'), '');
  const { code, stderr } = await run(['coordinator', '--redis-url', 'redis://me:hush@127.0.0.1:1']);
  expect(code).toBe(1);
  expect(stderr).toContain('--redis-url holds a password');
  expect(stderr).not.toContain('hush');
});
