import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import {
  decodePayload,
  encodePayload,
  minimalPayload,
  type Payload,
} from '../../../packages/core/src/record.ts';
import { codeOf, coreOf, hex, implementations, seeded } from './implementations.ts';

const bytesOf = (text: string): Uint8Array => Uint8Array.from(Buffer.from(text));
const hexOf = (bytes: Uint8Array): string => Buffer.from(bytes).toString('hex');

const digestOf = (bytes: Uint8Array): Uint8Array => Uint8Array.from(createHash('sha256').update(bytes).digest());

// Zigzag doubles a length, so "02" is 1 and "01" is −1.
const spelled: readonly (readonly [wire: string, payload: Payload])[] = [
  ['010100', { key: null, value: null, headers: [] }],
  ['000000', { key: new Uint8Array(0), value: new Uint8Array(0), headers: [] }],
  ['066b6579 0a76616c7565 00', { key: bytesOf('key'), value: bytesOf('value'), headers: [] }],
  [
    '01 0278 06 0261 0231 0261 01 00 00',
    {
      key: null,
      value: bytesOf('x'),
      headers: [
        { key: bytesOf('a'), value: bytesOf('1') },
        { key: bytesOf('a'), value: null },
        { key: new Uint8Array(0), value: new Uint8Array(0) },
      ],
    },
  ],
  ['01 8001' + '00'.repeat(64) + '00', { key: null, value: new Uint8Array(64), headers: [] }],
  ['01 7e' + '00'.repeat(63) + '00', { key: null, value: new Uint8Array(63), headers: [] }],
  ['01 808001' + '00'.repeat(8192) + '00', { key: null, value: new Uint8Array(8192), headers: [] }],
];

/** The format once more, written as plainly as possible: the rest of the bytes is consumed from the front. */
function plainlyDecoded(wire: Uint8Array): Payload | undefined {
  let rest = [...wire];
  const number = (): bigint => {
    const end = rest.findIndex((byte) => byte < 128);
    if (end < 0 || end > 4) throw new Error('number');
    const raw = rest.slice(0, end + 1).reduce((sum, byte, i) => sum + (BigInt(byte & 127) << BigInt(7 * i)), 0n);
    if (raw >= 2n ** 32n) throw new Error('number');
    rest = rest.slice(end + 1);
    return raw % 2n === 0n ? raw / 2n : -(raw + 1n) / 2n;
  };
  const field = (): Uint8Array | null => {
    const length = number();
    if (length === -1n) return null;
    if (length < 0n || length > rest.length) throw new Error('length');
    const bytes = rest.slice(0, Number(length));
    rest = rest.slice(bytes.length);
    return Uint8Array.from(bytes);
  };
  try {
    const [key, value, headers] = [field(), field(), []] as [Payload['key'], Payload['value'], Payload['headers'][number][]];
    const count = number();
    if (count < 0n) return undefined;
    for (let i = 0n; i < count; i++) {
      const headerKey = field();
      if (headerKey === null) return undefined;
      headers.push({ key: headerKey, value: field() });
    }
    return rest.length === 0 ? { key, value, headers } : undefined;
  } catch {
    return undefined;
  }
}

