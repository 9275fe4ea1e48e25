/** Loads the core over each implementation of the cryptography: Node's own, and the libraries the browser uses. */
import { vi } from 'vitest';
import * as nodeSha256 from '../../../packages/core/src/sha256/node.ts';
import * as browserSha256 from '../../../packages/core/src/sha256/browser.ts';
import * as nodeEd25519 from '../../../packages/core/src/ed25519/node.ts';
import * as browserEd25519 from '../../../packages/core/src/ed25519/browser.ts';

export const sha256Of = { node: nodeSha256, browser: browserSha256 } as const;
export const ed25519Of = { node: nodeEd25519, browser: browserEd25519 } as const;
export type Implementation = keyof typeof sha256Of;
export const implementations: readonly Implementation[] = ['node', 'browser'];

/** The modules above the cryptography, bound to one implementation, whichever the import conditions would choose. */
async function loadCore(implementation: Implementation) {
  let calls = 0;
  const { sha256, sha256Into } = sha256Of[implementation];
  const sha256Module = () => ({
    sha256: (data: Uint8Array) => {
      calls += 1;
      return sha256(data);
    },
    sha256Into: (data: Uint8Array, out: Uint8Array, at: number) => {
      calls += 1;
      sha256Into(data, out, at);
    },
  });
  const ed25519Module = () => ({ ...ed25519Of[implementation] });
  vi.resetModules();
  vi.doMock('../../../packages/core/src/sha256/node.ts', sha256Module);
  vi.doMock('../../../packages/core/src/sha256/browser.ts', sha256Module);
  vi.doMock('../../../packages/core/src/ed25519/node.ts', ed25519Module);
  vi.doMock('../../../packages/core/src/ed25519/browser.ts', ed25519Module);
  const core = {
    ...(await import('../../../packages/core/src/tree.ts')),
    ...(await import('../../../packages/core/src/compact.ts')),
    ...(await import('../../../packages/core/src/leaf.ts')),
    ...(await import('../../../packages/core/src/note.ts')),
    ...(await import('../../../packages/core/src/keys.ts')),
  };
  const before = calls;
  core.leafHash(new Uint8Array(1));
  // Otherwise both rounds would run over the same implementation and nobody would notice.
  if (calls !== before + 1) throw new Error(`the core was not bound to the ${implementation} implementation`);
  return core;
}

/** The core's modules over each implementation. */
export const coreOf = { node: await loadCore('node'), browser: await loadCore('browser') } as const;

/** The code of what `run` throws: a PlaitError's code, 'other' for anything else, undefined if it returns. */
export function codeOf(run: () => unknown): string | undefined {
  try {
    run();
    return undefined;
  } catch (error) {
    // The class exists once for every load of the modules, so its name tells.
    return error instanceof Error && error.name === 'PlaitError' ? (error as Error & { code: string }).code : 'other';
  }
}

/** Numbers 0 … n − 1 that depend on the seed only (mulberry32). */
export function seeded(seed: number): (n: number) => number {
  let state = seed >>> 0;
  return (n) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let x = Math.imul(state ^ (state >>> 15), state | 1);
    x ^= x + Math.imul(x ^ (x >>> 7), x | 61);
    return ((x ^ (x >>> 14)) >>> 0) % n;
  };
}

/** The bytes of hex digits; spaces between them are for the reader. */
export function hex(text: string): Uint8Array {
  return Uint8Array.from(Buffer.from(text.replaceAll(' ', ''), 'hex'));
}

export function flipBit(bytes: Uint8Array, bit: number): Uint8Array {
  const copy = bytes.slice();
  copy[bit >> 3] = (copy[bit >> 3] as number) ^ (1 << (bit & 7));
  return copy;
}
