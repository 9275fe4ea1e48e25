/** Keys change and processes are added while records flow; nothing is lost. */
import { rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { expect, test } from 'vitest';
import { logPosition, parseMessage, parseVerifierKey } from '@plait/core';
import { openLogReader } from '@plait/kafka';
import { Follower } from '@plait/roles';
import { assigned, makeLedger, type LedgerHarness, type Role } from './ledger-harness.ts';

/** Makes a key beside the ledger's folder; its file and its vkey. */
async function makeKey(ledger: LedgerHarness, name: string, file: string): Promise<{ file: string; vkey: string }> {
  const path = join(dirname(ledger.folder), file);
  const { code, stdout, stderr } = await ledger.plait('keys', 'make', name, '--out', path);
  expect(code, stderr).toBe(0);
  return { file: path, vkey: stdout.trim() };
}

/** The vkey of a key that init made. */
async function vkeyOf(ledger: LedgerHarness, role: string): Promise<string> {
  return (await ledger.plait('keys', 'show', join(ledger.folder, 'keys', `${role}.key`))).stdout.trim();
}

async function reconfigure(ledger: LedgerHarness, ...args: readonly string[]): Promise<void> {
  const { code, stderr } = await ledger.plait('reconfigure', ...args);
  expect(code, stderr).toBe(0);
}

/** Waits until records that are produced from now on are numbered too. */
async function goesOn(ledger: LedgerHarness): Promise<void> {
  const { nextSeq } = await ledger.status();
  await ledger.until('more is numbered', async () => (await ledger.status()).nextSeq > nextSeq + 100n);
}

const saysItsKeyIsOut = (role: Role): boolean => role.lines.some((line) => line['alarm'] === 'key-not-in-force');

/** Verifier keys of the reports, or checkpoints, that counted so far. */
async function signersOf(ledger: LedgerHarness, kind: 'report' | 'checkpoint'): Promise<ReadonlySet<string>> {
  const { file: { origin, ledgerKey, log: topic }, place } = ledger;
  const log = await openLogReader({ kafka: { brokers: place.bootstrapServers.split(',') }, topic, from: logPosition(0n) });
  const ids = new Set<string>();
  const follower = new Follower({ origin, ledgerKey: parseVerifierKey(ledgerKey), log }, ({ outcome, value }) => {
    if (outcome.kind !== kind) return;
    const message = parseMessage(value);
    for (const { name, keyId } of message.signed ? message.note.signatures : []) ids.add(`${name}+${keyId.toString(16).padStart(8, '0')}`);
  });
  try {
    while (!(await follower.readToEnd())) continue;
  } finally {
    await log.close();
  }
  return ids;
}

const idOf = (vkey: string): string => vkey.slice(0, vkey.indexOf('+') + 9);

test('each key is rotated while records flow, and nothing is lost', { timeout: 300_000 }, async () => {
  await using ledger = await makeLedger({ partitions: 4 });
  const old = { worker: await vkeyOf(ledger, 'worker'), coordinator: await vkeyOf(ledger, 'coordinator'), checkpoint: await vkeyOf(ledger, 'checkpoint') };
  const oldWorkers = [ledger.start('worker'), ledger.start('worker')];
  const oldCoordinators = [ledger.start('coordinator'), ledger.start('coordinator')];
  const oldPublisher = ledger.start('publisher');
  await Promise.all([...oldWorkers, ...oldCoordinators, oldPublisher].map(({ ready }) => ready));
  const reader = await ledger.follow();
  const load = ledger.load({ ratePerSecond: 300 });
  await goesOn(ledger);

  // Workers: both keys count for a while, and the processes move over one by one. One is forgotten: it gives way.
  const worker = await makeKey(ledger, 'worker-2', 'worker-2.key');
  await reconfigure(ledger, '--add-worker-key', worker.vkey);
  const fresh = ledger.start('worker', {}, ['--key', worker.file]);
  await fresh.ready;
  await goesOn(ledger);
  const [first, forgotten] = oldWorkers as [Role, Role];
  await ledger.stop(first);
  await reconfigure(ledger, '--revoke-worker-key', old.worker);
  await ledger.until('the forgotten worker gives way', () => Promise.resolve(saysItsKeyIsOut(forgotten) && assigned(forgotten).length === 0));
  await ledger.until('the new one has all', () => Promise.resolve(assigned(fresh).length === 4));
  await goesOn(ledger);
  await ledger.stop(forgotten);

  // Coordinators: the leader's own key is revoked under it.
  const coordinator = await makeKey(ledger, 'coordinator-2', 'coordinator-2.key');
  await reconfigure(ledger, '--add-coordinator-key', `@${coordinator.file}`);
  const heirs = [0, 1].map(() => ledger.start('coordinator', {}, ['--key', coordinator.file]));
  await Promise.all(heirs.map(({ ready }) => ready));
  await goesOn(ledger);
  await reconfigure(ledger, '--revoke-coordinator-key', old.coordinator);
  await ledger.until('the new key leads', async () => (await ledger.status()).leader === 'coordinator-2');
  await goesOn(ledger);
  await ledger.until('the old coordinators say so', () => Promise.resolve(oldCoordinators.every(saysItsKeyIsOut)));
  for (const role of oldCoordinators) await ledger.stop(role);

  // Checkpoints: the new key has the same name, that of the ledger.
  await ledger.until('a checkpoint', async () => (await signersOf(ledger, 'checkpoint')).has(idOf(old.checkpoint)));
  const checkpoint = await makeKey(ledger, 'checkpoint', 'checkpoint-2.key');
  await reconfigure(ledger, '--add-checkpoint-key', checkpoint.vkey, '--revoke-checkpoint-key', old.checkpoint);
  await ledger.until('the publisher says so', () => Promise.resolve(saysItsKeyIsOut(oldPublisher)));
  await ledger.stop(oldPublisher);
  await ledger.start('publisher', {}, ['--key', checkpoint.file]).ready;
  await ledger.until('a checkpoint by the new key', async () => (await signersOf(ledger, 'checkpoint')).has(idOf(checkpoint.vkey)));
  await goesOn(ledger);

  await load.stop();
  await ledger.verifyAll();
  await reader.stop();
  expect(await signersOf(ledger, 'report')).toEqual(new Set([idOf(old.worker), idOf(worker.vkey)]));
  // Who starts now finds everything signed by keys that are long revoked.
  await rm(join(ledger.folder, 'keys', 'worker.key'));
  const { code, stderr } = await ledger.plait('read', '-o', 'jsonl', '--to-seq', '100');
  expect(code, stderr).toBe(0);
});

test('a third worker is only another process with the role\'s key; each may have a key of its own', async () => {
  await using ledger = await makeLedger({ partitions: 6 });
  const workers = [ledger.start('worker'), ledger.start('worker')];
  ledger.start('coordinator');
  await Promise.all(workers.map(({ ready }) => ready));
  const load = ledger.load({ ratePerSecond: 300 });
  await goesOn(ledger);

  const shared = async (count: number): Promise<boolean> => {
    const owned = ledger.running('worker').map(assigned);
    return owned.length === count && owned.every(({ length }) => length > 0) && new Set(owned.flat()).size === 6 && owned.flat().length === 6;
  };
  ledger.start('worker');
  await ledger.until('three share the partitions', () => shared(3));
  await goesOn(ledger);

  const own = await makeKey(ledger, 'worker-4', 'worker-4.key');
  await reconfigure(ledger, '--add-worker-key', own.vkey);
  ledger.start('worker', {}, ['--key', own.file]);
  await ledger.until('four share the partitions', () => shared(4));
  await ledger.until('both keys report', async () => (await signersOf(ledger, 'report')).size === 2);
  await goesOn(ledger);
  await load.stop();
  await ledger.verifyAll();
});
