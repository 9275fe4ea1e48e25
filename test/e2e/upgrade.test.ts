/**
 * A rolling upgrade: old and new programs work on one ledger under the older rules; then all are new, and the newer rules
 * come into force while records flow. An old program that is left stops there with a sentence.
 *
 * The old program is this workspace's source, copied, with the newest version of the rules taken out.
 */
import { cp, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { RULES_VERSION } from '@plait/core';
import { expect, test } from 'vitest';
import type { spawnRole as SpawnRole, programArguments as ProgramArguments } from '../../apps/plait/src/roles.ts';
import { makeLedger, type LedgerHarness, type Role } from './ledger-harness.ts';
import { startProgram } from './plait.ts';

const WORKSPACE = fileURLToPath(new URL('../../', import.meta.url));
const OLD_RULES = RULES_VERSION - 1;
/** What makes this program a former one: exact source text. */
const EDITS: readonly { readonly file: string; readonly from: string; readonly to: string }[] = [
  { file: 'packages/core/src/limits.ts', from: `export const RULES_VERSION = ${RULES_VERSION};`, to: `export const RULES_VERSION = ${OLD_RULES};` },
  { file: 'packages/core/src/rules.ts', from: '  2: { emptyRoot: true },\n', to: '' },
];

interface OldProgram extends AsyncDisposable {
  readonly spawnRole: typeof SpawnRole;
  readonly arguments: ReturnType<typeof ProgramArguments>;
}

/** The program before the newest rules. */
async function makeOldProgram(): Promise<OldProgram> {
  const folder = await mkdtemp(join(tmpdir(), 'plait-old-'));
  await symlink(join(WORKSPACE, 'node_modules'), join(folder, 'node_modules'));
  for (const part of ['apps', 'packages', 'package.json', 'tsconfig.base.json']) {
    // The links between the packages are relative: copied as they are, they stay within the copy.
    await cp(join(WORKSPACE, part), join(folder, part), { recursive: true, verbatimSymlinks: true, filter: (path) => !/\/(dist|\.cache)$/.test(path) });
  }
  for (const { file, from, to } of EDITS) {
    const text = await readFile(join(folder, file), 'utf8');
    expect(text.split(from), `${file} holds ${JSON.stringify(from)} once`).toHaveLength(2);
    await writeFile(join(folder, file), text.replace(from, to));
  }
  const { spawnRole, programArguments } = (await import(join(folder, 'apps/plait/src/roles.ts'))) as {
    spawnRole: typeof SpawnRole; programArguments: typeof ProgramArguments;
  };
  const program = programArguments();
  expect(program.args.at(-1)).toBe(join(folder, 'apps/plait/src/main.ts'));
  return { spawnRole, arguments: program, [Symbol.asyncDispose]: async () => await rm(folder, { recursive: true, force: true }) };
}

async function goesOn(ledger: LedgerHarness): Promise<void> {
  const { nextSeq } = await ledger.status();
  await ledger.until('more is numbered', async () => (await ledger.status()).nextSeq > nextSeq + 200n);
}

/** It ends with exit code 1 and the sentence. */
async function stopsForRules(ledger: LedgerHarness, role: Role): Promise<void> {
  const sentence = `is under rules version ${RULES_VERSION} from here on, and this program knows versions up to ${OLD_RULES}: install a newer one`;
  expect(await role.exited).toEqual({ code: 1, signal: null });
  await ledger.until('its last line', () => Promise.resolve(role.lines.some((line) => String(line['msg']).includes(sentence))));
  // The harness asks the others to end in good order; this one has ended.
  await ledger.kill(role);
}

test('old and new roles work together, and the newer rules come into force while records flow', { timeout: 400_000 }, async () => {
  await using old = await makeOldProgram();
  await using ledger = await makeLedger({ partitions: 4, init: ['--rules', String(OLD_RULES)] });
  const startOld = (command: Role['command']): Role => ledger.start(command, {}, [], old.spawnRole);
  const oldWorkers = [startOld('worker'), startOld('worker')] as const;
  const oldCoordinators = [startOld('coordinator'), startOld('coordinator')] as const;
  await Promise.all([...oldWorkers, ...oldCoordinators].map(({ ready }) => ready));
  const readers = [await ledger.follow()];
  await using left = new AsyncDisposableStack();
  const oldReader = startProgram(old.arguments, ['read', '--follow', '-o', 'jsonl', '--ledger', ledger.folder]);
  left.defer(() => void oldReader.child.kill('SIGKILL'));
  const load = ledger.load({ ratePerSecond: 300 });
  await goesOn(ledger);

  // A new worker beside an old one, an old one leads.
  const newWorkers = [ledger.start('worker')];
  await newWorkers[0]?.ready;
  await ledger.stop(oldWorkers[0]);
  await goesOn(ledger);
  // New coordinators stand by, and take over when the old leader goes; the old worker goes on.
  const newCoordinators = [ledger.start('coordinator'), ledger.start('coordinator')];
  await Promise.all(newCoordinators.map(({ ready }) => ready));
  await goesOn(ledger);
  for (const coordinator of oldCoordinators) await ledger.stop(coordinator);
  expect(newCoordinators.map(({ pid }) => pid)).toContain((await ledger.leader()).pid);
  await goesOn(ledger);
  // And back: an old one leads what a new one led before, since its rules are those in force.
  const lastOld = startOld('coordinator');
  await lastOld.ready;
  for (const coordinator of newCoordinators) await ledger.stop(coordinator);
  await ledger.until('the old one leads', async () => (await ledger.leader()).pid === lastOld.pid);
  await goesOn(ledger);
  ledger.start('publisher');
  const heir = ledger.start('coordinator');
  newWorkers.push(ledger.start('worker'));
  await heir.ready;
  readers.push(await ledger.follow());
  await goesOn(ledger);

  // The newer rules, though an old worker, an old coordinator and an old reader are left: these stop, the others go on.
  const upgraded = await ledger.plait('reconfigure', '--rules', String(RULES_VERSION));
  expect({ code: upgraded.code, stdout: upgraded.stdout }).toEqual({ code: 0, stdout: expect.stringContaining(`rules ${OLD_RULES} → ${RULES_VERSION}`) as string });
  await stopsForRules(ledger, oldWorkers[1]);
  await stopsForRules(ledger, lastOld);
  const read = await oldReader.ended;
  expect({ code: read.code, stderr: read.stderr }).toEqual({ code: 1, stderr: expect.stringContaining(`knows versions up to ${OLD_RULES}`) as string });
  await goesOn(ledger);
  await load.stop();
  const { seen } = await ledger.verifyAll();
  for (const reader of readers) await reader.stop();

  // What the old reader handed out is how the order begins.
  const handedOut = read.stdout.trimEnd().split('\n').map((line) => JSON.parse(line) as { partition: number; offset: string; index: string });
  expect(handedOut.length).toBeGreaterThan(200);
  const places = handedOut.map(({ partition, offset, index }) => `${partition}/${offset}/${index}`);
  expect(seen.slice(0, places.length).map((text) => text.split('/').slice(0, 3).join('/'))).toEqual(places);
});
