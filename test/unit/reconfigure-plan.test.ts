/** The next configuration as a function of the one in force, the log and the wishes. */
import { generation, index, isPlaitError, makeSignerKey, offset, type Segment } from '@plait/core';
import { expect, test } from 'vitest';
import { changesOf, changeText } from '../../apps/plait/src/governing/configuration-changes.ts';
import { INDEX_MAX, planConfiguration } from '../../apps/plait/src/governing/reconfigure-plan.ts';
import { parseRestart, parseVoidWish, type Wishes } from '../../apps/plait/src/governing/reconfigure-wishes.ts';
import { bob, keyOf, Log, worker1 } from '../vectors/histories/builder.ts';

const NOTHING: Wishes = {
  add: { worker: [], coordinator: [], checkpoint: [] }, revoke: { worker: [], coordinator: [], checkpoint: [] },
  addTopics: [], removeTopics: [], restarts: [], voids: [],
};

/** Partition 0 has indexes 0 … 3, 3 … 5, 5 … 9 from offset 0 on; its topic holds 100 … 500 of partition 1. */
function ledger(): { log: Log; segments: Segment[] } {
  const log = new Log('', '').genesis();
  const segments: Segment[] = [];
  for (const records of [3, 2, 4]) {
    segments.push(log.segment({ records }));
    log.report(segments.at(-1) as Segment);
  }
  return { log, segments };
}

const offsets = new Map([['orders', [
  { partition: 0, logStart: offset(0n), end: offset(9n) }, { partition: 1, logStart: offset(100n), end: offset(500n) },
]]]);

/** The lines that tell what the wishes change, or why they are refused. */
function plan(wishes: Partial<Wishes>, { log, segments } = ledger(), force = false): readonly string[] | string {
  try {
    const next = planConfiguration({ ...NOTHING, ...wishes }, { state: log.state, offsets, segments, force });
    // What is planned must be what the fold takes.
    log.configure(next, 'configuration');
    return changesOf(new Log('', '').genesis().state.configuration.body, next).map((change) => changeText(change).trim());
  } catch (error) {
    if (!isPlaitError(error, 'config')) throw error;
    return error.message;
  }
}

const voids = (...texts: readonly string[]): Partial<Wishes> => ({ voids: texts.map(parseVoidWish) });
const restarts = (...texts: readonly string[]): Partial<Wishes> => ({ restarts: texts.map(parseRestart) });

test('a restart begins one generation above the greatest, at the log start, or where it is said', () => {
  expect(plan(restarts('orders/0'))).toEqual(['orders/0 begins generation 1 at offset 0']);
  expect(plan(restarts('orders/0@7'))).toEqual(['orders/0 begins generation 1 at offset 7']);
  // Of a partition of which nothing was said, generation 0 itself begins elsewhere.
  expect(plan(restarts('orders/1', 'orders/0'))).toEqual(['orders/0 begins generation 1 at offset 0', 'orders/1 begins generation 0 at offset 100']);
  expect(plan(restarts('orders/1@99'))).toContain('the partition begins at offset 100');
  expect(plan(restarts('orders/1@501'))).toContain('the partition ends at offset 500');
  const again = ledger();
  plan(restarts('orders/0'), again);
  expect(plan(restarts('orders/0'), again)).toEqual(['orders/0 begins generation 2 at offset 0']);
});

test('a void takes whole segments that were reported, and no later ones unless the partition restarts', () => {
  expect(plan(voids('orders/0:3-5'))).toEqual(['orders/0 void in generation 0: indexes 3 … 5']);
  expect(plan(voids('orders/0:0-9'))).toEqual(['orders/0 void in generation 0: indexes 0 … 9']);
  expect(plan(voids('orders/0:0-3', 'orders/0:5-9'))).toHaveLength(2);
  expect(plan(voids('orders/0:4-9'))).toContain('it cuts the segment of indexes 3 … 5');
  expect(plan(voids('orders/0:0-4'))).toContain('begin and end where segments do, here at 3 or 5');
  expect(plan(voids('orders/0:3-10'))).toContain("the partition's chain ends at index 9");
  expect(plan(voids('orders/0:3-'))).toContain('--restart orders/0');
  expect(plan(voids('orders/0:9-'))).toContain('--restart orders/0');
  expect(plan(voids('orders/0:0-3@1'))).toContain('the partition is in generation 0');
  expect(plan(voids('orders/0:0-5', 'orders/0:3-5'))).toContain('there is no such configuration');
});

