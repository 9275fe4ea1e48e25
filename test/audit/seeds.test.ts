/** Untouched ledgers of random shapes, as simulated runs left them: none is ever called tampered, but for what its own keys signed wrongly. */
import { expect, test } from 'vitest';
import { verifyWorld, worldOf } from './world.ts';

const SEEDS = Number(process.env['PLAIT_AUDIT_SEEDS'] ?? 16);

test.each(Array.from({ length: SEEDS }, (_, i) => i + 1))('seed %s', async (seed) => {
  const { honest, world, hasTurmoil, hostile } = await worldOf(seed);
  const report = await verifyWorld(honest, {}, { checkers: 1 + seed % 3 });
  // Where topics expired, shrank or were made anew some records are gone.
  expect(report).toMatchObject({ verdict: hasTurmoil ? expect.stringMatching(/^(verified|undecided)$/) : 'verified' });
  expect(report.range).toEqual({ firstSeq: 0n, nextSeq: report.counts.records + report.counts.losses + report.counts.voids + report.counts.gone });

  const withLies = await verifyWorld(world, {}, { checkers: 2 });
  const { finding } = withLies;
  if (withLies.verdict !== report.verdict) {
    expect(finding).toMatchObject({ kind: expect.stringMatching(/^block-(differs|missing)$/), position: expect.toSatisfy((position) => hostile.has(position)) });
  }
});
