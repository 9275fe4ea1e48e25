/** Where a reading may begin and end, and what it makes of records that are gone, lost, void or wrong. */
import { index, offset, type Payload } from '@plait/core';
import type { LedgerEntry, ReadOptions } from '@plait/ledger';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Harness } from '../kafka/harness.ts';
import { open } from './ledger-checks.ts';
import { createTopic, makeLedger, sleep, type LedgerHarness, type Role } from './ledger-harness.ts';
import { reportAs } from './worker-report.ts';

const PARTITIONS = 3;
const ROUNDS = 4;
const EACH = 25;

let ledger: LedgerHarness;
let raw: Harness;
let worker: Role;
/** All entries as they were before anything went missing. */
let all: readonly Seen[];

/** What is compared of an entry. */
interface Seen {
  readonly kind: LedgerEntry['kind'];
  readonly seq: bigint;
  readonly nextSeq: bigint;
  readonly partition: number;
  readonly offset: bigint;
  readonly timeMs: bigint;
}

function seenOf(entry: LedgerEntry): Seen {
  const { kind, seq, block: { timeMs } } = entry;
  if (entry.kind === 'record') return { kind, seq, nextSeq: seq + 1n, partition: entry.partition, offset: entry.offset, timeMs };
  const nextSeq = entry.kind === 'loss' ? seq + 1n : entry.nextSeq;
  return { kind, seq, nextSeq, partition: entry.segment.partition, offset: entry.segment.firstOffset, timeMs };
}

/** Reads with what is given; the entries, and the error that ended it. Seqs must be dense. */
async function read(options: ReadOptions): Promise<{ seen: Seen[]; error: unknown }> {
  await using reader = await open(ledger.folder, ledger.place.bootstrapServers);
  const seen: Seen[] = [];
  try {
    for await (const entry of reader.read({ atEnd: 'end', ...options })) {
      const next = seenOf(entry);
      if (seen.length > 0) expect(next.seq).toBe(seen.at(-1)?.nextSeq);
      seen.push(next);
    }
    return { seen, error: undefined };
  } catch (error) {
    return { seen, error };
  }
}

const first = async (options: ReadOptions): Promise<bigint | undefined> => (await read(options)).seen[0]?.seq;
const kinds = (seen: readonly Seen[]): string[] => [...new Set(seen.map(({ kind }) => kind))];
const payload = (text: string): Payload => ({ key: null, value: Buffer.from(text), headers: [] });

async function produce(partition: number, count: number, name: string): Promise<void> {
  await raw.produce({ topic: ledger.topic, partition }, Array.from({ length: count }, (_, i) => payload(`${name} ${i}`)));
}

beforeAll(async () => {
  raw = new Harness();
  ledger = await makeLedger({ partitions: PARTITIONS, settings: { 'retention.ms': '-1' } });
  worker = ledger.start('worker');
  const coordinator = ledger.start('coordinator');
  await Promise.all([worker.ready, coordinator.ready]);
  for (let round = 0; round < ROUNDS; round += 1) {
    for (let partition = 0; partition < PARTITIONS; partition += 1) await produce(partition, EACH, `round ${round}`);
    // An aborted record and its marker: offsets with nothing to see.
    const opened = await (await raw.producer(true)).transaction();
    await opened.send({ topic: ledger.topic, messages: [{ partition: 2, value: 'aborted' }] });
    await opened.abort();
    await ledger.settled();
  }
  const { seen, error } = await read({});
  expect(error).toBeUndefined();
  all = seen;
});
afterAll(async () => {
  await ledger[Symbol.asyncDispose]();
});

