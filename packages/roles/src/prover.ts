/**
 * The prover: follows the log, reads the records that somebody wants proved, and makes receipts of them as checkpoints
 * come. Many records cost one reading of the log, one of each of their segments, and one small proof each.
 *
 *     waiting ── a block numbers it ──► numbered ── its segment's records match ──► hashed ── a checkpoint covers the block ──► receipt
 */
import {
  chainOf, EMPTY_RANGE, GrowingTree, hashToText, headerLeafHash, invariant, partitionName, PlaitError, sequencedEnd,
  type Line, type LedgerState, type LogPosition, type Receipt, type Segment, type VerifierKey,
} from '@plait/core';
import type { LeavesOf, LineFinding } from './audit-types.ts';
import { Follower, type Folded, type FollowerOptions } from './follower.ts';
import { HashedSegment, HashedSegments } from './hashed-segment.ts';
import { DEFAULT_TIMES, IDLE_WAIT_MS, type RoleTimes } from './limits.ts';
import { LineJudge } from './line-judge.ts';
import { LineQueues, type LineRead } from './line-queues.ts';
import { covers, NumberedBlock, NumberedBlocks, type PlacedLine, type RecordPlace } from './numbered-blocks.ts';
import type { Clock, SourceReader } from './ports.ts';
import { describe, errorOf, isVoid, type Reported } from './reader-findings.ts';

/** What a prover needs. */
export interface ProverOptions extends FollowerOptions {
  readonly source: SourceReader;
  readonly clock: Clock;
  /** See ReaderOptions; here also asked before a record is proved while the log is not read to its end, at most once a second. */
  readonly newest: () => Promise<LedgerState | undefined>;
  /** Leaves from wherever they are kept, for records that are gone. */
  readonly leavesOf?: LeavesOf;
  readonly times?: Partial<RoleTimes>;
}

/** A receipt, and the key in force that signed its checkpoint. */
export interface Proved {
  readonly receipt: Receipt;
  readonly key: VerifierKey;
}

/** A record that is to be proved. One of the two is called, once, unless the question is withdrawn. */
export interface ProofQuestion {
  readonly place: RecordPlace;
  /** Whether the receipt is to hold the payload. */
  readonly payload: boolean;
  readonly answer: (proved: Proved) => void;
  readonly refuse: (error: unknown) => void;
}

/** A line that is read, and who wants records of it. */
interface Work {
  readonly placed: PlacedLine;
  readonly questions: Set<ProofQuestion>;
}

/** A receipt without what the checkpoint adds. */
interface Unsigned {
  readonly question: ProofQuestion;
  readonly part: Omit<Receipt, 'proof' | 'checkpoint'>;
}

/** The largest checkpoint that fits the blocks. */
interface Signed extends Pick<Proved, 'key'> {
  readonly size: bigint;
  readonly note: Uint8Array;
}

/** Proves records of one ledger. One caller of `step` at a time; questions may come meanwhile. */
export class Prover {
  readonly #options: ProverOptions;
  readonly #follower: Follower;
  readonly #judge: LineJudge;
  readonly #queues: LineQueues;
  readonly #blocks = new NumberedBlocks();
  readonly #hashed = new HashedSegments();
  /** Who reported which segment, and where. Those of a state from which the fold began are not in it. */
  readonly #reported = new WeakMap<Segment, Reported>();
  readonly #headers: GrowingTree;
  #signed: Signed | undefined;

  /** Not numbered yet, as far as was read. */
  readonly #waiting = new Set<ProofQuestion>();
  /** Numbered, by line. */
  readonly #works = new Map<Line, Work>();
  /** What was read of a line, until the newest configuration was asked. */
  #read: LineRead | undefined;
  /** Hashed. */
  #unsigned: Unsigned[] = [];

  /** The log's end when this prover began. */
  #end: LogPosition | undefined;
  #caughtUp = false;
  /** Whether a place that is waited for may have become one that never comes. */
  #mayBeLost = true;

