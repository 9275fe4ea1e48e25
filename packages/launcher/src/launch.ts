import { createHash, randomBytes } from 'node:crypto';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { findDocker, startContainers, type ServiceName } from './docker.ts';
import { LauncherError } from './errors.ts';
import { startKeeper, type Keeper } from './keeper-client.ts';
import { accepts } from './probe.ts';
import { startKafkaProcesses, startRedisProcess, type Started } from './processes.ts';
import type { KafkaControl, LaunchOptions, RedisControl, Services } from './types.ts';

interface Parts {
  readonly how: Services['how'];
  readonly kafka?: { readonly address: string; readonly control?: KafkaControl };
  readonly redis?: { readonly address: string; readonly control?: RedisControl };
}

type Way = 'docker' | 'processes';

/**
 * Returns a Kafka and a Redis that answer: the ones named by PLAIT_BOOTSTRAP_SERVERS and PLAIT_REDIS_URL (each for
 * itself), else containers if Docker's engine answers and has or gets the images, else processes. Usually in a few
 * seconds; up to minutes the first time, when something must be fetched.
 *
 * What was started ends with the returned object's `stop()`, and in any case when this process ends, however it does.
 * Rejects with `LauncherError`, whose message names what is missing and what to install, or with `signal.reason`.
 * Nothing is left behind then. Does not check that a given Kafka or Redis has a suitable version or settings.
 */
export async function launch(options: LaunchOptions = {}): Promise<Services> {
  const { signal, mode, kafkaProcess, redisProcess } = options;
  signal?.throwIfAborted();
  if (mode !== 'processes' && (kafkaProcess ?? redisProcess) !== undefined) {
    throw new LauncherError("Only processes can be started with settings of their own: ask for them with the mode 'processes'.");
  }
  const given = await givenParts(options);
  const wanted = wantedServices(options).filter((service) => given[service] === undefined);
  if (wanted.length === 0) return services({ how: 'given', ...given }, () => Promise.resolve());

  const keeper = startKeeper();
  const onAbort = (): void => void keeper.end().catch(() => undefined);
  signal?.addEventListener('abort', onAbort, { once: true });
  const stop = async (): Promise<void> => {
    signal?.removeEventListener('abort', onAbort);
    await keeper.end();
  };
  try {
    const parts = await startWanted(keeper, wanted, options);
    signal?.throwIfAborted();
    return services({ ...parts, ...given }, stop);
  } catch (error) {
    await stop();
    signal?.throwIfAborted();
    throw error;
  }
}

function wantedServices({ kafka = true, redis = true }: LaunchOptions): ServiceName[] {
  return [...(kafka ? (['kafka'] as const) : []), ...(redis ? (['redis'] as const) : [])];
}

function services(parts: Parts, end: () => Promise<void>): Services {
  let ended: Promise<void> | undefined;
  const stop = (): Promise<void> => (ended ??= end());
  const addressOf = (service: ServiceName): string => {
    const part = parts[service];
    if (part === undefined) throw new LauncherError(`This launch was not asked for ${service === 'kafka' ? 'Kafka' : 'Redis'}.`);
    return part.address;
  };
  return {
    how: parts.how,
    kafka: parts.kafka?.control,
    redis: parts.redis?.control,
    get bootstrapServers() {
      return addressOf('kafka');
    },
    get redisUrl() {
      return addressOf('redis');
    },
    stop,
    [Symbol.asyncDispose]: stop,
  };
}

/** The services named in the environment that were asked for, each after a look whether it is there. */
async function givenParts(options: LaunchOptions): Promise<Partial<Pick<Parts, ServiceName>>> {
  if (options.mode !== undefined && options.mode !== 'auto') return {};
  const wanted = wantedServices(options);
  const bootstrap = process.env['PLAIT_BOOTSTRAP_SERVERS'];
  const url = process.env['PLAIT_REDIS_URL'];
  const kafka = wanted.includes('kafka') && bootstrap !== undefined && bootstrap !== '' ? { address: bootstrap } : undefined;
  const redis = wanted.includes('redis') && url !== undefined && url !== '' ? { address: url } : undefined;
  if (kafka !== undefined) await mustAccept('PLAIT_BOOTSTRAP_SERVERS', kafka.address.split(',').map((server) => `kafka://${server.trim()}`), 9092);
  if (redis !== undefined) await mustAccept('PLAIT_REDIS_URL', [redis.address], 6379);
  return { ...(kafka && { kafka }), ...(redis && { redis }) };
}

