/**
 * The fold: the one pure function that decides what counts (DESIGN, section 3).
 *
 * Every reader of a log applies it to the same messages in the same order and so comes to the same state. The checks of
 * each kind have a fixed order, and the first that fails is the reason. Size, kind, ledger and numbers are checked
 * before signatures, signatures before content.
 */
import { epoch, height, seq, type LogPosition } from './types.ts';
import type { Checkpoint } from './checkpoint.ts';
import type { Claim } from './claim.ts';
import { EMPTY_RANGE, rangeRoot } from './compact.ts';
import type { Configuration, Genesis, Start, VoidRange } from './configuration.ts';
import { hashToText, utf8Decode } from './bytes.ts';
import { invariant, isPlaitError, PlaitError } from './errors.ts';
import { applyBlock } from './fold-block.ts';
import { applyReport } from './fold-report.ts';
import { formatNote, verifyNoteSignature, type Note, type VerifySignature } from './note.ts';
import { signerAmong } from './fold-signature.ts';
import { MESSAGE_BYTES_MAX } from './limits.ts';
import { kindOf, messageHash, parseMessage, type Message, type MessageKind, type UnknownRules } from './message.ts';
import type { Applied, CheckpointVerdict, IgnoreReason, Outcome } from './outcome.ts';
import { unknownRules } from './rules.ts';
import { chainOf, isImplicit, startOfChain, withChains, type Chains, type FoldState, type LedgerState } from './state.ts';
import { ed25519Verify } from '#ed25519';

/** What a caller of the fold may bring along. */
export interface FoldOptions {
  /** How signatures are checked; the strict Ed25519 of this platform unless a test brings a cache. */
  readonly verify?: VerifySignature;
  /** The newest rules to know; `RULES_VERSION` unless a test plays an older program. */
  readonly rulesMax?: number;
}

/**
 * Folds one message. Pure; O(partitions of the topics it touches), for a block O(partitions and pending segments).
 *
 * `position` must be above that of the last message folded. Throws `config` at an accepted genesis or configuration with
 * rules this code does not know, and at a genesis of this origin that another key signed: both stop every role.
 */
export function apply(state: FoldState, position: LogPosition, bytes: Uint8Array, options: FoldOptions = {}): Applied {
  invariant(state.kind === 'empty' || position > state.position, `position ${position} was folded already`);
  const verify = options.verify ?? ed25519Verify;
  const message = readMessage(bytes, options.rulesMax);
  const applied = 'kind' in message ? { state, outcome: message } : judge(state, position, message, verify);
  return applied.state.kind === 'empty' ? applied : { ...applied, state: { ...applied.state, position } };
}

function readMessage(bytes: Uint8Array, rulesMax?: number): Message | Extract<Outcome, { kind: 'ignored' }> {
  if (bytes.length > MESSAGE_BYTES_MAX) return { kind: 'ignored', of: 'unknown', reason: 'too-large' };
  try {
    return parseMessage(bytes, rulesMax);
  } catch (error) {
    if (!isPlaitError(error, 'invalid')) throw error;
    return unreadable(bytes);
  }
}

/** Names the kind that malformed bytes claim to be, for counters only. */
function unreadable(bytes: Uint8Array): Extract<Outcome, { kind: 'ignored' }> {
  let kind: MessageKind | undefined;
  try {
    kind = kindOf(utf8Decode(bytes));
  } catch (error) {
    if (!isPlaitError(error, 'invalid')) throw error;
    return { kind: 'ignored', of: 'unknown', reason: 'malformed' };
  }
  if (kind === undefined) return { kind: 'ignored', of: 'unknown', reason: 'unknown-kind' };
  return { kind: 'ignored', of: kind === 'checkpoint' ? 'unknown' : kind, reason: 'malformed' };
}

function judge(state: FoldState, position: LogPosition, message: Message, verify: VerifySignature): Applied {
  const { body } = message;
  const of = body.kind === 'unknown-rules' ? body.of : body.kind;
  const ignored = (reason: IgnoreReason): Applied => ({ state, outcome: { kind: 'ignored', of, reason } });

  if (body.origin !== state.origin) return ignored('other-origin');
  if (state.kind === 'empty') {
    if (of !== 'genesis' || !message.signed) return ignored('before-genesis');
    return applyGenesis(state, position, message, verify);
  }
  if (of === 'genesis') return ignored('second-genesis');
  if ('ledgerId' in body && body.ledgerId !== state.ledgerId) return ignored('other-ledger');
  if (!message.signed) return { state, outcome: { kind: 'snapshot', snapshot: message.body } };
  return judgeSigned(state, position, message, verify);
}

type SignedMessage = Extract<Message, { signed: true }>;

function judgeSigned(
  state: LedgerState, position: LogPosition, { body, note }: SignedMessage, verify: VerifySignature,
): Applied {
  switch (body.kind) {
    case 'configuration':
    case 'unknown-rules':
      return applyConfiguration(state, position, body as Configuration | UnknownConfiguration, note, verify);
    case 'claim':
      return applyClaim(state, position, body, note, verify);
    case 'report':
      return applyReport(state, position, body, note, verify);
    case 'block':
      return applyBlock(state, position, body, note, verify);
    case 'checkpoint':
      return applyCheckpoint(state, body, note, verify);
    default:
      throw new Error(`invariant: ${body.kind} was judged before`);
  }
}

