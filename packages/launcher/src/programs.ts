import { execFile } from 'node:child_process';
import { access, constants } from 'node:fs/promises';
import { delimiter, join } from 'node:path';
import { childEnvironment } from './keeper-client.ts';

/** Path of the first executable file `name` on the PATH; `undefined` if there is none. */
export async function findProgram(name: string): Promise<string | undefined> {
  for (const folder of (process.env['PATH'] ?? '').split(delimiter)) {
    if (folder === '') continue;
    const path = join(folder, name);
    const found = await access(path, constants.X_OK).then(() => true, () => false);
    if (found) return path;
  }
  return undefined;
}

/** What a short command printed. */
export interface CommandResult {
  readonly ok: boolean;
  readonly stdout: string;
  readonly stderr: string;
}

/**
 * Runs a short command to its end, at most `timeoutMs`, after which it is killed and counts as failed. Never rejects: a
 * command that cannot be started counts as failed too. `env` is added to the environment.
 */
export function run(command: string, args: readonly string[], timeoutMs: number, env: NodeJS.ProcessEnv = {}): Promise<CommandResult> {
  return new Promise((resolve) => {
    const options = { timeout: timeoutMs, killSignal: 'SIGKILL', env: { ...childEnvironment(), ...env }, maxBuffer: 1 << 24 } as const;
    execFile(command, args, options, (error, stdout, stderr) => {
      resolve({ ok: error === null, stdout, stderr: stderr === '' && error !== null ? error.message : stderr });
    });
  });
}

/** Major version of the Java that `java -version` tells of in `text`; 8 for "1.8"; `undefined` if it tells none. */
export function javaMajor(text: string): number | undefined {
  const match = /version "(?:1\.)?(\d+)/.exec(text);
  return match?.[1] === undefined ? undefined : Number(match[1]);
}

/** Path of a Java that is at least version 17, from JAVA_HOME or the PATH; `undefined` if there is none. */
export async function findJava(): Promise<string | undefined> {
  const home = process.env['JAVA_HOME'];
  const candidates = [home === undefined || home === '' ? undefined : join(home, 'bin', 'java'), await findProgram('java')];
  for (const java of candidates) {
    if (java === undefined) continue;
    const { ok, stderr } = await run(java, ['-version'], 20_000);
    if (ok && (javaMajor(stderr) ?? 0) >= 17) return java;
  }
  return undefined;
}
