/** What a run of `plait verify` came to: the report, and what the command did beside it. */
import type { FindingKind, VerifyReport } from '@plait/ledger';
import { EXIT } from '../exit.ts';

/** Where something was read from. */
export type ReadFrom = 'kafka' | 'log-dir';

/** For the text and the JSON of the result. */
export interface VerifyOutcome {
  readonly report: VerifyReport;
  /** Where records and log came from. */
  readonly records: ReadFrom;
  readonly log: ReadFrom;
  readonly memory: {
    readonly folder: string;
    /** Nothing was remembered before. */
    readonly first: boolean;
    /** This run is remembered. */
    readonly remembered: boolean;
  };
  /** An interrupted run that this one went on from. */
  readonly resumed?: { readonly nextSeq: bigint; readonly timeMs: bigint };
  /** Where the evidence of the finding was written. */
  readonly evidence?: { readonly folder: string; readonly files: readonly string[] };
  readonly durationMs: number;
}

const EXITS = {
  verified: EXIT.done, tampered: EXIT.tampered, 'rolled-back': EXIT.rolledBack, 'split-view': EXIT.splitView, undecided: EXIT.undecided,
} as const satisfies Readonly<Record<VerifyReport['verdict'], number>>;

/** The exit code of a report. */
export function exitCodeOfReport({ verdict }: Pick<VerifyReport, 'verdict'>): number {
  return EXITS[verdict];
}

/**
 * Whether a run is to be remembered: all of the log was read, and nothing in it is wrong. That records are gone is no reason to forget
 * the log; of one without its beginning nobody can tell anything.
 */
export function isRemembered({ verdict, finding }: Pick<VerifyReport, 'verdict' | 'finding'>): boolean {
  return verdict === 'verified' || (verdict === 'undecided' && finding?.kind !== 'log-start');
}

/** What a kind of finding says, in a few words; docs/SECURITY.md has a paragraph for each. */
export const KIND_WORDS: Readonly<Record<FindingKind, string>> = {
  'payload-changed': 'a record is not what was hashed',
  'timestamp-changed': 'a record has another timestamp than was hashed',
  'record-missing': 'a record is missing',
  'record-added': 'a record is there that was never hashed',
  'records-differ': 'records are not what was hashed',
  'beyond-end': 'the partition ends below sequenced records',
  'false-loss': 'records that were signed as lost are there',
  deleted: 'records were deleted',
  'expired-or-deleted': 'records have expired or were deleted',
  'block-missing': 'the log lacks what was signed',
  'block-differs': 'a block is not what the log demands',
  'genesis-missing': 'the log lacks its genesis',
  'log-start': 'the beginning of the log was deleted',
  'rolled-back': 'the log is older than what is known of it',
  'history-differs': 'the log is another than what is known of it',
  'checkpoint-contradicts': 'two signed checkpoints contradict each other',
};