function applyGenesis(
  state: Extract<FoldState, { kind: 'empty' }>, position: LogPosition, { body, note }: SignedMessage, verify: VerifySignature,
): Applied {
  if (!verifyNoteSignature(note, state.ledgerKey, verify)) {
    const signer = note.signatures[0]?.name ?? 'nobody';
    throw new PlaitError('config', `the log's genesis for ${state.origin} is not signed by the ledger key ` +
      `${state.ledgerKey.vkey} but in the name of ${signer}: this is not the log of that ledger`);
  }
  if (body.kind === 'unknown-rules') throw unknownRules(body);
  const genesis = body as Genesis;
  const hash = messageHash(note.text);
  const fresh: LedgerState = {
    kind: 'ledger', origin: state.origin, ledgerKey: state.ledgerKey, ledgerId: hash, position,
    configuration: { body: genesis, version: 0n, hash, note: noteText(note) },
    epoch: epoch(0n), follows: hash, leader: undefined, tip: position,
    height: height(0n), nextSeq: seq(0n), cut: position, timeMs: 0n, history: EMPTY_RANGE,
    chains: new Map(), pending: 0,
  };
  return { state: { ...fresh, chains: withStarts(fresh, genesis.starts) }, outcome: { kind: 'genesis', hash, genesis } };
}

type UnknownConfiguration = Extract<UnknownRules, { of: 'configuration' }>;

function applyConfiguration(
  state: LedgerState, position: LogPosition, body: Configuration | UnknownConfiguration, note: Note, verify: VerifySignature,
): Applied {
  const ignored = (reason: IgnoreReason): Applied => ({ state, outcome: { kind: 'ignored', of: 'configuration', reason } });
  const { configuration } = state;

  if (body.version !== configuration.version + 1n) return ignored('version');
  if (body.previous !== configuration.hash) return ignored('previous');
  const signer = signerAmong([state.ledgerKey], note, verify);
  if (typeof signer === 'string') return ignored(signer);
  if (body.kind === 'unknown-rules') throw unknownRules(body);
  // Behind the signature: they take up to 4,096 hashes.
  if (!repeatsVoids(configuration.body.voids, body.voids)) return ignored('voids');
  if (!body.starts.every((start) => mayStart(state, start))) return ignored('generation');

  const hash = messageHash(note.text);
  const next: LedgerState = {
    ...state,
    configuration: { body, version: body.version, hash, note: noteText(note) },
    epoch: epoch(state.epoch + 1n), follows: hash, leader: undefined, tip: position,
    chains: withStarts(state, body.starts),
  };
  return { state: next, outcome: { kind: 'configuration', hash, configuration: body } };
}

/** A new generation is one above the greatest ever used; generation 0 may be given a start while nothing was said of it. */
function mayStart(state: LedgerState, start: Start): boolean {
  const chain = chainOf(state, start);
  return start.generation === chain.end.generation + 1n || (start.generation === 0n && isImplicit(state, start, chain));
}

function withStarts(state: LedgerState, starts: readonly Start[]): Chains {
  const restarted = starts.map((start) => {
    const end = startOfChain({ ...start, ledgerId: state.ledgerId });
    return { ...start, chain: { end, pending: chainOf(state, start).pending } };
  });
  return withChains(state.chains, restarted);
}

function repeatsVoids(old: readonly VoidRange[], fresh: readonly VoidRange[]): boolean {
  const known = new Set(fresh.map(spellVoid));
  return old.every((range) => known.has(spellVoid(range)));
}

function spellVoid(v: VoidRange): string {
  return `${v.topic} ${v.generation} ${v.partition} ${v.firstIndex} ${v.nextIndex}`;
}

function applyClaim(
  state: LedgerState, position: LogPosition, claim: Claim, note: Note, verify: VerifySignature,
): Applied {
  const ignored = (reason: IgnoreReason): Applied => ({ state, outcome: { kind: 'ignored', of: 'claim', reason } });

  if (claim.epoch !== state.epoch + 1n) return ignored('epoch');
  if (claim.follows !== state.follows) return ignored('follows');
  const signer = signerAmong(state.configuration.body.coordinatorKeys, note, verify);
  if (typeof signer === 'string') return ignored(signer);

  const hash = messageHash(note.text);
  const next: LedgerState = {
    ...state, epoch: claim.epoch, follows: hash, leader: { claim: hash, key: signer }, tip: position,
  };
  return { state: next, outcome: { kind: 'claim', hash, claim, key: signer.name } };
}

function applyCheckpoint(state: LedgerState, checkpoint: Checkpoint, note: Note, verify: VerifySignature): Applied {
  const signer = signerAmong(state.configuration.body.checkpointKeys, note, verify);
  if (typeof signer === 'string') return { state, outcome: { kind: 'ignored', of: 'checkpoint', reason: signer } };
  return { state, outcome: { kind: 'checkpoint', checkpoint, key: signer, verdict: compareCheckpoint(state, checkpoint) } };
}

function compareCheckpoint(state: LedgerState, { size, root }: Checkpoint): CheckpointVerdict {
  if (size < state.height) return 'older';
  return size === state.height && root === hashToText(rangeRoot(state.history)) ? 'consistent' : 'contradicts';
}

function noteText(note: Note): string {
  return utf8Decode(formatNote(note.text, note.signatures));
}
