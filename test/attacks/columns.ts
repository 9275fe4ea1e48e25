/** What docs/SECURITY.md says of an attack in each column: found out by what the commands themselves call, or by a command. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isPlaitError, isTransient } from '@plait/core';
import { openLedger, type SignedCheckpoint, type VerifyFinding, type VerifyReport } from '@plait/ledger';
import { EXIT, exitCodeOf } from '../../apps/plait/src/exit.ts';
import { makeLog } from '../../apps/plait/src/log.ts';
import { AuditorMemory } from '../../apps/plait/src/verifying/auditor-memory.ts';
import { exitCodeOfReport, isRemembered } from '../../apps/plait/src/verifying/outcome.ts';
import { runVerification, type VerificationOptions } from '../../apps/plait/src/verifying/run-verification.ts';
import { readTrusted } from '../../apps/plait/src/verifying/trusted.ts';
import { start } from '../e2e/plait.ts';
import { onceAvailable } from '../kafka/patient.ts';
import { kindOf } from './attack.ts';
import { leavesFolder, type SmallLedger } from './small-ledger.ts';

/** The columns, in the page's order. */
export const COLUMNS = ['read', 'verify, with memory', 'verify, without', 'verify, with leaves', 'later audit'] as const;

/** How long roles are given to number what comes after the attack. */
const RUN_ON_MS = 10_000;
const SILENT = makeLog('silent');

/** The command's JSON has texts. */
type Numeral = bigint | string;

/** What the page says something of. */
interface Told extends Pick<VerifyReport, 'verdict' | 'ignored' | 'notChecked'> {
  readonly counts: { readonly snapshots: { readonly foreign: Numeral } };
  readonly finding?: ({ readonly kind: string; readonly partition?: number } & { readonly [K in 'offset' | 'firstOffset' | 'nextOffset' | 'height' | 'position']?: Numeral } &
    Partial<Pick<VerifyFinding, 'message' | 'expected' | 'found' | 'causes' | 'next'>> & {
      readonly lastGoodCheckpoint?: { readonly size: Numeral } | { readonly checkpoint: { readonly size: Numeral } } | null;
    }) | null;
}

/** `plait read`: everything from seq 0 on, again while a busy broker does not answer. */
export async function read(ledger: SmallLedger): Promise<string> {
  const { file, ground } = ledger;
  try {
    await using ledger = await openLedger({ ...file, bootstrapServers: ground.kafka.brokers });
    let nextSeq = 0n;
    for await (const { line, segment } of ledger.readSegments({ atEnd: 'end' })) nextSeq = line.firstSeq + segment.nextIndex - segment.firstIndex;
    return `0, ${nextSeq} seqs`;
  } catch (error) {
    if (isTransient(error)) return await read(ledger);
    const { partition, firstOffset, nextOffset } = isPlaitError(error) ? error.details : {};
    return `${exitCodeOf(error)}${partition === undefined ? '' : ` orders/${partition} ${firstOffset} … ${nextOffset}`}`;
  }
}

/** Verifies a ledger to which nothing was done yet, and remembers it. Throws an Error if anything is wrong with it. */
export async function remember(ledger: SmallLedger): Promise<void> {
  const { verdict, finding, checkpoint } = await verify(ledger, { memory: 'auditor' });
  if (verdict !== 'verified' || checkpoint === undefined) throw new Error(`${ledger.topic} before the attack: ${verdict} ${finding?.message}`);
  await writeFile(checkpointFile(ledger), checkpoint.note);
}

const checkpointFile = ({ folder }: SmallLedger): string => join(folder, 'kept.checkpoint');

/** `plait verify`, by an auditor who has done so before. */
export async function withMemory(ledger: SmallLedger): Promise<string> {
  return await told(ledger, verify(ledger, { memory: 'auditor' }));
}

/** The same by one who finds leaves at hand, and remembers nothing. */
export async function withLeaves(ledger: SmallLedger): Promise<string> {
  return await told(ledger, verify(ledger, { memory: 'with-leaves', options: { leaves: leavesFolder(ledger) } }));
}

/** Roles have gone on as far as they would; by somebody who has kept a checkpoint from before the attack and nothing else. */
export async function later(ledger: SmallLedger): Promise<string> {
  return await told(ledger, verify(ledger, { memory: 'later', trusted: await readTrusted([checkpointFile(ledger)], ledger.file.origin) }));
}

