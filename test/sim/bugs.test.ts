import { execFile } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { simulate } from '@plait/testkit';
import { describe, expect, test } from 'vitest';
import { BUGS } from './bugs/bugs.ts';

const HUNT = fileURLToPath(new URL('bugs/hunt.ts', import.meta.url));
const SEEDS = 120;

describe('the simulator finds every deliberate bug', () => {
  for (const [number, { name }] of BUGS.entries()) {
    test(name, { timeout: 120_000 }, async () => {
      const args = ['--conditions=development', HUNT, String(number), String(SEEDS)];
      const { stdout } = await promisify(execFile)(process.execPath, args);
      const found: unknown = JSON.parse(stdout);
      expect(found, `not found in ${SEEDS} seeds`).toMatchObject({ seed: expect.any(Number), what: expect.any(String) });
    });
  }
});

test('same seed, same run', async () => {
  const [first, again, other] = [await simulate(7), await simulate(7), await simulate(8)];
  expect(again).toEqual(first);
  expect(other.traceHash).not.toBe(first.traceHash);
});
