/**
 * Readings of a group: its members take turns on the whole ledger (a consumer group on the log), or share it by partition
 * (one on the source topics). Where a group stands is said by its commits and by nothing else; see progress.ts.
 */
import {
  chainOf, formatBlock, messageHash, partitionName, PlaitError, seq, sequencedEnd,
  type BlockHeader, type Hash, type LedgerState, type LogPosition, type Seq,
} from '@plait/core';
import { joinReaderGroup, topicOffsets, type Committed, type Hold, type ReaderGroup } from '@plait/kafka';
import type { NumberedLine, RoleEvent, VerifiedSegment } from '@plait/roles';
import { systemClock } from './clock.ts';
import { nextSeqOf, type LedgerSegment } from './entries.ts';
import { GroupProgress } from './group-progress.ts';
import { patient } from './patient.ts';
import { formatProgress, parseProgress, type Progress } from './progress.ts';
import { Run, type Access, type RunOptions } from './run.ts';
import { beginAt, beginAtSeq, type Begin, type StartPoint } from './start.ts';

/** What a reading with a group says aloud. */
export interface ReadNotice {
  /**
   * `standby`: another member has all there is, and this one waits. `assigned`: it begins to read. `lost`: it stops, since
   * another member has it now. `no-commit`: nothing is committed, or not any more, and the start point counts.
   * `foreign-commit`: what is committed is not this ledger's, and the start point that was given counts.
   */
  readonly notice: 'standby' | 'assigned' | 'lost' | 'no-commit' | 'foreign-commit';
  /** A sentence for people. */
  readonly message: string;
}

/** What a reading with a group needs. */
export interface GroupOptions extends Pick<RunOptions, 'onMissing' | 'endless' | 'toSeq' | 'signal'> {
  readonly group: string;
  readonly share: boolean;
  /** Where to begin without a commit; undefined if the caller did not say. */
  readonly from: StartPoint | undefined;
  /** The fold at the log's end; undefined when the signal aborts. */
  readonly newest: () => Promise<LedgerState | undefined>;
  readonly onNotice: (notice: ReadNotice) => void;
}

const POLL_MS = 50;

/** See `Ledger.readSegments`. */
export async function* readGroup(access: Access, options: GroupOptions): AsyncGenerator<LedgerSegment, undefined> {
  for (;;) {
    const newest = await options.newest();
    if (newest === undefined) return;
    const topics = options.share ? newest.configuration.body.sources : [access.log];
    const join = async (): Promise<ReaderGroup> => await joinReaderGroup({ kafka: access.kafka, groupId: options.group, topics });
    const member = await patient(join, { patienceMs: access.patienceMs, signal: options.signal })();
    if (member === undefined) return;
    const reading = new GroupReading({ access, options, topics, member });
    try {
      if ((yield* reading.segments()) === 'end') return;
    } finally {
      await reading.leave();
    }
  }
}

/** Where a hold begins in a run, and what must be found in the log for that. */
interface Place {
  readonly hold: Hold;
  readonly begin: Begin;
  /** Its commit; undefined without. */
  readonly committed: Progress | undefined;
}

class GroupReading {
  readonly #access: Access;
  readonly #options: GroupOptions;
  readonly #topics: readonly string[];
  readonly #member: ReaderGroup;
  readonly #progress: GroupProgress;
  /** How far this member has handed out each hold. */
  readonly #handedOut = new WeakMap<Hold, Seq>();
  /** The start point, for all holds that go by it: it may be a record of a partition that is none of them. */
  #start: Begin | undefined;

  constructor(made: { access: Access; options: GroupOptions; topics: readonly string[]; member: ReaderGroup }) {
    this.#access = made.access;
    this.#options = made.options;
    this.#topics = made.topics;
    this.#member = made.member;
    this.#progress = new GroupProgress(made.member);
  }

