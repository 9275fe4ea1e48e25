import { expect, test } from 'vitest';
import { encodePayload, generation, height, index, logPosition, offset, PlaitError, seq, type BlockHeader, type Hash, type RecordSegment } from '@plait/core';
import { entriesOf, type LedgerStatus, type VerifiedSegment } from '@plait/ledger';
import { explain } from '../../apps/plait/src/exit.ts';
import { changeText } from '../../apps/plait/src/governing/configuration-changes.ts';
import { observer, type Log } from '../../apps/plait/src/log.ts';
import { entryJson, entryLine, escapeText, printable, showBytes, showTime } from '../../apps/plait/src/output.ts';
import { ageText, statusJson, statusText } from '../../apps/plait/src/reading/status-text.ts';
import { fc } from '../properties/fast-check.ts';

const utf8 = (text: string): Uint8Array => new TextEncoder().encode(text);

/** What must not reach a terminal: controls, format characters (bidirectional overrides too), unassigned, private, separators. */
const HOSTILE = /[\p{C}\p{Zl}\p{Zp}]/u;

const POSITION = logPosition(9n);
const block = { height: height(3n), timeMs: 1_700_000_000_000n } as BlockHeader;

function segmentOf(records: readonly { key: Uint8Array | null; value: Uint8Array | null; headers?: [Uint8Array, Uint8Array | null][]; timestamp?: bigint }[]): VerifiedSegment {
  const segment: RecordSegment = {
    kind: 'segment', topic: 'orders', partition: 2, generation: generation(0n), firstIndex: index(5n), nextIndex: index(5n + BigInt(records.length)),
    firstOffset: offset(7n), nextOffset: offset(7n + 2n * BigInt(records.length)), root: '' as Hash, previous: '' as Hash,
  };
  return {
    kind: 'records', segment, line: { firstSeq: seq(100n), segment }, block, position: POSITION,
    records: records.map(({ key, value, headers = [], timestamp = 0n }, i) => ({
      offset: offset(7n + 2n * BigInt(i)), timestamp,
      payload: encodePayload({ key, value, headers: headers.map(([name, content]) => ({ key: name, value: content })) }),
    })),
  };
}

test('no character that steers a terminal is left, and the text can be told from its escapes', () => {
  for (let code = 0; code <= 0x10_ffff; code += 1) {
    if (code >= 0xd800 && code <= 0xdfff) continue;
    const escaped = escapeText(String.fromCodePoint(code));
    if (HOSTILE.test(escaped)) throw new Error(`U+${code.toString(16)} comes through as ${JSON.stringify(escaped)}`);
  }
  expect(escapeText('\u001b[2J \u202e \u009b \n\t \\ ü 😀')).toBe('\\u{1b}[2J \\u{202e} \\u{9b} \\n\\t \\\\ ü 😀');
});

test('what brokers and names say cannot steer a terminal out of a sentence of ours', () => {
  const said = '\u001b[2J\r\u009b\u202e';
  const escaped = '\\u{1b}[2J\\u{d}\\u{9b}\\u{202e}';
  expect(printable(`C:\\a\n${said}`)).toBe(`C:\\a\n${escaped}`);
  expect(explain(new PlaitError('unavailable', `Redis: ${said}`))).toBe(`not reachable: Redis: ${escaped}`);
  expect(explain(new Error(said))).not.toContain('\u001b');
  expect(changeText({ change: 'added', what: 'worker-key', value: `k${said}+0+A` })).toBe(`+ worker-key k${escaped}+0+A`);
  const warned: string[] = [];
  const log = { warn: (_: unknown, text: string) => warned.push(text), error: (_: unknown, text: string) => warned.push(text) } as unknown as Log;
  observer(log)({ event: 'waiting', why: said });
  observer(log)({ event: 'alarm', alarm: 'split-view', message: said });
  expect(warned).toEqual([escaped, escaped]);
});

test('bytes are shown short: null, empty, text, binary, and text that is cut', () => {
  expect(showBytes(null, 8)).toBe('∅');
  expect(showBytes(utf8(''), 8)).toBe('""');
  expect(showBytes(utf8('12345678'), 8)).toBe('12345678');
  expect(showBytes(utf8('123456789'), 8)).toBe('12345678…');
  expect(showBytes(Uint8Array.of(0xff, 0x00), 8)).toBe('0xff00');
  expect(showBytes(new Uint8Array(1_000_000).fill(0xff), 8)).toBe('0xffffffff…');
  // Cut inside a character, it is still text.
  for (let before = 0; before < 4; before += 1) expect(showBytes(utf8(`${'x'.repeat(before)}${'😀'.repeat(100)}`), 8)).toMatch(/^x*(?:😀)+…$/u);
});

test('a time that is no date is shown as its number', () => {
  expect(showTime(1_700_000_000_000n)).toBe('2023-11-14T22:13:20.000Z');
  for (const odd of [-1n, -(2n ** 63n), 2n ** 63n - 1n]) expect(showTime(odd)).toBe(`time ${odd}`);
});

test('JSON gives back every byte, on one line without anything that steers a terminal', () => {
  const bytes = fc.option(fc.oneof(fc.uint8Array(), fc.string({ unit: 'binary' }).map(utf8)), { nil: null });
  const name = fc.oneof(fc.uint8Array(), fc.constantFrom('1', '__proto__', '\u202e').map(utf8));
  fc.assert(fc.property(bytes, bytes, fc.array(fc.tuple(name, bytes)), fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }), (key, value, headers, timestamp) => {
    const [entry] = entriesOf(segmentOf([{ key, value, headers, timestamp }]));
    if (entry === undefined) throw new Error('no entry');
    const line = entryJson(entry);
    expect(HOSTILE.test(line)).toBe(false);
    const found = JSON.parse(line) as { key: Bytes; value: Bytes; headers: [Bytes, Bytes][]; timestamp: string };
    expect(bytesOf(found.key)).toEqual(key);
    expect(bytesOf(found.value)).toEqual(value);
    expect(found.headers.map(([n, v]) => [bytesOf(n), bytesOf(v)])).toEqual(headers);
    expect(found.timestamp).toBe(String(timestamp));
    expect(HOSTILE.test(entryLine(entry))).toBe(false);
  }));
});

