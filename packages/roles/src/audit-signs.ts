/**
 * What an ignored message shows of the log: that something before it was dropped or edited. Nothing here is ever shown by an
 * honest ledger. Messages of others, replays, the late ones of a leader that was fenced, and damaged ones are no signs.
 */
import {
  hashToText, linesUpTo, linesRoot, parseMessage, rangeRoot, verifyNoteSignature,
  type BlockHeader, type Claim, type Configuration, type Hash, type Height, type LedgerState, type Note, type Outcome, type VerifierKey, type VerifySignature,
} from '@plait/core';

/** What the log said so far that the state alone does not keep. */
export interface SaidBefore {
  /** Hashes of the claims and configurations that were ever accepted, genesis included. */
  readonly accepted: ReadonlySet<Hash>;
  /** Every coordinator key that was ever in force. */
  readonly coordinators: ReadonlyMap<string, VerifierKey>;
}

/** What is wrong with the log, as a message shows it. */
export interface Sign {
  readonly kind: 'block-missing' | 'block-differs';
  readonly message: string;
  readonly height?: Height;
  readonly expected: string;
  readonly found: string;
}

/** The ignored message, and what was before it. */
interface Ignored {
  readonly reason: Extract<Outcome, { kind: 'ignored' }>['reason'];
  readonly note: Note;
  readonly state: LedgerState;
  readonly said: SaidBefore;
  readonly isSigned: (key: VerifierKey) => boolean;
}

const REASONS = new Set([
  'height', 'no-leader', 'other-claim', 'other-configuration', 'first-seq', 'cut', 'time', 'history', 'content', 'state',
  'epoch', 'follows', 'version', 'previous',
]);

/**
 * What an ignored message shows; undefined if nothing. `state` is the one after it, which is the one before it. Verifies a
 * signature only of messages that would show something if it is good. Pure.
 */
export function signOf(value: Uint8Array, outcome: Outcome, state: LedgerState, said: SaidBefore, verify?: VerifySignature): Sign | undefined {
  if (outcome.kind !== 'ignored' || !REASONS.has(outcome.reason)) return undefined;
  const message = parseMessage(value);
  if (!message.signed) return undefined;
  const { body, note } = message;
  const ignored: Ignored = { reason: outcome.reason, note, state, said, isSigned: (key) => verifyNoteSignature(note, key, verify) };
  if (body.kind === 'block') return signOfBlock(body, ignored);
  if (body.kind === 'claim') return signOfClaim(body, ignored);
  return body.kind === 'configuration' ? signOfConfiguration(body, ignored) : undefined;
}

function signOfBlock(header: BlockHeader, ignored: Ignored): Sign | undefined {
  const { reason, state, said, isSigned } = ignored;
  if (reason === 'no-leader' || reason === 'other-claim') {
    // A leader that was replaced writes on behalf of a claim that the log holds. Nobody leads by one that it does not.
    if (said.accepted.has(header.claim) || ![...said.coordinators.values()].some(isSigned)) return undefined;
    return missing(`a coordinator signed block ${header.height} for a claim that is not in the log`, { expected: 'a claim in the log', found: header.claim });
  }
  // A leader sends the same block again until it has read it.
  const isRepeat = reason === 'height' && header.height < state.height;
  if (isRepeat || state.leader === undefined || !isSigned(state.leader.key)) return undefined;
  if (reason === 'other-configuration') {
    return missing(`the leader signed block ${header.height} under a configuration that is not in force`, { expected: state.configuration.hash, found: header.configuration });
  }
  if (reason === 'height') {
    const { height } = state;
    return missing(`the leader signed block ${header.height}, and the log holds only ${height} before it`, { height, expected: `block ${height}`, found: `block ${header.height}` });
  }
  return { kind: 'block-differs', height: header.height, ...differenceOf(header, ignored) };
}

function missing(message: string, more: Omit<Sign, 'kind' | 'message'>): Sign {
  return { kind: 'block-missing', message, ...more };
}

/** What a block of the right height has, and what it should. */
function differenceOf(header: BlockHeader, { reason, state }: Ignored): Pick<Sign, 'message' | 'expected' | 'found'> {
  const say = (what: string, expected: unknown, found: unknown) => ({
    message: `block ${header.height}, signed by the leader, is not what the log before it demands: ${what}`, expected: String(expected), found: String(found),
  });
  switch (reason) {
    case 'first-seq':
      return say('its first seq is another', state.nextSeq, header.firstSeq);
    case 'time':
      return say('its time is below the one before', `at least ${state.timeMs}`, header.timeMs);
    case 'cut':
      return say('its cut is no position between the one before and its own', `at least ${state.cut}`, header.cut);
    case 'history':
      return say('it follows other blocks', hashToText(rangeRoot(state.history)), header.history);
    case 'state':
      return say('it commits to another state', 'the state at its cut', header.state?.root);
    default: {
      const lines = linesUpTo(state, header.cut);
      const records = lines.reduce((sum, { segment }) => sum + segment.nextIndex - segment.firstIndex, 0n);
      return say('it numbers other segments', `${records} records in ${lines.length} segments, root ${linesRoot(lines)}`,
        `${header.records} records in ${header.segments} segments, root ${header.root}`);
    }
  }
}

function signOfClaim(claim: Claim, { reason, state, isSigned }: Ignored): Sign | undefined {
  const isAhead = reason === 'follows' || claim.epoch > state.epoch + 1n;
  if (!isAhead || !state.configuration.body.coordinatorKeys.some(isSigned)) return undefined;
  if (reason === 'follows') {
    return missing(`a coordinator signed a claim of epoch ${claim.epoch} that follows what is not in the log`, { expected: state.follows, found: claim.follows });
  }
  return missing(`a coordinator signed a claim of epoch ${claim.epoch}, and the log before it ends with epoch ${state.epoch}`, {
    expected: `at most epoch ${state.epoch + 1n}`, found: `epoch ${claim.epoch}`,
  });
}

function signOfConfiguration({ version, previous }: Configuration, { reason, state, isSigned }: Ignored): Sign | undefined {
  const { configuration } = state;
  const isAhead = reason === 'previous' || version > configuration.version + 1n;
  if (!isAhead || !isSigned(state.ledgerKey)) return undefined;
  if (reason === 'previous') {
    return missing(`the ledger key signed version ${version} of the configuration, and what it follows is not in the log`, { expected: configuration.hash, found: previous });
  }
  return missing(`the ledger key signed version ${version} of the configuration, and the log before it ends with version ${configuration.version}`, {
    expected: `at most version ${configuration.version + 1n}`, found: `version ${version}`,
  });
}
