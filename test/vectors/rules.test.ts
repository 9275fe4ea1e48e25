/** Versions of the rules: which are known, and what meets one that is not. */
import { apply, decodeState, emptyState, encodeState, isPlaitError, logPosition, RULES_VERSION, rulesOf, signNote, utf8Decode, utf8Encode } from '@plait/core';
import { describe, expect, it } from 'vitest';
import { ledgerKey, Log, ORIGIN, OTHER } from './histories/builder.ts';

const pinned = { origin: ORIGIN, ledgerKey: ledgerKey.verifier };

/** The error that `run` throws. */
function thrown(run: () => unknown): unknown {
  try {
    run();
  } catch (error) {
    return error;
  }
  return undefined;
}

function ledgerUnder(rules: number): Log {
  return new Log('', '', RULES_VERSION).genesis({ rules });
}

describe('versions of the rules', () => {
  it('are known from 1 to the newest, and by the fold unless it is told otherwise', () => {
    for (let rules = 1; rules <= RULES_VERSION; rules += 1) {
      const log = ledgerUnder(rules);
      expect(rulesOf(log.state)).toEqual({ emptyRoot: rules >= 2 });
      expect(apply(emptyState(pinned), logPosition(0n), utf8Encode(log.state.configuration.note)).outcome.kind).toBe('genesis');
    }
  });

  it('beyond the newest stop the fold with a sentence that names both', () => {
    const log = ledgerUnder(RULES_VERSION);
    const newer = log.configurationText().replace(/^rules \d+$/m, `rules ${RULES_VERSION + 1}`);
    const error = thrown(() => apply(log.state, logPosition(1n), signNote(newer, ledgerKey)));
    expect(isPlaitError(error, 'config')).toBe(true);
    expect(String(error)).toContain(`rules version ${RULES_VERSION + 1} from here on, and this program knows versions up to ${RULES_VERSION}`);
  });

  it('beyond the newest stop a start from a state too, whatever else that holds', () => {
    const text = utf8Decode(encodeState(ledgerUnder(RULES_VERSION).state));
    const [before = '', note = ''] = text.split('\nconfiguration\n');
    const newer = note.slice(0, note.indexOf('\n\n') + 1).replace(/^rules \d+$/m, `rules ${RULES_VERSION + 1}\nshape round`);
    const state = `${before}\nconfiguration\n${utf8Decode(signNote(newer, ledgerKey))}`;
    expect(isPlaitError(thrown(() => decodeState(utf8Encode(state), pinned)), 'config')).toBe(true);
    const forged = state.replace('shape round', 'shape oval');
    expect(isPlaitError(thrown(() => decodeState(utf8Encode(forged), pinned)), 'invalid')).toBe(true);
  });

  it('are told from a state as from the log', () => {
    const log = ledgerUnder(1);
    log.configure({ rules: 2 });
    const state = decodeState(encodeState(log.state), pinned);
    expect(rulesOf(state)).toEqual(rulesOf(log.state));
    Log.at(state, RULES_VERSION).extend({ records: 0, offsets: 1, change: { root: OTHER } }, 'root');
  });
});
