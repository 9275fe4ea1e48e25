/** Receipts: what holds, that each step alone refuses what only it can see, and that nothing inside is left unchecked. */
import { readFileSync } from 'node:fs';
import {
  checkReceipt, concatBytes, encodeLeaf, formatReceipt, generation, hashToText, height, index, isPlaitError, leafHash, offset, parseReceipt,
  parseVerifierKey, sha256, signText, utf8Decode, utf8Encode, verifyReceipt, type Receipt, type ReceiptOptions, type ReceiptStepName,
} from '@plait/core';
import { Prng } from '@plait/testkit';
import { describe, expect, inject, it } from 'vitest';
import { checkpointKey, keyOf, LINES, ORIGIN, payloadOf, PLACE, receiptOf, RECORDS, type Wish } from './receipt-world.ts';

const key = checkpointKey.verifier;
const good = receiptOf();
const STEPS: readonly ReceiptStepName[] = ['checkpoint-signature', 'header-proof', 'header', 'line-proof', 'line', 'leaf-proof', 'leaf', 'payload'];

/** The step that fails, or undefined if the receipt holds. */
function failing(receipt: Receipt, options: Partial<ReceiptOptions> = {}): ReceiptStepName | undefined {
  const steps = checkReceipt(receipt, { key, ...options });
  const failed = steps.filter(({ ok }) => !ok);
  expect(failed.length).toBeLessThanOrEqual(1);
  if (failed.length === 1) expect(steps.at(-1)).toBe(failed[0]);
  expect(steps.map(({ step }) => step)).toEqual(STEPS.slice(0, steps.length));
  return failed[0]?.step;
}

/** As a file: `invalid` for one that is no receipt, else the step that fails, or undefined if it holds. */
function judged(file: Uint8Array): ReceiptStepName | 'unspelled' | undefined {
  try {
    return checkReceipt(parseReceipt(file), { key }).find(({ ok }) => !ok)?.step;
  } catch (error) {
    if (!isPlaitError(error, 'invalid')) throw error;
    return 'unspelled';
  }
}

describe('a receipt that holds', () => {
  it('says which place its record has', () => {
    expect(verifyReceipt(good, { key })).toEqual({
      origin: ORIGIN, ledgerId: hashToText(sha256(utf8Encode('ledger'))), checkpointSize: 13n, height: 7n, blockTimeMs: 1_700_000_100_000n,
      seq: PLACE.seq, topic: 'orders', partition: 5, generation: 2n, index: 54n, offset: PLACE.offset, timestamp: 1_700_000_000_004n,
      payloadDigest: hashToText(sha256(payloadOf(4))), hasPayload: true,
    });
    const steps = checkReceipt(good, { key });
    expect(steps.map(({ step, ok }) => (ok ? step : ''))).toEqual(STEPS);
    expect(new Set(steps.map(({ says }) => says)).size).toBe(STEPS.length);
  });

  it('holds without a payload, and says that none was compared', () => {
    const without = receiptOf({ withPayload: false });
    expect(checkReceipt(without, { key }).map(({ step }) => step)).toEqual(STEPS.slice(0, -1));
    expect(verifyReceipt(without, { key }).hasPayload).toBe(false);
    expect(verifyReceipt(without, { key, payload: payloadOf(4) }).hasPayload).toBe(true);
  });

  it('is spelled in one way', () => {
    for (const receipt of [good, receiptOf({ withPayload: false }), { ...good, proof: [], lineProof: [], leafProof: [] }]) {
      const file = utf8Encode(formatReceipt(receipt));
      expect(parseReceipt(file)).toEqual(receipt);
      expect(utf8Encode(formatReceipt(parseReceipt(file)))).toEqual(file);
    }
  });

  it('is the example of docs/FORMAT.md', () => {
    const page = readFileSync(new URL('../../docs/FORMAT.md', import.meta.url), 'utf8');
    const [, example = ''] = /^```text receipt\n([^]*?)^```$/m.exec(page) ?? [];
    const [, vkey = ''] = /^checkpoint-key (\S+)$/m.exec(page) ?? [];
    const found = verifyReceipt(parseReceipt(utf8Encode(example)), { key: parseVerifierKey(vkey) });
    expect(found).toMatchObject({ topic: 'orders', partition: 0, generation: 0n, offset: 0n, index: 0n, seq: 0n, height: 0n, checkpointSize: 2n, hasPayload: true });
    for (const step of STEPS) expect(page).toContain(`\n| \`${step}\` | `);
  });

  it('may have lines of others under its checkpoint, which say nothing', () => {
    const text = utf8Decode(good.checkpoint).split('\n\n')[0] as string;
    const witnessed = utf8Encode(`${utf8Decode(good.checkpoint)}${signText(`${text}\n`, keyOf('witness')).line}\n`);
    expect(failing({ ...good, checkpoint: witnessed })).toBeUndefined();
    expect(failing({ ...good, checkpoint: witnessed }, { key: keyOf('witness').verifier })).toBe('checkpoint-signature');
  });
});

