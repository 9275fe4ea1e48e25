/** The log is restored from an older copy: whoever remembers refuses, nobody extends it, and it is written anew from copies. */
import { cp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { launch, type Services } from '@plait/launcher';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readLedgerFile } from '@plait/ledger';
import { checkPrefix, open, readAll, type Seen } from './ledger-checks.ts';
import { makeLedger, type LedgerHarness, type Role } from './ledger-harness.ts';
import { start as startPlait } from './plait.ts';

const PARTITIONS = 3;
const COMMANDS = ['worker', 'coordinator', 'publisher'] as const;
const TEST_MS = 400_000;

let services: Services;
let ledger: LedgerHarness;
/** What readers were given before the log was rolled back. */
let seen: readonly Seen[];
let logEnd: bigint;

beforeAll(async () => {
  services = await launch({ mode: 'processes' });
  ledger = await makeLedger({ partitions: PARTITIONS, place: services });
});
afterAll(async () => {
  try {
    await ledger[Symbol.asyncDispose]();
  } finally {
    await services.stop();
  }
});

/** Where the broker keeps a topic of one partition. */
const folderOf = (topic: string): string => join(services.kafka?.dataDir ?? '', '1', `${topic}-0`);

/** Does something with the broker's data while it is down. */
async function whileDown(change: () => Promise<void>): Promise<void> {
  await services.kafka?.stop();
  await change();
  await services.kafka?.start();
}

const auditorMemory = (): string => join(ledger.folder, '..', 'auditor');
const readerState = (): string => join(ledger.folder, '..', 'reader.json');

/** Produces at least so many records more, and waits until they are numbered. */
async function grow(records: number): Promise<void> {
  await using load = ledger.load();
  const wanted = load.acknowledged + records;
  await ledger.until('records', () => Promise.resolve(load.acknowledged >= wanted));
  await load.stop();
  await ledger.settled();
}

/** Waits until a role has ended by itself, as rolled back, and said up to where the log is the same. */
async function refused(role: Role): Promise<void> {
  expect(await role.exited, `${role.command}: ${JSON.stringify(role.lines.at(-1))}`).toMatchObject({ code: 11 });
  expect(role.lines.some((line) => line['event'] === 'alarm' && line['alarm'] === 'rolled-back'), JSON.stringify(role.lines.at(-2))).toBe(true);
  expect(String(role.lines.at(-1)?.['msg'])).toMatch(/the last common point that is known is position \d+\./);
  await ledger.kill(role);
}

test('alarm: rolled-back – running roles notice that an older copy of the log was put in its place', { timeout: TEST_MS }, async () => {
  const older = join(ledger.folder, '..', 'older');
  await ledger.startRoles();
  await ledger.start('publisher').ready;
  await grow(300);
  await whileDown(() => cp(folderOf(ledger.file.log), older, { recursive: true }));
  await grow(300);
  seen = (await ledger.verifyAll()).seen;
  logEnd = (await ledger.status()).log.end;
  const fromFiles = await ledger.plait('verify', '--memory', auditorMemory(), '--bootstrap-server', '127.0.0.1:1', '--log-dir', join(services.kafka?.dataDir ?? '', '1'));
  expect(fromFiles.code, fromFiles.stderr + fromFiles.stdout).toBe(0);
  expect(fromFiles.stdout).toMatch(/hashed again.*from segment files\n[^]*blocks, from segment files\n/);
  const roles = [...ledger.running('worker'), ...ledger.running('coordinator'), ...ledger.running('publisher')];
  const reader = startPlait(['read', '--follow', '--state', readerState(), '--ledger', ledger.folder], { PLAIT_BOOTSTRAP_SERVERS: services.bootstrapServers });
  await ledger.until('the reader has it all', () => Promise.resolve(reader.stdout().split('\n').length > seen.length));
  await whileDown(async () => {
    await rm(folderOf(ledger.file.log), { recursive: true });
    await cp(older, folderOf(ledger.file.log), { recursive: true });
  });
  for (const role of roles) await refused(role);
  const read = await reader.ended;
  expect(read.code, read.stderr).toBe(11);
  expect(read.stderr).toContain('the last common point that is known is position');
  await using rolledBack = await open(ledger.folder, services.bootstrapServers);
  expect((await rolledBack.status()).log.end).toBeLessThan(logEnd);
});

