/**
 * One measured part of the benchmark in a process of its own: `node part.ts <part> <json>`. Prints `ready` when it may be
 * started upon, and in the end one line of JSON.
 */
import { createRequire } from 'node:module';
import { logPosition } from '@plait/core';
import { joinWorkerGroup, openLogAppender, openLogReader, openSourceReader } from '@plait/kafka';
import { openLedger, systemClock } from '@plait/ledger';
import { Coordinator, LeaseKeeper, Worker, type HeldLease } from '@plait/roles';
import { KEYS, ORIGIN, sleepUntil, wallNow, type PartOptions } from './shared.ts';

const [part = '', json = '{}'] = process.argv.slice(2);
const options = JSON.parse(json) as PartOptions;
const kafka = { brokers: options.bootstrapServers.split(',') };
const stop = new AbortController();
process.on('SIGTERM', () => stop.abort());

const say = (line: unknown): void => void process.stdout.write(`${JSON.stringify(line)}\n`);
const ready = (): void => void process.stdout.write('ready\n');

/** An empty ledger port set of one role over Kafka. */
async function ports(paceMs = 0) {
  const { log: topic } = options;
  const log = await openLogReader({ kafka, topic, from: logPosition(0n), paceMs });
  const appender = await openLogAppender({ kafka, topic });
  return { log, appender, origin: ORIGIN, ledgerKey: KEYS.ledger.verifier, clock: systemClock };
}

/** Plain kafkajs, unpatched: counts every record of the topic; rate from the first batch on. */
async function plainConsume(): Promise<void> {
  const { Kafka, logLevel } = createRequire(import.meta.url)(options.plainKafkajs) as typeof import('kafkajs');
  const consumer = new Kafka({ brokers: kafka.brokers, logLevel: logLevel.NOTHING }).consumer({
    groupId: `plain-${process.pid}-${Date.now()}`, maxBytesPerPartition: 1 << 20, maxBytes: 16 << 20, maxWaitTimeInMs: 100,
  });
  await consumer.connect();
  await consumer.subscribe({ topics: [options.topic], fromBeginning: true });
  let count = 0;
  let startMs = 0;
  await new Promise<void>((resolve) => {
    void consumer.run({
      autoCommit: false, partitionsConsumedConcurrently: 8, eachBatchAutoResolve: true,
      eachBatch: async ({ batch }) => {
        startMs ||= performance.now();
        count += batch.messages.length;
        if (count >= options.records) resolve();
      },
    });
  });
  say({ rate: count / ((performance.now() - startMs) / 1000) });
  process.exit(0);
}

/** The worker role: from the moment its partitions are assigned until the last report is acknowledged. */
async function worker(): Promise<void> {
  let reported = 0n;
  let startMs = 0;
  const role = new Worker({
    ...(await ports(25)), key: KEYS.worker, source: await openSourceReader({ kafka }),
    membership: joinWorkerGroup({ kafka, groupId: `bench-${options.log}` }),
    observe: (event) => {
      if (event.event === 'started') startMs ||= performance.now();
      if (event.event === 'reported') reported += event.records;
    },
  });
  ready();
  while (!stop.signal.aborted && (options.records === 0 || reported < BigInt(options.records))) await role.step();
  await role.drain();
  say({ rate: Number(reported) / ((performance.now() - startMs) / 1000) });
  process.exit(0);
}

/** A coordinator that is sure of its lease: leads from its start. */
async function coordinator(): Promise<void> {
  const held: HeldLease = { extend: async () => true, release: async () => undefined };
  const lease = { ttlMs: 500, acquire: async () => held, close: async () => undefined };
  const random = { uniform: Math.random, bytes: (count: number) => crypto.getRandomValues(new Uint8Array(count)) };
  const keeper = new LeaseKeeper({ lease, clock: systemClock, random });
  const role = new Coordinator({ ...(await ports()), key: KEYS.coordinator, lease: keeper, random });
  while (!keeper.held()) await keeper.step();
  const keeping = (async () => { while (!stop.signal.aborted) await keeper.step(stop.signal); })();
  let isReady = false;
  while (!stop.signal.aborted) {
    await role.step();
    if (role.leading && !isReady) ready();
    isReady ||= role.leading;
  }
  await keeping;
  process.exit(0);
}

