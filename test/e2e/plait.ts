/** The program as people run it, for end-to-end tests: real processes, a real Kafka and Redis. */
import { spawn, type ChildProcessByStdio } from 'node:child_process';
import { mkdtemp } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { Readable } from 'node:stream';
import kafkajs, { type Admin, type Message } from 'kafkajs';
import { programArguments, spawnRole, type RoleProcess } from '../../apps/plait/src/roles.ts';
import { bootstrapServers, redisUrl } from '../global/services.ts';
import { createTopic as makeTopic } from '../kafka/client.ts';

/** Bound of {@link Ran.ms} where no broker answers, for a machine that does other things too: the program gives up after 5 s. */
export const AWAY_MS_MAX = 15_000;

/** How a run of the program ended, and what it printed. */
export interface Ran {
  readonly code: number | null;
  readonly stdout: string;
  readonly stderr: string;
  /** From start to end. */
  readonly ms: number;
}

/** A started program whose output is collected. */
export interface Running {
  readonly child: ChildProcessByStdio<null, Readable, Readable>;
  readonly ended: Promise<Ran>;
  /** What it has printed so far. */
  stdout(): string;
  /** What it has logged so far. */
  stderr(): string;
}

/** Starts `plait …` with the run's Kafka and Redis in its environment. */
export function start(args: readonly string[], env: NodeJS.ProcessEnv = {}): Running {
  return startProgram(programArguments(), args, env);
}

/** As {@link start}, of another program than this one. */
export function startProgram(program: ReturnType<typeof programArguments>, args: readonly string[], env: NodeJS.ProcessEnv = {}): Running {
  const startedMs = performance.now();
  const child = spawn(program.path, [...program.args, ...args], { env: { ...process.env, ...environment(), ...env }, stdio: ['ignore', 'pipe', 'pipe'] });
  let stdout = '';
  let stderr = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => void (stdout += text));
  child.stderr.setEncoding('utf8').on('data', (text: string) => void (stderr += text));
  const ended = new Promise<Ran>((done, failed) => {
    child.on('error', failed);
    child.on('close', (code) => done({ code, stdout, stderr, ms: performance.now() - startedMs }));
  });
  return { child, ended, stdout: () => stdout, stderr: () => stderr };
}

/** Runs `plait …` to its end. */
export async function plait(...args: readonly string[]): Promise<Ran> {
  return await start(args).ended;
}

function environment(): NodeJS.ProcessEnv {
  return { PLAIT_BOOTSTRAP_SERVERS: bootstrapServers(), PLAIT_REDIS_URL: redisUrl(), PLAIT_LOG_LEVEL: 'info' };
}

/** Starts a role of the ledger in `folder`; its log goes there. */
export function startRole(command: RoleProcess['command'], folder: string): RoleProcess {
  return spawnRole({ command, args: ['--ledger', folder], env: environment(), logFile: join(folder, `${command}.log`) });
}

/** A new folder for a ledger. */
export async function newFolder(): Promise<string> {
  return join(await mkdtemp(join(tmpdir(), 'plait-e2e-')), 'ledger');
}

const { Kafka, logLevel, Partitioners } = kafkajs;

const kafka = (): kafkajs.Kafka => new Kafka({ brokers: bootstrapServers().split(','), logLevel: logLevel.NOTHING });

/** Does something as an administrator. */
export async function asAdmin<T>(use: (admin: Admin) => Promise<T>): Promise<T> {
  const admin = kafka().admin();
  await admin.connect();
  try {
    return await use(admin);
  } finally {
    await admin.disconnect();
  }
}

/** Creates a topic and waits until it has leaders. */
export async function createTopic(topic: string, partitions: number, settings: Readonly<Record<string, string>> = {}): Promise<void> {
  await makeTopic(bootstrapServers(), topic, { partitions, settings });
}

/** Produces with acks from all. */
export async function produce(topic: string, messages: Message[]): Promise<void> {
  const producer = kafka().producer({ createPartitioner: Partitioners.DefaultPartitioner });
  await producer.connect();
  try {
    await producer.send({ topic, acks: -1, messages });
  } finally {
    await producer.disconnect();
  }
}

/** Waits until `what` gives true, asked again while it gives false or throws; fails after a minute. */
export async function eventually(what: () => Promise<boolean> | boolean): Promise<void> {
  const deadlineMs = performance.now() + 60_000;
  let failure: unknown;
  do {
    try {
      if (await what()) return;
      failure = undefined;
    } catch (error) {
      failure = error;
    }
    await new Promise((resolve) => setTimeout(resolve, 200));
  } while (performance.now() < deadlineMs);
  throw new Error('not within a minute', { cause: failure });
}
