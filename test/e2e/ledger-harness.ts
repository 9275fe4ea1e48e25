/**
 * A ledger with its roles as processes, records from a seed, and everything that is promised about it checked anew:
 *
 *     await using ledger = await makeLedger({ partitions: 4 });
 *     await ledger.startRoles();
 *     const load = ledger.load();
 *     …something goes wrong…
 *     await load.stop();
 *     await ledger.verifyAll();
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { readLedgerFile, type Ledger, type LedgerFile, type LedgerStatus } from '@plait/ledger';
import { spawnRole, type LogLine, type RoleProcess } from '../../apps/plait/src/roles.ts';
import { settled } from '../../apps/plait/src/settled.ts';
import { bootstrapServers, redisUrl, uniqueName } from '../global/services.ts';
import { createTopic as makeTopic } from '../kafka/client.ts';
import { checkBlocks, checkComplete, checkPrefix, open, OrderCheck, readAll, type Seen, type Verified } from './ledger-checks.ts';
import { Load, Memory } from './load.ts';
import { start, type Ran } from './plait.ts';

/** Where Kafka and Redis are. */
export interface Place {
  readonly bootstrapServers: string;
  readonly redisUrl: string;
}

export interface MakeLedgerOptions {
  readonly partitions: number;
  /** Default: the Kafka and the Redis that the test run shares, which no test may stop. */
  readonly place?: Place;
  /** Of the source topic. */
  readonly settings?: Readonly<Record<string, string>>;
  /** More arguments for `init`. */
  readonly init?: readonly string[];
}

/** A role and what it said. */
export interface Role extends RoleProcess {
  /** Lines of its log so far. */
  readonly lines: LogLine[];
}

const SETTLED_MS_MAX = 90_000;
/** Four times what OPERATING gives a role that stops. */
const STOPPED_MS_MAX = 60_000;
const LOG_TAIL_LINES = 8;

export class LedgerHarness implements AsyncDisposable {
  readonly place: Place;
  readonly topic: string;
  readonly folder: string;
  readonly file: LedgerFile;
  readonly partitions: number;
  readonly memory = new Memory();
  readonly #roles: Role[] = [];
  readonly #killed = new Set<number>();
  readonly #earlier: (readonly Seen[])[] = [];
  #loads = 0;
  #ledger: Ledger | undefined;

  constructor(made: { place: Place; topic: string; folder: string; file: LedgerFile; partitions: number }) {
    this.place = made.place;
    this.topic = made.topic;
    this.folder = made.folder;
    this.file = made.file;
    this.partitions = made.partitions;
  }

  /** Starts one role, with more arguments if given, or by the `spawn` of another program. Its log is in a file of its own. */
  start(command: Role['command'], env: NodeJS.ProcessEnv = {}, args: readonly string[] = [], spawn = spawnRole): Role {
    const lines: LogLine[] = [];
    const role = spawn({
      command, args: ['--ledger', this.folder, ...args], env: { ...environment(this.place), ...env },
      logFile: join(this.folder, `${command}-${this.#roles.length}.log`), onLine: (line) => void lines.push(line),
    });
    const known = { ...role, lines };
    this.#roles.push(known);
    return known;
  }

  /** Starts 2 workers and 3 coordinators and waits until they are ready. `env` adds to that of the coordinators, by their number. */
  async startRoles(env: (coordinator: number) => NodeJS.ProcessEnv = () => ({})): Promise<void> {
    const workers = [this.start('worker'), this.start('worker')];
    const coordinators = [0, 1, 2].map((i) => this.start('coordinator', env(i)));
    // One worker may get its partitions before the other joins, and lose some of them then.
    await Promise.all([...workers, ...coordinators].map(({ ready }) => ready));
  }

  /** The roles that were started and not killed. */
  running(command: Role['command']): Role[] {
    return this.#roles.filter((role) => role.command === command && !this.#killed.has(role.pid));
  }

