/**
 * What must hold after a run, told from the log and the sources by other means than the fold: the fold says what was
 * accepted, and this says whether it may have been (DESIGN, section 1).
 */
import {
  apply, compareSegments, emptyState, encodeLine, formatSegment, hashToText, leafHash, parseMessage, RootHasher,
  segmentCount, segmentHash, SegmentHasher, stateHash, treeRoot, isPlaitError,
  type BlockHeader, type FoldState, type Hash, type LedgerState, type LogPosition, type Outcome, type Segment,
  type TopicPartition, type VerifySignature,
} from '@plait/core';
import type { LogMessage, SourceRecord } from '@plait/roles';
import { LEDGER_KEY, ORIGIN } from './keyring.ts';
import type { Incarnation, MemorySource } from './memory-source.ts';

/** A record where the global order has it. */
export interface Ordered {
  readonly topic: string;
  readonly partition: number;
  readonly record: SourceRecord;
}

/** A violated promise. */
export class Violation extends Error {
  override readonly name = 'Violation';
}

function must(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Violation(what);
}

interface Numbered extends Ordered {
  readonly generation: bigint;
}

interface Place {
  /** Where the generation began. */
  readonly startOffset: bigint;
  generation: bigint;
  nextIndex: bigint;
  nextOffset: bigint;
  previous: Hash | undefined;
}

/** Folds a log as every role does, and checks each outcome as none of them does. */
export class Oracle {
  readonly #source: MemorySource;
  readonly #verify: VerifySignature;
  readonly #order: Numbered[] = [];
  /** The segments of losses that were numbered. */
  readonly #losses: Segment[] = [];
  /** The newest numbered segment that holds records, of each partition. */
  readonly #last = new Map<string, Segment>();
  readonly #places = new Map<string, Place>();
  readonly #states = new Map<LogPosition, LedgerState>();
  #waiting: { position: LogPosition; segment: Segment }[] = [];
  #state: FoldState = emptyState({ origin: ORIGIN, ledgerKey: LEDGER_KEY.verifier });
  #claim: Hash | undefined;
  #epoch = 0n;
  #height = 0n;
  #seq = 0n;
  #cut: bigint | undefined;
  readonly #headers: Uint8Array[] = [];
  #published = 0n;
  /** Messages that no role wrote. */
  readonly #hostile: ReadonlySet<string>;

  constructor(options: { source: MemorySource; verify: VerifySignature; hostile: ReadonlySet<string> }) {
    this.#source = options.source;
    this.#verify = options.verify;
    this.#hostile = options.hostile;
  }

  /** The state after the last message; undefined before genesis. */
  get state(): LedgerState | undefined {
    return this.#state.kind === 'ledger' ? this.#state : undefined;
  }

  /** Throws unless `state` is the fold of the log up to its position. */
  checkState(who: string, state: LedgerState): void {
    const expected = this.#states.get(state.position);
    must(expected !== undefined && stateHash(expected) === stateHash(state), `${who} holds another state than its log says`);
  }

  /** All sequenced records. */
  get order(): readonly Ordered[] {
    return this.#order;
  }

  /** Size of the newest checkpoint that fits the blocks before it. */
  get published(): bigint {
    return this.#published;
  }