  /** `end`: all that was wanted is handed out, or the signal aborted; `again`: other topics are to be shared from now on. */
  async *segments(): AsyncGenerator<LedgerSegment, 'end' | 'again'> {
    for (;;) {
      const holds = await this.#assigned();
      if (holds === undefined) return 'end';
      this.#say('assigned', `reading ${this.#named(holds)}`);
      const ended = yield* this.#read(holds);
      if (ended !== 'changed') return ended;
      if (holds.some(({ state }) => state === 'lost')) this.#say('lost', `lost ${this.#named(holds.filter(({ state }) => state === 'lost'))}`);
    }
  }

  async leave(): Promise<void> {
    await this.#progress.settle();
    await this.#member.leave();
  }

  #say(notice: ReadNotice['notice'], message: string): void {
    this.#options.onNotice({ notice, message: `group ${this.#options.group}: ${message}` });
  }

  #named(holds: readonly Hold[]): string {
    return this.#options.share ? holds.map(partitionName).join(', ') : 'the ledger';
  }

  /** What this member has, as soon as that is anything; undefined when the signal aborts. */
  async #assigned(): Promise<readonly Hold[] | undefined> {
    const { signal } = this.#options;
    let waits = false;
    while (!signal.aborted) {
      const holds = this.#member.holds();
      if (holds !== undefined && holds.length > 0) return holds;
      if (holds !== undefined && !waits) this.#say('standby', `${this.#named([]) || 'every partition'} is another member's: standing by`);
      waits ||= holds !== undefined;
      await systemClock.sleep(POLL_MS, signal);
    }
    return undefined;
  }

  /** Reads for as long as exactly these are held. */
  async *#read(holds: readonly Hold[]): AsyncGenerator<LedgerSegment, 'changed' | 'end' | 'again'> {
    const { signal, toSeq } = this.#options;
    // Whoever lost a partition lost it with Kafka, often: then it is waited for.
    const isWanted = (): boolean => this.#standing(holds) === 'held';
    const opened = await patient(() => this.#open(holds), { patienceMs: this.#access.patienceMs, signal, isWanted })();
    if (opened === undefined) return signal.aborted ? 'end' : 'changed';
    const { places, check } = opened;
    await using run = opened.run;
    if (toSeq !== undefined && [...places.values()].every(({ begin }) => begin.fromSeq >= toSeq)) return 'end';
    // It is handed out only if it is still ours after the reading, which may have waited for brokers.
    let found: VerifiedSegment | undefined;
    while (!signal.aborted) {
      const standing = this.#standing(holds);
      if (standing === 'changed') return 'changed';
      if (standing === 'unsure') {
        await systemClock.sleep(POLL_MS, signal);
        continue;
      }
      if (found !== undefined) {
        const segment = found;
        found = undefined;
        yield this.#handOut(segment, places);
        continue;
      }
      const segment = await run.next();
      check.throwIfWrong();
      if (segment === 'end') return 'end';
      if (segment === undefined && run.endMet && this.#hasOtherTopics(run)) return 'again';
      found = segment;
    }
    return 'end';
  }

  async #open(holds: readonly Hold[]): Promise<{ places: ReadonlyMap<string, Place>; check: CommitCheck; run: Run } | undefined> {
    const { signal, newest, onMissing, endless, toSeq } = this.#options;
    const places = await this.#places(holds);
    if (places === undefined) return undefined;
    const check = new CommitCheck(this.#options.group, [...places.values()]);
    const run = await Run.open(this.#access, {
      newest, onMissing, endless, signal, ...(toSeq === undefined ? {} : { toSeq }),
      wants: (numbered) => {
        this.#start?.wants(numbered);
        return places.get(this.#nameOf(numbered))?.begin.wants(numbered) === true;
      },
      beforeSeq: leastOf([...places.values()]),
      isWanted: () => this.#standing(holds) === 'held',
      observe: (event) => {
        check.look(event);
        this.#commitStarts(event, places, run);
      },
    });
    return { places, check, run };
  }

  #standing(holds: readonly Hold[]): 'held' | 'unsure' | 'changed' {
    const now = this.#member.holds();
    if (holds.some(({ state }) => state === 'lost')) return 'changed';
    if (now === undefined) return 'unsure';
    return now.length === holds.length ? 'held' : 'changed';
  }

  #hasOtherTopics({ state }: Run): boolean {
    const sources = state?.configuration.body.sources ?? this.#topics;
    return this.#options.share && sources.join('\n') !== this.#topics.join('\n');
  }

  #nameOf({ line }: NumberedLine): string {
    return this.#options.share ? partitionName(line.segment) : LOG_NAME;
  }

  #handOut(segment: VerifiedSegment, places: ReadonlyMap<string, Place>): LedgerSegment {
    const place = places.get(this.#nameOf(segment));
    if (place === undefined) throw new Error('invariant: a segment that nobody wants');
    const { hold, begin } = place;
    const end = nextSeqOf(segment);
    this.#handedOut.set(hold, end);
    return {
      ...segment, hold, fromSeq: begin.first(segment),
      commit: async (nextSeq = end) => {
        const offset = this.#options.share ? sourceOffset(segment, nextSeq) : logOffset(segment, nextSeq);
        await this.#commit(hold, { nextSeq, offset, block: segment.block, header: messageHash(formatBlock(segment.block)) });
      },
    };
  }

  async #commit(hold: Hold, made: { nextSeq: Seq; offset: bigint; block: BlockHeader; header: Hash }): Promise<void> {
    const { nextSeq, offset, block, header } = made;
    const metadata = formatProgress({ ledgerId: block.ledgerId, nextSeq, height: block.height, header });
    await this.#progress.commit(hold, { nextSeq, offset, metadata });
  }

  /**
   * What begins above seq 0 without a commit is committed as soon as the block below its start was read: a member that is
   * killed before it commits anything must not begin at another `newest` next time.
   */
  #commitStarts(event: RoleEvent, places: ReadonlyMap<string, Place>, run: Run): void {
    if (event.event !== 'folded' || event.outcome.kind !== 'block') return;
    const { header: block, hash: header } = event.outcome;
    for (const { hold, begin: { fromSeq: nextSeq }, committed } of places.values()) {
      if (committed !== undefined || this.#handedOut.has(hold)) continue;
      if (nextSeq <= block.firstSeq || nextSeq > block.firstSeq + block.records || run.state === undefined) continue;
      const offset = this.#options.share ? sequencedEnd(chainOf(run.state, hold)).nextOffset : event.position + 1n;
      // If this fails the next commit covers it.
      this.#commit(hold, { nextSeq, offset, block, header }).catch(() => undefined);
    }
  }

  /** Where each hold begins, by what lines go by; undefined when the signal aborts. Throws `config`, `unavailable`. */
  async #places(holds: readonly Hold[]): Promise<ReadonlyMap<string, Place> | undefined> {
    const fresh = holds.filter((hold) => !this.#handedOut.has(hold));
    const commits = new Map((await this.#member.committed(fresh)).map((each) => [partitionName(each), each]));
    const newest = await this.#options.newest();
    if (newest === undefined) return undefined;
    const without = fresh.filter((hold) => !commits.has(partitionName(hold)));
    const isNewGroup = without.length > 0 && commits.size === 0 && (!this.#options.share || !(await this.#hasCommits()));
    if (without.length > 0) this.#sayWithout(without, isNewGroup);
    this.#start = undefined;
    const places = new Map<string, Place>();
    for (const hold of holds) {
      const name = this.#options.share ? partitionName(hold) : LOG_NAME;
      const handedOut = this.#handedOut.get(hold);
      const commit = commits.get(partitionName(hold));
      if (handedOut !== undefined) places.set(name, { hold, begin: beginAtSeq(handedOut), committed: undefined });
      else if (commit === undefined) places.set(name, { hold, begin: isNewGroup ? await this.#begin(newest) : beginAtSeq(0n), committed: undefined });
      else places.set(name, await this.#placeOf(hold, commit, newest));
    }
    return places;
  }

  async #begin(newest: LedgerState): Promise<Begin> {
    return (this.#start ??= (await beginAt(this.#options.from ?? 'oldest', () => Promise.resolve(newest))) ?? beginAtSeq(0n));
  }

  async #placeOf(hold: Hold, { metadata }: Committed, newest: LedgerState): Promise<Place> {
    const committed = parseProgress(metadata);
    if (committed?.ledgerId === newest.ledgerId) {
      // The log was read to its end after the commit was asked for.
      if (committed.height >= newest.height) throw rolledBack(this.#options.group, committed, `ends below block ${newest.height}`);
      return { hold, begin: beginAtSeq(committed.nextSeq), committed };
    }
    const what = committed === undefined ? 'was not made by a reader of a ledger' : `is of the ledger ${committed.ledgerId}, and this is ${newest.ledgerId}`;
    const message = `the commit for ${partitionName(hold)} ${what}`;
    if (this.#options.from === undefined) {
      throw new PlaitError('config', `group ${this.#options.group}: ${message}. Nothing is skipped or begun anew without being told: ` +
        'take another group, or say where to begin (from, --from or --from-seq), which then counts');
    }
    this.#say('foreign-commit', `${message}: beginning where it was said`);
    return { hold, begin: await this.#begin(newest), committed: undefined };
  }

  /** Whether the group has a commit for any partition of its topics: then one without is a new partition. */
  async #hasCommits(): Promise<boolean> {
    const partitions = await Promise.all(this.#topics.map(async (topic) =>
      (await topicOffsets({ kafka: this.#access.kafka, topic })).map(({ partition }) => ({ topic, partition }))));
    return (await this.#member.committed(partitions.flat())).length > 0;
  }

  #sayWithout(holds: readonly Hold[], isNewGroup: boolean): void {
    const { from } = this.#options;
    const begins = isNewGroup && from !== undefined ? 'beginning where it was said' : 'beginning at the oldest, nothing is skipped';
    const why = isNewGroup ? 'the group is new, or its commits expired or were deleted' : 'they are new partitions of it';
    this.#say('no-commit', `nothing is committed for ${holds.map(partitionName).join(', ')} (${why}): ${begins}`);
  }
}

/** Stands for all lines: no topic is called so. */
const LOG_NAME = '';

/** No block that a commit names is below the state that a run begins with. */
function leastOf(places: readonly Place[]): Seq {
  const seqs = places.map(({ begin }) => begin.fromSeq);
  const least = seqs.reduce((min, each) => (each < min ? each : min), seqs[0] ?? seq(0n));
  return seq(least === 0n ? 0n : least - 1n);
}

/** The block counts as dealt with when its last seq is done. */
function logOffset({ block, position }: { block: BlockHeader; position: LogPosition }, nextSeq: Seq): bigint {
  return nextSeq >= block.firstSeq + block.records ? position + 1n : position;
}

function sourceOffset(segment: VerifiedSegment, nextSeq: Seq): bigint {
  if (segment.kind !== 'records' || nextSeq >= nextSeqOf(segment)) return segment.segment.nextOffset;
  return segment.records[Number(nextSeq - segment.line.firstSeq)]?.offset ?? segment.segment.firstOffset;
}

/** Compares the blocks of a run with those that commits name. */
class CommitCheck {
  readonly #group: string;
  readonly #expected: readonly Progress[];
  #wrong: Progress | undefined;

  constructor(group: string, places: readonly Place[]) {
    this.#group = group;
    this.#expected = places.flatMap(({ committed }) => (committed === undefined ? [] : [committed]));
  }

  look(event: RoleEvent): void {
    if (event.event !== 'folded' || event.outcome.kind !== 'block') return;
    const { header, hash } = event.outcome;
    this.#wrong ??= this.#expected.find((each) => each.height === header.height && each.header !== hash);
  }

  /** Throws `rolled-back` when a commit names another block than the log holds. */
  throwIfWrong(): void {
    if (this.#wrong !== undefined) throw rolledBack(this.#group, this.#wrong, 'holds another one there');
  }
}

function rolledBack(group: string, { nextSeq, height, header }: Progress, what: string): PlaitError {
  return new PlaitError('rolled-back', `group ${group} has read up to seq ${nextSeq} and committed that with block ${height}, ${header}; ` +
    `the log ${what}: it was rolled back, or is another log`, { details: { group, nextSeq: String(nextSeq), height: String(height), header } });
}
