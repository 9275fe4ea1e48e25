/** The fold takes any bytes: it ignores them, for a reason, and is as it was; or they count. It stops for nothing but rules to come. */
import { apply, emptyState, logPosition, utf8Encode, type FoldState } from '@plait/core';
import { describe, expect, inject, it } from 'vitest';
import { fc } from './fast-check.ts';
import { anyBytes, holds, hostileBytes, hostileTexts, taken } from './hostile.ts';
import { sampleMessages, sampleStates, stateText } from './samples.ts';

/** Signatures are some twenty times slower by point arithmetic. */
const runs = inject('platform') === 'node' ? 2_000 : 100;
const texts = sampleMessages(40).map(({ text }) => text);
const hostile = fc.oneof({ weight: 4, arbitrary: hostileTexts(texts).map(utf8Encode) }, { weight: 4, arbitrary: hostileBytes(texts.map(utf8Encode)) }, anyBytes);
/** Without its position, the third line behind the ledger id. */
const rest = (state: FoldState): string => (state.kind === 'empty' ? '' : stateText(state).replace(/^position .*$/m, ''));

describe('hostile bytes', () => {
  it('at the beginning of a log leave it empty, or are its genesis', () => {
    const [state] = sampleStates();
    if (state === undefined) throw new Error('no state');
    const empty = emptyState({ origin: state.origin, ledgerKey: state.ledgerKey });
    holds(hostile, (bytes) => {
      const applied = taken(() => apply(empty, logPosition(0n), bytes), ['config']);
      if (applied !== undefined) expect(applied.state.kind).toBe(applied.outcome.kind === 'genesis' ? 'ledger' : 'empty');
    }, runs);
  });

  it('in a ledger change nothing of it that counts, unless they count', () => {
    const states = sampleStates();
    let ignored = 0;
    holds(fc.tuple(fc.nat({ max: states.length - 1 }), hostile), ([which, bytes]) => {
      const state = states[which] as (typeof states)[number];
      const applied = taken(() => apply(state, logPosition(state.position + 1n), bytes), ['config']);
      if (applied?.outcome.kind !== 'ignored') return;
      ignored += 1;
      expect(applied.outcome.reason).not.toBe('');
      expect(rest(applied.state)).toBe(rest(state));
    }, runs);
    expect(ignored).toBeGreaterThan(runs / 2);
  });
});
