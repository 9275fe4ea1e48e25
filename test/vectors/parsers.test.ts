import {
  formatBlock, formatCheckpoint, formatClaim, formatConfiguration, formatGenesis, formatNote, formatReport,
  formatSegment, formatSnapshot, isPlaitError, parseMessage, parseSegment, utf8Decode, utf8Encode,
} from '@plait/core';
import type { Message } from '@plait/core';
import { readdirSync, readFileSync } from 'node:fs';
import * as fc from 'fast-check';
import { describe, expect, inject, it } from 'vitest';
import { Log } from './histories/builder.ts';
import { bytesOf, type History } from './histories/format.ts';

/** Point arithmetic is some twenty times slower than OpenSSL. */
const onNode = inject('platform') === 'node';

/** Every distinct message of the golden histories that some parser takes, by kind; at most `max` of each. */
function samples(max: number): Message[] {
  const folder = new URL('./histories/', import.meta.url);
  const found = new Map<string, Message>();
  const counts = new Map<string, number>();
  for (const name of readdirSync(folder).filter((file) => file.endsWith('.json'))) {
    const { messages } = JSON.parse(readFileSync(new URL(name, folder), 'utf8')) as History;
    for (const step of messages.filter(({ outcome }) => !('reason' in outcome) || outcome.reason !== 'malformed')) {
      if (!('text' in step) || found.has(step.text)) continue;
      const message = tryParse(bytesOf(step));
      const count = counts.get(message?.body.kind ?? '') ?? 0;
      if (message === undefined || count >= max) continue;
      counts.set(message.body.kind, count + 1);
      found.set(step.text, message);
    }
  }
  return [...found.values()];
}

/** The message of the bytes; undefined if they are `invalid`. Any other error is a bug. */
function tryParse(bytes: Uint8Array): Message | undefined {
  try {
    return parseMessage(bytes);
  } catch (error) {
    if (!isPlaitError(error, 'invalid')) throw error;
    return undefined;
  }
}

/** The text of a message as its formatter spells it; undefined where there is none: the body was not looked at. */
function spell({ body }: Message): string | undefined {
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

function bytesAgain(message: Message): Uint8Array | undefined {
  const text = spell(message);
  if (text === undefined) return message.signed ? formatNote(message.note.text, message.note.signatures) : undefined;
  return message.signed ? formatNote(text, message.note.signatures) : utf8Encode(text);
}

const hostile = fc.constantFrom('\n', ' ', '0', '00', '1', '-', '+', '=', 'A', 'a', '\r', '\t', '\u0000', 'é', '\ufeff', '/', '.', '9'.repeat(20), '\u2014 ', 'state 1 x\n', '\u{1f600}');

describe('every message', () => {
  const messages = samples(12);
  const texts = messages.map((message) => utf8Decode(bytesAgain(message) as Uint8Array));

  it('is spelled as it was', () => {
    expect([...new Set(messages.map(({ body }) => body.kind))].toSorted()).toEqual(
      ['block', 'checkpoint', 'claim', 'configuration', 'genesis', 'report', 'snapshot', 'unknown-rules'],
    );
    for (const text of texts) expect(tryParse(utf8Encode(text)), text).toBeDefined();
  });

  it('of hostile edits is invalid, or spelled exactly as it was', () => {
    let parsed = 0;
    fc.assert(fc.property(
      fc.nat({ max: texts.length - 1 }), fc.array(fc.tuple(fc.nat({ max: 5 }), fc.nat(), fc.nat(), hostile), { minLength: 1, maxLength: 3 }),
      (which, edits) => {
        const text = edits.reduce(edit, texts[which] as string).toWellFormed();
        const message = tryParse(utf8Encode(text));
        if (message === undefined) return;
        parsed += 1;
        expect(utf8Decode(bytesAgain(message) as Uint8Array)).toBe(text);
      },
    ), { numRuns: onNode ? 6_000 : 3_000 });
    expect(parsed).toBeGreaterThan(100);
  });

  it('of bytes at random is invalid', () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 300 }), (bytes) => { expect(tryParse(bytes)).toBeUndefined(); }));
  });
});

/** One hostile edit at a place: insert, replace, delete, repeat a line, swap two lines, drop a line. */
function edit(text: string, [how, at, other, what]: readonly [number, number, number, string]): string {
  const place = at % (text.length + 1);
  if (how === 0) return text.slice(0, place) + what + text.slice(place);
  if (how === 1) return text.slice(0, place) + what + text.slice(place + 1);
  if (how === 2) return text.slice(0, place) + text.slice(place + 1 + (other % 3));
  const lines = text.split('\n');
  const [a, b] = [at % lines.length, other % lines.length];
  if (how === 3) lines.splice(b, 0, lines[a] as string);
  if (how === 4) [lines[a], lines[b]] = [lines[b] as string, lines[a] as string];
  if (how === 5) lines.splice(a, 1);
  return lines.join('\n');
}

it('a segment of hostile edits is invalid, or spelled exactly as it was', () => {
  const log = new Log('', '');
  log.genesis();
  const lines = [formatSegment(log.segment({ records: 2 })), formatSegment(log.segment({ loss: true, offsets: 7 }))];
  fc.assert(fc.property(fc.nat({ max: 1 }), fc.nat(), hostile, fc.nat({ max: 2 }), (which, at, what, how) => {
    const line = edit(lines[which] as string, [how, at, 0, what]).toWellFormed();
    try {
      expect(formatSegment(parseSegment(line))).toBe(line);
    } catch (error) {
      if (!isPlaitError(error, 'invalid')) throw error;
    }
  }), { numRuns: 3_000 });
});
