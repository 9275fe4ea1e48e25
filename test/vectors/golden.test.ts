import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { replay, type History } from './histories/format.ts';
import { ignored, ofCheckpoints, ofSegments } from './histories/reasons.ts';

const folder = new URL('./histories/', import.meta.url);
const histories = new Map(
  readdirSync(folder).filter((name) => name.endsWith('.json')).map((name) => [
    name, JSON.parse(readFileSync(new URL(name, folder), 'utf8')) as History,
  ]),
);
const steps = [...histories.values()].flatMap(({ messages }) => messages);

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
