/** `plait dev`: everything on this machine, for trying out. */
import { mkdir } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { Command } from 'commander';
import { isPlaitError, parseTopic, PlaitError } from '@plait/core';
import { createKafka, topicOffsets, type KafkaOptions } from '@plait/kafka';
import { openLedger } from '@plait/ledger';
import { launch, type Services } from '@plait/launcher';
import { exists, ledgerFilePath, loadLedger } from './keys.ts';
import { initLedger, makePlan } from './governing/init.ts';
import { makeLog, type Log } from './log.ts';
import { countArgument, kafkaOptions, ledgerOption, logLevelOption, optionValue, type CommonOptions } from './options.ts';
import { printLine, programName } from './output.ts';
import { spawnRole, type RoleProcess } from './roles.ts';
import { settled } from './settled.ts';
import { stopSignal } from './stopping.ts';

const EXAMPLES = `
Kafka and Redis come from PLAIT_BOOTSTRAP_SERVERS and PLAIT_REDIS_URL if set, else from Docker, else as processes (Java 17
and Maven). Their data is kept, so that the ledger goes on with the next "plait dev"; Ctrl-C ends all of it.

Examples:
  plait dev
  plait dev --topic payments --partitions 12 --ledger ./payments
`;

const PARTITIONS_DEFAULT = 6;
const PARTITIONS_MAX = 1_000;

interface DevOptions extends CommonOptions {
  readonly topic?: readonly string[];
  readonly partitions: number;
  readonly dataDir?: string;
}

/** The command. */
export function devCommand(): Command {
  return new Command('dev')
    .summary('run Kafka, Redis, a worker, a coordinator and a publisher here')
    .description('Starts Kafka and Redis, creates topics and a ledger that are not there yet, and runs a worker, a coordinator and a publisher until Ctrl-C.')
    .option('--topic <topic...>', 'source topics; made if they are not there (default: those of the ledger, or orders)')
    .option('--partitions <n>', 'partitions of topics that are made', countArgument(1, PARTITIONS_MAX), PARTITIONS_DEFAULT)
    .option('--data-dir <folder>', 'folder for the data of Kafka and the logs (default: data in the ledger\'s folder)')
    .addOption(ledgerOption())
    .addOption(logLevelOption())
    .addHelpText('after', EXAMPLES)
    .action(async (options: DevOptions) => {
      await runDev(options, makeLog(options.logLevel), stopSignal());
    });
}

async function runDev(options: DevOptions, log: Log, signal: AbortSignal): Promise<void> {
  const folder = resolve(options.ledger);
  const dataDir = resolve(options.dataDir ?? join(folder, 'data'));
  await mkdir(folder, { recursive: true, mode: 0o700 });
  await mkdir(dataDir, { recursive: true });
  try {
    await using services = await launch({ dataDir, signal, onProgress: (line) => log.info({ event: 'launch' }, line) });
    const kafka = kafkaOptions({ bootstrapServer: services.bootstrapServers }, log);
    await ensureLedger(options, { folder, kafka, log });
    await runRoles({ services, folder, dataDir, log, signal });
  } catch (error) {
    if (signal.aborted && !isPlaitError(error)) return;
    throw error;
  }
}

/** Goes on with the folder's ledger, or makes one, topics included. Throws `config` if it is not over the topics asked for. */
async function ensureLedger(options: DevOptions, context: { folder: string; kafka: KafkaOptions; log: Log }): Promise<void> {
  const { folder, kafka, log } = context;
  if (!(await exists(ledgerFilePath(folder)))) {
    const topics = (options.topic ?? ['orders']).map((topic) => optionValue('--topic', () => parseTopic(topic)));
    await ensureTopics(kafka, topics, options.partitions, log);
    await initLedger(makePlan(topics as [string, ...string[]]), context);
    return;
  }
  const { brokers, ...rest } = kafka;
  await using ledger = await openLedger({ ...(await loadLedger(folder)), bootstrapServers: brokers, kafka: rest });
  const { sources } = await ledger.status();
  const others = (options.topic ?? []).filter((topic) => !sources.includes(topic));
  if (others.length > 0) {
    throw new PlaitError('config', `--topic: the ledger in ${folder} orders ${sources.join(', ')} and not ${others.join(', ')}: name another folder with --ledger`);
  }
}

async function ensureTopics(kafka: KafkaOptions, topics: readonly string[], partitions: number, log: Log): Promise<void> {
  const admin = createKafka(kafka).admin();
  await admin.connect();
  try {
    const there = new Set(await admin.listTopics());
    const missing = topics.filter((topic) => !there.has(topic));
    if (missing.length === 0) return;
    await admin.createTopics({
      waitForLeaders: true,
      topics: missing.map((topic) => ({ topic, numPartitions: partitions, replicationFactor: -1 })),
    });
    for (const topic of missing) {
      const { length } = await settled(() => topicOffsets({ kafka, topic }));
      log.info({ event: 'topic' }, `created the topic ${topic} with ${length} partitions`);
    }
  } catch (error) {
    if (isPlaitError(error)) throw error;
    throw new PlaitError('unavailable', `cannot create the topics ${topics.join(', ')}: ${(error as Error).message}`, { cause: error });
  } finally {
    await admin.disconnect();
  }
}

interface Running {
  readonly services: Services;
  readonly folder: string;
  readonly dataDir: string;
  readonly log: Log;
  readonly signal: AbortSignal;
}

async function runRoles(running: Running): Promise<void> {
  const { services, folder, dataDir, log, signal } = running;
  const start = (command: RoleProcess['command']): RoleProcess =>
    spawnRole({
      command, logFile: join(dataDir, `${command}.log`), args: ['--ledger', folder],
      env: { PLAIT_BOOTSTRAP_SERVERS: services.bootstrapServers, PLAIT_REDIS_URL: services.redisUrl, PLAIT_LOG_LEVEL: 'info' },
    });
  await using worker = start('worker');
  await using coordinator = start('coordinator');
  await using publisher = start('publisher');
  const roles = [worker, coordinator, publisher];
  const stopped = new Promise<void>((done) => signal.addEventListener('abort', () => done(), { once: true }));
  if (signal.aborted) return;
  await Promise.race([stopped, Promise.all(roles.map(({ ready }) => ready))]);
  if (!signal.aborted) await printAddresses(running, roles);
  const ended = roles.map(async (role) => ({ role, ...(await role.exited) }));
  const first = await Promise.race([stopped, ...ended]);
  if (first !== undefined && !signal.aborted) {
    throw new PlaitError('unavailable', `the ${first.role.command} ended (${first.signal ?? `code ${first.code}`}): see its log ${first.role.logFile}`);
  }
  log.info({ event: 'stopping' }, 'stopping');
}

async function printAddresses({ services, folder }: Running, roles: readonly RoleProcess[]): Promise<void> {
  const { origin, log } = await loadLedger(folder);
  const lines = [
    `Kafka   ${services.bootstrapServers}`,
    `Redis   ${services.redisUrl}`,
    `Ledger  ${origin} in ${folder}, log ${log}`,
    ...roles.map(({ command, pid, logFile }) => `${command.padEnd(12)} process ${pid}, log ${logFile}`),
    '',
    'Try in another shell:',
    `  export PLAIT_BOOTSTRAP_SERVERS=${services.bootstrapServers} PLAIT_REDIS_URL=${services.redisUrl} PLAIT_LEDGER=${folder}`,
    `  ${programName()} read --follow`,
    `  ${programName()} status --watch`,
    `  ${programName()} coordinator        # a second one, that stands by`,
    'Ctrl-C ends everything.',
  ];
  for (const line of lines) printLine(line);
}