describe('each step alone refuses', () => {
  const wishes: readonly (readonly [ReceiptStepName, string, Wish])[] = [
    ['checkpoint-signature', 'another key of that name', { signer: { ...keyOf('other'), name: ORIGIN } }],
    ['checkpoint-signature', 'another origin', { origin: 'ledger.example/other', signer: keyOf('ledger.example/other') }],
    ['checkpoint-signature', 'an origin that is not the name of its key', { origin: 'ledger.example/other' }],
    ['header', 'a header of another origin', { header: { origin: 'ledger.example/other' } }],
    ['header', 'a header of another height', { header: { height: height(8n) } }],
    ['line-proof', 'a block of fewer lines', { header: { segments: 5 } }],
    ['line-proof', 'a block of more lines', { header: { segments: 17 } }],
    ['line', 'a loss', { loss: true }],
    ['line', 'a seq below the block', { firstSeq: 999n }],
    ['line', 'seqs beyond the block', { firstSeq: 1_200n - BigInt(RECORDS) + 1n }],
    ['line', 'a segment that runs backwards', { segment: { nextIndex: index(49n) } }],
    ['leaf-proof', 'a segment of fewer records', { segment: { nextIndex: index(54n) } }],
    ['leaf-proof', 'a segment of more records', { segment: { nextIndex: index(67n) } }],
    ['leaf-proof', 'a segment without records', { segment: { nextIndex: index(50n) } }],
    ['leaf-proof', 'a segment with another root', { segment: { root: hashToText(sha256(utf8Encode('root'))) } }],
    ['leaf', 'an offset below the segment', { offset: 99n }],
    ['leaf', 'an offset beyond the segment', { offset: 100n + BigInt(RECORDS) }],
  ];

  it.each(wishes)('%s: %s', (step, _what, wish) => {
    const receipt = receiptOf(wish);
    expect(failing(receipt)).toBe(step);
    expect(judged(utf8Encode(formatReceipt(receipt)))).toBe(step);
    try {
      verifyReceipt(receipt, { key });
      expect.fail('it verified');
    } catch (error) {
      expect(isPlaitError(error, 'invalid') && error.details['step']).toBe(step);
    }
  });

  it('and what is just within the borders holds', () => {
    for (const wish of [{ firstSeq: 1_000n }, { firstSeq: 1_200n - BigInt(RECORDS) }, { offset: 100n }, { offset: 99n + BigInt(RECORDS) }]) {
      expect(failing(receiptOf(wish))).toBeUndefined();
    }
  });

  const edits: readonly (readonly [ReceiptStepName, string, Partial<Receipt>])[] = [
    ['header-proof', 'another height', { index: 8n }],
    ['header-proof', 'a height beyond the checkpoint', { index: 13n }],
    ['header-proof', 'another header', { header: good.header.replace('time 1', 'time 2') }],
    ['header-proof', 'a header without its last newline', { header: good.header.slice(0, -1) }],
    ['header-proof', 'no header', { header: '' }],
    ['line-proof', 'another number of its line', { lineIndex: 4n }],
    ['line-proof', 'a number beyond the lines', { lineIndex: BigInt(LINES) }],
    ['line-proof', 'another seq', { line: { ...good.line, firstSeq: (good.line.firstSeq + 1n) as Receipt['line']['firstSeq'] } }],
    ['line-proof', 'another generation', { line: { ...good.line, segment: { ...good.line.segment, generation: generation(3n) } } }],
    ['line-proof', 'another end of its offsets', { line: { ...good.line, segment: { ...good.line.segment, nextOffset: offset(112n) } } }],
    ['leaf-proof', 'another number of its leaf', { leafIndex: 5n }],
    ['leaf-proof', 'a number beyond the leaves', { leafIndex: BigInt(RECORDS) }],
    ['leaf-proof', 'another timestamp', { leaf: encodeLeaf({ offset: PLACE.offset, timestamp: 1n, digest: sha256(payloadOf(4)) }) }],
    ['leaf-proof', 'another payload digest', { leaf: encodeLeaf({ offset: PLACE.offset, timestamp: 1_700_000_000_004n, digest: sha256(payloadOf(5)) }) }],
    ['payload', 'another payload', { payload: payloadOf(5) }],
    ['payload', 'a payload that is none', { payload: Uint8Array.of(7) }],
    ['payload', 'an empty payload', { payload: new Uint8Array(0) }],
    ['payload', 'a payload inside with longer varints', { payload: withLongVarint(payloadOf(4)) }],
  ];

  it.each(edits)('%s: %s', (step, _what, edit) => {
    expect(failing({ ...good, ...edit })).toBe(step);
  });

  it('payload: one that was given beside, whatever is inside', () => {
    expect(failing(good, { payload: payloadOf(4) })).toBeUndefined();
    expect(failing(good, { payload: withLongVarint(payloadOf(4)) })).toBeUndefined();
    for (const receipt of [good, receiptOf({ withPayload: false })]) {
      for (const payload of [payloadOf(5), new Uint8Array(0), concatBytes(payloadOf(4), Uint8Array.of(0))]) {
        expect(failing(receipt, { payload })).toBe('payload');
      }
    }
    expect(failing({ ...good, payload: payloadOf(5) }, { payload: payloadOf(4) })).toBe('payload');
  });

  it('says what it wanted and what it found', () => {
    expect(checkReceipt(receiptOf({ offset: 99n }), { key }).at(-1)).toMatchObject({ step: 'leaf', ok: false, expected: 'within 100 to 111', found: '99' });
    expect(checkReceipt(receiptOf({ header: { height: height(8n) } }), { key }).at(-1)).toMatchObject({ step: 'header', expected: '7', found: '8' });
  });
});

