/** Kafka and Redis as processes of this machine, under a keeper. */
import { randomBytes } from 'node:crypto';
import { access, mkdir, open, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { kafkaJars, redisBinaries } from './cache.ts';
import { LauncherError } from './errors.ts';
import type { Keeper } from './keeper-client.ts';
import { freePorts, kafkaAnswers, redisAnswers } from './probe.ts';
import { findJava, findProgram } from './programs.ts';
import { PortTaken, ServerProcess } from './server.ts';
import { brokerSettings } from './settings.ts';
import type { KafkaControl, KafkaProcessOptions, RedisControl, RedisProcessOptions } from './types.ts';

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
  /** The ports of the last launch, wanted again: those of each listener, the plain one first, then those of the controllers. */
  readonly ports: readonly number[];
}

/** A cluster and what it shall be like. */
interface KafkaPlan extends KafkaProcessOptions {
  readonly brokers: 1 | 3;
}

/** Every listener for clients, the plain one first. */
const listenersOf = ({ listeners }: KafkaProcessOptions): readonly (readonly [name: string, protocol: string])[] =>
  Object.entries({ PLAINTEXT: 'PLAINTEXT', ...listeners });

/** The port of broker `id` (from 1) at listener number `listener`. */
const portOf = ({ brokers, ports }: Cluster, listener: number, id: number): number => ports[listener * brokers + id - 1] ?? 0;

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

/** Settings of broker `id` (from 1). */
function serverProperties(id: number, { cluster, plan, dataFolder }: { cluster: Cluster; plan: KafkaPlan; dataFolder: string }): string {
  const ids = Array.from({ length: cluster.brokers }, (_, at) => at + 1);
  const listeners = listenersOf(plan);
  const clients = listeners.map(([name], at) => `${name}://127.0.0.1:${portOf(cluster, at, id)}`).join(',');
  const controllerPort = (voter: number): number => portOf(cluster, listeners.length, voter);
  return properties({
    'node.id': `${id}`,
    'controller.quorum.voters': ids.map((voter) => `${voter}@127.0.0.1:${controllerPort(voter)}`).join(','),
    listeners: `${clients},CONTROLLER://127.0.0.1:${controllerPort(id)}`,
    'advertised.listeners': clients,
    'log.dirs': join(dataFolder, `${id}`).replaceAll('\\', '/'),
    ...brokerSettings(cluster.brokers),
    'listener.security.protocol.map': ['CONTROLLER:PLAINTEXT', ...listeners.map((pair) => pair.join(':'))].join(','),
    ...plan.settings,
  });
}

async function format(context: ProcessContext, java: string, args: readonly string[], id: number): Promise<void> {
  const logFile = join(context.folder, `format-${id}.log`);
  const config = join(context.folder, `server-${id}.properties`);
  const child = await context.keeper.start({
    command: java,
    args: [...args, '-c', config],
    cwd: context.folder,
    logFile,
  });
  const { code } = await child.exited();
  if (code === 0) return;
  const log = await readFile(logFile, 'utf8').catch(() => '');
  throw new LauncherError(`Kafka's data folder could not be prepared. Its log says:\n${log.trimEnd().split('\n').slice(-5).join('\n')}`);
}

function allOf(brokers: readonly ServerProcess[], { dataDir, addresses }: Pick<KafkaControl, 'addresses'> & { dataDir: string }): KafkaControl {
  const each = async (action: (broker: ServerProcess) => Promise<void>): Promise<void> => {
    await Promise.all(brokers.map(action));
  };
  return {
    brokers,
    dataDir,
    addresses,
    get pid() {
      return brokers[0]?.pid;
    },
    stop: () => each((broker) => broker.stop()),
    kill: (signal) => each((broker) => broker.kill(signal)),
    start: () => each((broker) => broker.start()),
    editFile: (path, edit) => editInPlace(join(dataDir, '1', path), edit),
  };
}

/** Changes bytes of a file, which stays the same file. */
async function editInPlace(path: string, edit: (bytes: Buffer) => void): Promise<void> {
  await using file = await open(path, 'r+');
  const bytes = await file.readFile();
  edit(bytes);
  await file.write(bytes, 0, bytes.length, 0);
}

/** What to throw when the addresses of a listener are asked for that nobody wanted. */
export function unknownListener(name: string): LauncherError {
  return new LauncherError(`This Kafka was not asked for a listener ${name}.`);
}

/** The list of `host:port` at a listener. */
function addressesAt(name: string, plan: KafkaPlan, cluster: Cluster): string {
  const listener = listenersOf(plan).findIndex(([known]) => known === name);
  if (listener < 0) throw unknownListener(name);
  return Array.from({ length: cluster.brokers }, (_, at) => `127.0.0.1:${portOf(cluster, listener, at + 1)}`).join(',');
}

