import { readFileSync } from 'node:fs';
import { describe, expect, test } from 'vitest';
import { base64Decode, equalBytes, hashToText } from '../../../packages/core/src/bytes.ts';
import type { CompactRange } from '../../../packages/core/src/compact.ts';
import { codeOf, coreOf, flipBit, hex, implementations, seeded } from './implementations.ts';

function load(name: string): unknown {
  return JSON.parse(readFileSync(new URL(name, import.meta.url), 'utf8'));
}

type Case = readonly [name: string, a: string, b: string, x: number, y: number, proof: readonly number[], mustFail: boolean];
const rfc6962 = load('./rfc6962.json') as {
  readonly NOTICE: string;
  readonly hashes: readonly string[];
  readonly inclusion: readonly Case[];
  readonly consistency: readonly Case[];
};

describe.each(implementations)('the cases of transparency-dev/merkle (%s)', (implementation) => {
  const { verifyConsistency, verifyInclusion } = coreOf[implementation];
  const hashes = rfc6962.hashes.map((text) => Uint8Array.from(Buffer.from(text, 'base64')));
  const at = (i: number): Uint8Array => hashes[i] as Uint8Array;

  test('are 196, of which 12 verify', () => {
    expect(rfc6962.NOTICE).toContain('417fb0c');
    const all = [...rfc6962.inclusion, ...rfc6962.consistency];
    expect(all.length).toBe(196);
    expect(new Set(all.map(([name]) => name)).size).toBe(196);
    expect(all.filter(([, , , , , , mustFail]) => !mustFail).length).toBe(12);
  });

  test.each(rfc6962.inclusion)('%s', (_name, index, size, root, leaf, proof, mustFail) => {
    const verify = (): void =>
      verifyInclusion({ index: BigInt(index), size: BigInt(size), root: at(root), leafHash: at(leaf), proof: proof.map(at) });
    expect(codeOf(verify)).toBe(mustFail ? 'invalid' : undefined);
  });

  test.each(rfc6962.consistency)('%s', (_name, size1, size2, root1, root2, proof, mustFail) => {
    const verify = (): void =>
      verifyConsistency({
        size1: BigInt(size1),
        size2: BigInt(size2),
        root1: at(root1),
        root2: at(root2),
        proof: proof.map(at),
      });
    expect(codeOf(verify)).toBe(mustFail ? 'invalid' : undefined);
  });
});

describe.each(implementations)('the log of transparency-dev/tessera (%s)', (implementation) => {
  const { leafHash, parseNote, parseVerifierKey, proveConsistency, treeRoot, verifyConsistency, verifyNoteSignature } = coreOf[implementation];
  const log = load('./tlog-tiles.json') as {
    readonly key: string;
    readonly entries: readonly string[];
    readonly tile: string;
    readonly checkpoints: readonly string[];
  };
  const leafHashes = log.entries.map((entry) => leafHash(Buffer.from(entry)));
  const key = parseVerifierKey(log.key);

  test('has the leaf hashes of its tile', () => {
    expect(log.entries.length).toBe(15);
    expect(Buffer.concat(leafHashes).toString('base64')).toBe(log.tile);
  });

  test('has a signed checkpoint of every size, with the root of its entries', () => {
    expect(log.checkpoints.length).toBe(16);
    log.checkpoints.forEach((checkpoint, size) => {
      const note = parseNote(Buffer.from(checkpoint));
      expect(verifyNoteSignature(note, key)).toBe(true);
      const root = hashToText(treeRoot(leafHashes.slice(0, size)));
      expect(note.text).toBe(`example.com/log/testdata\n${size}\n${root}\n`);
    });
  });

  test('is consistent between all sizes, and no two of its checkpoints are exchangeable', () => {
    const roots = log.checkpoints.map((checkpoint) => base64Decode(parseNote(Buffer.from(checkpoint)).text.split('\n')[2] as string));
    for (let size2 = 1; size2 <= 15; size2++) {
      for (let size1 = 1; size1 <= size2; size1++) {
        const proof = proveConsistency({ size1, leafHashes: leafHashes.slice(0, size2) });
        const args = { size1: BigInt(size1), size2: BigInt(size2), root1: roots[size1] as Uint8Array, root2: roots[size2] as Uint8Array, proof };
        expect(codeOf(() => verifyConsistency(args))).toBeUndefined();
        expect(codeOf(() => verifyConsistency({ ...args, root1: roots[size1 - 1] as Uint8Array }))).toBe('invalid');
        expect(codeOf(() => verifyConsistency({ ...args, root2: roots[size2 - 1] as Uint8Array }))).toBe('invalid');
      }
    }
  });
});

