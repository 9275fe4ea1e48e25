/** What one configuration changes of another, for people and for programs. */
import type { ConfigurationBody, VerifierKey, VoidRange } from '@plait/core';
import { printable } from '../output.ts';
import { INDEX_MAX } from './reconfigure-plan.ts';

type Listed = 'checkpoint-key' | 'coordinator-key' | 'worker-key' | 'source';
type Setting = 'rules' | 'on-loss' | 'partitions-max' | 'pending-max';

/** One thing that a configuration changes. */
export type Change =
  | { readonly change: 'added' | 'removed'; readonly what: Listed; readonly value: string }
  | { readonly change: 'set'; readonly what: Setting; readonly from?: string; readonly to: string }
  | { readonly change: 'restarted'; readonly topic: string; readonly partition: number; readonly generation: string; readonly offset: string }
  | {
      readonly change: 'voided'; readonly topic: string; readonly partition: number; readonly generation: string;
      readonly firstIndex: string; readonly nextIndex: string;
    };

/** All that `next` changes of `old`, or, without one, says as the first configuration; in the order of a configuration's lines. */
export function changesOf(old: ConfigurationBody | undefined, next: ConfigurationBody): readonly Change[] {
  return [
    ...setting('rules', old?.rules, next.rules),
    ...setting('on-loss', old?.onLoss, next.onLoss),
    ...setting('partitions-max', old?.partitionsMax, next.partitionsMax),
    ...setting('pending-max', old?.pendingMax, next.pendingMax),
    ...listed('checkpoint-key', vkeys(old?.checkpointKeys), vkeys(next.checkpointKeys)),
    ...listed('coordinator-key', vkeys(old?.coordinatorKeys), vkeys(next.coordinatorKeys)),
    ...listed('worker-key', vkeys(old?.workerKeys), vkeys(next.workerKeys)),
    ...listed('source', old?.sources ?? [], next.sources),
    ...next.starts.map(({ topic, partition, generation, offset }): Change =>
      ({ change: 'restarted', topic, partition, generation: String(generation), offset: String(offset) })),
    ...freshVoids(old?.voids ?? [], next.voids).map(({ topic, partition, generation, firstIndex, nextIndex }): Change =>
      ({ change: 'voided', topic, partition, generation: String(generation), firstIndex: String(firstIndex), nextIndex: String(nextIndex) })),
  ];
}

function setting(what: Setting, from: number | string | undefined, to: number | string): readonly Change[] {
  if (from === to) return [];
  return [{ change: 'set', what, ...(from === undefined ? {} : { from: String(from) }), to: String(to) }];
}

function vkeys(keys: readonly VerifierKey[] = []): readonly string[] {
  return keys.map(({ vkey }) => vkey);
}

function listed(what: Listed, old: readonly string[], next: readonly string[]): readonly Change[] {
  return [
    ...old.filter((value) => !next.includes(value)).map((value): Change => ({ change: 'removed', what, value })),
    ...next.filter((value) => !old.includes(value)).map((value): Change => ({ change: 'added', what, value })),
  ];
}

function freshVoids(old: readonly VoidRange[], next: readonly VoidRange[]): readonly VoidRange[] {
  const known = new Set(old.map(voidName));
  return next.filter((range) => !known.has(voidName(range)));
}

function voidName({ topic, generation, partition, firstIndex, nextIndex }: VoidRange): string {
  return [topic, generation, partition, firstIndex, nextIndex].join(' ');
}

/** One line for people. Names of keys may hold more than terminals should get. */
export function changeText(change: Change): string {
  switch (change.change) {
    case 'added':
      return `+ ${change.what} ${printable(change.value)}`;
    case 'removed':
      return `- ${change.what} ${printable(change.value)}`;
    case 'set':
      return `  ${change.what} ${change.from === undefined ? '' : `${change.from} → `}${change.to}`;
    case 'restarted':
      return `  ${change.topic}/${change.partition} begins generation ${change.generation} at offset ${change.offset}`;
    default:
      return `  ${change.topic}/${change.partition} void in generation ${change.generation}: ${indexesText(change)}`;
  }
}

function indexesText({ firstIndex, nextIndex }: { firstIndex: string; nextIndex: string }): string {
  return nextIndex === String(INDEX_MAX) ? `all indexes from ${firstIndex} on` : `indexes ${firstIndex} … ${nextIndex}`;
}
