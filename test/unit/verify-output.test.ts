/** What `plait verify` says: all of the result, in 80 columns, and nothing that steers a terminal. */
import {
  formatCheckpoint, generation, hashToText, height, index, logPosition, makeSignerKey, offset, seq, sha256, signNote, utf8Encode, type Hash,
} from '@plait/core';
import type { FindingKind, SignedCheckpoint, VerifyFinding, VerifyProgress, VerifyReport } from '@plait/ledger';
import { describe, expect, test } from 'vitest';
import { EXIT } from '../../apps/plait/src/exit.ts';
import { exitCodeOfReport, isRemembered, KIND_WORDS, type VerifyOutcome } from '../../apps/plait/src/verifying/outcome.ts';
import { fractionOf } from '../../apps/plait/src/verifying/progress-view.ts';
import { outcomeJson } from '../../apps/plait/src/verifying/report-json.ts';
import { outcomeText } from '../../apps/plait/src/verifying/report-text.ts';

const COLUMNS = 80;
const plain = { columns: COLUMNS, paint: (_colour: string, text: string) => text };
const hash = (text: string): Hash => hashToText(sha256(utf8Encode(text)));
const KEY = makeSignerKey('example.com/orders', new Uint8Array(32).fill(7));
/** Names of keys and what brokers say may hold it. */
const HOSTILE = '\u001b[2J\u009b1m\u202eevil\u2028\r';
const STEERS = /[\p{C}\p{Zl}\p{Zp}]/u;

function signed(size: bigint): SignedCheckpoint {
  const checkpoint = { kind: 'checkpoint', origin: 'example.com/orders', size, root: hash(`root ${size}`) } as const;
  return { name: 'the log', checkpoint, note: signNote(formatCheckpoint(checkpoint), KEY) };
}

const counts: VerifyReport['counts'] = {
  messages: 4_211n, blocks: 812n, segments: 1_988n, records: 2_000_000n, losses: 0n, voids: 0n, gone: 0n, claims: 2n, configurations: 1n, reports: 1_988n,
  equivocations: 0n, checkpoints: 812n, settled: 0n, snapshots: { right: 3n, foreign: 0n },
};
const verified: VerifyReport = {
  schemaVersion: 1, verdict: 'verified', origin: 'example.com/orders', ledgerId: hash('genesis'), range: { firstSeq: seq(0n), nextSeq: seq(2_000_000n) },
  height: height(812n), counts, ignored: { 'claim/epoch': 1 }, checkpoint: signed(812n), consistentWith: [{ name: 'remembered on 2026-11-20 08:00 UTC', size: 700n, root: hash('r') }],
  checked: ['every signature, claim, block and configuration of the log', 'every record: key, value, headers, timestamp and offset'],
  notChecked: ['what happened to records before a worker hashed them, since nobody signed anything about them then, however long one looks'],
};
const finding: VerifyFinding = {
  kind: 'payload-changed', message: 'the record of orders/3 at offset 1234 (seq 88123) is not the one that was hashed: its key, value or headers were changed',
  topic: 'orders', partition: 3, generation: generation(0n), offset: offset(1_234n), index: index(1_234n), seq: seq(88_123n), height: height(77n),
  position: logPosition(1_021n), worker: `orders/worker${HOSTILE}`, report: logPosition(1_019n), expected: `payload digest ${hash('a')}`, found: `payload digest ${hash('b')}`,
  causes: ['somebody who can write to the disk of a broker changed it', 'the disk of the broker is broken'], lastGoodCheckpoint: signed(77n),
  next: 'plait read --from seq:88123 --on-missing report -o jsonl',
};
const tampered: VerifyReport = { ...verified, verdict: 'tampered', finding, range: { firstSeq: seq(0n), nextSeq: seq(88_123n) } };
const outcome = (report: VerifyReport, more: Partial<VerifyOutcome> = {}): VerifyOutcome => ({
  report, records: 'kafka', log: 'kafka', memory: { folder: '/auditor/.config/plait/example.com_orders-0123456789ab', first: false, remembered: report.verdict === 'verified' },
  durationMs: 12_345.6, ...more,
});

const parsed = (report: VerifyReport, more: Partial<VerifyOutcome> = {}): unknown => JSON.parse(outcomeJson(outcome(report, more)));
const progress = (more: Partial<VerifyProgress>): VerifyProgress => ({ messages: 0n, position: logPosition(0n), end: logPosition(100n), records: 0n, nextSeq: seq(0n), ...more });