describe('payload', () => {
  test('has the bytes of record format v2', () => {
    for (const [wire, payload] of spelled) {
      expect(encodePayload(payload)).toEqual(hex(wire));
      expect(decodePayload(hex(wire))).toEqual(payload);
    }
  });

  test('is handed through as it is when its varints are minimal', () => {
    for (const [wire] of spelled) {
      const bytes = hex(wire);
      expect(minimalPayload(bytes)).toBe(bytes);
    }
  });

  test('is handed out as views, not copies', () => {
    const whole = hex('ffff 066b6579 0a76616c7565 02 0268 0276 ffff');
    const { key, value, headers } = decodePayload(whole.subarray(2, -2));
    expect([key, value, headers[0]?.key, headers[0]?.value].map((view) => view?.buffer === whole.buffer)).toEqual([true, true, true, true]);
    expect([key?.byteOffset, value?.byteOffset]).toEqual([3, 7]);
  });

  test('of longer varints is re-encoded to the one minimal form', () => {
    const minimal = hex('02610278020268 01');
    const longer = [
      '8200 610278020268 01',
      '82808000 610278020268 01',
      '0261 8200 78020268 01',
      '02610278 8200 0268 01',
      '0261027802 8200 68 01',
      '02610278020268 8100',
      '02610278020268 8180808000',
    ];
    for (const wire of longer) {
      expect([wire, minimalPayload(hex(wire))]).toEqual([wire, minimal]);
      expect(encodePayload(decodePayload(hex(wire)))).toEqual(minimal);
    }
  });

  test.each([
    ['nothing', ''],
    ['a key only', '0261'],
    ['no number of headers', '02610278'],
    ['a trailing byte', '01010000'],
    ['a key beyond the end', '0461'],
    ['a value beyond the end', '010478'],
    ['a key length of −2', '030100'],
    ['a value length of −2', '010300'],
    ['a negative number of headers', '010101'],
    ['more headers than fit', '010104 0001'],
    ['2^31 − 1 headers', '0101 feffffff0f'],
    ['a header without key', '010102 0101'],
    ['a header key of −2', '010102 0301'],
    ['a header value of −2', '010102 0003'],
    ['a header value beyond the end', '010102 0002'],
    ['a length of 2^31 − 1', 'feffffff0f 0100'],
    ['a length of −2^31', 'ffffffff0f 0100'],
    ['33 bits', '8080808010 0100'],
    ['6 bytes of length', '808080808000 0100'],
    ['a varint without end', '80'],
    ['five bytes and no end', '8080808080'],
  ])('%s is invalid', (_what, wire) => {
    expect(codeOf(() => decodePayload(hex(wire)))).toBe('invalid');
    expect(codeOf(() => minimalPayload(hex(wire)))).toBe('invalid');
  });

  test('is read as a plain decoder reads it, for all short strings of telling bytes', () => {
    const telling = [0, 1, 2, 3, 4, 0x80];
    let decoded = 0;
    for (let length = 0; length <= 6; length++) {
      for (let n = 0; n < telling.length ** length; n++) {
        const wire = Uint8Array.from({ length }, (_, i) => telling[Math.floor(n / telling.length ** i) % telling.length] as number);
        const expected = plainlyDecoded(wire);
        let found: Payload | undefined;
        const code = codeOf(() => {
          found = decodePayload(wire);
        });
        if (code !== (expected === undefined ? 'invalid' : undefined)) expect.fail(`${hexOf(wire)}: ${code ?? 'decoded'}`);
        if (expected === undefined) continue;
        decoded += 1;
        expect(found).toEqual(expected);
        expect(minimalPayload(wire)).toEqual(encodePayload(expected));
      }
    }
    expect(decoded).toBeGreaterThan(300);
  });

  test('cut or prolonged anywhere is invalid', () => {
    const [wire] = spelled[3] as readonly [string, Payload];
    const good = hex(wire);
    for (let length = 0; length < good.length; length++) {
      expect([length, codeOf(() => decodePayload(good.subarray(0, length)))]).toEqual([length, 'invalid']);
      expect([length, codeOf(() => minimalPayload(good.subarray(0, length)))]).toEqual([length, 'invalid']);
    }
    for (let byte = 0; byte < 256; byte++) expect(codeOf(() => decodePayload(Uint8Array.of(...good, byte)))).toBe('invalid');
  });

  test('random payloads come back, random bytes are a payload or invalid', () => {
    const random = seeded(9);
    const bytes = (): Uint8Array => Uint8Array.from({ length: random(5) === 0 ? random(300) : random(4) }, () => random(256));
    const maybe = (): Uint8Array | null => (random(3) === 0 ? null : bytes());
    for (let i = 0; i < 500; i++) {
      const headers = Array.from({ length: random(4) }, () => ({ key: bytes(), value: maybe() }));
      const payload = { key: maybe(), value: maybe(), headers };
      const wire = encodePayload(payload);
      expect(decodePayload(wire)).toEqual(payload);
      expect(minimalPayload(wire)).toBe(wire);
    }
    let decoded = 0;
    for (let i = 0; i < 10_000; i++) {
      // Small even bytes are lengths that fit; the others spoil them.
      const wire = Uint8Array.from({ length: 3 + random(6) }, () => (random(8) === 0 ? random(256) : random(2) * random(3)));
      const code = codeOf(() => {
        const minimal = minimalPayload(wire);
        const payload = decodePayload(wire);
        expect(decodePayload(minimal)).toEqual(payload);
        expect(minimal).toEqual(encodePayload(payload));
        decoded += 1;
      });
      expect([hexOf(wire), codeOf(() => decodePayload(wire)), code]).toEqual([hexOf(wire), code, code === undefined ? undefined : 'invalid']);
    }
    expect(decoded).toBeGreaterThan(500);
  });
});

