/** Leaves at hand: what `plait serve --leaves` keeps of a real ledger, what `plait locate` finds there and without, and what comes back. */
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { base64Encode, index, LEAF_BYTES, messageHash, minimalPayload, offset, parseVerifierKey, payloadDigest, segmentCount } from '@plait/core';
import { openLeaves } from '@plait/disk';
import type { LedgerRecord } from '@plait/ledger';
import type { LeafStore } from '@plait/roles';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { locateInLeaves } from '../../apps/plait/src/proving/locating.ts';
import { Harness } from '../kafka/harness.ts';
import { open } from './ledger-checks.ts';
import { makeLedger, type LedgerHarness, type Role } from './ledger-harness.ts';
import { start } from './plait.ts';
import { reportAs } from './worker-report.ts';

const PARTITIONS = 3;
const ROUNDS = 3;
const EACH = 20;
const NOWHERE = { PLAIT_BOOTSTRAP_SERVERS: '127.0.0.1:1' };

let ledger: LedgerHarness;
let raw: Harness;
let worker: Role;
let server: Role;
let folder: string;
/** All records as a reader has them. */
const all: LedgerRecord[] = [];

async function produce(partition: number, count: number): Promise<void> {
  await raw.produce({ topic: ledger.topic, partition }, Array.from({ length: count }, (_, i) => ({ key: null, value: Buffer.from(`${partition} ${i}`), headers: [] })));
}

function serve(...args: readonly string[]): Role {
  return ledger.start('serve', {}, ['--listen', '127.0.0.1:0', '--leaves', folder, ...args]);
}

async function leaves(): Promise<LeafStore> {
  return await openLeaves(folder, { origin: ledger.file.origin, ledgerKey: parseVerifierKey(ledger.file.ledgerKey) }, { readOnly: true });
}

/** Waits until all below a seq is kept, and all blocks are: the last ones may number no record. */
async function kept(nextSeq: bigint): Promise<void> {
  await ledger.until(`leaves up to ${nextSeq}`, async () => {
    const { height } = await ledger.status();
    using store = await leaves();
    return store.nextSeq >= nextSeq && store.newestBlock()?.height === height - 1n;
  });
}

/** What is kept of every line, with its leaves. */
async function content(): Promise<unknown> {
  using store = await leaves();
  const end = store.newestBlock()?.height ?? -1n;
  const lines = Array.from({ length: Number(end) + 1 }, (_, height) => store.linesOfBlock(BigInt(height))).flat();
  return lines.map((line) => ({ ...line, leaves: line.line.segment.kind === 'segment' && store.leavesOf(line.line.segment) }));
}

/** `plait locate … -o json`; with leaves where no Kafka is. */
async function locate(...args: readonly string[]): Promise<{ code: number | null; found: Record<string, unknown>; stderr: string }> {
  const env = args.includes('--leaves') ? NOWHERE : { PLAIT_BOOTSTRAP_SERVERS: ledger.place.bootstrapServers };
  const { code, stdout, stderr } = await start(['locate', '-o', 'json', '--ledger', ledger.folder, ...args], env).ended;
  return { code, found: stdout === '' ? {} : (JSON.parse(stdout) as Record<string, unknown>), stderr };
}

beforeAll(async () => {
  raw = new Harness();
  ledger = await makeLedger({ partitions: PARTITIONS, settings: { 'retention.ms': '-1' } });
  folder = join(ledger.folder, 'leaves');
  worker = ledger.start('worker');
  const coordinator = ledger.start('coordinator');
  server = serve();
  await Promise.all([worker.ready, coordinator.ready, server.ready]);
  for (let round = 0; round < ROUNDS; round += 1) {
    for (let partition = 0; partition < PARTITIONS; partition += 1) await produce(partition, EACH);
    // An aborted record and its marker: offsets with nothing to see.
    const opened = await (await raw.producer(true)).transaction();
    await opened.send({ topic: ledger.topic, messages: [{ partition: 2, value: 'aborted' }] });
    await opened.abort();
    await ledger.settled();
  }
  await using reader = await open(ledger.folder, ledger.place.bootstrapServers);
  for await (const entry of reader.read({ atEnd: 'end' })) if (entry.kind === 'record') all.push(entry);
  await kept(BigInt(all.length));
});
afterAll(async () => {
  await ledger[Symbol.asyncDispose]();
});

test('every record is found by its seq, its place and its time, with its leaf', async () => {
  using store = await leaves();
  expect(all).toHaveLength(PARTITIONS * ROUNDS * EACH);
  for (const { seq, topic, partition, offset: at, timestamp, payload, block } of all) {
    const wanted = { kind: 'record', seq, record: { offset: at, timestamp, digest: payloadDigest(minimalPayload(payload)) }, block: { height: block.height, timeMs: block.timeMs } };
    expect(locateInLeaves(store, { seq })).toMatchObject(wanted);
    expect(locateInLeaves(store, { topic, partition, offset: at })).toMatchObject(wanted);
    const first = all.find((each) => each.block.timeMs >= block.timeMs);
    expect(locateInLeaves(store, { timeMs: block.timeMs })).toMatchObject({ seq: first?.seq });
  }
  const gap = Array.from({ length: ROUNDS * (EACH + 2) }, (_, at) => BigInt(at)).find((at) => !all.some((each) => each.partition === 2 && each.offset === at)) as bigint;
  expect(locateInLeaves(store, { topic: ledger.topic, partition: 2, offset: gap })).toMatchObject({ kind: 'none' });
});

