/**
 * The keeper: a small process of its own that starts the servers and outlives the program that asked for them by a
 * moment, to end them and remove what they left. It is the parent of every server, so no server can be started without
 * it knowing, and it lives in a session of its own, so Ctrl-C in a terminal reaches the program but not the keeper.
 * However the program ends (even by SIGKILL), its end of the IPC channel closes, and that starts the end here.
 */
import { spawn, spawnSync, type ChildProcess } from 'node:child_process';
import { closeSync, mkdtempSync, openSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import type { KeeperAnswer, KeeperEvent, KeeperRequest } from './keeper-protocol.ts';

/** How long a server that keeps its data may take to end by itself. */
const graceMs = 20_000;
/** How long one closing command (`docker rm`, …) may take. */
const closingCommandMs = 60_000;

const children = new Map<string, ChildProcess>();
const folders = new Set<string>();
const closingCommands: { command: string; args: readonly string[]; env: NodeJS.ProcessEnv }[] = [];
/** Whether the servers' data outlives them, so that they are asked to end before they are forced. */
let graceful = false;
let ending: Promise<void> | undefined;

/** If the keeper itself is killed, Linux ends its servers: `setpriv` (util-linux) asks for that and then becomes the server. */
const guard =
  process.platform === 'linux' && spawnSync('setpriv', ['--pdeathsig', 'KILL', '--', 'true']).status === 0
    ? ['setpriv', '--pdeathsig', 'KILL', '--']
    : [];

function tell(message: KeeperAnswer | KeeperEvent): void {
  if (process.connected) process.send?.(message, undefined, undefined, () => undefined);
}

function start(request: Extract<KeeperRequest, { op: 'start' }>): Promise<number> {
  if (ending !== undefined) throw new Error('the keeper is ending');
  const [command, ...args] = [...guard, request.command, ...request.args];
  const log = openSync(request.logFile, 'a');
  const child = spawn(command ?? request.command, args, {
    cwd: request.cwd,
    env: request.env,
    stdio: ['ignore', log, log],
  });
  closeSync(log);
  children.set(request.name, child);
  child.once('exit', (code, signal) => {
    children.delete(request.name);
    tell({ event: 'exit', name: request.name, code, signal });
  });
  return new Promise((resolve, reject) => {
    child.once('spawn', () => resolve(child.pid ?? 0));
    child.once('error', (error) => {
      children.delete(request.name);
      reject(error);
    });
  });
}

async function handle(request: KeeperRequest): Promise<string | number | undefined> {
  let answer: string | number | undefined;
  switch (request.op) {
    case 'folder':
      answer = request.path ?? mkdtempSync(join(tmpdir(), 'plait-'));
      folders.add(answer);
      break;
    case 'release':
      folders.delete(request.path);
      break;
    case 'atEnd':
      closingCommands.push(request);
      break;
    case 'graceful':
      graceful = true;
      break;
    case 'start':
      answer = await start(request);
      break;
    case 'signal':
      answer = children.get(request.name)?.kill(request.signal) === true ? 1 : 0;
      break;
    case 'end':
      await (ending ??= end());
      break;
  }
  return answer;
}

async function endChild(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const gone = new Promise<void>((resolve) => child.once('exit', () => resolve()));
  if (graceful) {
    child.kill('SIGTERM');
    child.kill('SIGCONT'); // a stopped process would not see the SIGTERM
    await Promise.race([gone, delay(graceMs)]);
  }
  child.kill('SIGKILL');
  await gone;
}

async function end(): Promise<void> {
  await Promise.all([...children.values()].map(endChild));
  for (const { command, args, env } of closingCommands) {
    spawnSync(command, args, { env, stdio: 'ignore', timeout: closingCommandMs, killSignal: 'SIGKILL' });
  }
  for (const path of folders) {
    await rm(path, { recursive: true, force: true, maxRetries: 5, retryDelay: 100 }).catch(() => undefined);
  }
}

function endAndExit(): void {
  ending ??= end();
  void ending.finally(() => process.exit(0));
}

process.on('message', (request: KeeperRequest) => {
  handle(request).then(
    (value) => tell({ id: request.id, value }),
    (error: unknown) => tell({ id: request.id, error: error instanceof Error ? error.message : String(error) }),
  );
});
process.on('disconnect', endAndExit);
for (const signal of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(signal, endAndExit);
if (!process.connected) endAndExit();
