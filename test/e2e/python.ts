/** The verifier in Python (examples/python), with what it needs installed once in a folder that later runs find. */
import { createHash } from 'node:crypto';
import { execFile } from 'node:child_process';
import { access, mkdir, readFile, rename, rm } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { startProgram, type Ran } from './plait.ts';

const run = promisify(execFile);
const root = new URL('../../', import.meta.url);

/** Where the verifier is. */
export const FOLDER = fileURLToPath(new URL('examples/python/', root));

const WANTED = 'import sys, venv, ensurepip; assert sys.version_info >= (3, 11), "it is older than Python 3.11"';

/** Why the verifier cannot run on this machine; undefined if it can. */
export async function whyNoPython(): Promise<string | undefined> {
  try {
    await run('python3', ['-c', WANTED]);
    return undefined;
  } catch (error) {
    const { code, stderr = '' } = error as NodeJS.ErrnoException & { stderr?: string };
    return code === 'ENOENT' ? 'there is no python3' : `python3: ${stderr.trimEnd().split('\n').at(-1)}`;
  }
}

/** Makes an environment with the requirements unless one is there: only then the network is needed. Its interpreter's path. */
export async function environment(): Promise<string> {
  const requirements = await readFile(`${FOLDER}requirements.txt`);
  const name = createHash('sha256').update(requirements).digest('hex').slice(0, 12);
  const folder = fileURLToPath(new URL(`node_modules/.cache/python-${name}`, root));
  const interpreter = `${folder}/bin/python`;
  if (await isThere(interpreter)) return interpreter;
  const made = `${folder}.${process.pid}`;
  await mkdir(made, { recursive: true });
  await run('python3', ['-m', 'venv', made]);
  await run(`${made}/bin/python`, ['-m', 'pip', 'install', '--quiet', '--requirement', `${FOLDER}requirements.txt`]);
  // Whole or not there. Another run may have been faster.
  await rename(made, folder).catch(async (error: unknown) => {
    if (!(await isThere(interpreter))) throw error;
    await rm(made, { recursive: true });
  });
  return interpreter;
}

/** Runs `verify_ledger.py …`. */
export async function verifyLedger(interpreter: string, ...args: readonly string[]): Promise<Ran> {
  return await startProgram({ path: interpreter, args: ['-B', `${FOLDER}verify_ledger.py`] }, args).ended;
}

/** What the verifier says of one message: as a golden history has it. */
export interface PythonStep {
  readonly outcome: unknown;
  readonly stateHash: string | null;
}

/** What the verifier makes of a ledger: an exit code, and what it found or how many seqs are what. */
export interface PythonAudit {
  readonly code: number;
  readonly says?: string;
  readonly counts?: Readonly<Record<'block' | 'records' | 'lost' | 'void' | 'gone', number>>;
}

interface Answers {
  readonly receipts: readonly string[];
  readonly signatures: readonly boolean[];
  readonly ledgers: readonly { readonly steps: readonly PythonStep[]; readonly audit: PythonAudit }[];
}

/** What the verifier says of many cases at once; `python-answers.py` tells what they are made of. */
export async function answers<K extends keyof Answers>(interpreter: string, kind: K, cases: readonly unknown[]): Promise<Answers[K]> {
  const script = fileURLToPath(new URL('python-answers.py', import.meta.url));
  const asked = run(interpreter, ['-B', script, FOLDER], { maxBuffer: 1 << 28 });
  asked.child.stdin?.end(JSON.stringify({ [kind]: cases }));
  return (JSON.parse((await asked).stdout) as Answers)[kind];
}

async function isThere(path: string): Promise<boolean> {
  return await access(path).then(() => true, () => false);
}
