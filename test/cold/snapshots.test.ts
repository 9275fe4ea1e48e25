/** When a leader writes a snapshot, and that its chunks come into the log whatever happens to them. */
import {
  chunkCount, formatGenesis, generation, offset, parseMessage, signNote, stateHash, utf8Encode, type BlockHeader, type Snapshot, type Start,
} from '@plait/core';
import type { LogMessage } from '@plait/roles';
import { describe, expect, test } from 'vitest';
import { BODY, ledgerKey, ORIGIN } from '../vectors/histories/builder.ts';
import { History } from './history.ts';
import { World } from './world.ts';

function bodiesOf<K extends 'block' | 'snapshot'>(messages: readonly LogMessage[], kind: K): (K extends 'block' ? BlockHeader : Snapshot)[] {
  return messages.flatMap(({ value }) => {
    if (!new TextDecoder().decode(value.subarray(0, 40)).startsWith(`plait.${kind}/v1\n`)) return [];
    return [parseMessage(value).body as never];
  });
}

/** A ledger whose state takes several chunks: every partition's chain begins somewhere. */
function large(): History {
  const starts: Start[] = Array.from({ length: 4_000 }, (_, partition) => ({ topic: 'orders', partition, generation: generation(0n), offset: offset(1n + BigInt(partition)) }));
  return new History(signNote(formatGenesis({ kind: 'genesis', origin: ORIGIN, ...BODY, partitionsMax: 4_096, starts }), ledgerKey));
}

describe('a leader', () => {
  test('writes one after so many messages, whatever they are, and not again before as many', async () => {
    const world = new World(new History());
    const flood = (left: number): void => {
      world.log.land(utf8Encode(`noise ${left}${' '.repeat(500)}`));
      if (left > 0) world.scheduler.after(20, 'noise', () => flood(left - 1));
    };
    world.scheduler.after(5_000, 'noise', () => flood(500));
    expect(await world.lead(20_000, 100)).toBeUndefined();
    const withState = bodiesOf(world.log.messages, 'block').filter(({ state }) => state !== undefined);
    expect(withState.length).toBeGreaterThanOrEqual(3);
    expect(withState.length).toBeLessThanOrEqual(5);
    // Nothing was there to be numbered: they are empty, and each has its chunk.
    expect(withState.every(({ segments }) => segments === 0)).toBe(true);
    expect(new Set(bodiesOf(world.log.messages, 'snapshot').map(({ height }) => height))).toEqual(new Set(withState.map(({ height }) => height)));
  });

  test('and not before the log has grown by ten times the state', async () => {
    const history = large();
    const world = new World(history);
    for (let i = 0; i < 300; i += 1) world.log.land(utf8Encode(`noise ${i}`));
    await world.lead(20_000, 20);
    for (let i = 0; i < 300; i += 1) world.log.land(utf8Encode(`more noise ${i}`));
    await world.lead(20_000, 20);
    expect(bodiesOf(world.log.messages, 'block').filter(({ state }) => state !== undefined)).toHaveLength(1);
  });

  test('sends every chunk of a large state, again and again if they get lost', async () => {
    const world = new World(large(), { appendLost: 0.4, appendUnavailable: 0.2, appendAnswerLost: 0.1, appendDuplicated: 0.1 });
    for (let i = 0; i < 30; i += 1) world.log.land(utf8Encode(`noise ${i}`));
    expect(await world.lead(60_000, 20)).toBeUndefined();
    const [header] = bodiesOf(world.log.messages, 'block').filter(({ state }) => state !== undefined);
    const count = chunkCount(header?.state?.bytes ?? 0);
    expect(count).toBeGreaterThan(1);
    const chunks = bodiesOf(world.log.messages, 'snapshot').filter(({ height }) => height === header?.height);
    expect(new Set(chunks.map(({ chunk }) => chunk)).size).toBe(count);
    expect(await world.publish(5_000)).toBeUndefined();
    const { start } = await world.search();
    expect(start?.height).toBe(header?.height);
    const fold = new History(world.log.messages[0]?.value);
    for (const { value } of world.log.messages.slice(1)) {
      if (fold.end <= (start?.position ?? 0n)) fold.append(value);
    }
    expect(start && stateHash(start)).toBe(stateHash(fold.state));
  });
});