test('alarm: rolled-back – roles that are started again refuse, too', { timeout: TEST_MS }, async () => {
  await using before = await open(ledger.folder, services.bootstrapServers);
  const { end } = (await before.status()).log;
  for (const command of COMMANDS) await refused(ledger.start(command));
  const read = await ledger.plait('read', '--state', readerState());
  expect(read.code, read.stderr).toBe(11);
  const status = await ledger.plait('status', '--state', readerState());
  expect(status.code, status.stderr).toBe(11);
  const audited = await ledger.plait('verify', '--memory', auditorMemory());
  expect(audited.code, audited.stderr).toBe(11);
  expect(audited.stdout).toContain('ROLLED BACK');
  expect((await before.status()).log.end).toBe(end);
});

/** Roles that know nothing of what was before: with state files and copies of their own. */
function startIgnorant(): Role[] {
  const aside = join(ledger.folder, '..');
  return [
    ledger.start('worker', { PLAIT_WORKER_STATE: join(aside, 'regrown-worker.json') }),
    ledger.start('coordinator', { PLAIT_COORDINATOR_STATE: join(aside, 'regrown-coordinator.json'), PLAIT_COORDINATOR_COPY: join(aside, 'regrown-copy') }),
  ];
}

test('alarm: rolled-back – once the log has regrown past its old end, who remembers still refuses', { timeout: TEST_MS }, async () => {
  const ignorant = startIgnorant();
  await using regrowing = await open(ledger.folder, services.bootstrapServers);
  await using load = ledger.load();
  await ledger.until('the log regrows', async () => (await regrowing.status()).log.end > logEnd + 50n);
  await load.stop();
  const { end } = (await regrowing.status()).log;
  for (const role of ignorant) await ledger.stop(role);
  for (const command of COMMANDS) await refused(ledger.start(command));
  expect((await regrowing.status()).log.end).toBeGreaterThanOrEqual(end);
});

test('alarm: rolled-back – ended by `plait recover`: every record keeps its seq, and the roles go on', { timeout: TEST_MS }, async () => {
  const to = `${ledger.file.log}.2`;
  const ran = await ledger.plait('recover', '--to', to);
  expect(ran.stderr + ran.stdout).toContain(`recovered the log into ${to}`);
  expect(ran.code).toBe(0);
  expect((await readLedgerFile(join(ledger.folder, 'ledger.json'))).log).toBe(to);
  checkPrefix(seen, await readAll(ledger.folder, services.bootstrapServers));
  const again = await ledger.plait('recover', '--to', to, '--from-topic', ledger.file.log);
  expect(again.code, again.stderr).toBe(0);

  const roles = COMMANDS.map((command) => ledger.start(command));
  await using recovered = await open(ledger.folder, services.bootstrapServers);
  await ledger.until('everything is numbered in the new topic', async () => {
    const { partitions } = await recovered.status();
    return partitions.length === PARTITIONS && partitions.every(({ lag, pending }) => lag === 0n && pending === 0);
  });
  const now = await readAll(ledger.folder, services.bootstrapServers);
  checkPrefix(seen, now);
  expect(now.length).toBeGreaterThan(seen.length);
  for (const role of roles) await ledger.stop(role);
});

test('a role that knew only the regrown log refuses the recovered one, until `recover --forget`', { timeout: TEST_MS }, async () => {
  const state = join(ledger.folder, '..', 'regrown-worker.json');
  await refused(ledger.start('worker', { PLAIT_WORKER_STATE: state }));
  const forgotten = await ledger.plait('recover', '--forget', state);
  expect(forgotten.code, forgotten.stderr).toBe(0);
  const worker = ledger.start('worker', { PLAIT_WORKER_STATE: state });
  await worker.ready;
  await ledger.stop(worker);
});