describe('for people', () => {
  const texts = [outcomeText(outcome(verified), plain), outcomeText(outcome(tampered), plain)];

  test('no line is longer than the terminal, but commands, which are to be copied, and words that are longer', () => {
    for (const line of texts.join('').split('\n')) {
      if (line.length > COLUMNS && !line.includes('plait ') && !line.includes('/')) throw new Error(`${line.length}: ${line}`);
    }
  });

  test('everything of a result is there', () => {
    const [good = '', bad = ''] = texts;
    expect(good).toMatch(/^verified example\.com\/orders\n/);
    for (const part of ['2,000,000 hashed again, seqs from 0 up to below 2000000, from Kafka', '4,211 messages, 812 blocks', 'claim/epoch 1', 'size 812', 'size 700 (remembered on', 'this run is remembered in', ...verified.checked]) {
      expect(good.replaceAll(/\s+/g, ' ')).toContain(part);
    }
    expect(good).toContain('not checked\n  - what happened to records before');
    expect(bad).toMatch(/^TAMPERED: a record is not what was hashed \(payload-changed\)\n/);
    for (const part of ['orders/3', '1234', '88123', 'height 77', 'position 1021', 'position 1019 of the log', hash('a'), hash('b'), 'checkpoint of size 77', ...finding.causes, '--from seq:88123']) {
      expect(bad.replaceAll(/\s+/g, ' ')).toContain(part);
    }
  });

  test('a range is shown where nobody can tell the record', () => {
    const { offset: _offset, seq: _seq, index: _index, ...rest } = finding;
    const text = outcomeText(outcome({ ...tampered, finding: { ...rest, kind: 'records-differ', firstOffset: offset(10n), nextOffset: offset(14n), firstSeq: seq(20n), nextSeq: seq(24n) } }), plain);
    expect(text).toMatch(/offsets\s+from 10 up to below 14\n/);
    expect(text).toMatch(/seqs\s+from 20 up to below 24\n/);
  });

  test('what others named cannot steer the terminal', () => {
    for (const text of [...texts, outcomeText(outcome({ ...tampered, finding: { ...finding, message: HOSTILE, next: HOSTILE, causes: [HOSTILE], expected: HOSTILE } }), plain)]) {
      expect(STEERS.test(text.replaceAll('\n', ''))).toBe(false);
    }
  });
});

describe('for programs', () => {
  test('one object on one line, all of it, with big numbers as text', () => {
    expect(outcomeJson(outcome(tampered))).not.toContain('\n');
    expect(parsed(verified)).toMatchObject({
      schemaVersion: 1, verdict: 'verified', exitCode: 0, range: { firstSeq: '0', nextSeq: '2000000' }, height: '812', finding: null, resumed: null, durationMs: 12_346,
      counts: { records: '2000000', snapshots: { right: '3', foreign: '0' } }, checkpoint: { size: '812', root: hash('root 812'), note: new TextDecoder().decode(signed(812n).note) },
      records: 'kafka', log: 'kafka', memory: { first: false, remembered: true }, ignored: { 'claim/epoch': 1 },
    });
    expect(parsed(tampered)).toMatchObject({
      verdict: 'tampered', exitCode: 10,
      finding: { kind: 'payload-changed', topic: 'orders', partition: 3, offset: '1234', seq: '88123', height: '77', lastGoodCheckpoint: { size: '77' }, causes: finding.causes, evidence: [] },
    });
  });

  test('evidence names its file', () => {
    const note = signed(5n);
    const report: VerifyReport = { ...tampered, verdict: 'split-view', finding: { ...finding, kind: 'checkpoint-contradicts', evidence: [{ name: 'one', note: note.note }] } };
    expect(parsed(report, { evidence: { folder: '/e', files: ['1-one.note'] } })).toMatchObject({
      verdict: 'split-view', exitCode: 12, finding: { evidence: [{ name: 'one', file: '1-one.note', note: new TextDecoder().decode(note.note) }] },
    });
  });

  test('what others named cannot steer the terminal', () => expect(STEERS.test(outcomeJson(outcome(tampered)))).toBe(false));
});

test('each verdict has its exit code, and none but verified gives 0', () => {
  const codes = (['verified', 'tampered', 'rolled-back', 'split-view', 'undecided'] as const).map((verdict) => exitCodeOfReport({ ...verified, verdict }));
  expect(codes).toEqual([EXIT.done, EXIT.tampered, EXIT.rolledBack, EXIT.splitView, EXIT.undecided]);
});

test('what is to be remembered: a whole log in which nothing is wrong, also where records are gone', () => {
  expect(isRemembered(verified)).toBe(true);
  for (const [kind, wanted] of [['deleted', true], ['expired-or-deleted', true], ['log-start', false]] as const) {
    expect(isRemembered({ verdict: 'undecided', finding: { ...finding, kind } })).toBe(wanted);
  }
  for (const verdict of ['tampered', 'rolled-back', 'split-view'] as const) expect(isRemembered({ ...tampered, verdict })).toBe(false);
});

test('each kind has words of its own', () => {
  const kinds = Object.keys(KIND_WORDS) as FindingKind[];
  expect(new Set(Object.values(KIND_WORDS)).size).toBe(kinds.length);
});

describe('how far it is', () => {
  test.each([
    ['nothing is known', {}, 0n, 0],
    ['half of the log, and all that it told', { position: logPosition(50n), nextSeq: seq(10n), totalSeqs: seq(10n) }, 0n, 0.5],
    ['all of the log, and half of the records', { position: logPosition(100n), nextSeq: seq(15n), totalSeqs: seq(20n) }, 10n, 0.5],
    ['no record wanted', { position: logPosition(100n), nextSeq: seq(20n), totalSeqs: seq(20n) }, 20n, 1],
    ['an empty log', { end: logPosition(0n), totalSeqs: seq(0n) }, 0n, 1],
  ])('%s', (_what, more, firstSeq, expected) => expect(fractionOf(progress(more), firstSeq)).toBe(expected));
});
