/**
 * The audit: everything that a ledger says is derived again, and compared. The log is folded from its beginning in one place,
 * every signature and hash of it; the records are read again by checkers, side by side. The first bad place ends it.
 *
 *     fold ── lines ──► lanes ── stretches ──► checkers
 *      │                  │ results, in the order of the lines
 *      ▼                  ▼
 *     log finding      judged by the newest configuration: right, void, gone, or the first finding
 */
import {
  chainOf, isAmong, isPlaitError, isTransient, PlaitError, segmentCount, seq, stateHash,
  type FoldState, type LedgerState, type LogPosition, type PlaitError as Failure, type Segment, type Seq,
} from '@plait/core';
import { goneFinding, tamperedFinding, type BadLine } from './audit-finding.ts';
import { compareKept, type Bad } from './audit-kept.ts';
import { Lanes, type Passed } from './audit-lanes.ts';
import { LogAudit } from './audit-log.ts';
import type {
  AuditCounts, AuditProgress, ConsistentWith, Finding, Gone, LeavesOf, LineChecker, RetentionOf, SignedCheckpoint, Verdict,
} from './audit-types.ts';
import { Follower, type Folded, type FollowerOptions } from './follower.ts';
import { IDLE_WAIT_MS } from './limits.ts';
import { LineJudge } from './line-judge.ts';
import { findMark, markOf } from './memory-marks.ts';
import type { Clock, Mark, Memory, OpenLog, Remembered } from './ports.ts';
import { isVoid, type Reported } from './reader-findings.ts';
import { OLDER_COPY, RememberedLog } from './remembered-log.ts';

/** What an audit needs. Its memory is written at the end only, if nothing is wrong. */
export interface AuditorOptions extends Omit<FollowerOptions, 'start' | 'copy'> {
  readonly openLog: OpenLog;
  readonly clock: Clock;
  /** At least one. They are not closed. */
  readonly checkers: readonly LineChecker[];
  /** The fold at the log's end, empty if it holds no genesis; undefined if it cannot be told yet. */
  readonly newest: () => Promise<FoldState | undefined>;
  /** The records to compare, half-open; all if not given. */
  readonly fromSeq?: bigint;
  readonly toSeq?: bigint;
  /** Checkpoints that the ledger must extend. */
  readonly trusted?: readonly SignedCheckpoint[];
  /** What an earlier audit of the same log, on which this one goes on, could not read below `fromSeq`. */
  readonly goneBefore?: Gone;
  readonly leavesOf?: LeavesOf;
  readonly retentionOf?: RetentionOf;
  /** How long it goes on trying while no broker answers, ms. */
  readonly patienceMs: number;
  readonly recordsPerSecondMax?: number;
}

/** What an audit came to. */
export interface AuditOutcome {
  readonly verdict: Verdict;
  /** The fold, as far as it came; undefined if no genesis was read. */
  readonly state: LedgerState | undefined;
  /** The seqs of which the records were compared. */
  readonly range: { readonly firstSeq: Seq; readonly nextSeq: Seq };
  readonly counts: AuditCounts;
  readonly ignored: Readonly<Record<string, number>>;
  /** The newest consistent checkpoint of the log; with a finding that ended the audit `lastGood`. */
  readonly checkpoint: SignedCheckpoint | undefined;
  /** With a finding: the newest consistent checkpoint whose tree ends before the bad place. */
  readonly lastGood: SignedCheckpoint | undefined;
  readonly consistentWith: readonly ConsistentWith[];
  /** Something was remembered of the log before. */
  readonly isRemembered: boolean;
  /** Log and records were gone through to their end: the finding, if there is one, ended nothing. */
  readonly isWhole: boolean;
  readonly finding: Finding | undefined;
}

const VERDICTS: Readonly<Partial<Record<Finding['kind'], Verdict>>> = {
  'rolled-back': 'rolled-back', 'history-differs': 'rolled-back', 'checkpoint-contradicts': 'split-view', 'log-start': 'undecided',
  'deleted': 'undecided', 'expired-or-deleted': 'undecided',
};

