import { test } from 'vitest';
import { runSeeds } from './seeds.ts';

test('real roles keep every promise under faults: 1st half of 320 seeds', { timeout: 600_000 }, () => runSeeds(1, 160));
