/** `plait demo`: the main job on this machine, from Kafka's start to a verified ledger. */
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command } from 'commander';
import { createKafka, type KafkaOptions } from '@plait/kafka';
import type { LedgerFile } from '@plait/ledger';
import { launch, type Services } from '@plait/launcher';
import { checkLedger, orderAt, type CheckResult } from './demo-check.ts';
import { DEMO_PARTITIONS, DEMO_TOPIC, OrderProducer } from './demo-orders.ts';
import { playProof } from './demo-proof.ts';
import { startReader } from './demo-reader.ts';
import { count, Screen } from './demo-screen.ts';
import { DemoTeam } from './demo-team.ts';
import { LogWatch } from './demo-watch.ts';
import { EXIT } from '../exit.ts';
import { initLedger, makePlan } from '../governing/init.ts';
import { makeLog } from '../log.ts';
import { countArgument, kafkaOptions, logLevelOption, type CommonOptions } from '../options.ts';
import { printLine, programName } from '../output.ts';
import { stopSignal } from '../stopping.ts';

const EXAMPLES = `
Kafka and Redis come from PLAIT_BOOTSTRAP_SERVERS and PLAIT_REDIS_URL if set, else from Docker, else as processes (Java 17
and Maven). Exit code 0 only if every record that was produced was read back in order and verified, the receipt of one held,
and the one that is changed on the broker's disk in the end was named. That is left out with --keep, and on a Kafka of yours.

Examples:
  plait demo
  plait demo --seed 7 --keep
`;

const EVEN_PER_SECOND = 5_000;
const EVEN_SECONDS = 10;
const FAST_RECORDS = 200_000;
/** A killed worker's partitions rest for its session time-out; then everything must have caught up soon. */
const CATCH_UP_MS_MAX = 40_000;
const SEED_MAX = 2 ** 31 - 1;

interface DemoOptions extends Pick<CommonOptions, 'logLevel'> {
  readonly seed: number;
  readonly keep?: boolean;
}

/** The command. */
export function demoCommand(): Command {
  return new Command('demo')
    .summary('see it work: 250,000 orders, a killed leader, a verified ledger, a record that was tampered with')
    .description('Starts Kafka, Redis, workers, coordinators and a reader, produces orders, kills the leader and a worker in the middle, and verifies the whole ledger. Then it proves one record to a stranger, and tampers with it.')
    .option('--seed <n>', 'what the orders are made from', countArgument(0, SEED_MAX), 1)
    .option('--keep', 'leave everything running in the end, until Ctrl-C')
    .addOption(logLevelOption().default('error'))
    .addHelpText('after', EXAMPLES)
    .action(async (options: DemoOptions) => {
      process.exitCode = await runDemo(options, stopSignal());
    });
}

/** What the measured part of the demo showed. */
interface Measured {
  readonly latenciesMs: readonly number[];
  readonly fastSeconds: number;
  readonly caughtUpSeconds: number;
  readonly evenGapMs: number;
  readonly killGapMs: number;
  readonly produced: number;
}

