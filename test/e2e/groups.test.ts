/** Groups: progress, resuming, standing by, sharing, and commits that cannot be what they should. */
import { DatabaseSync } from 'node:sqlite';
import { joinReaderGroup } from '@plait/kafka';
import type { LedgerEntry, ReadNotice } from '@plait/ledger';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Harness } from '../kafka/harness.ts';
import { uniqueName } from '../global/services.ts';
import { open } from './ledger-checks.ts';
import { makeLedger, sleep, type LedgerHarness } from './ledger-harness.ts';
import { start, type Ran, type Running } from './plait.ts';

const PARTITIONS = 4;
const WAIT_MS = 60_000;

let ledger: LedgerHarness;
let raw: Harness;

beforeAll(async () => {
  raw = new Harness();
  ledger = await makeLedger({ partitions: PARTITIONS });
  const roles = [ledger.start('worker'), ledger.start('coordinator')];
  await Promise.all(roles.map(({ ready }) => ready));
  const load = ledger.load({ ratePerSecond: 800 });
  await ledger.until('some blocks', async () => (await ledger.status()).nextSeq > 3_000n);
  await load.stop();
  await ledger.settled();
});
afterAll(async () => {
  await ledger[Symbol.asyncDispose]();
});

interface Printed {
  readonly kind: string;
  readonly seq: string;
  readonly partition: number;
  readonly offset: string;
}

/** Whole lines: a killed process may leave half of one. */
function linesOf(stdout: string): Printed[] {
  return stdout.slice(0, stdout.lastIndexOf('\n') + 1).split('\n').filter(Boolean).map((line) => JSON.parse(line) as Printed);
}
const seqsOf = (printed: readonly Printed[]): number[] => printed.map(({ seq }) => Number(seq));

function startReader(group: string, ...more: string[]): Running {
  const env = { PLAIT_BOOTSTRAP_SERVERS: ledger.place.bootstrapServers, PLAIT_REDIS_URL: ledger.place.redisUrl, PLAIT_LOG_LEVEL: 'info' };
  return start(['read', '-o', 'jsonl', '--group', group, '--ledger', ledger.folder, ...more], env);
}

const readGroup = async (group: string, ...more: string[]): Promise<Ran> => await startReader(group, ...more).ended;
/** Whether a reader that runs has logged that; what it logged last is told if it never does. */
async function hasSaid(reader: Running, ...events: string[]): Promise<boolean> {
  await Promise.resolve();
  if (events.every((event) => said(reader.stderr(), event))) return true;
  throw new Error(`exit code ${reader.child.exitCode}, logged:\n${reader.stderr().split('\n').slice(-12).join('\n')}`);
}
const said = (stderr: string, event: string): boolean => stderr.includes(`"event":"${event}"`);

async function stopReader(reader: Running): Promise<Ran> {
  reader.child.kill('SIGCONT');
  reader.child.kill('SIGTERM');
  const ran = await reader.ended;
  expect(ran.code, ran.stderr).toBe(0);
  return ran;
}

/** The group's commits, as Kafka's tools see them. */
async function commitsOf(group: string, topic: string): Promise<{ partition: number; offset: bigint; metadata: string; nextSeq: bigint }[]> {
  const [found] = await (await raw.admin()).fetchOffsets({ groupId: group, topics: [topic] });
  return (found?.partitions ?? []).filter(({ offset }) => Number(offset) >= 0).map(({ partition, offset, metadata }) =>
    ({ partition, offset: BigInt(offset), metadata: metadata ?? '', nextSeq: BigInt(metadata?.split(' ')[2] ?? -1) }));
}

/** Commits whatever is given, as a member would. */
async function commitByHand(group: string, metadata: string): Promise<void> {
  const member = await joinReaderGroup({ kafka: raw.options, groupId: group, topics: [ledger.file.log] });
  try {
    await expect.poll(() => member.holds()?.length, { timeout: WAIT_MS }).toBe(1);
    const [hold] = member.holds() ?? [];
    if (hold !== undefined) await member.commit([{ hold, offset: 3n, metadata }]);
  } finally {
    await member.leave();
  }
}

