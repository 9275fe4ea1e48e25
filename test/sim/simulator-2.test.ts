import { test } from 'vitest';
import { runSeeds } from './seeds.ts';

test('real roles keep every promise under faults: 2nd half of 320 seeds', { timeout: 600_000 }, () => runSeeds(161, 160));
