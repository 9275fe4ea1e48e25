import { spawnSync } from 'node:child_process';
import { chmod, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import {
  formatCheckpoint, formatConfiguration, generation, index, makeSignerKey, parseSignerKey, signNote, type Configuration, type SignerKey,
} from '@plait/core';
import { openLedger, readLedgerFile, type LedgerStatus } from '@plait/ledger';
import { programArguments, type RoleProcess } from '../../apps/plait/src/roles.ts';
import { bootstrapServers, uniqueName } from '../global/services.ts';
import { isRunning } from './ledger-harness.ts';
import { asAdmin, AWAY_MS_MAX, createTopic, eventually, newFolder, plait, produce, start, startRole } from './plait.ts';

interface JsonRecord {
  readonly kind: string;
  readonly seq: string;
  readonly partition: number;
  readonly offset: string;
  readonly index: string;
  readonly key: { readonly utf8?: string; readonly base64?: string } | null;
  readonly value: { readonly utf8?: string; readonly base64?: string } | null;
  readonly headers: readonly (readonly unknown[])[];
}

const PARTITIONS = 4;
const RECORDS = 3_000;

/** The status as JSON, where bigints are strings. */
type JsonStatus = Pick<LedgerStatus, 'leader' | 'ignored'> & {
  readonly nextSeq: string;
  readonly epoch: string;
  readonly partitions: readonly { readonly end: string; readonly reported: string; readonly sequenced: string; readonly lag: string; readonly worker?: string }[];
};

async function statusOf(folder: string): Promise<JsonStatus> {
  const { code, stdout, stderr } = await plait('status', '-o', 'json', '--ledger', folder);
  expect(code, stderr).toBe(0);
  return JSON.parse(stdout) as JsonStatus;
}

function parseLines(stdout: string): JsonRecord[] {
  return stdout.trimEnd().split('\n').map((line) => JSON.parse(line) as JsonRecord);
}

/** A ledger with its roles, made for a test. */
async function newLedger(topic: string, ...more: string[]): Promise<{ folder: string; log: string; roles: RoleProcess[] }> {
  const folder = await newFolder();
  const created = await plait('init', '--topic', topic, '--ledger', folder, ...more);
  expect(created.code, created.stderr).toBe(0);
  const roles = [startRole('worker', folder), startRole('coordinator', folder)];
  await Promise.all(roles.map(({ ready }) => ready));
  return { folder, log: `${topic}.plait`, roles };
}

async function remove(folder: string): Promise<void> {
  await rm(dirname(folder), { recursive: true, force: true });
}

describe('a ledger over one topic', () => {
  const topic = uniqueName('orders');
  let folder: string;
  let roles: RoleProcess[] = [];

  beforeAll(async () => {
    await createTopic(topic, PARTITIONS);
    ({ folder, roles } = await newLedger(topic));
    const hostile = { key: '\u001b[2J', value: Buffer.from([0xff, 0x00, 0x1b]), headers: { '1': ['a', 'b'], __proto: 'x' } };
    await produce(topic, [hostile, { key: null, value: null }, { key: '', value: '' }]);
    await produce(topic, Array.from({ length: RECORDS - 3 }, (_, i) => ({ key: `customer-${i % 101}`, value: `order ${i}` })));
    await eventually(async () => (await statusOf(folder)).nextSeq === String(RECORDS));
  });

  afterAll(async () => {
    const exits = await Promise.all(roles.map((role) => role.stop()));
    await remove(folder);
    // Stopped in good order.
    expect(exits).toEqual([{ code: 0, signal: null }, { code: 0, signal: null }]);
  });

  test('read gives every record once, numbered without gaps, in the order of each partition', async () => {
    const { code, stdout, stderr } = await plait('read', '-o', 'jsonl', '--ledger', folder);
    expect(code, stderr).toBe(0);
    const records = parseLines(stdout);
    expect(records.map(({ seq }) => seq)).toEqual(Array.from({ length: RECORDS }, (_, i) => String(i)));
    for (let partition = 0; partition < PARTITIONS; partition += 1) {
      const own = records.filter((record) => record.partition === partition);
      expect(own.length).toBeGreaterThan(0);
      expect(own.map(({ offset }) => offset)).toEqual(own.map((_, i) => String(i)));
      expect(own.map(({ index }) => index)).toEqual(own.map((_, i) => String(i)));
    }
    const values = records.map(({ value }) => value?.utf8 ?? '').filter((value) => value.startsWith('order '));
    expect(new Set(values)).toEqual(new Set(Array.from({ length: RECORDS - 3 }, (_, i) => `order ${i}`)));
  });

  test('null, empty and binary content, and repeated headers, come out as they are', async () => {
    const { stdout } = await plait('read', '-o', 'jsonl', '--ledger', folder);
    const odd = parseLines(stdout).filter(({ value }) => value?.utf8?.startsWith('order ') !== true);
    expect(odd).toHaveLength(3);
    expect(odd).toContainEqual(expect.objectContaining({ key: null, value: null, headers: [] }));
    expect(odd).toContainEqual(expect.objectContaining({ key: { utf8: '' }, value: { utf8: '' } }));
    expect(odd).toContainEqual(expect.objectContaining({
      key: { utf8: '\u001b[2J' }, value: { base64: '/wAb' },
      headers: [[{ utf8: '1' }, { utf8: 'a' }], [{ utf8: '1' }, { utf8: 'b' }], [{ utf8: '__proto' }, { utf8: 'x' }]],
    }));
  });

  test('text has a line a record, and no control character reaches the terminal', async () => {
    const { code, stdout } = await plait('read', '--ledger', folder);
    expect(code).toBe(0);
    const lines = stdout.trimEnd().split('\n');
    expect(lines).toHaveLength(RECORDS);
    expect(lines.filter((line) => /\p{C}/u.test(line))).toEqual([]);
    expect(lines.some((line) => line.includes('\\u{1b}[2J'))).toBe(true);
  });

  test('a range, and a range that is not all there yet', async () => {
    const part = await plait('read', '-o', 'jsonl', '--from-seq', '1000', '--to-seq', '1010', '--ledger', folder);
    expect(parseLines(part.stdout).map(({ seq }) => seq)).toEqual(Array.from({ length: 10 }, (_, i) => String(1_000 + i)));
    const short = await plait('read', '-o', 'jsonl', '--from-seq', String(RECORDS - 1), '--to-seq', '1000000', '--ledger', folder);
    expect(parseLines(short.stdout)).toHaveLength(1);
    expect(short.stderr).toContain('"event":"short"');
  });

  test('head may close the pipe', async () => {
    const { path, args } = programArguments();
    const words = [path, ...args, 'read', '--ledger', folder].map((word) => `'${word}'`).join(' ');
    const { stdout, stderr } = spawnSync('bash', ['-c', `${words} | head -n 2; echo "\${PIPESTATUS[0]}"`], {
      encoding: 'utf8', env: { ...process.env, PLAIT_BOOTSTRAP_SERVERS: bootstrapServers(), PLAIT_LOG_LEVEL: 'warn' },
    });
    expect(stdout.trimEnd().split('\n').at(-1)).toBe('0');
    expect(stdout.trimEnd().split('\n')).toHaveLength(3);
    expect(stderr).toBe('');
  });

  test('status tells each partition, the leader and what was ignored', async () => {
    await produceGarbage(`${topic}.plait`);
    const status = await statusOf(folder);
    expect(status.leader).toBe(`ledger.local/${topic}/coordinator`);
    expect(Number(status.epoch)).toBeGreaterThan(0);
    expect(status.partitions).toHaveLength(PARTITIONS);
    for (const { end, reported, sequenced, lag, worker } of status.partitions) {
      expect({ reported, sequenced, lag, worker }).toEqual({ reported: end, sequenced: end, lag: '0', worker: `ledger.local/${topic}/worker` });
    }
    expect(status.ignored).toMatchObject({ 'unknown/malformed': 1 });
    const text = await plait('status', '--ledger', folder);
    expect(text.code).toBe(0);
    expect(text.stdout).toContain(`${RECORDS} records`);
    expect(text.stdout.split('\n').filter((line) => line.startsWith(`${topic}/`))).toHaveLength(PARTITIONS);
  });

  test('the library reads the same, in turn also for callers that do not wait', async () => {
    await using ledger = await openLedger({ ...(await readLedgerFile(join(folder, 'ledger.json'))), bootstrapServers: bootstrapServers() });
    const seqs: bigint[] = [];
    for await (const entry of ledger.read({ follow: false, fromSeq: 2_990n })) seqs.push(entry.seq);
    expect(seqs).toEqual(Array.from({ length: 10 }, (_, i) => BigInt(2_990 + i)));
    const entries = ledger.read({ toSeq: 3n });
    const four = await Promise.all([entries.next(), entries.next(), entries.next(), entries.next()]);
    expect(four.map(({ value }) => value?.seq)).toEqual([0n, 1n, 2n, undefined]);
    const abort = new AbortController();
    let last = -1n;
    for await (const entry of ledger.read({ signal: abort.signal })) {
      last = entry.seq;
      if (last === BigInt(RECORDS - 1)) abort.abort();
    }
    expect(last).toBe(BigInt(RECORDS - 1));
  });

  test('init goes on where an interrupted one was, and never makes a second ledger', async () => {
    const path = join(folder, 'ledger.json');
    const file = await readFile(path, 'utf8');
    const again = await plait('init', '--topic', topic, '--ledger', folder);
    expect(again.code).toBe(1);
    expect(again.stderr).toContain('holds a ledger already');
    await rm(path);
    const resumed = await plait('init', '--topic', topic, '--ledger', folder);
    expect(resumed.code, resumed.stderr).toBe(0);
    expect(await readFile(path, 'utf8')).toBe(file);
    await rm(path);
    const other = await plait('init', '--topic', topic, '--pending-max', '7', '--ledger', folder);
    expect(other.code).toBe(1);
    expect(other.stderr).toContain('differs from what is asked for now');
    await writeFile(path, file);
    const elsewhere = await newFolder();
    const taken = await plait('init', '--topic', topic, '--ledger', elsewhere);
    expect(taken.code).toBe(1);
    expect(taken.stderr).toContain(`the topic ${topic}.plait is not empty`);
    await remove(elsewhere);
  });

  test('a second ledger over the same topic can begin at its end', async () => {
    const second = await newFolder();
    const created = await plait('init', '--topic', topic, '--log', `${topic}.second`, '--origin', 'example.com/second', '--from', 'latest', '--ledger', second);
    expect(created.code, created.stderr).toBe(0);
    const { nextSeq, partitions } = await statusOf(second);
    expect(nextSeq).toBe('0');
    expect(partitions.map(({ sequenced }) => sequenced)).toEqual(partitions.map(({ end }) => end));
    await remove(second);
  });

  test('keys are for their owner only', async () => {
    for (const role of ['ledger', 'checkpoint', 'coordinator', 'worker']) {
      const path = join(folder, 'keys', `${role}.key`);
      expect((await stat(path)).mode & 0o777).toBe(0o600);
    }
    const path = join(folder, 'keys', 'worker.key');
    await chmod(path, 0o644);
    const refused = await plait('worker', '--ledger', folder);
    await chmod(path, 0o600);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain(`has mode 0644, wanted 0600`);
  });

  test('another ledger key is no ledger of ours', async () => {
    const path = join(folder, 'ledger.json');
    const file = await readFile(path, 'utf8');
    const { vkey } = makeSignerKey(`ledger.local/${topic}/ledger`, new Uint8Array(32).fill(7)).verifier;
    await writeFile(path, JSON.stringify({ ...(JSON.parse(file) as object), ledgerKey: vkey }));
    const refused = await plait('read', '--ledger', folder);
    await writeFile(path, file);
    expect(refused.code).toBe(1);
    expect(refused.stderr).toContain('is not signed by the ledger key');
  });

  test('follow prints what comes, until it is stopped', async () => {
    const following = start(['read', '-o', 'jsonl', '--follow', '--from-seq', String(RECORDS), '--ledger', folder]);
    await produce(topic, [{ key: 'late', value: 'one more' }]);
    await eventually(() => following.stdout().includes('one more'));
    following.child.kill('SIGINT');
    const { code, stdout } = await following.ended;
    expect(code).toBe(0);
    expect(parseLines(stdout)).toMatchObject([{ seq: String(RECORDS), value: { utf8: 'one more' } }]);
  });
});

async function produceGarbage(log: string): Promise<void> {
  await produce(log, [{ key: null, value: 'garbage' }]);
}

describe('a ledger whose past changes', () => {
  test('deleted records are undecided, replaced ones tampered, two trees a split view', async () => {
    const topic = uniqueName('changed');
    await createTopic(topic, 1);
    const { folder, log, roles } = await newLedger(topic);
    await produce(topic, Array.from({ length: 10 }, (_, i) => ({ key: 'k', value: `first ${i}` })));
    await eventually(async () => (await statusOf(folder)).nextSeq === '10');
    await Promise.all(roles.map((role) => role.stop()));

    await asAdmin(async (admin) => {
      // It deletes from no topic that it has not heard of.
      await admin.fetchTopicOffsets(topic);
      await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: '5' }] });
    });
    const deleted = await plait('read', '--ledger', folder);
    expect({ code: deleted.code, stdout: deleted.stdout }).toEqual({ code: 14, stdout: '' });
    expect(deleted.stderr).toContain(`${topic}/0 offsets 0`);

    await asAdmin((admin) => admin.deleteTopics({ topics: [topic], timeout: 30_000 }));
    await eventually(async () => !(await asAdmin((admin) => admin.listTopics())).includes(topic));
    await createTopic(topic, 1);
    await produce(topic, Array.from({ length: 10 }, (_, i) => ({ key: 'k', value: `other ${i}` })));
    const replaced = await plait('read', '--ledger', folder);
    expect({ code: replaced.code, stdout: replaced.stdout }).toEqual({ code: 10, stdout: '' });
    expect(replaced.stderr).toContain('differs from what was hashed');
    expect(replaced.stderr).toMatch(/firstOffset=0 .*firstSeq=0/);

    // The way out: the ledger key declares the range void.
    await produce(log, [{ key: null, value: Buffer.from(await voidingNote(folder, topic)) }]);
    const voided = await plait('read', '-o', 'jsonl', '--ledger', folder);
    expect(voided.code, voided.stderr).toBe(0);
    const entries = voided.stdout.trimEnd().split('\n').map((line) => JSON.parse(line) as { kind: string; seq: string; nextSeq: string });
    expect(entries.map(({ kind }) => kind)).toEqual(entries.map(() => 'void'));
    expect({ first: entries[0]?.seq, next: entries.at(-1)?.nextSeq }).toEqual({ first: '0', next: '10' });

    const key = parseSignerKey((await readFile(join(folder, 'keys', 'checkpoint.key'), 'utf8')).trimEnd());
    const { origin } = await readLedgerFile(join(folder, 'ledger.json'));
    const root = (await readFile(join(folder, 'keys', 'worker.key'))).subarray(0, 32).toString('base64');
    const note = signNote(formatCheckpoint({ kind: 'checkpoint', origin, size: 999n, root: root as never }), key);
    await produce(log, [{ key: null, value: Buffer.from(note) }]);
    expect((await plait('status', '--ledger', folder)).code).toBe(12);
    await remove(folder);
  });
});

