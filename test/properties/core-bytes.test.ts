/** Every decoder of bytes in core, and the verifiers of proofs. */
import {
  commitState, decodeLeaf, decodePayload, encodeLeaf, encodePayload, equalBytes, hashFromText, hashToText, isRange, leafHash, makeSnapshots,
  minimalPayload, parseBlock, proveConsistency, proveInclusion, treeRoot, utf8Encode, verifyChunk, verifyConsistency, verifyInclusion,
  type Payload, type Snapshot,
} from '@plait/core';
import { describe, expect, it } from 'vitest';
import { fc } from './fast-check.ts';
import { anyBytes, holds, hostileBytes, taken } from './hostile.ts';
import { sampleMessages } from './samples.ts';

const bytes = (max: number): fc.Arbitrary<Uint8Array> => fc.uint8Array({ maxLength: max });
const payloads: fc.Arbitrary<Payload> = fc.record({
  key: fc.option(bytes(200)), value: fc.option(bytes(300)),
  headers: fc.array(fc.record({ key: bytes(20), value: fc.option(bytes(20)) }), { maxLength: 5 }),
});

describe('a payload', () => {
  it('comes back as it was, and is minimal', () => {
    holds(payloads, (payload) => {
      const encoded = encodePayload(payload);
      expect(decodePayload(encoded)).toEqual(payload);
      expect(minimalPayload(encoded)).toBe(encoded);
    });
  });

  it('of hostile edits is refused by both decoders, or has one minimal form', () => {
    const samples = fc.sample(payloads, { numRuns: 50, seed: 1 }).map(encodePayload);
    let kept = 0;
    for (const values of [hostileBytes(samples), anyBytes]) {
      holds(values, (hostile) => {
        const payload = taken(() => decodePayload(hostile));
        const minimal = taken(() => minimalPayload(hostile));
        expect(minimal === undefined).toBe(payload === undefined);
        if (payload === undefined || minimal === undefined) return;
        kept += 1;
        expect(encodePayload(payload)).toEqual(new Uint8Array(minimal));
        expect(minimal.length).toBeLessThanOrEqual(hostile.length);
        expect(minimalPayload(minimal)).toBe(minimal);
      }, 3_000);
    }
    expect(kept).toBeGreaterThan(10);
  });
});

describe('a leaf', () => {
  it('of 48 bytes comes back as it was, unless its offset is negative; of others it is refused', () => {
    const leaf = encodeLeaf({ offset: 2n ** 62n, timestamp: -1n, digest: new Uint8Array(32).fill(3) });
    holds(fc.oneof(hostileBytes([leaf]), anyBytes, fc.uint8Array({ minLength: 48, maxLength: 48 })), (hostile) => {
      const decoded = taken(() => decodeLeaf(hostile));
      expect(decoded === undefined).toBe(hostile.length !== 48 || (hostile[0] as number) > 0x7f);
      if (decoded !== undefined) expect(encodeLeaf(decoded)).toEqual(new Uint8Array(hostile));
    });
  });
});

/** A tree's leaves by their number, and what is changed of a proof in it. */
const sizes = fc.integer({ min: 1, max: 40 });
const leafHashes = (size: number): Uint8Array[] => Array.from({ length: size }, (_, i) => leafHash(Uint8Array.of(i)));
/** A list of hashes with one of them changed, left out, repeated or put in; sometimes as it was. */
const edited = (hashes: readonly Uint8Array[], [how, at, bit]: readonly [number, number, number]): Uint8Array[] => {
  const list = [...hashes];
  const place = at % (list.length + 1);
  const found = list[place];
  if (how === 0 && found !== undefined) list[place] = found.map((byte, i) => (i === bit % 32 ? byte ^ (1 << (bit % 8)) : byte));
  if (how === 1) list.splice(place, 1);
  if (how === 2) list.splice(place, 0, found ?? new Uint8Array(32));
  if (how === 3) list.splice(place, 0, new Uint8Array(bit % 40));
  return list;
};
const edits = fc.tuple(fc.nat({ max: 4 }), fc.nat(), fc.nat());
const same = (a: readonly Uint8Array[], b: readonly Uint8Array[]): boolean => a.length === b.length && a.every((hash, i) => equalBytes(hash, b[i] as Uint8Array));

