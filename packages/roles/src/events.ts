/** What roles tell about themselves, for logs, metrics and tests. Nothing that is told changes what they do. */
import type { Height, LogPosition, Offset, Outcome, TopicPartition } from '@plait/core';

/**
 * What needs a person. docs/OPERATING.md has an entry for each: what it means, what to look at, and the command that ends it.
 *
 * - `equivocation`: two signed segments over one range differ.
 * - `key-not-in-force`: the configuration does not name the role's key; the role does nothing.
 * - `log-start`: the log's beginning was deleted, as far as what is remembered of it.
 * - `record-unreadable`: a record cannot be decoded or hashed; its partition stops.
 * - `rolled-back`: the log is older than, or differs from, what is remembered of it; the role stops.
 * - `source-expired`: records expired before a worker hashed them; their partition stops.
 * - `source-regressed`: a partition is not what was hashed of it (truncated, made anew, restored); it stops.
 * - `split-view`: a checkpoint contradicts the blocks; coordinators and publishers stop.
 * - `tampered`: records differ from what was hashed; no leaves are kept from there on.
 */
export type AlarmName = 'equivocation' | 'key-not-in-force' | 'log-start' | 'rolled-back' | 'record-unreadable' | 'source-expired' | 'source-regressed' | 'split-view' | 'tampered';

/** One thing that a role tells. */
export type RoleEvent =
  | { readonly event: 'folded'; readonly position: LogPosition; readonly outcome: Outcome }
  | { readonly event: 'caught-up'; readonly position: LogPosition }
  /** Where a role begins: behind the state at `position` of block `height`, or at the log's beginning. `why` is for people. */
  | {
      readonly event: 'cold-start'; readonly position: LogPosition | undefined; readonly height: Height | undefined;
      readonly unconfirmed: Height | undefined; readonly messages: number; readonly why: string;
    }
  | { readonly event: 'assigned'; readonly version: number; readonly partitions: readonly TopicPartition[] }
  | { readonly event: 'started'; readonly partition: TopicPartition; readonly offset: Offset; readonly why: string }
  | { readonly event: 'reported'; readonly segments: number; readonly records: bigint }
  /** A range that expired before it was hashed is reported as a loss. */
  | { readonly event: 'lost'; readonly partition: TopicPartition; readonly firstOffset: Offset; readonly nextOffset: Offset }
  | { readonly event: 'claiming'; readonly epoch: bigint; readonly why: 'lease' | 'stall' }
  | { readonly event: 'leading'; readonly epoch: bigint }
  | { readonly event: 'fenced'; readonly epoch: bigint }
  | { readonly event: 'lease'; readonly held: boolean }
  /** A checkpoint of `size` headers was signed and sent; `hasState`: it confirms the state of block size − 1. */
  | { readonly event: 'published'; readonly size: bigint; readonly hasState: boolean }
  /** The checkpoint of `size` headers and all its tiles can be read by others. */
  | { readonly event: 'tiles'; readonly size: bigint }
  | { readonly event: 'waiting'; readonly why: string }
  | { readonly event: 'alarm'; readonly alarm: AlarmName; readonly message: string };

/** Gets what a role tells, in order and synchronously; must not throw. */
export type Observe = (event: RoleEvent) => void;
