/** What a role remembers of the log, and when it reads it again. */
import { formatBlock, hashToText, height, logPosition, PlaitError, sealBlock, sha256, type Hash } from '@plait/core';
import { Follower, markOf, thinMarks, type LogCopy, type LogMessage, type LogReader, type Mark, type Memory, type OpenLog, type Remembered, type RoleEvent } from '@plait/roles';
import { describe, expect, test } from 'vitest';
import { alice, ledgerKey, ORIGIN, worker1 } from '../vectors/histories/builder.ts';
import { History, quickly, quickVerify } from '../cold/history.ts';

const other: Hash = hashToText(sha256(new TextEncoder().encode('other')));

/** A log of messages that a test may exchange, a memory, a clock, and a follower over them. */
class Bench {
  messages: LogMessage[];
  incarnation = 0;
  nowMs = 0;
  /** How often a message was read again. */
  reread = 0;
  saved: Remembered | undefined;
  readonly forgotten: bigint[] = [];
  readonly copied: LogMessage[] = [];
  readonly events: RoleEvent[] = [];

  constructor(history: History) {
    this.messages = [...history.messages];
  }

  readonly openLog: OpenLog = async (from) => {
    this.reread += 1;
    return this.reader(from);
  };

  reader(from: bigint): LogReader {
    let next = logPosition(from);
    const end = () => logPosition((this.messages.at(-1)?.position ?? -1n) + 1n);
    return {
      poll: async () => {
        const found = this.messages.filter(({ position }) => position >= next);
        if (next < end()) next = end();
        return found;
      },
      position: () => next, end: async () => end(), incarnation: () => this.incarnation, close: async () => undefined,
    };
  }

  readonly memory: Memory = {
    load: async () => this.saved,
    save: async (remembered) => {
      this.saved = remembered;
    },
  };

  readonly copy: LogCopy = {
    begin: () => undefined, add: (message) => void this.copied.push(message), waitingBytes: 0, flush: async () => undefined,
    forgetUpTo: async (position) => void this.forgotten.push(position),
    messages: (from) => asyncOf(this.copied.filter(({ position }) => position >= from)), close: async () => undefined,
  };

  follower(more: { readonly copy?: LogCopy; readonly memory?: Memory } = {}): Follower {
    return new Follower({
      origin: ORIGIN, ledgerKey: ledgerKey.verifier, verify: quickVerify, log: this.reader(0n), openLog: this.openLog, memory: this.memory,
      clock: { nowMs: () => this.nowMs, wallMs: () => 0, sleep: async () => undefined }, observe: (event) => void this.events.push(event), ...more,
    });
  }
}

async function* asyncOf<T>(items: readonly T[]): AsyncGenerator<T, undefined> {
  yield* items;
}

function grown(blocks: number): History {
  const history = new History();
  history.grow(blocks, { snapshotBlocks: 40 });
  return history;
}

describe('a role remembers', () => {
  test('what it has folded, and a follower that starts again finds it and goes on', async () => {
    const history = grown(20);
    const bench = new Bench(history);
    const first = bench.follower();
    await first.poll(0);
    await first.remember();
    expect(bench.saved).toMatchObject({ position: history.end - 1n, height: 20n, ledgerId: history.state.ledgerId });
    history.grow(5, { snapshotBlocks: 40 });
    bench.messages = [...history.messages];
    const second = bench.follower();
    while (!(await second.readToEnd())) continue;
    await second.vouch();
    expect(bench.saved).toMatchObject({ position: history.end - 1n, height: 25n });
    expect(bench.saved?.marks.length).toBeGreaterThan(0);
  });

  test('what is about to be signed, also while an older save is under way', async () => {
    const history = grown(20);
    const bench = new Bench(history);
    const slow = Promise.withResolvers<void>();
    const follower = bench.follower({
      memory: {
        load: async () => undefined,
        save: async (remembered) => {
          if (bench.saved === undefined) await slow.promise;
          bench.saved = remembered;
        },
      },
    });
    const earlier = follower.poll(0).then(() => follower.remember());
    await new Promise((resolve) => setImmediate(resolve));
    const signed = { size: 20n, root: other };
    const vouched = follower.vouch(signed);
    slow.resolve();
    await Promise.all([earlier, vouched]);
    expect(bench.saved).toMatchObject({ checkpoint: signed });
  });

  test('the copy is not needed up to the cut of a state that is whole in the log and has its checkpoint', async () => {
    const history = grown(100);
    const bench = new Bench(history);
    const follower = bench.follower({ copy: bench.copy });
    await follower.poll(0);
    await follower.remember();
    expect(bench.forgotten).toEqual([history.snapshots.at(-1)?.header.cut]);
    expect(bench.copied).toHaveLength(history.messages.length);
  });

  test('a state without its checkpoint, or without a chunk, frees nothing', async () => {
    const history = new History();
    history.grow(100, { snapshotBlocks: 40, published: false });
    const bench = new Bench(history);
    const follower = bench.follower({ copy: bench.copy });
    await follower.poll(0);
    await follower.remember();
    expect(bench.forgotten).toEqual([]);
  });
});

