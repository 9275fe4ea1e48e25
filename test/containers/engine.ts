import { execFile } from 'node:child_process';

const images = ['apache/kafka:4.3.1', 'redis:7'];

function docker(args: readonly string[], timeoutMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    execFile('docker', args, { timeout: timeoutMs, killSignal: 'SIGKILL' }, (error) => resolve(error === null));
  });
}

async function reason(): Promise<string | undefined> {
  if (!(await docker(['info'], 10_000))) return 'no container engine answers';
  for (const image of images) {
    const there = (await docker(['image', 'inspect', image], 10_000)) || (await docker(['pull', image], 300_000));
    if (!there) return `the image ${image} is not here and cannot be pulled (docker/stand-ins.sh builds a stand-in)`;
  }
  return undefined;
}

/** Why the tests on containers cannot run on this machine; `undefined` if they can. Told once, on stderr. */
export const whyNot: string | undefined = await reason();
if (whyNot !== undefined) process.stderr.write(`skipped: ${whyNot}\n`);

/** Name for a group of tests that says why it is skipped. */
export function named(name: string): string {
  return whyNot === undefined ? name : `${name} (skipped: ${whyNot})`;
}
