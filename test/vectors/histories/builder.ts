/**
 * Builds a log step by step, as its writers would, and says of every message what must become of it. It throws where the
 * fold says otherwise, so a scenario is read as its own expectation.
 */
import {
  chainOf, encodePayload, emptyState, formatBlock, formatCheckpoint, formatClaim, formatConfiguration, formatGenesis,
  formatReport, formatSnapshot, generation, hashToText, index, invariant, makeSignerKey, messageHash, EMPTY_ROOT, offset, rangeRoot, sealBlock,
  segmentHash, SegmentHasher, sha256, signNote, signText, utf8Encode, logPosition,
} from '@plait/core';
import type {
  BlockHeader, Checkpoint, Claim, Configuration, ConfigurationBody, FoldState, Hash, LedgerState, Segment, SignerKey,
  Snapshot, VerifierKey,
} from '@plait/core';
import { bytesOf, fold, type Bytes, type Expected, type History, type Part, type Step } from './format.ts';

export const ORIGIN = 'ledger.example/orders';

/** A key of a fixed seed: SHA-256 of a sentence that holds its name. */
export function keyOf(name: string): SignerKey {
  return makeSignerKey(name, sha256(utf8Encode(`the golden histories' key ${name}`)));
}

/** A hash of nothing that stands in any log, and the root of the empty tree. */
export const OTHER = messageHash('something else\n');
export const EMPTY = hashToText(EMPTY_ROOT);

export const ledgerKey = keyOf('ledger-key');
export const checkpointKey = keyOf(ORIGIN);
export const [alice, bob, mallory] = [keyOf('alice'), keyOf('bob'), keyOf('mallory')];
export const [worker1, worker2] = [keyOf('worker-1'), keyOf('worker-2')];

/** The verifier keys of signers, in the order a configuration has them. */
export function keys(...signers: readonly SignerKey[]): readonly VerifierKey[] {
  return signers.map(({ verifier }) => verifier).toSorted((a, b) => (a.vkey < b.vkey ? -1 : 1));
}

export const BODY: ConfigurationBody = {
  rules: 1, onLoss: 'stop', partitionsMax: 8, pendingMax: 16,
  checkpointKeys: keys(checkpointKey), coordinatorKeys: keys(alice, bob), workerKeys: keys(worker1, worker2),
  sources: ['orders'], starts: [], voids: [],
};

/** The record that every history has at an offset of a partition: payload bytes and timestamp. */
export function recordAt(topic: string, partition: number, at: bigint): { payload: Uint8Array; timestamp: bigint } {
  const payload = encodePayload({ key: utf8Encode(`${topic}-${partition}`), value: utf8Encode(`record ${at}`), headers: [] });
  return { payload, timestamp: 1_700_000_000_000n + at };
}

/** The root over `count` records from `first` on, one at each offset. */
export function rootOf(topic: string, partition: number, first: bigint, count: bigint): Hash {
  const hasher = new SegmentHasher();
  for (let at = first; at < first + count; at += 1n) {
    const { payload, timestamp } = recordAt(topic, partition, at);
    hasher.add(at, timestamp, payload);
  }
  return hashToText(hasher.root());
}

/** A note whose one signature is by `key`, but over another text. */
export function forged(text: string, key: SignerKey): string {
  return noteOf(text, [signText(`${text}?\n`, key).line]);
}

/** A note of text and signature lines. */
export function noteOf(text: string, lines: readonly string[]): string {
  return `${text}\n${lines.map((line) => `${line}\n`).join('')}`;
}

/** The signature line of `key` over the text. */
export function lineOf(text: string, key: SignerKey): string {
  return signText(text, key).line;
}

export function signed(text: string, key: SignerKey): string {
  return new TextDecoder().decode(signNote(text, key));
}

/** What a scenario asks of a segment: how much, after what, and what about it is wrong. */
export interface SegmentWish {
  readonly topic?: string;
  readonly partition?: number;
  /** Records it holds; 1 unless given. */
  readonly records?: number;
  /** Offsets it spans; as many as records (at least 1) unless given. */
  readonly offsets?: number;
  readonly loss?: boolean;
  /** The segment it follows; the chain's end in the fold unless given. */
  readonly after?: Segment;
  readonly change?: Partial<Segment>;
}

type Change<T> = Partial<Omit<T, 'kind'>>;

/** One log under construction, with the fold of all it holds so far. */
export class Log {
  readonly #title: string;
  readonly #why: string;
  readonly #knows: number | undefined;
  readonly #steps: Step[] = [];
  #state: FoldState = emptyState({ origin: ORIGIN, ledgerKey: ledgerKey.verifier });
  #next = 0n;

  /** `knows`: the newest version of the rules that its reader knows; 1 if not given. */
  constructor(title: string, why: string, knows?: number) {
    this.#title = title;
    this.#why = why;
    this.#knows = knows;
  }

  /** A log whose messages so far are not known, only what they came to. */
  static at(state: LedgerState, knows?: number): Log {
    const log = new Log('', '', knows);
    log.#state = state;
    log.#next = state.position + 1n;
    return log;
  }

