/** A process of `plait verify`: compares lines with records that it reads over connections of its own, for as long as its parent lives. */
import { invariant } from '@plait/core';
import { serveChecks } from './check-protocol.ts';
import { openChecker } from './checkers.ts';
import type { PlaceOptions } from './places.ts';

const [, , place] = process.argv;
const send = process.send?.bind(process);
invariant(place !== undefined && send !== undefined, 'this file is forked, with the place as JSON');

process.on('disconnect', () => process.exit());
// Ctrl-C goes to every process of a terminal: what it means, the parent decides.
for (const signal of ['SIGINT', 'SIGTERM']) process.on(signal, () => undefined);
// For whoever lists processes, from here on: before, it would still end by those signals.
process.title = 'plait verify: comparing records';

serveChecks({ send, on: (event, listener) => process.on(event, listener) }, () => openChecker(JSON.parse(place) as PlaceOptions));
