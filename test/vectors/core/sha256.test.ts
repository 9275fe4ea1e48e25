import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import {
  base64Decode,
  base64Encode,
  compareBytes,
  compareText,
  concatBytes,
  equalBytes,
  hashFromText,
  hashToText,
  parseHash,
  utf8Decode,
  utf8Encode,
} from '../../../packages/core/src/bytes.ts';
import { codeOf, hex, implementations, seeded, sha256Of } from './implementations.ts';

const nist: readonly (readonly [message: string, digest: string])[] = [
  ['', 'e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'],
  ['abc', 'ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad'],
  [
    'abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq',
    '248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1',
  ],
  ['a'.repeat(1_000_000), 'cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0'],
];

describe.each(implementations)('sha256 (%s)', (implementation) => {
  const { sha256, sha256Into } = sha256Of[implementation];

  test('gives the digests of FIPS 180-4', () => {
    for (const [message, digest] of nist) expect(sha256(utf8Encode(message))).toEqual(hex(digest));
  });

  test('agrees with createHash at every length around the block sizes, and reads views in place', () => {
    const random = seeded(1);
    const data = Uint8Array.from({ length: 300 }, () => random(256));
    for (let length = 0; length < 260; length++) {
      const view = data.subarray(7, 7 + length);
      expect(sha256(view)).toEqual(Uint8Array.from(createHash('sha256').update(view).digest()));
    }
  });

  test('writes into a buffer at an offset and nowhere else, also over its own input', () => {
    const out = new Uint8Array(70).fill(9);
    sha256Into(utf8Encode('abc'), out, 5);
    expect(out.subarray(5, 37)).toEqual(sha256(utf8Encode('abc')));
    expect(out.subarray(0, 5).every((byte) => byte === 9) && out.subarray(37).every((byte) => byte === 9)).toBe(true);
    const expected = sha256(out.slice(0, 64));
    sha256Into(out.subarray(0, 64), out, 20);
    expect(out.subarray(20, 52)).toEqual(expected);
    // A view that does not begin at its buffer's begin.
    const view = new Uint8Array(new ArrayBuffer(100), 30, 40);
    sha256Into(utf8Encode('abc'), view, 8);
    expect(new Uint8Array(view.buffer).subarray(38, 70)).toEqual(sha256(utf8Encode('abc')));
    for (const at of [39, 70, -1, Number.NaN]) expect(() => sha256Into(utf8Encode('abc'), out, at)).toThrow(RangeError);
  });
});

describe('bytes', () => {
  test('base64 has one spelling: RFC 4648 section 10, and every other one is refused', () => {
    const good = ['', 'Zg==', 'Zm8=', 'Zm9v', 'Zm9vYg==', 'Zm9vYmE=', 'Zm9vYmFy'];
    good.forEach((text, length) => {
      expect(base64Decode(text)).toEqual(utf8Encode('foobar'.slice(0, length)));
      expect(base64Encode(utf8Encode('foobar'.slice(0, length)))).toBe(text);
    });
    const bad = ['Zg', 'Zg=', 'Zh==', 'Zm9=', 'Zm8', '=', '====', 'A===', 'Zg==Zg==', 'Zm 8=', 'Zm8=\n', 'Zm-_', 'Zmé=', 'Z\u0080==', '=Zg='];
    for (const text of bad) expect([text, codeOf(() => base64Decode(text))]).toEqual([text, 'invalid']);
  });

  test('base64 agrees with Buffer for random bytes', () => {
    const random = seeded(2);
    for (let i = 0; i < 500; i++) {
      const bytes = Uint8Array.from({ length: random(70) }, () => random(256));
      expect(base64Encode(bytes)).toBe(Buffer.from(bytes).toString('base64'));
      expect(base64Decode(base64Encode(bytes))).toEqual(bytes);
    }
  });

  test('UTF-8 is strict and keeps a byte order mark', () => {
    expect(utf8Decode(Uint8Array.of(0xef, 0xbb, 0xbf, 0x61))).toBe('\ufeffa');
    for (const bad of ['ff', 'c080', 'eda080', 'f4908080', 'e282', '80', 'f8888080 80'.replace(' ', '')]) {
      expect([bad, codeOf(() => utf8Decode(hex(bad)))]).toEqual([bad, 'invalid']);
    }
    expect(codeOf(() => utf8Encode('a\ud800'))).toBe('invalid');
    expect(utf8Encode('é\u{1f600}')).toEqual(hex('c3a9f09f9880'));
  });

  test('texts are ordered as their UTF-8 bytes', () => {
    const texts = ['', 'a', 'aa', 'b', '\u007f', 'é', '\ud7ff', '\ue000', '\uffff', '\u{10000}', '\u{10ffff}', 'a\u{10000}', 'a\ue000'];
    for (const a of texts) {
      for (const b of texts) {
        expect(Math.sign(compareText(a, b))).toBe(Math.sign(compareBytes(utf8Encode(a), utf8Encode(b))));
        expect(Math.sign(compareText(a, b))).toBe(Math.sign(Buffer.compare(Buffer.from(a), Buffer.from(b))));
      }
    }
  });

  test('concatenates and compares', () => {
    expect(concatBytes()).toEqual(new Uint8Array(0));
    expect(concatBytes(Uint8Array.of(1), Uint8Array.of(), Uint8Array.of(2, 3))).toEqual(Uint8Array.of(1, 2, 3));
    expect(equalBytes(Uint8Array.of(1, 2), Uint8Array.of(1, 2))).toBe(true);
    expect(equalBytes(Uint8Array.of(1, 2), Uint8Array.of(1, 3))).toBe(false);
    expect(equalBytes(Uint8Array.of(1, 2), Uint8Array.of(1))).toBe(false);
  });

  test('a hash text is 32 bytes in canonical base64', () => {
    const text = '47DEQpj8HBSa+/TImW+5JCeuQeRkm5NMpJWZG3hSuFU=';
    expect(hashToText(hashFromText(parseHash(text)))).toBe(text);
    expect(hashFromText(parseHash(text))).toEqual(sha256Of.browser.sha256(new Uint8Array(0)));
    for (const bad of ['', text.slice(0, 40), `${text.slice(0, 42)}V=`, `${text.slice(0, 42)}==`, `${text} `, 'A'.repeat(44)]) {
      expect([bad, codeOf(() => parseHash(bad))]).toEqual([bad, 'invalid']);
    }
    expect(codeOf(() => hashToText(new Uint8Array(31)))).toBe('other');
  });
});