/** Only whether the port is open: a given server may want TLS or a password, which is not the launcher's to know. */
async function mustAccept(variable: string, urls: readonly string[], defaultPort: number): Promise<void> {
  const addresses = urls.map((text) => {
    const url = URL.parse(text);
    if (url === null || url.hostname === '') throw new LauncherError(`${variable} does not name an address: ${text.replace('kafka://', '')}`);
    return { host: url.hostname.replace(/^\[|\]$/g, ''), port: url.port === '' ? defaultPort : Number(url.port), timeoutMs: 5_000 };
  });
  const answers = await Promise.all(addresses.map(accepts));
  if (answers.includes(true)) return;
  const names = addresses.map(({ host, port }) => `${host}:${port}`).join(', ');
  throw new LauncherError(`${variable} names ${names}, which does not accept connections. Start it, or unset ${variable}.`, { unreachable: true });
}

/** Which way a data folder was used before; `undefined` for a new one. */
async function wayOf(dataDir: string): Promise<Way | undefined> {
  const text = await readFile(join(dataDir, 'how.txt'), 'utf8').catch(() => '');
  return /^(docker|processes)\b/.exec(text)?.[1] as Way | undefined;
}

async function startWanted(keeper: Keeper, wanted: readonly ServiceName[], options: LaunchOptions): Promise<Parts> {
  const folder = options.dataDir === undefined ? await keeper.temporaryFolder() : resolve(options.dataDir);
  await mkdir(folder, { recursive: true });
  if (options.dataDir !== undefined) await keeper.keepData();
  const mode = options.mode ?? 'auto';
  const before = await wayOf(folder);
  if (before !== undefined && mode !== 'auto' && mode !== before) {
    throw new LauncherError(`The data in ${folder} was made with ${before}, not with ${mode}. Give another folder.`);
  }
  const way = before ?? mode;
  const needed = options.brokers === 3 && way === 'auto' ? 'processes' : way;
  if (needed !== 'processes') {
    const parts = await tryDocker(keeper, wanted, options, { folder, needed: needed === 'docker' });
    if (parts !== undefined) return parts;
  }
  return startProcesses(keeper, wanted, options, folder);
}

async function tryDocker(
  keeper: Keeper,
  wanted: readonly ServiceName[],
  options: LaunchOptions,
  { folder, needed }: { folder: string; needed: boolean },
): Promise<Parts | undefined> {
  if (options.brokers === 3) throw new LauncherError('Three brokers run as processes only: install Java 17 and Maven.');
  const docker = await findDocker();
  if (docker === undefined) {
    if (needed) throw new LauncherError('Docker was asked for, but no engine answers. Start Docker, or install it.');
    return undefined;
  }
  const keepVolumes = options.dataDir !== undefined;
  const id = keepVolumes ? createHash('sha256').update(folder).digest('hex').slice(0, 12) : randomBytes(6).toString('hex');
  const project = `plait-${id}`;
  const onProgress = (line: string): void => options.onProgress?.(line);
  try {
    const started = await startContainers({ keeper, docker, folder, project, keepVolumes, services: wanted, onProgress });
    if (keepVolumes) await writeFile(join(folder, 'how.txt'), `docker: the data is in the volume ${project}_kafka-data\n`);
    return { how: 'docker', ...started };
  } catch (error) {
    if (needed || !(error instanceof LauncherError) || options.signal?.aborted === true) throw error;
    onProgress(`Docker does not do, so processes are used: ${error.message}`);
    return undefined;
  }
}

async function startProcesses(keeper: Keeper, wanted: readonly ServiceName[], options: LaunchOptions, folder: string): Promise<Parts> {
  const context = { keeper, folder, onProgress: (line: string): void => options.onProgress?.(line) };
  const none = Promise.resolve(undefined);
  const kafka: Promise<Started<KafkaControl> | undefined> = wanted.includes('kafka')
    ? startKafkaProcesses(context, { brokers: options.brokers ?? 1, ...options.kafkaProcess })
    : none;
  const redis: Promise<Started<RedisControl> | undefined> = wanted.includes('redis') ? startRedisProcess(context, options.redisProcess) : none;
  const both = await Promise.all([kafka, redis]);
  if (options.dataDir !== undefined) await writeFile(join(folder, 'how.txt'), 'processes\n');
  return { how: 'processes', ...(both[0] && { kafka: both[0] }), ...(both[1] && { redis: both[1] }) };
}
