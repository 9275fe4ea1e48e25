/** However the program that launched them ends, no server and no folder stays. */
import { execFileSync, spawn, type ChildProcess } from 'node:child_process';
import { existsSync } from 'node:fs';
import { rm } from 'node:fs/promises';
import { dirname } from 'node:path';
import { createInterface } from 'node:readline';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { describe, expect, it } from 'vitest';
import { findJava } from './machine.ts';

interface Launched {
  readonly program: ChildProcess;
  readonly pids: readonly number[];
  /** The temporary folder. */
  readonly folder: string;
}

async function launchInProgram(): Promise<Launched> {
  const file = fileURLToPath(new URL('program.ts', import.meta.url));
  const program = spawn(process.execPath, ['--conditions=development', file], { stdio: ['ignore', 'pipe', 'inherit'] });
  for await (const line of createInterface({ input: program.stdout })) {
    const { pids, folder } = JSON.parse(line) as { pids: number[]; folder: string };
    return { program, pids, folder: dirname(folder) };
  }
  throw new Error('the program ended before it launched anything');
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

async function within(timeoutMs: number, condition: () => boolean): Promise<boolean> {
  const deadline = performance.now() + timeoutMs;
  while (!condition()) {
    if (performance.now() > deadline) return false;
    await delay(50);
  }
  return true;
}

const skipped = findJava() === undefined;

describe.skipIf(skipped)(skipped ? 'nothing stays (skipped: needs Java 17 on the PATH)' : 'nothing stays', () => {
  it.each(['SIGKILL', 'SIGINT', 'SIGTERM'] as const)('when the program ends by %s', async (signal) => {
    const { program, pids, folder } = await launchInProgram();
    expect(pids.map(isAlive)).toEqual([true, true]);
    expect(existsSync(folder)).toBe(true);
    program.kill(signal);
    expect(await within(60_000, () => !pids.some(isAlive) && !existsSync(folder))).toBe(true);
  });

  // Elsewhere nothing ends a process with its parent (see keeper.ts).
  it.runIf(process.platform === 'linux')('running when their keeper itself is killed', async () => {
    const { program, pids, folder } = await launchInProgram();
    const parents = execFileSync('ps', ['-o', 'ppid=', '-p', pids.join(',')], { encoding: 'utf8' });
    const [keeper, ...others] = new Set(parents.split('\n').filter(Boolean).map(Number));
    expect(others).toEqual([]);
    if (keeper === undefined || keeper === program.pid) throw new Error('the servers have no keeper');
    process.kill(keeper, 'SIGKILL');
    expect(await within(60_000, () => !pids.some(isAlive))).toBe(true);
    program.kill('SIGKILL');
    await rm(folder, { recursive: true }); // nobody was left to do it
  });
});
