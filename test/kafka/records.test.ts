/** What a producer can write arrives byte for byte, through every codec. */
import { gzipSync, zstdCompressSync } from 'node:zlib';
import { decodePayload, encodePayload, offset, type Payload, type TopicPartition } from '@plait/core';
import type { SourceEvent, SourceRecord } from '@plait/roles';
import kafkajs from 'kafkajs';
import { describe, expect, it } from 'vitest';
import { uniqueName } from '../global/services.ts';
import { Harness } from './harness.ts';
import { openPatientSource } from './patient.ts';
import { recordBatch } from './record-batch.ts';

const harness = new Harness();
const bytes = (text: string): Uint8Array => Buffer.from(text);
const everyByte = Uint8Array.from({ length: 256 }, (_, i) => i);
const large = Uint8Array.from({ length: 1_000_000 }, (_, i) => (i * 31) >> 3);
const notUtf8 = Uint8Array.from([0xff, 0xfe, 0x00, 0x80]);

const PAYLOADS: readonly Payload[] = [
  { key: null, value: null, headers: [] },
  { key: bytes(''), value: bytes(''), headers: [] },
  { key: everyByte, value: everyByte, headers: [{ key: bytes('h'), value: everyByte }] },
  { key: bytes('k'), value: large, headers: [] },
  { key: large, value: null, headers: [] },
  { key: null, value: bytes('v'), headers: [{ key: bytes('big'), value: large }] },
  {
    key: null,
    value: bytes('order and repeats'),
    headers: [
      { key: bytes('b'), value: bytes('1') }, { key: bytes('1'), value: bytes('2') }, { key: bytes('b'), value: null },
      { key: bytes('0'), value: bytes('') }, { key: bytes('b'), value: bytes('3') },
    ],
  },
  {
    key: null,
    value: bytes('names'),
    headers: [
      { key: bytes('__proto__'), value: bytes('p') }, { key: bytes('constructor'), value: bytes('c') },
      { key: bytes('toString'), value: null }, { key: bytes(''), value: bytes('e') }, { key: notUtf8, value: notUtf8 },
    ],
  },
];

async function read(at: TopicPartition, end: bigint): Promise<SourceRecord[]> {
  const reader = await openPatientSource(harness.options);
  reader.seek(at, offset(0n));
  const records: SourceRecord[] = [];
  for (let next = 0n; next < end; ) {
    for (const event of await reader.poll({ maxWaitMs: 5_000 })) {
      if (event.kind !== 'records') throw new Error(event.kind);
      expect(event.firstOffset).toBe(next);
      next = event.nextOffset;
      records.push(...event.records);
    }
  }
  await reader.close();
  return records;
}

/** Blocks behind the header that Java writes. */
async function xerial(raw: Buffer): Promise<Buffer> {
  const parts: Uint8Array[] = [Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0, 0, 0, 0, 1, 0, 0, 0, 1])];
  for (let at = 0; at < raw.length; at += 4_096) {
    const block = await viaKafkajs(2, raw.subarray(at, at + 4_096));
    const length = Buffer.alloc(4);
    length.writeInt32BE(block.length);
    parts.push(length, block);
  }
  return Buffer.concat(parts);
}

/** What kafkajs compresses with, once @plait/kafka has registered its codecs. */
async function viaKafkajs(type: number, raw: Buffer): Promise<Buffer> {
  const codec = kafkajs.CompressionCodecs[type as never] as () => { compress(encoder: { buffer: Buffer }): Promise<Buffer> };
  return await codec().compress({ buffer: raw });
}

