/** `plait verify` over one ledger: what it checks, remembers and goes on from, and what it says of a log that is not the one it knew. */
import { spawnSync } from 'node:child_process';
import { cp, mkdir, readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { logPosition, MESSAGE_BYTES_MAX, parseCheckpoint, parseNote, verifyNoteSignature } from '@plait/core';
import { createLogTopic, openLogReader, writeLog } from '@plait/kafka';
import { formatLedgerFile } from '@plait/ledger';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { loadKey } from '../../apps/plait/src/keys.ts';
import { bootstrapServers } from '../global/services.ts';
import { open } from './ledger-checks.ts';
import { isRunning, makeLedger, type LedgerHarness } from './ledger-harness.ts';
import { eventually, plait, produce, start, startRole, type Ran, type Running } from './plait.ts';

const PARTITIONS = 3;
const HALF = 3_000;
/** As the documentation has them; see docs/OPERATING.md, "Verifying". */
const EXIT = { verified: 0, usage: 1, unreachable: 2, rolledBack: 11, splitView: 12, interrupted: 130 };

interface Result {
  readonly schemaVersion: number;
  readonly verdict: string;
  readonly exitCode: number;
  readonly range: { readonly firstSeq: string; readonly nextSeq: string };
  readonly height: string;
  readonly counts: { readonly records: string };
  readonly checkpoint: { readonly size: string; readonly root: string; readonly note: string } | null;
  readonly consistentWith: readonly { readonly name: string; readonly size: string }[];
  readonly notChecked: readonly string[];
  readonly memory: { readonly folder: string; readonly first: boolean; readonly remembered: boolean };
  readonly resumed: { readonly nextSeq: string } | null;
  readonly finding: { readonly kind: string; readonly next: string; readonly position?: string; readonly height?: string; readonly evidence: readonly { readonly note: string; readonly file: string }[] } | null;
}

let ledger: LedgerHarness;
/** Where the log was when only the first half of the records was numbered. */
let halfEnd: bigint;
const aside = (name: string): string => join(ledger.folder, '..', name);

async function publishHalf(size: number): Promise<void> {
  await produce(ledger.topic, Array.from({ length: HALF }, (_, i) => ({ key: `k${i % 7}`, value: `record ${size} ${i}`, partition: i % PARTITIONS })));
  await ledger.settled();
  const { height } = await ledger.status();
  const [publisher] = ledger.running('publisher');
  await ledger.until('the checkpoint', () => Promise.resolve(publisher?.lines.some((line) => line['event'] === 'published' && line['size'] === String(height))));
}

beforeAll(async () => {
  ledger = await makeLedger({ partitions: PARTITIONS });
  const roles = [ledger.start('worker'), ledger.start('coordinator'), ledger.start('publisher', { PLAIT_LOG_LEVEL: 'debug' })];
  await Promise.all(roles.map(({ ready }) => ready));
  await publishHalf(1);
  halfEnd = (await ledger.status()).log.end;
  await publishHalf(2);
  for (const role of roles) await ledger.stop(role);
});
afterAll(() => ledger[Symbol.asyncDispose]());

/** Runs `plait verify` with a memory of its own unless another one is named. */
async function verify(args: readonly string[] = [], memory = aside('memory'), folder = ledger.folder): Promise<Ran> {
  return await plait('verify', '--ledger', folder, '--memory', memory, ...args);
}

async function verifyJson(args: readonly string[] = [], memory?: string, folder?: string): Promise<Result> {
  const { code, stdout, stderr } = await verify(['-o', 'json', ...args], memory, folder);
  expect(stdout.trim().split('\n'), stderr).toHaveLength(1);
  const result = JSON.parse(stdout) as Result;
  expect(result.exitCode).toBe(code);
  expect(result.schemaVersion).toBe(1);
  return result;
}

describe('an untouched ledger', () => {
  test('is verified, by two processes, and remembered for its user only', async () => {
    const { code, stdout, stderr } = await verify(['--workers', '2', '--log-level', 'warn']);
    expect(code, stdout + stderr).toBe(EXIT.verified);
    expect(stdout).toContain(`verified ledger.local/${ledger.topic}`);
    expect(stdout).toContain('6,000 hashed again, seqs from 0 up to below 6000, from Kafka');
    expect(stdout).toContain('nothing was remembered before');
    expect(stdout).toContain('\nnot checked\n');
    // No terminal, no bar, and nothing to warn of.
    expect(stderr).toBe('');
    const [name = ''] = await readdir(aside('memory'));
    const folder = join(aside('memory'), name);
    expect((await readdir(folder)).toSorted()).toEqual(['checkpoint.json', 'log.json']);
    for (const [path, mode] of [[folder, 0o700], [join(folder, 'checkpoint.json'), 0o600], [join(folder, 'log.json'), 0o600]] as const) {
      expect((await stat(path)).mode & 0o777).toBe(mode);
    }
  });

  test('is verified again, by one, against what was remembered and a checkpoint that was kept', async () => {
    const first = await verifyJson(['--workers', '1']);
    expect(first).toMatchObject({ verdict: 'verified', counts: { records: String(2 * HALF) }, memory: { first: false, remembered: true }, finding: null });
    expect(first.consistentWith.map(({ name }) => name)).toEqual([expect.stringMatching(/^remembered on /)]);
    await writeFile(aside('kept'), first.checkpoint?.note ?? '');
    const kept = await verifyJson(['--trusted-checkpoint', aside('kept'), '--from-seq', '1000', '--to-seq', '2000'], aside('fresh'));
    expect(kept).toMatchObject({ verdict: 'verified', range: { firstSeq: '1000', nextSeq: '2000' }, memory: { first: true } });
    expect(Number(kept.counts.records)).toBeGreaterThanOrEqual(1_000);
    expect(Number(kept.counts.records)).toBeLessThan(2 * HALF);
    expect(kept.consistentWith).toEqual([expect.objectContaining({ name: aside('kept'), size: first.height })]);
    expect(await verify(['--from-seq', '9', '--to-seq', '3'])).toMatchObject({ code: EXIT.usage, stdout: '', stderr: expect.stringContaining('--to-seq 3 is below --from-seq 9') as string });
  });

  test('as slow as asked, cut short by Ctrl-C, and gone on with', async () => {
    const args = ['verify', '--ledger', ledger.folder, '--memory', aside('resumed')];
    const slow = start([...args, '--rate', '100']);
    await eventually(async () => (await readdir(aside('resumed'), { recursive: true }).catch((): string[] => [])).some((name) => name.endsWith('progress.json')));
    slow.child.kill('SIGINT');
    const { code, stdout } = await slow.ended;
    expect({ code, stdout }).toEqual({ code: EXIT.interrupted, stdout: '' });
    const { resumed, verdict, counts } = await verifyJson(['--resume'], aside('resumed'));
    expect(verdict).toBe('verified');
    const from = Number(resumed?.nextSeq);
    expect(from).toBeGreaterThan(0);
    expect(Number(counts.records)).toBeLessThan(2 * HALF);
    // Once all is checked there is nothing to go on with.
    expect(await verifyJson(['--resume'], aside('resumed'))).toMatchObject({ resumed: null, counts: { records: String(2 * HALF) } });
  });
});

/** A verification in the midst of it, and the processes that compare records for it. */
async function inTheMidst(name: string): Promise<{ readonly slow: Running; readonly pids: readonly number[] }> {
  const slow = start(['verify', '--ledger', ledger.folder, '--memory', aside(name), '--workers', '2', '--rate', '100']);
  let pids: readonly number[] = [];
  await eventually(async () => {
    pids = spawnSync('pgrep', ['-P', String(slow.child.pid), '-f', '^plait verify: '], { encoding: 'utf8' }).stdout.split('\n').filter(Boolean).map(Number);
    return pids.length === 2 && (await readdir(aside(name), { recursive: true }).catch((): string[] => [])).some((file) => file.endsWith('progress.json'));
  });
  return { slow, pids };
}

describe('processes of its own', () => {
  test('leave to it what Ctrl-C means, and end with it', async () => {
    const { slow, pids } = await inTheMidst('interrupted');
    for (const pid of pids) process.kill(pid, 'SIGINT');
    await new Promise((resolve) => setTimeout(resolve, 500));
    expect(pids.filter(isRunning)).toEqual(pids);
    slow.child.kill('SIGINT');
    expect((await slow.ended).code).toBe(EXIT.interrupted);
    expect(pids.filter(isRunning)).toEqual([]);
  });

  test('end when it is killed', async () => {
    const { slow, pids } = await inTheMidst('killed');
    slow.child.kill('SIGKILL');
    await eventually(() => pids.filter(isRunning).length === 0);
  });

  test('are missed when somebody ends one', async () => {
    const { slow, pids: [pid = 0, other = 0] } = await inTheMidst('missed');
    process.kill(pid, 'SIGKILL');
    const { code, stdout, stderr } = await slow.ended;
    expect({ code, stdout }).toEqual({ code: EXIT.usage, stdout: '' });
    expect(stderr).toContain('a process that checks records was ended by SIGKILL');
    expect(stderr).toContain('--resume goes on there');
    expect(isRunning(other)).toBe(false);
  });
});

describe('what cannot be checked is not called checked', () => {
  test('Kafka is away', async () => {
    const { code, stdout, stderr } = await verify(['--bootstrap-server', '127.0.0.1:1']);
    expect({ code, stdout }).toEqual({ code: EXIT.unreachable, stdout: '' });
    expect(stderr).toContain('127.0.0.1:1');
  });

  test('the log is empty, or another ledger\'s', async () => {
    const other = aside('other');
    await mkdir(other);
    const topic = `${ledger.file.log}.other`;
    await createLogTopic({ kafka: { brokers: bootstrapServers().split(',') }, topic, messageBytesMax: MESSAGE_BYTES_MAX, replicationFactor: 1 });
    for (const file of [{ ...ledger.file, log: topic }, { ...ledger.file, origin: `${ledger.file.origin}.other` }]) {
      await writeFile(join(other, 'ledger.json'), formatLedgerFile(file));
      const { code, stdout, stderr } = await verify([], aside('other-memory'), other);
      expect({ code, stdout }).toEqual({ code: EXIT.usage, stdout: '' });
      expect(stderr).toContain(`the log holds no genesis of ${file.origin}: this is not the log of that ledger`);
    }
  });

  test('a memory that is damaged, and a checkpoint that is none', async () => {
    await cp(aside('memory'), aside('damaged'), { recursive: true });
    const [name = ''] = await readdir(aside('damaged'));
    const path = join(aside('damaged'), name, 'checkpoint.json');
    await writeFile(path, (await readFile(path, 'utf8')).replace('"time"', '"date"'));
    const damaged = await verify([], aside('damaged'));
    expect({ code: damaged.code, stdout: damaged.stdout }).toEqual({ code: EXIT.usage, stdout: '' });
    expect(damaged.stderr).toContain(`the remembered checkpoint ${path} is damaged`);
    const none = await verify(['--trusted-checkpoint', path]);
    expect(none.code).toBe(EXIT.usage);
    expect(none.stderr).toContain(`${path} holds no checkpoint`);
  });
});

/** The log's messages from when half of the records were numbered. */
async function* firstHalf(): AsyncGenerator<Uint8Array, undefined> {
  const log = await openLogReader({ kafka: { brokers: bootstrapServers().split(',') }, topic: ledger.file.log, from: logPosition(0n) });
  try {
    for (;;) {
      for (const { position, value } of await log.poll({ maxWaitMs: 500 })) {
        if (position >= halfEnd) return;
        yield value;
      }
      if (log.position() >= halfEnd) return;
    }
  } finally {
    await log.close();
  }
}

describe('a log that is not the one that was remembered', () => {
  let older: string;

  /** The ledger with another log, which holds the first half of this one. */
  beforeAll(async () => {
    older = aside('older');
    await mkdir(join(older, 'keys'), { recursive: true });
    await cp(join(ledger.folder, 'keys'), join(older, 'keys'), { recursive: true });
    const kafka = { brokers: bootstrapServers().split(',') };
    const topic = `${ledger.file.log}.older`;
    await createLogTopic({ kafka, topic, messageBytesMax: MESSAGE_BYTES_MAX, replicationFactor: 1 });
    await writeLog({ kafka, topic, from: logPosition(0n), messages: firstHalf() });
    await writeFile(join(older, 'ledger.json'), formatLedgerFile({ ...ledger.file, log: topic }));
  });

  test('is an older copy: rolled back for whoever remembers, verified for whoever does not', async () => {
    const found = await verifyJson([], undefined, older);
    expect(found).toMatchObject({ verdict: 'rolled-back', exitCode: EXIT.rolledBack, memory: { remembered: false } });
    const ignorant = await verifyJson([], aside('ignorant'), older);
    expect(ignorant).toMatchObject({ verdict: 'verified', counts: { records: String(HALF) }, memory: { first: true } });
    expect(ignorant.notChecked.join(' ')).toMatch(/rolled back|rollback|older/);
    // What was remembered is what it was.
    expect((await verifyJson()).verdict).toBe('verified');
  });

  test('has grown again another way: two signed checkpoints contradict each other, and are kept as evidence', async () => {
    const { checkpoint: known } = await verifyJson([], aside('known'));
    const roles = (['worker', 'coordinator', 'publisher'] as const).map((command) => startRole(command, older));
    await Promise.all(roles.map(({ ready }) => ready));
    // Only a checkpoint over as many blocks contradicts the one that is remembered, and the records may come in fewer of them now.
    const size = Number(known?.size);
    await using regrowing = await open(older, bootstrapServers());
    await ledger.until('as many blocks', async () => {
      const { height, nextSeq } = await regrowing.status();
      if (nextSeq < 2 * HALF) return false;
      if (height < size) await produce(ledger.topic, [{ key: 'more', value: `after block ${height}`, partition: 0 }]);
      return height >= size;
    });
    await ledger.until('a checkpoint over them', async () =>
      Number((await verifyJson([], aside(`regrowing-${performance.now()}`), older)).checkpoint?.size) >= size);
    for (const role of roles) await role.stop();
    const evidence = aside('evidence');
    const found = await verifyJson(['--evidence', evidence], undefined, older);
    expect(found).toMatchObject({ verdict: 'split-view', exitCode: EXIT.splitView, memory: { remembered: false } });
    const { verifier } = await loadKey(join(ledger.folder, 'keys', 'checkpoint.key'));
    const files = found.finding?.evidence.map(({ file }) => file) ?? [];
    expect(files.length).toBeGreaterThanOrEqual(2);
    for (const [i, file] of files.entries()) {
      const bytes = await readFile(join(evidence, file));
      expect(bytes.toString('utf8')).toBe(found.finding?.evidence[i]?.note);
      const note = parseNote(bytes);
      expect(parseCheckpoint(note.text).origin).toBe(ledger.file.origin);
      expect(verifyNoteSignature(note, verifier)).toBe(true);
    }
    const kept = (await readdir(evidence)).toSorted();
    expect(kept).toEqual([expect.stringMatching(/^README-[0-9a-f]{12}\.txt$/), ...files.toSorted()]);
    for (const file of files) expect(file).toMatch(/^split-view-[0-9a-f]{12}-\d+-[0-9a-f]{12}\.checkpoint$/);
    const readme = await readFile(join(evidence, kept[0] ?? ''), 'utf8');
    expect(readme).toContain('checkpoint-contradicts');
    expect(readme.split(`signed by ${verifier.vkey}\n`)).toHaveLength(files.length + 1);
    // What it says shows the same, by the ledger's log and without what was remembered.
    const [, command = ''] = /\bplait (consistency .*)\n/.exec(readme) ?? [];
    expect(found.finding).toMatchObject({ next: `plait ${command}`, position: expect.any(String) as string, height: expect.any(String) as string });
    const shown = await plait(...command.split(' '), '--ledger', older, '--evidence', aside('shown'));
    expect(shown, shown.stderr).toMatchObject({ code: EXIT.splitView, stdout: expect.stringMatching(/^SPLIT VIEW: /) as string });
    expect((await readdir(aside('shown'))).toSorted()).toEqual(files.toSorted());
    const text = await verify(['--evidence', evidence], undefined, older);
    expect(text.stdout).toContain('SPLIT VIEW');
    expect(text.stdout).toContain(dirname(evidence));
  });
});
