/** Every parser of texts in core. Bytes come before: what is no UTF-8 is no text. */
import {
  base64Decode, base64Encode, decodeState, encodeState, formatBlock, formatCheckpoint, formatClaim, formatConfiguration, formatGenesis,
  formatNote, formatReport, formatSegment, formatSnapshot, kindOf, makeSignerKey, parseBlock, parseCheckpoint, parseClaim, parseConfiguration,
  parseConfigurationStub, parseCount, parseGenesis, parseGenesisStub, parseHash, parseMessage, parseNote, parseOrigin, parseReport, parseSegment,
  parseSignerKey, parseSnapshot, parseTopic, parseUint63, parseVerifierKey, parseVerifierKeyForm, utf8Decode, utf8Encode, type Message,
} from '@plait/core';
import { describe, expect, inject, it } from 'vitest';
import { fc } from './fast-check.ts';
import { anyBytes, anyText, describeParser, holds, hostileBytes, hostileTexts, taken } from './hostile.ts';
import { sampleMessages, sampleStates, stateText, type Sample } from './samples.ts';

/** Point arithmetic is some twenty times slower than OpenSSL. */
const signatureRuns = inject('platform') === 'node' ? 1_000 : 100;
const messages = sampleMessages(12);
const ofKind = (kind: Sample['kind']): string[] => messages.filter((message) => message.kind === kind).map(({ body }) => body);

describeParser('genesis', { samples: ofKind('genesis'), parse: parseGenesis, format: formatGenesis });
describeParser('configuration', { samples: ofKind('configuration'), parse: parseConfiguration, format: formatConfiguration });
describeParser('claim', { samples: ofKind('claim'), parse: parseClaim, format: formatClaim });
describeParser('report', { samples: ofKind('report'), parse: parseReport, format: formatReport });
describeParser('block header', { samples: ofKind('block'), parse: parseBlock, format: formatBlock });
describeParser('checkpoint', { samples: ofKind('checkpoint'), parse: parseCheckpoint, format: formatCheckpoint });
describeParser('snapshot', { samples: ofKind('snapshot'), parse: parseSnapshot, format: formatSnapshot });
describeParser('segment', {
  samples: ofKind('report').flatMap((text) => text.trimEnd().split('\n').slice(3)), parse: parseSegment, format: formatSegment,
});

// Their bodies are not looked at: only the first lines can be spelled again.
describeParser('head of a genesis', {
  samples: [...ofKind('genesis'), ...ofKind('unknown-rules').filter((text) => text.startsWith('plait.genesis'))],
  parse: (text) => ({ text, stub: parseGenesisStub(text) }),
  format: ({ text, stub }) => `plait.genesis/v1\n${stub.origin}\nrules ${stub.rules}\n` + text.split('\n').slice(3).join('\n'),
});
describeParser('head of a configuration', {
  samples: [...ofKind('configuration'), ...ofKind('unknown-rules').filter((text) => text.startsWith('plait.configuration'))],
  parse: (text) => ({ text, stub: parseConfigurationStub(text) }),
  format: ({ text, stub: { origin, ledgerId, version, previous, rules } }) =>
    `plait.configuration/v1\n${origin}\n${ledgerId}\nversion ${version}\nprevious ${previous}\nrules ${rules}\n` + text.split('\n').slice(6).join('\n'),
});

const key = makeSignerKey('example.org/orders', new Uint8Array(32).fill(7));
describeParser('verifier key', { samples: [key.verifier.vkey], parse: parseVerifierKey, format: ({ vkey }) => vkey, runs: signatureRuns });
describeParser('verifier key, its form', { samples: [key.verifier.vkey], parse: parseVerifierKeyForm, format: ({ vkey }) => vkey });
describeParser('signer key', { samples: [key.skey], parse: parseSignerKey, format: ({ skey }) => skey, runs: signatureRuns });

const same = (text: string): string => text;
const hash = base64Encode(new Uint8Array(32).fill(200));
describeParser('hash', { samples: [hash], parse: parseHash, format: same });
describeParser('base64', { samples: ['', 'AA==', 'AAA=', 'AAAA', hash], parse: base64Decode, format: base64Encode });
describeParser('number', { samples: ['0', '7', '9223372036854775807'], parse: parseUint63, format: String });
describeParser('count', { samples: ['0', '65536'], parse: (text) => parseCount(text, 65_536), format: String });
describeParser('topic', { samples: ['orders', 'a.b_c-D9', 'x'.repeat(249)], parse: parseTopic, format: same });
describeParser('origin', { samples: ['example.org/orders', '~'], parse: parseOrigin, format: same });
describeParser('note', {
  samples: messages.filter(({ text, body }) => text !== body).map(({ text }) => text),
  parse: (text) => parseNote(utf8Encode(text)), format: ({ text, signatures }) => utf8Decode(formatNote(text, signatures)),
});