const dense = (seqs: readonly number[], from: number): boolean => seqs.every((seq, i) => seq === from + i);

describe('a group on the log', () => {
  test('begins at the oldest and says so, commits what was printed, and goes on at the very seq', async () => {
    const group = uniqueName('group');
    const { nextSeq } = await ledger.status();
    const one = await readGroup(group, '--auto-commit', '--to-seq', '1234');
    expect(one.code, one.stderr).toBe(0);
    expect(dense(seqsOf(linesOf(one.stdout)), 0) && linesOf(one.stdout).length === 1_234).toBe(true);
    expect(said(one.stderr, 'no-commit')).toBe(true);
    const [commit] = await commitsOf(group, ledger.file.log);
    expect(commit).toMatchObject({ partition: 0, nextSeq: 1_234n });
    expect(commit?.metadata).toMatch(/^plait\.progress\/v1 \S{44} 1234 \d+ \S{44}$/);
    // A start point counts only where nothing is committed.
    const two = await readGroup(group, '--auto-commit', '--from', 'newest');
    expect(two.code, two.stderr).toBe(0);
    expect(said(two.stderr, 'no-commit')).toBe(false);
    expect(dense(seqsOf(linesOf(two.stdout)), 1_234)).toBe(true);
    expect(linesOf(two.stdout).length).toBe(Number(nextSeq) - 1_234);
    expect(linesOf((await readGroup(group)).stdout)).toEqual([]);
    // All blocks are dealt with: what is left of the log numbers nothing.
    const after = await commitsOf(group, ledger.file.log);
    expect(after[0]?.nextSeq).toBe(nextSeq);
    expect(after[0]?.offset).toBeGreaterThan(commit?.offset ?? 0n);
  });

  test('without commits nothing is committed', async () => {
    const group = uniqueName('group');
    expect(linesOf((await readGroup(group, '--to-seq', '10')).stdout).length).toBe(10);
    expect(await commitsOf(group, ledger.file.log)).toEqual([]);
    expect(linesOf((await readGroup(group, '--to-seq', '10')).stdout).length).toBe(10);
  });

  test('killed in the middle, it goes on behind its last commit, and nothing is missing', async () => {
    const group = uniqueName('group');
    await using load = ledger.load({ ratePerSecond: 400 });
    const killed = startReader(group, '--auto-commit', '--follow');
    await ledger.until('some commits', async () => linesOf(killed.stdout()).length > 3_500 && (await commitsOf(group, ledger.file.log)).length > 0);
    killed.child.kill('SIGKILL');
    await killed.ended;
    const before = seqsOf(linesOf(killed.stdout()));
    await load.stop();
    await ledger.settled();
    const { nextSeq } = await ledger.status();
    // The broker has taken in what it had sent: it has done so much since.
    const [commit] = await commitsOf(group, ledger.file.log);
    const next = await readGroup(group, '--auto-commit');
    expect(next.code, next.stderr).toBe(0);
    const after = seqsOf(linesOf(next.stdout));
    expect(dense(before, 0)).toBe(true);
    expect(after[0]).toBe(Number(commit?.nextSeq));
    // At least once: what was printed and not committed comes again.
    expect(after[0]).toBeLessThanOrEqual((before.at(-1) ?? -1) + 1);
    expect(dense(after, after[0] ?? -1)).toBe(true);
    expect(after.at(-1)).toBe(Number(nextSeq) - 1);
  });

  test('a second member stands by, takes over from one that stopped breathing, and that one is fenced', async () => {
    const group = uniqueName('group');
    const first = startReader(group, '--auto-commit', '--follow');
    await ledger.until('the first reads', async () => linesOf(first.stdout()).length > 3_000 && (await commitsOf(group, ledger.file.log)).length > 0);
    const second = startReader(group, '--auto-commit', '--follow');
    await ledger.until('the second stands by', () => hasSaid(second, 'standby'));
    await using load = ledger.load({ ratePerSecond: 200 });
    await ledger.until('the first goes on', () => Promise.resolve(linesOf(first.stdout()).length > 3_300));
    expect(linesOf(second.stdout())).toEqual([]);

    first.child.kill('SIGSTOP');
    // What the broker had to take in of the first at last; the second commits what it has printed.
    let atStop: bigint | undefined;
    let seen: bigint | undefined;
    await ledger.until('the second takes over', async () => {
      if (linesOf(second.stdout()).length > 0) return true;
      atStop = seen;
      seen = (await commitsOf(group, ledger.file.log))[0]?.nextSeq;
      return false;
    });
    expect(Number(linesOf(second.stdout())[0]?.seq)).toBe(Number(atStop));
    const printed = linesOf(second.stdout()).length;
    first.child.kill('SIGCONT');
    await ledger.until('the first knows', () => hasSaid(first, 'lost', 'standby'));
    await ledger.until('the second goes on', () => Promise.resolve(linesOf(second.stdout()).length > printed + 100));
    await load.stop();
    await ledger.settled();
    const { nextSeq } = await ledger.status();
    await ledger.until('all is committed', async () => (await commitsOf(group, ledger.file.log))[0]?.nextSeq === nextSeq);
    await stopReader(first);
    const { stdout } = await stopReader(second);
    const seqs = seqsOf(linesOf(stdout));
    expect(dense(seqs, Number(atStop))).toBe(true);
    expect(seqs.at(-1)).toBe(Number(nextSeq) - 1);
  });

  test('commits of the library: monotonic, put together, and fenced once the member has left', async () => {
    const group = uniqueName('group');
    await using reader = await open(ledger.folder, ledger.place.bootstrapServers);
    const notices: ReadNotice['notice'][] = [];
    const entries: LedgerEntry[] = [];
    const reading = reader.read({ group, fromSeq: 100n, onNotice: ({ notice }) => void notices.push(notice) });
    for (let i = 0; i < 300; i += 1) {
      const { value } = await reading.next();
      if (value !== undefined) entries.push(value);
    }
    expect(entries.map(({ seq }) => Number(seq))).toEqual(Array.from({ length: 300 }, (_, i) => 100 + i));
    // The start was committed, so that a restart begins there and nowhere else.
    await expect.poll(async () => (await commitsOf(group, ledger.file.log))[0]?.nextSeq, { timeout: WAIT_MS }).toBe(100n);
    await Promise.all(entries.slice(0, 200).map((entry) => entry.commit()));
    expect((await commitsOf(group, ledger.file.log))[0]?.nextSeq).toBe(300n);
    await entries[10]?.commit();
    expect((await commitsOf(group, ledger.file.log))[0]?.nextSeq).toBe(300n);
    await reading.return?.();
    await expect(entries[250]?.commit()).rejects.toMatchObject({ code: 'fenced' });
    await entries[10]?.commit();
    expect((await commitsOf(group, ledger.file.log))[0]?.nextSeq).toBe(300n);
    expect(notices).toEqual(['assigned', 'no-commit']);
    const { value } = await reader.read({ group }).next();
    expect(value?.seq).toBe(300n);
  });
});

