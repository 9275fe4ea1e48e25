/** What `plait recover` makes of copies, state files and a damaged topic, without any Kafka. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { hashToText, height, logPosition, makeSignerKey, sha256, type Hash } from '@plait/core';
import { openCopy, readCopies, type CopyFile } from '@plait/disk';
import { markOf, type LogMessage, type LogReader, type OpenLog } from '@plait/roles';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { FILLER, RecoveredLog, verifyRecovered, type DamagedTopic } from '../../apps/plait/src/recovery/recover-log.ts';
import { chooseCopies, pinsOf, type Witness } from '../../apps/plait/src/recovery/recover-sources.ts';
import { History, quickVerify } from '../cold/history.ts';
import { ledgerKey, ORIGIN } from '../vectors/histories/builder.ts';

const owner = { origin: 'example.com/orders', ledgerKey: makeSignerKey('example.com/orders/ledger', new Uint8Array(32).fill(7)).verifier };
const hash = (text: string): Hash => hashToText(sha256(new TextEncoder().encode(text)));
const message = (position: number, of = 'old'): LogMessage => ({ position: logPosition(BigInt(position)), value: new TextEncoder().encode(`${of} ${position}`) });
/** Messages at positions; a negative one is of the log as it regrew. */
const messages = (positions: readonly number[]): LogMessage[] => positions.map((position) => (position < 0 ? message(-position, 'new') : message(position)));
const upTo = (end: number, from = 0): number[] => Array.from({ length: end - from }, (_, i) => from + i);

let root: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'plait-recover-'));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

let folders = 0;
async function copyOf(...runs: (readonly number[])[]): Promise<readonly CopyFile[]> {
  const folder = join(root, String((folders += 1)));
  for (const run of runs) {
    const copy = await openCopy(folder, owner);
    for (const each of messages(run)) copy.add(each);
    await copy.close();
  }
  return await readCopies(folder, owner);
}

function witness(path: string, newest: number, marks: readonly number[] = []): Witness {
  const [mark] = messages([newest]).map(markOf);
  return {
    ...(mark as ReturnType<typeof markOf>), path, origin: owner.origin, ledgerId: hash('genesis'), height: height(0n), header: undefined,
    marks: messages(marks).map(markOf),
  };
}

/** A topic that holds these, in memory. */
function topicOf(positions: readonly number[], logStart = 0): DamagedTopic {
  const held = messages(positions);
  const end = logPosition((held.at(-1)?.position ?? -1n) + 1n);
  const openLog: OpenLog = async (from) => {
    let next = from;
    const reader: LogReader = {
      poll: async () => {
        const some = held.filter(({ position }) => position >= next).slice(0, 3);
        next = some.length === 0 ? end : logPosition((some.at(-1) as LogMessage).position + 1n);
        return some;
      },
      position: () => next, end: async () => end, incarnation: () => 0, close: async () => undefined,
    };
    return reader;
  };
  return { openLog, logStart: BigInt(logStart) };
}

async function textsOf(log: RecoveredLog): Promise<string[]> {
  const texts: string[] = [];
  for await (const value of log.values(0n, 1_000)) texts.push(new TextDecoder().decode(value));
  return texts;
}
const filler = new TextDecoder().decode(FILLER);

async function recovered(files: readonly CopyFile[], witnesses: readonly Witness[], topic?: DamagedTopic): Promise<RecoveredLog> {
  const pins = pinsOf(witnesses);
  return await RecoveredLog.from((await chooseCopies(files, pins)).files, pins, topic);
}

describe('which copies count', () => {
  test('those that hold what is remembered; others are passed over', async () => {
    const files = [...(await copyOf(upTo(6))), ...(await copyOf([0, 1, 2, -3, -4, -5, -6]))];
    const chosen = await chooseCopies(files, pinsOf([witness('a.json', 5, [2])]));
    expect(chosen.files.map(({ last }) => last)).toEqual([5n]);
    expect(chosen.passedOver).toEqual([expect.stringContaining('a.json')]);
  });

  test('two that differ, and nothing is remembered that tells which is right: nobody guesses', async () => {
    const files = [...(await copyOf(upTo(6))), ...(await copyOf([0, 1, 2, -3]))];
    await expect(chooseCopies(files, pinsOf([witness('a.json', 2)]))).rejects.toMatchObject({ code: 'config', message: expect.stringContaining('position 3') });
  });

  test('one that lacks a message another has within its range differs, too', async () => {
    const files = [...(await copyOf(upTo(6))), ...(await copyOf([0, 1, 3]))];
    await expect(chooseCopies(files, new Map())).rejects.toMatchObject({ message: expect.stringContaining('position 2') });
  });

  test('state files of different pasts are named', () => {
    expect(() => pinsOf([witness('a.json', 5, [3]), witness('b.json', -5, [3])])).toThrow(/a\.json and b\.json.*position 5.*--forget/s);
    expect(pinsOf([witness('a.json', 5, [3]), witness('b.json', 7, [5, 3])]).size).toBe(3);
  });
});

