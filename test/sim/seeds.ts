/** Runs seeds of the simulator for a test. `PLAIT_SIM_SEED` shifts them all, to look at places no run has seen. */
import { PORT_CALLS, simulate, type SimulationReport } from '@plait/testkit';
import { expect } from 'vitest';

const SHIFT = Number(process.env['PLAIT_SIM_SEED'] ?? 0);

/** Runs `count` seeds from `first` on; prints which, and what they went through. Throws at the first violation. */
export async function runSeeds(first: number, count: number): Promise<void> {
  const reports: SimulationReport[] = [];
  for (let seed = SHIFT + first; seed < SHIFT + first + count; seed += 1) reports.push(await simulate(seed));
  const sum = (of: (report: SimulationReport) => number): number => reports.reduce((total, each) => total + of(each), 0);
  process.stdout.write(`seeds ${SHIFT + first} … ${SHIFT + first + count - 1}: ${sum((r) => r.records)} records, ` +
    `${sum((r) => Number(r.blocks))} blocks, ${sum((r) => Number(r.epochs))} epochs, ${sum((r) => r.events)} events, ${sum((r) => r.coldStarts)} cold starts\n`);
  const alarms = new Set(reports.flatMap((report) => report.alarms));
  expect(['source-expired', 'source-regressed', 'lost'].filter((alarm) => !alarms.has(alarm)), 'changes of topics that no worker met').toEqual([]);
  expect(sum((r) => r.coldStarts), 'cold starts').toBeGreaterThan(count);
  const hit = new Set(reports.flatMap((report) => report.crashedIn));
  expect(PORT_CALLS.filter((call) => ![...hit].some((each) => each.startsWith(call))), 'port calls that no crash hit').toEqual([]);
}
