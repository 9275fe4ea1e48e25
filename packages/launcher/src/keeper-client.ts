import { fork, type ChildProcess } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { LauncherError } from './errors.ts';
import type { KeeperAnswer, KeeperEvent, KeeperTask } from './keeper-protocol.ts';

/** How a kept process ended. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A process that the keeper started. */
export interface KeptProcess {
  readonly pid: number;
  /** Resolves when it has ended; never rejects. Only while somebody waits here does it keep the program running. */
  exited(): Promise<Exit>;
  /** Whether it has ended. */
  readonly ended: () => boolean;
  /** Sends a signal; does nothing if it has ended. */
  signal(signal: NodeJS.Signals): Promise<void>;
}

/** What to start. */
export interface ProcessSpec {
  readonly command: string;
  readonly args: readonly string[];
  readonly cwd: string;
  /** File to which both outputs are appended. */
  readonly logFile: string;
  /** Variables added to this process' environment. */
  readonly env?: NodeJS.ProcessEnv;
}

/** The program's side of its keeper (see keeper.ts). Its methods reject with `LauncherError` once the keeper is gone. */
export interface Keeper {
  /** Makes a temporary folder that is removed at the end, and returns its path. */
  temporaryFolder(): Promise<string>;
  /** Has `path` removed at the end, whether or not it exists by now. */
  removeAtEnd(path: string): Promise<void>;
  /** Takes back `removeAtEnd`. */
  release(path: string): Promise<void>;
  /** Has a command run at the end. */
  atEnd(command: string, args: readonly string[], env?: NodeJS.ProcessEnv): Promise<void>;
  /** Has servers asked before they are forced at the end. */
  keepData(): Promise<void>;
  /** Starts a process. Rejects with `LauncherError` if it cannot be started. */
  start(spec: ProcessSpec): Promise<KeptProcess>;
  /** Ends everything; resolves when nothing is left. May be called again. */
  end(): Promise<void>;
}

/** The child's environment: this one without what would change how a child Node runs. */
export function childEnvironment(): NodeJS.ProcessEnv {
  const { NODE_OPTIONS: _options, NODE_CHANNEL_FD: _channel, ...rest } = process.env;
  return rest;
}

class KeeperClient implements Keeper {
  readonly #process: ChildProcess;
  readonly #waiting = new Map<number, { resolve(value: string | number | undefined): void; reject(error: Error): void }>();
  readonly #exits = new Map<string, (exit: Exit) => void>();
  readonly #gone: Promise<void>;
  #isGone = false;
  /** How many callers wait for something from the keeper; the program may end when none does. */
  #holds = 0;
  #lastId = 0;

  constructor(child: ChildProcess) {
    this.#process = child;
    this.#gone = new Promise((resolve) => {
      const gone = (): void => {
        this.#isGone = true;
        for (const waiting of this.#waiting.values()) waiting.reject(new LauncherError('The process that keeps Kafka and Redis ended.'));
        this.#waiting.clear();
        for (const exit of this.#exits.values()) exit({ code: null, signal: 'SIGKILL' });
        this.#exits.clear();
        resolve();
      };
      child.once('exit', gone);
      child.once('error', gone);
    });
    child.on('message', (message) => this.#hear(message as KeeperAnswer | KeeperEvent));
    // A program that has nothing else to do may end: the keeper then ends the servers.
    child.unref();
    child.channel?.unref();
  }

  #hear(message: KeeperAnswer | KeeperEvent): void {
    if ('event' in message) {
      this.#exits.get(message.name)?.({ code: message.code, signal: message.signal });
      this.#exits.delete(message.name);
      return;
    }
    const waiting = this.#waiting.get(message.id);
    this.#waiting.delete(message.id);
    if (message.error === undefined) waiting?.resolve(message.value);
    else waiting?.reject(new LauncherError(message.error));
  }

  async #hold<T>(promise: Promise<T>): Promise<T> {
    if (this.#holds++ === 0) this.#process.channel?.ref();
    try {
      return await promise;
    } finally {
      if (--this.#holds === 0) this.#process.channel?.unref();
    }
  }

  async #ask(task: KeeperTask): Promise<string | number | undefined> {
    if (this.#isGone) throw new LauncherError('The process that keeps Kafka and Redis has ended.');
    const id = ++this.#lastId;
    const answer = new Promise<string | number | undefined>((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      this.#process.send({ ...task, id }, (error) => {
        if (error === null) return;
        this.#waiting.delete(id);
        reject(new LauncherError(`The process that keeps Kafka and Redis does not listen: ${error.message}.`));
      });
    });
    return this.#hold(answer);
  }

  async temporaryFolder(): Promise<string> {
    return String(await this.#ask({ op: 'folder' }));
  }

  async removeAtEnd(path: string): Promise<void> {
    await this.#ask({ op: 'folder', path });
  }

  async release(path: string): Promise<void> {
    await this.#ask({ op: 'release', path });
  }

  async atEnd(command: string, args: readonly string[], env: NodeJS.ProcessEnv = {}): Promise<void> {
    await this.#ask({ op: 'atEnd', command, args, env: { ...childEnvironment(), ...env } });
  }

  async keepData(): Promise<void> {
    await this.#ask({ op: 'graceful' });
  }

  async start(spec: ProcessSpec): Promise<KeptProcess> {
    const name = `process-${++this.#lastId}`;
    let ended = false;
    // Listened for before it is started, so that an early exit is not missed.
    const exited = new Promise<Exit>((resolve) => {
      this.#exits.set(name, (exit) => {
        ended = true;
        resolve(exit);
      });
    });
    try {
      const { command, args, cwd, logFile } = spec;
      const env = { ...childEnvironment(), ...spec.env };
      const pid = Number(await this.#ask({ op: 'start', name, command, args, cwd, logFile, env }));
      const signal = async (wanted: NodeJS.Signals): Promise<void> => {
        await this.#ask({ op: 'signal', name, signal: wanted });
      };
      return { pid, exited: () => this.#hold(exited), ended: () => ended, signal };
    } catch (error) {
      this.#exits.delete(name);
      throw error;
    }
  }

  async end(): Promise<void> {
    if (this.#isGone) return;
    await this.#ask({ op: 'end' }).catch(() => undefined); // if it is gone meanwhile it has done the same
    if (this.#process.connected) this.#process.disconnect();
    this.#process.ref();
    await this.#gone;
  }
}

/** Starts a keeper: a process of its own, in a session of its own. It ends by itself when this process does. */
export function startKeeper(): Keeper {
  const file = import.meta.url.endsWith('.ts') ? './keeper.ts' : './keeper.js';
  const child = fork(fileURLToPath(new URL(file, import.meta.url)), [], {
    detached: true,
    execPath: process.execPath,
    execArgv: [],
    env: childEnvironment(),
    stdio: ['ignore', 'ignore', 'ignore', 'ipc'],
  });
  return new KeeperClient(child);
}
