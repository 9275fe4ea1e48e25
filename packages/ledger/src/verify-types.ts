/** What is asked of a verification of a whole ledger, and what it reports. */
import type { Hash, Height, Seq, VerifierKey } from '@plait/core';
import type {
  AuditCounts, AuditProgress, ConsistentWith, Finding, Gone, LeavesOf, LineChecker, Memory, RetentionOf, SignedCheckpoint, Verdict,
} from '@plait/roles';

/** What to verify, against what, and with what help. */
export interface VerifyOptions {
  /** The records to read, half-open; all if not given. The log is always verified whole. */
  readonly fromSeq?: bigint;
  readonly toSeq?: bigint;
  /** Records below it were compared by an earlier run, which says so: its `nextSeq` of the progress. */
  readonly resumeAt?: bigint;
  /** What that run could not read any more: the `gone` of its progress. */
  readonly goneBefore?: Gone;
  /** Ends the verification: it throws the signal's reason. */
  readonly signal?: AbortSignal;
  /** Called now and then, and at the end. Must not throw. */
  readonly onProgress?: (progress: VerifyProgress) => void;
  /** Checkpoints that the ledger must extend, from wherever they were kept. */
  readonly trusted?: readonly SignedCheckpoint[];
  /** What an earlier verification remembered of the log; saved at the end unless something is wrong. Default: none. */
  readonly memory?: Memory;
  /** Names the very record that is bad, where leaves are kept. */
  readonly leavesOf?: LeavesOf;
  /** Who reads the records again. Default: one in this process. They are not closed. */
  readonly checkers?: readonly LineChecker[];
  /** Records that are read per second, at most. Default: as fast as it goes. */
  readonly recordsPerSecondMax?: number;
  /** Default: asked of Kafka. */
  readonly retentionOf?: RetentionOf;
}

/** See {@link AuditProgress}. */
export type VerifyProgress = AuditProgress;

/** The finding, and what to do next. */
export interface VerifyFinding extends Finding {
  /**
   * The newest checkpoint in the log whose tree ends before the bad place; undefined if there is none, or if nobody can tell,
   * since the whole log may be another one.
   */
  readonly lastGoodCheckpoint?: SignedCheckpoint;
  /** A command line that shows more, or that ends it. */
  readonly next: string;
}

/** What came out of it. */
export interface VerifyReport {
  readonly schemaVersion: 1;
  readonly verdict: Verdict;
  readonly origin: string;
  /** Undefined if the log holds no genesis any more. */
  readonly ledgerId: Hash | undefined;
  /** The seqs whose records were compared (all, or up to the finding). */
  readonly range: { readonly firstSeq: Seq; readonly nextSeq: Seq };
  /** Number of accepted blocks that were folded. */
  readonly height: Height;
  readonly counts: AuditCounts;
  /** Messages, and segments of reports, that do not count, by `kind/reason` and `segment/reason`. */
  readonly ignored: Readonly<Record<string, number>>;
  /** The newest checkpoint in the log, by a key in force, that is consistent with its blocks; `lastGoodCheckpoint` where a finding ended the run. */
  readonly checkpoint?: SignedCheckpoint;
  /** What the tree was shown to extend, of what was kept outside of the log. */
  readonly consistentWith: readonly ConsistentWith[];
  /** Sentences: what was checked, and what was not. */
  readonly checked: readonly string[];
  readonly notChecked: readonly string[];
  /** In force where the log was read to: by them, or by those of earlier configurations, checkpoints are signed. Undefined without a genesis. */
  readonly checkpointKeys?: readonly VerifierKey[];
  /** Undefined when verified. */
  readonly finding?: VerifyFinding;
}