/** The payload with its first length spelled in two bytes. */
function withLongVarint(payload: Uint8Array): Uint8Array {
  return concatBytes(Uint8Array.of((payload[0] as number) | 0x80, 0), payload.subarray(1));
}

describe('a proof inside a receipt', () => {
  const proofs = [['proof', 'header-proof'], ['lineProof', 'line-proof'], ['leafProof', 'leaf-proof']] as const;

  it.each(proofs)('%s: no hash of it can be another, left out, repeated, exchanged or added', (name, step) => {
    const proof = good[name];
    expect(proof.length).toBeGreaterThanOrEqual(3);
    const others = [new Uint8Array(32), leafHash(good.leaf), sha256(utf8Encode('x')), ...good.proof, ...good.lineProof, ...good.leafProof];
    const edited: (readonly Uint8Array[])[] = [];
    for (const [i, hash] of proof.entries()) {
      for (const other of others) if (hashToText(other) !== hashToText(hash)) edited.push(proof.with(i, other));
      edited.push(proof.toSpliced(i, 1), proof.toSpliced(i, 0, hash), proof.toSpliced(i, 0, new Uint8Array(32)));
      if (i > 0) edited.push(proof.with(i, proof[i - 1] as Uint8Array).with(i - 1, hash));
    }
    edited.push([], [...proof, new Uint8Array(32)], [...proof, ...proof], proof.toReversed());
    expect(edited.length).toBeGreaterThan(40);
    for (const hashes of edited) expect(judged(utf8Encode(formatReceipt({ ...good, [name]: hashes })))).toBe(step);
    const tooMany = Array.from({ length: 64 }, () => new Uint8Array(32));
    expect(judged(utf8Encode(formatReceipt({ ...good, [name]: tooMany })))).toBe('unspelled');
  });
});

