/** The log as it will be written anew: every message at its old position, found right by folding it. */
import { hashToText, logPosition, PlaitError, rangeRoot, type LedgerState, type LogPosition, type VerifySignature } from '@plait/core';
import type { CopyFile } from '@plait/disk';
import { coldStart, Follower, markOf, seemsAhead, type Folded, type LogMessage, type LogReader, type Memory, type OpenLog, type Pinned } from '@plait/roles';
import { agreeingPrefix, copiedMessages, topicMessages, type Pins, type Prefix, type Witness } from './recover-sources.ts';

/** Stands where nothing is known, or where no message was: of an unknown kind, so that every fold ignores it. */
export const FILLER = new TextEncoder().encode('plait.filler/v1\n');

/** The damaged topic, as far as it can be read. */
export interface DamagedTopic {
  readonly openLog: OpenLog;
  readonly logStart: bigint;
}

const POLL_MESSAGES = 1_000;

/** Messages out of copies, and out of the damaged topic where no copy has them and it agrees with all copies. */
export class RecoveredLog {
  readonly #files: readonly CopyFile[];
  readonly #topic: DamagedTopic | undefined;
  /** Below it the topic is right. */
  readonly prefixEnd: LogPosition;
  /** Below it everything is as it was for all who remember. */
  readonly sureEnd: LogPosition;
  /** Behind the last message. */
  readonly end: LogPosition;

  private constructor(files: readonly CopyFile[], topic: DamagedTopic | undefined, { end, sureEnd }: Prefix) {
    this.#files = files;
    this.#topic = topic;
    this.prefixEnd = end;
    const behindCopies = (from: bigint): LogPosition => logPosition(files.reduce((behind, { last }) => (last >= behind ? last + 1n : behind), from));
    this.sureEnd = behindCopies(sureEnd);
    this.end = behindCopies(end);
  }

  /** Reads the topic and compares it. `files` agree with each other and with `pins`. */
  static async from(files: readonly CopyFile[], pins: Pins, topic: DamagedTopic | undefined): Promise<RecoveredLog> {
    const nothing: Prefix = { end: logPosition(0n), sureEnd: logPosition(0n) };
    return new RecoveredLog(files, topic, topic === undefined ? nothing : await agreeingPrefix(topic.openLog, topic.logStart, { files, pins }));
  }

  /** From a position on. */
  async *messages(from: bigint): AsyncGenerator<LogMessage, undefined> {
    let next = from;
    for (const file of this.#files) {
      if (file.last < next) continue;
      yield* this.#ofTopic(next, file.first);
      yield* copiedMessages([file], next);
      next = file.last + 1n;
    }
    yield* this.#ofTopic(next, this.prefixEnd);
  }

  async *#ofTopic(from: bigint, to: bigint): AsyncGenerator<LogMessage, undefined> {
    const topic = this.#topic;
    const end = to < this.prefixEnd ? to : this.prefixEnd;
    const begin = topic !== undefined && from < topic.logStart ? topic.logStart : from;
    if (topic === undefined || begin >= end) return;
    for await (const message of topicMessages(topic.openLog, begin)) {
      if (message.position >= end) return;
      yield message;
    }
  }

  /** The bytes for each position from `from` on, fillers included; a filler, too, for a message that no topic of ours takes. */
  async *values(from: bigint, bytesMax: number): AsyncGenerator<Uint8Array, undefined> {
    let next = from;
    for await (const { position, value } of this.messages(from)) {
      for (; next < position; next += 1n) yield FILLER;
      yield value.length > bytesMax ? FILLER : value;
      next = position + 1n;
    }
  }

  /** The first stretch from `from` on of which nobody knows what was in it. */
  hole(from: bigint): { readonly first: bigint; readonly last: bigint } | undefined {
    const ofTopic = this.#topic === undefined ? [] : [{ first: this.#topic.logStart, last: this.prefixEnd - 1n }];
    let next = from;
    for (const { first, last } of [...this.#files, ...ofTopic].toSorted((a, b) => (a.first < b.first ? -1 : 1))) {
      if (last < next) continue;
      if (first > next) return { first: next, last: first - 1n };
      next = last + 1n;
    }
    return undefined;
  }

  /** See `OpenLog`. */
  readonly open: OpenLog = (from) => Promise.resolve(new RecoveredReader(this, from, this.end));

  /** A reading from the beginning that ends at `end`. */
  openBelow(end: LogPosition): Promise<LogReader> {
    return Promise.resolve(new RecoveredReader(this, logPosition(0n), end));
  }
}

class RecoveredReader implements LogReader {
  readonly #end: LogPosition;
  readonly #messages: AsyncGenerator<LogMessage, undefined>;
  #next: LogPosition;

  constructor(log: RecoveredLog, from: LogPosition, end: LogPosition) {
    this.#end = end;
    this.#next = from;
    this.#messages = log.messages(from);
  }

