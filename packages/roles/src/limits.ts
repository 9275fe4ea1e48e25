/**
 * The bounds and times that a process chooses for itself. They change speed and patience, never what counts; the bounds
 * that are rules stand in core.
 */

/** Bytes of payload after which a worker ends a segment (unless it holds one record): readers buffer one to verify it. */
export const SEGMENT_BYTES_MAX = 4 * 1024 * 1024;

/** Segments of one partition that a worker hashes ahead of what it may report; then it stops reading that partition. */
export const UNREPORTED_SEGMENTS_MAX = 64;

/** How long an idle role waits for its inputs in one step, ms: the delay with which it sees what does not wake it. */
export const IDLE_WAIT_MS = 100;

/** How long a reader waits for a broker to say what a partition holds, ms. */
export const PROBE_WAIT_MS = 1_000;

/** How old a reader's knowledge of the newest configuration may be when it says that records are gone, ms. */
export const NEWEST_AGE_MS_MAX = 1_000;

/** How long an idle worker waits for records before it looks at the log again, ms. */
export const WORKER_WAIT_MS = 25;

/** Messages of any kind after which a leader writes a snapshot: a cold start folds about so many, and seldom twice as many. */
export const SNAPSHOT_MESSAGES = 1_000;

/** How often what a role remembers is saved while the log grows, ms: what a crash may make it forget. */
export const MEMORY_SAVE_MS = 1_000;

/** Bytes of copied messages that may wait for that; more of them, as when a log is read from its beginning, are written at once. */
export const COPY_WAITING_BYTES_MAX = 8 * 1024 * 1024;

/** Bytes of lines and leaves that wait to be kept: with so many they are kept at once. */
export const LEAVES_WAITING_BYTES_MAX = 1024 * 1024;

/** How long lines and leaves wait to be kept when they are few, ms. */
export const LEAVES_WAIT_MS = 200;

/** How often a keeper has old leaves deleted, ms. */
export const LEAVES_EXPIRE_MS = 1_000;

/** How long a keeper rests before it asks again what has become of records that differ, ms. */
export const TAMPERED_REST_MS = 1_000;

/** Sizes of which a tile writer knows the root while no checkpoint came: some minutes of blocks under load. */
export const TREE_ROOTS_MAX = 65_536;

/**
 * Records of one partition that an audit gives to a checker at once, more or less: some MiB to read in one go, so that little
 * was read ahead in vain when another checker goes on with the partition.
 */
export const STRETCH_RECORDS = 65_536;

/** Records in a stretch that is given to a checker which has another in hand. */
export const STRETCH_RECORDS_MIN = 2_048;

/** Lines in such a stretch, at most. */
export const STRETCH_LINES_MAX = 2_048;

/** Stretches that a checker has in hand: while it works on one it knows the next. */
export const STRETCHES_IN_HAND_MAX = 2;

/** Lines that an audit has folded and not compared yet, more or less: then the fold waits for the records. */
export const LINES_WAITING_MAX = 16_384;

/** Partitions of which a checker reads ahead: each may hold some MiB. */
export const PARTITIONS_AHEAD_MAX = 16;

/** Times of the roles, in ms. The defaults suit one data centre. */
export interface RoleTimes {
  /** A worker reports, and a leader cuts, at once when quiet and at most once in this time under load. */
  readonly cutIntervalMs: number;
  /** An accepted segment that waits this long lets a standby claim without the lease. */
  readonly stallMs: number;
  /** Least time between two claims, doubled by each that was made in vain. */
  readonly takeoverMs: number;
  /** A message that was not read back for this long is sent again, same bytes. */
  readonly resendMs: number;
  /** A publisher signs at most one checkpoint in this time, those of headers with a state left out. */
  readonly checkpointIntervalMs: number;
  /** A worker that read none of its reports for this long starts again from the chain's end. */
  readonly reportTimeoutMs: number;
  /** How long a worker that stops goes on trying to report what it has hashed. */
  readonly drainMs: number;
  /**
   * How long a reader waits for a partition to reach the end of a segment that lies beyond the partition's end; after as
   * long again without a sign of the segment, it says that it gets nothing.
   */
  readonly beyondEndMs: number;
}

/** What a role takes where it is not told otherwise. */
export const DEFAULT_TIMES: RoleTimes = {
  cutIntervalMs: 3,
  stallMs: 3_000,
  takeoverMs: 1_000,
  resendMs: 1_000,
  checkpointIntervalMs: 1_000,
  reportTimeoutMs: 5_000,
  drainMs: 3_000,
  beyondEndMs: 10_000,
};
