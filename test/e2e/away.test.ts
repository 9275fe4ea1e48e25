/** Kafka is not there: at the start every command says so soon; later the roles wait, in little memory, and go on by themselves. */
import { readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { formatCheckpoint, hashToText, leafHash, parseSignerKey, signNote } from '@plait/core';
import type { Services } from '@plait/launcher';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { everyHelp } from './help.ts';
import { endLedger, launchLedger } from './launched-ledger.ts';
import { sleep, type LedgerHarness, type Role } from './ledger-harness.ts';
import { AWAY_MS_MAX, start } from './plait.ts';

const OUTAGE_MS = 25_000;
/** What a role may take more while its broker is away, in KiB: what was fetched ahead when it went, and what Node has not collected yet. */
const GROWTH_KIB_MAX = 96 * 1_024;

let services: Services;
let ledger: LedgerHarness;

beforeAll(async () => {
  ({ services, ledger } = await launchLedger(4));
});
afterAll(async () => await endLedger({ services, ledger }));

/** `config` shows the address and does not use it; `serve` goes on serving what it has; `consistency` reads two files before. */
const OTHERS: readonly (string | undefined)[] = ['config', 'serve', 'consistency'];
const reachingKafka = (await everyHelp()).filter(({ words, text }) => text.includes('--bootstrap-server') && !OTHERS.includes(words[0]));
/** As in its first example, on the ledger of this file and with the address of nobody. */
const calls = reachingKafka.map(({ words, examples }) => ({ name: words.join(' '), args: (examples[0] ?? '').split('|')[0]?.trim().split(/\s+/).slice(1) ?? [] }));

describe('at the start', () => {
  test('every command that reaches Kafka is tried', () => {
    expect(calls.map(({ name }) => name)).toEqual(expect.arrayContaining(['init', 'worker', 'coordinator', 'read', 'status']));
  });

  // Port 1 refuses; 192.0.2.1 (RFC 5737) never answers.
  test.each(calls.flatMap((call) => ['127.0.0.1:1', '192.0.2.1:9092'].map((address) => ({ ...call, address }))))(
    '$name without a broker at $address ends soon with code 2, and names it', async ({ name, args, address }) => {
      const folder = name === 'init' ? `${ledger.folder}-new` : ledger.folder;
      const { code, stderr, ms } = await start([...args, '--ledger', folder, '--bootstrap-server', address], { PLAIT_REDIS_URL: services.redisUrl }).ended;
      expect(code, stderr).toBe(2);
      expect(stderr).toContain(address);
      expect(ms).toBeLessThan(AWAY_MS_MAX);
    });
});

test('consistency of two checkpoints too, while serve waits until it is stopped', async () => {
  const { origin } = ledger.file;
  const key = parseSignerKey((await readFile(join(ledger.folder, 'keys', 'checkpoint.key'), 'utf8')).trim());
  const files = [1n, 2n].map((size) => join(ledger.folder, `${size}.checkpoint`));
  for (const [i, file] of files.entries()) {
    const root = hashToText(leafHash(Uint8Array.of(i)));
    await writeFile(file, signNote(formatCheckpoint({ kind: 'checkpoint', origin, size: BigInt(i + 1), root }), key));
  }
  const away = ['--ledger', ledger.folder, '--bootstrap-server', '127.0.0.1:1'];
  const { code, stderr } = await start(['consistency', ...files, '--key', key.verifier.vkey, ...away]).ended;
  expect(code, stderr).toBe(2);
  expect(stderr).toContain('127.0.0.1:1');

  const serving = start(['serve', '--listen', '127.0.0.1:0', ...away]);
  await ledger.until('it waits', () => Promise.resolve(serving.stderr().includes('"event":"waiting"')));
  serving.child.kill('SIGTERM');
  expect((await serving.ended).code).toBe(0);
});

test.each(['dev', 'demo'])('%s with the address of a Kafka that is not there, too', async (name) => {
  const { code, stderr } = await start([name], { PLAIT_BOOTSTRAP_SERVERS: '127.0.0.1:1', PLAIT_LEDGER: `${ledger.folder}-${name}` }).ended;
  expect(code, stderr).toBe(2);
  expect(stderr).toContain('127.0.0.1:1');
});

/** The memory that a process has of the machine, in KiB. */
async function residentKib({ pid }: Role): Promise<number> {
  const status = await readFile(`/proc/${pid}/status`, 'utf8').catch(() => '');
  return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? Number.NaN);
}

test('later: workers, coordinators, a publisher and a reader wait 25 s in bounded memory, and go on by themselves', async ({ annotate }) => {
  await using load = ledger.load({ ratePerSecond: 4_000 });
  const following = start(['read', '--follow', '-o', 'jsonl', '--ledger', ledger.folder], { PLAIT_BOOTSTRAP_SERVERS: services.bootstrapServers, PLAIT_LOG_LEVEL: 'info' });
  await using publisher = ledger.start('publisher');
  await publisher.ready;
  await ledger.until('records', async () => (await ledger.status()).nextSeq > 10_000n);
  const roles = [...ledger.running('worker'), ...ledger.running('coordinator'), publisher];
  const before = await Promise.all(roles.map(residentKib));
  expect(before.every(Number.isFinite)).toBe(true);
  const most = [...before];
  await services.kafka?.stop();
  const untilMs = performance.now() + OUTAGE_MS;
  while (performance.now() < untilMs) {
    for (const [i, role] of roles.entries()) most[i] = Math.max(most[i] ?? 0, await residentKib(role));
    await sleep(1_000);
  }
  await services.kafka?.start();
  const acknowledged = load.acknowledged;
  await ledger.until('the producer goes on', () => Promise.resolve(load.acknowledged > acknowledged + 1_000));
  await load.stop();
  const { seen } = await ledger.verifyAll();
  await ledger.until('the reader has it all', () => Promise.resolve(following.stdout().includes(`"seq":"${seen.length - 1}"`)));
  following.child.kill('SIGTERM');
  expect((await following.ended).code).toBe(0);
  const growth = most.map((kib, i) => kib - (before[i] ?? 0));
  await annotate(`memory of each role before, KiB: ${before.join(', ')}; most that came to it while Kafka was away: ${growth.join(', ')}`);
  expect(Math.max(...growth)).toBeLessThan(GROWTH_KIB_MAX);
  // Nobody gave up, and everybody said that it waits.
  for (const { lines } of roles) {
    expect(lines.filter(({ event }) => event === 'failed')).toEqual([]);
    expect(lines.some(({ event }) => event === 'waiting')).toBe(true);
  }
});
