/** Records of every kind: none, many, in transactions, of any bytes. */
import type { Producer } from 'kafkajs';
import type { Payload } from '@plait/core';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { client } from '../kafka/client.ts';
import { Harness } from '../kafka/harness.ts';
import { longestGapMs, open } from './ledger-checks.ts';
import { makeLedger, type LedgerHarness } from './ledger-harness.ts';
import { batchOf, remember } from './load.ts';
import { uniqueName } from '../global/services.ts';

const MIB = 1 << 20;
const EMPTY = 0;
const BUSY = 1;
const IDLE = [2, 3];

/** Generous for a busy machine. */
const GAP_MS_MAX = 20_000;

let ledger: LedgerHarness;
let raw: Harness;

beforeAll(async () => {
  raw = new Harness();
  ledger = await makeLedger({ partitions: 4, settings: { 'max.message.bytes': String(4 * MIB) } });
  await ledger.startRoles();
});
afterAll(async () => {
  await ledger[Symbol.asyncDispose]();
});

/** Sends records to one partition in one batch, byte by byte as given, and remembers them. */
async function send(partition: number, payloads: readonly Payload[]): Promise<void> {
  const end = (await ledger.status()).partitions[partition]?.end ?? 0n;
  await raw.produce({ topic: ledger.topic, partition }, payloads);
  for (const [i, payload] of payloads.entries()) ledger.memory.add({ partition, offset: end + BigInt(i) }, payload);
}

const bytes = (...values: number[]): Uint8Array => Uint8Array.from(values);
const name = (value: string): Uint8Array => Buffer.from(value);
const text = (value: string): Payload => ({ key: null, value: Buffer.from(value), headers: [] });

/** A transaction with some records in each of `partitions`; only committed ones are remembered. */
async function transaction(producer: Producer, partitions: readonly number[], end: 'commit' | 'abort', name: string): Promise<void> {
  const batch = partitions.flatMap((partition) => [1, 2, 3].map((i) => ({ partition, payload: text(`${name} ${end} ${partition} ${i}`) })));
  const opened = await producer.transaction();
  const answers = await opened.sendBatch(batchOf(ledger.topic, batch));
  await (end === 'commit' ? opened.commit() : opened.abort());
  if (end === 'commit') remember(ledger.memory, batch, answers);
}

describe('partitions', () => {
  test('an empty one, and a very busy one beside idle ones: nobody waits for the slow', async ({ annotate }) => {
    const fromMs = Date.now();
    {
      await using load = ledger.load({ partitions: [BUSY], ratePerSecond: 8_000 });
      for (const partition of IDLE) await send(partition, [text(`one record of ${partition}`)]);
      await ledger.until('enough records', () => Promise.resolve(load.acknowledged > 20_000));
      await load.stop();
    }
    const { seen, blocks } = await ledger.verifyAll();
    const count = (partition: number): number => seen.filter((each) => each.startsWith(`${partition}/`)).length;
    expect([EMPTY, ...IDLE].map(count)).toEqual([0, 1, 1]);
    await annotate(`${count(BUSY)} records in the busy partition, longest time without a block: ${longestGapMs(blocks, fromMs)} ms`);
    expect(count(BUSY)).toBeGreaterThan(5_000);
    expect(longestGapMs(blocks, fromMs)).toBeLessThan(GAP_MS_MAX);
    const status = await ledger.status();
    expect(status.partitions[EMPTY]).toMatchObject({ end: 0n, reported: 0n, sequenced: 0n, lag: 0n });
  });
});

describe('transactions', () => {
  let producers: Producer[] = [];

  async function transactional(): Promise<Producer> {
    const producer = client(ledger.place.bootstrapServers).producer({
      transactionalId: uniqueName('transaction'), idempotent: true, maxInFlightRequests: 1, retry: { retries: 8 },
    });
    await producer.connect();
    producers.push(producer);
    return producer;
  }

  afterAll(async () => {
    for (const producer of producers) await producer.disconnect();
    producers = [];
  });

  test('commits are there, aborts are not, and tails of markers only are passed', async () => {
    const [one, other] = [await transactional(), await transactional()];
    const { nextSeq } = await ledger.status();
    const known = ledger.memory.acknowledged.size;
    for (let round = 0; round < 4; round += 1) {
      await transaction(one, [1, 2], 'commit', `a${round}`);
      await transaction(other, [2, 3], round % 2 === 0 ? 'abort' : 'commit', `b${round}`);
    }
    // Partition 2 ends with an aborted transaction, partition 3 with one that committed; behind each is its marker.
    await transaction(one, [2], 'abort', 'last');
    const { seen } = await ledger.verifyAll();
    expect(seen.length - Number(nextSeq)).toBe(ledger.memory.acknowledged.size - known);
    for (const { sequenced, end } of (await ledger.status()).partitions) expect(sequenced).toBe(end);
  });

  test('one that stays open holds up its own partition only, and its records come when it ends', async () => {
    const producer = await transactional();
    const batch = [{ partition: 2, payload: text('held back') }];
    const opened = await producer.transaction();
    const answers = await opened.sendBatch(batchOf(ledger.topic, batch));
    const { nextSeq } = await ledger.status();
    await send(2, [text('behind it')]);
    await send(3, [text('beside it')]);
    await ledger.until('the other partition goes on', async () => (await ledger.status()).partitions[3]?.lag === 0n);
    const before = await ledger.status();
    expect(before.nextSeq).toBe(nextSeq + 1n);
    expect(before.partitions[2]?.lag).toBe(2n);
    await opened.commit();
    remember(ledger.memory, batch, answers);
    await ledger.verifyAll();
    expect((await ledger.status()).nextSeq).toBe(nextSeq + 3n);
  });
});

