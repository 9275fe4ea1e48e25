import { open, readFile, stat } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { LauncherError } from './errors.ts';
import type { Keeper, KeptProcess, ProcessSpec } from './keeper-client.ts';
import type { ServiceControl } from './types.ts';

/** A server process could not bind its port: somebody else took it since it was found free. */
export class PortTaken extends LauncherError {}

/** One server: how to start it and how to know that it is up. */
export interface ServerSpec extends ProcessSpec {
  /** What people call it: "Kafka broker 1". */
  readonly title: string;
  /** Text of the log that says it is up. */
  readonly readyText: string;
  /** Longest time from start to up. */
  readonly readyMs: number;
  /** Whether it answers on its address. */
  answers(): Promise<boolean>;
  /** More words for a log that explains a failed start, or nothing. */
  hint(log: string): string | undefined;
}

const stopMs = 20_000;

/** One server process under the keeper. The same as `ServiceControl`, kept down or up by its own calls only. */
export class ServerProcess implements ServiceControl {
  readonly #keeper: Keeper;
  readonly #spec: ServerSpec;
  #process: KeptProcess | undefined;

  constructor(keeper: Keeper, spec: ServerSpec) {
    this.#keeper = keeper;
    this.#spec = spec;
  }

  get pid(): number | undefined {
    return this.#running()?.pid;
  }

  #running(): KeptProcess | undefined {
    return this.#process?.ended() === false ? this.#process : undefined;
  }

  async start(): Promise<void> {
    if (this.#running() !== undefined) return;
    const { logFile, readyText, readyMs, title } = this.#spec;
    const logStart = await stat(logFile).then((file) => file.size, () => 0);
    this.#process = await this.#keeper.start(this.#spec);
    const deadline = performance.now() + readyMs;
    while (!(await readFrom(logFile, logStart)).includes(readyText) || !(await this.#spec.answers())) {
      if (this.#process.ended()) throw await this.#failure(`${title} ended while it started`, logStart);
      if (performance.now() > deadline) {
        await this.kill('SIGKILL').catch(() => undefined);
        throw await this.#failure(`${title} was not up after ${Math.round(readyMs / 1000)} s`, logStart);
      }
      await delay(25);
    }
  }

  async #failure(what: string, logStart: number): Promise<LauncherError> {
    const log = await readFrom(this.#spec.logFile, logStart);
    if (/Address already in use|BindException/i.test(log)) return new PortTaken(`${what}: its port was taken by another process.`);
    const lines = log.trimEnd().split('\n');
    const telling = lines.filter((line) => /ERROR|FATAL|Exception|error/.test(line)).slice(0, 5);
    const hint = this.#spec.hint(log);
    const end = (telling.length > 0 ? telling : lines.slice(-5)).join('\n');
    return new LauncherError(`${what}.${hint === undefined ? '' : ` ${hint}`} Its log says:\n${end}`);
  }

  async stop(): Promise<void> {
    const running = this.#running();
    if (running === undefined) return;
    await running.signal('SIGTERM');
    await running.signal('SIGCONT'); // a stopped process would not see the SIGTERM
    const forced = new AbortController();
    const force = delay(stopMs, undefined, { signal: forced.signal }).then(() => running.signal('SIGKILL'), () => undefined);
    await running.exited();
    forced.abort();
    await force;
  }

  async kill(signal: 'SIGKILL' | 'SIGSTOP' | 'SIGCONT' | 'SIGTERM'): Promise<void> {
    const running = this.#running();
    if (running === undefined) throw new LauncherError(`${this.#spec.title} is down: it cannot get ${signal}.`);
    await running.signal(signal);
    if (signal === 'SIGKILL') await running.exited();
  }
}

/** The text of `file` from byte `start` on; empty if it is not there. */
async function readFrom(file: string, start: number): Promise<string> {
  if (start === 0) return readFile(file, 'utf8').catch(() => '');
  const handle = await open(file);
  try {
    const bytes = Buffer.alloc((await handle.stat()).size - start);
    await handle.read(bytes, 0, bytes.length, start);
    return bytes.toString('utf8');
  } finally {
    await handle.close();
  }
}
