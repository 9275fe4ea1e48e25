/** One verification with its ports: what is remembered and trusted, who reads the records, and how far it came if it is cut short. */
import { seq } from '@plait/core';
import { loadVerifyProgress, type VerifyProgressMark } from '@plait/disk';
import { verifyLedger, type LedgerFile, type SignedCheckpoint, type VerifyOptions, type VerifyPorts, type VerifyReport } from '@plait/ledger';
import type { OpenLog } from '@plait/roles';
import type { Log } from '../log.ts';
import type { CommonOptions } from '../options.ts';
import { leavesIn, openKeptLeaves } from '../proving/kept-leaves.ts';
import { pinnedOf } from '../running/wiring.ts';
import type { AuditorMemory } from './auditor-memory.ts';
import { openCheckers } from './checkers.ts';
import type { VerifyOutcome } from './outcome.ts';
import { findPlaces, openRecords } from './places.ts';
import { progressView } from './progress-view.ts';
import { digesting, LogDigest, OtherLog, ProgressKeeper } from './resuming.ts';

/** What the command is told that concerns the verification itself. */
export interface VerificationOptions extends CommonOptions {
  readonly fromSeq?: bigint;
  readonly toSeq?: bigint;
  readonly workers: number;
  readonly rate?: number;
  readonly logDir?: readonly string[];
  readonly leaves?: string;
  readonly resume: boolean;
}

/** What a verification is given. */
export interface Verification {
  readonly options: VerificationOptions;
  readonly ledger: LedgerFile;
  readonly memory: AuditorMemory;
  /** Beside what is remembered. */
  readonly trusted: readonly SignedCheckpoint[];
  readonly log: Log;
  readonly signal: AbortSignal;
}

/** What it came to. */
export type Ran = Pick<VerifyOutcome, 'report' | 'records' | 'log' | 'resumed'>;

/** Verifies; undefined if the signal ended it: then its progress is saved. Throws as `verifyLedger`, and `config` for options that do not fit. */
export async function runVerification(verification: Verification): Promise<Ran | undefined> {
  const { options, memory, log } = verification;
  const mark = options.resume ? await loadVerifyProgress(memory.progressFile) : undefined;
  if (options.resume && mark === undefined) log.warn({ event: 'nothing-to-resume' }, 'no run of this ledger was interrupted: everything is verified');
  try {
    return await attempt(verification, mark);
  } catch (error) {
    if (!(error instanceof OtherLog)) throw error;
    log.warn({ event: 'other-log' }, `${error.message}: nothing is taken over from it, and everything is verified again`);
    return await attempt(verification, undefined);
  }
}

async function attempt(verification: Verification, mark: VerifyProgressMark | undefined): Promise<Ran | undefined> {
  const { options, ledger, memory, log, signal } = verification;
  await using ports = new AsyncDisposableStack();
  const places = await findPlaces(options, ledger, log);
  const digest = new LogDigest();
  const firstSeq = mark?.firstSeq ?? seq(options.fromSeq ?? 0n);
  const keeper = new ProgressKeeper(memory.progressFile, { origin: ledger.origin, firstSeq, gone: mark?.gone ?? 0n }, digest);
  const checkers = (await openCheckers(options, { count: options.workers, ports })).map((checker) => keeper.watch(checker));
  const view = ports.adopt(progressView(log, mark?.nextSeq ?? firstSeq), (each) => each.end());
  const read: VerifyPorts = { ...pinnedOf(ledger), ...places.ports, openSource: () => openRecords(options) };
  const wanted = await wantedOf(verification, mark, ports);
  try {
    const report = await verifyLedger({ ...read, openLog: firstDigested(read.openLog, digest, mark) }, {
      ...wanted, checkers, onProgress: (progress) => {
        keeper.update(progress);
        view.update(progress);
      },
    });
    const exact = await shownByItself(report, read, wanted);
    await keeper.end();
    return { report: withGone(exact, mark), records: places.records, log: places.log, ...(mark === undefined ? {} : { resumed: mark }) };
  } catch (error) {
    if (error instanceof OtherLog) throw error;
    view.end();
    const nextSeq = await keeper.save();
    const advice = nextSeq === undefined ? '' : `: all below seq ${nextSeq} is checked; --resume goes on there`;
    // What could not even begin was not interrupted.
    if (signal.aborted || nextSeq !== undefined) log.warn({ event: 'interrupted', nextSeq: nextSeq?.toString() }, `the verification was interrupted${advice}`);
    if (!signal.aborted) throw error;
    return undefined;
  }
}

/** The first reader that is opened at the log's beginning is the fold's. */
function firstDigested(openLog: OpenLog, digest: LogDigest, mark: VerifyProgressMark | undefined): OpenLog {
  let isFirst = true;
  return async (from) => {
    const log = await openLog(from);
    if (!isFirst || from > 0n) return log;
    isFirst = false;
    return digesting(log, digest, mark);
  };
}

async function wantedOf({ options, ledger, memory, trusted, log, signal }: Verification, mark: VerifyProgressMark | undefined, ports: AsyncDisposableStack): Promise<VerifyOptions> {
  const { fromSeq = mark?.firstSeq, toSeq, rate, leaves } = options;
  return {
    trusted: [...memory.trusted, ...trusted], memory: memory.state, signal,
    ...(fromSeq === undefined ? {} : { fromSeq }), ...(toSeq === undefined ? {} : { toSeq }), ...(mark === undefined ? {} : { resumeAt: mark.nextSeq }),
    ...(rate === undefined ? {} : { recordsPerSecondMax: rate }), ...(leaves === undefined ? {} : { leavesOf: leavesIn(ports.use(await openKeptLeaves(leaves, ledger, log))) }),
  };
}

/**
 * What is remembered of the log shows that it is another before it is folded. What it shows by itself says more: which message
 * was dropped or edited, or, if it was written anew, a checkpoint that contradicts it, which makes evidence.
 */
async function shownByItself(report: VerifyReport, ports: VerifyPorts, { memory: _memory, ...wanted }: VerifyOptions): Promise<VerifyReport> {
  const { verdict, finding } = report;
  if (verdict !== 'rolled-back' || finding === undefined || finding.evidence !== undefined) return report;
  const { fromSeq: _fromSeq, resumeAt: _resumeAt, ...rest } = wanted;
  const found = await verifyLedger(ports, { ...rest, toSeq: 0n });
  if (found.verdict === 'tampered' || found.verdict === 'split-view') return found;
  return found.finding?.evidence === undefined ? report : { ...report, finding: { ...finding, evidence: found.finding.evidence } };
}

/** What an interrupted run could not check, nobody has checked. */
function withGone(report: VerifyReport, mark: VerifyProgressMark | undefined): VerifyReport {
  const { gone = 0n } = mark ?? {};
  if (gone === 0n) return report;
  const { verdict, notChecked } = report;
  return {
    ...report, verdict: verdict === 'verified' ? 'undecided' : verdict,
    notChecked: [...notChecked, `${gone} records that the interrupted run could not read any more: nobody can tell what they were`],
  };
}
