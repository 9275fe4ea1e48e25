/** Lines with leaves, as a keeper gives them, of a ledger from a seed. */
import {
  chainStart, encodePayload, generation, hashToText, height, index, LEAF_BYTES, logPosition, messageHash, minimalPayload, offset, SegmentHasher, segmentHash, seq,
  utf8Encode, writeLeaf, type Generation, type Hash, type Offset, type RecordSegment, type Segment,
} from '@plait/core';
import type { LineToKeep, Pinned } from '@plait/roles';
import { Prng } from '@plait/testkit';
import { ledgerKey, ORIGIN } from '../vectors/histories/builder.ts';

/** The ledger they are of. */
export const owner: Pinned = { origin: ORIGIN, ledgerKey: ledgerKey.verifier };

/** Time of block 0, and how much later each is than the one before it, in ms. */
export const FIRST_TIME_MS = 1_700_000_000_000;
export const BLOCK_MS = 1_000;

interface Chain {
  readonly topic: string;
  readonly partition: number;
  generation: Generation;
  nextIndex: bigint;
  nextOffset: Offset;
  head: Hash;
}

/** Segment of `count` records at rising offsets, some of them with gaps, and its leaves. */
function recordSegment(chain: Chain, count: number, random: Prng): { segment: RecordSegment; leaves: Uint8Array } {
  const hasher = new SegmentHasher();
  const leaves = new Uint8Array(count * LEAF_BYTES);
  let next: bigint = chain.nextOffset;
  for (let i = 0; i < count; i += 1) {
    if (random.chance(0.2)) next += 1n;
    const payload = minimalPayload(encodePayload({ key: null, value: utf8Encode(`${chain.topic} ${next}`), headers: [] }));
    hasher.add(next, BigInt(FIRST_TIME_MS) + next, payload);
    writeLeaf({ out: leaves, at: i * LEAF_BYTES, offset: next, timestamp: BigInt(FIRST_TIME_MS) + next, payload });
    next += 1n;
  }
  const { topic, partition, nextIndex: firstIndex, nextOffset: firstOffset, head: previous } = chain;
  const nextOffset = offset(count === 0 ? next + 1n : next);
  const segment: RecordSegment = {
    kind: 'segment', topic, partition, generation: chain.generation, firstIndex: index(firstIndex), nextIndex: index(firstIndex + BigInt(count)),
    firstOffset, nextOffset, root: hashToText(hasher.root()), previous,
  };
  return { segment, leaves };
}

function extend(chain: Chain, { nextIndex, nextOffset }: Segment, segment: Segment): void {
  Object.assign(chain, { nextIndex, nextOffset, head: segmentHash(segment) });
}

/** A record segment, sometimes an empty one, or one that is void or gone, or a loss. */
function nextSegment(chain: Chain, random: Prng): Pick<LineToKeep, 'kind' | 'leaves'> & { segment: Segment } {
  const { segment, leaves } = recordSegment(chain, random.chance(0.15) ? 0 : 1 + random.int(6), random);
  const what = random.int(20);
  if (what === 0) {
    const { root: _, ...range } = segment;
    return { kind: 'loss', segment: { ...range, kind: 'loss', nextIndex: index(range.firstIndex + 1n) } };
  }
  if (what === 1 || what === 2) return { kind: what === 1 ? 'void' : 'gone', segment };
  return { kind: 'records', segment, ...(leaves.length === 0 ? {} : { leaves }) };
}

/** The lines of so many blocks, some of which have none, over four partitions that begin anew now and then. */
export function linesOf(seed: number, blocks: number): LineToKeep[] {
  const random = new Prng(seed);
  const chains = ['orders/0', 'orders/1', 'payments/0', 'payments/7'].map((name): Chain => {
    const [topic = '', partition] = name.split('/');
    return { topic, partition: Number(partition), generation: generation(0n), nextIndex: 0n, nextOffset: offset(0n), head: messageHash(name) };
  });
  const lines: LineToKeep[] = [];
  let nextSeq = 0n;
  for (let at = 0n; at < BigInt(blocks); at += 1n) {
    const header = messageHash(`block ${at}`);
    const block = { height: height(at), header, position: logPosition(at * 3n), timeMs: BigInt(FIRST_TIME_MS) + at * BigInt(BLOCK_MS) };
    const count = random.int(5);
    for (let number = 0; number < count; number += 1) {
      const chain = random.pick(chains);
      if (random.chance(0.05)) restart(chain);
      const { segment, ...rest } = nextSegment(chain, random);
      extend(chain, segment, segment);
      lines.push({ ...rest, number, block, line: { firstSeq: seq(nextSeq), segment } });
      nextSeq += segment.nextIndex - segment.firstIndex;
    }
  }
  return lines;
}

function restart(chain: Chain): void {
  const { topic, partition } = chain;
  const next = generation(chain.generation + 1n);
  const head = chainStart({ ledgerId: messageHash('ledger'), topic, partition, generation: next, offset: offset(0n) });
  Object.assign(chain, { generation: next, nextIndex: 0n, nextOffset: offset(0n), head });
}