describe('start points', () => {
  const total = BigInt(PARTITIONS * ROUNDS * EACH);

  test('oldest is seq 0, and a seq is that very seq', async () => {
    expect(all.length).toBe(Number(total));
    expect(new Set(all.map(({ timeMs }) => timeMs)).size).toBeGreaterThanOrEqual(ROUNDS);
    expect(await first({ from: 'oldest' })).toBe(0n);
    for (const seq of [0n, 1n, 24n, 25n, total - 1n]) {
      expect(await first({ fromSeq: seq })).toBe(seq);
      expect(await first({ from: { seq } })).toBe(seq);
    }
    expect(await read({ fromSeq: total })).toEqual({ seen: [], error: undefined });
    await expect(read({ fromSeq: 1n, from: 'oldest' })).resolves.toMatchObject({ error: { code: 'config' } });
  });

  test('newest is what is sequenced from now on', async () => {
    expect(await read({ from: 'newest' })).toEqual({ seen: [], error: undefined });
    await using reader = await open(ledger.folder, ledger.place.bootstrapServers);
    const entries = reader.read({ from: 'newest' });
    const came: (bigint | undefined)[] = [];
    const coming = (async () => {
      came.push((await entries.next()).value?.seq);
    })();
    // Its place is taken once it reads: of these at least the last is behind that.
    for (let i = 0; came.length === 0 && i < 100; i += 1) {
      await produce(0, 1, `newest ${i}`);
      await sleep(300);
    }
    await coming;
    expect(came[0]).toBeGreaterThanOrEqual(total);
    await entries.return?.();
    // Those that were produced last may not be numbered yet.
    await ledger.settled();
    all = (await read({})).seen;
  });

  test('a time is the first block not before it', async () => {
    const times = [...new Set(all.map(({ timeMs }) => timeMs))];
    const firstAt = (timeMs: bigint): bigint | undefined => all.find((each) => each.timeMs >= timeMs)?.seq;
    for (const timeMs of [0n, ...times.slice(0, 3).flatMap((time) => [time - 1n, time, time + 1n])]) {
      expect(await first({ from: { timeMs } }), `time ${timeMs}`).toBe(firstAt(timeMs));
    }
    expect(await read({ from: { timeMs: (times.at(-1) ?? 0n) + 3_600_000n } })).toEqual({ seen: [], error: undefined });
  });

  test('a place is the record there; without one, right before the next', async () => {
    for (const partition of [0, 2]) {
      const own = all.filter((each) => each.partition === partition);
      const end = (await ledger.status()).partitions[partition]?.end ?? 0n;
      for (const at of new Set([0n, 1n, 24n, 25n, 26n, 27n, 28n, own.at(-1)?.offset ?? 0n])) {
        const found = await first({ from: { topic: ledger.topic, partition, offset: at } });
        const wanted = own.find((each) => each.offset >= at);
        if (wanted?.offset === at) expect(found, `${partition}@${at}`).toBe(wanted.seq);
        // Nothing is there to see: behind the record before it, and not behind the next.
        else expect(found !== undefined && found > (own.findLast((each) => each.offset < at)?.seq ?? -1n) && found <= (wanted?.seq ?? -1n), `${partition}@${at}`).toBe(true);
      }
      const beyond = { from: { topic: ledger.topic, partition, offset: end } };
      expect(await read(beyond)).toEqual({ seen: [], error: undefined });
      expect(await read({ ...beyond, atEnd: 'fail' })).toMatchObject({ seen: [], error: { code: 'unavailable' } });
    }
    // Between the last record and the end lie the aborted one and its marker: the next record is waited for.
    const marker = { topic: ledger.topic, partition: 2, offset: ((await ledger.status()).partitions[2]?.end ?? 0n) - 1n };
    expect(await read({ from: marker })).toEqual({ seen: [], error: undefined });
  });

  test('at the end: end there, fail where not all is there, or wait for it', async () => {
    const end = BigInt(all.length);
    expect((await read({ fromSeq: end - 2n, toSeq: end, atEnd: 'fail' })).seen.map(({ seq }) => seq)).toEqual([end - 2n, end - 1n]);
    const short = await read({ fromSeq: end - 2n, toSeq: end + 5n, atEnd: 'fail' });
    expect(short).toMatchObject({ seen: [{ seq: end - 2n }, { seq: end - 1n }], error: { code: 'unavailable' } });
    expect(await read({ fromSeq: end, atEnd: 'fail' })).toMatchObject({ seen: [], error: { code: 'unavailable' } });
    expect((await read({ fromSeq: end - 2n, toSeq: end + 5n })).seen.length).toBe(2);
    const waiting = read({ fromSeq: end + 1n, toSeq: end + 2n, atEnd: 'wait' });
    await produce(1, 2, 'waited for');
    expect((await waiting).seen.map(({ seq }) => seq)).toEqual([end + 1n]);
    all = (await read({})).seen;
  });

  test('on the command line', async () => {
    const seqs = async (...args: string[]): Promise<bigint[]> => {
      const { code, stdout, stderr } = await ledger.plait('read', '-o', 'jsonl', ...args);
      expect(code, stderr).toBe(0);
      return stdout.split('\n').filter(Boolean).map((line) => BigInt((JSON.parse(line) as { seq: string }).seq));
    };
    const at = all[40];
    expect(await seqs('--from', 'newest')).toEqual([]);
    expect(await seqs('--from', 'seq:7', '--to-seq', '9')).toEqual([7n, 8n]);
    expect((await seqs('--from', `${ledger.topic}/${at?.partition}@${at?.offset}`))[0]).toBe(40n);
    expect((await seqs('--from', `time:${new Date(Number(at?.timeMs)).toISOString()}`))[0]).toBe(all.find(({ timeMs }) => timeMs >= (at?.timeMs ?? 0n))?.seq);
    for (const wrong of ['5', 'latest', 'time:yesterday', 'time:2026-01-01T10:00', 'orders@5', 'orders/0@-1', 'orders/x@1']) {
      const { code, stderr } = await ledger.plait('read', '--from', wrong);
      expect(code).toBe(1);
      expect(stderr).toContain('TOPIC/PARTITION@OFFSET');
    }
    const short = await ledger.plait('read', '--from-seq', String(all.length), '--at-end', 'fail');
    expect(short.code).toBe(2);
    expect(short.stderr).toContain('is not sequenced yet');
    expect((await ledger.plait('read', '--auto-commit')).code).toBe(1);
  });
});