describe('commits that cannot be', () => {
  test('a commit that is not of this ledger is an error, and counts for nothing once it is said where to begin', async () => {
    for (const metadata of ['', 'plait.progress/v1 0 0 0', `plait.progress/v1 ${'A'.repeat(43)}= 5 1 ${'A'.repeat(43)}=`]) {
      const group = uniqueName('group');
      await commitByHand(group, metadata);
      const refused = await readGroup(group, '--auto-commit');
      expect({ code: refused.code, stdout: refused.stdout }).toEqual({ code: 1, stdout: '' });
      expect(refused.stderr).toContain('--from-seq');
      expect((await commitsOf(group, ledger.file.log))[0]?.metadata).toBe(metadata);
      const told = await readGroup(group, '--auto-commit', '--from-seq', '7', '--to-seq', '9');
      expect(told.code, told.stderr).toBe(0);
      expect(said(told.stderr, 'foreign-commit')).toBe(true);
      expect(seqsOf(linesOf(told.stdout))).toEqual([7, 8]);
      expect((await commitsOf(group, ledger.file.log))[0]?.nextSeq).toBe(9n);
    }
  });

  test('commits that are deleted or expired: it is said, and begun at the oldest', async () => {
    const group = uniqueName('group');
    expect((await readGroup(group, '--auto-commit', '--to-seq', '50')).code).toBe(0);
    await expect.poll(async () => await (await raw.admin()).deleteGroups([group]).then(() => true, () => false), { timeout: WAIT_MS }).toBe(true);
    const again = await readGroup(group, '--auto-commit', '--to-seq', '20');
    expect(again.code, again.stderr).toBe(0);
    expect(again.stderr).toContain('expired or were deleted');
    expect(seqsOf(linesOf(again.stdout))).toEqual(Array.from({ length: 20 }, (_, i) => i));
  });

  test('a block that the log does not hold is a rollback: exit 11, whatever start is given', async () => {
    const group = uniqueName('group');
    expect((await readGroup(group, '--auto-commit', '--to-seq', '500')).code).toBe(0);
    const [good] = await commitsOf(group, ledger.file.log);
    const [format = '', ledgerId = '', nextSeq = '', height = '', header = ''] = (good?.metadata ?? '').split(' ');
    const ahead = [format, ledgerId, nextSeq, String(Number(height) + 1_000_000), header];
    const another = [format, ledgerId, nextSeq, height, `${header.startsWith('A') ? 'B' : 'A'}${header.slice(1)}`];
    for (const words of [ahead, another]) {
      const wrong = uniqueName('group');
      await commitByHand(wrong, words.join(' '));
      for (const more of [[], ['--from-seq', '0'], ['--follow']]) {
        const refused = await readGroup(wrong, '--auto-commit', ...more);
        expect({ code: refused.code, stdout: refused.stdout }).toEqual({ code: 11, stdout: '' });
        expect(refused.stderr).toContain('ROLLED BACK');
      }
    }
  });

  test('a consumer of another kind is not let in, and says why', async () => {
    const groupId = uniqueName('group');
    const consumer = raw.kafka.consumer({ groupId });
    await consumer.connect();
    await consumer.subscribe({ topics: [ledger.file.log] });
    const joined = new Promise<void>((resolve) => void consumer.on(consumer.events.GROUP_JOIN, () => resolve()));
    await consumer.run({ autoCommit: false, eachBatch: async () => undefined });
    await joined;
    const refused = await readGroup(groupId);
    await consumer.disconnect();
    expect(refused.code, refused.stderr).toBe(1);
  });
});