/** One audit of one ledger. */
export class Auditor {
  readonly #options: AuditorOptions;
  readonly #memory: HeldMemory | undefined;
  readonly #follower: Follower;
  readonly #judge: LineJudge;
  readonly #log: LogAudit;
  readonly #lanes: Lanes;
  readonly #reported = new WeakMap<Segment, Reported>();
  readonly #counts: { -readonly [K in 'segments' | 'records' | 'losses' | 'voids' | 'gone']: bigint };
  #consistentWith: readonly ConsistentWith[] = [];
  #end: LogPosition | undefined;
  /** The newest state as it was told at the beginning: the fold comes by it. Undefined if the log holds no genesis. */
  #told: LedgerState | undefined;
  #holdsNoGenesis = false;
  /** Since when the log did not answer. */
  #failingSinceMs: number | undefined;
  #logFinding: Finding | undefined;
  /** What an earlier audit remembers, to be met again. */
  #remembered: RememberedLog | undefined;
  /** The first range of records that are gone. */
  #gone: Bad | undefined;

  constructor(options: AuditorOptions) {
    this.#options = options;
    const { memory, goneBefore, ...rest } = options;
    this.#memory = memory && new HeldMemory(memory);
    this.#counts = { segments: 0n, records: 0n, losses: 0n, voids: 0n, gone: goneBefore?.seqs ?? 0n };
    this.#gone = goneBefore && { finding: goneBefore.first, lastGood: undefined };
    this.#follower = new Follower({ ...rest, ...(this.#memory === undefined ? {} : { memory: this.#memory }) }, (folded) => this.#absorb(folded));
    this.#judge = new LineJudge({ ...options, newest: () => this.#newest() });
    this.#log = new LogAudit({ ...options, isReplaced: (key) => !isAmong(this.#judge.newest?.configuration.body.checkpointKeys ?? [], key) });
    this.#lanes = new Lanes({ ...options, about: ({ segment }) => this.#about(segment) });
  }

  /** How far it has come; undefined before the first step is done. */
  get progress(): AuditProgress | undefined {
    if (this.#end === undefined) return undefined;
    const sequenced = this.#judge.newest?.nextSeq;
    const { toSeq } = this.#options;
    const totalSeqs = toSeq === undefined || (sequenced !== undefined && sequenced < toSeq) ? sequenced : seq(toSeq);
    return {
      messages: this.#log.counts.messages, position: this.#follower.position, end: this.#end, records: this.#counts.records, nextSeq: this.#nextSeq,
      ...(totalSeqs === undefined ? {} : { totalSeqs }), ...(this.#gone === undefined ? {} : { gone: { seqs: this.#counts.gone, first: this.#gone.finding } }),
    };
  }

  /** Everything wanted below it was compared; nothing that is not wanted lies below it. */
  get #nextSeq(): Seq {
    const nextSeq = this.#lanes.front?.line.firstSeq ?? this.#follower.state?.nextSeq ?? seq(0n);
    const { toSeq = nextSeq } = this.#options;
    return toSeq < nextSeq ? seq(toSeq) : nextSeq;
  }

  /**
   * Goes on for a while. What it came to, once it is over: then it is not called again.
   *
   * Throws `unavailable` once no broker has answered for so long as its patience lasts, `config` as the fold, and for a log
   * without genesis or a trusted checkpoint of another ledger; what the checkers throw.
   */
  async step(): Promise<AuditOutcome | undefined> {
    try {
      const outcome = await this.#advance().catch((error: unknown) => this.#endBy(error));
      this.#failingSinceMs = undefined;
      return outcome;
    } catch (error) {
      await this.#endure(error);
      return undefined;
    }
  }

  /** What it comes to by an error that is a finding; throws any other. */
  async #endBy(error: unknown): Promise<AuditOutcome> {
    const finding = isPlaitError(error) ? findingOf(error) : undefined;
    if (finding === undefined) throw error;
    if (finding.kind === 'block-missing') return this.#outcome(this.#badAt(finding));
    // Of a log without its beginning, and of one that changed meanwhile, nothing is known to be good.
    return this.#outcome({ finding: finding.kind === 'log-start' ? await this.#withoutStart(finding) : finding, lastGood: undefined });
  }