  async poll(): Promise<readonly LogMessage[]> {
    const messages: LogMessage[] = [];
    while (messages.length < POLL_MESSAGES) {
      const next = await this.#messages.next();
      if (next.done === true || next.value.position >= this.#end) {
        this.#next = this.#end;
        return messages;
      }
      messages.push(next.value);
      this.#next = logPosition(next.value.position + 1n);
    }
    return messages;
  }

  position(): LogPosition {
    return this.#next;
  }

  end(): Promise<LogPosition> {
    return Promise.resolve(this.#end);
  }

  incarnation(): number {
    return 0;
  }

  async close(): Promise<void> {
    await this.#messages.return(undefined);
  }
}

/**
 * Folds the log from its genesis, or from a state in it that a checkpoint or a witness confirms, and gives the state at its
 * end. Throws `config` if it holds neither, if what some witness remembers is not in it, and if a leader's messages behind a
 * stretch that nobody knows show that something in it counted.
 */
export async function verifyRecovered(
  log: RecoveredLog, pinned: Pinned & { readonly verify?: VerifySignature }, witnesses: readonly Witness[],
): Promise<LedgerState> {
  const furthest = witnesses.toSorted((a, b) => (a.position < b.position ? -1 : 1)).at(-1);
  const memory: Memory = { load: () => Promise.resolve(furthest), save: () => Promise.resolve() };
  const { start } = await coldStart({ ...pinned, openLog: log.open, memory });
  const unmet = new Unmet(witnesses);
  const from = logPosition(start === undefined ? 0n : start.position + 1n);
  const hole = log.hole(from);
  const reader = await log.open(from);
  const follower = new Follower({ ...pinned, log: reader, ...(start === undefined ? {} : { start }) }, (folded) => {
    unmet.take(folded);
    if (hole !== undefined && folded.position > hole.last) requireComplete(folded, hole, pinned.verify);
  });
  while (!(await follower.readToEnd())) continue;
  await reader.close();
  const { state } = follower;
  if (state === undefined) {
    throw new PlaitError('config', 'neither genesis nor a confirmed state is in the copies or in what is left of the topic: nothing can be ' +
      'recovered from these. Name more copies with --copy; if there are none, a successor goes on: see "plait init --help", --succeeds');
  }
  const [missing] = unmet.list(start, log.end);
  if (missing === undefined) return state;
  throw new PlaitError('config', `${missing.path} remembers position ${missing.position} and ${missing.height} blocks, and what is found ends at ` +
    `position ${log.end - 1n} with ${state.height} blocks: records would get other numbers than were read already. Name the copies that hold the ` +
    `rest with --copy; or, if that role knew only what the log became after it was rolled back, reset it with "plait recover --forget ${missing.path}"`);
}

/** Throws `config` if the message could not have been written if nothing had counted in the hole before it. */
function requireComplete(
  { position, value, outcome, state }: Folded, { first, last }: { readonly first: bigint; readonly last: bigint }, verify?: VerifySignature,
): void {
  if (outcome.kind !== 'ignored' || state === undefined) return;
  // Of the leader's own blocks only one over another past has other content.
  const isOfMore = (outcome.of === 'block' && outcome.reason === 'content') || seemsAhead(value, outcome, state, verify);
  if (!isOfMore) return;
  throw new PlaitError('config', `positions ${first} … ${last} are in no copy and not in what is left of the topic, and the message at position ` +
    `${position} shows that blocks, or what they number, were there: records would get other numbers than were read already. Name the copies ` +
    'that hold them with --copy; if there are none, a successor goes on: see "plait init --help", --succeeds');
}

/** Witnesses whose message, header and checkpoint were not met yet. */
class Unmet {
  readonly #messages: Set<Witness>;
  readonly #headers: Set<Witness>;
  readonly #trees: Set<Witness>;

  constructor(witnesses: readonly Witness[]) {
    this.#messages = new Set(witnesses);
    this.#headers = new Set(witnesses.filter(({ header }) => header !== undefined));
    this.#trees = new Set(witnesses.filter(({ checkpoint }) => checkpoint !== undefined));
  }

  take({ position, value, outcome, state }: Folded): void {
    for (const each of this.#messages) {
      if (each.position === position && each.message === markOf({ position, value }).message) this.#messages.delete(each);
    }
    if (outcome.kind !== 'block' || state === undefined) return;
    for (const each of this.#headers) if (each.height === state.height && each.header === outcome.hash) this.#headers.delete(each);
    for (const each of this.#trees) {
      if (each.checkpoint?.size === state.height && each.checkpoint.root === hashToText(rangeRoot(state.history))) this.#trees.delete(each);
    }
  }

  /** Those that are left, but for what lies before the fold's beginning, and for messages behind the end that no block took. */
  list(start: LedgerState | undefined, end: LogPosition): readonly Witness[] {
    const height = start?.height ?? 0n;
    return [
      ...[...this.#messages].filter(({ position }) => position < end && (start === undefined || position > start.position)),
      ...[...this.#headers].filter((each) => each.height > height),
      ...[...this.#trees].filter(({ checkpoint }) => (checkpoint?.size ?? 0n) > height),
    ];
  }
}