describe('what is missing', () => {
  test('void: the same entries with both settings, exit 0', async () => {
    const voided = all.filter(({ partition }) => partition === 1).slice(0, EACH);
    const done = await ledger.plait('reconfigure', '--void', `${ledger.topic}/1:0-${EACH}`);
    expect(done.code, done.stderr).toBe(0);
    const stopping = await read({ onMissing: 'stop' });
    expect(stopping.error).toBeUndefined();
    const ranges = stopping.seen.filter(({ kind }) => kind === 'void');
    expect(ranges.every(({ partition }) => partition === 1)).toBe(true);
    expect(ranges.reduce((sum, { seq, nextSeq }) => sum + nextSeq - seq, 0n)).toBe(BigInt(EACH));
    expect(ranges[0]?.seq).toBe(voided[0]?.seq);
    expect(stopping.seen.at(-1)?.nextSeq).toBe(BigInt(all.length));
    expect(await read({ onMissing: 'report' })).toEqual(stopping);
    const printed = await ledger.plait('read', '--on-missing', 'report');
    expect(printed.code, printed.stderr).toBe(0);
    expect(printed.stdout).toContain('VOID');
  });

  test('gone by retention: stop is `missing` and exit 14; report goes on, keeps the seqs, and still exits 14', async () => {
    // In the middle of the second round's segments: the rest of that one cannot be checked either.
    const before = BigInt(EACH) + 5n;
    await raw.deleteBefore({ topic: ledger.topic, partition: 0 }, before);
    const firstGone = all.find(({ partition }) => partition === 0);
    const stopped = await read({ onMissing: 'stop' });
    expect(stopped.error).toMatchObject({ code: 'missing', details: { partition: 0, firstOffset: '0', firstSeq: String(firstGone?.seq) } });
    expect(stopped.seen.at(-1)?.nextSeq ?? 0n).toBe(firstGone?.seq);

    const reported = await read({ onMissing: 'report' });
    expect(reported.error).toBeUndefined();
    expect(reported.seen[0]?.seq).toBe(0n);
    expect(reported.seen.at(-1)?.nextSeq).toBe(BigInt(all.length));
    const gone = reported.seen.filter(({ kind }) => kind === 'gone');
    const isGone = (seq: bigint): boolean => gone.some((each) => each.seq <= seq && seq < each.nextSeq);
    expect(gone.every(({ partition }) => partition === 0)).toBe(true);
    // Every record that is below the log start is gone, and of the others only those of a segment that begins below it.
    for (const each of all.filter(({ partition }) => partition === 0)) {
      if (each.offset < before) expect(isGone(each.seq), `offset ${each.offset}`).toBe(true);
    }
    expect(isGone(all.findLast(({ partition }) => partition === 0)?.seq ?? 0n)).toBe(false);
    expect(gone.at(-1)?.nextSeq).toBeGreaterThan(all.find(({ partition, offset: at }) => partition === 0 && at === before)?.seq ?? 0n);
    expect(kinds(reported.seen).toSorted()).toEqual(['gone', 'record', 'void']);

    const printed = await ledger.plait('read', '-o', 'jsonl', '--on-missing', 'report');
    expect(printed.code, printed.stderr).toBe(14);
    const entries = printed.stdout.trimEnd().split('\n').map((line) => JSON.parse(line) as { kind: string; seq: string; nextSeq?: string; why?: string });
    expect(entries.filter(({ kind }) => kind === 'gone').map(({ seq }) => BigInt(seq))).toEqual(gone.map(({ seq }) => seq));
    expect(entries.find(({ kind }) => kind === 'gone')?.why).toContain('is no longer in the partition');
    expect((await ledger.plait('read')).code).toBe(14);
    // Behind it everything can be checked as ever.
    expect((await ledger.plait('read', '--from-seq', String(gone.at(-1)?.nextSeq))).code).toBe(0);
  });

  test('a true loss is an entry with both settings, exit 0', async () => {
    const done = await ledger.plait('reconfigure', '--on-loss', 'record');
    expect(done.code, done.stderr).toBe(0);
    await ledger.stop(worker);
    const end = (await ledger.status()).partitions[2]?.end ?? 0n;
    await produce(2, 5, 'never hashed');
    await raw.deleteBefore({ topic: ledger.topic, partition: 2 }, end + 5n);
    const fromSeq = (await ledger.status()).nextSeq;
    await reportLoss(2, end + 5n);
    await ledger.until('the loss is numbered', async () => (await ledger.status()).nextSeq > fromSeq);
    const stopping = await read({ fromSeq, onMissing: 'stop' });
    expect(stopping).toMatchObject({ error: undefined, seen: [{ kind: 'loss', seq: fromSeq, partition: 2, offset: end }] });
    expect(await read({ fromSeq, onMissing: 'report' })).toEqual(stopping);
    const printed = await ledger.plait('read', '--from-seq', String(fromSeq));
    expect(printed.code, printed.stderr).toBe(0);
    expect(printed.stdout).toContain('LOSS');
  });

  test('a false loss is tampering with both settings, exit 10, for as long as something of it can be read', async () => {
    const { nextSeq: fromSeq, partitions } = await ledger.status();
    const end = partitions[1]?.end ?? 0n;
    await produce(1, 5, 'said to be lost');
    await reportLoss(1, end + 5n);
    await ledger.until('the loss is numbered', async () => (await ledger.status()).nextSeq > fromSeq);
    for (const onMissing of ['stop', 'report'] as const) {
      const { seen, error } = await read({ fromSeq, onMissing });
      expect(seen).toEqual([]);
      expect(error).toMatchObject({ code: 'invalid', details: { partition: 1, firstOffset: String(end), nextOffset: String(end + 5n) } });
      expect((error as Error).message).toContain('the loss is false');
      const printed = await ledger.plait('read', '--from-seq', String(fromSeq), '--on-missing', onMissing);
      expect(printed.code).toBe(10);
      expect(printed.stderr).toContain('TAMPERED');
    }
    await raw.deleteBefore({ topic: ledger.topic, partition: 1 }, end + 4n);
    expect(await read({ fromSeq })).toMatchObject({ error: { code: 'invalid' } });
    await raw.deleteBefore({ topic: ledger.topic, partition: 1 }, end + 5n);
    expect(await read({ fromSeq })).toMatchObject({ error: undefined, seen: [{ kind: 'loss', seq: fromSeq }] });
  });

  test('records that differ are tampering with both settings; once the partition began anew, nobody can tell', async () => {
    await raw.deleteTopic(ledger.topic);
    await createTopic(ledger.place, ledger.topic, { partitions: PARTITIONS, settings: { 'retention.ms': '-1' } });
    for (let partition = 0; partition < PARTITIONS; partition += 1) await produce(partition, ROUNDS * (EACH + 10), 'other');
    const total = (await ledger.status()).nextSeq;
    for (const onMissing of ['stop', 'report'] as const) {
      expect(await read({ onMissing })).toMatchObject({ error: { code: 'invalid' } });
      expect((await ledger.plait('read', '--on-missing', onMissing)).code).toBe(10);
    }
    const done = await ledger.plait('reconfigure', ...[0, 1, 2].flatMap((partition) => ['--restart', `${ledger.topic}/${partition}@0`]));
    expect(done.code, done.stderr).toBe(0);
    expect(await read({ onMissing: 'stop' })).toMatchObject({ error: { code: 'missing' } });
    const { seen, error } = await read({ onMissing: 'report' });
    expect(error).toBeUndefined();
    expect(seen.at(-1)?.nextSeq).toBe(total);
    expect(kinds(seen).toSorted()).toEqual(['gone', 'loss', 'void']);
    expect((await ledger.plait('read', '--on-missing', 'report')).code).toBe(14);
    // What follows in the new generation is read as ever, and a place is one of that.
    const again = ledger.start('worker');
    await again.ready;
    await ledger.settled();
    expect(await read({ fromSeq: total })).toMatchObject({ error: undefined });
    const { seen: anew } = await read({ fromSeq: total });
    expect(await first({ from: { topic: ledger.topic, partition: 1, offset: 7n } })).toBe(anew.find(({ partition, offset: at }) => partition === 1 && at === 7n)?.seq);
  });
});

/** Appends the signed loss of all from the partition's chain end up to `nextOffset`, by the worker's key. */
async function reportLoss(partition: number, nextOffset: bigint): Promise<void> {
  await reportAs(ledger, { kafka: raw.options, partition, segmentAt: (end) => ({
    kind: 'loss', topic: ledger.topic, partition, generation: end.generation, firstIndex: end.nextIndex, nextIndex: index(end.nextIndex + 1n),
    firstOffset: end.nextOffset, nextOffset: offset(nextOffset), previous: end.head,
  }) });
}
