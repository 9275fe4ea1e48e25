/** What a verification says: sentences of what was checked and what was not, and what to do next. */
import { chainOf, height, index, type Hash, type LedgerState } from '@plait/core';
import type { AuditOutcome, Finding } from '@plait/roles';
import type { VerifyFinding, VerifyOptions, VerifyReport } from './verify-types.ts';

/** The report of an audit's outcome. Pure. */
export function reportOf(outcome: AuditOutcome, { origin }: { readonly origin: string }, options: VerifyOptions): VerifyReport {
  const { verdict, state, range, counts, ignored, checkpoint, consistentWith, finding } = outcome;
  return {
    schemaVersion: 1, verdict, origin, ledgerId: state?.ledgerId satisfies Hash | undefined, range, height: state?.height ?? height(0n), counts, ignored,
    ...(checkpoint === undefined ? {} : { checkpoint }), ...(state === undefined ? {} : { checkpointKeys: state.configuration.body.checkpointKeys }),
    consistentWith, checked: checkedOf(outcome), notChecked: notCheckedOf(outcome, options),
    ...(finding === undefined ? {} : { finding: findingOf(finding, outcome) }),
  };
}

function findingOf(finding: Finding, { lastGood, state }: AuditOutcome): VerifyFinding {
  return { ...finding, ...(lastGood === undefined ? {} : { lastGoodCheckpoint: lastGood }), next: nextOf(finding, state) };
}

/** A command line that ends it, or that shows more where that is for people to decide. */
function nextOf(finding: Finding, state: LedgerState | undefined): string {
  const { kind, firstSeq, evidence = [] } = finding;
  switch (kind) {
    case 'payload-changed':
    case 'timestamp-changed':
    case 'record-missing':
    case 'record-added':
    case 'records-differ':
    case 'beyond-end':
    case 'false-loss':
      return `plait reconfigure ${voidOf(finding, state)}`;
    case 'deleted':
    case 'expired-or-deleted':
      return `plait locate --seq ${firstSeq}`;
    case 'checkpoint-contradicts':
      return evidence.length > 1 ? 'plait consistency OLD NEW' : 'plait history';
    default:
      return 'plait recover --help';
  }
}

/**
 * What declares the segment void, whole, or else it does not count (FORMAT, section 8). Where the generation that goes on holds
 * less than was numbered, its rest is void, and another one begins there, so that what there is is hashed anew.
 */
function voidOf({ kind, topic = '', partition = 0, generation, firstIndex = index(0n), nextIndex = index(0n) }: Finding, state: LedgerState | undefined): string {
  const place = `${topic}/${partition}`;
  const goesOn = state !== undefined && chainOf(state, { topic, partition }).end.generation === generation;
  // A range of no indexes is none, and a wider one might cut the next segment.
  const isOpen = (kind === 'beyond-end' && goesOn) || nextIndex === firstIndex;
  const range = `--void ${place}:${firstIndex}-${isOpen ? '' : nextIndex}@${generation}`;
  return isOpen && goesOn ? `${range} --restart ${place}` : range;
}

function checkedOf({ state, counts, range, consistentWith, checkpoint, isWhole }: AuditOutcome): readonly string[] {
  if (state === undefined) return [];
  const until = isWhole ? '' : ', up to the bad place';
  return [
    `${counts.messages} messages of the log${until}: every signature, hash and number of ${counts.configurations} configurations, ${counts.claims} claims, ` +
      `${counts.reports} reports, ${counts.blocks} blocks and ${counts.checkpoints} checkpoints`,
    `${counts.records} records of ${counts.segments} segments${until}, hashed again from what is stored now (from seq ${range.firstSeq} up to below ${range.nextSeq})`,
    ...(counts.settled === 0n ? [] : [`${counts.settled} checkpoints that contradict the blocks, by keys that were replaced since: their successors signed for the blocks`]),
    ...(counts.losses === 0n ? [] : [`${counts.losses} losses: their ranges cannot be read any more, as was signed`]),
    ...(checkpoint === undefined ? [] : [`the log's checkpoint of size ${checkpoint.checkpoint.size} covers the blocks as they are`]),
    ...consistentWith.map(({ name, size }) => `the tree extends the checkpoint of size ${size} that was kept outside of the log (${name})`),
  ];
}

function notCheckedOf(outcome: AuditOutcome, { fromSeq = 0n, toSeq, resumeAt = 0n, goneBefore }: VerifyOptions): readonly string[] {
  const { verdict, state, counts, range, consistentWith, isRemembered, isWhole } = outcome;
  const isGood = verdict === 'verified' || verdict === 'undecided';
  // The empty tree is extended by all others.
  const isKnown = isRemembered || consistentWith.some(({ size }) => size > 0n);
  return [
    ...(isWhole ? [] : ['what lies behind the bad place']),
    ...(fromSeq > 0n ? [`the records below seq ${fromSeq}`] : []),
    ...(resumeAt > fromSeq ? [`the records of seqs ${fromSeq} … ${resumeAt}: an earlier run compared them${goneBefore === undefined ? '' : ', as far as they were there'}`] : []),
    ...(toSeq !== undefined && state !== undefined && toSeq < state.nextSeq ? [`the records from seq ${range.nextSeq} on`] : []),
    ...(counts.voids === 0n ? [] : [`${counts.voids} records that configurations declared void`]),
    ...(counts.gone === 0n ? [] : [`${counts.gone} records that cannot be read any more: nobody can tell what they were`]),
    ...(isGood && isWhole && state !== undefined ? behindItOf(state, outcome) : []),
    ...(isWhole && !isGood ? ['what is remembered or was kept of the log, and does not stand in this one: by itself this one is flawless'] : []),
    ...(isWhole && isGood && !isKnown ? ['that the log is the newest one: nothing newer is remembered, so a rollback cannot be excluded'] : []),
    ...(isWhole && isGood && isKnown ? ['that the log never held more, behind what was known of it before'] : []),
    'what was changed before it was hashed, and that the keys were in the right hands',
  ];
}

/** What stands behind the newest block, and behind the newest checkpoint. */
function behindItOf({ pending, height: blocks }: LedgerState, { checkpoint }: AuditOutcome): readonly string[] {
  const covered = checkpoint?.checkpoint.size ?? 0n;
  return [
    `records that no block numbers yet: those of ${pending} reported segments, and all that no worker has reported`,
    ...(covered < blocks ? [`that anybody signed for the newest ${blocks - covered} blocks: the log holds no checkpoint that covers them`] : []),
  ];
}