/** A configuration that keeps everything and declares the topic's first ten records void, signed by the ledger key. */
async function voidingNote(folder: string, topic: string): Promise<Uint8Array> {
  const { origin } = await readLedgerFile(join(folder, 'ledger.json'));
  const keyOf = async (role: string): Promise<SignerKey> => parseSignerKey((await readFile(join(folder, 'keys', `${role}.key`), 'utf8')).trimEnd());
  await using ledger = await openLedger({ ...(await readLedgerFile(join(folder, 'ledger.json'))), bootstrapServers: bootstrapServers() });
  const { ledgerId } = await ledger.status();
  const configuration: Configuration = {
    kind: 'configuration', origin, ledgerId, version: 1n, previous: ledgerId, rules: 1, onLoss: 'stop', partitionsMax: 1_024, pendingMax: 256,
    checkpointKeys: [(await keyOf('checkpoint')).verifier], coordinatorKeys: [(await keyOf('coordinator')).verifier],
    workerKeys: [(await keyOf('worker')).verifier], sources: [topic], starts: [],
    voids: [{ topic, partition: 0, generation: generation(0n), firstIndex: index(0n), nextIndex: index(10n) }],
  };
  return signNote(formatConfiguration(configuration), await keyOf('ledger'));
}

function childrenIn(stdout: string): number[] {
  return Array.from(stdout.matchAll(/process (\d+),/g), (match) => Number(match[1]));
}

