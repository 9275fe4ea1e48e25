import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { ed25519Of, flipBit, hex, implementations, seeded } from './implementations.ts';

interface Vector {
  readonly name: string;
  readonly publicKey: string;
  readonly message: string;
  readonly signature: string;
}
const file = JSON.parse(readFileSync(new URL('./ed25519.json', import.meta.url), 'utf8')) as {
  readonly signing: readonly (Vector & { readonly seed: string })[];
  readonly verifying: readonly (Vector & { readonly valid: boolean })[];
};
const L = 2n ** 252n + 27742317777372353535851937790883648493n;
const P = 2n ** 255n - 19n;

function littleEndian(n: bigint): Uint8Array {
  return Uint8Array.from({ length: 32 }, (_, i) => Number((n >> BigInt(8 * i)) & 255n));
}

describe.each(implementations)('ed25519 (%s)', (implementation) => {
  const { ed25519PublicKey, ed25519Sign, ed25519Verify, isValidPublicKey } = ed25519Of[implementation];

  test('signs as RFC 8032, section 7.1', () => {
    expect(file.signing.length).toBe(4);
    for (const { seed, publicKey, message, signature } of file.signing) {
      expect(ed25519PublicKey(hex(seed))).toEqual(hex(publicKey));
      expect(ed25519Sign({ seed: hex(seed), message: hex(message) })).toEqual(hex(signature));
    }
    expect(() => ed25519Sign({ seed: new Uint8Array(31), message: new Uint8Array(0) })).toThrow(/invariant/);
    expect(() => ed25519PublicKey(new Uint8Array(33))).toThrow(/invariant/);
  });

  test('judges every signature at the borders by the rule', () => {
    expect(file.verifying.length).toBe(62);
    expect(file.verifying.filter(({ valid }) => valid).length).toBe(6);
    for (const { name, publicKey, message, signature, valid } of file.verifying) {
      const args = { publicKey: hex(publicKey), message: hex(message), signature: hex(signature) };
      expect([name, ed25519Verify(args)]).toEqual([name, valid]);
      // Again, from the cache.
      expect([name, ed25519Verify(args)]).toEqual([name, valid]);
    }
  });

  test('keys are canonical, on the curve, free of torsion and not the identity', () => {
    const good = new Set(file.verifying.filter(({ valid }) => valid).map(({ publicKey }) => publicKey));
    for (const publicKey of good) expect([publicKey, isValidPublicKey(hex(publicKey))]).toEqual([publicKey, true]);
    const refused = file.verifying.filter(({ name }) => /key/.test(name));
    expect(refused.length).toBeGreaterThanOrEqual(20);
    for (const { name, publicKey } of refused) expect([name, isValidPublicKey(hex(publicKey))]).toEqual([name, false]);
    for (let y = P; y < 2n ** 255n; y++) {
      expect(isValidPublicKey(littleEndian(y))).toBe(false);
      expect(isValidPublicKey(littleEndian(y + 2n ** 255n))).toBe(false);
    }
    for (const length of [0, 31, 33, 64]) expect(isValidPublicKey(new Uint8Array(length))).toBe(false);
  });

  test('S + L is refused for many signatures', () => {
    const random = seeded(3);
    for (let i = 0; i < 30; i++) {
      const seed = Uint8Array.from({ length: 32 }, () => random(256));
      const message = Uint8Array.from({ length: random(80) }, () => random(256));
      const publicKey = ed25519PublicKey(seed);
      const signature = ed25519Sign({ seed, message });
      expect(ed25519Verify({ publicKey, message, signature })).toBe(true);
      const s = BigInt(`0x${Buffer.from(signature.slice(32).toReversed()).toString('hex')}`);
      const again = signature.slice();
      again.set(littleEndian(s + L), 32);
      expect(ed25519Verify({ publicKey, message, signature: again })).toBe(false);
    }
  });
});

describe('ed25519, both implementations', () => {
  const { node, browser } = ed25519Of;

  test('agree on signatures and on 300 random flips of key, message and signature', () => {
    const random = seeded(4);
    let seed: Uint8Array = new Uint8Array(32);
    let accepted = 0;
    for (let i = 0; i < 300; i++) {
      if (i % 20 === 0) seed = Uint8Array.from({ length: 32 }, () => random(256));
      const message = Uint8Array.from({ length: 1 + random(100) }, () => random(256));
      const publicKey = node.ed25519PublicKey(seed);
      const signature = node.ed25519Sign({ seed, message });
      const args: { publicKey: Uint8Array; message: Uint8Array; signature: Uint8Array } = { publicKey, message, signature };
      const what = i % 4;
      if (what === 0) args.publicKey = flipBit(publicKey, random(256));
      if (what === 1) args.message = flipBit(message, random(message.length * 8));
      if (what === 2) args.signature = flipBit(signature, random(512));
      const verdict = node.ed25519Verify(args);
      expect([i, browser.ed25519Verify(args)]).toEqual([i, verdict]);
      expect([i, verdict]).toEqual([i, what === 3]);
      accepted += Number(verdict);
      if (i % 20 === 0) {
        expect(browser.ed25519PublicKey(seed)).toEqual(publicKey);
        expect(browser.ed25519Sign({ seed, message })).toEqual(signature);
        expect(browser.isValidPublicKey(args.publicKey)).toBe(node.isValidPublicKey(args.publicKey));
      }
    }
    expect(accepted).toBe(75);
  });

  test('a cache that overflows changes no verdict', () => {
    const random = seeded(5);
    const seeds = Array.from({ length: 40 }, () => Uint8Array.from({ length: 32 }, () => random(256)));
    const message = Uint8Array.of(1, 2, 3);
    for (let round = 0; round < 2; round++) {
      for (const seed of seeds) {
        const publicKey = node.ed25519PublicKey(seed);
        const signature = node.ed25519Sign({ seed, message });
        expect(node.ed25519Verify({ publicKey, message, signature })).toBe(true);
      }
    }
  });
});