/**
 * Starts Kafka brokers on 127.0.0.1. `address` is the list of their `host:port`. Rejects with `LauncherError` if Java 17 or,
 * with an empty cache, Maven is missing, or if a broker does not come up within 60 s.
 */
export async function startKafkaProcesses(context: ProcessContext, plan: KafkaPlan): Promise<Started<KafkaControl>> {
  const { brokers } = plan;
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
    const cluster = { ...kept, ports: await freePorts((listenersOf(plan).length + 1) * brokers, tries === 1 ? kept.ports : []) };
    const servers = await prepareBrokers(context, [java, ...args], { plan, cluster });
    await writeFile(clusterFile, JSON.stringify(cluster));
    const control = allOf(servers, { dataDir: join(context.folder, 'kafka'), addresses: (listener) => addressesAt(listener, plan, cluster) });
    try {
      await startAll(servers);
      return { address: addressesAt('PLAINTEXT', plan, cluster), control };
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

async function prepareBrokers(
  context: ProcessContext, [java = '', ...args]: readonly string[], { plan, cluster }: { plan: KafkaPlan; cluster: Cluster },
): Promise<ServerProcess[]> {
  const dataFolder = join(context.folder, 'kafka');
  await mkdir(dataFolder, { recursive: true });
  const formatting = [...args, 'kafka.tools.StorageTool', 'format', '--ignore-formatted', '-t', cluster.clusterId, ...(plan.format ?? [])];
  return Promise.all(
    Array.from({ length: cluster.brokers }, async (_, at) => {
      const id = at + 1;
      const config = join(context.folder, `server-${id}.properties`);
      await writeFile(config, serverProperties(id, { cluster, plan, dataFolder }));
      const formatted = await access(join(dataFolder, `${id}`, 'meta.properties')).then(() => true, () => false);
      if (!formatted) await format(context, java, formatting, id);
      return new ServerProcess(context.keeper, {
        title: cluster.brokers === 1 ? 'Kafka' : `Kafka broker ${id}`,
        command: java,
        args: [...args, 'kafka.Kafka', config],
        cwd: context.folder,
        logFile: join(context.folder, `kafka-${id}.log`),
        readyText: 'Kafka Server started',
        readyMs: 60_000,
        answers: () => kafkaAnswers({ host: '127.0.0.1', port: portOf(cluster, 0, id), timeoutMs: 1_000 }),
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

/** redis.conf. Sentinel writes into its own, so each start has a file of its own. */
function redisSettings({ settings = [], sentinel = false }: RedisProcessOptions, { port, tlsPort, folder }: { port: number; tlsPort: number | undefined; folder: string }): string {
  const lines = [
    'bind 127.0.0.1', `port ${port}`, `dir "${folder}"`,
    ...(tlsPort === undefined ? [] : [`tls-port ${tlsPort}`]),
    ...(sentinel ? [] : ['save ""', 'appendonly no']),
    ...settings,
  ];
  return lines.map((line) => `${line}\n`).join('');
}

/**
 * Starts Redis on 127.0.0.1, without persistence. `address` is its URL. Rejects with `LauncherError` if there is no
 * redis-server on the PATH nor one to fetch, or if it does not come up within 15 s.
 */
export async function startRedisProcess(context: ProcessContext, options: RedisProcessOptions = {}): Promise<Started<RedisControl>> {
  const { folder } = context;
  await mkdir(folder, { recursive: true });
  const program = await redisProgram(context);
  const config = join(folder, 'redis.conf');
  const { sentinel = false } = options;
  context.onProgress(sentinel ? 'starting a Sentinel of Redis' : 'starting Redis');
  for (let tries = 1; ; tries++) {
    const [port = 0, tlsPort] = await freePorts(options.tls === true ? 2 : 1);
    await writeFile(config, redisSettings(options, { port, tlsPort, folder }));
    const server = new ServerProcess(context.keeper, {
      title: sentinel ? 'Sentinel' : 'Redis',
      command: program,
      args: [config, ...(sentinel ? ['--sentinel'] : [])],
      cwd: folder,
      logFile: join(folder, 'redis.log'),
      readyText: sentinel ? 'Sentinel ID is' : 'eady to accept connections',
      readyMs: 15_000,
      answers: () => redisAnswers({ host: '127.0.0.1', port, timeoutMs: 1_000 }),
      hint: (log) => (log.includes('shared librar') ? `A library is missing. ${installRedis}` : undefined),
    });
    try {
      await server.start();
      return { address: `redis://127.0.0.1:${port}`, control: Object.assign(server, { tlsPort }) };
    } catch (error) {
      if (!(error instanceof PortTaken) || tries === startTries) throw error;
    }
  }
}