  /** SIGKILL; resolves when it is gone. */
  async kill(role: Role): Promise<void> {
    this.#killed.add(role.pid);
    role.kill('SIGKILL');
    await role.exited;
  }

  /** SIGTERM, and it must end in good order. */
  async stop(role: Role): Promise<void> {
    this.#killed.add(role.pid);
    role.kill('SIGTERM');
    const force = setTimeout(() => role.kill('SIGKILL'), STOPPED_MS_MAX);
    const exit = await role.exited.finally(() => clearTimeout(force));
    if (exit.code !== 0) throw new Error(`${role.command} ended with ${JSON.stringify(exit)}\n${await tail(role.logFile)}`);
  }

  /** The running coordinator that leads in the ledger's present epoch, as soon as there is one. */
  async leader(): Promise<Role> {
    return await this.until('a leader', async () => {
      const { epoch } = await this.status();
      return this.running('coordinator').find(({ lines }) => lines.some((line) => line['event'] === 'leading' && line['epoch'] === String(epoch)));
    });
  }

  /** The running worker that a partition is assigned to, as soon as there is one. */
  async workerOf(partition: number): Promise<Role> {
    return await this.until('an owner', () => Promise.resolve(this.running('worker').find((role) => assigned(role).includes(`${this.topic}/${partition}`))));
  }

  /** Produces in the background, all partitions alike unless said otherwise. */
  load(options: { readonly partitions?: readonly number[]; readonly ratePerSecond?: number } = {}): Load {
    this.#loads += 1;
    const partitions = options.partitions ?? Array.from({ length: this.partitions }, (_, i) => i);
    return new Load({ bootstrapServers: this.place.bootstrapServers, topic: this.topic, memory: this.memory, seed: `${this.topic}/${this.#loads}`, ...options, partitions });
  }

