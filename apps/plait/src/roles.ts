/** Starts the roles as child processes, for `dev`, the demo and tests. */
import { spawn, type ChildProcess } from 'node:child_process';
import { createWriteStream } from 'node:fs';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';
import { PlaitError } from '@plait/core';
import { WITH_PARENT_VARIABLE } from './stopping.ts';

/** One line of a role's log: `event` says what happened (see log.ts), `msg` says it to people. */
export type LogLine = Readonly<Record<string, unknown>>;

/** Which role to start, and where its log goes. */
export interface SpawnRoleOptions {
  readonly command: 'worker' | 'coordinator' | 'publisher' | 'serve';
  /** More arguments: `--ledger`, `--bootstrap-server` and so on. */
  readonly args?: readonly string[];
  /** Added to this process' environment. */
  readonly env?: NodeJS.ProcessEnv;
  /** Gets the process' log, one JSON object a line; appended to. */
  readonly logFile: string;
  /** Gets each line of the log as it comes. */
  readonly onLine?: (line: LogLine) => void;
}

/** How a process ended: with a code, or by a signal. */
export interface Exit {
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}

/** A role that runs as a child. It ends with `stop()`, with `await using`, and when this process ends in any way. */
export interface RoleProcess extends AsyncDisposable {
  readonly command: SpawnRoleOptions['command'];
  readonly pid: number;
  readonly logFile: string;
  /**
   * A worker: its first partitions were assigned (never, if there are more workers than partitions). A coordinator or
   * publisher: it has read the log. Rejects with `unavailable` if the process ends before.
   */
  readonly ready: Promise<void>;
  readonly exited: Promise<Exit>;
  /** Sends a signal; does nothing once the process has ended. */
  kill(signal: NodeJS.Signals): void;
  /** SIGTERM, after 15 s SIGKILL. Resolves when it has ended. */
  stop(): Promise<Exit>;
}

const STOP_MS = 15_000;

/** How this program is started: Node's path, and the arguments before the command's name. */
export function programArguments(): { readonly path: string; readonly args: readonly string[] } {
  const fromSource = import.meta.url.endsWith('.ts');
  const main = fileURLToPath(new URL(fromSource ? './main.ts' : './main.js', import.meta.url));
  return { path: process.execPath, args: [...(fromSource ? ['--conditions=development'] : []), main] };
}

/** Starts `plait <command>`. Its readiness and end come as promises that need not be awaited. */
export function spawnRole(options: SpawnRoleOptions): RoleProcess {
  const { command, logFile } = options;
  const { path, args } = programArguments();
  const child = spawn(path, [...args, command, ...(options.args ?? [])], {
    env: { ...process.env, ...options.env, [WITH_PARENT_VARIABLE]: '1' },
    // Its standard input ends when this process does, and then it stops.
    stdio: ['pipe', 'ignore', 'pipe'],
  });
  // Not `exit`: its last lines may still be on their way then.
  const exited = once(child, 'close').then(([code, signal]): Exit => ({ code: code as Exit['code'], signal: signal as Exit['signal'] }));
  const ready = readiness(child, options, exited);
  // Whoever wants to know awaits them.
  ready.catch(() => undefined);
  exited.catch(() => undefined);
  const kill = (signal: NodeJS.Signals): void => void child.kill(signal);
  const stop = async (): Promise<Exit> => {
    kill('SIGTERM');
    const force = setTimeout(() => kill('SIGKILL'), STOP_MS);
    try {
      return await exited;
    } finally {
      clearTimeout(force);
    }
  };
  return {
    command, pid: child.pid ?? -1, logFile, ready, exited, kill, stop,
    [Symbol.asyncDispose]: async () => void (await stop()),
  };
}

async function readiness(child: ChildProcess, { command, logFile, onLine }: SpawnRoleOptions, exited: Promise<Exit>): Promise<void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  const file = createWriteStream(logFile, { flags: 'a' });
  let lastText = '';
  const lines = createInterface({ input: child.stderr as NodeJS.ReadableStream });
  lines.on('line', (text) => {
    file.write(`${text}\n`);
    const line = parseLine(text);
    lastText = typeof line?.['msg'] === 'string' ? line['msg'] : text;
    if (line === undefined) return;
    onLine?.(line);
    if (isReady(command, line)) resolve();
  });
  lines.on('close', () => file.end());
  const ended = exited.then(({ code, signal }): never => {
    throw new PlaitError('unavailable', `the ${command} ended (${signal ?? `code ${code}`}) before it was ready: ${lastText}; its log is ${logFile}`);
  });
  await Promise.race([promise, ended]);
}

function isReady(command: SpawnRoleOptions['command'], line: LogLine): boolean {
  if (command !== 'worker') return line['event'] === 'caught-up';
  const { event, partitions } = line;
  return event === 'assigned' && Array.isArray(partitions) && partitions.length > 0;
}

function parseLine(text: string): LogLine | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as LogLine) : undefined;
  } catch {
    // Not from our log: Node's own words, for one.
    return undefined;
  }
}
