/** Strangers write into the log, and records change behind the ledger's back. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { encodePayload, formatReport, logPosition, makeSignerKey, parseMessage, parseNote, parseSignerKey, signNote, type Payload } from '@plait/core';
import { openLogAppender, openLogReader } from '@plait/kafka';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Harness } from '../kafka/harness.ts';
import { recordBatch } from '../kafka/record-batch.ts';
import { open, readAll } from './ledger-checks.ts';
import { createTopic, makeLedger, type LedgerHarness } from './ledger-harness.ts';

/** Why messages of honest roles are ignored: they were sent again, or another role was first. */
const BY_ROLES = /^(claim\/(epoch|follows)|block\/(other-claim|height)|segment\/(duplicate|not-at-end|full))$/;

describe('strangers in the log', () => {
  let ledger: LedgerHarness;
  beforeAll(async () => {
    ledger = await makeLedger({ partitions: 3 });
    await ledger.startRoles();
  });
  afterAll(async () => {
    await ledger[Symbol.asyncDispose]();
  });

  test('garbage, truncated notes, wrong signatures, replays, other ledgers: ignored, counted by reason, and it goes on', async () => {
    await using load = ledger.load();
    await ledger.until('some blocks', async () => (await ledger.status()).height > 10n);
    // What the roles themselves send again on a busy machine is ignored, too.
    const before = Object.keys((await ledger.status()).ignored);
    expect(before.filter((reason) => !BY_ROLES.test(reason))).toEqual([]);
    const other = await makeLedger({ partitions: 1, init: ['--origin', 'example.com/other'] });
    const namesake = await makeLedger({ partitions: 1, init: ['--origin', ledger.file.origin] });
    const messages = await readMessages(ledger);
    // Before the first block there may be many reports.
    const some = [...firstOfKinds(messages, ['genesis', 'claim', 'report', 'block']), ...messages.slice(0, 12)];
    const replays = [...some, ...messages.slice(12, 30)];
    const hostile = [
      ...garbage(), ...some.flatMap(truncated), ...some.map(withBadSignature),
      ...(await byStrangers(ledger)), ...replays, ...(await readMessages(other)),
      ...(await claimsOf(namesake)),
    ];
    await append(ledger, hostile);
    await other[Symbol.asyncDispose]();
    await namesake[Symbol.asyncDispose]();

    const { height } = await ledger.status();
    await ledger.until('blocks after it', async () => (await ledger.status()).height > height + 10n);
    await load.stop();
    await ledger.verifyAll();
    const { ignored, leader } = await ledger.status();
    const wanted = [
      'unknown/malformed', 'unknown/unknown-kind', 'genesis/second-genesis', 'genesis/other-origin', 'claim/epoch', 'claim/other-ledger',
      'report/bad-signature', 'report/unknown-key', 'report/malformed', 'block/malformed',
    ];
    expect(Object.keys(ignored)).toEqual(expect.arrayContaining(wanted));
    // A replay is too late in one way or another.
    for (const late of [/^segment\/(duplicate|not-at-end)$/, /^block\/(height|other-claim)$/]) expect(Object.keys(ignored)).toContainEqual(expect.stringMatching(late));
    // Nothing hostile counted: all of it is ignored, but for reports, which are counted by their segments.
    const counted = Object.entries(ignored).filter(([reason]) => !reason.startsWith('segment/')).reduce((sum, [, count]) => sum + count, 0);
    expect(counted + replays.filter(isReport).length).toBeGreaterThanOrEqual(hostile.length);
    expect(leader).toBeDefined();

    const json = await ledger.plait('status', '-o', 'json');
    expect(json.code, json.stderr).toBe(0);
    expect(JSON.parse(json.stdout)).toMatchObject({ ignored: { 'unknown/malformed': ignored['unknown/malformed'] } });
    const text = await ledger.plait('status');
    for (const reason of wanted) expect(text.stdout).toContain(reason);
  });

  test('a cold start over all that comes to the same', async () => {
    const before = await ledger.status();
    for (const role of [...ledger.running('coordinator'), ...ledger.running('worker')]) await ledger.stop(role);
    await ledger.startRoles();
    const load = ledger.load();
    await ledger.until('records after it', async () => (await ledger.status()).nextSeq > before.nextSeq + 100n);
    await load.stop();
    const { seen } = await ledger.verifyAll();
    expect(seen.length).toBeGreaterThan(Number(before.nextSeq) + 100);
  });
});

