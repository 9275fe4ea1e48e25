/** How far a verification is: a bar with the time it still takes on a terminal, else a line of the log every ten seconds. */
import { SingleBar } from 'cli-progress';
import type { VerifyProgress } from '@plait/ledger';
import type { Log } from '../log.ts';
import { ageText } from '../reading/status-text.ts';
import { many } from './report-text.ts';

/** Gets each progress as it comes. */
export interface ProgressView {
  update(progress: VerifyProgress): void;
  /** Takes the bar away. Repeatable. */
  end(): void;
}

const BAR_MS = 250;
const LINE_MS = 10_000;
/** The bar's whole length, in the steps that it is told. */
const STEPS = 1_000;

/** On stderr; results go to stdout. `firstSeq`: where the records begin that this run reads. */
export function progressView(log: Log, firstSeq: bigint): ProgressView {
  return process.stderr.isTTY ? barView(firstSeq) : lineView(log, firstSeq);
}

/** How much of the way is done, 0 … 1: of what the log has told so far, times how far the log itself was read. */
export function fractionOf({ position, end, nextSeq, totalSeqs }: VerifyProgress, firstSeq: bigint): number {
  const ofLog = position < end ? Number(position) / Number(end) : 1;
  if (totalSeqs === undefined) return 0;
  if (totalSeqs <= firstSeq) return ofLog;
  return nextSeq <= firstSeq ? 0 : (ofLog * Number(nextSeq - firstSeq)) / Number(totalSeqs - firstSeq);
}

/** How long the rest takes if it goes on as it went; undefined while nothing is done. */
function leftMsOf(done: number, tookMs: number): number | undefined {
  return done > 0 ? Math.round((tookMs * (1 - done)) / done) : undefined;
}

function barView(firstSeq: bigint): ProgressView {
  const bar = new SingleBar({
    format: 'verifying {bar} {percentage}%  {seqs} seqs  {left}', stream: process.stderr,
    barsize: 30, barCompleteChar: '█', barIncompleteChar: '░',
    fps: 4, clearOnComplete: true, emptyOnZero: true, linewrap: false,
    // Ctrl-C is for the command: it ends this view, too.
    gracefulExit: false,
  });
  const startMs = performance.now();
  let dueMs = 0;
  return {
    update: (progress) => {
      const nowMs = performance.now();
      if (nowMs < dueMs) return;
      dueMs = nowMs + BAR_MS;
      const done = fractionOf(progress, firstSeq);
      const leftMs = leftMsOf(done, nowMs - startMs);
      const payload = { seqs: many(progress.nextSeq), left: leftMs === undefined ? '' : `${ageText(leftMs)} left` };
      if (bar.isActive) bar.update(Math.floor(done * STEPS), payload);
      else bar.start(STEPS, 0, payload);
    },
    end: () => bar.stop(),
  };
}

function lineView(log: Log, firstSeq: bigint): ProgressView {
  const startMs = performance.now();
  let dueMs = startMs + LINE_MS;
  return {
    update: (progress) => {
      const nowMs = performance.now();
      if (nowMs < dueMs) return;
      dueMs = nowMs + LINE_MS;
      const done = fractionOf(progress, firstSeq);
      const leftMs = leftMsOf(done, nowMs - startMs);
      const { nextSeq, records } = progress;
      log.info({ event: 'verifying', nextSeq: String(nextSeq), records: String(records), percent: Math.floor(done * 100), leftMs },
        `${Math.floor(done * 100)} % verified, below seq ${nextSeq}${leftMs === undefined ? '' : `, about ${ageText(leftMs)} left`}`);
    },
    end: () => undefined,
  };
}