/** The recipe of docs/OPERATING.md: what is done and how far it is stand in one transaction. */
async function carryOut(group: string, database: DatabaseSync, dieAfter: number): Promise<void> {
  database.exec('CREATE TABLE IF NOT EXISTS done (seq INTEGER PRIMARY KEY, value TEXT)');
  await using reader = await open(ledger.folder, ledger.place.bootstrapServers);
  const insert = database.prepare('INSERT OR IGNORE INTO done (seq, value) VALUES (?, ?)');
  let count = 0;
  for await (const entry of reader.read({ group, atEnd: 'end' })) {
    if (entry.kind !== 'record') continue;
    database.exec('BEGIN');
    // It came before: then its effect is there too, since both are of one transaction.
    if (insert.run(entry.seq, `${entry.partition}/${entry.offset}`).changes > 0) count += 1;
    database.exec('COMMIT');
    // Now and then is enough: what is not committed comes again and is known by its seq.
    if (entry.seq % 500n === 499n) await entry.commit();
    if (count === dieAfter) return;
  }
}

describe('exactly once, with a database', () => {
  test('every record takes effect once, however often its reader dies', async () => {
    const database = new DatabaseSync(':memory:');
    const group = uniqueName('group');
    for (const dieAfter of [777, 1_234]) await carryOut(group, database, dieAfter);
    await carryOut(group, database, Number.POSITIVE_INFINITY);
    const { nextSeq } = await ledger.status();
    const rows = database.prepare('SELECT seq, value FROM done ORDER BY seq').all();
    expect(rows.length).toBe(Number(nextSeq));
    expect(dense(rows.map(({ seq }) => Number(seq)), 0)).toBe(true);
    database.close();
  });
});

