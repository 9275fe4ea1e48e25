/** Histories of versions of the rules, and of going from one to the next. */
import { segmentHash } from '@plait/core';
import { alice, EMPTY, forged, ledgerKey, Log, mallory, OTHER, worker1, worker2 } from './builder.ts';
import type { SegmentWish } from './builder.ts';

/** What these logs' readers know. */
const KNOWN = 2;

/** A run of offsets without records, and a root that is not that of the empty tree. */
const WRONG: SegmentWish = { records: 0, offsets: 2, change: { root: OTHER } };

function second(): Log {
  const log = new Log('A ledger under rules 2 from its genesis', 'A segment without records must have the root of the empty tree. The rest is as under rules 1.', KNOWN);
  log.genesis({ rules: 2 }).claim();
  log.extend(WRONG, 'root');
  log.extend({ records: 0, offsets: 2 });
  const marker = log.segment({ records: 0, offsets: 1 });
  log.report([marker, log.segment({ after: marker, records: 3 }), log.segment({ partition: 1 })], 'accepted accepted accepted');
  log.extend({ records: 2, change: { root: EMPTY } });
  log.extend({ records: 2, change: { root: OTHER } });
  log.block();
  return log;
}

function order(): Log {
  const log = new Log('Where rules 2 check the root of an empty segment', 'After place and range, before what depends on how much waits; and one ignored segment takes those that build on it along.', KNOWN);
  log.genesis({ rules: 2, pendingMax: 1 }).claim();
  log.extend({ ...WRONG, change: { root: OTHER, topic: 'returns' } }, 'unknown-source');
  log.extend({ ...WRONG, change: { root: OTHER, previous: OTHER } }, 'not-at-end');
  log.extend({ records: 0, offsets: 0, change: { root: OTHER } }, 'range');
  const wrong = log.segment(WRONG);
  log.report([wrong, log.segment({ after: wrong }), log.segment({ partition: 1 })], 'root not-at-end accepted');
  log.extend({ ...WRONG, partition: 1 }, 'root');
  log.extend({ partition: 1 }, 'full');
  log.configure({ onLoss: 'record' });
  log.extend({ loss: true, offsets: 10, partition: 2 });
  return log;
}

function fromFirst(): Log {
  const log = new Log('From rules 1 to rules 2 in the middle', 'What was accepted before stays and is numbered; the new rule holds from the position of the configuration on, for reports that were signed before it too.', KNOWN);
  log.genesis().claim();
  log.extend(WRONG);
  log.extend({ records: 2 });
  const inFlight = log.reportText(log.segment(WRONG));
  log.configure({ rules: 2 });
  log.sign(inFlight, 'root', worker1);
  log.extend({ records: 1 }, 'accepted', worker2);
  log.claim();
  log.block();
  log.extend(WRONG, 'root');
  log.extend({ records: 0 });
  log.block('block', { withState: true });
  return log;
}

function backAgain(): Log {
  const log = new Log('From rules 2 back to rules 1', 'A configuration says which version is in force; the ledger key may go back, and then the older rules hold.', KNOWN);
  log.genesis({ rules: 2 }).claim();
  log.extend(WRONG, 'root');
  log.configure({ rules: 1 });
  log.extend(WRONG);
  log.configure({ rules: 2 });
  log.extend(WRONG, 'root');
  log.claim(alice);
  log.block();
  return log;
}

function notMine(): Log {
  const log = new Log('A change of rules that does not count', 'By a stranger, with a bad signature, out of its turn: the older rules stay in force.', KNOWN);
  log.genesis().claim();
  log.configure({ rules: 2 }, 'unknown-key', mallory);
  log.put(forged(log.configurationText({ rules: 2 }), ledgerKey), 'bad-signature');
  log.configure({ rules: 2, version: 3n }, 'version');
  log.extend(WRONG);
  return log;
}

/** The text of a configuration or genesis of a version that nobody knows. */
function newer(text: string): string {
  return text.replace(/^rules \d$/m, 'rules 2147483647\nshape round');
}

function unknown(): Log {
  const log = new Log('Rules that a reader of rules 2 does not know', 'Forged and misplaced ones are ignored by their reason; the one that counts is a stop.', KNOWN);
  log.genesis({ rules: 2 });
  log.sign(newer(log.configurationText()), 'unknown-key', mallory);
  log.put(forged(newer(log.configurationText()), ledgerKey), 'bad-signature');
  log.sign(newer(log.configurationText({ version: 2n })), 'version', ledgerKey);
  log.sign(newer(log.configurationText({ previous: OTHER })), 'previous', ledgerKey);
  log.extend();
  log.sign(newer(log.configurationText()), 'stop', ledgerKey);
  return log;
}

function olderReader(): Log {
  const log = new Log('An older reader meets rules 2', 'It knows rules 1 only: it folds what stands before, and stops at the configuration that brings rules 2 into force.');
  log.genesis().claim();
  const lie = log.segment(WRONG);
  log.report([lie, log.segment({ after: lie, change: { previous: segmentHash(lie) } })], 'accepted accepted');
  log.block();
  log.configure({ rules: 2 }, 'unknown-key', mallory);
  log.configure({ rules: 2 }, 'stop');
  return log;
}

export const rules = {
  'rules-2': second,
  'rules-2-order-of-checks': order,
  'rules-1-to-2': fromFirst,
  'rules-2-to-1': backAgain,
  'rules-2-not-in-force': notMine,
  'rules-2-unknown-rules': unknown,
  'rules-2-older-reader': olderReader,
};