describe('records', () => {
  it('keep key, value and headers byte for byte', async () => {
    const at = { topic: await harness.makeTopic(1), partition: 0 };
    for (const payload of PAYLOADS) await harness.produce(at, [payload]);
    await harness.produce(at, PAYLOADS.filter(({ value }) => value !== large).slice(0, 3));
    const records = await read(at, BigInt(PAYLOADS.length + 3));
    PAYLOADS.forEach((payload, i) => {
      expect(Buffer.compare(records[i]?.payload ?? bytes(''), encodePayload(payload)), `payload ${i}`).toBe(0);
    });
    expect(decodePayload(records[7]?.payload ?? bytes('')).headers[4]?.key.join()).toBe(notUtf8.join());
    expect(records.map((record) => record.offset)).toEqual(records.map((_, i) => BigInt(i)));
  });

  it('keep timestamps exactly, the widest differences too', async () => {
    const at = { topic: await harness.makeTopic(1, { 'message.timestamp.after.max.ms': '9223372036854775807' }), partition: 0 };
    const payload = encodePayload({ key: null, value: null, headers: [] });
    const deltas = [0n, 1n, -1n, 63n, 64n, 1n << 27n, 1n << 28n, -(1n << 28n), 1n << 40n, -1_700_000_000_001n, 1n << 53n, (1n << 62n) + 1n];
    await harness.produceRaw(at, recordBatch(deltas.map((timestampDelta) => ({ payload, timestampDelta })), { baseTimestamp: 1_700_000_000_000n }));
    const records = await read(at, BigInt(deltas.length));
    expect(records.map(({ timestamp }) => timestamp)).toEqual(deltas.map((delta) => 1_700_000_000_000n + delta));
  });

  it('have the append time where the topic says so', async () => {
    const at = { topic: await harness.makeTopic(1, { 'message.timestamp.type': 'LogAppendTime' }), partition: 0 };
    const beforeMs = BigInt(Date.now());
    await harness.produce(at, [{ key: null, value: bytes('v'), headers: [] }]);
    const [record] = await read(at, 1n);
    expect(record !== undefined && record.timestamp >= beforeMs - 1_000n && record.timestamp <= BigInt(Date.now()) + 1_000n).toBe(true);
  });

  it.each([
    ['gzip', 1, async (raw: Buffer) => gzipSync(raw)],
    ['snappy, one raw block', 2, async (raw: Buffer) => await viaKafkajs(2, raw)],
    ['snappy, as Java frames it', 2, xerial],
    ['lz4', 3, async (raw: Buffer) => await viaKafkajs(3, raw)],
    ['zstd', 4, async (raw: Buffer) => zstdCompressSync(raw)],
  ])('are read out of batches compressed with %s', async (_name, codec, compress) => {
    const at = { topic: await harness.makeTopic(1), partition: 0 };
    const payloads = Array.from({ length: 500 }, (_, i): Payload => ({ key: bytes(`key ${i}`), value: everyByte, headers: [{ key: bytes('n'), value: bytes(`${i}`) }] }));
    const records = payloads.map((payload) => ({ payload: encodePayload(payload) }));
    let raw: Buffer = Buffer.alloc(0);
    recordBatch(records, { compress: (records) => (raw = records) });
    const stored = await compress(raw);
    expect(stored.length).toBeLessThan(raw.length);
    await harness.produceRaw(at, recordBatch(records, { codec, compress: () => stored }));
    // A fetch may begin inside a batch; compressed ones come whole then.
    const read500 = await read(at, 500n);
    expect(read500).toHaveLength(500);
    read500.forEach(({ payload }, i) => expect(Buffer.compare(payload, records[i]?.payload ?? bytes(''))).toBe(0));
    const reader = await openPatientSource(harness.options);
    reader.seek(at, offset(490n));
    let event: SourceEvent | undefined;
    while (event === undefined) [event] = await reader.poll({ maxWaitMs: 5_000 });
    expect(event.kind === 'records' && [event.firstOffset, event.records[0]?.offset, event.records.length, event.nextOffset]).toEqual([490n, 490n, 10, 500n]);
    await reader.close();
  });

  it('with poisonous header names do not stop an ordinary consumer of the patched kafkajs', async () => {
    const at = { topic: await harness.makeTopic(1), partition: 0 };
    for (const payload of PAYLOADS.slice(6)) await harness.produce(at, [payload]);
    const consumer = harness.kafka.consumer({ groupId: uniqueName('poison') });
    const seen: { headers: Record<string, unknown>; value: string }[] = [];
    const done = Promise.withResolvers<void>();
    await consumer.connect();
    await consumer.subscribe({ topics: [at.topic], fromBeginning: true });
    await consumer.run({
      autoCommit: false,
      eachMessage: async ({ message }) => {
        seen.push({ headers: message.headers ?? {}, value: message.value?.toString() ?? '' });
        if (seen.length === 2) done.resolve();
      },
    });
    await done.promise;
    await consumer.disconnect();
    expect(seen.map(({ value }) => value)).toEqual(['order and repeats', 'names']);
    expect(seen[0]?.headers['b']).toEqual([Buffer.from('1'), null, Buffer.from('3')]);
    expect(Object.keys(seen[1]?.headers ?? {})).toContain('__proto__');
    expect(seen[1]?.headers['constructor']).toEqual(Buffer.from('c'));
  });
});