test('a void and a restart of one partition go together: it begins again where the void does', () => {
  const wishes = { ...voids('orders/0:5-'), ...restarts('orders/0') };
  expect(plan(wishes)).toEqual(['orders/0 begins generation 1 at offset 5', 'orders/0 void in generation 0: all indexes from 5 on']);
  expect(plan({ ...wishes, ...restarts('orders/0@2') })).toContain('orders/0 begins generation 1 at offset 2');
  expect(plan({ ...wishes, ...voids('orders/0:9-') })).toContain('no segment was reported there');
  // An older generation is over: it may be declared void to its end at any time.
  const over = ledger();
  plan(restarts('orders/0'), over);
  expect(plan(voids('orders/0:5-@0'), over)).toEqual(['orders/0 void in generation 0: all indexes from 5 on']);
  expect(over.log.state.configuration.body.voids[0]?.nextIndex).toBe(INDEX_MAX);
  // Voids are repeated, and stay in order.
  expect(plan({ ...voids('orders/0:0-3@0'), onLoss: 'record' }, over)).toEqual([
    'on-loss stop → record', 'orders/0 void in generation 0: indexes 0 … 3', 'orders/0 void in generation 0: all indexes from 5 on',
  ]);
});

test('a segment without records is void where the range holds its index', () => {
  const { log, segments } = ledger();
  segments.push(log.segment({ records: 0, offsets: 2 }));
  log.report(segments.at(-1) as Segment);
  expect(plan({ ...voids('orders/0:9-'), ...restarts('orders/0') }, { log, segments })).toEqual([
    'orders/0 begins generation 1 at offset 9', 'orders/0 void in generation 0: all indexes from 9 on',
  ]);
});

test('keys are added and revoked by name, by name and id, or whole; the last one only by force', () => {
  const { vkey } = worker1.verifier;
  const id = vkey.slice(0, vkey.indexOf('+') + 9);
  for (const name of ['worker-1', id, vkey]) expect(plan({ revoke: { ...NOTHING.revoke, worker: [name] } })).toEqual([`- worker-key ${vkey}`]);
  expect(plan({ revoke: { ...NOTHING.revoke, worker: ['worker'] } })).toContain('there is no such worker key');
  const two = { ...NOTHING.revoke, worker: ['worker-1', 'worker-2'] };
  expect(plan({ revoke: two })).toContain('that revokes the last worker key');
  expect(plan({ revoke: two }, ledger(), true)).toHaveLength(2);
  expect(plan({ revoke: two, add: { ...NOTHING.add, worker: [keyOf('third').verifier] } })).toHaveLength(3);
  expect(plan({ add: { ...NOTHING.add, worker: [worker1.verifier] } })).toContain('it is a worker key already');
  expect(plan({ add: { ...NOTHING.add, checkpoint: [bob.verifier] } })).toContain('a checkpoint key is named as the ledger');
});

test('a name that two keys have is no name to revoke', () => {
  const { log } = ledger();
  const namesake = makeSignerKey('worker-1', keyOf('another').seed).verifier;
  expect(plan({ add: { ...NOTHING.add, worker: [namesake] } }, { log, segments: [] })).toEqual([`+ worker-key ${namesake.vkey}`]);
  const byName = plan({ revoke: { ...NOTHING.revoke, worker: ['worker-1'] } }, { log, segments: [] });
  expect(byName).toContain('2 worker keys have that name: give the whole key');
  const whole = plan({ revoke: { ...NOTHING.revoke, worker: [worker1.verifier.vkey] } }, { log, segments: [] });
  expect(whole).toEqual([`- worker-key ${worker1.verifier.vkey}`, `+ worker-key ${namesake.vkey}`]);
});

test('spellings of partitions and ranges', () => {
  expect(parseRestart('a.b/12@34')).toEqual({ topic: 'a.b', partition: 12, offset: 34n });
  expect(parseVoidWish('a/0:1-2@3')).toEqual({ topic: 'a', partition: 0, firstIndex: 1n, nextIndex: 2n, generation: 3n });
  expect(parseVoidWish('a/0:1-')).toEqual({ topic: 'a', partition: 0, firstIndex: index(1n) });
  expect(parseVoidWish('a/0:1-@3').generation).toBe(generation(3n));
  for (const text of ['a', 'a/', 'a/x', '/0', 'a/0@', 'a/0@-1', 'a/00', 'a/0/1', 'a b/0', 'a/99999999999']) expect(() => parseRestart(text), text).toThrow('--restart');
  for (const text of ['a/0', 'a/0:', 'a/0:1', 'a/0:-1', 'a/0:01-2', 'a/0:1-2@', '../0:1-2']) expect(() => parseVoidWish(text), text).toThrow('--void');
});
