/** What a publisher signs: one text for each size, for what was read back, and for what extends all that it remembers. */
import { formatCheckpoint, hashToText, isPlaitError, messageHash, parseMessage, rangeRoot, sha256, signNote, type Checkpoint, type Hash } from '@plait/core';
import type { LogMessage, Memory, Remembered } from '@plait/roles';
import { describe, expect, test } from 'vitest';
import { checkpointKey, keyOf, ORIGIN } from '../vectors/histories/builder.ts';
import { History } from './history.ts';
import { World } from './world.ts';

const EVERY = 20;

/** Blocks with and without states, and no checkpoint. */
function unpublished(blocks: number): History {
  const history = new History();
  history.grow(blocks, { snapshotBlocks: EVERY, published: false });
  return history;
}

/** The checkpoints among messages, in order. */
function checkpointsOf(messages: readonly LogMessage[]): (Checkpoint & { readonly text: string })[] {
  return messages.flatMap(({ value }) => {
    const text = new TextDecoder().decode(value);
    if (!text.startsWith(`${ORIGIN}\n`)) return [];
    const message = parseMessage(value);
    return message.signed && message.body.kind === 'checkpoint' ? [{ ...message.body, text }] : [];
  });
}

/** A memory whose older values can be put back. */
function makeMemory(): { readonly memory: Memory; readonly saved: Remembered[] } {
  const saved: Remembered[] = [];
  return { saved, memory: { load: () => Promise.resolve(saved.at(-1)), save: async (remembered) => void saved.push(remembered) } };
}

test('one for each header with a state, however late, and one for the newest block', async () => {
  const history = unpublished(5 * EVERY + 7);
  const world = new World(history);
  expect(await world.publish(5_000)).toBeUndefined();
  const signed = checkpointsOf(world.log.messages);
  expect(signed.map(({ size }) => size)).toEqual([20n, 40n, 60n, 80n, 100n, 107n]);
  expect(signed.at(-1)?.root).toBe(hashToText(rangeRoot(history.state.history)));
  for (const { size, text } of signed) expect(text, `size ${size}`).toBe(new TextDecoder().decode(signNote(text.slice(0, text.indexOf('\n\n') + 1), checkpointKey)));
});

test('at most one in an interval while blocks keep coming', async () => {
  const world = new World(unpublished(3));
  const growing = unpublished(3);
  const grow = (): void => {
    const from = growing.messages.length;
    growing.block();
    for (const { value } of growing.messages.slice(from)) world.log.land(value);
    if (growing.state.height < 400n) world.scheduler.after(25, 'block', grow);
  };
  world.scheduler.after(10, 'block', grow);
  await world.publish(10_000, { times: { checkpointIntervalMs: 1_000 } });
  const signed = checkpointsOf(world.log.messages);
  expect(signed.length).toBeGreaterThanOrEqual(8);
  expect(signed.length).toBeLessThanOrEqual(12);
  expect(new Set(signed.map(({ size }) => size)).size).toBe(signed.length);
});

test('restarts, an older state file, two publishers: never two texts of one size', async () => {
  const history = unpublished(2 * EVERY);
  const world = new World(history, { appendAnswerLost: 0.2, appendLost: 0.2 });
  const memories = [makeMemory(), makeMemory()];
  const texts = new Map<bigint, Set<string>>();
  for (let round = 0; round < 12; round += 1) {
    const { memory, saved } = memories[round % 2] as (typeof memories)[number];
    // What publishers appended stands in the way of the next blocks, which name positions.
    for (const { value } of world.log.messages.slice(history.messages.length)) history.append(value);
    const from = history.messages.length;
    history.grow(7, { snapshotBlocks: EVERY, published: false });
    for (const { value } of history.messages.slice(from)) world.log.land(value);
    expect(await world.publish(2_500, { memory })).toBeUndefined();
    const newest = checkpointsOf(world.log.messages.slice(from)).at(-1);
    expect(saved.at(-1)?.checkpoint?.size, 'what was signed was remembered before').toBe(newest?.size ?? saved.at(-1)?.checkpoint?.size);
    if (round % 3 === 2) saved.length = Math.floor(saved.length / 2);
  }
  for (const { size, text } of checkpointsOf(world.log.messages)) texts.set(size, (texts.get(size) ?? new Set()).add(text));
  expect(texts.size).toBeGreaterThan(10);
  for (const [size, all] of texts) expect(all.size, `texts of size ${size}`).toBe(1);
});

/** Of a role that had folded all of it. */
function remembering({ state, messages }: History, checkpoint: { size: bigint; root: Hash }): Memory {
  const { position, value } = messages.at(-1) as LogMessage;
  const last = messages.findLast((message) => new TextDecoder().decode(message.value).startsWith('plait.block/v1\n')) as LogMessage;
  const text = new TextDecoder().decode(last.value);
  const held: Remembered = {
    origin: ORIGIN, ledgerId: state.ledgerId, height: state.height, header: messageHash(text.slice(0, text.indexOf('\n\n') + 1)),
    position, message: hashToText(sha256(value)), marks: [], checkpoint,
  };
  return { load: () => Promise.resolve(held), save: () => Promise.resolve() };
}

describe('nothing is signed', () => {
  test.each([
    ['has another root', (history: History) => ({ size: history.state.height - 2n, root: messageHash('another\n') })],
    ['is larger than the log', (history: History) => ({ size: history.state.height + 5n, root: messageHash('another\n') })],
  ])('when the remembered checkpoint %s', async (_, checkpoint) => {
    const history = unpublished(EVERY);
    const world = new World(history);
    const right = { size: history.state.height, root: hashToText(rangeRoot(history.state.history)) };
    expect(await new World(history).publish(5_000, { memory: remembering(history, right) }), 'with the right one').toBeUndefined();
    const ended = await world.publish(5_000, { memory: remembering(history, checkpoint(history)) });
    expect(isPlaitError(ended, 'rolled-back'), String(ended)).toBe(true);
    expect(checkpointsOf(world.log.messages)).toEqual([]);
  });

  test('while a checkpoint by a key in force contradicts the blocks', async () => {
    const world = new World(unpublished(EVERY));
    world.log.land(signNote(formatCheckpoint({ kind: 'checkpoint', origin: ORIGIN, size: 20n, root: messageHash('another\n') }), checkpointKey));
    const ended = await world.publish(5_000);
    expect(isPlaitError(ended, 'split-view'), String(ended)).toBe(true);
    expect(checkpointsOf(world.log.messages)).toHaveLength(1);
  });

  test('with a key that is not in force', async () => {
    const world = new World(unpublished(EVERY));
    expect(await world.publish(5_000, { key: keyOf('somebody') })).toBeUndefined();
    expect(checkpointsOf(world.log.messages)).toEqual([]);
  });
});
