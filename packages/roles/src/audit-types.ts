/** What an audit needs from outside, and the words for what it finds. */
import type {
  Checkpoint, Generation, Hash, Height, Index, Line, LogPosition, Offset, RecordSegment, Seq, TopicPartition,
} from '@plait/core';

/** Consecutive lines of one partition and generation, in order, to be compared with the partition's records. */
export interface LineStretch extends TopicPartition {
  readonly generation: Generation;
  readonly lines: readonly Line[];
  /** Another generation has begun since: what the partition does not hold now is not waited for. */
  readonly hasEnded: boolean;
  /** The topic is still a source. Of another one that gives nothing the records are gone; a source is waited for with `unavailable`. */
  readonly isSource: boolean;
}

/** What is wrong with a line's records, as the partition shows it: before the newest configuration was asked. */
export interface LineFinding {
  /**
   * `below-start`, `silent`: they cannot be read any more. `beyond-end`: the partition ends below them. `differs`: other
   * records than were hashed, or unreadable ones. `false-loss`: the range of a loss can still be read.
   */
  readonly kind: 'below-start' | 'silent' | 'beyond-end' | 'differs' | 'false-loss';
  /** A sentence for people, with topic, partition and offsets. */
  readonly message: string;
  readonly expected?: string;
  readonly found?: string;
  /** Of `differs`: where what cannot be read begins. */
  readonly offset?: Offset;
  /** From where to where the partition holds records. */
  readonly logStart?: Offset;
  readonly end?: Offset;
  /** Of `differs`: the leaves of the records that are there now, 48 bytes each; undefined if they cannot all be hashed. */
  readonly leaves?: Uint8Array;
}

/** What became of a line: its records were hashed again and match, or it is a loss that seems right; or what is wrong. */
export type LineResult = { readonly kind: 'right' } | { readonly kind: 'wrong'; readonly finding: LineFinding };

/**
 * Compares lines with the records of their partitions, by itself: several of them work side by side, each with its own
 * connections, perhaps in processes of their own. Arguments and results are plain data that a structured clone keeps.
 */
export interface LineChecker {
  /**
   * One result for each line of the stretch, in order. Calls may overlap; they are worked off one after the other. Throws
   * `unavailable` while no broker answers (the same stretch may be given again), `config` when reading is not allowed.
   */
  check(stretch: LineStretch): Promise<readonly LineResult[]>;
  /** Ends what is under way, with an error, and frees connections. Repeatable. */
  close(): Promise<void>;
}

/**
 * The leaves of a segment from wherever they are kept, 48 bytes each; undefined if they are not kept. They are compared with
 * the segment's root before they are believed.
 */
export type LeavesOf = (segment: RecordSegment) => Promise<Uint8Array | undefined>;

/** How long a topic keeps its records. */
export interface Retention {
  /** Kafka's `retention.ms`; −1: for ever. */
  readonly ms: bigint;
  /** Kafka's `retention.bytes` a partition; −1: without bound. */
  readonly bytes: bigint;
  /** Whether `cleanup.policy` is `delete` alone. */
  readonly onlyDelete: boolean;
}

/** Asks for a topic's retention; undefined if it cannot be told. */
export type RetentionOf = (topic: string) => Promise<Retention | undefined>;

/** A checkpoint that somebody kept. Its signature is checked against the keys that were in force in the ledger. */
export interface SignedCheckpoint {
  /** Where it is from, for people: `remembered`, a file's name. */
  readonly name: string;
  /** The whole signed note. */
  readonly note: Uint8Array;
  readonly checkpoint: Checkpoint;
}

/**
 * What can be found. Of the records:
 *
 * - `payload-changed`: key, value or headers of a record are others than were hashed. Also the first of two that changed places.
 * - `timestamp-changed`: only its timestamp is another.
 * - `record-missing`: a record that was hashed is not there. `record-added`: one is there that was not hashed.
 * - `records-differ`: somewhere in the range is one of these; without leaves nobody can tell where.
 * - `beyond-end`: the partition ends below sequenced records: it was truncated, or made anew.
 * - `false-loss`: a range that was signed as lost can still be read.
 * - `deleted`: records at the partition's head are gone though the topic keeps them: somebody deleted them. Nothing says what
 *   they were, so it is `undecided`.
 * - `expired-or-deleted`: they are gone, and may have expired. `undecided`, too.
 *
 * Of the log:
 *
 * - `block-missing`: somebody with the right to sign it knows of more than the log holds: a block above the next height, a
 *   claim above the next epoch or of another past, a configuration above the next version, a block of a claim or
 *   configuration that is nowhere in the log, a checkpoint over more blocks. A message before it was dropped or edited.
 * - `block-differs`: a block of the leader in force is not what the log before it demands: a message before it was dropped,
 *   edited or added, or the leader lies.
 * - `genesis-missing`: the log holds messages of the ledger, and no genesis before them.
 * - `log-start`: the log's beginning was deleted: nobody can tell what it said, so it is `undecided`.
 * - `rolled-back`: the log is older than what is remembered of it, or than a checkpoint that somebody kept.
 * - `history-differs`: a header that is remembered, or a checkpoint that somebody kept, is not of the tree: the log was written anew.
 * - `checkpoint-contradicts`: a key in force signed two trees of which neither extends the other: a split view. It is settled when a
 *   configuration has replaced the key, and its successor has signed for the blocks behind.
 */
