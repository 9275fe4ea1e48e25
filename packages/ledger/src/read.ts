/** Reading a ledger in its global order, by segments. */
import { PlaitError, type LedgerState, type Seq } from '@plait/core';
import { refuseCommit, nextSeqOf, type LedgerSegment } from './entries.ts';
import { readGroup, type ReadNotice } from './group.ts';
import { patient } from './patient.ts';
import { Run, type Access } from './run.ts';
import { beginAt, startPointOf, type StartOptions } from './start.ts';

/** What to read, and for how long. */
export interface ReadOptions extends StartOptions {
  /** Ends before this seq. Default: no end. */
  readonly toSeq?: bigint;
  /**
   * At the end of what is sequenced: `wait` for more; `end` with what the log held when the reading began (some more may
   * come); `fail` there with `unavailable`, unless what was asked for (the seq to begin at, all up to `toSeq`) was there.
   * Default `wait`.
   */
  readonly atEnd?: 'wait' | 'end' | 'fail';
  /** Short for `atEnd`: true is `wait`, false is `end`. */
  readonly follow?: boolean;
  /**
   * Records that can no longer be read, so that nobody can check them: `stop` throws `missing`; `report` hands out a `gone`
   * entry for their seqs and goes on. Default `stop`. Losses and voids are entries either way; tampering always throws.
   */
  readonly onMissing?: 'stop' | 'report';
  /**
   * A consumer group, in which one member reads and the others stand by for it. It begins behind what it has committed with
   * `commit()`, by the log's offsets visible to Kafka's tools; where nothing is committed, at the start point. A commit that
   * is not of this ledger is `config` unless a start point was given; one whose block the log does not hold is `rolled-back`.
   * At least once: what was not committed comes again. Consumers of other kinds cannot be in the group.
   */
  readonly group?: string;
  /**
   * With a group, a consumer group on the source topics: its members read at the same time, each only the entries of the
   * partitions that it has, in order of their seqs, and again from the commits of those that it gets. Commits are by partition.
   */
  readonly share?: 'partitions';
  /** Gets what a reading with a group says aloud, synchronously; must not throw. */
  readonly onNotice?: (notice: ReadNotice) => void;
  /** Ends the reading, without an error, within half a second or so. */
  readonly signal?: AbortSignal;
}

/** What a reading needs beside its options. */
export interface ReadContext {
  readonly access: Access;
  /** The fold at the log's end, sampled in this call; undefined if it is not read so far yet. */
  readonly newest: () => Promise<LedgerState | undefined>;
  /** Aborts with the options' signal or when the ledger is closed. */
  readonly signal: AbortSignal;
}

/** See `Ledger.readSegments`. */
export async function* readSegments({ access, newest, signal }: ReadContext, options: ReadOptions): AsyncGenerator<LedgerSegment, undefined> {
  const { toSeq, onMissing = 'stop', follow = true, atEnd = follow ? 'wait' : 'end', group, share, onNotice = () => undefined } = options;
  const point = startPointOf(options);
  const run = { onMissing, signal, endless: atEnd === 'wait', ...(toSeq === undefined ? {} : { toSeq }) };
  const settled = settledBy(newest, { access, signal });
  if (signal.aborted) return;
  if (group !== undefined) {
    const from = options.from === undefined && options.fromSeq === undefined ? undefined : point;
    yield* readGroup(access, { ...run, group, share: share !== undefined, from, newest: settled, onNotice });
    return;
  }
  if (share !== undefined) throw new PlaitError('config', 'share: only the members of a group share; give a group');
  const begin = await beginAt(point, settled);
  if (begin === undefined || (toSeq !== undefined && toSeq <= begin.fromSeq)) return;
  await using reading = await Run.open(access, {
    ...run, newest, wants: (numbered) => begin.wants(numbered), beforeSeq: begin.fromSeq,
    ...(begin.start === undefined ? {} : { start: begin.start }),
  });
  let next: Seq | undefined;
  while (!signal.aborted) {
    const segment = await reading.next();
    if (segment === undefined) continue;
    if (segment === 'end') break;
    next = nextSeqOf(segment);
    yield { ...segment, fromSeq: begin.first(segment), commit: refuseCommit };
  }
  if (atEnd === 'fail' && !signal.aborted) requireAll({ next, toSeq, needsStart: point !== 'oldest' && point !== 'newest', sequenced: reading.state?.nextSeq });
}

function requireAll({ next, toSeq, needsStart, sequenced = 0n as Seq }: { next: Seq | undefined; toSeq: bigint | undefined; needsStart: boolean; sequenced: Seq | undefined }): void {
  const short = toSeq !== undefined && (next ?? 0n) < toSeq;
  if (!short && (next !== undefined || !needsStart)) return;
  throw new PlaitError('unavailable', short ? `asked for all below seq ${toSeq}, and only those below ${sequenced} are sequenced` :
    `what was asked for to begin with is not sequenced yet: the ledger ends below seq ${sequenced}`, { details: { nextSeq: String(sequenced) } });
}

/** The fold at an end of the log that was sampled in the call; undefined when the signal aborts. Patient with brokers. */
function settledBy(
  newest: ReadContext['newest'], { access: { patienceMs }, signal }: { access: Access; signal: AbortSignal },
): () => Promise<LedgerState | undefined> {
  const step = patient(newest, { patienceMs, signal });
  return async () => {
    while (!signal.aborted) {
      const state = await step();
      if (state !== undefined) return state;
    }
    return undefined;
  };
}
