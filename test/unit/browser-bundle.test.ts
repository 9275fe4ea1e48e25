/**
 * Core as a page would load it: bundled from what is built, without anything of Node, it folds as Node does. It runs before
 * the tests that pack the library, which build core, too: two compilers must not write the same files at once.
 */
import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { createContext, runInContext } from 'node:vm';
import { rolldown, type OutputChunk } from 'rolldown';
import { beforeAll, expect, it } from 'vitest';
import type { History } from '../vectors/histories/format.ts';

const at = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
/** For a compiler beside other tests. */
const BUILD_MS_MAX = 180_000;
let chunk: OutputChunk;

beforeAll(async () => {
  await promisify(execFile)(process.execPath, [at('../../node_modules/typescript/bin/tsc'), '-b', at('../../packages/core')]);
  const bundler = await rolldown({ input: at('../vectors/histories/format.ts'), platform: 'browser' });
  const { output } = await bundler.generate({ format: 'iife', name: 'histories' });
  await bundler.close();
  expect(output).toHaveLength(1);
  chunk = output[0];
}, BUILD_MS_MAX);

it('takes the files that were built for browsers, and needs nothing else', () => {
  expect(chunk.imports).toEqual([]);
  expect(chunk.moduleIds.filter((id) => /\/core\/(?:dist\/(?:sha256|ed25519)\/node\.js|src\/)/.test(id))).toEqual([]);
  expect(chunk.moduleIds.some((id) => id.endsWith('/core/dist/ed25519/browser.js'))).toBe(true);
});

it.each(['example', 'report-signature', 'state-header', 'note-signatures'])('folds "%s" to the frozen hashes where there is no Node', async (name) => {
  const text = await readFile(at(`../vectors/histories/${name}.json`), 'utf8');
  // Of what a browser has beside the language, core needs these two. There is no `process`, `Buffer` or `require`.
  const page = createContext({ TextEncoder, TextDecoder, text });
  runInContext(chunk.code, page);
  const replayed = runInContext('JSON.stringify(histories.replay(JSON.parse(text)))', page) as string;
  const { messages } = JSON.parse(text) as History;
  expect(JSON.parse(replayed)).toEqual(messages.map(({ position, outcome, stateHash }) => ({ position, outcome, stateHash })));
});