  /** That its beginning was deleted hides no log that is another one at its end. */
  async #withoutStart(finding: Finding): Promise<Finding> {
    const { openLog } = this.#options;
    const held = await this.#memory?.held();
    if (held === undefined || (await findMark(openLog, held)) !== 'other') return finding;
    const forgotten = new RememberedLog(held).compare(undefined, () => undefined);
    return { ...finding, ...forgotten?.finding, found: `not that message, and ${finding.message}` };
  }

  /** Rests after an error that may pass; throws any other, and one that has lasted too long. */
  async #endure(error: unknown): Promise<void> {
    const { clock, patienceMs } = this.#options;
    const nowMs = clock.nowMs();
    this.#failingSinceMs ??= nowMs;
    // The lanes have been patient themselves.
    const isOver = error === this.#lanes.failure?.error || nowMs - this.#failingSinceMs >= patienceMs;
    if (isOver || !isTransient(error)) throw error;
    await clock.sleep(IDLE_WAIT_MS);
  }

  async #advance(): Promise<AuditOutcome | undefined> {
    if (this.#end === undefined && !(await this.#begin())) return undefined;
    const isFolding = this.#isFolding;
    if (isFolding && !this.#lanes.isFull) await this.#follower.poll(IDLE_WAIT_MS);
    this.#lanes.pump(!this.#isFolding);
    if (!isFolding || this.#lanes.isFull) await this.#lanes.wait(this.#lanes.front?.result === undefined ? IDLE_WAIT_MS : 0);
    const finding = await this.#settle();
    if (finding !== undefined) return this.#outcome(this.#badAt(finding));
    return !this.#isFolding && this.#lanes.front === undefined ? await this.#conclude() : undefined;
  }

  /** Voids and ends of generations are known before the first record is read. The log may grow meanwhile: the fold goes to an end behind what was told. */
  async #begin(): Promise<boolean> {
    this.#told = await this.#judge.ask({ isFresh: true });
    if (this.#told === undefined && !this.#holdsNoGenesis) return false;
    const held = await this.#memory?.held();
    this.#remembered = held && new RememberedLog(held);
    this.#end = await this.#options.log.end();
    return true;
  }

  async #newest(): Promise<LedgerState | undefined> {
    const state = await this.#options.newest();
    this.#holdsNoGenesis = state?.kind === 'empty';
    return state?.kind === 'ledger' ? state : undefined;
  }

  get #isFolding(): boolean {
    return this.#logFinding === undefined && this.#follower.position < (this.#end ?? 0n);
  }

  #about({ topic, partition, generation }: Segment) {
    const newest = this.#judge.newest;
    return {
      hasEnded: newest !== undefined && chainOf(newest, { topic, partition }).end.generation > generation,
      isSource: newest?.configuration.body.sources.includes(topic) ?? true,
    };
  }

  #absorb(folded: Folded): void {
    if (this.#logFinding !== undefined) return;
    const { position, outcome, state } = folded;
    if (state?.tip === position) this.#memory?.mark(markOf(folded));
    if (outcome.kind === 'report') {
      for (const { segment } of outcome.segments) this.#reported.set(segment, { worker: outcome.key, position });
    }
    if (outcome.kind === 'configuration') this.#judge.take(outcome.hash, outcome.configuration);
    if (outcome.kind === 'block') {
      const voids = this.#judge.newest?.configuration.body.voids ?? [];
      for (const line of outcome.lines) {
        if (this.#wants(line.firstSeq, line.segment)) this.#lanes.add({ line, block: outcome.header, position }, isVoid(voids, line.segment));
      }
    }
    this.#logFinding = this.#log.take(folded) ?? this.#compareTold(folded);
    this.#remembered?.take(folded, this.#log.newestCheckpoint);
  }

  /** What was told may have been folded on from a state that only a checkpoint vouches for: here it is derived. */
  #compareTold({ position, state }: Folded): Finding | undefined {
    if (state === undefined || position !== this.#told?.position) return undefined;
    const [expected, found] = [stateHash(state), stateHash(this.#told)];
    if (expected === found) return undefined;
    return {
      kind: 'block-differs', position, expected, found, message: `the state at position ${position}, told from a state in the log and a checkpoint over it, is not what the log comes to`,
      causes: ['a coordinator and a checkpoint key, perhaps revoked ones, signed a state that never was'],
    };
  }

  #wants(firstSeq: Seq, segment: Segment): boolean {
    const { fromSeq = 0n, toSeq } = this.#options;
    return (firstSeq >= fromSeq || firstSeq + segmentCount(segment) > fromSeq) && (toSeq === undefined || firstSeq < toSeq);
  }

  /** Takes out the lines whose results are there, in order. The first finding, if one of them is wrong. */
  async #settle(): Promise<Finding | undefined> {
    for (let { front } = this.#lanes; front?.result !== undefined; { front } = this.#lanes) {
      const settled = await this.#settleLine(front, front.result);
      if (settled !== true) return settled;
      this.#lanes.shift();
    }
    this.#forgetCheckpointsBelow(this.#lanes.front?.block.height ?? this.#follower.state?.height ?? 0n);
    return undefined;
  }

  /** Everything below that height is settled. */
  #forgetCheckpointsBelow(height: bigint): void {
    const { goneBefore } = this.#options;
    const isBehind = goneBefore !== undefined && height > (goneBefore.first.height ?? 0n);
    if (isBehind && this.#gone?.lastGood === undefined) this.#gone = this.#badAt(goneBefore.first);
    this.#log.goodAt(height);
  }

  /** True once the line is done with; undefined if that cannot be told yet. */
  async #settleLine(passed: Passed, result: NonNullable<Passed['result']>): Promise<true | Finding | undefined> {
    const { segment } = passed.line;
    if (result.kind === 'right') this.#countRight(segment);
    else if (result.kind === 'void') this.#counts.voids += segmentCount(segment);
    else return await this.#judgeLine({ ...passed, finding: result.finding, reported: this.#reported.get(segment) });
    return true;
  }

  #countRight(segment: Segment): void {
    if (segment.kind === 'loss') this.#counts.losses += 1n;
    else {
      this.#counts.segments += 1n;
      this.#counts.records += segmentCount(segment);
    }
  }

  async #judgeLine(bad: BadLine): Promise<true | Finding | undefined> {
    const { line, finding } = bad;
    const judgement = await this.#judge.judge(line, finding, this.#follower.position);
    if (judgement === undefined) return undefined;
    if (judgement.kind === 'wrong') return await tamperedFinding(bad, this.#options.leavesOf);
    const count = segmentCount(line.segment);
    if (judgement.kind === 'void') this.#counts.voids += count;
    else if (line.segment.kind === 'loss') this.#counts.losses += 1n;
    else {
      this.#gone ??= this.#badAt(await goneFinding({ ...bad, why: judgement.why }, { ...this.#options, wallMs: this.#options.clock.wallMs() }));
      this.#counts.gone += count;
    }
    return true;
  }

  /** Every line was compared, and the log was read to its end or to the first message that is wrong. Begins anew after an error that passes. */
  async #conclude(): Promise<AuditOutcome> {
    const { state } = this.#follower;
    const finding = this.#logFinding ?? this.#log.finish(state);
    if (finding !== undefined) return this.#outcome(this.#badAt(finding));
    const { differing, consistentWith } = compareKept(state, { ...this.#options, log: this.#log, remembered: this.#remembered });
    this.#consistentWith = consistentWith;
    if (differing !== undefined) return this.#outcome(differing, { isWhole: true });
    if (state === undefined) throw new PlaitError('config', `the log holds no genesis of ${this.#options.origin}: this is not the log of that ledger`);
    await this.#follower.vouch();
    // A crash before this line leaves what was remembered before, which is as true.
    await this.#memory?.write();
    return this.#outcome(this.#gone, { isWhole: true });
  }

  #badAt(finding: Finding): Bad {
    return { finding, lastGood: this.#log.goodAt(finding.height ?? this.#follower.state?.height ?? 0n) };
  }

  #outcome(bad: Bad | undefined, { isWhole = false } = {}): AuditOutcome {
    const { finding, lastGood } = bad ?? {};
    const { state } = this.#follower;
    const { fromSeq = 0n } = this.#options;
    const nextSeq = this.#nextSeq;
    const isGood = bad === undefined || bad === this.#gone;
    return {
      verdict: finding === undefined ? 'verified' : (VERDICTS[finding.kind] ?? 'tampered'), state,
      range: { firstSeq: fromSeq < nextSeq ? seq(fromSeq) : nextSeq, nextSeq },
      counts: { ...this.#log.counts, ...this.#counts }, ignored: this.#log.ignored,
      checkpoint: isGood ? this.#log.goodAt(state?.height ?? 0n) : lastGood, lastGood, consistentWith: this.#consistentWith,
      isRemembered: this.#remembered !== undefined, isWhole, finding,
    };
  }
}