describe('it reads the newest message again', () => {
  test('at the start, after each reconnect, and not otherwise', async () => {
    const bench = new Bench(grown(5));
    const follower = bench.follower();
    await follower.poll(0);
    const { reread } = bench;
    for (let i = 0; i < 5; i += 1) await follower.poll(0);
    expect(bench.reread).toBe(reread);
    expect(follower.confirmed).toBe(true);
    bench.incarnation += 1;
    expect(follower.confirmed).toBe(false);
    await follower.poll(0);
    expect(follower.confirmed).toBe(true);
    expect(bench.reread).toBe(reread + 1);
  });

  test('when the leader writes a block above the next height, at most once a second', async () => {
    const history = grown(5);
    const bench = new Bench(history);
    const follower = bench.follower();
    await follower.poll(0);
    expect(bench.reread).toBe(0);
    const next = sealBlock(history.state, { cut: history.state.position, wallMs: 1_700_000_000_000 });
    const reread: number[] = [];
    for (const nowMs of [0, 500, 1_500]) {
      bench.nowMs = nowMs;
      history.append(quickly(formatBlock({ ...next, height: height(BigInt(99 + nowMs)) }), alice));
      bench.messages = [...history.messages];
      await follower.poll(0);
      reread.push(bench.reread);
    }
    expect(reread).toEqual([1, 1, 2]);
  });

  test('not for such a block of somebody else', async () => {
    const history = grown(5);
    const next = sealBlock(history.state, { cut: history.state.position, wallMs: 1_700_000_000_000 });
    history.append(quickly(formatBlock({ ...next, height: height(99n) }), worker1));
    const bench = new Bench(history);
    await bench.follower().poll(0);
    expect(bench.reread).toBe(0);
  });
});

/** What a follower of `history` remembers. */
async function memoryOf(history: History): Promise<Remembered> {
  const bench = new Bench(history);
  const follower = bench.follower();
  await follower.poll(0);
  await follower.remember();
  return bench.saved as Remembered;
}

async function refusal(bench: Bench, follower: Follower): Promise<unknown> {
  for (let i = 0; i < 3; i += 1) await expect(follower.poll(0)).rejects.toMatchObject({ code: 'rolled-back' });
  await expect(follower.readToEnd()).rejects.toMatchObject({ code: 'rolled-back' });
  expect(follower.confirmed).toBe(false);
  expect(bench.events.filter((event) => event.event === 'alarm' && event.alarm === 'rolled-back')).toHaveLength(1);
  return await follower.poll(0).catch((error: unknown) => error);
}

