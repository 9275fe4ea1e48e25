/** Kafka and Redis as processes of this machine, under a keeper. */
import { randomBytes } from 'node:crypto';
import { access, mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { kafkaJars, redisBinaries } from './cache.ts';
import { LauncherError } from './errors.ts';
import type { Keeper } from './keeper-client.ts';
import { freePorts, kafkaAnswers, redisAnswers } from './probe.ts';
import { findJava, findProgram } from './programs.ts';
import { PortTaken, ServerProcess } from './server.ts';
import { brokerSettings } from './settings.ts';
import type { KafkaControl, ServiceControl } from './types.ts';

/** A started server and its address. */
export interface Started<Control> {
  readonly address: string;
  readonly control: Control;
}

/** What both servers need to start. */
export interface ProcessContext {
  readonly keeper: Keeper;
  /** Folder for data, settings and logs. */
  readonly folder: string;
  readonly onProgress: (line: string) => void;
}

const startTries = 5;
// Without the file of counters that a killed JVM leaves behind.
const javaOptions = ['-Xms128m', '-Xmx768m', '-XX:+UseSerialGC', '-XX:-UsePerfData'];
const log4j = `status=error
appender.out.type=Console
appender.out.name=OUT
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=[%d] %p %m (%c)%n
rootLogger.level=INFO
rootLogger.appenderRef.out.ref=OUT
`;

/** What a cluster keeps between launches on the same folder. */
interface Cluster {
  readonly clusterId: string;
  readonly brokers: 1 | 3;
  /** The ports of the last launch, wanted again. */
  readonly ports: readonly number[];
}

async function readCluster(file: string, brokers: 1 | 3): Promise<Cluster> {
  const text = await readFile(file, 'utf8').catch(() => undefined);
  if (text === undefined) {
    // Not starting with '-', which StorageTool would take for an option.
    return { clusterId: `p${randomBytes(16).toString('base64url').slice(1)}`, brokers, ports: [] };
  }
  const cluster = JSON.parse(text) as Cluster;
  if (cluster.brokers !== brokers) {
    throw new LauncherError(`The data folder holds a cluster of ${cluster.brokers} broker(s), not ${brokers}. Give another folder.`);
  }
  return cluster;
}

function properties(settings: Record<string, string>): string {
  return Object.entries(settings).map(([name, value]) => `${name}=${value}\n`).join('');
}

/** Settings of broker `id` (from 1), whose ports are `ports[id - 1]` for clients and `ports[brokers + id - 1]` as controller. */
function serverProperties(id: number, { brokers, ports }: Cluster, dataFolder: string): string {
  const ids = Array.from({ length: brokers }, (_, at) => at + 1);
  const client = `PLAINTEXT://127.0.0.1:${ports[id - 1]}`;
  return properties({
    'node.id': `${id}`,
    'controller.quorum.voters': ids.map((voter) => `${voter}@127.0.0.1:${ports[brokers + voter - 1]}`).join(','),
    listeners: `${client},CONTROLLER://127.0.0.1:${ports[brokers + id - 1]}`,
    'advertised.listeners': client,
    'log.dirs': join(dataFolder, `${id}`).replaceAll('\\', '/'),
    ...brokerSettings(brokers),
  });
}

async function format(context: ProcessContext, java: string, args: readonly string[], clusterId: string, id: number): Promise<void> {
  const logFile = join(context.folder, `format-${id}.log`);
  const config = join(context.folder, `server-${id}.properties`);
  const child = await context.keeper.start({
    command: java,
    args: [...args, 'kafka.tools.StorageTool', 'format', '--ignore-formatted', '-t', clusterId, '-c', config],
    cwd: context.folder,
    logFile,
  });
  const { code } = await child.exited();
  if (code === 0) return;
  const log = await readFile(logFile, 'utf8').catch(() => '');
  throw new LauncherError(`Kafka's data folder could not be prepared. Its log says:\n${log.trimEnd().split('\n').slice(-5).join('\n')}`);
}

function allOf(brokers: readonly ServerProcess[], dataDir: string): KafkaControl {
  const each = async (action: (broker: ServerProcess) => Promise<void>): Promise<void> => {
    await Promise.all(brokers.map(action));
  };
  return {
    brokers,
    dataDir,
    get pid() {
      return brokers[0]?.pid;
    },
    stop: () => each((broker) => broker.stop()),
    kill: (signal) => each((broker) => broker.kill(signal)),
    start: () => each((broker) => broker.start()),
  };
}

/**
 * Starts `brokers` Kafka brokers on 127.0.0.1. `address` is the list of their `host:port`. Rejects with `LauncherError`
 * if Java 17 or, with an empty cache, Maven is missing, or if a broker does not come up within 60 s.
 */
export async function startKafkaProcesses(context: ProcessContext, brokers: 1 | 3): Promise<Started<KafkaControl>> {
  const java = await findJava();
  if (java === undefined) {
    throw new LauncherError('Kafka needs Java 17 or newer, and none was found. Install a JRE (Debian: apt install default-jre-headless maven), or Docker, or set PLAIT_BOOTSTRAP_SERVERS.');
  }
  const jars = await kafkaJars(context.keeper, context.onProgress);
  // The JVM unpacks native libraries there; a killed one leaves them.
  const scratch = join(context.folder, 'tmp');
  await rm(scratch, { recursive: true, force: true });
  await mkdir(scratch, { recursive: true });
  const log4jFile = join(context.folder, 'log4j2.properties');
  await writeFile(log4jFile, log4j);
  const args = [...javaOptions, `-Djava.io.tmpdir=${scratch}`, `-Dlog4j2.configurationFile=${log4jFile}`, '-cp', join(jars, '*')];
  const clusterFile = join(context.folder, 'cluster.json');
  const kept = await readCluster(clusterFile, brokers);
  context.onProgress(brokers === 1 ? 'starting Kafka' : `starting Kafka with ${brokers} brokers`);
  for (let tries = 1; ; tries++) {
    const cluster = { ...kept, ports: await freePorts(2 * brokers, tries === 1 ? kept.ports : []) };
    const servers = await prepareBrokers(context, java, args, cluster);
    await writeFile(clusterFile, JSON.stringify(cluster));
    const control = allOf(servers, join(context.folder, 'kafka'));
    try {
      await startAll(servers);
      return { address: cluster.ports.slice(0, brokers).map((port) => `127.0.0.1:${port}`).join(','), control };
    } catch (error) {
      if (!(error instanceof PortTaken) || tries === startTries) throw error;
    }
  }
}

/** Starts all; if one fails, ends the others and rejects with the first failure. */
async function startAll(servers: readonly ServerProcess[]): Promise<void> {
  const results = await Promise.allSettled(
    servers.map(async (server) => {
      try {
        await server.start();
      } catch (error) {
        // The others wait for a quorum that will not be: end them now, so that nobody waits for their time to run out.
        await Promise.all(servers.map((other) => other.kill('SIGKILL').catch(() => undefined)));
        throw error;
      }
    }),
  );
  const failures = results.flatMap((result) => (result.status === 'rejected' ? [result.reason as unknown] : []));
  if (failures.length > 0) throw failures.find((failure) => failure instanceof PortTaken) ?? failures[0];
}

async function prepareBrokers(context: ProcessContext, java: string, args: readonly string[], cluster: Cluster): Promise<ServerProcess[]> {
  const dataFolder = join(context.folder, 'kafka');
  await mkdir(dataFolder, { recursive: true });
  return Promise.all(
    Array.from({ length: cluster.brokers }, async (_, at) => {
      const id = at + 1;
      const config = join(context.folder, `server-${id}.properties`);
      await writeFile(config, serverProperties(id, cluster, dataFolder));
      const formatted = await access(join(dataFolder, `${id}`, 'meta.properties')).then(() => true, () => false);
      if (!formatted) await format(context, java, args, cluster.clusterId, id);
      return new ServerProcess(context.keeper, {
        title: cluster.brokers === 1 ? 'Kafka' : `Kafka broker ${id}`,
        command: java,
        args: [...args, 'kafka.Kafka', config],
        cwd: context.folder,
        logFile: join(context.folder, `kafka-${id}.log`),
        readyText: 'Kafka Server started',
        readyMs: 60_000,
        answers: () => kafkaAnswers({ host: '127.0.0.1', port: cluster.ports[at] ?? 0, timeoutMs: 1_000 }),
        hint: () => undefined,
      });
    }),
  );
}

/** Name in the embedded-redis jar of the binary for a platform; `undefined` if it has none. */
export function redisBinaryName(names: readonly string[], platform: string, arch: string): string | undefined {
  const suffix = `-${platform}-${arch === 'x64' ? 'amd64' : arch}`;
  return names.find((name) => name.startsWith('redis-server-') && name.endsWith(suffix));
}

const installRedis = 'Install Redis (Debian: apt install redis-server), or set PLAIT_REDIS_URL.';

async function redisProgram(context: ProcessContext): Promise<string> {
  const installed = await findProgram('redis-server');
  if (installed !== undefined) return installed;
  let binaries: string;
  try {
    binaries = await redisBinaries(context.keeper, context.onProgress);
  } catch (error) {
    if (error instanceof LauncherError) throw new LauncherError(`${error.message} Or: ${installRedis}`);
    throw error;
  }
  const name = redisBinaryName(await readdir(binaries), process.platform, process.arch);
  if (name === undefined) throw new LauncherError(`There is no Redis to fetch for ${process.platform} ${process.arch}. ${installRedis}`);
  return join(binaries, name);
}

/**
 * Starts Redis on 127.0.0.1, without persistence. `address` is its URL. Rejects with `LauncherError` if there is no
 * redis-server on the PATH nor one to fetch, or if it does not come up within 15 s.
 */
export async function startRedisProcess(context: ProcessContext): Promise<Started<ServiceControl>> {
  await mkdir(context.folder, { recursive: true });
  const program = await redisProgram(context);
  context.onProgress('starting Redis');
  for (let tries = 1; ; tries++) {
    const [port = 0] = await freePorts(1);
    const control = new ServerProcess(context.keeper, {
      title: 'Redis',
      command: program,
      args: ['--bind', '127.0.0.1', '--port', `${port}`, '--save', '', '--appendonly', 'no', '--dir', context.folder],
      cwd: context.folder,
      logFile: join(context.folder, 'redis.log'),
      readyText: 'eady to accept connections',
      readyMs: 15_000,
      answers: () => redisAnswers({ host: '127.0.0.1', port, timeoutMs: 1_000 }),
      hint: (log) => (log.includes('shared librar') ? `A library is missing. ${installRedis}` : undefined),
    });
    try {
      await control.start();
      return { address: `redis://127.0.0.1:${port}`, control };
    } catch (error) {
      if (!(error instanceof PortTaken) || tries === startTries) throw error;
    }
  }
}
