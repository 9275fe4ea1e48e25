/** `plait init --succeeds`: where a ledger goes on that lost its log and has no copy of it, and how the new one names it. */
import {
  chainOf, formatBlock, generation, isAmong, messageHash, offset, partitionName, PlaitError, sequencedEnd,
  type Hash, type LedgerState, type SignerKey, type Start,
} from '@plait/core';
import { topicOffsets, type KafkaOptions } from '@plait/kafka';
import { Follower } from '@plait/roles';
import { loadLedger } from '../keys.ts';
import type { Log } from '../log.ts';
import { gather } from './recover-gather.ts';
import { pinnedOf } from '../running/wiring.ts';

/** The ledger that another one goes on from, up to the last common point. */
export interface Predecessor {
  readonly origin: string;
  readonly ledgerId: Hash;
  /** Accepted blocks up to there. */
  readonly height: bigint;
  /** Message hash of the last of them. */
  readonly header: Hash | undefined;
  /** Seqs that they gave out: those are the old ledger's, and the new one begins with seq 0. */
  readonly nextSeq: bigint;
  /** Position of the last message that is the same for everybody who remembers. */
  readonly position: bigint;
}

/** What a successor takes over. */
export interface Succession {
  readonly predecessor: Predecessor;
  readonly state: LedgerState;
  /** Where its partitions start: where the old chains ended, as far as a block numbered them. */
  readonly starts: readonly Start[];
}

/** The note that names the predecessor, in the new log right behind genesis. Every fold ignores it: its kind is unknown. */
export function formatPredecessor({ origin, ledgerId, predecessor }: { origin: string; ledgerId: Hash; predecessor: Predecessor }): string {
  const { height, header, nextSeq, position } = predecessor;
  return `plait.predecessor/v1\n${origin}\n${ledgerId}\npredecessor ${predecessor.origin} ${predecessor.ledgerId}\n` +
    `position ${position}\nheight ${height}\nheader ${header ?? 'none'}\nnext-seq ${nextSeq}\n`;
}

/**
 * What is left of the ledger in `folder`: its log as far as it agrees with all that state files and copies of that folder
 * know. Throws `config` when nothing is, and as `plait recover`.
 */
export async function successionOf(folder: string, { kafka, log }: { kafka: KafkaOptions; log: Log }): Promise<Succession> {
  const ledger = await loadLedger(folder);
  const { recovered } = await gather(ledger.log, { ledger, kafka, log }, { ledger: folder });
  let header: Hash | undefined;
  let position = -1n;
  const reader = await recovered.openBelow(recovered.sureEnd);
  const follower = new Follower({ ...pinnedOf(ledger), log: reader }, (folded) => {
    position = folded.position;
    if (folded.outcome.kind === 'block') header = messageHash(formatBlock(folded.outcome.header));
  });
  while (!(await follower.readToEnd())) continue;
  const { state } = follower;
  if (state === undefined) throw new PlaitError('config', `--succeeds: no genesis of ${ledger.origin} is left in ${ledger.log}: make a new ledger without --succeeds`);
  const { origin, ledgerId, height, nextSeq } = state;
  const starts = await startsAt(state, { kafka, log });
  return { predecessor: { origin, ledgerId, height, header, nextSeq, position }, state, starts };
}

/** Each partition starts where the old chain ended, or at the nearest offset that the partition holds. */
async function startsAt(state: LedgerState, { kafka, log }: { kafka: KafkaOptions; log: Log }): Promise<readonly Start[]> {
  const starts: Start[] = [];
  for (const topic of state.configuration.body.sources) {
    for (const { partition, logStart, end } of await topicOffsets({ kafka, topic })) {
      const { nextOffset } = sequencedEnd(chainOf(state, { topic, partition }));
      const start = nextOffset < logStart ? logStart : nextOffset > end ? end : nextOffset;
      if (start !== nextOffset) {
        log.warn({ event: 'start-moved' }, `${partitionName({ topic, partition })} was numbered up to offset ${nextOffset} and holds ${logStart} … ${end}: it starts at ${start}`);
      }
      if (start > 0n) starts.push({ topic, partition, generation: generation(0n), offset: offset(start) });
    }
  }
  return starts;
}

/** Throws `config` if a checkpoint of the new ledger could be taken for one of the old: they name origin and key, not the ledger. */
export function requireFresh(origin: string, checkpoint: SignerKey, { state }: Succession): void {
  const { body } = state.configuration;
  if (origin !== state.origin || !isAmong(body.checkpointKeys, checkpoint.verifier)) return;
  throw new PlaitError('config', `--succeeds: the checkpoint key ${checkpoint.verifier.vkey} is the old ledger's, and so is the origin ${origin}: a checkpoint ` +
    'names no ledger id, so one of the two must be new. Give another --origin, or let init make the keys in a new folder');
}
