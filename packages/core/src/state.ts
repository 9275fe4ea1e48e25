/**
 * The state of the fold: all that decides what counts next. Values are never changed in place.
 */
import { chainStart, segmentCount, segmentHash, type Segment } from './segment.ts';
import type { Configuration, Genesis } from './configuration.ts';
import type { CompactRange } from './compact.ts';
import type { VerifierKey } from './keys.ts';
import { generation, index, offset } from './types.ts';
import type { Epoch, Generation, Hash, Height, Index, LogPosition, Offset, Seq, TopicPartition } from './types.ts';

/** Where a partition's chain ends: the next segment must begin exactly here. */
export interface ChainEnd {
  readonly generation: Generation;
  readonly nextIndex: Index;
  readonly nextOffset: Offset;
  readonly head: Hash;
  /** The newest segment of this generation that holds records; kept so that a worker can compare it with the topic. */
  readonly last?: Segment;
}

/** An accepted segment that no block has numbered yet. */
export interface PendingSegment {
  /** Of the report it came in. */
  readonly position: LogPosition;
  readonly segment: Segment;
  /** The chain's end before it. */
  readonly before: ChainEnd;
}

/** A partition's segments, as far as the fold needs them: the end, and what waits for a block. */
export interface Chain {
  readonly end: ChainEnd;
  /** In log order. */
  readonly pending: readonly PendingSegment[];
}

/** Chains by topic, then partition number; absent means the implicit start: generation 0, offset 0. */
export type Chains = ReadonlyMap<string, readonly (Chain | undefined)[]>;

/** The configuration in force. */
export interface ConfigurationInForce {
  readonly body: Genesis | Configuration;
  readonly version: bigint;
  readonly hash: Hash;
  /** The whole signed note, so that a snapshot of the state carries the ledger key's signature. */
  readonly note: string;
}

/** Who leads: the accepted claim of the current epoch. */
export interface Leader {
  readonly claim: Hash;
  readonly key: VerifierKey;
}

/** The state of a ledger, from its genesis on. */
export interface LedgerState {
  readonly kind: 'ledger';
  readonly origin: string;
  readonly ledgerKey: VerifierKey;
  readonly ledgerId: Hash;
  /** Of the last message folded. */
  readonly position: LogPosition;
  readonly configuration: ConfigurationInForce;
  readonly epoch: Epoch;
  /** Hash of the claim or configuration that set the epoch; the next claim must name it. */
  readonly follows: Hash;
  readonly leader: Leader | undefined;
  /** Position of the last accepted configuration, claim or block: since then only chains have moved. */
  readonly tip: LogPosition;
  /** Number of accepted blocks. */
  readonly height: Height;
  /** Number of sequenced records. */
  readonly nextSeq: Seq;
  /** P of the newest block; position of genesis before the first. */
  readonly cut: LogPosition;
  /** Time of the newest block, ms; 0 before the first. */
  readonly timeMs: bigint;
  /** The tree of accepted headers. */
  readonly history: CompactRange;
  readonly chains: Chains;
  /** Number of pending segments of all chains. */
  readonly pending: number;
}

/** Before genesis: what everybody is given. */
export interface EmptyState {
  readonly kind: 'empty';
  readonly origin: string;
  readonly ledgerKey: VerifierKey;
}

/** What the fold goes on from. */
export type FoldState = EmptyState | LedgerState;

/** The state before the first message. Origin and ledger key are pinned: no message can change them. */
export function emptyState(pinned: { origin: string; ledgerKey: VerifierKey }): EmptyState {
  return { kind: 'empty', ...pinned };
}

/** Where a chain begins. */
export function startOfChain(
  start: TopicPartition & { ledgerId: Hash; generation: Generation; offset: Offset },
): ChainEnd {
  return { generation: start.generation, nextIndex: index(0n), nextOffset: start.offset, head: chainStart(start) };
}

/** The partition's chain; the implicit one (generation 0, offset 0) if nothing was said of it. */
export function chainOf(state: LedgerState, { topic, partition }: TopicPartition): Chain {
  return state.chains.get(topic)?.[partition] ?? implicitChain(state, { topic, partition });
}

function implicitChain(state: LedgerState, partition: TopicPartition): Chain {
  const start = { ...partition, ledgerId: state.ledgerId, generation: generation(0n), offset: offset(0n) };
  return { end: startOfChain(start), pending: [] };
}

/** Whether a chain is what {@link chainOf} gives for a partition nothing was said of. */
export function isImplicit(state: LedgerState, partition: TopicPartition, chain: Chain): boolean {
  return chain.pending.length === 0 && chain.end.head === implicitChain(state, partition).end.head;
}

/** A chain's end after one more segment of it. */
export function extendEnd(end: ChainEnd, segment: Segment): ChainEnd {
  const holdsRecords = segment.kind === 'segment' && segmentCount(segment) > 0n;
  const last = holdsRecords ? segment : end.last;
  return {
    generation: end.generation,
    nextIndex: segment.nextIndex,
    nextOffset: segment.nextOffset,
    head: segmentHash(segment),
    ...(last === undefined ? {} : { last }),
  };
}

/** The chain's end as a block sees it that takes nothing that is still pending: before the oldest pending segment. */
export function sequencedEnd(chain: Chain): ChainEnd {
  return chain.pending[0]?.before ?? chain.end;
}

/** Chains with one of them replaced. O(partitions of its topic). */
export function withChain(chains: Chains, place: TopicPartition, chain: Chain): Chains {
  return withChains(chains, [{ ...place, chain }]);
}

/** Chains with several of them replaced, by the last one given for each. O(partitions of their topics). */
export function withChains(chains: Chains, changed: readonly (TopicPartition & { readonly chain: Chain })[]): Chains {
  const copies = new Map<string, (Chain | undefined)[]>();
  for (const { topic, partition, chain } of changed) {
    const partitions = copies.get(topic) ?? [...(chains.get(topic) ?? [])];
    while (partitions.length < partition) partitions.push(undefined);
    partitions[partition] = chain;
    copies.set(topic, partitions);
  }
  return new Map([...chains, ...copies]);
}

/** Every chain that something was said of, in canonical order. */
export function* eachChain(chains: Chains): Generator<TopicPartition & { chain: Chain }> {
  for (const topic of [...chains.keys()].toSorted()) {
    for (const [partition, chain] of (chains.get(topic) ?? []).entries()) {
      if (chain !== undefined) yield { topic, partition, chain };
    }
  }
}

/** Chains with `change` applied to each one; those for which it gives undefined are left out. */
export function mapChains(
  chains: Chains, change: (chain: Chain, partition: TopicPartition) => Chain | undefined,
): Chains {
  return new Map(
    [...chains].map(([topic, partitions]) => [
      topic,
      partitions.map((chain, partition) => chain && change(chain, { topic, partition })),
    ]),
  );
}
