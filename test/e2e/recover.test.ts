/** A log whose beginning was deleted, one that nobody has a copy of, and a checkpoint that contradicts: the ways out, end to end. */
import { cp, mkdir, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { formatCheckpoint, hashToText, logPosition, signNote } from '@plait/core';
import { openLogAppender, openLogReader } from '@plait/kafka';
import { launch, type Services } from '@plait/launcher';
import { readLedgerFile } from '@plait/ledger';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { keyPath, loadKey } from '../../apps/plait/src/keys.ts';
import { open, readAll, type Seen } from './ledger-checks.ts';
import { LedgerHarness, makeLedger } from './ledger-harness.ts';
import { quietKafka } from './load.ts';

const PARTITIONS = 2;
const TEST_MS = 400_000;

let services: Services;
beforeAll(async () => {
  services = await launch({ mode: 'processes' });
});
afterAll(async () => {
  await services.stop();
});

/** Produces at least so many records more, and waits until they are numbered. */
async function grow(ledger: LedgerHarness, records: number): Promise<void> {
  await using load = ledger.load();
  const wanted = load.acknowledged + records;
  await ledger.until('records', () => Promise.resolve(load.acknowledged >= wanted));
  await load.stop();
  await ledger.settled();
}

async function deleteBefore(topic: string, offset: number): Promise<void> {
  const admin = quietKafka(services.bootstrapServers).admin();
  await admin.connect();
  try {
    // kafkajs looks the leader up in what it knows already; this makes it know.
    await admin.fetchTopicOffsets(topic);
    await admin.deleteTopicRecords({ topic, partitions: [{ partition: 0, offset: String(offset) }] });
  } finally {
    await admin.disconnect();
  }
}

test('alarm: log-start – what was deleted of the log is put back by `plait recover`', { timeout: TEST_MS }, async () => {
  await using ledger = await makeLedger({ partitions: PARTITIONS, place: services });
  const roles = [ledger.start('worker'), ledger.start('coordinator')];
  await grow(ledger, 200);
  const { seen } = await ledger.verifyAll();
  for (const role of roles) await ledger.stop(role);
  await deleteBefore(ledger.file.log, 3);

  const refused = ledger.start('worker');
  expect((await refused.exited).code).toBe(14);
  expect(refused.lines.some((line) => line['event'] === 'alarm' && line['alarm'] === 'log-start')).toBe(true);
  await ledger.kill(refused);

  const to = `${ledger.file.log}.2`;
  const ran = await ledger.plait('recover', '--to', to);
  expect(ran.code, ran.stderr).toBe(0);
  expect(await readAll(ledger.folder, services.bootstrapServers)).toEqual(seen);
  const worker = ledger.start('worker');
  await worker.ready;
  expect(worker.lines.filter((line) => line['event'] === 'alarm')).toEqual([]);
  await ledger.stop(worker);
});

test('a log is recovered from the copy of a reader that was asked to keep one, when the roles have lost theirs', { timeout: TEST_MS }, async () => {
  await using ledger = await makeLedger({ partitions: PARTITIONS, place: services });
  const roles = [ledger.start('worker'), ledger.start('coordinator')];
  await grow(ledger, 100);
  const { seen } = await ledger.verifyAll();
  for (const role of roles) await ledger.stop(role);
  const kept = join(ledger.folder, '..', 'kept');
  const read = await ledger.plait('read', '--copy', kept);
  expect(read.code, read.stderr).toBe(0);
  await rm(join(ledger.folder, 'copy'), { recursive: true });
  await deleteBefore(ledger.file.log, 3);

  const to = `${ledger.file.log}.2`;
  expect((await ledger.plait('recover', '--to', to)).code).toBe(1);
  const ran = await ledger.plait('recover', '--to', to, '--copy', kept);
  expect(ran.code, ran.stderr).toBe(0);
  expect(await readAll(ledger.folder, services.bootstrapServers)).toEqual(seen);
});

test('alarm: split-view – coordinators stop at a checkpoint that contradicts the blocks, until a configuration replaces its key', { timeout: TEST_MS }, async () => {
  await using ledger = await makeLedger({ partitions: PARTITIONS, place: services });
  const [worker, coordinator] = [ledger.start('worker'), ledger.start('coordinator')];
  await grow(ledger, 50);
  const key = await loadKey(keyPath(ledger.folder, 'checkpoint'));
  const root = hashToText(new Uint8Array(32));
  await using appender = new AsyncDisposableStack();
  const log = appender.adopt(await openLogAppender({ kafka: { brokers: services.bootstrapServers.split(',') }, topic: ledger.file.log }), (port) => port.close());
  await log.append(signNote(formatCheckpoint({ kind: 'checkpoint', origin: ledger.file.origin, size: 1_000_000n, root }), key));
  for (const role of [coordinator, ledger.start('coordinator')]) {
    expect((await role.exited).code).toBe(12);
    expect(role.lines.some((line) => line['event'] === 'alarm' && line['alarm'] === 'split-view')).toBe(true);
    await ledger.kill(role);
  }
  expect((await ledger.plait('status')).code).toBe(12);

  const fresh = join(ledger.folder, 'checkpoint-2.key');
  const made = await ledger.plait('keys', 'make', 'checkpoint', '--out', fresh);
  expect(made.code, made.stderr).toBe(0);
  const changed = await ledger.plait('reconfigure', '--add-checkpoint-key', `@${fresh}`, '--revoke-checkpoint-key', key.verifier.vkey);
  expect(changed.code, changed.stderr).toBe(0);
  const [next, publisher] = [ledger.start('coordinator'), ledger.start('publisher', {}, ['--key', fresh])];
  await grow(ledger, 50);
  // What the old key said is settled once the new one has signed for the blocks: then an audit accuses nobody any more.
  await ledger.until('a checkpoint by the new key', async () => {
    await using opened = await open(ledger.folder, services.bootstrapServers);
    return (await opened.verify()).verdict === 'verified';
  });
  await ledger.verifyAll();
  for (const role of [worker, next, publisher]) await ledger.stop(role);
});

/** Where a seen record is in its partition. */
const placeOf = (text: Seen): string => text.split('/').slice(0, 2).join('/');

test('without a copy, `init --succeeds` goes on where the last common block ended', { timeout: TEST_MS }, async () => {
  await using ledger = await makeLedger({ partitions: PARTITIONS, place: services });
  const logFolder = join(services.kafka?.dataDir ?? '', '1', `${ledger.file.log}-0`);
  const older = join(ledger.folder, '..', 'older');
  const roles = [ledger.start('worker'), ledger.start('coordinator')];
  await grow(ledger, 600);
  await services.kafka?.stop();
  await cp(logFolder, older, { recursive: true });
  await services.kafka?.start();
  await grow(ledger, 60);
  const { seen } = await ledger.verifyAll();
  for (const role of roles) await ledger.stop(role);
  await services.kafka?.stop();
  await rm(logFolder, { recursive: true });
  await cp(older, logFolder, { recursive: true });
  await services.kafka?.start();
  await rm(join(ledger.folder, 'copy'), { recursive: true });

  const unrecovered = await ledger.plait('recover', '--to', `${ledger.file.log}.2`);
  expect(unrecovered.code).toBe(1);
  expect(unrecovered.stderr).toContain('records would get other numbers than were read already');
  expect((await readLedgerFile(join(ledger.folder, 'ledger.json'))).log).toBe(ledger.file.log);

  const folder = join(ledger.folder, '..', 'successor');
  const init = (into: string, ...more: string[]) => ledger.plaitIn(into, 'init', '--succeeds', ledger.folder, '--log', `${ledger.topic}.successor`, ...more);
  const stale = join(ledger.folder, '..', 'stale');
  await mkdir(dirname(stale), { recursive: true });
  await cp(join(ledger.folder, 'keys'), join(stale, 'keys'), { recursive: true });
  const refused = await init(stale);
  expect(refused.code).toBe(1);
  expect(refused.stderr).toContain('a checkpoint names no ledger id');
  const created = await init(folder);
  expect(created.code, created.stderr).toBe(0);
  expect(created.stdout).toContain('It goes on from the ledger');

  const file = await readLedgerFile(join(folder, 'ledger.json'));
  await using successor = new LedgerHarness({ place: services, topic: ledger.topic, folder, file, partitions: PARTITIONS });
  for (const command of ['worker', 'coordinator'] as const) successor.start(command);
  await successor.settled();
  const before = await readAll(ledger.folder, services.bootstrapServers);
  const after = await readAll(folder, services.bootstrapServers);
  expect(before).toEqual(seen.slice(0, before.length));
  expect(before.length).toBeLessThan(seen.length);

  await using old = await open(ledger.folder, services.bootstrapServers);
  const note = await messageAt(file.log, 1n);
  const kept = Number(/\nnext-seq (\d+)\n/.exec(note)?.[1]);
  // Without a copy the last common point is known only to within some times the length of what is lost.
  expect(kept).toBeLessThanOrEqual(before.length);
  expect([...before.slice(0, kept), ...after].map(placeOf).toSorted()).toEqual(seen.map(placeOf).toSorted());
  expect(note).toMatch(/^plait\.predecessor\/v1\n/);
  expect(note).toContain(`\npredecessor ${ledger.file.origin} ${(await old.status()).ledgerId}\n`);
});

async function messageAt(topic: string, position: bigint): Promise<string> {
  const reader = await openLogReader({ kafka: { brokers: services.bootstrapServers.split(',') }, topic, from: logPosition(position) });
  try {
    for (;;) {
      const [message] = await reader.poll({ maxWaitMs: 500 });
      if (message !== undefined) return Buffer.from(message.value).toString();
    }
  } finally {
    await reader.close();
  }
}
