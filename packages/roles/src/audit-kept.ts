/** What a log that is flawless in itself is to what was kept outside of it: signed checkpoints, and what an earlier audit remembers. */
import { isPlaitError, type LedgerState } from '@plait/core';
import type { LogAudit } from './audit-log.ts';
import type { ConsistentWith, Finding, SignedCheckpoint } from './audit-types.ts';
import { endOf, type Forgotten, type RememberedLog } from './remembered-log.ts';

/** A finding, and the newest checkpoint whose tree ends before it. */
export interface Bad {
  readonly finding: Finding;
  /** Undefined, too, if nobody can tell. */
  readonly lastGood: SignedCheckpoint | undefined;
}

/** What was kept, and the log, once it was folded to its end. */
export interface Kept {
  readonly log: LogAudit;
  readonly trusted?: readonly SignedCheckpoint[];
  readonly remembered: RememberedLog | undefined;
}

/** What the log does not bear out, and with what it was found consistent before that. */
export interface Compared {
  readonly differing?: Bad;
  readonly consistentWith: readonly ConsistentWith[];
}

/**
 * Signed checkpoints come first, since they are evidence. `state` is that of the log's end. Throws `config` for a checkpoint that
 * is none of this ledger's.
 */
export function compareKept(state: LedgerState | undefined, { log, trusted = [], remembered }: Kept): Compared {
  const forgotten = remembered?.compare(state, (size) => log.rootAt(size));
  const consistentWith: ConsistentWith[] = [];
  for (const kept of state === undefined ? [] : trusted) {
    const { name, checkpoint: { size, root } } = kept;
    const differs = compareTrusted(log, kept, { state: state as LedgerState, forgotten });
    if (differs !== undefined) return { consistentWith, differing: placed(differs, { log, forgotten, size }) };
    consistentWith.push({ name, size, root });
  }
  if (forgotten !== undefined) return { consistentWith, differing: placed(forgotten.finding, { log, forgotten }) };
  const checkpoint = remembered?.checkpoint;
  return { consistentWith: checkpoint === undefined ? consistentWith : [...consistentWith, { name: 'remembered', ...checkpoint }] };
}

/** A log that is another one need not have the key that signed what was kept. */
function compareTrusted(log: LogAudit, kept: SignedCheckpoint, { state, forgotten }: { state: LedgerState; forgotten: Forgotten | undefined }): Finding | undefined {
  try {
    return log.compare(kept, state);
  } catch (error) {
    if (forgotten !== undefined && isPlaitError(error, 'config')) return forgotten.finding;
    throw error;
  }
}

/**
 * The place is right behind the last common point, if that is known and what was kept, of that size, says nothing else. A log that
 * lacks what only a checkpoint knows of ends where it ends; of one that contradicts it nothing is known to be good.
 */
function placed(differs: Finding, { log, forgotten, size }: { log: LogAudit; forgotten: Forgotten | undefined; size?: bigint }): Bad {
  if (forgotten === undefined && differs.kind === 'rolled-back') return { finding: differs, lastGood: log.goodAt(differs.height ?? 0n) };
  const { position: _position, height: _height, firstSeq: _firstSeq, ...finding } = differs;
  const common = forgotten?.common;
  const isBelow = finding.kind !== 'rolled-back' && size !== undefined && size <= (common?.height ?? 0n);
  if (common === undefined || isBelow) return { finding, lastGood: undefined };
  return { finding: { ...finding, ...endOf(common) }, lastGood: common.checkpoint };
}
