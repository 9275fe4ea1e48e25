/** Receipts, paths of tiles and bundles of entries: hostile ones are refused, or spelled as they were, and prove nothing. */
import {
  checkReceipt, decodeEntries, encodeEntries, formatLine, formatReceipt, parseLine, parseReceipt, parseTilePath, tilePath, utf8Decode, utf8Encode,
} from '@plait/core';
import { describe, expect, inject, it } from 'vitest';
import { checkpointKey, receiptOf } from '../vectors/receipt-world.ts';
import { fc } from './fast-check.ts';
import { anyBytes, describeParser, holds, hostileBytes, hostileTexts, taken } from './hostile.ts';

const good = receiptOf();
const receipts = [good, receiptOf({ withPayload: false }), receiptOf({ firstSeq: 1_000n })];
const files = receipts.map(formatReceipt);

describeParser('receipt', { samples: files, parse: (text) => parseReceipt(utf8Encode(text)), format: formatReceipt });
describeParser('extra of a receipt', {
  samples: files.map((file) => inner(file)), parse: (text) => parseReceipt(utf8Encode(withInner(files[0] as string, text))),
  format: (receipt) => inner(formatReceipt(receipt)),
});
describeParser('line', { samples: receipts.map(({ line }) => formatLine(line)), parse: parseLine, format: formatLine });
describeParser('path of a tile', {
  samples: ['tile/0/000', 'tile/63/x001/x234/067.p/255', 'tile/entries/999.p/1', 'tile/0/x009/x223/x372/x036/x854/x775/807'],
  parse: parseTilePath, format: tilePath,
});

/** The text of a receipt's extra bytes. */
function inner(file: string): string {
  return Buffer.from((file.split('\n')[1] as string).slice('extra '.length), 'base64').toString('utf8');
}

function withInner(file: string, text: string): string {
  return file.split('\n').with(1, `extra ${Buffer.from(text).toString('base64')}`).join('\n');
}

describe('a receipt of hostile edits', () => {
  // Point arithmetic takes milliseconds for each signature.
  const runs = inject('platform') === 'node' ? 2_000 : 100;
  const key = checkpointKey.verifier;

  it('holds only if it says what the good one says', () => {
    const whole = files[0] as string;
    const edited = fc.oneof(hostileTexts([whole]), hostileTexts([inner(whole)]).map((text) => withInner(whole, text)));
    const without = formatReceipt(receiptOf({ withPayload: false }));
    holds(edited, (text) => {
      const receipt = taken(() => parseReceipt(utf8Encode(text)));
      if (receipt === undefined || checkReceipt(receipt, { key }).some(({ ok }) => !ok)) return;
      // What may be left out or put in without a key: the payload, and lines of others under the checkpoint.
      const { checkpoint, payload, ...rest } = receipt;
      expect(formatReceipt({ ...rest, checkpoint: good.checkpoint })).toBe(without);
      expect(utf8Decode(checkpoint).startsWith(utf8Decode(good.checkpoint))).toBe(true);
      if (payload !== undefined) expect(payload).toEqual(good.payload);
    }, runs);
  });

  it('never throws in its check, whatever its header and payload are', () => {
    holds(fc.tuple(hostileTexts([good.header]), hostileBytes([good.payload as Uint8Array])), ([header, payload]) => {
      const steps = taken(() => checkReceipt({ ...good, header, payload: new Uint8Array(payload) }, { key }), []);
      expect(steps?.at(-1)?.ok).toBe(header === good.header && Buffer.compare(payload, good.payload as Uint8Array) === 0);
    }, runs);
  });
});

describe('a bundle of entries', () => {
  const entries = [utf8Encode('a'), new Uint8Array(0), new Uint8Array(300).fill(1), utf8Encode(good.header)];

  it('comes back as it was, or is refused', () => {
    let kept = 0;
    holds(fc.tuple(fc.oneof(hostileBytes([encodeEntries(entries)]), anyBytes), fc.integer({ min: 0, max: 256 })), ([hostile, count]) => {
      const bytes = new Uint8Array(hostile);
      const decoded = taken(() => decodeEntries(bytes, count % 2 === 0 ? entries.length : count));
      if (decoded === undefined) return;
      kept += 1;
      expect(encodeEntries(decoded)).toEqual(bytes);
    }, 3_000);
    expect(kept).toBeGreaterThan(10);
  });
});
