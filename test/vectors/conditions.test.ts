import { ed25519Verify, sha256 } from '@plait/core';
import { expect, inject, it } from 'vitest';

/** The stack of the error that `fail` throws. */
function stackOf(fail: () => unknown): string {
  try {
    fail();
  } catch (error) {
    return error instanceof Error ? (error.stack ?? '') : String(error);
  }
  throw new Error('it did not throw');
}

// A value that neither function takes: which file threw says which one was resolved.
const nothing = null as unknown as Uint8Array;

it.each([
  ['#sha256', 'sha256', () => sha256(nothing)],
  ['#ed25519', 'ed25519', () => ed25519Verify({ publicKey: nothing, message: nothing, signature: nothing })],
])('%s is the file of the platform that this project tests', (_name, folder, fail) => {
  const platform = inject('platform');
  const other = platform === 'node' ? 'browser' : 'node';
  const stack = stackOf(fail);
  expect(stack).toContain(`/${folder}/${platform}.ts`);
  expect(stack).not.toContain(`/${folder}/${other}.ts`);
});
