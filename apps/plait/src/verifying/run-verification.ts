/** One verification with its ports: what is remembered and trusted, who reads the records, and how far it came if it is cut short. */
import { isPlaitError, seq } from '@plait/core';
import { loadVerifyProgress, type VerifyProgressMark } from '@plait/disk';
import { systemClock, verifyLedger, type LedgerFile, type SignedCheckpoint, type VerifyOptions, type VerifyPorts } from '@plait/ledger';
import { requireRemembered, type OpenLog } from '@plait/roles';
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
  const keeper = new ProgressKeeper(memory.progressFile, { origin: ledger.origin, firstSeq }, { digest, before: mark });
  const checkers = await openCheckers(options, { count: options.workers, ports });
  const view = ports.adopt(progressView(log, mark?.nextSeq ?? firstSeq), (each) => each.end());
  const read: VerifyPorts = { ...pinnedOf(ledger), ...places.ports, openSource: () => openRecords(options) };
  const wanted = await wantedOf(verification, mark, ports);
  await warnOfAnotherLog(read, verification);
  try {
    const report = await verifyLedger({ ...read, openLog: firstDigested(read.openLog, digest, mark) }, {
      ...wanted, checkers, onProgress: (progress) => {
        keeper.update(progress);
        view.update(progress);
      },
    });
    await keeper.end();
    return { report, records: places.records, log: places.log, ...(mark === undefined ? {} : { resumed: mark }) };
  } catch (error) {
    if (error instanceof OtherLog) throw error;
    view.end();
    const { nextSeq, gone } = (await keeper.save()) ?? {};
    const but = gone === undefined ? '' : `, but for ${gone.seqs} records that are gone`;
    const advice = nextSeq === undefined ? '' : `: all below seq ${nextSeq} is checked${but}; --resume goes on there`;
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
    ...(mark?.gone === undefined ? {} : { goneBefore: mark.gone }),
    ...(rate === undefined ? {} : { recordsPerSecondMax: rate }), ...(leaves === undefined ? {} : { leavesOf: leavesIn(ports.use(await openKeptLeaves(leaves, ledger, log))) }),
  };
}

/** Says at once what the verification comes to say anyhow: that can take hours, since all that the ledger shows by itself comes first. */
async function warnOfAnotherLog({ openLog }: VerifyPorts, { memory, log, signal }: Verification): Promise<void> {
  const aborted = new Promise<void>((resolve) => signal.addEventListener('abort', () => resolve(), { once: true }));
  try {
    await Promise.race([requireRemembered({ openLog, memory: memory.state, clock: systemClock }), aborted]);
  } catch (error) {
    if (!isPlaitError(error)) throw error;
    // Of anything else the verification itself tells.
    if (error.code !== 'rolled-back') return;
    log.warn({ event: 'another-log' }, `${error.message}. It is verified all the same, so that the first bad place is named`);
  }
}