/** The finding that an error of the log's ports is; undefined for any other. */
function findingOf({ code, message, details }: Failure): Finding | undefined {
  const { logStart, common } = details;
  if (code === 'rolled-back') {
    return {
      kind: 'rolled-back', message, expected: 'the log that was read before', found: typeof common === 'string' ? `the same up to position ${common}` : 'another one',
      causes: OLDER_COPY,
    };
  }
  if (code === 'invalid') {
    return { kind: 'block-missing', message: `the log cannot be read: ${message}`, expected: 'a log whose batches can be read', found: message, causes: ['a stored batch of the log was damaged or edited on a broker\'s disk'] };
  }
  if (code !== 'missing' || typeof logStart !== 'string') return undefined;
  return {
    kind: 'log-start', message: `the log begins at position ${logStart}: what was before is deleted, so that nobody can tell what it said`,
    expected: 'position 0', found: `position ${logStart}`, causes: ['the log\'s beginning was deleted (DeleteRecords), or its topic does not keep its messages for ever'],
  };
}

/** So many marks of the newest blocks are kept beside those at doubling distances: most rollbacks are short, and are to be named exactly. */
const MARKS_RECENT = 16;

/** A memory that is written once, at the end. What it holds is not the follower's to look for. */
class HeldMemory implements Memory {
  readonly #memory: Memory;
  #newest: Remembered | undefined;
  /** Newest first. */
  #recent: readonly Mark[] = [];

  constructor(memory: Memory) {
    this.#memory = memory;
  }

  async load(): Promise<undefined> {
    return undefined;
  }

  async save(remembered: Remembered): Promise<void> {
    this.#newest = remembered;
  }

  /** Of a message that moved the fold's tip, in their order. */
  mark(mark: Mark): void {
    this.#recent = [mark, ...this.#recent].slice(0, MARKS_RECENT);
  }

  /** What was remembered before. */
  async held(): Promise<Remembered | undefined> {
    return await this.#memory.load();
  }

  /** What was to be saved last is durable when it resolves. */
  async write(): Promise<void> {
    const newest = this.#newest;
    if (newest === undefined) return;
    const recent = this.#recent.filter(({ position }) => position < newest.position);
    const last = recent.at(-1)?.position ?? newest.position;
    await this.#memory.save({ ...newest, marks: [...recent, ...newest.marks.filter(({ position }) => position < last)] });
  }
}
