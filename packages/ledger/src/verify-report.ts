/** What a verification says: sentences of what was checked and what was not, and what to do next. */
import { height, type Hash } from '@plait/core';
import type { AuditOutcome, Finding } from '@plait/roles';
import type { VerifyFinding, VerifyOptions, VerifyReport } from './verify-types.ts';

/** The report of an audit's outcome. Pure. */
export function reportOf(outcome: AuditOutcome, { origin }: { readonly origin: string }, options: VerifyOptions): VerifyReport {
  const { verdict, state, range, counts, ignored, checkpoint, consistentWith, finding } = outcome;
  return {
    schemaVersion: 1, verdict, origin, ledgerId: state?.ledgerId satisfies Hash | undefined, range, height: state?.height ?? height(0n), counts, ignored,
    ...(checkpoint === undefined ? {} : { checkpoint }), consistentWith, checked: checkedOf(outcome), notChecked: notCheckedOf(outcome, options),
    ...(finding === undefined ? {} : { finding: findingOf(finding, outcome) }),
  };
}

function findingOf(finding: Finding, { checkpoint }: AuditOutcome): VerifyFinding {
  return { ...finding, ...(checkpoint === undefined ? {} : { lastGoodCheckpoint: checkpoint }), next: nextOf(finding) };
}

/** A command line that shows more, or that ends it. */
function nextOf({ kind, topic, partition, generation, index, offset, firstOffset, firstSeq, nextSeq }: Finding): string {
  switch (kind) {
    case 'payload-changed':
    case 'timestamp-changed':
    case 'record-missing':
    case 'record-added':
      return index === undefined ? 'plait history' : `plait reconfigure --void ${topic}/${partition}:${index}-${index + 1n}@${generation}`;
    case 'records-differ':
      return `plait verify --from-seq ${firstSeq} --to-seq ${nextSeq} --leaves FOLDER`;
    case 'beyond-end':
      return `plait reconfigure --restart ${topic}/${partition}@${firstOffset}`;
    case 'false-loss':
    case 'deleted':
    case 'expired-or-deleted':
      return `plait locate ${topic}/${partition}@${offset ?? firstOffset}`;
    case 'checkpoint-contradicts':
      return 'plait consistency OLD NEW';
    default:
      return 'plait recover --help';
  }
}

function checkedOf({ state, counts, range, consistentWith, checkpoint, finding }: AuditOutcome): readonly string[] {
  if (state === undefined) return [];
  const until = finding === undefined || isGone(finding) ? '' : ', up to the bad place';
  return [
    `${counts.messages} messages of the log${until}: every signature, hash and number of ${counts.configurations} configurations, ${counts.claims} claims, ` +
      `${counts.reports} reports, ${counts.blocks} blocks and ${counts.checkpoints} checkpoints`,
    `${counts.records} records of ${counts.segments} segments${until}, hashed again from what the partitions hold now (seqs ${range.firstSeq} … ${range.nextSeq})`,
    ...(counts.settled === 0n ? [] : [`${counts.settled} checkpoints that contradict the blocks, by keys that were replaced since: their successors signed for the blocks`]),
    ...(counts.losses === 0n ? [] : [`${counts.losses} losses: their ranges cannot be read any more, as was signed`]),
    ...(checkpoint === undefined ? [] : [`the log's checkpoint of size ${checkpoint.checkpoint.size} covers the blocks as they are`]),
    ...consistentWith.map(({ name, size }) => `the tree extends the checkpoint of size ${size} that was kept outside of the log (${name})`),
  ];
}

function notCheckedOf({ state, counts, range, consistentWith, isRemembered, finding }: AuditOutcome, { fromSeq = 0n, toSeq, resumeAt = 0n }: VerifyOptions): readonly string[] {
  const isWhole = finding === undefined || isGone(finding);
  const isNewest = isRemembered || consistentWith.length > 0;
  return [
    ...(isWhole ? [] : ['what lies behind the bad place']),
    ...(fromSeq > 0n ? [`the records below seq ${fromSeq}`] : []),
    ...(resumeAt > fromSeq ? [`the records of seqs ${fromSeq} … ${resumeAt}: an earlier run compared them`] : []),
    ...(toSeq !== undefined && state !== undefined && toSeq < state.nextSeq ? [`the records from seq ${range.nextSeq} on`] : []),
    ...(counts.voids === 0n ? [] : [`${counts.voids} records that configurations declared void`]),
    ...(counts.gone === 0n ? [] : [`${counts.gone} records that cannot be read any more: nobody can tell what they were`]),
    ...(isWhole && !isNewest ? ['that the log is the newest one: nothing newer is remembered, so a rollback cannot be excluded'] : []),
    'what was changed before it was hashed, and that the keys were in the right hands',
  ];
}

function isGone({ kind }: Finding): boolean {
  return kind === 'deleted' || kind === 'expired-or-deleted';
}
