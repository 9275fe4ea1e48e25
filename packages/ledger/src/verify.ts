/** Verifying a whole ledger: over Kafka, or over whatever gives its log and its records. */
import { logPosition, PlaitError, type FoldState, type VerifierKey, type VerifySignature } from '@plait/core';
import {
  Auditor, NewestFold, RecordChecker,
  type AuditorOptions, type AuditOutcome, type Clock, type LineChecker, type OpenLog, type RetentionOf, type SourceReader,
} from '@plait/roles';
import { systemClock } from './clock.ts';
import { reportOf } from './verify-report.ts';
import type { VerifyOptions, VerifyProgress, VerifyReport } from './verify-types.ts';

/** Where log and records come from. */
export interface VerifyPorts {
  readonly origin: string;
  readonly ledgerKey: VerifierKey;
  readonly openLog: OpenLog;
  /** Opens a reader of the sources; asked only if the options name no checkers. */
  readonly openSource: () => Promise<SourceReader>;
  /** See AuditorOptions. Default: the log is followed a second time, from its newest confirmed state on. */
  readonly newest?: () => Promise<FoldState | undefined>;
  /** Default: nothing is known of how long topics keep their records. */
  readonly retentionOf?: RetentionOf;
  /** How long it goes on trying while nothing answers, ms. Default 30,000. */
  readonly patienceMs?: number;
  readonly clock?: Clock;
  /** See core's FoldOptions. */
  readonly verify?: VerifySignature;
}

const PATIENCE_MS = 30_000;
const PROGRESS_MS = 200;

/**
 * Derives everything again that the ledger says, and compares it: what came out of it, with the first bad place. A ledger that
 * is not what it should be is a report, never an error.
 *
 * Throws `unavailable` after the patience, `config` (access is refused, the rules are newer than this program, the log is not
 * that ledger's, its genesis carries another key's signature, a trusted checkpoint is another ledger's), and the signal's reason.
 */
export async function verifyLedger(ports: VerifyPorts, options: VerifyOptions = {}): Promise<VerifyReport> {
  const { openLog, clock = systemClock, patienceMs = PATIENCE_MS } = ports;
  const { signal = new AbortController().signal, onProgress = () => undefined } = options;
  requireRange(options);
  await using open = new AsyncDisposableStack();
  const log = open.adopt(await openLog(logPosition(0n)), (port) => port.close());
  const checkers = options.checkers ?? [open.adopt(await ownChecker(ports, clock), (port) => port.close())];
  const newest = ports.newest ?? open.use(newestOf(ports)).fold;
  const auditor = new Auditor({ ...auditOf(ports, options), log, openLog, clock, patienceMs, checkers, newest });
  const outcome = await run(auditor, { signal, tell: everySoOften(clock, () => tell(auditor, onProgress)) });
  tell(auditor, onProgress);
  return reportOf(outcome, ports, options);
}

/** The options of an audit that are the same here and there. */
function auditOf({ origin, ledgerKey, verify, retentionOf }: VerifyPorts, options: VerifyOptions): Pick<AuditorOptions, 'origin' | 'ledgerKey'> & Partial<AuditorOptions> {
  const { fromSeq = 0n, resumeAt = 0n, goneBefore, toSeq, trusted, memory, leavesOf, recordsPerSecondMax } = options;
  const retention = options.retentionOf ?? retentionOf;
  return {
    origin, ledgerKey, fromSeq: resumeAt > fromSeq ? resumeAt : fromSeq,
    ...(goneBefore === undefined ? {} : { goneBefore }), ...(toSeq === undefined ? {} : { toSeq }), ...(trusted === undefined ? {} : { trusted }), ...(memory === undefined ? {} : { memory }),
    ...(leavesOf === undefined ? {} : { leavesOf }), ...(retention === undefined ? {} : { retentionOf: retention }),
    ...(recordsPerSecondMax === undefined ? {} : { recordsPerSecondMax }), ...(verify === undefined ? {} : { verify }),
  };
}

function requireRange({ fromSeq = 0n, toSeq, checkers, recordsPerSecondMax }: VerifyOptions): void {
  if (toSeq !== undefined && toSeq < fromSeq) throw new PlaitError('config', `toSeq ${toSeq} is below fromSeq ${fromSeq}`);
  if (checkers?.length === 0) throw new PlaitError('config', 'checkers: wanted at least one');
  if (recordsPerSecondMax !== undefined && !(recordsPerSecondMax > 0)) throw new PlaitError('config', 'recordsPerSecondMax: wanted a number above 0');
}

function newestOf({ origin, ledgerKey, openLog, verify }: VerifyPorts): NewestFold {
  return new NewestFold({ origin, ledgerKey, openLog, ...(verify === undefined ? {} : { verify }) });
}

async function ownChecker({ openSource }: VerifyPorts, clock: Clock): Promise<LineChecker> {
  return new RecordChecker({ source: await openSource(), clock });
}

async function run(
  auditor: Auditor, { signal, tell: tellNow }: { readonly signal: AbortSignal; readonly tell: () => void },
): Promise<AuditOutcome> {
  for (;;) {
    const outcome = await auditor.step();
    signal.throwIfAborted();
    if (outcome !== undefined) return outcome;
    tellNow();
  }
}

function everySoOften(clock: Clock, act: () => void): () => void {
  let lastMs = clock.nowMs();
  return () => {
    if (clock.nowMs() - lastMs < PROGRESS_MS) return;
    lastMs = clock.nowMs();
    act();
  };
}

function tell({ progress }: Auditor, onProgress: (progress: VerifyProgress) => void): void {
  if (progress !== undefined) onProgress(progress);
}