  constructor(options: ProverOptions) {
    const { source, clock, newest, times, start } = options;
    this.#options = options;
    this.#follower = new Follower(options, (folded) => this.#absorb(folded));
    this.#judge = new LineJudge(options);
    this.#headers = new GrowingTree(start?.history ?? EMPTY_RANGE);
    this.#queues = new LineQueues({
      source, clock, withLeaves: true, beyondEndMs: { ...DEFAULT_TIMES, ...times }.beyondEndMs,
      hasEnded: (segment) => this.state !== undefined && chainOf(this.state, segment).end.generation > segment.generation,
      isSource: async (topic) => (await newest())?.configuration.body.sources.includes(topic),
    });
  }

  /** The fold of what was read; undefined before genesis. */
  get state(): LedgerState | undefined {
    return this.#follower.state;
  }

  /** Whether the log was read to the end that it had when this prover began. */
  get caughtUp(): boolean {
    return this.#caughtUp;
  }

  /** Whether anybody waits for an answer. */
  get isWanted(): boolean {
    return this.#waiting.size > 0 || this.#works.size > 0 || this.#unsigned.length > 0;
  }

  /**
   * Takes a question, and gives true; false if the place was numbered before the blocks that are kept here, so that another
   * prover must be asked that begins before it. A place at which nothing stands yet is waited for.
   *
   * It is refused with `missing` when no record is to be seen there, or none can be read any more (and its leaf is not at
   * hand, or the payload is wanted), and for a loss; `invalid`, with the details of a reader's finding, when the records are
   * not what was hashed; `config` when a configuration declares them void, or when nothing comes any more because the topic
   * is no source; `split-view` when it needs another checkpoint, while the log holds one that contradicts the blocks.
   */
  ask(question: ProofQuestion): boolean {
    const placed = this.#blocks.find(question.place);
    if (placed !== undefined) this.#number(question, placed);
    else if (this.state !== undefined && isSequenced(this.state, question.place)) return false;
    else {
      this.#waiting.add(question);
      this.#mayBeLost = true;
    }
    return true;
  }

  /** Nobody wants the answer any more. */
  withdraw(question: ProofQuestion): void {
    this.#waiting.delete(question);
    for (const { questions } of this.#works.values()) questions.delete(question);
    this.#unsigned = this.#unsigned.filter((each) => each.question !== question);
  }

  /**
   * Reads what has arrived of the log, and the records of one line. Throws as {@link Follower.poll} and the other ports;
   * questions stay, so that after `unavailable` the next step goes on.
   */
  async step(): Promise<void> {
    this.#end ??= await this.#options.log.end();
    await this.#follower.poll(this.#queues.isBusy || this.#read !== undefined ? 0 : IDLE_WAIT_MS);
    this.#caughtUp ||= this.#follower.position >= this.#end;
    if (this.#caughtUp && this.#mayBeLost) this.#refuseLost();
    if (this.#caughtUp && this.#follower.conflict !== undefined) this.#refuseUnsigned(this.#follower.conflict);
    this.#read ??= await this.#queues.next();
    if (this.#read !== undefined && (await this.#settle(this.#read))) this.#read = undefined;
  }

  /** Refuses all that is not answered yet. */
  refuseAll(error: unknown): void {
    const asked = [...this.#waiting, ...[...this.#works.values()].flatMap(({ questions }) => [...questions]), ...this.#unsigned.map(({ question }) => question)];
    this.#waiting.clear();
    this.#works.clear();
    this.#unsigned = [];
    for (const question of asked) question.refuse(error);
  }

  /** For a stop in good order, after the last step: what was folded is remembered. Throws as the memory and the copy. */
  async drain(): Promise<void> {
    await this.#follower.remember();
  }

  #absorb({ position, value, outcome }: Folded): void {
    if (outcome.kind === 'report') {
      for (const { segment } of outcome.segments) this.#reported.set(segment, { worker: outcome.key, position });
    } else if (outcome.kind === 'configuration') {
      this.#judge.take(outcome.hash, outcome.configuration);
      this.#mayBeLost = true;
    } else if (outcome.kind === 'block') {
      this.#takeBlock(new NumberedBlock(outcome.header, outcome.lines));
    } else if (outcome.kind === 'checkpoint' && outcome.verdict !== 'contradicts') {
      const { size, root } = outcome.checkpoint;
      if (this.#isRoot(size, root)) this.#sign({ size, key: outcome.key, note: value });
    }
  }

  #takeBlock(block: NumberedBlock): void {
    this.#headers.append(headerLeafHash(block.text));
    this.#blocks.add(block);
    if (this.#waiting.size === 0) return;
    for (const [number, line] of block.lines.entries()) {
      for (const question of this.#waiting) if (covers(line, question.place)) this.#number(question, { block, number, line });
    }
  }

  #number(question: ProofQuestion, placed: PlacedLine): void {
    this.#waiting.delete(question);
    const { line, block } = placed;
    const known = this.#works.get(line);
    if (line.segment.kind === 'loss') {
      question.refuse(new PlaitError('missing', `${describe(line.segment)} is a loss, seq ${line.firstSeq} in block ${block.height}: its records were ` +
        'gone before they were hashed, so that there is nothing to prove', { details: { seq: String(line.firstSeq) } }));
    } else if (this.state !== undefined && isVoid(this.state.configuration.body.voids, line.segment)) {
      question.refuse(voidError(line));
    } else if (known !== undefined) {
      known.questions.add(question);
    } else {
      this.#works.set(line, { placed, questions: new Set([question]) });
      const hashed = this.#hashed.get(line);
      if (hashed === undefined) this.#queues.want(line);
      else this.#prove(line, hashed);
    }
  }

  /** Whether it can be told what becomes of those who want records of the line; they were told then. */
  async #settle({ line, content }: LineRead): Promise<boolean> {
    const { segment } = line;
    if (content.kind === 'wrong') return await this.#settleWrong(line, content.finding);
    const newest = this.#caughtUp ? this.state : await this.#judge.ask({ isFresh: false });
    if (newest === undefined) return false;
    invariant(content.kind === 'records' && content.leaves !== undefined, 'losses are not read, and leaves are asked for');
    if (isVoid(newest.configuration.body.voids, segment)) this.#refuse(line, voidError(line));
    else this.#prove(line, HashedSegment.ofRecords(content.records, content.leaves));
    return true;
  }

  async #settleWrong(line: Line, finding: LineFinding): Promise<boolean> {
    const judgement = await this.#judge.judge(line, finding, this.#follower.position);
    if (judgement === undefined) return false;
    if (judgement.kind === 'void') this.#refuse(line, voidError(line));
    else if (judgement.kind === 'wrong') this.#refuse(line, errorOf(finding, line, this.#reported.get(line.segment)));
    else await this.#settleGone(line, new PlaitError('missing', judgement.why, { details: errorOf(finding, line, undefined).details }));
    return true;
  }

  /** Whoever wants no payload may still be helped by leaves. */
  async #settleGone(line: Line, error: PlaitError): Promise<void> {
    const { segment } = line;
    const leaves = segment.kind === 'segment' ? await this.#options.leavesOf?.(segment) : undefined;
    const hashed = leaves === undefined || segment.kind === 'loss' ? undefined : HashedSegment.ofLeaves(leaves, segment);
    if (hashed === undefined) this.#refuse(line, error);
    else this.#prove(line, hashed, error);
  }

  #refuse(line: Line, error: PlaitError): void {
    const { questions = [] } = this.#works.get(line) ?? {};
    this.#works.delete(line);
    for (const question of questions) question.refuse(error);
  }

  /** Proves the records of a line; `gone` says why payloads are not at hand, if they are not. */
  #prove(line: Line, hashed: HashedSegment, gone?: PlaitError): void {
    const work = this.#works.get(line);
    this.#works.delete(line);
    if (work === undefined) return;
    if (gone === undefined) this.#hashed.add(line, hashed);
    const { block, number } = work.placed;
    const common = { line, lineIndex: BigInt(number), lineProof: block.proveLine(number), header: block.text, index: block.height };
    for (const question of work.questions) {
      const record = numberOf(question.place, line, hashed);
      if (record === undefined) question.refuse(notSeen(question.place));
      else if (gone !== undefined && question.payload) question.refuse(gone);
      else this.#unsigned.push({ question, part: { ...common, ...hashed.prove(record, { withPayload: question.payload }) } });
    }
    this.#answer();
  }

  /** Of the trees of the fold whose roots can be told; the fold itself looks at the newest only. */
  #isRoot(size: bigint, root: string): boolean {
    return size > this.#headers.first && size <= this.#headers.size && hashToText(this.#headers.root(size)) === root;
  }

  #sign(signed: Signed): void {
    if (signed.size <= (this.#signed?.size ?? 0n)) return;
    this.#signed = signed;
    this.#answer();
    this.#forget();
  }

  /** Answers all whose block is under the newest checkpoint. */
  #answer(): void {
    const signed = this.#signed;
    if (signed === undefined) return;
    const { size, key, note: checkpoint } = signed;
    const covered = this.#unsigned.filter(({ part }) => part.index < size);
    this.#unsigned = this.#unsigned.filter(({ part }) => part.index >= size);
    for (const { question, part } of covered) {
      question.answer({ key, receipt: { ...part, proof: this.#headers.prove({ index: part.index, size }), checkpoint } });
    }
  }

  /** Headers that nobody can ask for any more. */
  #forget(): void {
    const needed = [this.#blocks.first, ...[...this.#works.values()].map(({ placed }) => placed.block)].map((block) => block?.height ?? this.#headers.size);
    this.#headers.forgetBefore([...needed, ...this.#unsigned.map(({ part }) => part.index)].reduce((a, b) => (a < b ? a : b)));
  }

  /** While a key in force contradicts itself, nobody leads or signs: what has no checkpoint yet gets none. */
  #refuseUnsigned(conflict: PlaitError): void {
    const asked = [...this.#waiting, ...this.#unsigned.map(({ question }) => question)];
    this.#waiting.clear();
    this.#unsigned = [];
    for (const question of asked) question.refuse(conflict);
  }

  /** A partition that began anew behind a place, or is read no more, will never come to it. */
  #refuseLost(): void {
    const { state } = this;
    if (state === undefined) return;
    this.#mayBeLost = false;
    for (const question of this.#waiting) {
      const error = lostError(question.place, state);
      if (error === undefined) continue;
      this.#waiting.delete(question);
      question.refuse(error);
    }
  }
}

/** Whether blocks have numbered what stands at the place; also true of what lies below where its partition began. */
export function isSequenced(state: LedgerState, place: RecordPlace): boolean {
  if ('seq' in place) return place.seq < state.nextSeq;
  const { generation, nextOffset } = sequencedEnd(chainOf(state, place));
  return generation > place.generation || (generation === place.generation && place.offset < nextOffset);
}

/** Why nothing will ever be numbered at a place that no block has numbered; undefined while something may. */
function lostError(place: RecordPlace, state: LedgerState): PlaitError | undefined {
  if ('seq' in place) return undefined;
  const { end, pending } = chainOf(state, place);
  if (pending.some(({ segment }) => segment.generation >= place.generation && segment.firstOffset <= place.offset && place.offset < segment.nextOffset)) return undefined;
  const name = `${partitionName(place)} offset ${place.offset}`;
  if (end.nextOffset > place.offset) {
    return new PlaitError('missing', `${name} is not in the ledger: generation ${end.generation} of the partition began behind it`);
  }
  if (state.configuration.body.sources.includes(place.topic)) return undefined;
  return new PlaitError('config', `${name} will not be numbered: ${place.topic} is no source of the ledger any more`);
}

function numberOf(place: RecordPlace, { firstSeq }: Line, hashed: HashedSegment): number | undefined {
  return 'seq' in place ? Number(place.seq - firstSeq) : hashed.numberAt(place.offset);
}

function notSeen(place: RecordPlace): PlaitError {
  const name = 'seq' in place ? `seq ${place.seq}` : `${partitionName(place)} offset ${place.offset}`;
  return new PlaitError('missing', `${name} holds no record that anybody sees: it is a transaction marker, of an aborted transaction, or was compacted away`);
}

function voidError({ segment, firstSeq }: Line): PlaitError {
  return new PlaitError('config', `${describe(segment)}, numbered from seq ${firstSeq} on, was declared void by a configuration: nothing of it is proved`, {
    details: { firstSeq: String(firstSeq) },
  });
}