  /**
   * Throws unless a message that a role is about to append, if it is a checkpoint, covers blocks that the log holds as
   * accepted, and their root: so no two of one size ever differ.
   */
  checkSigned(who: string, value: Uint8Array): void {
    const message = parseMessage(value);
    if (!message.signed || message.body.kind !== 'checkpoint') return;
    const { size, root } = message.body;
    must(size <= this.#height, `${who} signs a checkpoint of size ${size}, and ${this.#height} blocks are accepted`);
    must(root === hashToText(treeRoot(this.#headers.slice(0, Number(size)))), `${who} signs another root for size ${size}`);
  }

  /** Takes the next message of the log. Throws a {@link Violation}. */
  take(message: LogMessage): Outcome {
    const before = this.#state;
    const { state, outcome } = apply(before, message.position, message.value, { verify: this.#verify });
    this.#state = state;
    if (state.kind === 'ledger') this.#states.set(message.position, state);
    if (outcome.kind === 'claim') this.#takeClaim(outcome.claim.epoch, outcome.hash);
    else if (outcome.kind === 'configuration') this.#takeConfiguration(outcome.configuration.starts);
    else if (outcome.kind === 'report') this.#takeReport(message.position, outcome.segments);
    else if (outcome.kind === 'block') this.#takeBlock(message, outcome.header);
    else if (outcome.kind === 'checkpoint' && outcome.verdict === 'consistent') this.#published = outcome.checkpoint.size;
    else if (outcome.kind === 'ignored' && outcome.of === 'block') this.#takeIgnoredBlock(message, outcome.reason, before);
    return outcome;
  }

  #takeClaim(epoch: bigint, hash: Hash): void {
    must(epoch === this.#epoch + 1n, `claim of epoch ${epoch} accepted after epoch ${this.#epoch}`);
    this.#epoch = epoch;
    this.#claim = hash;
  }

  #takeConfiguration(starts: readonly { topic: string; partition: number; generation: bigint; offset: bigint }[]): void {
    this.#epoch += 1n;
    this.#claim = undefined;
    for (const { topic, partition, generation, offset } of starts) {
      this.#places.set(`${topic}/${partition}`, { generation, nextIndex: 0n, startOffset: offset, nextOffset: offset, previous: undefined });
    }
  }

  /** Accepted segments tile their partition, and each names the one before. */
  #takeReport(position: LogPosition, outcomes: Extract<Outcome, { kind: 'report' }>['segments']): void {
    for (const { accepted, segment } of outcomes) {
      if (!accepted) continue;
      const name = `${segment.topic}/${segment.partition}`;
      const place = this.#places.get(name) ?? { generation: 0n, nextIndex: 0n, startOffset: 0n, nextOffset: 0n, previous: undefined };
      must(segment.generation === place.generation, `${name}: generation ${segment.generation} after ${place.generation}`);
      must(segment.firstIndex === place.nextIndex, `${name}: index ${segment.firstIndex} after ${place.nextIndex}`);
      must(segment.firstOffset === place.nextOffset, `${name}: offset ${segment.firstOffset} after ${place.nextOffset}`);
      must(place.previous === undefined || segment.previous === place.previous, `${name}: names another segment`);
      if (segment.kind === 'loss') this.#checkLoss(segment);
      this.#places.set(name, {
        startOffset: place.startOffset, generation: segment.generation, nextIndex: segment.nextIndex, nextOffset: segment.nextOffset,
        previous: segmentHash(segment),
      });
      this.#waiting.push({ position, segment });
    }
  }

  /** A block numbers exactly the accepted segments up to its cut, in canonical order, on behalf of the claim in force. */
  #takeBlock(message: LogMessage, header: BlockHeader): void {
    const at = `block ${header.height}`;
    must(header.claim === this.#claim, `${at} accepted of a claim that is not in force`);
    must(header.height === this.#height, `${at} accepted at height ${this.#height}`);
    must(header.firstSeq === this.#seq, `${at} begins at seq ${header.firstSeq}, the order ends at ${this.#seq}`);
    must(header.cut < message.position && (this.#cut === undefined || header.cut >= this.#cut), `${at} cuts at ${header.cut}`);
    must(header.history === hashToText(treeRoot(this.#headers)), `${at} has another history`);
    const taken = this.#waiting.filter(({ position }) => position <= header.cut).map(({ segment }) => segment);
    this.#waiting = this.#waiting.filter(({ position }) => position > header.cut);
    taken.sort(compareSegments);
    const root = new RootHasher();
    for (const segment of taken) {
      root.add(encodeLine({ firstSeq: this.#seq as typeof header.firstSeq, segment }));
      this.#number(segment);
    }
    must(hashToText(root.root()) === header.root, `${at} has other lines than the log demands`);
    must(header.records === this.#seq - header.firstSeq, `${at} counts ${header.records} records`);
    const parsed = parseMessage(message.value);
    must(parsed.signed, `${at} is not signed`);
    this.#headers.push(leafHash(new TextEncoder().encode(parsed.note.text)));
    this.#height += 1n;
    this.#cut = header.cut;
  }

  /** Losses are allowed, and end where the partition began at some time: what was still there is not called lost. */
  #checkLoss(segment: Segment): void {
    must(this.state?.configuration.body.onLoss === 'record', `loss accepted though none is allowed: ${formatSegment(segment)}`);
    const starts = this.#source.incarnations(segment.topic, segment.partition).flatMap((each) => each.starts);
    must(starts.includes(segment.nextOffset), `${formatSegment(segment)}: the partition never began where the loss ends`);
  }

  /** The records of a segment are those of the source in one of its lives, and get the next seqs. */
  #number(segment: Segment): void {
    const { topic, partition, generation } = segment;
    this.#seq += segmentCount(segment);
    if (segment.kind === 'loss') {
      this.#losses.push(segment);
      return;
    }
    const lives = this.#source.incarnations(topic, partition).filter((life) => holds(life, segment));
    must(lives[0] !== undefined, `${formatSegment(segment)} has another root than the source ever had`);
    if (segmentCount(segment) === 0n) return;
    this.#checkLife(segment, lives);
    for (const record of recordsIn(lives[0], segment)) this.#order.push({ topic, partition, generation, record });
  }

  /** Two segments of one generation are of one life of the partition, as far as the earlier one could still be read in it. */
  #checkLife(segment: Segment, lives: readonly Incarnation[]): void {
    const name = `${segment.topic}/${segment.partition}`;
    const before = this.#last.get(name);
    this.#last.set(name, segment);
    if (before === undefined || before.generation !== segment.generation) return;
    const isContinued = lives.some((life) => holds(life, before) || (life.starts.at(-1) ?? 0n) > before.firstOffset);
    must(isContinued, `${formatSegment(segment)} follows records of another life of its partition`);
  }

  /** What an honest leader in force writes at its height is accepted: else its content did not follow from the log. */
  #takeIgnoredBlock(message: LogMessage, reason: string, before: FoldState): void {
    if (before.kind !== 'ledger' || this.#hostile.has(Buffer.from(message.value).toString('latin1'))) return;
    const header = blockOf(message.value);
    if (header === undefined || header.claim !== this.#claim || header.height !== this.#height) return;
    throw new Violation(`the block of height ${header.height} of the leader in force was ignored: ${reason}`);
  }

  /** Every visible record of the sources has its seq, or is lost, in offset order. */
  checkComplete(): void {
    const seen = new Map<string, bigint>();
    for (const { topic, partition, generation, record } of this.#order) {
      const isAnew = this.#source.incarnations(topic, partition).length > 1;
      const name = `${topic}/${partition}${isAnew ? ` ${generation}` : ''}`;
      must((seen.get(name) ?? -1n) < record.offset, `${name}: offset ${record.offset} is out of order`);
      seen.set(name, record.offset);
    }
    for (const topic of this.state?.configuration.body.sources ?? []) {
      for (const at of this.#source.partitions(topic)) this.#checkCovered(at);
    }
  }

  /** A partition that began anew has all its records since its newest generation began; any other has all there ever were. */
  #checkCovered({ topic, partition }: TopicPartition): void {
    const lives = this.#source.incarnations(topic, partition);
    const place = lives.length > 1 ? this.#places.get(`${topic}/${partition}`) : undefined;
    const isHere = (each: { topic: string; partition: number; generation: bigint }): boolean =>
      each.topic === topic && each.partition === partition && (place === undefined || each.generation === place.generation);
    const numbered = new Set(this.#order.filter(isHere).map(({ record }) => record.offset));
    const losses = this.#losses.filter(isHere);
    for (const { offset } of this.#source.records(topic, partition)) {
      const isCovered = numbered.has(offset) || losses.some((loss) => loss.firstOffset <= offset && offset < loss.nextOffset);
      must(isCovered || offset < (place?.startOffset ?? 0n), `${topic}/${partition}: offset ${offset} is not sequenced`);
    }
  }
}

/** The records of a life that lie in the segment's range. */
function recordsIn({ records }: Incarnation, { firstOffset, nextOffset }: Segment): readonly SourceRecord[] {
  return records.filter(({ offset }) => offset >= firstOffset && offset < nextOffset);
}

function holds(life: Incarnation, segment: Segment): boolean {
  const records = recordsIn(life, segment);
  if (segment.kind === 'loss' || BigInt(records.length) !== segmentCount(segment)) return false;
  const hasher = new SegmentHasher();
  for (const record of records) hasher.add(record.offset, record.timestamp, record.payload);
  return hashToText(hasher.root()) === segment.root;
}

function blockOf(value: Uint8Array): BlockHeader | undefined {
  try {
    const message = parseMessage(value);
    return message.signed && message.body.kind === 'block' ? message.body : undefined;
  } catch (error) {
    if (isPlaitError(error, 'invalid')) return undefined;
    throw error;
  }
}

/** Throws unless no two different blocks were signed for one claim and height. `sent`: everything given to an appender. */
export function checkOneTextEach(sent: readonly Uint8Array[]): void {
  const texts = new Map<string, string>();
  for (const value of sent) {
    const header = blockOf(value);
    if (header === undefined) continue;
    const name = `${header.claim} ${header.height}`;
    const text = Buffer.from(value).toString('latin1');
    must((texts.get(name) ?? text) === text, `two texts were signed for height ${header.height} of one claim`);
    texts.set(name, text);
  }
}

/** Throws unless `output` is a prefix of `order`. */
export function checkPrefix(who: string, output: readonly Ordered[], order: readonly Ordered[]): void {
  must(output.length <= order.length, `${who} handed out ${output.length} records of ${order.length}`);
  for (const [seq, { topic, partition, record }] of output.entries()) {
    const wanted = order[seq] as Ordered;
    const same = topic === wanted.topic && partition === wanted.partition && record.offset === wanted.record.offset;
    must(same, `${who} handed out ${topic}/${partition}@${record.offset} as seq ${seq}`);
  }
}