test('locate says the same with leaves and without Kafka as with Kafka and without leaves', async () => {
  const { seq, partition, offset: at, index: nth, timestamp, payload, block } = all[37] as LedgerRecord;
  const place = `${ledger.topic}/${partition}/${at}`;
  const wanted = {
    schemaVersion: 1, kind: 'record', seq: String(seq), topic: ledger.topic, partition, generation: '0', index: String(nth), offset: String(at), timestamp: String(timestamp),
    payloadDigest: base64Encode(payloadDigest(minimalPayload(payload))),
  };
  const runs = [['--seq', String(seq)], ['--at', place], ['--time', String(block.timeMs)]].flatMap((args) => [args, [...args, '--leaves', folder]]);
  const [bySeq, bySeqKept, byPlace, byPlaceKept, byTime, byTimeKept] = await Promise.all(runs.map((args) => locate(...args)));
  for (const each of [bySeq, bySeqKept, byPlace, byPlaceKept]) expect(each, each?.stderr).toMatchObject({ code: 0, found: wanted });
  expect(bySeqKept?.found).toEqual({ ...bySeq?.found, from: 'leaves' });
  expect(byTime?.found['seq']).toBe(String(all.find((each) => each.block.timeMs >= block.timeMs)?.seq));
  expect(byTimeKept?.found).toEqual({ ...byTime?.found, from: 'leaves' });

  const text = await start(['locate', '--seq', String(seq), '--ledger', ledger.folder, '--leaves', folder], NOWHERE).ended;
  expect(text.stdout).toContain('not compared with the ledger now');
  expect(text.stdout).toContain(`offset ${at}`);
});

test('what is not sequenced yet is said so, exit 14', async () => {
  using store = await leaves();
  for (const wanted of [{ seq: BigInt(all.length) }, { topic: ledger.topic, partition: 0, offset: 1_000_000n }, { timeMs: BigInt(Date.parse('2999-01-01')) }]) {
    expect(() => locateInLeaves(store, wanted)).toThrow(expect.objectContaining({ code: 'missing' }));
  }
  const ran = await Promise.all([locate('--seq', String(all.length)), locate('--at', `${ledger.topic}/0/1000000`), locate('--time', '2999-01-01', '--leaves', folder)]);
  for (const { code, stderr } of ran) {
    expect(code, stderr).toBe(14);
    expect(stderr).toMatch(/not sequenced yet|not in the leaves/);
  }
});

test('deleted, they come back the same; told to hold less, they keep the newest, and all lines', async () => {
  const before = await content();
  await ledger.stop(server);
  for (const name of await readdir(folder)) await rm(join(folder, name));
  server = serve();
  await kept(BigInt(all.length));
  expect(await content()).toEqual(before);
  await ledger.stop(server);
  server = serve('--leaves-max-bytes', String(LEAF_BYTES * 30));
  await ledger.until('fewer leaves', async () => {
    using store = await leaves();
    return (store.leafBounds()?.leaves ?? 0n) <= 30n;
  });
  using store = await leaves();
  expect(store.leafBounds()).toMatchObject({ nextSeq: BigInt(all.length) });
  const old = locateInLeaves(store, { seq: 0n });
  expect(old).toMatchObject({ kind: 'record', seq: 0n });
  expect(old.record?.digest).toBeUndefined();
});

test('alarm: tampered. Records that differ are named, no leaf of them is kept, and a configuration lets the keeper go on', async () => {
  await ledger.stop(worker);
  await produce(1, 5);
  const { nextSeq } = await ledger.status();
  const { firstIndex } = await lie(1, 5n);
  const alarm = await ledger.until('the alarm', () => Promise.resolve(server.lines.find(({ alarm: name }) => name === 'tampered')));
  expect(String(alarm['msg'])).toContain('differs from what was hashed');
  await ledger.until('the lie is numbered', async () => (await ledger.status()).nextSeq === nextSeq + 5n);
  {
    using store = await leaves();
    expect(store.nextSeq).toBe(nextSeq);
  }
  // Checkpoints go on being served meanwhile.
  const url = String(server.lines.find(({ event }) => event === 'serving')?.['url']);
  await ledger.until('a checkpoint of all', async () => (await (await fetch(`${url}/checkpoint`)).text()).split('\n')[1] === String((await ledger.status()).height));
  const done = await ledger.plait('reconfigure', '--void', `${ledger.topic}/1:${firstIndex}-`, '--restart', `${ledger.topic}/1`);
  expect(done.code, done.stderr).toBe(0);
  await kept(nextSeq + 5n);
  using store = await leaves();
  const line = store.lineOfSeq(nextSeq);
  expect(line).toMatchObject({ kind: 'void' });
  expect(segmentCount((line as NonNullable<typeof line>).line.segment)).toBe(5n);
  expect(locateInLeaves(store, { seq: nextSeq }).kind).toBe('void');
});

/** A report of so many records of a partition, by the worker's key, with a root that is none of theirs. */
async function lie(partition: number, records: bigint): Promise<{ readonly firstIndex: bigint }> {
  const { nextIndex } = await reportAs(ledger, { kafka: raw.options, partition, segmentAt: (end) => ({
    kind: 'segment', topic: ledger.topic, partition, generation: end.generation, firstIndex: end.nextIndex, nextIndex: index(end.nextIndex + records),
    firstOffset: end.nextOffset, nextOffset: offset(end.nextOffset + records), root: messageHash('nonsense\n'), previous: end.head,
  }) });
  return { firstIndex: nextIndex };
}