describe('a proof', () => {
  it('of inclusion holds for its leaf, size and hashes only', () => {
    let held = 0;
    holds(fc.tuple(sizes, fc.nat(), edits, fc.bigInt({ min: -2n, max: 50n }), fc.bigInt({ min: -2n, max: 50n }), fc.nat({ max: 3 })), ([size, at, edit, otherIndex, otherSize, which]) => {
      const hashes = leafHashes(size);
      const right = { index: BigInt(at % size), size: BigInt(size), leafHash: hashes[at % size] as Uint8Array, root: treeRoot(hashes) };
      const proof = proveInclusion({ index: right.index, leafHashes: hashes });
      const tried = {
        ...right, proof: edited(proof, edit),
        ...(which === 1 ? { index: otherIndex } : which === 2 ? { size: otherSize } : which === 3 ? { index: otherIndex, size: otherSize } : {}),
      };
      const isHeld = taken(() => (verifyInclusion(tried), true)) === true;
      held += Number(isHeld);
      // A size is part of the shape only: other sizes may have the same path for a leaf. Sizes come from a signed parent.
      if (isHeld) expect([tried.index === right.index, same(tried.proof, proof)]).toEqual([true, true]);
      else expect(tried.index === right.index && tried.size === right.size && same(tried.proof, proof)).toBe(false);
    }, 3_000);
    expect(held).toBeGreaterThan(50);
  });

  it('of consistency holds for its sizes, roots and hashes only', () => {
    let held = 0;
    holds(fc.tuple(sizes, fc.nat(), edits, fc.bigInt({ min: -2n, max: 50n }), fc.boolean(), fc.nat({ max: 31 })), ([size, at, edit, other, otherRoot, bit]) => {
      const hashes = leafHashes(size);
      const size1 = 1 + (at % size);
      const right = { size1: BigInt(size1), size2: BigInt(size), root1: treeRoot(hashes.slice(0, size1)), root2: treeRoot(hashes) };
      const proof = proveConsistency({ size1, leafHashes: hashes });
      const root1 = right.root1.map((byte, i) => (otherRoot && i === bit ? byte ^ 1 : byte));
      const tried = { ...right, root1, proof: edited(proof, edit), ...(edit[0] === 4 ? { size1: other } : {}) };
      const isHeld = taken(() => (verifyConsistency(tried), true)) === true;
      held += Number(isHeld);
      if (isHeld) expect([otherRoot, same(tried.proof, proof)]).toEqual([false, true]);
      else expect(!otherRoot && tried.size1 === right.size1 && same(tried.proof, proof)).toBe(false);
    }, 3_000);
    expect(held).toBeGreaterThan(50);
  });

  it('of a chunk of the state holds for that chunk of that header only', () => {
    const [block] = sampleMessages(1).filter(({ kind }) => kind === 'block');
    if (block === undefined) throw new Error('no block');
    const state = new Uint8Array(600_000).map((_, i) => i % 251);
    const header = { ...parseBlock(block.body), state: commitState(state) };
    const chunks = makeSnapshots(header, state);
    expect(chunks).toHaveLength(3);
    holds(fc.tuple(fc.nat({ max: 2 }), edits, fc.nat({ max: 4 }), fc.nat({ max: 5 }), fc.nat()), ([which, edit, chunk, how, at]) => {
      const right = chunks[which] as Snapshot;
      const path = edited(right.path.map(hashFromText), edit).filter(({ length }) => length === 32);
      const data = how === 1 ? right.data.map((byte, i) => (i === at % right.data.length ? byte ^ 1 : byte)) : right.data;
      const tried: Snapshot = { ...right, path: path.map(hashToText), data, chunk: how === 2 ? chunk : right.chunk, stateBytes: right.stateBytes + Number(how === 3) };
      const isHeld = taken(() => (verifyChunk(header, tried), true)) === true;
      expect(isHeld).toBe(how !== 1 && how !== 3 && tried.chunk === which && same(path, right.path.map(hashFromText)));
    }, 150);
  });

  it('a compact range is one iff it has a hash for each bit', () => {
    holds(fc.tuple(fc.bigInt({ min: -5n, max: 2n ** 64n }), fc.nat({ max: 70 })), ([size, count]) => {
      const range = { size, hashes: Array.from({ length: count }, () => utf8Encode('x')) };
      expect(taken(() => isRange(range), [])).toBe(size >= 0n && size.toString(2).replaceAll('0', '').length === count);
    });
  });
});
