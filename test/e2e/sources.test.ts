/**
 * Topics that expire, are deleted and made anew, restored from an older copy, damaged, or given more partitions; and
 * partitions that are restarted while others go on. A Kafka and a Redis of this file's own; one worker that is never
 * restarted unless a test says so: what docs/OPERATING.md names ends each alarm.
 */
import { cp, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import kafkajs from 'kafkajs';
import { topicOffsets } from '@plait/kafka';
import { launch, type Services } from '@plait/launcher';
import type { LedgerEntry } from '@plait/ledger';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { uniqueName } from '../global/services.ts';
import { client, createTopic } from '../kafka/client.ts';
import { Harness } from '../kafka/harness.ts';
import { checkComplete, open, readAll } from './ledger-checks.ts';
import { isRunning, makeLedger, type LedgerHarness, type Role } from './ledger-harness.ts';

const TEST_MS = 300_000;
const FOREVER = { 'retention.ms': '-1' };
const HOUR_MS = 3_600_000;

let services: Services;
let raw: Harness;

beforeAll(async () => {
  // Expired segments are looked for every 5 minutes otherwise.
  services = await launch({ mode: 'processes', kafkaProcess: { settings: { 'log.retention.check.interval.ms': '300', 'log.initial.task.delay.ms': '300' } } });
  raw = new Harness({ brokers: services.bootstrapServers.split(',') });
});
afterAll(async () => {
  await services.stop();
});

/** A ledger with a worker and a coordinator. */
async function begin(partitions: number, settings: Readonly<Record<string, string>> = FOREVER): Promise<{ ledger: LedgerHarness; worker: Role }> {
  const ledger = await makeLedger({ partitions, place: services, settings });
  const worker = ledger.start('worker');
  await Promise.all([worker.ready, ledger.start('coordinator').ready]);
  return { ledger, worker };
}

/** Writes `count` records to each of the partitions, of now or of `ageMs` ago. */
async function put(topic: string, partitions: readonly number[], count: number, ageMs = 0): Promise<void> {
  const producer = client(services.bootstrapServers).producer({ allowAutoTopicCreation: false });
  await producer.connect();
  for (const partition of partitions) {
    const messages = Array.from({ length: count }, (_, i) => ({ partition, value: `${uniqueName('value')} ${i}`, timestamp: String(Date.now() - ageMs) }));
    await producer.send({ topic, acks: -1, messages });
  }
  await producer.disconnect();
}

/** Sets how long a topic keeps its records. */
async function keepFor(topic: string, ms: number): Promise<void> {
  const resource = { type: kafkajs.ConfigResourceTypes.TOPIC, name: topic, configEntries: [{ name: 'retention.ms', value: String(ms) }] };
  await (await raw.admin()).alterConfigs({ validateOnly: false, resources: [resource] });
}

/** The sentences of an alarm, in the order they came. */
function alarms({ lines }: Role, name: string): string[] {
  return lines.filter((line) => line['event'] === 'alarm' && line['alarm'] === name).map((line) => String(line['msg']));
}

/** Waits for an alarm about a partition. */
async function alarmed(ledger: LedgerHarness, worker: Role, { name, partition }: { name: string; partition: number }): Promise<string> {
  return await ledger.until(`${name} of ${partition}`, () => Promise.resolve(alarms(worker, name).find((text) => text.startsWith(`${ledger.topic}/${partition}: `))));
}

async function partitionOf(ledger: LedgerHarness, partition: number, topic = ledger.topic) {
  const { partitions } = await ledger.status();
  const found = partitions.find((each) => each.topic === topic && each.partition === partition);
  if (found === undefined) throw new Error(`no ${topic}/${partition}`);
  return found;
}

/** Waits until the partition is numbered up to its end, which is at least `end`. */
async function numbered(ledger: LedgerHarness, partition: number, end: bigint, topic = ledger.topic): Promise<void> {
  await ledger.until(`${topic}/${partition} is numbered`, async () => {
    const found = await partitionOf(ledger, partition, topic);
    return found.end >= end && found.sequenced === found.end && found.pending === 0;
  });
}

async function reconfigure(ledger: LedgerHarness, ...args: readonly string[]): Promise<void> {
  const ran = await ledger.plait('reconfigure', ...args);
  expect(ran.code, ran.stderr).toBe(0);
}

interface Run {
  readonly what: string;
  readonly firstOffset: bigint;
  nextOffset: bigint;
}

function runOf(entry: LedgerEntry): Run {
  if (entry.kind === 'record') return { what: `record of ${entry.generation}`, firstOffset: entry.offset, nextOffset: entry.offset + 1n };
  const { generation, firstOffset, nextOffset } = entry.segment;
  return { what: `${entry.kind} of ${generation}`, firstOffset, nextOffset };
}

/** What a reader gets of a topic's partitions, as `kind of generation: first … next`; and that seqs have no gap. */
async function story(ledger: LedgerHarness, topic = ledger.topic): Promise<Record<number, string[]>> {
  await using opened = await open(ledger.folder, ledger.place.bootstrapServers);
  const runs = new Map<number, Run[]>();
  let nextSeq = 0n;
  for await (const entry of opened.read({ follow: false, onMissing: 'report' })) {
    expect(entry.seq).toBe(nextSeq);
    nextSeq = 'nextSeq' in entry ? entry.nextSeq : entry.seq + 1n;
    const place = entry.kind === 'record' ? entry : entry.segment;
    if (place.topic !== topic) continue;
    const list = runs.get(place.partition) ?? [];
    runs.set(place.partition, list);
    const run = runOf(entry);
    const last = list.at(-1);
    if (last?.what === run.what && last.nextOffset === run.firstOffset) last.nextOffset = run.nextOffset;
    else list.push(run);
  }
  return Object.fromEntries([...runs].map(([partition, list]) => [partition, list.map((run) => `${run.what}: ${run.firstOffset} … ${run.nextOffset}`)]));
}

/** Does something with the broker's data while it is down. Stopped in good order, Kafka does not look at its segments when it starts. */
async function whileDown(change: () => Promise<void>): Promise<void> {
  await services.kafka?.stop();
  await change();
  await services.kafka?.start();
}

const folderOf = (topic: string, partition: number): string => join(services.kafka?.dataDir ?? '', '1', `${topic}-${partition}`);

describe('records that expire before they were hashed', () => {
  test('alarm: source-expired – the partition stops and the others go on, until losses are recorded', { timeout: TEST_MS }, async () => {
    const { ledger, worker } = await begin(2);
    await using _ = ledger;
    await put(ledger.topic, [0, 1], 50);
    await ledger.settled();
    await ledger.stop(worker);
    await put(ledger.topic, [0, 1], 30);
    await raw.deleteBefore({ topic: ledger.topic, partition: 0 }, 70n);

    const next = ledger.start('worker');
    expect(await alarmed(ledger, next, { name: 'source-expired', partition: 0 })).toContain('offsets 50 … 70 expired before they were hashed');
    await put(ledger.topic, [1], 20);
    await numbered(ledger, 1, 100n);
    expect(await partitionOf(ledger, 0)).toMatchObject({ reported: 50n, logStart: 70n, end: 80n });

    await reconfigure(ledger, '--on-loss', 'record');
    await ledger.settled();
    // More than once if its report was late, and the partition was started again.
    const lost = next.lines.filter((line) => line['event'] === 'lost');
    expect(new Set(lost.map(({ partition, firstOffset, nextOffset }) => `${String(partition)}: ${String(firstOffset)} … ${String(nextOffset)}`))).toEqual(new Set(['0: 50 … 70']));
    expect(isRunning(next.pid)).toBe(true);
    expect(await story(ledger)).toEqual({ 0: ['gone of 0: 0 … 50', 'loss of 0: 50 … 70', 'record of 0: 70 … 80'], 1: ['record of 0: 0 … 100'] });
    const stopping = await ledger.plait('read');
    expect({ code: stopping.code, stderr: stopping.stderr }).toEqual({ code: 14, stderr: expect.stringContaining(`${ledger.topic}/0 offsets 0 …`) as string });
    expect((await ledger.plait('read', '--on-missing', 'report')).code).toBe(14);
  });

  test('by their topic\'s retention: losses are recorded, and every range is a record, gone, or lost', { timeout: TEST_MS }, async () => {
    const { ledger, worker } = await begin(2, { 'retention.ms': String(HOUR_MS) });
    await using _ = ledger;
    const expired = async (ends: readonly bigint[]): Promise<void> => {
      await ledger.until('the records expire', async () => {
        const offsets = await topicOffsets({ kafka: raw.options, topic: ledger.topic });
        return offsets.every(({ logStart }, partition) => logStart === ends[partition]);
      });
    };
    await ledger.stop(worker);
    await put(ledger.topic, [0], 40, 2 * HOUR_MS);
    await expired([40n, 0n]);
    const second = ledger.start('worker');
    await alarmed(ledger, second, { name: 'source-expired', partition: 0 });
    await reconfigure(ledger, '--on-loss', 'record');
    await numbered(ledger, 0, 40n);
    // Hashed in time, and gone after that.
    await put(ledger.topic, [0, 1], 30);
    await numbered(ledger, 0, 70n);
    await numbered(ledger, 1, 30n);
    await ledger.stop(second);
    await put(ledger.topic, [0], 10);
    await keepFor(ledger.topic, 1_000);
    await expired([80n, 30n]);
    const third = ledger.start('worker');
    await numbered(ledger, 0, 80n);
    expect(alarms(third, 'source-expired')).toEqual([]);
    expect(await story(ledger)).toEqual({ 0: ['loss of 0: 0 … 40', 'gone of 0: 40 … 70', 'loss of 0: 70 … 80'], 1: ['gone of 0: 0 … 30'] });
  });
});

describe('a topic that is not what it was', () => {
  test.each([{ records: 20 }, { records: 60 }, { records: 150 }])('alarm: source-regressed – deleted after 60 records and made anew with $records; another topic goes on', { timeout: TEST_MS }, async ({ records }) => {
    const { ledger, worker } = await begin(2);
    await using _ = ledger;
    const other = uniqueName('other');
    await createTopic(services.bootstrapServers, other, { settings: FOREVER });
    await reconfigure(ledger, '--add-topic', other);
    await put(ledger.topic, [0, 1], 60);
    await put(other, [0], 10);
    await numbered(ledger, 0, 60n);
    await numbered(ledger, 1, 60n);
    await numbered(ledger, 0, 10n, other);

    await raw.deleteTopic(ledger.topic);
    await ledger.until('status says that the topic is gone', async () => (await ledger.status()).missingSources[0] === ledger.topic);
    // The worker has asked for both topics since when it has these: one that is made anew between two fetches is not noticed.
    await put(other, [0], 5);
    await numbered(ledger, 0, 15n, other);
    await createTopic(services.bootstrapServers, ledger.topic, { partitions: 2, settings: FOREVER });
    await put(ledger.topic, [0, 1], records);
    for (const partition of [0, 1]) await alarmed(ledger, worker, { name: 'source-regressed', partition });
    await put(other, [0], 5);
    await numbered(ledger, 0, 20n, other);
    for (const partition of [0, 1]) expect(await partitionOf(ledger, partition)).toMatchObject({ generation: 0n, reported: 60n, end: BigInt(records) });
    expect((await ledger.plait('read')).code).toBe(10);

    await reconfigure(ledger, '--restart', `${ledger.topic}/0`, `${ledger.topic}/1`);
    for (const partition of [0, 1]) await numbered(ledger, partition, BigInt(records));
    const wanted = ['gone of 0: 0 … 60', `record of 1: 0 … ${records}`];
    expect(await story(ledger)).toEqual({ 0: wanted, 1: wanted });
    expect(await story(ledger, other)).toEqual({ 0: ['record of 0: 0 … 20'] });
    expect(isRunning(worker.pid)).toBe(true);
    // What is added now is hashed in the new generation.
    await put(ledger.topic, [0], 5);
    await numbered(ledger, 0, BigInt(records) + 5n);
  });

  test('alarm: source-regressed – a partition restored from an older copy; a worker that starts then finds it too', { timeout: TEST_MS }, async () => {
    const { ledger, worker } = await begin(2);
    await using _ = ledger;
    const older = join(ledger.folder, '..', 'older');
    await put(ledger.topic, [0, 1], 40);
    await ledger.settled();
    await whileDown(() => cp(folderOf(ledger.topic, 0), older, { recursive: true }));
    await put(ledger.topic, [0, 1], 40);
    await ledger.settled();
    await whileDown(async () => {
      await rm(folderOf(ledger.topic, 0), { recursive: true });
      await cp(older, folderOf(ledger.topic, 0), { recursive: true });
    });

    expect(await alarmed(ledger, worker, { name: 'source-regressed', partition: 0 })).toContain('ends at offset 40, and was hashed up to 80');
    // It grows beyond where it was, and the worker is another one.
    await put(ledger.topic, [0, 1], 70);
    await numbered(ledger, 1, 150n);
    await ledger.stop(worker);
    const next = ledger.start('worker');
    expect(await alarmed(ledger, next, { name: 'source-regressed', partition: 0 })).toContain('are other records than were hashed');
    expect(await partitionOf(ledger, 0)).toMatchObject({ generation: 0n, reported: 80n, end: 110n });
    expect(alarms(next, 'source-regressed')).toHaveLength(1);

    // The ledger's first 40 records of it are still there.
    await reconfigure(ledger, '--restart', `${ledger.topic}/0@40`);
    await numbered(ledger, 0, 110n);
    expect(await story(ledger)).toEqual({ 0: ['record of 0: 0 … 40', 'gone of 0: 40 … 80', 'record of 1: 40 … 110'], 1: ['record of 0: 0 … 150'] });
  });

  test('alarm: record-unreadable – a batch that nobody can decode stops its partition, until that begins behind it', { timeout: TEST_MS }, async () => {
    const { ledger, worker } = await begin(2);
    await using _ = ledger;
    await ledger.stop(worker);
    for (let i = 0; i < 3; i += 1) await put(ledger.topic, [0, 1], 1);
    await whileDown(async () => {
      const file = join(folderOf(ledger.topic, 0), '00000000000000000000.log');
      const segment = await readFile(file);
      const secondBatch = 12 + segment.readInt32BE(8);
      // The length of its only record, now beyond the batch.
      segment.writeUInt8(0x7e, secondBatch + 61);
      await writeFile(file, segment);
    });
    const next = ledger.start('worker');
    await ledger.until('record-unreadable', () => Promise.resolve(alarms(next, 'record-unreadable').some((text) => text.includes(`${ledger.topic}-0: the stored batch at offset 1`))));
    await numbered(ledger, 1, 3n);
    await ledger.until('what lies before it is numbered', async () => (await partitionOf(ledger, 0)).sequenced === 1n);

    await reconfigure(ledger, '--restart', `${ledger.topic}/0@2`);
    await numbered(ledger, 0, 3n);
    expect(isRunning(next.pid)).toBe(true);
    expect(await story(ledger)).toEqual({ 0: ['record of 0: 0 … 1', 'record of 1: 2 … 3'], 1: ['record of 0: 0 … 3'] });
  });
});

describe('changes under load', () => {
  test('4 partitions become 8: the new ones are picked up by themselves', { timeout: TEST_MS }, async () => {
    const { ledger, worker } = await begin(4);
    await using _ = ledger;
    await using first = ledger.load();
    await ledger.until('records', async () => (await ledger.status()).nextSeq > 500n);
    await raw.addPartitions(ledger.topic, 8);
    const added = [4, 5, 6, 7];
    await ledger.until('producers may use them', async () => (await topicOffsets({ kafka: raw.options, topic: ledger.topic })).length === 8);
    await using second = ledger.load({ partitions: added });
    await ledger.until('the new partitions are numbered', async () => {
      const { partitions } = await ledger.status();
      return added.every((partition) => (partitions.find((each) => each.partition === partition)?.sequenced ?? 0n) > 0n);
    });
    await first.stop();
    await second.stop();
    await ledger.until('everything is numbered', async () => {
      const { partitions } = await ledger.status();
      return partitions.length === 8 && partitions.every(({ lag, pending }) => lag === 0n && pending === 0);
    });
    checkComplete(await readAll(ledger.folder, ledger.place.bootstrapServers), ledger.memory);
    expect(isRunning(worker.pid)).toBe(true);
  });

  test('a partition is restarted: it begins anew, and the worker keeps all of them', { timeout: TEST_MS }, async () => {
    const { ledger, worker } = await begin(3);
    await using _ = ledger;
    await using load = ledger.load();
    await ledger.until('records', async () => (await ledger.status()).nextSeq > 500n);
    const assignments = worker.lines.filter((line) => line['event'] === 'assigned').length;
    await reconfigure(ledger, '--restart', `${ledger.topic}/1`);
    const { nextSeq } = await ledger.status();
    await ledger.until('all go on', async () => {
      const status = await ledger.status();
      return status.nextSeq > nextSeq + 1_000n && status.partitions.find(({ partition }) => partition === 1)?.generation === 1n;
    });
    await load.stop();
    await ledger.settled();
    expect(worker.lines.filter((line) => line['event'] === 'assigned')).toHaveLength(assignments);
    expect(worker.lines.filter((line) => line['event'] === 'alarm')).toEqual([]);
    const { 0: zero, 1: one, 2: two } = await story(ledger);
    const ends = (await topicOffsets({ kafka: raw.options, topic: ledger.topic })).map(({ end }) => end);
    expect([zero, two]).toEqual([[`record of 0: 0 … ${ends[0]}`], [`record of 0: 0 … ${ends[2]}`]]);
    expect(one).toEqual([expect.stringMatching(/^record of 0: 0 … \d+$/), `record of 1: 0 … ${ends[1]}`]);
  });
});
