/**
 * The state's canonical text: what a header's `state` commits to and snapshots carry. Drawn in docs/FORMAT.md.
 *
 *     plait.state/v1
 *     <origin>
 *     <ledger id>
 *     position … tip … epoch … follows … leader … height … next-seq … cut … time … history …     (a line each)
 *     chain <topic> <partition> <generation> <nextIndex> <nextOffset> <head>     its end before the pending segments
 *     last <segment>                                                             of that end, if it has one
 *     pending <position> <segment>                                               in log order
 *     restart <generation> <nextOffset>                                          where a configuration restarted it
 *     configuration
 *     <the signed note of the configuration in force, to the end>
 *
 * Counters and evidence are no part of it. Two folds of the same messages give the same bytes.
 */
import { hashFromText, hashToText, parseHash, utf8Decode, utf8Encode } from './bytes.ts';
import { isRange } from './compact.ts';
import { invalid, invariant } from './errors.ts';
import { sha256 } from '#sha256';
import { isAmong, parseVerifierKey, type VerifierKey } from './keys.ts';
import { PARTITIONS_MAX } from './limits.ts';
import { messageHash, parseMessage, type Message } from './message.ts';
import { verifyNoteSignature } from './note.ts';
import { unknownRules } from './rules.ts';
import { formatSegment, parseSegment } from './segment.ts';
import {
  eachChain, extendEnd, isImplicit, mapChains, sequencedEnd, startOfChain, withChains,
  type Chain, type ChainEnd, type Chains, type ConfigurationInForce, type Leader, type LedgerState, type PendingSegment,
} from './state.ts';
import { LineReader, parseCount, parseTopic, parseUint63 } from './text.ts';
import * as types from './types.ts';
import type { Hash, LogPosition, TopicPartition } from './types.ts';

const CONFIGURATION = '\nconfiguration\n';

/** The state's canonical bytes. O(partitions and pending segments). */
export function encodeState(state: LedgerState): Uint8Array {
  const { leader, history } = state;
  const lines = [
    'plait.state/v1', state.origin, state.ledgerId,
    `position ${state.position}`,
    `tip ${state.tip}`,
    `epoch ${state.epoch}`,
    `follows ${state.follows}`,
    leader === undefined ? 'leader none' : `leader ${leader.key.vkey}`,
    `height ${state.height}`,
    `next-seq ${state.nextSeq}`,
    `cut ${state.cut}`,
    `time ${state.timeMs}`,
    ['history', ...history.hashes.map(hashToText)].join(' '),
  ];
  for (const { topic, partition, chain } of eachChain(state.chains)) {
    if (!isImplicit(state, { topic, partition }, chain)) lines.push(...chainLines({ topic, partition }, chain));
  }
  return utf8Encode(lines.join('\n') + CONFIGURATION + state.configuration.note);
}

/** SHA-256 of the canonical bytes: what golden histories compare after each message. */
export function stateHash(state: LedgerState): Hash {
  return hashToText(sha256(encodeState(state)));
}

function chainLines({ topic, partition }: TopicPartition, chain: Chain): string[] {
  const first = sequencedEnd(chain);
  const lines = [`chain ${topic} ${partition} ${first.generation} ${first.nextIndex} ${first.nextOffset} ${first.head}`];
  if (first.last !== undefined) lines.push(`last ${formatSegment(first.last)}`);
  let end = first;
  for (const { position, segment, before } of chain.pending) {
    lines.push(...restartLines(end, before), `pending ${position} ${formatSegment(segment)}`);
    end = extendEnd(before, segment);
  }
  return [...lines, ...restartLines(end, chain.end)];
}

function restartLines(from: ChainEnd, to: ChainEnd): string[] {
  return from.head === to.head ? [] : [`restart ${to.generation} ${to.nextOffset}`];
}

/**
 * The state after all messages at positions up to `cut`, told from a later one, with `cut` as its position. `cut` must be
 * at least `state.tip`: since then only chains have moved, by segments that are still pending. Above `state.position` it
 * is that of a log with no message in between: a leader may cut where there is none, and every reader, whatever state
 * it started from, must tell the same.
 */
export function stateAt(state: LedgerState, cut: LogPosition): LedgerState {
  invariant(cut >= state.tip, `state at ${cut} cannot be told from ${state.tip} … ${state.position}`);
  let pending = 0;
  const chains = mapChains(state.chains, (chain) => {
    const before = chain.pending.filter(({ position }) => position <= cut);
    pending += before.length;
    return { end: chain.pending[before.length]?.before ?? chain.end, pending: before };
  });
  return { ...state, position: cut, chains, pending };
}

/**
 * The state of canonical bytes. The configuration's signature is checked against the pinned ledger key; that these bytes
 * are the state of an accepted header is for the caller to check. Throws `invalid`, also if the bytes are not canonical;
 * `config` for rules that this code does not know.
 */