async function runDemo({ seed, keep = false, logLevel }: DemoOptions, signal: AbortSignal): Promise<number> {
  const log = makeLog(logLevel);
  const folder = await mkdtemp(join(tmpdir(), 'plait-demo-'));
  try {
    await using services = await launch({ signal, onProgress: printLine });
    const kafka = kafkaOptions({ bootstrapServer: services.bootstrapServers }, log);
    await makeTopic(kafka);
    const { file } = await initLedger(makePlan([DEMO_TOPIC]), { folder, kafka, log });
    printLine(`topic ${DEMO_TOPIC} with ${DEMO_PARTITIONS} partitions, ledger ${file.origin}, Kafka and Redis ${services.how}`);
    const env = { PLAIT_BOOTSTRAP_SERVERS: services.bootstrapServers, PLAIT_REDIS_URL: services.redisUrl, PLAIT_LEDGER: folder };
    await using team = await DemoTeam.start(env, folder);
    await using watch = await LogWatch.open(kafka, file);
    const measured = await measure({ env, kafka, seed, team, watch, signal });
    if (signal.aborted) return EXIT.interrupted;
    printLine('a fresh reader reads everything from seq 0 and recomputes every hash …');
    const check = await checkLedger(kafka, file, measured.produced);
    for (const line of summary(measured, check, watch)) printLine(line);
    if (check.problem !== undefined) return EXIT.tampered;
    const { records } = check;
    const order = await orderAt(kafka, file, BigInt(Math.floor(records / 2)));
    // Who wants to go on has records that are as they were.
    const problem = await playProof({ env, folder, file, records, order, kafka: keep ? undefined : services.kafka, signal });
    if (signal.aborted) return EXIT.interrupted;
    if (problem !== undefined) printLine(`\nFAILED: ${problem}`);
    if (keep) await keepRunning({ services, file, folder, signal });
    return problem === undefined ? EXIT.done : EXIT.tampered;
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function makeTopic(kafka: KafkaOptions): Promise<void> {
  const admin = createKafka(kafka).admin();
  await admin.connect();
  await admin.createTopics({ waitForLeaders: true, topics: [{ topic: DEMO_TOPIC, numPartitions: DEMO_PARTITIONS, replicationFactor: -1 }] });
  await admin.disconnect();
}

interface Stage {
  readonly env: NodeJS.ProcessEnv;
  readonly kafka: KafkaOptions;
  readonly seed: number;
  readonly team: DemoTeam;
  readonly watch: LogWatch;
  readonly signal: AbortSignal;
}

/** Produces in two phases while a reader follows, with the kill in the middle of the second. */
async function measure({ env, kafka, seed, team, watch, signal }: Stage): Promise<Measured> {
  const latenciesMs: number[] = [];
  let isEven = true;
  let verified = 0;
  let sample = '';
  const { promise: readerStarted, resolve: sayStarted } = Promise.withResolvers<void>();
  await using producer = await OrderProducer.connect(kafka, seed);
  await using reader = startReader({
    args: [], env,
    onNews: (news) => {
      sayStarted();
      verified = news.verified;
      sample = news.sample;
      if (isEven) for (const ms of news.latenciesMs) latenciesMs.push(ms);
    },
  });
  await Promise.race([readerStarted, reader.failed]);
  using screen = new Screen(() => ({
    produced: producer.acknowledged, sequenced: watch.sequenced, verified, leader: team.leader, epoch: watch.epoch, sample,
  }));
  screen.say(`${count(EVEN_PER_SECOND)} orders a second for ${EVEN_SECONDS} s`);
  watch.takeLongestGapMs();
  await Promise.race([producer.produceEvenly({ perSecond: EVEN_PER_SECOND, seconds: EVEN_SECONDS, signal }), reader.failed]);
  isEven = false;
  const evenGapMs = watch.takeLongestGapMs();

  screen.say(`${count(FAST_RECORDS)} orders as fast as it goes`);
  const startMs = performance.now();
  const halfway = (): void => screen.say(team.killLeaderAndWorker());
  await Promise.race([producer.produceFast({ count: FAST_RECORDS, signal, halfway }), reader.failed]);
  const fastSeconds = (performance.now() - startMs) / 1000;
  const untilMs = performance.now() + CATCH_UP_MS_MAX;
  while (verified < producer.acknowledged && performance.now() < untilMs && !signal.aborted) {
    await Promise.race([new Promise((resolve) => setTimeout(resolve, 50)), reader.failed]);
  }
  return {
    latenciesMs, fastSeconds, evenGapMs, killGapMs: watch.takeLongestGapMs(), produced: producer.acknowledged,
    caughtUpSeconds: (performance.now() - startMs) / 1000,
  };
}

function summary(measured: Measured, check: CheckResult, watch: LogWatch): string[] {
  const sorted = measured.latenciesMs.toSorted((a, b) => a - b);
  const percentile = (p: number): string => (sorted[Math.floor(sorted.length * p)] ?? Number.NaN).toFixed(1);
  return [
    '',
    `  records     ${count(check.records)} of ${count(measured.produced)} produced, in ${check.partitions} partitions`,
    `  blocks      ${count(watch.blocks)} with ${count(check.segments)} segments, ${watch.epoch} epochs`,
    `  latency     producer to verified at ${count(EVEN_PER_SECOND)}/s: p50 ${percentile(0.5)} ms, p99 ${percentile(0.99)} ms`,
    `  rates       produced ${count(FAST_RECORDS / measured.fastSeconds)}/s; read again, verified, ${count(check.records / check.seconds)}/s`,
    `  kill        all caught up ${measured.caughtUpSeconds.toFixed(1)} s after the fast phase began`,
    `  longest gap without a block: ${count(measured.killGapMs)} ms with the kill, ${count(measured.evenGapMs)} ms before it`,
    '',
    check.problem === undefined ? 'verified: every record, every segment, every block' : `NOT verified: ${check.problem}`,
  ];
}

async function keepRunning(running: { services: Services; file: LedgerFile; folder: string; signal: AbortSignal }): Promise<void> {
  const { services, folder, signal } = running;
  const lines = [
    '',
    'Everything goes on running until Ctrl-C. Try in another shell:',
    `  export PLAIT_BOOTSTRAP_SERVERS=${services.bootstrapServers} PLAIT_REDIS_URL=${services.redisUrl} PLAIT_LEDGER=${folder}`,
    `  ${programName()} status`,
    `  ${programName()} read --from-seq 1000 --to-seq 1010`,
    `  ${programName()} read -o jsonl --to-seq 5`,
    `  ${programName()} verify`,
    `  ${programName()} coordinator        # one more, that stands by`,
  ];
  for (const line of lines) printLine(line);
  if (!signal.aborted) await new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
}
