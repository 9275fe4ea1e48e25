/**
 * The demo's last act, what a stranger can check: the receipt of one record, verified offline. Then somebody changes that
 * record on the broker's disk, and a verification names it.
 */
import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { isPlaitError, PlaitError } from '@plait/core';
import { openLeaves } from '@plait/disk';
import type { KafkaControl } from '@plait/launcher';
import type { LedgerFile } from '@plait/ledger';
import { changeQuantity } from './demo-tamper.ts';
import { count } from './demo-screen.ts';
import { EXIT } from '../exit.ts';
import { printLine } from '../output.ts';
import { programArguments, spawnRole } from '../roles.ts';
import { pinnedOf } from '../running/wiring.ts';

/** What the act is about. */
export interface ProofStage {
  readonly env: NodeJS.ProcessEnv;
  /** Of the ledger. */
  readonly folder: string;
  readonly file: LedgerFile;
  /** Records in the ledger. */
  readonly records: number;
  /** The order that is proved, and then changed. */
  readonly order: { readonly number: number; readonly topic: string; readonly partition: number; readonly offset: bigint };
  /** Kafka, if its files may be changed. */
  readonly kafka: KafkaControl | undefined;
  readonly signal: AbortSignal;
}

/** How long leaves and a checkpoint may take, in ms. */
const KEPT_MS_MAX = 30_000;
/** A demo's partition has one file. */
const SEGMENT_FILE = '00000000000000000000.log';

/** Plays the act; what went wrong, or undefined if everything was found as it must be. */
export async function playProof(stage: ProofStage): Promise<string | undefined> {
  const { env, folder, order, kafka } = stage;
  const leaves = join(folder, 'leaves');
  await using serve = spawnRole({ command: 'serve', args: ['--listen', '127.0.0.1:0', '--leaves', leaves], logFile: join(folder, 'serve.log'), env: { ...env, PLAIT_LOG_LEVEL: 'info' } });
  await serve.ready;
  await keptAll(stage, leaves);

  const place = `${order.topic}/${order.partition}/${order.offset}`;
  const receipt = join(folder, 'order.tlog-proof');
  printLine(`\na receipt for order ${count(order.number)}, at ${place}:\n`);
  if ((await plait(stage, ['receipt', '--at', place, '--out', receipt])).code !== EXIT.done) return 'there is no receipt';
  printLine('\nwhoever has the checkpoint key checks it without Kafka:\n');
  if ((await plait(stage, ['verify-receipt', receipt, '--key', join(folder, 'serve', 'log.vkey')])).code !== EXIT.done) return 'the receipt does not hold';
  if (kafka === undefined) return undefined;

  await tamper(kafka, order);
  const { code, output } = await plait(stage, ['verify', '--leaves', leaves, '--memory', join(folder, 'auditor')]);
  const isNamed = output.includes(`${order.topic}/${order.partition}\n`) && new RegExp(`^offset +${order.offset}$`, 'm').test(output);
  return code === EXIT.tampered && isNamed ? undefined : 'the changed record was not named';
}

/** Waits until the leaves of all records are kept, or the signal aborts. Throws `unavailable`. */
async function keptAll({ file, records, signal }: ProofStage, folder: string): Promise<void> {
  for (const untilMs = performance.now() + KEPT_MS_MAX; performance.now() < untilMs && !signal.aborted; await delay(100)) {
    try {
      using leaves = await openLeaves(folder, pinnedOf(file), { readOnly: true });
      if (leaves.nextSeq >= BigInt(records)) return;
    } catch (error) {
      // Not made yet.
      if (!isPlaitError(error)) throw error;
    }
  }
  if (!signal.aborted) throw new PlaitError('unavailable', `the leaves of ${count(records)} records were not kept within ${KEPT_MS_MAX / 1_000} s`);
}

/** Changes one digit of the order on the broker's disk, with a checksum that fits, so that Kafka notices nothing. */
async function tamper(kafka: KafkaControl, { number, topic, partition }: ProofStage['order']): Promise<void> {
  const path = `${topic}-${partition}/${SEGMENT_FILE}`;
  await kafka.stop();
  let said = '';
  await kafka.editFile(path, (bytes) => {
    const { before, after } = changeQuantity(bytes, number);
    said = `${before} to ${after}`;
  });
  await kafka.start();
  printLine(`\nsomebody changes ${said} in that order on the broker's disk, in ${path}, with a fitting CRC-32C. Kafka serves it.\n`);
}

/** Runs a command of this program, and shows it and what it prints. */
async function plait({ env }: ProofStage, args: readonly string[]): Promise<{ readonly code: number | null; readonly output: string }> {
  printLine(`  $ plait ${args.join(' ')}`);
  const { path, args: program } = programArguments();
  const child = spawn(path, [...program, ...args], { env: { ...process.env, ...env }, stdio: ['ignore', 'pipe', 'inherit'] });
  let output = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => void (output += text));
  const code = await new Promise<number | null>((resolve, reject) => child.on('error', reject).on('close', resolve));
  printLine(output.trimEnd().replaceAll(/^(?=.)/gm, '  '));
  return { code, output };
}