export type FindingKind =
  | 'payload-changed' | 'timestamp-changed' | 'record-missing' | 'record-added' | 'records-differ'
  | 'beyond-end' | 'false-loss' | 'deleted' | 'expired-or-deleted'
  | 'block-missing' | 'block-differs' | 'genesis-missing' | 'log-start' | 'rolled-back' | 'history-differs' | 'checkpoint-contradicts';

/**
 * What an audit comes to. `undecided`: records, or the log's beginning, are gone, so that nobody can tell what
 * they were; nothing else is wrong. Any of the others wins over it.
 */
export type Verdict = 'verified' | 'tampered' | 'rolled-back' | 'split-view' | 'undecided';

/** The first bad place, as exactly as it can be told. What does not apply is left out. */
export interface Finding {
  readonly kind: FindingKind;
  /** One sentence that says all of it. */
  readonly message: string;
  readonly topic?: string;
  readonly partition?: number;
  readonly generation?: Generation;
  /** Of the very record; with it its index and its seq. */
  readonly offset?: Offset;
  readonly index?: Index;
  readonly seq?: Seq;
  /** Of its segment. `firstSeq` alone: that of the first record which nobody has numbered as it should be. */
  readonly firstIndex?: Index;
  readonly nextIndex?: Index;
  readonly firstOffset?: Offset;
  readonly nextOffset?: Offset;
  readonly firstSeq?: Seq;
  readonly nextSeq?: Seq;
  /** Of the block that numbered it, or of the one that is missing or differs. */
  readonly height?: Height;
  /** Of the message in the log, or of the block that numbered it. */
  readonly position?: LogPosition;
  /** Name of the worker's key that signed the segment, and the position of its report. */
  readonly worker?: string;
  readonly report?: LogPosition;
  readonly expected?: string;
  readonly found?: string;
  /** What is likely to have happened, most likely first; sentences. */
  readonly causes: readonly string[];
  /** Two signed statements that contradict each other, or the one that the log does not bear out: to be kept. */
  readonly evidence?: readonly { readonly name: string; readonly note: Uint8Array }[];
}

/** How much was gone through. Seqs are counted where it says so, everything else one by one. */
export interface AuditCounts {
  readonly messages: bigint;
  readonly blocks: bigint;
  /** Segments with records that were read again and match. */
  readonly segments: bigint;
  /** Records that were hashed again and match. */
  readonly records: bigint;
  readonly losses: bigint;
  /** Seqs declared void, whose records were not read. */
  readonly voids: bigint;
  /** Seqs whose records cannot be read any more. */
  readonly gone: bigint;
  readonly claims: bigint;
  readonly configurations: bigint;
  readonly reports: bigint;
  /** Two signed segments over one range that differ; the first counted, the second was ignored. */
  readonly equivocations: bigint;
  /** Checkpoints by keys in force, all of them compared. */
  readonly checkpoints: bigint;
  /**
   * Of these, those that contradict the blocks, but are settled: their key was replaced by a configuration, and a key in force
   * now has signed for the blocks behind them.
   */
  readonly settled: bigint;
  /** Chunks of states that are what a header committed to, and others. */
  readonly snapshots: { readonly right: bigint; readonly foreign: bigint };
}

/** How far an audit has come. */
export interface AuditProgress {
  /** Messages folded, and the position to go on at. */
  readonly messages: bigint;
  readonly position: LogPosition;
  /** The log's end when the audit began: it stops there. */
  readonly end: LogPosition;
  /** Records that were hashed again. */
  readonly records: bigint;
  /** Everything wanted below it was compared: where a later audit may go on (`resumeAt`), if this one ends here. */
  readonly nextSeq: Seq;
  /** Seq at which the records to be checked end, as far as it is known. */
  readonly totalSeqs?: Seq;
  /** What could not be read any more, if anything, below `nextSeq`. */
  readonly gone?: Gone;
}

/** Records that cannot be read any more: how many, and where they begin. */
export interface Gone {
  readonly seqs: bigint;
  readonly first: Finding;
}

/** A checkpoint with which the tree was compared, and found consistent. */
export interface ConsistentWith {
  readonly name: string;
  readonly size: bigint;
  readonly root: Hash;
}