/** The verified merged read of a backlog, record by record, from opening the reader to the last record. */
async function read(): Promise<void> {
  const ledger = await openLedger({ bootstrapServers: kafka.brokers, log: options.log, origin: ORIGIN, ledgerKey: KEYS.ledger.verifier.vkey });
  const startMs = performance.now();
  let next = 0n;
  for await (const entry of ledger.read({ toSeq: BigInt(options.records) })) {
    if (entry.kind !== 'record' || entry.seq !== next) throw new Error(`expected record ${next}`);
    next += 1n;
  }
  say({ rate: Number(next) / ((performance.now() - startMs) / 1000) });
  process.exit(0);
}

const percentile = (sorted: readonly number[], p: number): number => sorted[Math.floor(sorted.length * p)] ?? Number.NaN;

function sayLatencies(latenciesMs: number[]): void {
  // The first half warms up the broker and the code of every process.
  const sorted = latenciesMs.slice(Math.floor(latenciesMs.length / 2)).toSorted((a, b) => a - b);
  say({ p50: percentile(sorted, 0.5), p99: percentile(sorted, 0.99), count: sorted.length });
}

/** Produce-to-consume of plain Kafka: a patched or unpatched client makes no difference at this rate. */
async function hop(): Promise<void> {
  const { Kafka, logLevel } = createRequire(import.meta.url)(options.plainKafkajs) as typeof import('kafkajs');
  const consumer = new Kafka({ brokers: kafka.brokers, logLevel: logLevel.NOTHING }).consumer({
    groupId: `hop-${process.pid}-${Date.now()}`, maxWaitTimeInMs: 500, minBytes: 1,
  });
  await consumer.connect();
  await consumer.subscribe({ topics: [options.topic] });
  const latenciesMs: number[] = [];
  consumer.on('consumer.group_join', () => setTimeout(ready, 1_000));
  await new Promise<void>((resolve) => {
    void consumer.run({
      autoCommit: false, partitionsConsumedConcurrently: 8,
      eachBatch: async ({ batch }) => {
        const nowMs = wallNow();
        for (const { value } of batch.messages) if (value !== null) latenciesMs.push(nowMs - value.readDoubleLE(0));
        if (latenciesMs.length >= options.records) resolve();
      },
    });
  });
  sayLatencies(latenciesMs);
  process.exit(0);
}

/** Produce-to-verified: the same records, read through the ledger while they come. */
async function verified(): Promise<void> {
  const ledger = await openLedger({
    bootstrapServers: kafka.brokers, log: options.log, origin: ORIGIN, ledgerKey: KEYS.ledger.verifier.vkey,
  });
  const latenciesMs: number[] = [];
  setTimeout(ready, 1_000);
  for await (const entry of ledger.read({ toSeq: BigInt(options.records) })) {
    if (entry.kind !== 'record' || entry.value === null) throw new Error('expected records only');
    latenciesMs.push(wallNow() - Buffer.from(entry.value.buffer, entry.value.byteOffset).readDoubleLE(0));
  }
  sayLatencies(latenciesMs);
  process.exit(0);
}

/**
 * Produces at an even rate, a batch every 5 ms as Kafka's own producer makes by default (linger.ms = 5), spread over all
 * partitions; each value begins with the time at which it was handed over.
 */
async function paced(): Promise<void> {
  const { Kafka, logLevel, CompressionTypes } = createRequire(import.meta.url)(options.plainKafkajs) as typeof import('kafkajs');
  const producer = new Kafka({ brokers: kafka.brokers, logLevel: logLevel.NOTHING }).producer({ allowAutoTopicCreation: false });
  await producer.connect();
  const perBatch = options.perSecond / 200;
  const startMs = performance.now();
  const sends: Promise<unknown>[] = [];
  for (let sent = 0; sent < options.records; sent += perBatch) {
    await sleepUntil(startMs + (sent / options.perSecond) * 1000);
    const messages = Array.from({ length: perBatch }, (_, i) => {
      const value = Buffer.alloc(200);
      value.writeDoubleLE(wallNow(), 0);
      return { value, partition: (sent / perBatch + i) % 8 };
    });
    sends.push(producer.send({ topic: options.topic, acks: -1, compression: CompressionTypes.None, messages }));
  }
  await Promise.all(sends);
  await producer.disconnect();
  say({ seconds: (performance.now() - startMs) / 1000 });
  process.exit(0);
}

const PARTS: Record<string, () => Promise<void>> = { plainConsume, worker, coordinator, read, hop, verified, paced };
const run = PARTS[part];
if (run === undefined) throw new Error(`no part ${part}`);
await run();
