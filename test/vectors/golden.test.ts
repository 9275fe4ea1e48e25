import { readdirSync, readFileSync } from 'node:fs';
import type { CheckpointVerdict, IgnoreReason, MessageKind, SegmentReason } from '@plait/core';
import { describe, expect, it } from 'vitest';
import { replay, type History } from './histories/format.ts';

const folder = new URL('./histories/', import.meta.url);
const histories = new Map(
  readdirSync(folder).filter((name) => name.endsWith('.json')).map((name) => [
    name, JSON.parse(readFileSync(new URL(name, folder), 'utf8')) as History,
  ]),
);
const steps = [...histories.values()].flatMap(({ messages }) => messages);

/** For every reason, the kinds of messages that must be seen ignored for it. A new reason does not compile without. */
const ignored: Record<IgnoreReason, readonly (MessageKind | 'unknown')[]> = {
  'too-large': ['unknown'],
  malformed: ['genesis', 'configuration', 'claim', 'report', 'block', 'snapshot', 'unknown'],
  'unknown-kind': ['unknown'],
  'other-origin': ['genesis', 'configuration', 'claim', 'report', 'block', 'snapshot', 'checkpoint'],
  'other-ledger': ['configuration', 'claim', 'report', 'block', 'snapshot'],
  'before-genesis': ['configuration', 'claim', 'report', 'snapshot', 'checkpoint'],
  'second-genesis': ['genesis'],
  version: ['configuration'],
  previous: ['configuration'],
  voids: ['configuration'],
  generation: ['configuration'],
  epoch: ['claim'],
  follows: ['claim'],
  'unknown-key': ['configuration', 'claim', 'report', 'block', 'checkpoint'],
  'bad-signature': ['configuration', 'claim', 'report', 'block', 'checkpoint'],
  'report-too-large': ['report'],
  'no-leader': ['block'],
  'other-claim': ['block'],
  'other-configuration': ['block'],
  height: ['block'],
  'first-seq': ['block'],
  cut: ['block'],
  time: ['block'],
  history: ['block'],
  content: ['block'],
  state: ['block'],
};

const ofSegments: Record<SegmentReason | 'accepted', true> = {
  accepted: true, 'unknown-source': true, generation: true, duplicate: true, equivocation: true, 'not-at-end': true,
  range: true, 'too-many-records': true, full: true, 'loss-not-allowed': true,
};

const ofCheckpoints: Record<CheckpointVerdict, true> = { consistent: true, older: true, contradicts: true };

describe('golden histories', () => {
  it('are at least 40, of distinct titles', () => {
    expect(histories.size).toBeGreaterThanOrEqual(40);
    expect(new Set([...histories.values()].map(({ title }) => title)).size).toBe(histories.size);
  });

  it.each([...histories.keys()])('%s', (name) => {
    const history = histories.get(name) as History;
    const frozen = history.messages.map(({ position, outcome, stateHash }) => ({ position, outcome, stateHash }));
    expect(replay(history)).toEqual(frozen);
  });

  it('show every reason of every kind', () => {
    const seen = new Set(steps.map(({ outcome }) => (outcome.kind === 'ignored' ? `${outcome.of}: ${outcome.reason}` : '')));
    const wanted = Object.entries(ignored).flatMap(([reason, kinds]) => kinds.map((kind) => `${kind}: ${reason}`));
    expect(wanted.filter((reason) => !seen.has(reason))).toEqual([]);
    expect([...seen].filter((reason) => reason !== '' && !wanted.includes(reason))).toEqual([]);
  });

  it('show every outcome of a segment, every verdict on a checkpoint, every kind accepted, and stops', () => {
    const outcomes = steps.map(({ outcome }) => outcome);
    const segments = new Set(outcomes.flatMap((outcome) => (outcome.kind === 'report' ? outcome.segments : [])));
    expect([...segments].toSorted()).toEqual(Object.keys(ofSegments).toSorted());
    const verdicts = new Set(outcomes.flatMap((outcome) => (outcome.kind === 'checkpoint' ? [outcome.verdict] : [])));
    expect([...verdicts].toSorted()).toEqual(Object.keys(ofCheckpoints).toSorted());
    const kinds = new Set(outcomes.map(({ kind }) => kind));
    expect([...kinds].toSorted()).toEqual(
      ['block', 'checkpoint', 'claim', 'configuration', 'genesis', 'ignored', 'report', 'snapshot', 'stop'],
    );
  });

});