  /** The fold's state so far; a genesis must have been accepted. */
  get state(): LedgerState {
    invariant(this.#state.kind === 'ledger', 'no genesis yet');
    return this.#state;
  }

  /** Position of the next message. */
  get next(): bigint {
    return this.#next;
  }

  history(): History {
    const knows = this.#knows === undefined ? {} : { knows: this.#knows };
    return { title: this.#title, why: this.#why, origin: ORIGIN, ledgerKey: ledgerKey.verifier.vkey, ...knows, messages: this.#steps };
  }

  /** Leaves positions empty, as control records and lost batches do. */
  skip(positions: number): this {
    this.#next += BigInt(positions);
    return this;
  }

  /** Appends a message, of which `want` must become. Returns its text. */
  put(message: string | Uint8Array | readonly Part[], want: string): string {
    const stored: Bytes = typeof message === 'string' ? { text: message }
      : message instanceof Uint8Array ? { base64: Buffer.from(message).toString('base64') } : { parts: message };
    const { state, expected, hash } = fold(this.#state, this.#next, bytesOf(stored), this.#knows ?? 1);
    invariant(summary(expected) === want, `${this.#title}: wanted ${want}, found ${summary(expected)}`);
    this.#steps.push({ position: `${this.#next}`, ...stored, outcome: expected, stateHash: hash });
    this.#state = state;
    this.#next += 1n;
    return typeof message === 'string' ? message : '';
  }

  /** Signs and appends a text. */
  sign(text: string, want: string, by: SignerKey): string {
    return this.put(signed(text, by), want);
  }

  /** Signs and appends a text that is stored in parts. */
  signParts(parts: readonly Part[], want: string, by: SignerKey): void {
    const text = new TextDecoder().decode(bytesOf({ parts }));
    this.put([...parts, `\n${lineOf(text, by)}\n`], want);
  }

  genesis(change: Change<ConfigurationBody & { origin: string }> = {}, want = 'genesis'): this {
    this.put(signed(formatGenesis({ kind: 'genesis', origin: ORIGIN, ...BODY, ...change }), ledgerKey), want);
    return this;
  }

  /** The text of the next configuration: the one in force, without its starts, with what is to change. */
  configurationText(change: Change<Configuration> = {}): string {
    const { configuration, ledgerId } = this.state;
    return formatConfiguration({
      ...configuration.body, starts: [], kind: 'configuration', origin: ORIGIN, ledgerId,
      version: configuration.version + 1n, previous: configuration.hash, ...change,
    });
  }

  configure(change: Change<Configuration> = {}, want = 'configuration', by = ledgerKey): string {
    return this.put(signed(this.configurationText(change), by), want);
  }

  /** The text of a claim of the next epoch; every position has its own nonce. */
  claimText(change: Change<Claim> = {}): string {
    const { ledgerId, epoch, follows } = this.state;
    const nonce = this.#next.toString(16).padStart(32, '0');
    return formatClaim({ kind: 'claim', origin: ORIGIN, ledgerId, epoch: (epoch + 1n) as Claim['epoch'], follows, nonce, ...change });
  }

  claim(by = alice, want = 'claim', change: Change<Claim> = {}): string {
    return this.put(signed(this.claimText(change), by), want);
  }

  segment(wish: SegmentWish = {}): Segment {
    const { topic = 'orders', partition = 0, records = 1 } = wish;
    const { end } = chainOf(this.state, { topic, partition });
    const from = wish.after === undefined ? end : {
      generation: wish.after.generation, nextIndex: wish.after.nextIndex, nextOffset: wish.after.nextOffset,
      head: segmentHash(wish.after),
    };
    const range = {
      topic, partition, generation: generation(from.generation), firstIndex: from.nextIndex, firstOffset: from.nextOffset,
      nextIndex: index(from.nextIndex + BigInt(records)),
      nextOffset: offset(from.nextOffset + BigInt(wish.offsets ?? Math.max(1, records))), previous: from.head,
    };
    const whole: Segment = wish.loss === true ? { kind: 'loss', ...range }
      : { kind: 'segment', ...range, root: rootOf(topic, partition, range.firstOffset, BigInt(records)) };
    return { ...whole, ...wish.change } as Segment;
  }

  reportText(...segments: readonly Segment[]): string {
    return formatReport({ kind: 'report', origin: ORIGIN, ledgerId: this.state.ledgerId, segments });
  }

  /** A report by worker-1; `want` has a word for each segment. */
  report(segments: Segment | readonly Segment[], want = 'accepted', by = worker1): string {
    return this.put(signed(this.reportText(...[segments].flat()), by), want);
  }

  /** A report of one segment as wished. */
  extend(wish: SegmentWish = {}, want = 'accepted', by = worker1): string {
    return this.report(this.segment(wish), want, by);
  }

  /** The leader's header for a cut, at the newest message unless given. */
  header(options: { cut?: bigint; withState?: boolean } = {}): BlockHeader {
    const cut = options.cut === undefined ? this.state.position : logPosition(options.cut);
    const wallMs = 1_700_000_000_000 + Number(this.state.height) * 1_000;
    return sealBlock(this.state, { cut, wallMs, withState: options.withState ?? false });
  }

  block(want = 'block', options: { cut?: bigint; withState?: boolean; change?: Change<BlockHeader>; by?: SignerKey } = {}): string {
    const header = { ...this.header(options), ...options.change };
    return this.put(signed(formatBlock(header), options.by ?? alice), want);
  }

  checkpointText(change: Partial<Checkpoint> = {}): string {
    const root = hashToText(rangeRoot(this.state.history));
    return formatCheckpoint({ kind: 'checkpoint', origin: ORIGIN, size: this.state.height, root, ...change });
  }

  checkpoint(want: string, change: Partial<Checkpoint> = {}, by = checkpointKey): string {
    return this.put(signed(this.checkpointText(change), by), want);
  }

  snapshot(snapshot: Snapshot, want = 'snapshot'): string {
    return this.put(formatSnapshot(snapshot), want);
  }
}

/** One word for what became of a message; for a report one for each segment. */
export function summary(expected: Expected): string {
  switch (expected.kind) {
    case 'ignored':
      return expected.reason;
    case 'report':
      return expected.segments.join(' ');
    case 'checkpoint':
      return expected.verdict;
    default:
      return expected.kind;
  }
}
