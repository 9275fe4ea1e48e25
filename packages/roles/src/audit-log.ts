/**
 * What a log says of itself: an audit tells this every message that it folds, and gets what is wrong with the first one that
 * shows anything. And what it says to checkpoints that somebody kept outside of it.
 */
import {
  EMPTY_ROOT, HASH_BYTES, hashToText, isChunkOf, parseMessage, parseNote, PlaitError, rangeRoot, verifyNoteSignature,
  type BlockHeader, type Hash, type Height, type LedgerState, type LogPosition, type Outcome, type Snapshot, type VerifierKey, type VerifySignature,
} from '@plait/core';
import { signOf, type SaidBefore, type Sign } from './audit-signs.ts';
import type { AuditCounts, Finding, SignedCheckpoint } from './audit-types.ts';
import type { Folded } from './follower.ts';
import { endOf } from './remembered-log.ts';

/** Ignored messages that may be what was left of those that are missing; the newest ones are named. */
const DAMAGED_MAX = 4;
/** Headers with a state of which chunks may still come. */
const STATE_HEADERS_MAX = 64;
/** Checkpoints ahead of the blocks that are kept until the blocks have come, or have not. */
const AHEAD_MAX = 64;

interface Damaged {
  readonly position: LogPosition;
  readonly of: string;
  readonly reason: string;
}

/** A checkpoint by a key in force, where it stood and how many blocks were before it. */
type SeenCheckpoint = SignedCheckpoint & { readonly position: LogPosition; readonly height: Height; readonly key: VerifierKey };

/** What looking at a log needs. */
export interface LogAuditOptions {
  /**
   * Whether a configuration has replaced a checkpoint key by the log's end. What such a key contradicted is settled once a key
   * that is in force then has signed for the blocks behind it.
   */
  readonly isReplaced: (key: VerifierKey) => boolean;
  /** See core's FoldOptions. */
  readonly verify?: VerifySignature;
}