/** The text of a message as its formatter spells it; undefined where there is none: the body was not looked at. */
function spelled(message: Message): string | undefined {
  const { body } = message;
  switch (body.kind) {
    case 'genesis': return formatGenesis(body);
    case 'configuration': return formatConfiguration(body);
    case 'claim': return formatClaim(body);
    case 'report': return formatReport(body);
    case 'block': return formatBlock(body);
    case 'checkpoint': return formatCheckpoint(body);
    case 'snapshot': return formatSnapshot(body);
    default: return undefined;
  }
}

describeParser('message', {
  samples: messages.map(({ text }) => text), runs: 3_000,
  parse: (text) => parseMessage(utf8Encode(text)),
  format: (message) => {
    const text = spelled(message) ?? (message.signed ? message.note.text : '');
    return message.signed ? utf8Decode(formatNote(text, message.note.signatures)) : text;
  },
});

it('the samples are of every kind', () => {
  expect([...new Set(messages.map(({ kind }) => kind))].toSorted()).toEqual(
    ['block', 'checkpoint', 'claim', 'configuration', 'genesis', 'report', 'snapshot', 'unknown-rules'],
  );
});

describe('a message of bytes', () => {
  it('of hostile edits is refused, or spelled as it was', () => {
    let kept = 0;
    holds(hostileBytes(messages.map(({ text }) => utf8Encode(text))), (bytes) => {
      const message = taken(() => parseMessage(bytes));
      if (message === undefined) return;
      kept += 1;
      const text = spelled(message) ?? (message.signed ? message.note.text : '');
      expect(message.signed ? formatNote(text, message.note.signatures) : utf8Encode(text)).toEqual(new Uint8Array(bytes));
    }, 3_000);
    expect(kept).toBeGreaterThan(10);
  });

  it('at random is refused', () => holds(anyBytes, (bytes) => expect(taken(() => parseMessage(bytes))).toBeUndefined()));

  it('has a kind, or none, whatever it says', () => {
    holds(hostileTexts(messages.map(({ text }) => text)), (text) => void taken(() => kindOf(text), []));
    holds(anyText, (text) => void taken(() => kindOf(text), []));
  });
});

describe('UTF-8', () => {
  it('takes a text iff it has no lone surrogate, and gives it back', () => {
    const units = fc.array(fc.oneof(fc.constantFrom(0xd7ff, 0xd800, 0xdbff, 0xdc00, 0xdfff, 0xfeff), fc.nat({ max: 0xffff })), { maxLength: 6 });
    holds(units, (codes) => {
      const text = String.fromCharCode(...codes);
      const bytes = taken(() => utf8Encode(text));
      expect(bytes === undefined ? undefined : utf8Decode(bytes)).toBe(text.isWellFormed() ? text : undefined);
    });
  });

  it('of bytes: they are refused, or encoded as they were', () => {
    const texts = ['é\u{1f600}\ufeff\u07ff\u0800\uffff'].map(utf8Encode);
    holds(hostileBytes(texts), (bytes) => {
      const text = taken(() => utf8Decode(bytes));
      if (text !== undefined) expect(utf8Encode(text)).toEqual(new Uint8Array(bytes));
    });
  });
});

describe('the state of a cold start', () => {
  const states = sampleStates();

  it('comes back as it was', () => {
    expect(states.length).toBeGreaterThan(10);
    for (const state of states) expect(stateText(decodeState(encodeState(state), state))).toBe(stateText(state));
  });

  it('of hostile edits is refused, or spelled as it was', () => {
    // Of one ledger, so that the configuration's signature holds and the lines before it are looked at.
    const [first] = states;
    if (first === undefined) throw new Error('no state');
    const own = states.filter(({ origin, ledgerKey }) => origin === first.origin && ledgerKey.vkey === first.ledgerKey.vkey);
    let kept = 0;
    holds(hostileTexts(own.map(stateText)), (text) => {
      const state = taken(() => decodeState(utf8Encode(text), first));
      if (state === undefined) return;
      kept += 1;
      expect(stateText(state)).toBe(text);
    }, 2 * signatureRuns);
    expect(kept).toBeGreaterThan(0);
  });
});