describe('rolled back', () => {
  test('is a log that ends before what is remembered; the last common point is the newest mark that is left', async () => {
    const history = grown(30);
    const bench = new Bench(history);
    const marks = [25, 20, 10].map((at) => markOf(history.messages[at] as LogMessage));
    bench.saved = { ...(await memoryOf(history)), marks };
    bench.messages = history.messages.slice(0, 22);
    const { saved } = bench;
    expect(await refusal(bench, bench.follower())).toMatchObject({ details: { position: String(history.end - 1n), height: '30', common: '20' } });
    expect(bench.saved).toBe(saved);
  });

  test('is a log that differs where it is remembered, and with a copy the last common point is exact', async () => {
    const history = grown(30);
    const bench = new Bench(history);
    bench.saved = { ...(await memoryOf(history)), marks: [markOf(history.messages[10] as LogMessage)] };
    bench.copied.push(...history.messages);
    bench.messages = history.messages.map((message, at) => (at < 22 ? message : { ...message, value: new Uint8Array([at]) }));
    expect(await refusal(bench, bench.follower({ copy: bench.copy }))).toMatchObject({ details: { common: '21' } });
  });

  test('is named with its last common point also by a role that has folded everything at once', async () => {
    const history = grown(30);
    const bench = new Bench(history);
    const follower = bench.follower();
    await follower.poll(0);
    const blocks = history.messages.filter(({ value }) => new TextDecoder().decode(value).startsWith('plait.block/'));
    const [last, left] = [blocks.at(-1) as LogMessage, blocks.at(-5) as LogMessage];
    bench.messages = history.messages.filter(({ position }) => position <= left.position);
    bench.incarnation += 1;
    expect(await refusal(bench, follower)).toMatchObject({ details: { common: String(left.position) } });
    expect(last.position).toBeGreaterThan(left.position);
  });

  test.each([
    { name: 'another header at the height', change: { header: other } },
    { name: 'another tree at the size of the checkpoint', change: { checkpoint: { size: 7n, root: other } } },
    { name: 'another height at the position', change: { height: height(29n), header: other } },
  ])('is a fold that comes to $name than is remembered', async ({ change }) => {
    const history = grown(30);
    const bench = new Bench(history);
    bench.saved = { ...(await memoryOf(history)), ...change };
    await refusal(bench, bench.follower());
  });

  test('is a log that a running follower finds shorter, or other, after a reconnect; what it knew is saved', async () => {
    for (const left of [(all: readonly LogMessage[]) => all.slice(0, -3), (all: readonly LogMessage[]) => [...all.slice(0, -1), { ...(all.at(-1) as LogMessage), value: new Uint8Array(3) }]]) {
      const history = grown(30);
      const bench = new Bench(history);
      const follower = bench.follower();
      await follower.poll(0);
      bench.messages = left(bench.messages);
      bench.incarnation += 1;
      await refusal(bench, follower);
      expect(bench.saved?.position).toBe(history.end - 1n);
      bench.events.length = 0;
      await refusal(bench, bench.follower());
    }
  });
});

test('a log that another process with the same memory knew otherwise is rolled back, before anything is signed', async () => {
  const history = grown(30);
  const bench = new Bench(history);
  const later = await memoryOf(history);
  bench.messages = history.messages.slice(0, 22);
  const memory: Memory = {
    load: async () => bench.saved,
    save: async () => {
      bench.saved = later;
      throw new PlaitError('rolled-back', 'another past');
    },
  };
  const follower = bench.follower({ memory });
  const error = { code: 'rolled-back', details: { position: String(history.end - 1n), height: '30' } };
  await follower.poll(0);
  await expect(follower.vouch()).rejects.toMatchObject(error);
  await expect(follower.poll(0)).rejects.toMatchObject(error);
  expect(follower.confirmed).toBe(false);
});

test('marks are few, and never far from any distance', () => {
  let marks: readonly Mark[] = [];
  for (let position = 0n; position < 5_000n; position += 1n) {
    marks = [{ position: logPosition(position), message: other }, ...thinMarks(marks, logPosition(position))];
    expect(marks.length).toBeLessThanOrEqual(14);
    const distances = marks.map((mark) => Number(position - mark.position)).filter((distance) => distance > 0).toSorted((a, b) => a - b);
    for (let i = 1; i < distances.length; i += 1) expect((distances[i] as number) / (distances[i - 1] as number)).toBeLessThanOrEqual(4);
    if (position > 8n) expect(distances.at(-1)).toBeGreaterThanOrEqual(Number(position) / 4);
  }
});