test('what counted and is in no copy is missed though nobody remembers it, by what was written behind it', async () => {
  const history = new History();
  history.grow(30, { snapshotBlocks: 40 });
  const pinned = { origin: ORIGIN, ledgerKey: ledgerKey.verifier, verify: quickVerify };
  const copies = async (isKept: (position: bigint) => boolean): Promise<RecoveredLog> => {
    const folder = join(root, String((folders += 1)));
    const copy = await openCopy(folder, pinned);
    for (const each of history.messages) {
      if (isKept(each.position)) copy.add(each);
      else copy.begin();
    }
    await copy.close();
    return await recovered(await readCopies(folder, pinned), []);
  };
  expect(await verifyRecovered(await copies(() => true), pinned, [])).toMatchObject({ height: 30n });
  expect(await verifyRecovered(await copies((position) => position < 15n), pinned, [])).toHaveProperty('height');
  await expect(verifyRecovered(await copies((position) => position < 10n || position > 19n), pinned, []))
    .rejects.toMatchObject({ code: 'config', message: expect.stringContaining('positions 10 … 19 are in no copy') as string });
});

describe('the log as it is written anew', () => {
  test('has every message at its old position, from copies and from the topic before them, and fillers where nothing was', async () => {
    const log = await recovered(await copyOf([4, 5, 8]), [witness('a.json', 8)], topicOf([0, 1, 2, 3, 4, -5, -6, -7, -9]));
    expect(await textsOf(log)).toEqual(['old 0', 'old 1', 'old 2', 'old 3', 'old 4', 'old 5', filler, filler, 'old 8']);
    expect(log.end).toBe(9n);
    expect(log.prefixEnd).toBe(5n);
  });

  test('from a copy alone it has fillers before its first message', async () => {
    expect(await textsOf(await recovered(await copyOf([2, 3]), []))).toEqual([filler, filler, 'old 2', 'old 3']);
  });

  test('overlapping copies give each message once', async () => {
    const files = [...(await copyOf(upTo(4))), ...(await copyOf(upTo(7, 2))), ...(await copyOf([5]))];
    expect(await textsOf(await recovered(files, []))).toEqual(upTo(7).map((position) => `old ${position}`));
  });

  test('a message that is too large for a topic of ours, which every fold ignores, is a filler', async () => {
    const texts: string[] = [];
    for await (const value of (await recovered(await copyOf([0, 1]), [])).values(0n, 4)) texts.push(new TextDecoder().decode(value));
    expect(texts).toEqual([filler, filler]);
  });

  test.each([
    { name: 'ends below what is remembered', topic: upTo(4), end: 4, sureEnd: 3 },
    { name: 'differs at what is remembered', topic: [0, 1, 2, 3, 4, -5, -6], end: 5, sureEnd: 3 },
    { name: 'has nothing where something is remembered', topic: [0, 1, 2, 3, 4, 6], end: 5, sureEnd: 3 },
    { name: 'holds all that is remembered, and more', topic: upTo(9), end: 9, sureEnd: 9 },
  ])('a topic that $name is used as far as that shows', async ({ topic, end, sureEnd }) => {
    const log = await recovered([], [witness('a.json', 5, [2])], topicOf(topic));
    expect(log.prefixEnd).toBe(BigInt(end));
    expect(log.sureEnd).toBe(BigInt(sureEnd));
  });

  test('a topic whose beginning was deleted gives what it has behind copies of the beginning', async () => {
    const log = await recovered(await copyOf(upTo(3)), [], topicOf(upTo(6, 2), 2));
    expect(await textsOf(log)).toEqual(upTo(6).map((position) => `old ${position}`));
  });

  test('every reading of it begins where it was asked to, and ends at its end', async () => {
    const log = await recovered(await copyOf([0, 1, 4]), []);
    for (let from = 0; from <= 5; from += 1) {
      const reader = await log.open(logPosition(BigInt(from)));
      const found = await reader.poll({ maxWaitMs: 0 });
      expect(found.map(({ position }) => Number(position))).toEqual([0, 1, 4].filter((position) => position >= from));
      expect(reader.position()).toBe(5n);
      await reader.close();
    }
  });
});