test('dev runs everything, goes on with its ledger, and leaves no process behind, however it ends', async () => {
  const topic = uniqueName('dev');
  const folder = await newFolder();
  for (const [round, signal] of (['SIGINT', 'SIGKILL'] as const).entries()) {
    const dev = start(['dev', '--topic', topic, '--partitions', '2', '--ledger', folder]);
    await eventually(() => dev.stdout().includes('Ctrl-C ends everything') || dev.child.exitCode !== null);
    const pids = childrenIn(dev.stdout());
    // Worker, coordinator, publisher.
    expect(pids.map(isRunning)).toEqual([true, true, true]);
    await produce(topic, [{ key: 'k', value: `round ${round}` }]);
    await eventually(async () => (await statusOf(folder)).nextSeq === String(round + 1));
    dev.child.kill(signal);
    const { code, stderr } = await dev.ended;
    expect(code, stderr).toBe(signal === 'SIGINT' ? 0 : null);
    await eventually(() => !pids.some(isRunning));
  }
  const other = await plait('dev', '--topic', 'something-else', '--ledger', folder);
  expect({ code: other.code, stderr: other.stderr }).toEqual({ code: 1, stderr: expect.stringContaining(`orders ${topic} and not something-else`) as string });
  await remove(folder);
});

describe('what cannot work says why', () => {
  test('no ledger, no Kafka address, no such command, a compacted topic', async () => {
    const folder = await newFolder();
    const none = await plait('read', '--ledger', folder);
    expect({ code: none.code, stderr: none.stderr }).toEqual({ code: 1, stderr: expect.stringContaining('there is no ledger') as string });
    const noAddress = await start(['status', '--ledger', folder], { PLAIT_BOOTSTRAP_SERVERS: '' }).ended;
    expect({ code: noAddress.code, stderr: noAddress.stderr }).toEqual({ code: 1, stderr: expect.stringContaining('--bootstrap-server') as string });
    expect((await plait('frobnicate')).code).toBe(1);
    const topic = uniqueName('compacted');
    await createTopic(topic, 1, { 'cleanup.policy': 'compact' });
    const refused = await plait('init', '--topic', topic, '--ledger', folder);
    expect({ code: refused.code, stderr: refused.stderr }).toEqual({ code: 1, stderr: expect.stringContaining('cleanup.policy is compact') as string });
    const missing = await plait('init', '--topic', uniqueName('missing'), '--ledger', folder);
    expect({ code: missing.code, stderr: missing.stderr }).toEqual({ code: 1, stderr: expect.stringContaining('does not exist') as string });
    await remove(folder);
  });

  test.each(['read', 'status', 'worker', 'coordinator'])('%s without a broker ends soon, with its address', async (command) => {
    const folder = await newFolder();
    const topic = uniqueName('away');
    await createTopic(topic, 1);
    const created = await plait('init', '--topic', topic, '--ledger', folder);
    expect(created.code, created.stderr).toBe(0);
    // Port 1 refuses; 192.0.2.1 (RFC 5737) never answers.
    for (const address of ['127.0.0.1:1', '192.0.2.1:9092']) {
      const { code, stderr, ms } = await plait(command, '--ledger', folder, '--bootstrap-server', address);
      expect(code, stderr).toBe(2);
      expect(stderr).toContain(address);
      expect(ms).toBeLessThan(AWAY_MS_MAX);
    }
    await remove(folder);
  });
});