export function decodeState(bytes: Uint8Array, pinned: { origin: string; ledgerKey: VerifierKey }): LedgerState {
  const text = utf8Decode(bytes);
  const split = text.indexOf(CONFIGURATION);
  if (split < 0) throw invalid('state without configuration');
  const configuration = decodeConfiguration(text.slice(split + CONFIGURATION.length), pinned.ledgerKey);
  const state = decodeLines(new LineReader(text.slice(0, split + 1)), configuration, pinned);
  if (utf8Decode(encodeState(state)) !== text) throw invalid('state is not in its canonical form');
  return state;
}

function decodeConfiguration(text: string, ledgerKey: VerifierKey): ConfigurationInForce {
  const message: Message = parseMessage(utf8Encode(text));
  if (!message.signed || !verifyNoteSignature(message.note, ledgerKey)) {
    throw invalid('the configuration in the state is not signed by the ledger key');
  }
  const { body, note } = message;
  if (body.kind === 'unknown-rules') throw unknownRules(body);
  if (body.kind !== 'genesis' && body.kind !== 'configuration') throw invalid(`a ${body.kind} stands where the state's configuration belongs`);
  const version = body.kind === 'genesis' ? 0n : body.version;
  return { body, version, hash: messageHash(note.text), note: text };
}

function decodeLines(
  lines: LineReader, configuration: ConfigurationInForce, pinned: { origin: string; ledgerKey: VerifierKey },
): LedgerState {
  lines.expect('plait.state/v1');
  lines.expect(pinned.origin);
  const ledgerId = parseHash(lines.line());
  const named = configuration.body.kind === 'genesis' ? configuration.hash : configuration.body.ledgerId;
  if (configuration.body.origin !== pinned.origin || named !== ledgerId) {
    throw invalid('the configuration in the state is of another ledger');
  }
  const position = types.logPosition(lines.uint63('position'));
  const tip = types.logPosition(lines.uint63('tip'));
  const epoch = types.epoch(lines.uint63('epoch'));
  const follows = lines.hash('follows');
  const leader = decodeLeader(lines.value('leader'), follows, configuration);
  const height = types.height(lines.uint63('height'));
  const nextSeq = types.seq(lines.uint63('next-seq'));
  const cut = types.logPosition(lines.uint63('cut'));
  const timeMs = lines.uint63('time');
  const [, ...hashes] = lines.line().split(' ');
  const history = { size: height as bigint, hashes: hashes.map((hash) => hashFromText(parseHash(hash))) };
  if (!isRange(history)) throw invalid(`a history of ${height} headers does not have ${hashes.length} hashes`);
  const { chains, pending } = decodeChains(lines, ledgerId);
  lines.end();
  return {
    kind: 'ledger', ...pinned, ledgerId, position, configuration, epoch, follows, leader, tip, height, nextSeq, cut,
    timeMs, history, chains, pending,
  };
}

function decodeLeader(text: string, follows: Hash, { body }: ConfigurationInForce): Leader | undefined {
  if (text === 'none') return undefined;
  const key = parseVerifierKey(text);
  if (!isAmong(body.coordinatorKeys, key)) throw invalid('the leader has no key in force');
  return { claim: follows, key };
}

function decodeChains(lines: LineReader, ledgerId: Hash): { chains: Chains; pending: number } {
  const found: (TopicPartition & { chain: Chain })[] = [];
  let pending = 0;
  while (lines.at('chain')) {
    const [topic = '', partition = '', generation = '', nextIndex = '', nextOffset = '', head = ''] = lines.values('chain', 6);
    const place = { topic: parseTopic(topic), partition: parseCount(partition, PARTITIONS_MAX - 1) };
    const end: ChainEnd = {
      generation: types.generation(parseUint63(generation)),
      nextIndex: types.index(parseUint63(nextIndex)),
      nextOffset: types.offset(parseUint63(nextOffset)),
      head: parseHash(head),
    };
    const first = lines.at('last') ? { ...end, last: parseSegment(lines.line().slice('last '.length)) } : end;
    const chain = decodePending(lines, first, { ...place, ledgerId });
    found.push({ ...place, chain });
    pending += chain.pending.length;
  }
  return { chains: withChains(new Map(), found), pending };
}

function decodePending(lines: LineReader, first: ChainEnd, place: TopicPartition & { ledgerId: Hash }): Chain {
  const pending: PendingSegment[] = [];
  let end = first;
  for (;;) {
    if (lines.at('restart')) {
      const [generation = '', offset = ''] = lines.values('restart', 2);
      end = startOfChain({
        ...place, generation: types.generation(parseUint63(generation)), offset: types.offset(parseUint63(offset)),
      });
    } else if (lines.at('pending')) {
      const [, position = '', ...segment] = lines.line().split(' ');
      const before = end;
      const parsed = parseSegment(segment.join(' '));
      pending.push({ position: types.logPosition(parseUint63(position)), segment: parsed, before });
      end = extendEnd(before, parsed);
    } else {
      return { end, pending };
    }
  }
}