async function readMessages({ file, place }: LedgerHarness): Promise<Uint8Array[]> {
  const reader = await openLogReader({ kafka: { brokers: place.bootstrapServers.split(',') }, topic: file.log, from: logPosition(0n) });
  const messages: Uint8Array[] = [];
  try {
    const end = await reader.end();
    while (reader.position() < end) messages.push(...(await reader.poll({ maxWaitMs: 1_000 })).map(({ value }) => value));
  } finally {
    await reader.close();
  }
  return messages;
}

function firstOfKinds(messages: readonly Uint8Array[], kinds: readonly string[]): Uint8Array[] {
  return kinds.flatMap((kind) => messages.find((message) => parseMessage(message).body.kind === kind) ?? []);
}

async function append({ file, place }: LedgerHarness, messages: readonly Uint8Array[]): Promise<void> {
  const appender = await openLogAppender({ kafka: { brokers: place.bootstrapServers.split(',') }, topic: file.log });
  for (const message of messages) await appender.append(message);
  await appender.close();
}

function garbage(): Uint8Array[] {
  return ['', 'garbage', '\n\n', 'plait.', 'plait.block/v1\n', 'plait.block/v2\n\n\u2014 x AAAAAAA=\n', '{"kind":"block"}', '\u0000', '\ufeffplait.claim/v1\n']
    .map((text) => Buffer.from(text)).concat([Buffer.from([0xff, 0xfe, 0x00]), Buffer.alloc(200_000, 0xc3), Buffer.alloc(200_000, '\n')]);
}

function truncated(message: Uint8Array): Uint8Array[] {
  return [1, Math.floor(message.length / 2), message.length - 1].map((length) => message.subarray(0, length));
}

/** The same text and key, another signature. */
function withBadSignature(message: Uint8Array): Uint8Array {
  const text = Buffer.from(message).toString();
  const at = text.length - 12;
  return Buffer.from(`${text.slice(0, at)}${text[at] === 'A' ? 'B' : 'A'}${text.slice(at + 1)}`);
}

/** A report with a lie in it, signed by a key that nobody named, by one that calls itself as ours, and by the coordinator's. */
async function byStrangers(ledger: LedgerHarness): Promise<Uint8Array[]> {
  const message = (await readMessages(ledger)).find(isReport);
  const { body } = parseMessage(message ?? new Uint8Array());
  if (body.kind !== 'report') throw new Error('no report');
  const text = formatReport(body);
  const workerName = (await keyOf(ledger, 'worker')).name;
  const seed = new Uint8Array(32).fill(9);
  const keys = [makeSignerKey('example.com/stranger', seed), makeSignerKey(workerName, seed), await keyOf(ledger, 'coordinator')];
  return keys.map((key) => signNote(text, key));
}

/** A claim of another ledger of the same name, which its own keys sign. */
async function claimsOf(ledger: LedgerHarness): Promise<Uint8Array[]> {
  await using role = ledger.start('coordinator');
  await ledger.leader();
  await ledger.stop(role);
  return await readMessages(ledger);
}

async function keyOf(ledger: LedgerHarness, role: string) {
  return parseSignerKey((await readFile(join(ledger.folder, 'keys', `${role}.key`), 'utf8')).trimEnd());
}

function isReport(message: Uint8Array): boolean {
  return message.length > 0 && parseNote(message).text.startsWith('plait.report/v1\n');
}

const record = (partition: number, i: number): Payload => ({ key: Buffer.from(`k${i % 7}`), value: Buffer.from(`record ${i} of ${partition}`), headers: [] });

