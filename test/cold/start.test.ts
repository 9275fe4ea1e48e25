/** Cold starts over long histories: from the newest confirmed state, with no more reading than the distance to it asks for. */
import { stateHash } from '@plait/core';
import { beforeAll, describe, expect, test } from 'vitest';
import { History } from './history.ts';
import { ROLES, World, type Started } from './world.ts';

const BLOCKS = [1_000, 10_000, 100_000] as const;
/** What a start may read: windows of 1,024 and 2,048 to search, and the way from the state to the end, some 1,100 messages without a flood. */
const READ_MAX = 6_500;

const quiet = new Map<number, History>();
const flooded = new Map<number, History>();

beforeAll(() => {
  const history = new History();
  for (const blocks of BLOCKS) {
    // A little behind the newest snapshot, so that there is something to fold.
    history.grow(blocks + 100 - Number(history.state.height));
    quiet.set(blocks, history.copy());
    const under = history.copy();
    under.flood(1_000);
    flooded.set(blocks, under);
  }
}, 300_000);

function historyOf(of: ReadonlyMap<number, History>, blocks: number): History {
  const history = of.get(blocks);
  if (history === undefined) throw new Error(`no history of ${blocks} blocks`);
  return history;
}

describe.each([['as it is', quiet], ['behind 1,000 messages of noise, replays, blocks of an old epoch and the snapshot of a fenced leader', flooded]] as const)(
  'a log %s', (_, histories) => {
    test.each(ROLES)('a %s starts from the newest confirmed snapshot, and reads no more of a longer log', async (role) => {
      const read: number[] = [];
      for (const blocks of BLOCKS) {
        const history = historyOf(histories, blocks);
        const started: Started = await new World(history).start(role);
        const newest = history.snapshots.at(-1);
        expect(started.start?.height).toBe(newest?.header.height);
        expect(started.start && stateHash(started.start)).toBe(newest && stateHash(newest.state));
        expect(started.hash, 'the same state as a fold from position 0').toBe(stateHash(history.state));
        read.push(started.read);
      }
      expect(Math.max(...read)).toBeLessThan(READ_MAX);
      // The same for a thousand blocks as for a hundred thousand, but for what whole windows make of it.
      expect(Math.max(...read) - Math.min(...read)).toBeLessThan(1_500);
    }, 120_000);
  },
);

test('the fold from position 0 is the one that the histories were made with', async () => {
  const history = historyOf(flooded, 1_000);
  const blind = new History();
  expect(blind.end).toBe(2n);
  for (const { value } of history.messages.slice(2)) blind.append(value);
  expect(stateHash(blind.state)).toBe(stateHash(history.state));
});