type Bytes = { utf8: string } | { base64: string } | null;

function bytesOf(value: Bytes): Uint8Array | null {
  if (value === null) return null;
  return 'utf8' in value ? utf8(value.utf8) : Uint8Array.from(Buffer.from(value.base64, 'base64'));
}

test('entries of a segment: places, and any range of it', () => {
  const segment = segmentOf(Array.from({ length: 4 }, (_, i) => ({ key: null, value: utf8(String(i)) })));
  const places = entriesOf(segment).map((e) => (e.kind === 'record' ? [e.seq, e.index, e.offset, e.topic, e.partition, e.block.height] : []));
  expect(places).toEqual([0n, 1n, 2n, 3n].map((i) => [100n + i, 5n + i, 7n + 2n * i, 'orders', 2, 3n]));
  for (let from = 98n; from < 107n; from += 1n) {
    for (let to = 98n; to < 107n; to += 1n) {
      const expected = [100n, 101n, 102n, 103n].filter((n) => n >= from && n < to);
      expect(entriesOf(segment, { fromSeq: from, toSeq: to }).map((e) => e.seq)).toEqual(expected);
    }
  }
});

test('a loss takes one seq, a void or gone entry as many as are wanted of it', () => {
  const { segment, line } = segmentOf([{ key: null, value: null }, { key: null, value: null }, { key: null, value: null }]);
  const voided: VerifiedSegment = { kind: 'void', segment, line, block, position: POSITION };
  expect(entriesOf(voided, { fromSeq: 101n })).toMatchObject([{ kind: 'void', seq: 101n, nextSeq: 103n }]);
  expect(entriesOf(voided, { fromSeq: 103n })).toEqual([]);
  expect(entriesOf(voided).map(entryLine)).toEqual(['100…103  orders/2@7…13  VOID: declared unusable by configuration']);
  const lossSegment = { ...segment, kind: 'loss' as const, nextIndex: index(6n) };
  const loss: VerifiedSegment = { kind: 'loss', segment: lossSegment, line: { firstSeq: seq(100n), segment: lossSegment }, block, position: POSITION };
  expect(entriesOf(loss)).toMatchObject([{ kind: 'loss', seq: 100n }]);
  expect(JSON.parse(entryJson(entriesOf(loss)[0] ?? never()))).toMatchObject({ kind: 'loss', seq: '100', firstOffset: '7', nextOffset: '13' });
});

test('what is gone is one entry that says why, and commits nothing without a group', async () => {
  const { segment, line, block: in3, position } = segmentOf([{ key: null, value: null }, { key: null, value: null }]);
  if (segment.kind !== 'segment') never();
  const gone: VerifiedSegment = { kind: 'gone', segment, line, block: in3, position, why: 'expired' };
  const [entry] = entriesOf(gone, { fromSeq: 101n });
  expect(entry).toMatchObject({ kind: 'gone', seq: 101n, nextSeq: 102n, why: 'expired' });
  expect(entriesOf(gone).map(entryLine)).toEqual(['100…102  orders/2@7…11  GONE: can no longer be read, so that nobody can check it']);
  expect(JSON.parse(entryJson(entry ?? never()))).toMatchObject({ kind: 'gone', seq: '101', nextSeq: '102', firstOffset: '7', nextOffset: '11', why: 'expired' });
  await expect(entry?.commit()).rejects.toMatchObject({ code: 'config' });
  await expect(entriesOf(segmentOf([{ key: null, value: null }]))[0]?.commit()).rejects.toMatchObject({ code: 'config' });
});

function never(): never {
  throw new Error('no entry');
}

test('status as text and as JSON', () => {
  const status: LedgerStatus = {
    origin: 'example.com/orders', ledgerId: 'abc=' as Hash, log: { topic: 'orders.plait', end: 9n as never }, configuration: 0n, sources: ['orders'], epoch: 2n as never,
    leader: undefined, height: height(1n), nextSeq: seq(12n), lastBlock: { height: height(0n), timeMs: 1n, ageMs: 90_000 },
    partitions: [{
      topic: 'orders', partition: 0, generation: generation(0n), logStart: offset(0n), end: offset(2n ** 60n), reported: offset(12n),
      sequenced: offset(12n), lag: 2n ** 60n - 12n, pending: 0, worker: undefined,
    }],
    missingSources: ['payments'],
    ignored: { 'block/other-claim': 3 },
  };
  const lines = statusText(status).split('\n');
  expect(lines).toContain('leader      nobody (epoch 2)');
  expect(lines).toContain('last block  0, 90.0 s ago');
  expect(lines).toContain('ignored     block/other-claim 3');
  expect(lines).toContain('no topic    payments is a source and does not exist');
  expect(lines.find((line) => line.startsWith('orders/0'))?.split(/ +/)).toEqual(['orders/0', '0', '1152921504606846976', '12', '12', '1152921504606846964', '0', '-']);
  expect(JSON.parse(statusJson(status))).toMatchObject({ nextSeq: '12', partitions: [{ end: '1152921504606846976' }], ignored: { 'block/other-claim': 3 } });
  expect([0, 119_900, 120_000, 7_200_000, 172_800_000].map(ageText)).toEqual(['0.0 s', '119.9 s', '2 min', '2 h', '2 days']);
});