describe('records that change', () => {
  const PARTITIONS = 3;
  const RECORDS = 300;
  const EVERY_MS = 1_000n;
  // The records' times are of long ago: a broker would delete them.
  const SETTINGS = { 'retention.ms': '-1' };
  let ledger: LedgerHarness;
  let raw: Harness;

  beforeAll(async () => {
    raw = new Harness();
    ledger = await makeLedger({ partitions: PARTITIONS, settings: SETTINGS });
    const worker = ledger.start('worker');
    const coordinator = ledger.start('coordinator');
    await Promise.all([worker.ready, coordinator.ready]);
    await fill(() => undefined);
    await ledger.settled();
    await ledger.stop(worker);
    await ledger.stop(coordinator);
  });
  afterAll(async () => {
    await ledger[Symbol.asyncDispose]();
  });

  /** Records with times of their own, so that they can be made again to the byte; `change` says what else stands at a place. */
  async function fill(change: (partition: number, i: number) => Payload | 'left out' | undefined): Promise<void> {
    for (let partition = 0; partition < PARTITIONS; partition += 1) {
      const records = Array.from({ length: RECORDS }, (_, i) => ({ payload: change(partition, i) ?? record(partition, i), timestampDelta: BigInt(i) * EVERY_MS }))
        .flatMap(({ payload, timestampDelta }) => (payload === 'left out' ? [] : [{ payload: encodePayload(payload), timestampDelta }]));
      await raw.produceRaw({ topic: ledger.topic, partition }, recordBatch(records));
    }
  }

  async function again(change: (partition: number, i: number) => Payload | 'left out' | undefined): Promise<void> {
    await raw.deleteTopic(ledger.topic);
    await createTopic(ledger.place, ledger.topic, { partitions: PARTITIONS, settings: SETTINGS });
    await fill(change);
  }

  async function failure(fromSeq = 0n): Promise<unknown> {
    await using reader = await open(ledger.folder, ledger.place.bootstrapServers);
    try {
      for await (const entry of reader.read({ follow: false, fromSeq })) void entry;
      return undefined;
    } catch (error) {
      return error;
    }
  }

  test('the same bytes in a topic made anew are the same ledger', async () => {
    const before = await readAll(ledger.folder, ledger.place.bootstrapServers);
    expect(before.length).toBe(PARTITIONS * RECORDS);
    await again(() => undefined);
    expect(await readAll(ledger.folder, ledger.place.bootstrapServers)).toEqual(before);
  });

  test('one changed record is tampering, with its place; exit 10', async () => {
    const at = 123;
    await again((partition, i) => (partition === 1 && i === at ? { ...record(partition, i), value: Buffer.from('another') } : undefined));
    const error = await failure();
    expect(error).toMatchObject({ code: 'invalid', details: { topic: ledger.topic, partition: 1 } });
    const { firstOffset, nextOffset, firstSeq, nextSeq } = (error as { details: Record<string, string> }).details;
    expect(Number(firstOffset)).toBeLessThanOrEqual(at);
    expect(Number(nextOffset)).toBeGreaterThan(at);
    expect(Number(nextSeq) - Number(firstSeq)).toBe(Number(nextOffset) - Number(firstOffset));
    const read = await ledger.plait('read');
    expect(read.code).toBe(10);
    expect(read.stderr).toContain(`${ledger.topic}/1 offsets ${firstOffset} … ${nextOffset}`);
    expect(read.stderr).toContain(`firstSeq=${firstSeq} nextSeq=${nextSeq}`);
    // What comes after it was not touched.
    expect(await failure(BigInt(nextSeq ?? 0))).toBeUndefined();
  });

  test('two records that changed places, and a tail that is missing, are tampering', async () => {
    await again((partition, i) => (partition === 2 && (i === 10 || i === 11) ? record(2, 21 - i) : undefined));
    expect(await failure()).toMatchObject({ code: 'invalid', details: { partition: 2 } });
    await again((partition, i) => (partition === 0 && i >= RECORDS - 2 ? 'left out' : undefined));
    const error = await failure();
    expect(error).toMatchObject({ code: 'invalid', details: { partition: 0, nextOffset: String(RECORDS) } });
    expect((error as Error).message).toContain('beyond the partition\'s end');
  });

  test('deleted records cannot be decided; exit 14, and what is left can be read', async () => {
    await again(() => undefined);
    await raw.deleteBefore({ topic: ledger.topic, partition: 0 }, 1n);
    const error = await failure();
    expect(error).toMatchObject({ code: 'missing', details: { topic: ledger.topic, partition: 0, firstOffset: '0' } });
    const read = await ledger.plait('read');
    expect(read.code).toBe(14);
    expect(read.stderr).toContain('cannot decide');
    expect(read.stderr).toContain(`${ledger.topic}/0 offsets 0 …`);
    expect(await failure(BigInt((error as { details: Record<string, string> }).details['nextSeq'] ?? 0))).toBeUndefined();
  });
});