describe('contents', () => {
  const large = Buffer.alloc(MIB, 'large');

  const payloads: readonly (readonly [string, Payload])[] = [
    ['all null', { key: null, value: null, headers: [] }],
    ['all empty', { key: bytes(), value: bytes(), headers: [{ key: bytes(), value: bytes() }] }],
    ['a null header', { key: bytes(), value: null, headers: [{ key: name('n'), value: null }] }],
    ['binary', { key: bytes(0, 0xff, 0xc3, 0x28), value: bytes(0x80, 0, 0x1b, 0x5b), headers: [{ key: bytes(0xff, 0xfe), value: bytes(0) }] }],
    ['equal names, apart', { key: null, value: bytes(), headers: [['a', '1'], ['b', '2'], ['a', '3'], ['a', '1']].map(([key = '', value = '']) => ({ key: name(key), value: name(value) })) }],
    ['names like numbers', { key: null, value: bytes(), headers: ['2', '1', '10', '01', '-1', '1'].map((key) => ({ key: name(key), value: name(key) })) }],
    ['names of JavaScript', { key: name('__proto__'), value: name('constructor'), headers: ['__proto__', 'constructor', 'toString', 'hasOwnProperty', '__proto__'].map((key) => ({ key: name(key), value: name('x') })) }],
    ['a large key', { key: large, value: null, headers: [] }],
    ['a large value', { key: null, value: large, headers: [] }],
    ['a large header', { key: null, value: bytes(), headers: [{ key: name('h'), value: large }] }],
    ['a long header name', { key: null, value: bytes(), headers: [{ key: Buffer.alloc(40_000, 'n'), value: null }] }],
    ['many headers', { key: null, value: bytes(), headers: Array.from({ length: 2_000 }, (_, i) => ({ key: name(`${i % 7}`), value: name(`${i}`) })) }],
  ];

  test('null, empty, binary, 1 MiB, equal and odd names: every one comes out as it is', async () => {
    const before = (await ledger.status()).nextSeq;
    for (const [, payload] of payloads) await send(3, [payload]);
    // And in one batch, as far as the topic allows.
    await send(2, payloads.filter(([title]) => !title.includes('large')).map(([, payload]) => payload));
    await ledger.verifyAll();
    await using reader = await open(ledger.folder, ledger.place.bootstrapServers);
    const found: Payload[] = [];
    for await (const entry of reader.read({ follow: false, fromSeq: before })) {
      if (entry.kind === 'record' && entry.partition === 3) found.push({ key: entry.key, value: entry.value, headers: entry.headers });
    }
    expect(found.length).toBe(payloads.length);
    for (const [i, [title, payload]] of payloads.entries()) expect(shown(found[i]), title).toEqual(shown(payload));
    const printed = await ledger.plait('read', '-o', 'jsonl', '--from-seq', String(before));
    expect(printed.code, printed.stderr).toBe(0);
    expect(printed.stdout.trimEnd().split('\n').length).toBe(2 * payloads.length - 3);
    // Text: a line each, whatever is in it.
    const lines = await ledger.plait('read', '--from-seq', String(before));
    expect(lines.stdout.trimEnd().split('\n').length).toBe(2 * payloads.length - 3);
  });
});

const hex = (value: Uint8Array | null): string | null => (value === null ? null : `${value.length} ${Buffer.from(value).subarray(0, 64).toString('hex')}`);

/** Plain values that a comparison can print. */
function shown(payload: Payload | undefined): unknown {
  return payload && { key: hex(payload.key), value: hex(payload.value), headers: payload.headers.map(({ key, value }) => [hex(key), hex(value)]) };
}