/** Looks at a log, message by message, from its genesis on. */
export class LogAudit {
  readonly #verify: VerifySignature | undefined;
  readonly #isReplaced: (key: VerifierKey) => boolean;
  readonly #roots = new Roots();
  readonly #accepted = new Set<Hash>();
  readonly #coordinators = new Map<string, VerifierKey>();
  readonly #checkpointKeys = new Map<string, VerifierKey>();
  readonly #stateHeaders = new Map<Height, BlockHeader>();
  readonly #ignored = new Map<string, number>();
  readonly #counts = {
    messages: 0n, blocks: 0n, claims: 0n, configurations: 0n, reports: 0n, equivocations: 0n, checkpoints: 0n, settled: 0n, right: 0n, foreign: 0n,
  };
  #damaged: readonly Damaged[] = [];
  /** Consistent ones by rising size: from the newest below what was asked for on. */
  #checkpoints: SignedCheckpoint[] = [];
  #ahead: readonly SeenCheckpoint[] = [];
  /** By keys that were replaced, and not settled yet. */
  #contradicting: readonly SeenCheckpoint[] = [];
  /** How many messages of this ledger came before any genesis. */
  #orphans = 0n;

  constructor({ isReplaced, verify }: LogAuditOptions) {
    this.#isReplaced = isReplaced;
    this.#verify = verify;
  }

  /** What was gone through. */
  get counts(): Pick<AuditCounts, 'messages' | 'blocks' | 'claims' | 'configurations' | 'reports' | 'equivocations' | 'checkpoints' | 'settled' | 'snapshots'> {
    const { right, foreign, ...counts } = this.#counts;
    return { ...counts, snapshots: { right, foreign } };
  }

  /** See VerifyReport. */
  get ignored(): Readonly<Record<string, number>> {
    return Object.fromEntries([...this.#ignored].toSorted(([a], [b]) => (a < b ? -1 : 1)));
  }

  /** The newest checkpoint that is consistent with the blocks that were taken. */
  get newestCheckpoint(): SignedCheckpoint | undefined {
    return this.#checkpoints.at(-1);
  }

  /** Of the tree over so many blocks; undefined over more than were taken. */
  rootAt(size: bigint): Hash | undefined {
    return this.#roots.at(size);
  }

  /** Takes the next message that was folded. What is wrong first, if it shows anything: then nothing more is to be taken. */
  take(folded: Folded): Finding | undefined {
    const finding = this.#take(folded);
    const [before] = this.#contradicting;
    return finding !== undefined && before !== undefined ? this.#contradiction(before) : finding;
  }

  #take({ position, value, outcome, state }: Folded): Finding | undefined {
    this.#counts.messages += 1n;
    this.#countIgnored(outcome);
    if (state === undefined) {
      if (outcome.kind === 'ignored' && outcome.reason === 'before-genesis') this.#orphans += 1n;
      return undefined;
    }
    if (outcome.kind === 'genesis' || outcome.kind === 'configuration') this.#takeConfiguration(outcome, state);
    if (outcome.kind === 'claim') this.#takeClaim(outcome.hash);
    if (outcome.kind === 'report') this.#counts.reports += 1n;
    if (outcome.kind === 'snapshot') this.#counts[this.#isRight(outcome.snapshot) ? 'right' : 'foreign'] += 1n;
    if (outcome.kind === 'block') return this.#takeBlock(outcome.header, state);
    if (outcome.kind === 'ignored') return this.#takeIgnored({ position, value, outcome, state });
    if (outcome.kind !== 'checkpoint') return undefined;
    const { checkpoint, key } = outcome;
    return this.#takeCheckpoint({ name: `position ${position}`, note: value.slice(), checkpoint, key, position, height: state.height });
  }

  #takeConfiguration({ kind, hash }: Extract<Outcome, { kind: 'genesis' | 'configuration' }>, { configuration }: LedgerState): void {
    if (kind === 'configuration') this.#counts.configurations += 1n;
    this.#accepted.add(hash);
    for (const key of configuration.body.coordinatorKeys) this.#coordinators.set(key.vkey, key);
    for (const key of configuration.body.checkpointKeys) this.#checkpointKeys.set(key.vkey, key);
  }

  #takeClaim(hash: Hash): void {
    this.#accepted.add(hash);
    this.#counts.claims += 1n;
  }

  #takeBlock(header: BlockHeader, state: LedgerState): Finding | undefined {
    this.#counts.blocks += 1n;
    this.#roots.push(rangeRoot(state.history));
    this.#damaged = [];
    if (header.state !== undefined) this.#stateHeaders.set(header.height, header);
    if (this.#stateHeaders.size > STATE_HEADERS_MAX) this.#stateHeaders.delete([...this.#stateHeaders.keys()][0] as Height);
    return this.#meet(state.height);
  }

  /** Compares the checkpoints that were ahead of the block that has come now. */
  #meet(size: bigint): Finding | undefined {
    const met = this.#ahead.filter(({ checkpoint }) => checkpoint.size === size);
    if (met.length > 0) this.#ahead = this.#ahead.filter(({ checkpoint }) => checkpoint.size !== size);
    for (const seen of met) {
      const finding = this.#compareSeen(seen);
      if (finding !== undefined) return finding;
    }
    return undefined;
  }

  /** One that covers more than the log holds so far is kept: what follows shows whether a block is missing, or another tree was signed. */
  #takeCheckpoint(seen: SeenCheckpoint): Finding | undefined {
    this.#counts.checkpoints += 1n;
    const { checkpoint, height } = seen;
    if (checkpoint.size > height) {
      if (this.#ahead.length < AHEAD_MAX) this.#ahead = [...this.#ahead, seen];
      return undefined;
    }
    return this.#compareSeen(seen);
  }

  /** One whose blocks are all there. */
  #compareSeen(seen: SeenCheckpoint): Finding | undefined {
    const { checkpoint } = seen;
    if (checkpoint.root !== this.#roots.at(checkpoint.size)) return this.#doubt(seen);
    if (!this.#isReplaced(seen.key)) this.#settleBelow(checkpoint.size);
    if (checkpoint.size > (this.#checkpoints.at(-1)?.checkpoint.size ?? 0n)) this.#checkpoints.push(seen);
    return undefined;
  }

  /** A contradiction by a key that is in force still is a finding at once; of another one it depends on what follows. */
  #doubt(seen: SeenCheckpoint): Finding | undefined {
    if (!this.#isReplaced(seen.key)) return this.#contradiction(seen);
    if (this.#contradicting.length < AHEAD_MAX) this.#contradicting = [...this.#contradicting, seen];
    return undefined;
  }

  /** Somebody with a key in force has signed for so many blocks: what replaced keys said otherwise before is known, and settled. */
  #settleBelow(size: bigint): void {
    const isOpen = ({ key, height }: SeenCheckpoint): boolean => height >= size || !this.#isReplaced(key);
    const before = this.#ahead.length + this.#contradicting.length;
    [this.#ahead, this.#contradicting] = [this.#ahead.filter(isOpen), this.#contradicting.filter(isOpen)];
    this.#counts.settled += BigInt(before - this.#ahead.length - this.#contradicting.length);
  }

  #isRight(snapshot: Snapshot): boolean {
    const header = this.#stateHeaders.get(snapshot.height);
    return header !== undefined && isChunkOf(header, snapshot);
  }

  #takeIgnored({ position, value, outcome, state }: Folded & { readonly outcome: Extract<Outcome, { kind: 'ignored' }>; readonly state: LedgerState }): Finding | undefined {
    const { of, reason } = outcome;
    if (reason === 'bad-signature' || reason === 'malformed' || reason === 'unknown-kind') {
      this.#damaged = [...this.#damaged, { position, of, reason }].slice(-DAMAGED_MAX);
    }
    const said: SaidBefore = { accepted: this.#accepted, coordinators: this.#coordinators };
    const sign = signOf(value, outcome, state, said, this.#verify);
    return sign && this.#findingOf(sign, position, state);
  }

  #countIgnored(outcome: Outcome): void {
    const count = (what: string): void => void this.#ignored.set(what, (this.#ignored.get(what) ?? 0) + 1);
    if (outcome.kind === 'ignored') count(`${outcome.of}/${outcome.reason}`);
    if (outcome.kind !== 'report') return;
    for (const each of outcome.segments) {
      if (each.accepted) continue;
      count(`segment/${each.reason}`);
      if (each.reason === 'equivocation') this.#counts.equivocations += 1n;
    }
  }

  #findingOf({ kind, message, height, expected, found }: Sign, position: LogPosition, { nextSeq }: LedgerState): Finding {
    const last = kind === 'block-differs'
      ? 'the leader signed a block that does not follow from the log: its key is in other hands, or its program is wrong'
      : 'a key was used by somebody who follows another log than this one';
    return {
      kind, message: `position ${position} of the log: ${message}`, position, ...(height === undefined ? {} : { height }), firstSeq: nextSeq, expected, found,
      causes: [...this.#damage(), 'a message of the log before it was dropped, edited, or put elsewhere on a broker\'s disk', last],
    };
  }

  /** The nearest first. */
  #damage(): readonly string[] {
    return this.#damaged.toReversed().map(({ position, of, reason }) => `the message at position ${position} of the log (${of}) does not count (${reason}): an edited message leaves just this`);
  }

  #contradiction(seen: SeenCheckpoint): Finding {
    const { checkpoint, position, note, name } = seen;
    const expected = this.#roots.at(checkpoint.size);
    const other = this.#checkpoints.at(-1);
    return {
      kind: 'checkpoint-contradicts', position,
      message: `position ${position} of the log: the checkpoint of size ${checkpoint.size}, signed by a key in force, contradicts the log's blocks`,
      ...(expected === undefined ? {} : { expected }), found: checkpoint.root,
      causes: ['the checkpoint key signed two histories: somebody was shown another one', 'the log was written anew after the checkpoint was signed'],
      evidence: [{ name, note }, ...(other === undefined ? [] : [{ name: other.name, note: other.note }])],
    };
  }

  /**
   * The newest consistent checkpoint of the log whose tree ends at or before that height. Those below it are forgotten: heights
   * do not fall from call to call.
   */
  goodAt(height: Height | bigint): SignedCheckpoint | undefined {
    const at = this.#checkpoints.findLastIndex(({ checkpoint }) => checkpoint.size <= height);
    if (at > 0) this.#checkpoints = this.#checkpoints.slice(at);
    return at < 0 ? undefined : this.#checkpoints[0];
  }

  /** When the log was read to its end: what its end shows to be wrong. */
  finish(state: LedgerState | undefined): Finding | undefined {
    if (state === undefined) return this.#orphans === 0n ? undefined : this.#noGenesis();
    const [contradicting] = this.#contradicting;
    if (contradicting !== undefined) return this.#contradiction(contradicting);
    const [ahead] = this.#ahead.filter(({ checkpoint }) => checkpoint.size > state.height);
    if (ahead === undefined) return undefined;
    const { checkpoint, position, note, name } = ahead;
    return {
      kind: 'block-missing', position, height: state.height, firstSeq: state.nextSeq,
      message: `position ${position} of the log: a checkpoint by a key in force covers ${checkpoint.size} blocks, and the log holds only ${state.height}`,
      expected: `${checkpoint.size} blocks`, found: `${state.height} blocks`,
      causes: [...this.#damage(), 'a block was dropped or edited on a broker\'s disk', 'the checkpoint key signed another tree: somebody was shown another history'],
      evidence: [{ name, note }],
    };
  }

  #noGenesis(): Finding {
    return {
      kind: 'genesis-missing', message: `the log holds ${this.#orphans} messages of this ledger, and no genesis before them`,
      expected: 'a genesis, signed with the ledger key', found: `${this.#orphans} messages without one`,
      causes: ['the genesis, the log\'s first message, was edited or dropped'],
    };
  }

  /**
   * What is wrong with a checkpoint that somebody kept, once the log was folded to its end; undefined if the tree extends it.
   * Throws `config` if it is not of this ledger: of another origin, or signed by none of the checkpoint keys that it ever had. (One
   * over more blocks than there are may be signed by a key that came into force behind them.)
   */
  compare(trusted: SignedCheckpoint, state: LedgerState): Finding | undefined {
    const { name, note, checkpoint } = trusted;
    const { size, root } = checkpoint;
    if (checkpoint.origin !== state.origin) {
      throw new PlaitError('config', `the checkpoint ${name} is of ${checkpoint.origin}, not of ${state.origin}`);
    }
    if (!this.#isSigned(note, size > state.height)) {
      throw new PlaitError('config', `the checkpoint ${name} is signed by no checkpoint key that ${state.origin} ever had`);
    }
    if (size > state.height) {
      return {
        kind: 'rolled-back', ...endOf(state), expected: `at least ${size} blocks`, found: `${state.height} blocks`,
        message: `the log holds ${state.height} blocks, fewer than the ${size} that the checkpoint ${name} covers`,
        causes: ['the log was rolled back to an older copy', 'its newest messages were deleted'], evidence: [{ name, note }],
      };
    }
    const expected = this.#roots.at(size);
    if (root === expected) return undefined;
    const other = this.#checkpoints.findLast((each) => each.checkpoint.size >= size);
    const common = {
      expected: root, ...(expected === undefined ? {} : { found: expected }),
      message: `the first ${size} blocks of the log are not those that the checkpoint ${name} covers`,
      evidence: [{ name, note }, ...(other === undefined ? [] : [{ name: other.name, note: other.note }])],
    };
    return other === undefined
      ? { kind: 'history-differs', ...common, causes: ['the log was rolled back, and written anew since'] }
      : { kind: 'checkpoint-contradicts', ...common, causes: ['the log was written anew, and its new blocks were signed by a checkpoint key', 'two histories are shown to different people'] };
  }

  #isSigned(bytes: Uint8Array, mayBeUnknown: boolean): boolean {
    const note = parseNote(bytes);
    const keys = [...this.#checkpointKeys.values()].filter(({ name, keyId }) => note.signatures.some((each) => each.name === name && each.keyId === keyId));
    return keys.length === 0 ? mayBeUnknown : keys.some((key) => verifyNoteSignature(note, key, this.#verify));
  }
}

/**
 * The checkpoint of a signed note. Throws `invalid` if it is none. Whose it is, and that it is signed, is found out when it is
 * compared with a ledger.
 */
export function readSignedCheckpoint(note: Uint8Array, name: string): SignedCheckpoint {
  const message = parseMessage(note);
  if (!message.signed || message.body.kind !== 'checkpoint') throw new PlaitError('invalid', `${name} is no checkpoint`);
  return { name, note: note.slice(), checkpoint: message.body };
}

/** The root of the tree at every size: 32 bytes a block. */
class Roots {
  #bytes = new Uint8Array(HASH_BYTES * 1_024);
  #size = 0n;

  push(root: Uint8Array): void {
    const at = HASH_BYTES * Number(this.#size);
    if (at === this.#bytes.length) {
      const grown = new Uint8Array(2 * at);
      grown.set(this.#bytes);
      this.#bytes = grown;
    }
    this.#bytes.set(root, at);
    this.#size += 1n;
  }

  /** Undefined above the newest size. */
  at(size: bigint): Hash | undefined {
    if (size > this.#size) return undefined;
    const at = HASH_BYTES * Number(size - 1n);
    return hashToText(size === 0n ? EMPTY_ROOT : this.#bytes.subarray(at, at + HASH_BYTES));
  }
}
