/** A thread of `plait verify`: compares lines with records that it reads over connections of its own. */
import { parentPort, workerData } from 'node:worker_threads';
import { invariant } from '@plait/core';
import { serveChecks } from './check-protocol.ts';
import { openChecker } from './checkers.ts';
import type { PlaceOptions } from './places.ts';

invariant(parentPort !== null, 'this file is run in a thread');
await serveChecks(parentPort, () => openChecker(workerData as PlaceOptions));