describe.each(implementations)('leaf (%s)', (implementation) => {
  const { decodeLeaf, encodeLeaf, LEAF_BYTES, leafHash, payloadDigest, SegmentHasher, treeRoot, writeLeaf } = coreOf[implementation];

  test('has 48 bytes: offset, timestamp, payload digest', () => {
    const payload = hex('066b65790a76616c756500');
    const digest = digestOf(payload);
    const wire = `00000000075bcd15 0000018bcfe56800 ${hexOf(digest)}`;
    const leaf = { offset: 123456789n, timestamp: 1_700_000_000_000n, digest };
    expect(LEAF_BYTES).toBe(48);
    expect(payloadDigest(payload)).toEqual(digest);
    expect(encodeLeaf(leaf)).toEqual(hex(wire));
    expect(decodeLeaf(hex(wire))).toEqual(leaf);
    const out = new Uint8Array(new ArrayBuffer(80), 8, 60).fill(7);
    writeLeaf({ out, at: 5, offset: leaf.offset, timestamp: leaf.timestamp, payload });
    expect(out).toEqual(hex(`${'07'.repeat(5)}${wire}${'07'.repeat(7)}`));
  });

  test('takes the whole range of offsets and timestamps, and nothing beyond', () => {
    const digest = new Uint8Array(32);
    const max = 2n ** 63n - 1n;
    for (const timestamp of [-1n, 0n, max, -max - 1n]) {
      for (const offset of [0n, 1n, 2n ** 53n + 1n, max]) {
        const leaf = { offset, timestamp, digest };
        expect(decodeLeaf(encodeLeaf(leaf))).toEqual(leaf);
      }
    }
    expect(hexOf(encodeLeaf({ offset: 0n, timestamp: -1n, digest }).subarray(8, 16))).toBe('ffffffffffffffff');
    expect(() => encodeLeaf({ offset: -1n, timestamp: 0n, digest })).toThrow(/invariant/);
    expect(() => encodeLeaf({ offset: max + 1n, timestamp: 0n, digest })).toThrow(/invariant/);
    expect(() => encodeLeaf({ offset: 0n, timestamp: max + 1n, digest })).toThrow(/invariant/);
    expect(() => encodeLeaf({ offset: 0n, timestamp: -max - 2n, digest })).toThrow(/invariant/);
    expect(() => encodeLeaf({ offset: 0n, timestamp: 0n, digest: new Uint8Array(31) })).toThrow(/invariant/);
    expect(() => writeLeaf({ out: new Uint8Array(48), at: 1, offset: 0n, timestamp: 0n, payload: digest })).toThrow(/invariant/);
    for (const wire of ['', '00'.repeat(47), '00'.repeat(49), '80' + '00'.repeat(47)]) {
      expect([wire, codeOf(() => decodeLeaf(hex(wire)))]).toEqual([wire, 'invalid']);
    }
  });

  test('a segment of any size has the root of its leaves', () => {
    const random = seeded(10);
    const hasher = new SegmentHasher();
    for (const size of [...Array.from({ length: 34 }, (_, i) => i), 100, 1000]) {
      hasher.reset();
      const hashes: Uint8Array[] = [];
      for (let i = 0; i < size; i++) {
        const payload = encodePayload({ key: null, value: Uint8Array.from({ length: random(300) }, () => random(256)), headers: [] });
        const offset = BigInt(i * 3 + 1);
        const timestamp = BigInt(random(1000)) - 1n;
        hasher.add(offset, timestamp, payload);
        hashes.push(leafHash(encodeLeaf({ offset, timestamp, digest: digestOf(payload) })));
      }
      expect(hasher.count).toBe(size);
      expect([size, hexOf(hasher.root())]).toEqual([size, hexOf(treeRoot(hashes))]);
    }
    expect(() => hasher.add(-1n, 0n, new Uint8Array(3))).toThrow(/invariant/);
  });
});