const LEAVES = 100;
const leaves = Array.from({ length: LEAVES }, (_, i) => new TextEncoder().encode(`leaf ${i}`));

/** The bits of a proof to flip: every one of small trees, two drawn ones of each hash of large ones. */
function bitsToFlip(size: number, random: (n: number) => number): readonly number[] {
  return size <= 6 ? Array.from({ length: 256 }, (_, bit) => bit) : Array.from({ length: 2 }, () => random(256));
}

/** Everything near a good proof that must be refused: flipped bits, a hash too many, too few, exchanged ones. */
function* spoiled(proof: readonly Uint8Array[], size: number, random: (n: number) => number): Generator<Uint8Array[]> {
  for (const [i, hash] of proof.entries()) {
    for (const bit of bitsToFlip(size, random)) yield proof.with(i, flipBit(hash, bit));
    yield proof.with(i, hash.subarray(1));
    yield proof.with(i, Uint8Array.of(...hash, ...hash));
    yield proof.toSpliced(i, 1);
    if (i > 0) yield proof.with(i, proof[i - 1] as Uint8Array).with(i - 1, hash);
  }
  yield [...proof, new Uint8Array(32)];
  yield [new Uint8Array(32), ...proof];
}

describe.each(implementations)('a tree grown to 100 leaves (%s)', (implementation) => {
  const { appendLeaf, EMPTY_RANGE, EMPTY_ROOT, leafHash, nodeHash, rangeRoot, RootHasher, treeRoot } = coreOf[implementation];
  const { proveConsistency, proveInclusion, verifyConsistency, verifyInclusion } = coreOf[implementation];
  const leafHashes = leaves.map((leaf) => leafHash(leaf));
  const roots = Array.from({ length: LEAVES + 1 }, (_, size) => treeRoot(leafHashes.slice(0, size)));

  test('has the roots of RFC 6962 for 0 to 3 leaves, by hand', () => {
    const [a, b, c] = leafHashes as [Uint8Array, Uint8Array, Uint8Array];
    expect(treeRoot([])).toEqual(hex('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'));
    expect(treeRoot([a])).toEqual(a);
    expect(treeRoot([a, b])).toEqual(nodeHash(a, b));
    expect(treeRoot([a, b, c])).toEqual(nodeHash(nodeHash(a, b), c));
  });

  test('has one root, however it is computed', () => {
    let range: CompactRange = EMPTY_RANGE;
    const hasher = new RootHasher();
    const ranges: CompactRange[] = [];
    for (let size = 0; size <= LEAVES; size++) {
      const root = treeRoot(leafHashes.slice(0, size));
      expect(rangeRoot(range)).toEqual(root);
      expect(range.size).toBe(BigInt(size));
      expect(hasher.root()).toEqual(root);
      expect(hasher.count).toBe(size);
      ranges.push(range);
      if (size === LEAVES) break;
      range = appendLeaf(range, leafHashes[size] as Uint8Array);
      hasher.add(leaves[size] as Uint8Array);
    }
    // Appending changed no earlier value.
    ranges.forEach((earlier, size) => expect(rangeRoot(earlier)).toEqual(treeRoot(leafHashes.slice(0, size))));
    hasher.reset();
    for (const root of [hasher.root(), rangeRoot(EMPTY_RANGE), treeRoot([])]) {
      expect(root).toEqual(EMPTY_ROOT);
      // What is handed out may be written to.
      root.fill(0);
    }
    expect(hasher.root()).toEqual(hex('e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855'));
    for (const leaf of leaves.slice(0, 7)) hasher.add(leaf);
    expect(hasher.root()).toEqual(treeRoot(leafHashes.slice(0, 7)));
    // Results are not views of buffers that go on changing.
    const kept = hasher.root();
    hasher.add(new Uint8Array(48));
    expect(kept).toEqual(treeRoot(leafHashes.slice(0, 7)));
  });

  test('a range that is none is a bug', () => {
    expect(() => rangeRoot({ size: 3n, hashes: [EMPTY_ROOT] })).toThrow(/invariant/);
    expect(() => appendLeaf({ size: -1n, hashes: [] }, EMPTY_ROOT)).toThrow(/invariant/);
    expect(() => appendLeaf(EMPTY_RANGE, new Uint8Array(31))).toThrow(/invariant/);
  });

  test('proves every leaf of every size, and nothing else', () => {
    const random = seeded(6);
    let refused = 0;
    for (let size = 1; size <= LEAVES; size++) {
      const tree = leafHashes.slice(0, size);
      const root = roots[size] as Uint8Array;
      for (let index = 0; index < size; index++) {
        const proof = proveInclusion({ index, leafHashes: tree });
        const args = { index: BigInt(index), size: BigInt(size), leafHash: tree[index] as Uint8Array, proof, root };
        verifyInclusion(args);
        // All indices and bits for small trees; each index with a few for the large ones.
        if (size > 12 && (index + size) % 13 !== 0) continue;
        for (const bad of spoiled(proof, size, random)) {
          if (codeOf(() => verifyInclusion({ ...args, proof: bad })) === 'invalid') refused += 1;
          else expect.fail(`accepted a spoiled proof of leaf ${index} of ${size}`);
        }
        const others = [
          { ...args, index: BigInt(index) + 1n },
          { ...args, index: BigInt(index) - 1n },
          { ...args, leafHash: flipBit(args.leafHash, random(256)) },
          { ...args, root: flipBit(root, random(256)) },
          { ...args, index: BigInt(size) },
          { ...args, index: -1n },
          { ...args, size: 0n },
        ];
        for (const other of others) expect([index, size, codeOf(() => verifyInclusion(other))]).toEqual([index, size, 'invalid']);
      }
    }
    expect(refused).toBeGreaterThan(5_000);
  });

  test('proves every earlier size, and nothing else', () => {
    const random = seeded(7);
    let refused = 0;
    for (let size2 = 1; size2 <= LEAVES; size2++) {
      const tree = leafHashes.slice(0, size2);
      const root2 = roots[size2] as Uint8Array;
      for (let size1 = 1; size1 <= size2; size1++) {
        const root1 = roots[size1] as Uint8Array;
        const proof = proveConsistency({ size1, leafHashes: tree });
        const args = { size1: BigInt(size1), size2: BigInt(size2), root1, root2, proof };
        verifyConsistency(args);
        if (size2 > 12 && (size1 + size2) % 13 !== 0) continue;
        for (const bad of spoiled(proof, size2, random)) {
          if (codeOf(() => verifyConsistency({ ...args, proof: bad })) === 'invalid') refused += 1;
          else expect.fail(`accepted a spoiled proof from ${size1} to ${size2}`);
        }
        expect(codeOf(() => verifyConsistency({ ...args, root1: flipBit(root1, random(256)) }))).toBe('invalid');
        expect(codeOf(() => verifyConsistency({ ...args, root2: flipBit(root2, random(256)) }))).toBe('invalid');
        expect(codeOf(() => verifyConsistency({ ...args, size1: 0n }))).toBe('invalid');
        expect(codeOf(() => verifyConsistency({ ...args, size1: args.size2 + 1n }))).toBe('invalid');
      }
    }
    expect(refused).toBeGreaterThan(5_000);
  });

  test('the prover refuses what is not there', () => {
    expect(() => proveInclusion({ index: 3, leafHashes: leafHashes.slice(0, 3) })).toThrow(/invariant/);
    expect(() => proveInclusion({ index: -1n, leafHashes })).toThrow(/invariant/);
    expect(() => proveConsistency({ size1: 0, leafHashes })).toThrow(/invariant/);
    expect(() => proveConsistency({ size1: 101n, leafHashes })).toThrow(/invariant/);
  });

  test('verifies in a tree of 2^60 leaves, built from perfect halves', () => {
    // The subtree of 2^k equal leaves has a root that k hashes give, so a proof can be made by hand.
    const level: Uint8Array[] = [leafHash(new Uint8Array(0))];
    for (let k = 1; k <= 60; k++) level.push(nodeHash(level[k - 1] as Uint8Array, level[k - 1] as Uint8Array));
    const args = { size: 2n ** 60n, leafHash: level[0] as Uint8Array, proof: level.slice(0, 60), root: level[60] as Uint8Array };
    for (const index of [0n, 2n ** 53n + 1n, 2n ** 60n - 1n]) verifyInclusion({ ...args, index });
    expect(codeOf(() => verifyInclusion({ ...args, index: 5n, size: 2n ** 60n + 1n }))).toBe('invalid');
    expect(equalBytes(rangeRoot({ size: 2n ** 60n, hashes: [level[60] as Uint8Array] }), args.root)).toBe(true);
  });
});