describe('a receipt as a file', () => {
  const file = utf8Encode(formatReceipt(good));
  const SEED = 20_261_123;

  it(`is refused with any one bit flipped (in the browser a sample, seed ${SEED})`, () => {
    // Point arithmetic takes milliseconds for each signature.
    const stride = inject('platform') === 'node' ? 1 : 13;
    const held: number[] = [];
    for (let bit = new Prng(SEED).int(stride); bit < file.length * 8; bit += stride) {
      const flipped = file.slice();
      flipped[bit >> 3] = (flipped[bit >> 3] as number) ^ (1 << (bit & 7));
      if (judged(flipped) === undefined) held.push(bit);
    }
    expect(held).toEqual([]);
  });

  it('is refused with any bit flipped of what is in base64', () => {
    const { proof, lineProof, leafProof, leaf, payload } = good;
    const whole = concatBytes(...proof, ...lineProof, ...leafProof, leaf, payload as Uint8Array);
    let refused = 0;
    const stride = inject('platform') === 'node' ? 1 : 13;
    for (let bit = 0; bit < whole.length * 8; bit += stride) {
      const flipped = whole.slice();
      flipped[bit >> 3] = (flipped[bit >> 3] as number) ^ (1 << (bit & 7));
      let at = 0;
      const take = (length: number): Uint8Array => flipped.slice(at, (at += length));
      const receipt: Receipt = {
        ...good, proof: proof.map(() => take(32)), lineProof: lineProof.map(() => take(32)), leafProof: leafProof.map(() => take(32)),
        leaf: take(48), payload: take((payload as Uint8Array).length),
      };
      refused += Number(checkReceipt(receipt, { key }).some(({ ok }) => !ok));
    }
    expect(refused).toBe(Math.ceil((whole.length * 8) / stride));
  });

  it('is refused when it is cut anywhere, or goes on', () => {
    for (let length = 0; length < file.length; length += 7) expect(judged(file.subarray(0, length))).toBe('unspelled');
    for (const more of ['\n', ' ', 'x', 'extra\n']) expect(judged(concatBytes(file, utf8Encode(more)))).toBe('unspelled');
  });

  it('has its lines in one order, each once, and no other', () => {
    const text = utf8Decode(file);
    const [first, extra, number, ...rest] = text.split('\n') as [string, string, string];
    const inner = Buffer.from(extra.slice('extra '.length), 'base64').toString('utf8');
    const withInner = (changed: string): string => [first, `extra ${Buffer.from(changed).toString('base64')}`, number, ...rest].join('\n');
    expect(withInner(inner)).toBe(text);
    const hostile = [
      [first, number, extra, ...rest].join('\n'), [first, number, ...rest].join('\n'), [first, extra, extra, number, ...rest].join('\n'),
      [first.replace('v1', 'v2'), extra, number, ...rest].join('\n'), [first, extra, `${number}0`, ...rest].join('\n').replace('index 70', 'index 07'),
      [first, extra, `${number} `, ...rest].join('\n'), [first, extra, number, '', ...rest].join('\n'), text.replaceAll('\n', '\r\n'), `\ufeff${text}`,
      withInner(inner.slice(0, -1)), withInner(`${inner}\n`), withInner(inner.replace('leaf-index 4', 'leaf-index 04')),
      withInner(inner.replace('leaf-index 4', 'leaf-index -4')), withInner(inner.replace('leaf-index 4', 'leaf-index 9223372036854775808')),
      withInner(inner.replace('leaf-proof ', 'leaf-proof  ')), withInner(inner.replace(/\nline-proof.*\n/, '\n')), withInner(inner.replace('plait.receipt/v1', 'plait.receipt/v2')),
      withInner(inner.replace(/\n(leaf .*)\n(leaf-index .*)\n/, '\n$2\n$1\n')), withInner(inner.replace(/\n(payload .*)\n/, '\n$1\n$1\n')),
      withInner(inner.replace('header\n', 'header \n')), withInner(inner.replace(/leaf .*\n/, 'leaf AAAA\n')), withInner(inner.replace('line 1050', 'line 01050')),
      withInner(inner.replace('orders', 'or/ders')),
    ];
    // A header that is cut or goes on is text all the same: its proof refuses it.
    expect(hostile.filter((each) => judged(utf8Encode(each)) === undefined)).toEqual([]);
  });

  it('is UTF-8', () => {
    for (const bytes of [new Uint8Array(0), Uint8Array.of(0xff, 0xfe), concatBytes(file.subarray(0, 30), Uint8Array.of(0x80), file.subarray(30))]) {
      expect(judged(bytes)).toBe('unspelled');
    }
  });
});