/** What the command does, without its words. Memories are named, each in a folder of its own. */
async function verify(
  ledger: SmallLedger, { memory: name, options = {}, trusted = [] }: { memory: string; options?: Partial<VerificationOptions>; trusted?: readonly SignedCheckpoint[] },
): Promise<VerifyReport> {
  const { file, folder, ground } = ledger;
  const memory = await AuditorMemory.open(join(folder, name), file);
  const ran = await onceAvailable(() => runVerification({
    options: { ledger: folder, logLevel: 'silent', bootstrapServer: ground.kafka.brokers.join(','), workers: 1, resume: false, ...options },
    ledger: file, memory, trusted, log: SILENT, signal: new AbortController().signal,
  }));
  if (ran === undefined) throw new Error('interrupted');
  if (isRemembered(ran.report)) await memory.remember(ran.report, Date.now());
  return ran.report;
}

/** The command itself, by somebody who has never verified anything; again while a busy broker does not answer. */
export async function without(ledger: SmallLedger): Promise<string> {
  const { code, stdout, stderr } = await start(['verify', '--ledger', ledger.folder, '--memory', join(ledger.folder, 'first'), '--workers', '1', '-o', 'json'], {
    PLAIT_BOOTSTRAP_SERVERS: ledger.ground.kafka.brokers.join(','), PLAIT_LOG_LEVEL: 'error',
  }).ended;
  if (code === EXIT.unreachable) return await without(ledger);
  if (code === EXIT.usage) return `${code}`;
  if (stdout === '') return `${code} ${stderr}`;
  const report = JSON.parse(stdout) as Told & { readonly exitCode: number };
  return report.exitCode === code ? await cell(ledger, report) : `${code}, and the report says ${report.exitCode}`;
}

/** Lets the roles go on with what they remember: one more wave, numbered if they find nothing wrong with their part. */
export async function runOn(ledger: SmallLedger): Promise<void> {
  await ledger.write();
  const deadlineMs = performance.now() + RUN_ON_MS;
  try {
    await using team = await ledger.team();
    await team.goOn(() => performance.now() < deadlineMs);
  } catch (error) {
    // What a role finds wrong ends it; a bug is thrown on.
    if (!isPlaitError(error)) throw error;
  }
}

/** What the page says of a verification, also of one that refuses to say anything of that log. */
async function told(ledger: SmallLedger, verifying: Promise<Told>): Promise<string> {
  try {
    return await cell(ledger, await verifying);
  } catch (error) {
    if (isPlaitError(error, 'config')) return `${exitCodeOf(error)}`;
    throw error;
  }
}

/** What the page says of it. */
async function cell(ledger: SmallLedger, { verdict, ignored, notChecked, counts, finding }: Told): Promise<string> {
  const exit = exitCodeOfReport({ verdict });
  if (finding === undefined || finding === null) {
    const inert = [...Object.keys(ignored), ...(counts.snapshots.foreign.toString() === '0' ? [] : ['snapshot/foreign'])];
    const mayBeOlder = notChecked.some((sentence) => sentence.includes('a rollback cannot be excluded'));
    return [`${exit}${mayBeOlder ? ' \\*' : ''}`, ...(inert.length > 0 ? [`ignored ${inert.join(' ')}`] : [])].join(', ');
  }
  const place = await placeOf(ledger, finding);
  return `${exit} \`${finding.kind}\`${place === '' ? '' : ` ${place}`}${lastGoodOf(finding)}${lackOf(finding)}`;
}

function lastGoodOf({ lastGoodCheckpoint: good }: NonNullable<Told['finding']>): string {
  if (good === undefined || good === null) return '';
  return ` (${'checkpoint' in good ? good.checkpoint.size : good.size})`;
}

/** What every finding says beside its place: named only where it is missing. */
function lackOf({ message, expected, found, causes = [], next = '' }: NonNullable<Told['finding']>): string {
  const said = { message, expected, found, causes: causes.length > 0 || undefined, next: next.startsWith('plait ') || undefined };
  return Object.entries(said).filter(([, value]) => value === undefined || value === '').map(([what]) => `, without ${what}`).join('');
}

/** A record, the range of a segment, a block, or a message of the log. */
async function placeOf(ledger: SmallLedger, { partition, offset, firstOffset, nextOffset, height, position }: NonNullable<Told['finding']>): Promise<string> {
  if (offset !== undefined) return `orders/${partition} at ${offset}`;
  if (partition !== undefined) return `orders/${partition} ${firstOffset} … ${nextOffset}`;
  if (height !== undefined) return `block ${height}`;
  return position === undefined ? '' : await messageName(ledger, Number(position));
}

/** Which of the log's messages is meant: its kind, and its 0-based number among those of this kind. */
async function messageName(ledger: SmallLedger, position: number): Promise<string> {
  const kinds = (await ledger.messages()).map(kindOf);
  const kind = kinds[position];
  return kind === undefined ? '' : `${kind} ${kinds.slice(0, position).filter((each) => each === kind).length}`;
}
