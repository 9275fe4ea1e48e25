/** The result of a verification for programs (docs/OPERATING.md, "Verifying"): one object on one line. */
import { utf8Decode } from '@plait/core';
import type { SignedCheckpoint, VerifyFinding } from '@plait/ledger';
import { jsonText } from '../output.ts';
import { exitCodeOfReport, type VerifyOutcome } from './outcome.ts';

/** All numbers that may exceed 2^53 are decimal strings; what does not apply is null or left out. */
export function outcomeJson(outcome: VerifyOutcome): string {
  const { report, records, log, memory, resumed, durationMs } = outcome;
  const { schemaVersion, verdict, origin, ledgerId, range, height, counts, ignored, consistentWith, checked, notChecked } = report;
  return jsonText({
    schemaVersion, verdict, exitCode: exitCodeOfReport(report), origin, ledgerId: ledgerId ?? null, range, height, counts, ignored,
    checkpoint: checkpointObject(report.checkpoint), consistentWith, checked, notChecked, records, log, memory,
    resumed: resumed === undefined ? null : { nextSeq: resumed.nextSeq, time: resumed.timeMs },
    durationMs: Math.round(durationMs),
    finding: report.finding === undefined ? null : findingObject(report.finding, outcome),
  });
}

function checkpointObject(signed: SignedCheckpoint | undefined): unknown {
  if (signed === undefined) return null;
  const { checkpoint: { size, root }, note } = signed;
  return { size, root, note: utf8Decode(note) };
}

function findingObject({ lastGoodCheckpoint, evidence = [], ...finding }: VerifyFinding, { evidence: written }: VerifyOutcome): unknown {
  return {
    ...finding, lastGoodCheckpoint: checkpointObject(lastGoodCheckpoint),
    evidence: evidence.map(({ name, note }, i) => ({ name, note: utf8Decode(note), file: written?.files[i] ?? null })),
  };
}
