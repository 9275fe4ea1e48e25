/**
 * `pnpm bench`: first figures, all from one run on one broker, 200-byte records in 8 partitions, each the median of 3
 * rounds, and their ratios. Rounds take turns (plain, worker, read; hop, verified), so that a noisy machine hits all alike.
 */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { cpSync, mkdtempSync, realpathSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { createRequire } from 'node:module';
import { dirname, join } from 'node:path';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { formatGenesis, MESSAGE_BYTES_MAX, signNote, type Genesis } from '@plait/core';
import { createKafka, createLogTopic, openLogAppender } from '@plait/kafka';
import { launch } from '@plait/launcher';
import { KEYS, ORIGIN, type PartOptions } from './shared.ts';

const ROUNDS = 3;
const BACKLOG = Number(process.env['PLAIT_BENCH_RECORDS'] ?? 1_000_000);
const PER_SECOND = 5_000;
/** The second half counts. */
const PACED_SECONDS = 20;
const PARTITIONS = 8;

const here = dirname(fileURLToPath(import.meta.url));
const note = (line: string): void => void process.stderr.write(`${line}\n`);
const median = (values: readonly number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

/** A copy of the kafkajs that is on npm: ours with our patch taken out again. */
function unpatchedKafkajs(folder: string): string {
  const installed = dirname(createRequire(join(here, '../package.json')).resolve('kafkajs/package.json'));
  cpSync(realpathSync(installed), folder, { recursive: true });
  execFileSync('git', ['apply', '-R', '-p1', join(here, '../../patches/kafkajs@2.2.4.patch')], { cwd: folder });
  return folder;
}

class Part {
  readonly #child: ChildProcess;
  readonly #result: Promise<Record<string, number>>;
  readonly ready: Promise<void>;

  constructor(name: string, options: PartOptions) {
    const args = ['--conditions=development', join(here, 'part.ts'), name, JSON.stringify(options)];
    const child = spawn(process.execPath, args, { stdio: ['ignore', 'pipe', 'inherit'] });
    this.#child = child;
    const lines = createInterface({ input: child.stdout });
    const { promise: ready, resolve: isReady } = Promise.withResolvers<void>();
    const { promise: result, resolve, reject } = Promise.withResolvers<Record<string, number>>();
    lines.on('line', (line) => (line === 'ready' ? isReady() : resolve(JSON.parse(line) as Record<string, number>)));
    // `close` comes after the last line was read; a part that has told its result has resolved by then.
    child.on('close', (code) => (code === 0 ? resolve({}) : reject(new Error(`${name} ended with ${code}`))));
    this.ready = ready;
    this.#result = result;
  }

  result(): Promise<Record<string, number>> {
    return this.#result;
  }

  async stop(): Promise<void> {
    this.#child.kill('SIGTERM');
    await this.#result;
  }
}

const folder = mkdtempSync(join(tmpdir(), 'plait-bench-'));
await using services = await launch({ redis: false, onProgress: note });
const { bootstrapServers } = services;
const kafka = { brokers: bootstrapServers.split(',') };
const plainKafkajs = unpatchedKafkajs(join(folder, 'kafkajs'));
const admin = createKafka(kafka).admin();
await admin.connect();
const run = Date.now().toString(36);
let topics = 0;

async function makeTopic(): Promise<string> {
  topics += 1;
  const topic = `bench-${run}-${topics}`;
  await admin.createTopics({ topics: [{ topic, numPartitions: PARTITIONS, replicationFactor: 1 }] });
  return topic;
}

async function makeLedger(topic: string): Promise<string> {
  topics += 1;
  const log = `bench-${run}-${topics}.plait`;
  await createLogTopic({ kafka, topic: log, messageBytesMax: MESSAGE_BYTES_MAX, replicationFactor: 1 });
  const genesis: Genesis = {
    kind: 'genesis', origin: ORIGIN, rules: 1, onLoss: 'stop', partitionsMax: 64, pendingMax: 1_024,
    checkpointKeys: [KEYS.checkpoint.verifier], coordinatorKeys: [KEYS.coordinator.verifier], workerKeys: [KEYS.worker.verifier],
    sources: [topic], starts: [], voids: [],
  };
  const appender = await openLogAppender({ kafka, topic: log });
  await appender.append(signNote(formatGenesis(genesis), KEYS.ledger));
  await appender.close();
  return log;
}

async function fill(topic: string): Promise<void> {
  const producer = createKafka(kafka).producer({ allowAutoTopicCreation: false });
  await producer.connect();
  const value = Buffer.alloc(200, 'plait');
  for (let sent = 0; sent < BACKLOG; sent += 8_000) {
    const sends = Array.from({ length: PARTITIONS }, (_, partition) => producer.send({
      topic, acks: -1, messages: Array.from({ length: 1_000 }, () => ({ value, partition })),
    }));
    await Promise.all(sends);
  }
  await producer.disconnect();
}

const rates = { plain: [] as number[], worker: [] as number[], read: [] as number[] };
const latency = { hop50: [] as number[], hop99: [] as number[], verified50: [] as number[], verified99: [] as number[] };

note(`producing ${BACKLOG} records of 200 bytes into ${PARTITIONS} partitions`);
const backlog = await makeTopic();
await fill(backlog);
const base = { bootstrapServers, topic: backlog, records: BACKLOG, perSecond: PER_SECOND, plainKafkajs };

for (let round = 1; round <= ROUNDS; round += 1) {
  note(`round ${round} of ${ROUNDS}: rates`);
  const log = await makeLedger(backlog);
  rates.plain.push((await new Part('plainConsume', { ...base, log }).result())['rate'] ?? Number.NaN);
  rates.worker.push((await new Part('worker', { ...base, log }).result())['rate'] ?? Number.NaN);
  const coordinator = new Part('coordinator', { ...base, log });
  await coordinator.ready;
  await new Part('read', { ...base, log }).result();
  await coordinator.stop();
  rates.read.push((await new Part('read', { ...base, log }).result())['rate'] ?? Number.NaN);
}

const records = PER_SECOND * PACED_SECONDS;
for (let round = 1; round <= ROUNDS; round += 1) {
  note(`round ${round} of ${ROUNDS}: latency at ${PER_SECOND} records/s`);
  const plainTopic = await makeTopic();
  const plain = { ...base, topic: plainTopic, log: '', records };
  const hop = new Part('hop', plain);
  await hop.ready;
  await new Part('paced', plain).result();
  const hopResult = await hop.result();
  latency.hop50.push(hopResult['p50'] ?? Number.NaN);
  latency.hop99.push(hopResult['p99'] ?? Number.NaN);

  const topic = await makeTopic();
  const options = { ...base, topic, log: await makeLedger(topic), records };
  const worker = new Part('worker', { ...options, records: 0 });
  const coordinator = new Part('coordinator', options);
  const verified = new Part('verified', options);
  await Promise.all([worker.ready, coordinator.ready, verified.ready]);
  await new Promise((resolve) => setTimeout(resolve, 1_500));
  await new Part('paced', options).result();
  const result = await verified.result();
  latency.verified50.push(result['p50'] ?? Number.NaN);
  latency.verified99.push(result['p99'] ?? Number.NaN);
  await Promise.all([worker.stop(), coordinator.stop()]);
}
await admin.disconnect();
rmSync(folder, { recursive: true });

const thousand = (value: number): string => `${Math.round(value / 1000)},000 records/s`;
const ms = (value: number): string => `${value.toFixed(1)} ms`;
const plain = median(rates.plain);
const hop = median(latency.hop50);
process.stdout.write([
  `plain kafkajs consume     ${thousand(plain)}`,
  `worker, consume to report ${thousand(median(rates.worker))}   ${(median(rates.worker) / plain).toFixed(2)} × plain`,
  `verified merged read      ${thousand(median(rates.read))}   ${(median(rates.read) / plain).toFixed(2)} × plain`,
  `plain hop                 p50 ${ms(hop)}, p99 ${ms(median(latency.hop99))}`,
  `produce to verified       p50 ${ms(median(latency.verified50))}, p99 ${ms(median(latency.verified99))}   ` +
    `p50 ${(median(latency.verified50) / hop).toFixed(1)} × a hop`,
  '',
].join('\n'));
