/** The log is rolled back at a random time under real roles: who knows of what is gone stops, and nobody of them extends it. */
import { simulateRollback } from '@plait/testkit';
import { expect, test } from 'vitest';

const SHIFT = Number(process.env['PLAIT_SIM_SEED'] ?? 0);
const SEEDS = 60;

test(`whoever has folded what is gone stops, and appends nothing: ${SEEDS} seeds`, { timeout: 300_000 }, async () => {
  let stopped = 0;
  let regrown = 0;
  for (let seed = SHIFT + 1; seed <= SHIFT + SEEDS; seed += 1) {
    const report = await simulateRollback(seed);
    stopped += report.stopped.length;
    regrown += report.regrown > report.gone ? 1 : 0;
  }
  process.stdout.write(`seeds ${SHIFT + 1} … ${SHIFT + SEEDS}: ${stopped} processes stopped, ${regrown} logs grew past their old end\n`);
  expect(stopped).toBeGreaterThan(SEEDS);
  expect(regrown).toBeGreaterThan(0);
});

test('same seed, same run', async () => {
  expect(await simulateRollback(3)).toEqual(await simulateRollback(3));
});
