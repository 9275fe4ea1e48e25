/** Receipts of a real ledger: awaited by a producer, of old records, of what has none, and from the command line. */
import { readFile, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { encodePayload, formatReceipt, hashToText, parseReceipt, parseVerifierKey, payloadDigest, utf8Encode, verifyReceipt, type Payload } from '@plait/core';
import type { Ledger, LedgerReceipt, ReceiptPlace } from '@plait/ledger';
import kafkajs, { type CompressionTypes, type Message } from 'kafkajs';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { Harness } from '../kafka/harness.ts';
import { open } from './ledger-checks.ts';
import { makeLedger, type LedgerHarness, type Role } from './ledger-harness.ts';
import { start, type Ran } from './plait.ts';

const { CompressionTypes: { GZIP, None } } = kafkajs;
const PARTITIONS = 3;
const BATCHES = 40;
const EACH = 50;

let harness: LedgerHarness;
let raw: Harness;
let ledger: Ledger;
let publisher: Role;
/** The checkpoint key. */
let vkey: string;
/** What was produced and has a receipt. */
const produced: { readonly place: { readonly topic: string; readonly partition: number; readonly offset: bigint }; readonly payload: Payload }[] = [];

const bytes = (text: string): Buffer => Buffer.from(text);
const at = (partition: number, offset: bigint): { topic: string; partition: number; offset: bigint } => ({ topic: harness.topic, partition, offset });

beforeAll(async () => {
  raw = new Harness();
  harness = await makeLedger({ partitions: PARTITIONS, settings: { 'retention.ms': '-1' } });
  publisher = harness.start('serve', {}, ['--listen', '127.0.0.1:0', '--leaves', join(dirname(harness.folder), 'leaves')]);
  await Promise.all([harness.start('worker').ready, harness.start('coordinator').ready, publisher.ready]);
  ledger = await open(harness.folder, harness.place.bootstrapServers);
  vkey = (await harness.plait('keys', 'show', join(harness.folder, 'keys', 'checkpoint.key'))).stdout.trim();
});
afterAll(async () => {
  await ledger.close();
  await harness[Symbol.asyncDispose]();
});

/** Produces with kafkajs; where each record stands. */
async function send(partition: number, messages: readonly Message[], options: { readonly compression?: CompressionTypes; readonly transactional?: boolean } = {}): Promise<readonly bigint[]> {
  const producer = await raw.producer(options.transactional === true);
  const record = { topic: harness.topic, acks: -1, messages: messages.map((message) => ({ ...message, partition })), ...(options.compression === undefined ? {} : { compression: options.compression }) };
  let base: string | undefined;
  if (options.transactional === true) {
    const transaction = await producer.transaction();
    [{ baseOffset: base } = { baseOffset: undefined }] = await transaction.send(record);
    await transaction.commit();
  } else {
    [{ baseOffset: base } = { baseOffset: undefined }] = await producer.send(record);
  }
  return messages.map((_message, i) => BigInt(base ?? -1) + BigInt(i));
}

/** Verified again, from its bytes. */
function check(receipt: LedgerReceipt, place: { partition: number; offset: bigint }, payload: Payload, key = vkey): void {
  const parsed = parseReceipt(utf8Encode(receipt.text));
  const wire = encodePayload(payload);
  expect(verifyReceipt(parsed, { key: parseVerifierKey(key), payload: wire })).toMatchObject({
    topic: harness.topic, partition: place.partition, offset: place.offset, seq: receipt.seq, payloadDigest: hashToText(payloadDigest(wire)), hasPayload: true,
  });
  expect(receipt).toMatchObject({ partition: place.partition, offset: place.offset, key });
}

const path = (name: string): string => join(dirname(harness.folder), name);
const verify = async (...args: readonly string[]): Promise<Ran> => await start(['verify-receipt', ...args]).ended;
const json = ({ stdout }: Ran): Record<string, unknown> => JSON.parse(stdout) as Record<string, unknown>;
const flip = (of: Uint8Array): Uint8Array => of.map((byte, i) => (i === 0 ? byte ^ 1 : byte));
const refusal = async (place: ReceiptPlace, signal?: AbortSignal): Promise<unknown> =>
  await ledger.receipt(place, signal === undefined ? {} : { signal }).then(() => undefined, (error: unknown) => error);

test(`${BATCHES * EACH} receipts that are awaited while records are produced`, async () => {
  const producer = await raw.producer();
  const times: number[] = [];
  const waits: Promise<LedgerReceipt>[] = [];
  const { signal } = new AbortController();
  const startMs = performance.now();
  for (let batch = 0; batch < BATCHES; batch += 1) {
    const partition = batch % PARTITIONS;
    const payloads = Array.from({ length: EACH }, (_, i): Payload => ({ key: bytes(`customer-${i}`), value: bytes(`order ${batch}/${i}`), headers: [] }));
    const sentMs = performance.now();
    const [metadata] = await producer.send({
      topic: harness.topic, acks: -1, compression: batch % 4 === 3 ? GZIP : None,
      messages: payloads.map(({ key, value }) => ({ partition, key: key as Buffer, value: value as Buffer })),
    });
    for (const [i, payload] of payloads.entries()) {
      const place = at(partition, BigInt(metadata?.baseOffset ?? -1) + BigInt(i));
      produced.push({ place, payload });
      waits.push(ledger.receipt(place, { signal }).then((receipt) => {
        times.push(performance.now() - sentMs);
        return receipt;
      }));
    }
    await new Promise((resolve) => setTimeout(resolve, 40));
  }
  const receipts = await Promise.all(waits);
  const sorted = times.toSorted((a, b) => a - b);
  const part = (share: number): string => `${Math.round(sorted[Math.floor(sorted.length * share)] ?? 0)} ms`;
  process.stdout.write(`${times.length} receipts in ${Math.round(performance.now() - startMs)} ms, from produce to receipt p50 ${part(0.5)}, p99 ${part(0.99)}\n`);
  expect(receipts).toHaveLength(BATCHES * EACH);
  for (const [i, { place, payload }] of produced.entries()) if (i % 20 === 0) check(receipts[i] as LedgerReceipt, place, payload);
  const seqs = receipts.map(({ seq }) => seq).toSorted((a, b) => Number(a - b));
  expect(seqs).toEqual(seqs.map((_seq, i) => BigInt(i)));
});

test('old records, by seq and by place, by somebody who comes later', async () => {
  await using later = await open(harness.folder, harness.place.bootstrapServers);
  const seqs = Array.from({ length: 20 }, (_, i) => BigInt(i * 100));
  const bySeq = await Promise.all(seqs.map((seq) => later.receipt({ seq })));
  expect(bySeq.map(({ seq }) => seq)).toEqual(seqs);
  const some = produced.filter((_record, i) => i % 97 === 0);
  const byPlace = await Promise.all(some.map(({ place }) => later.receipt(place, { payload: false })));
  for (const [i, { place, payload }] of some.entries()) check(byPlace[i] as LedgerReceipt, place, payload);
  expect(byPlace.every(({ hasPayload }) => !hasPayload)).toBe(true);
  for await (const entry of later.read({ fromSeq: 100n, toSeq: 101n, atEnd: 'fail' })) {
    expect(entry).toMatchObject({ kind: 'record', seq: 100n, partition: bySeq[1]?.partition, offset: bySeq[1]?.offset, index: bySeq[1]?.index });
  }
});

test('any payload, compressed batches and transactions', async () => {
  const payloads: readonly Payload[] = [
    { key: null, value: Buffer.alloc(0), headers: [] },
    { key: Buffer.alloc(0), value: null, headers: [{ key: bytes('trace'), value: bytes('é') }, { key: bytes('empty'), value: Buffer.alloc(0) }] },
    { key: bytes('k'), value: Buffer.alloc(70_000, 7), headers: [] },
  ];
  const messages = payloads.map(({ key, value, headers }) => ({
    key: key as Buffer | null, value: value as Buffer | null, headers: Object.fromEntries(headers.map((header) => [Buffer.from(header.key).toString(), header.value as Buffer])),
  }));
  for (const options of [{}, { compression: GZIP }, { transactional: true }]) {
    const offsets = await send(0, messages, options);
    const receipts = await Promise.all(offsets.map((offset) => ledger.receipt(at(0, offset))));
    for (const [i, receipt] of receipts.entries()) check(receipt, at(0, offsets[i] ?? -1n), payloads[i] as Payload);
  }
});

describe('no receipt', () => {
  test('where nobody sees a record', async () => {
    const opened = await (await raw.producer(true)).transaction();
    const [sent] = await opened.send({ topic: harness.topic, acks: -1, messages: [{ partition: 1, value: 'aborted' }] });
    await opened.abort();
    const aborted = BigInt(sent?.baseOffset ?? -1);
    for (const offset of [aborted, aborted + 1n]) {
      expect(await refusal(at(1, offset))).toMatchObject({ code: 'missing', message: expect.stringContaining('no record that anybody sees') });
    }
  });

  test('for what is not ordered', async () => {
    expect(await refusal({ topic: 'nobody-orders-this', partition: 0, offset: 0n })).toMatchObject({ code: 'config', message: expect.stringContaining('no source') });
    expect(await refusal(at(PARTITIONS, 0n))).toMatchObject({ code: 'config', message: expect.stringContaining('no partition') });
    expect(await refusal({ seq: -1n })).toMatchObject({ code: 'config' });
  });

  test('after an abort, at once, or when the ledger is closed', async () => {
    const warnings: Error[] = [];
    process.on('warning', (warning) => {
      if (warning.name === 'MaxListenersExceededWarning') warnings.push(warning);
    });
    const far = at(0, 1_000_000n);
    const abort = new AbortController();
    const many = Array.from({ length: 100 }, async (_, i) => await refusal(i % 2 === 0 ? far : { seq: 1_000_000n }, abort.signal));
    await new Promise((resolve) => setTimeout(resolve, 300));
    const reason = new Error('enough');
    expect(warnings).toEqual([]);
    abort.abort(reason);
    // At once: before anything else has its turn.
    const next = new Promise<'late'>((resolve) => setImmediate(resolve, 'late'));
    expect(await Promise.race([Promise.all(many), next])).toEqual(many.map(() => reason));
    expect(await refusal(far, AbortSignal.abort(reason))).toBe(reason);

    const closing = await open(harness.folder, harness.place.bootstrapServers);
    const waits = [far, { seq: 1_000_000n }].map((place) => closing.receipt(place).then(() => undefined, (error: unknown) => error));
    const early = closing.receipt({ seq: 0n }).then(() => undefined, (error: unknown) => error);
    await closing.close();
    for (const error of await Promise.all(waits)) expect(error).toMatchObject({ name: 'AbortError' });
    await early;
    await expect(closing.receipt({ seq: 0n })).rejects.toThrow('closed');
  });
});

describe('from the command line', () => {
  test('a receipt is written once, and verifies', async () => {
    const file = path('a.tlog-proof');
    const written = await harness.plait('receipt', '--seq', '7', '--out', file, '-o', 'json');
    expect(written.code, written.stderr).toBe(0);
    expect(json(written)).toMatchObject({ schemaVersion: 1, file, seq: '7', topic: harness.topic, key: vkey, hasPayload: true });
    const again = await harness.plait('receipt', '--seq', '7', '--out', file);
    expect([again.code, again.stderr]).toEqual([1, expect.stringContaining('there already')]);
    const workerKey = (await harness.plait('keys', 'show', join(harness.folder, 'keys', 'worker.key'))).stdout.trim();
    const [text, result, other, wrong, none] = await Promise.all([
      verify(file, '--key', vkey), verify(file, '--key', join(harness.folder, 'serve', 'log.vkey'), '-o', 'json'),
      verify(file, '--key', vkey.replace(/^[^+]*/, 'other.example')), verify(file, '--key', workerKey), verify(path('nothing'), '--key', vkey),
    ]);
    expect([text, result, other, wrong, none].map(({ code }) => code)).toEqual([0, 0, 1, 10, 1]);
    expect(text.stdout).toMatch(/^ok {3}file .*\nok {3}checkpoint-signature /);
    expect(text.stdout).toContain('\nok   payload ');
    expect(text.stdout).not.toContain('\u001b');
    expect(json(result)).toMatchObject({ schemaVersion: 1, verdict: 'verified', proves: { seq: '7', topic: harness.topic } });
    expect(wrong.stdout).toMatch(/FAIL checkpoint-signature .*\n {5}expected .*\n {5}found .*\nnot run: header-proof, .*, payload\n\nINVALID: checkpoint-signature does not hold, .*\n$/);
  });

  test('without payload it takes the bytes that read gives', async () => {
    const file = path('b.tlog-proof');
    const [wire, written] = await Promise.all([harness.plait('read', '--from-seq', '8', '--to-seq', '9', '-o', 'wire'), harness.plait('receipt', '--seq', '8', '--no-payload', '--out', file)]);
    expect(written.code, written.stderr).toBe(0);
    await writeFile(path('b.payload'), wire.stdout);
    await writeFile(path('c.payload'), `${wire.stdout.slice(0, -2)}x\u0000`);
    const [without, given, wrong, none] = await Promise.all([
      verify(file, '--key', vkey, '-o', 'json'), verify(file, '--key', vkey, '--payload', path('b.payload'), '-o', 'json'),
      verify(file, '--key', vkey, '--payload', path('c.payload'), '-o', 'json'), verify(path('b.payload'), '--key', vkey, '-o', 'json'),
    ]);
    expect([without, given, wrong, none].map(({ code }) => code)).toEqual([0, 0, 10, 10]);
    expect(json(without)['notChecked']).toHaveLength(3);
    expect(json(given)['notChecked']).toHaveLength(2);
    expect(json(wrong)).toMatchObject({ verdict: 'invalid', failed: 'payload' });
    expect(json(none)).toMatchObject({ verdict: 'invalid', failed: 'file' });
  });

  test('a file that was changed is refused by the step that it breaks', async () => {
    const text = (await ledger.receipt({ seq: 9n })).text;
    const receipt = parseReceipt(utf8Encode(text));
    const { line } = receipt;
    const changed = {
      'header-proof': { ...receipt, header: receipt.header.replace(/\ntime (\d+)/, '\ntime 1$1') },
      'line-proof': { ...receipt, line: { ...line, segment: { ...line.segment, partition: line.segment.partition + 1 } } },
      'leaf-proof': { ...receipt, leaf: flip(receipt.leaf) },
      payload: { ...receipt, payload: flip(receipt.payload ?? new Uint8Array(1)) },
    };
    const results = await Promise.all(Object.entries(changed).map(async ([step, made]) => {
      const file = path(`${step}.tlog-proof`);
      await writeFile(file, formatReceipt(made));
      const ran = await verify(file, '--key', vkey, '-o', 'json');
      return [step, ran.code, json(ran)['failed']];
    }));
    expect(results).toEqual(Object.keys(changed).map((step) => [step, 10, step]));
  });

  test('what is not ordered has neither a receipt nor a place; what is not sequenced yet may come', async () => {
    const { topic } = harness;
    const cases = [[`${topic}/${PARTITIONS}/0`, `${topic} has no partition ${PARTITIONS} that is ordered: it has ${PARTITIONS}, and`], ['nobody-orders-this/0/0', `nobody-orders-this is no source of ${harness.file.origin}, which orders ${topic}`]] as const;
    for (const [place, sentence] of cases) {
      for (const command of ['receipt', 'locate']) {
        const { code, stdout, stderr } = await harness.plait(command, '--at', place);
        expect([command, code, stdout, stderr]).toEqual([command, 1, '', expect.stringContaining(sentence)]);
      }
    }
    const { code, stderr } = await harness.plait('locate', '--at', `${topic}/0/1000000`);
    expect([code, stderr]).toEqual([14, expect.stringContaining('not sequenced yet')]);
  });

  test('what is waited for in vain is said', async () => {
    const [none, far] = await Promise.all([harness.plait('receipt', '--at', `${harness.topic}/0/1000000`, '--wait', '1'), harness.plait('receipt', '--seq', '1000000', '--wait', '1')]);
    expect([none.code, none.stderr]).toEqual([2, expect.stringContaining('there is no record')]);
    expect([far.code, far.stderr]).toEqual([2, expect.stringContaining('not given out yet')]);
  });
});

test('what is gone has a receipt without payload from leaves that were kept', async () => {
  const [first] = produced as [typeof produced[number]];
  const { partition, offset } = first.place;
  await raw.deleteBefore(first.place, offset + 1n);
  await using later = await open(harness.folder, harness.place.bootstrapServers);
  await expect(later.receipt(first.place)).rejects.toMatchObject({ code: 'missing' });
  const file = join(dirname(harness.folder), 'gone.tlog-proof');
  const args = ['receipt', '--at', `${harness.topic}/${partition}/${offset}`, '--leaves', join(dirname(harness.folder), 'leaves'), '--out', file];
  const [withPayload, without] = [await harness.plait(...args), await harness.plait(...args, '--no-payload')];
  expect([withPayload.code, without.code], without.stderr).toEqual([14, 0]);
  const proved = verifyReceipt(parseReceipt(await readFile(file)), { key: parseVerifierKey(vkey), payload: encodePayload(first.payload) });
  expect(proved).toMatchObject({ offset, hasPayload: true });
});

test('after another key took over, and a partition began anew', async () => {
  const path = join(dirname(harness.folder), 'checkpoint-2.key');
  const fresh = (await harness.plait('keys', 'make', 'checkpoint', '--out', path)).stdout.trim();
  const end = (await ledger.status()).partitions[2]?.end ?? 0n;
  const changed = await harness.plait('reconfigure', '--add-checkpoint-key', fresh, '--revoke-checkpoint-key', vkey, '--restart', `${harness.topic}/2@${end}`);
  expect(changed.code, changed.stderr).toBe(0);
  await harness.stop(publisher);
  await harness.start('serve', {}, ['--listen', '127.0.0.1:0', '--key', path]).ready;
  const payload: Payload = { key: null, value: bytes('anew'), headers: [] };
  const [offset = -1n] = await send(2, [{ value: 'anew' }]);
  const receipt = await ledger.receipt(at(2, offset));
  check(receipt, at(2, offset), payload, fresh);
  expect([offset, receipt.generation, receipt.index]).toEqual([end, 1n, 0n]);
  // What lies before it is of the former generation: its seq still finds it.
  expect(await refusal(at(2, 0n))).toMatchObject({ code: 'missing' });
  expect(await ledger.receipt({ seq: receipt.seq - 1n })).toMatchObject({ key: fresh, seq: receipt.seq - 1n });
});