  async status(): Promise<LedgerStatus> {
    const ledger = (this.#ledger ??= await open(this.folder, this.place.bootstrapServers));
    return await settled(() => ledger.status());
  }

  /** Follows the ledger from now on as a reader that stays; what it saw must stay true. It must not fail. */
  async follow(): Promise<{ readonly check: OrderCheck; stop(): Promise<void> }> {
    const ledger = await open(this.folder, this.place.bootstrapServers);
    const check = new OrderCheck();
    const reading = (async () => {
      for await (const entry of ledger.read()) if (entry.kind === 'record') check.add(entry);
    })();
    reading.catch(() => undefined);
    this.#earlier.push(check.seen);
    return {
      check,
      stop: async () => {
        await ledger.close();
        await reading;
      },
    };
  }

  /** Waits for `what`; fails after a while with how the ledger stands and what its roles said last. */
  async until<T>(name: string, what: () => Promise<T | undefined | false>, ms = SETTLED_MS_MAX): Promise<T> {
    const deadlineMs = performance.now() + ms;
    let failure: unknown;
    while (performance.now() < deadlineMs) {
      try {
        const value = await what();
        if (value !== undefined && value !== false) return value;
        failure = undefined;
      } catch (error) {
        failure = error;
      }
      await sleep(100);
    }
    throw new Error(`not within ${ms} ms: ${name}\n${await this.#story()}`, { cause: failure });
  }

  /** Waits until all that the partitions hold is numbered. */
  async settled(): Promise<void> {
    await this.until('everything is numbered', async () => {
      const { partitions } = await this.status();
      return partitions.length === this.partitions && partitions.every(({ lag, pending }) => lag === 0n && pending === 0);
    });
  }

  /**
   * Waits until everything is numbered, reads it anew and throws unless all promises of DESIGN, section 1 that can be seen
   * hold.
   */
  async verifyAll(): Promise<Verified> {
    await this.settled();
    const seen = await readAll(this.folder, this.place.bootstrapServers);
    checkComplete(seen, this.memory);
    for (const earlier of this.#earlier) checkPrefix(earlier, seen);
    this.#earlier.push(seen);
    return { seen, ...(await checkBlocks(this.file, this.place.bootstrapServers)) };
  }

  /** Runs `plait …` on this ledger. */
  async plait(...args: readonly string[]): Promise<Ran> {
    return await this.plaitIn(this.folder, ...args);
  }

  /** Runs `plait …` on the ledger in another folder. */
  async plaitIn(folder: string, ...args: readonly string[]): Promise<Ran> {
    return await start([...args, '--ledger', folder], environment(this.place)).ended;
  }

  /** Ends all roles, which must end in good order and leave no process behind. */
  async [Symbol.asyncDispose](): Promise<void> {
    await this.#ledger?.close();
    for (const role of this.#roles) role.kill('SIGCONT');
    const ends = await Promise.allSettled(this.#roles.filter(({ pid }) => !this.#killed.has(pid)).map((role) => this.stop(role)));
    const left = this.#roles.filter(({ pid }) => isRunning(pid));
    const failures = ends.flatMap((end) => (end.status === 'rejected' ? [end.reason as unknown] : []));
    await rm(dirname(this.folder), { recursive: true, force: true });
    if (left.length > 0) throw new Error(`still running: ${left.map(({ command, pid }) => `${command} ${pid}`).join(', ')}`);
    if (failures.length > 0) throw failures[0];
  }

  async #story(): Promise<string> {
    const status = await this.status().then(
      (value) => JSON.stringify(value, (_, each: unknown) => (typeof each === 'bigint' ? String(each) : each)),
      (error: unknown) => String(error),
    );
    const tails = await Promise.all(this.#roles.map(async (role) => `${role.command} ${role.pid}${this.#killed.has(role.pid) ? ' (ended)' : ''}:\n${await tail(role.logFile)}`));
    return [status, ...tails].join('\n');
  }
}

/** A topic and a ledger over it, made by `plait init`. */
export async function makeLedger(options: MakeLedgerOptions): Promise<LedgerHarness> {
  const place = options.place ?? { bootstrapServers: bootstrapServers(), redisUrl: redisUrl() };
  const topic = uniqueName('ledger');
  await createTopic(place, topic, options);
  const folder = join(await mkdtemp(join(tmpdir(), 'plait-e2e-')), 'ledger');
  const created = await start(['init', '--topic', topic, '--ledger', folder, ...(options.init ?? [])], environment(place)).ended;
  if (created.code !== 0) {
    await rm(dirname(folder), { recursive: true, force: true });
    throw new Error(`init: ${created.stderr}`);
  }
  const file = await readLedgerFile(join(folder, 'ledger.json'));
  return new LedgerHarness({ place, topic, folder, file, partitions: options.partitions });
}

/** Creates a topic and waits until it has leaders. */
export async function createTopic(place: Place, topic: string, options: Pick<MakeLedgerOptions, 'partitions' | 'settings'>): Promise<void> {
  await makeTopic(place.bootstrapServers, topic, options);
}

/** The partitions that a worker said it has, as `topic/partition`. */
export function assigned({ lines }: Role): readonly string[] {
  return (lines.findLast((line) => line['event'] === 'assigned')?.['partitions'] ?? []) as readonly string[];
}

export const sleep = async (ms: number): Promise<void> => {
  await new Promise((resolve) => setTimeout(resolve, ms));
};

function environment(place: Place): NodeJS.ProcessEnv {
  return { PLAIT_BOOTSTRAP_SERVERS: place.bootstrapServers, PLAIT_REDIS_URL: place.redisUrl, PLAIT_LOG_LEVEL: 'info' };
}

async function tail(file: string): Promise<string> {
  const text = await readFile(file, 'utf8').catch(() => '');
  return text.trimEnd().split('\n').slice(-LOG_TAIL_LINES).join('\n');
}

/** Whether there is a process of that number. */
export function isRunning(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch {
    return false;
  }
}