describe('a group that shares the work by partition', () => {
  test('each gets its partitions in order; nothing is missing when members come, stop and are killed under load', async () => {
    const group = uniqueName('group');
    const load = ledger.load({ ratePerSecond: 400 });
    const share = ['--share', 'partitions', '--auto-commit', '--follow'];
    const first = startReader(group, ...share);
    await ledger.until('the first has all', () => Promise.resolve(partitionsOf(first).size === PARTITIONS));
    const second = startReader(group, ...share);
    await ledger.until('the second has some', () => Promise.resolve(partitionsOf(second).size === PARTITIONS / 2));
    const third = startReader(group, ...share);
    await ledger.until('the third has one', () => Promise.resolve(partitionsOf(third).size > 0));
    second.child.kill('SIGKILL');
    await second.ended;
    await sleep(2_000);
    await load.stop();
    await ledger.settled();
    const { nextSeq, partitions } = await ledger.status();
    // Where the group is, as Kafka's tools see it: behind every record of every partition.
    await ledger.until('all is committed', async () => {
      const commits = await commitsOf(group, ledger.topic);
      return partitions.every(({ partition, end }) => commits.some((each) => each.partition === partition && each.offset === end));
    });
    const printed = [first, third].map(async (reader) => linesOf((await stopReader(reader)).stdout));
    const all = [...(await Promise.all(printed)), linesOf(second.stdout())];
    expect(new Set(all.flat().map(({ seq }) => seq)).size).toBe(Number(nextSeq));
    for (const one of all) checkOrder(one);
    // Shared, not doubled: what was read twice is what was not committed when its member went.
    expect(all.flat().length).toBeLessThan(2 * Number(nextSeq));
    for (const { partition, nextSeq: committed } of await commitsOf(group, ledger.topic)) {
      const last = Math.max(...all.flat().filter((each) => each.partition === partition).map(({ seq }) => Number(seq)));
      expect(Number(committed)).toBe(last + 1);
    }
  });

  test('a partition that is added is picked up from its first record on, also by a group that began at the newest', async () => {
    const group = uniqueName('group');
    const reader = startReader(group, '--share', 'partitions', '--auto-commit', '--follow', '--from', 'newest');
    await ledger.until('it reads', () => hasSaid(reader, 'assigned'));
    await expect.poll(async () => (await commitsOf(group, ledger.topic)).length, { timeout: WAIT_MS }).toBe(PARTITIONS);
    await raw.addPartitions(ledger.topic, PARTITIONS + 1);
    await raw.produce({ topic: ledger.topic, partition: PARTITIONS }, [1, 2, 3].map((i) => ({ key: null, value: Buffer.from(`added ${i}`), headers: [] })));
    await ledger.until('its records come', () => Promise.resolve(linesOf(reader.stdout()).length >= 3), WAIT_MS);
    await stopReader(reader);
    expect(linesOf(reader.stdout()).map(({ partition, offset }) => `${partition}/${offset}`)).toEqual([0, 1, 2].map((i) => `${PARTITIONS}/${i}`));
  });
});

/** Of which partitions something was printed. */
function partitionsOf(reader: Running): Set<number> {
  return new Set(linesOf(reader.stdout()).map(({ partition }) => partition));
}

/** In each partition seqs and offsets rise together, but where it was begun again from a commit. */
function checkOrder(printed: readonly Printed[]): void {
  const places = new Map<string, string>();
  for (const { seq, partition, offset } of printed) {
    const place = `${partition}/${offset}`;
    expect(places.get(seq) ?? place).toBe(place);
    places.set(seq, place);
  }
  const byPartition = Map.groupBy(places, ([, place]) => place.split('/')[0]);
  for (const own of byPartition.values()) {
    const sorted = own.toSorted(([a], [b]) => Number(a) - Number(b)).map(([, place]) => Number(place.split('/')[1]));
    expect(sorted).toEqual(sorted.toSorted((a, b) => a - b));
  }
}
