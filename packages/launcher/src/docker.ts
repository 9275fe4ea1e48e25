/** Kafka and Redis as containers: through docker-compose.yml where `docker compose` is there, else by `docker run`. */
import { mkdtemp, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { LauncherError } from './errors.ts';
import type { Keeper } from './keeper-client.ts';
import { freePorts, kafkaAnswers, redisAnswers } from './probe.ts';
import { findProgram, run, type CommandResult } from './programs.ts';
import { unknownListener, type Started } from './processes.ts';
import { imageEnvironment, kafkaImage, redisImage } from './settings.ts';
import type { KafkaControl, RedisControl, ServiceControl } from './types.ts';

/** What starting containers needs. */
export interface DockerContext {
  readonly keeper: Keeper;
  /** Path of the `docker` program. */
  readonly docker: string;
  /** Folder for the logs of commands. */
  readonly folder: string;
  /** First part of the names of containers and volumes. */
  readonly project: string;
  /** Whether the volumes stay at the end. */
  readonly keepVolumes: boolean;
  /** Services wanted. */
  readonly services: readonly ServiceName[];
  readonly onProgress: (line: string) => void;
}

/** A service of docker-compose.yml. */
export type ServiceName = 'kafka' | 'redis';

/** The containers' addresses and controls. */
export interface StartedContainers {
  readonly kafka?: Started<KafkaControl>;
  readonly redis?: Started<RedisControl>;
}

type Ports = Readonly<Record<ServiceName, number>>;

const images: Readonly<Record<ServiceName, string>> = { kafka: kafkaImage, redis: redisImage };
const composeFile = fileURLToPath(new URL('../../../docker-compose.yml', import.meta.url));
/** A pull that says nothing for this long has no network. */
const pullSilenceMs = 120_000;
const readyMs = 90_000;
const startTries = 5;
/** Where the image keeps the partitions' folders: see docker-compose.yml. */
const dataPath = '/var/lib/kafka/data';

/** Path of a `docker` whose engine answers within 5 s; `undefined` if there is none. */
export async function findDocker(): Promise<string | undefined> {
  const docker = await findProgram('docker');
  if (docker === undefined) return undefined;
  const { ok, stdout } = await run(docker, ['info', '--format', '{{.ServerVersion}}'], 5_000);
  return ok && /^\d/.test(stdout) ? docker : undefined;
}

/** Runs a command under the keeper, killing it when it is silent for `silenceMs`. */
async function keptRun(context: DockerContext, args: readonly string[], silenceMs: number, env: NodeJS.ProcessEnv = {}): Promise<CommandResult> {
  const logFile = join(context.folder, `docker-${performance.now().toFixed(3)}.log`);
  const child = await context.keeper.start({ command: context.docker, args, cwd: context.folder, logFile, env });
  let size = 0;
  let changedMs = performance.now();
  while (!child.ended()) {
    await delay(100);
    const now = (await stat(logFile)).size;
    if (now !== size) changedMs = performance.now();
    size = now;
    if (performance.now() - changedMs > silenceMs) await child.signal('SIGKILL');
  }
  const { code } = await child.exited();
  const text = await readFile(logFile, 'utf8');
  return { ok: code === 0, stdout: text, stderr: text };
}

/** Makes sure that the images are there. Rejects with `LauncherError` if one is not and cannot be pulled. */
async function ensureImages(context: DockerContext): Promise<void> {
  for (const service of context.services) {
    const image = images[service];
    if ((await run(context.docker, ['image', 'inspect', image], 10_000)).ok) continue;
    context.onProgress(`pulling the image ${image} (once)`);
    const pulled = await keptRun(context, ['pull', image], pullSilenceMs);
    if (!pulled.ok) {
      const reason = pulled.stderr.trim().split('\n').at(-1) ?? '';
      throw new LauncherError(`The Docker image ${image} is not here and cannot be pulled: ${reason}`);
    }
  }
}

async function composeUp(context: DockerContext, ports: Ports): Promise<CommandResult> {
  const env = { PLAIT_KAFKA_PORT: `${ports.kafka}`, PLAIT_REDIS_PORT: `${ports.redis}` };
  const compose = ['compose', '-f', composeFile, '-p', context.project];
  const down = [...compose, 'down', '--timeout', context.keepVolumes ? '20' : '1', ...(context.keepVolumes ? [] : ['--volumes'])];
  // Registered before anything is started: whatever a crash leaves is removed.
  await context.keeper.atEnd(context.docker, down, env);
  return keptRun(context, [...compose, 'up', '--detach', '--no-build', ...context.services], readyMs, env);
}

function runArguments(context: DockerContext, service: ServiceName, port: number): string[] {
  const common = ['run', '--detach', '--pull', 'never', '--name', `${context.project}-${service}-1`];
  if (service === 'redis') {
    return [...common, '-p', `127.0.0.1:${port}:6379`, redisImage, '--save', '', '--appendonly', 'no'];
  }
  const env = Object.entries(imageEnvironment(`127.0.0.1:${port}`)).flatMap(([name, value]) => ['-e', `${name}=${value}`]);
  return [...common, '-p', `127.0.0.1:${port}:9092`, '-v', `${context.project}_kafka-data:${dataPath}`, ...env, kafkaImage];
}

async function plainUp(context: DockerContext, ports: Ports): Promise<CommandResult> {
  const { keeper, docker, project } = context;
  const names = context.services.map((service) => `${project}-${service}-1`);
  if (context.keepVolumes) await keeper.atEnd(docker, ['stop', '-t', '20', ...names]);
  await keeper.atEnd(docker, ['rm', '--force', '--volumes', ...names]);
  if (!context.keepVolumes) await keeper.atEnd(docker, ['volume', 'rm', '--force', `${project}_kafka-data`]);
  await run(docker, ['rm', '--force', ...names], 60_000); // of an earlier try, or of a launch that was cut off with the whole machine
  for (const service of context.services) {
    const result = await keptRun(context, runArguments(context, service, ports[service]), readyMs);
    if (!result.ok) return result;
  }
  return { ok: true, stdout: '', stderr: '' };
}

async function waitUntil(answers: () => Promise<boolean>, title: string, docker: string, container: string): Promise<void> {
  const deadline = performance.now() + readyMs;
  while (!(await answers())) {
    const { stdout } = await run(docker, ['inspect', '--format', '{{.State.Running}}', container], 10_000);
    if (stdout.trim() === 'false' || performance.now() > deadline) {
      const logs = await run(docker, ['logs', '--tail', '8', container], 10_000);
      throw new LauncherError(`${title} did not come up in its container. Its log says:\n${logs.stdout}${logs.stderr}`);
    }
    await delay(100);
  }
}

/** Changes bytes of a file in Kafka's volume: two short containers copy it out and back, over itself, so that its owner stays. */
async function editInVolume(context: DockerContext, path: string, edit: (bytes: Buffer) => void): Promise<void> {
  const { docker, project, folder } = context;
  const exchange = await mkdtemp(join(folder, 'edit-'));
  const copy = async (from: string, to: string): Promise<void> => {
    const args = ['run', '--rm', '--pull', 'never', '--user', '0', '--volumes-from', `${project}-kafka-1`, '-v', `${exchange}:/exchange`, '--entrypoint', 'cp'];
    const { ok, stderr } = await run(docker, [...args, kafkaImage, from, to], readyMs);
    if (!ok) throw new LauncherError(`${path} of Kafka's data cannot be copied: ${stderr.trim()}`);
  };
  await copy(`${dataPath}/${path}`, '/exchange/before');
  const bytes = await readFile(join(exchange, 'before'));
  edit(bytes);
  await writeFile(join(exchange, 'after'), bytes);
  await copy('/exchange/after', `${dataPath}/${path}`);
}

async function containerControl(context: DockerContext, service: ServiceName, port: number): Promise<ServiceControl> {
  const { docker, project } = context;
  const container = `${project}-${service}-1`;
  const title = service === 'kafka' ? 'Kafka' : 'Redis';
  const must = async (args: readonly string[]): Promise<void> => {
    const { ok, stderr } = await run(docker, args, readyMs);
    if (!ok) throw new LauncherError(`docker ${args[0]} failed for ${title}: ${stderr.trim()}`);
  };
  const address = { host: '127.0.0.1', port, timeoutMs: 1_000 };
  const answers = service === 'kafka' ? () => kafkaAnswers(address) : () => redisAnswers(address);
  await waitUntil(answers, title, docker, container);
  return {
    pid: undefined,
    stop: () => must(['stop', '-t', '20', container]),
    kill: async (signal) => {
      // A stopped process in a container is a paused one; docker has a word of its own for that.
      if (signal === 'SIGSTOP') return must(['pause', container]);
      if (signal === 'SIGCONT') return must(['unpause', container]);
      await must(['kill', '--signal', signal, container]);
      if (signal === 'SIGKILL') await must(['wait', container]);
    },
    start: async () => {
      await must(['start', container]);
      await waitUntil(answers, title, docker, container);
    },
  };
}

/**
 * Starts the wanted services as containers on 127.0.0.1 and waits until they answer. The keeper removes them at the end.
 * Rejects with `LauncherError` if an image cannot be had, or a container does not come up within 90 s.
 */
export async function startContainers(context: DockerContext): Promise<StartedContainers> {
  await ensureImages(context);
  const compose = (await run(context.docker, ['compose', 'version'], 10_000)).ok;
  context.onProgress(`starting ${context.services.join(' and ')} in Docker`);
  const ports = await upOnFreePorts(context, compose ? composeUp : plainUp);
  const kafka = context.services.includes('kafka') ? await containerControl(context, 'kafka', ports.kafka) : undefined;
  const redis = context.services.includes('redis') ? await containerControl(context, 'redis', ports.redis) : undefined;
  const address = `127.0.0.1:${ports.kafka}`;
  const addresses = (listener: string): string => {
    if (listener !== 'PLAINTEXT') throw unknownListener(listener);
    return address;
  };
  return {
    ...(kafka && { kafka: { address, control: { ...kafka, dataDir: undefined, brokers: [kafka], addresses, editFile: (path, edit) => editInVolume(context, path, edit) } } }),
    ...(redis && { redis: { address: `redis://127.0.0.1:${ports.redis}`, control: { ...redis, tlsPort: undefined } } }),
  };
}

async function upOnFreePorts(context: DockerContext, up: (context: DockerContext, ports: Ports) => Promise<CommandResult>): Promise<Ports> {
  for (let tries = 1; ; tries++) {
    const [kafka = 0, redis = 0] = await freePorts(2);
    const result = await up(context, { kafka, redis });
    if (result.ok) return { kafka, redis };
    const clash = /already allocated|already in use/.test(result.stderr);
    if (!clash || tries === startTries) throw new LauncherError(`Docker could not start ${context.services.join(' and ')}: ${result.stderr.trim()}`);
  }
}
