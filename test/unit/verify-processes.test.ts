/** A checker in another process: nothing of lines, results and errors is lost on the way, and whatever happens, nobody waits for ever. */
import { MessageChannel } from 'node:worker_threads';
import { generation, hashToText, index, isPlaitError, offset, PlaitError, seq, sha256, type Hash } from '@plait/core';
import type { LineChecker, LineResult, LineStretch } from '@plait/ledger';
import { afterEach, describe, expect, test } from 'vitest';
import { ProcessChecker, serveChecks, type CheckAnswer, type CheckProcess, type CheckRequest } from '../../apps/plait/src/verifying/check-protocol.ts';

const hash: Hash = hashToText(sha256(new Uint8Array()));

function stretchOf(first: bigint): LineStretch {
  const range = { topic: 'orders', partition: 3, generation: generation(2n ** 60n), firstOffset: offset(first), nextOffset: offset(first + 5n), firstIndex: index(first), previous: hash };
  return {
    topic: 'orders', partition: 3, generation: generation(2n ** 60n), hasEnded: false, isSource: true,
    lines: [
      { firstSeq: seq(2n ** 62n), segment: { kind: 'segment', ...range, nextIndex: index(first + 5n), root: hash } },
      { firstSeq: seq(2n ** 62n + 5n), segment: { kind: 'loss', ...range, nextIndex: index(first + 1n) } },
    ],
  };
}

const wrong: LineResult = {
  kind: 'wrong', finding: { kind: 'differs', message: 'orders/3 differs', expected: 'a', found: 'b', leaves: new Uint8Array([1, 2, 3]), logStart: offset(2n ** 61n) },
};

/** The far end of a channel in this process, as a child would be seen. */
class Channel implements CheckProcess {
  readonly #channel = new MessageChannel();
  readonly #listeners = new Map<string, (...values: never[]) => void>();
  killed = 0;

  constructor(open: () => Promise<LineChecker>) {
    const { port1, port2 } = this.#channel;
    serveChecks({ send: (answer) => port2.postMessage(answer), on: (_event, listener) => port2.on('message', listener) }, open);
    port1.on('message', (answer: CheckAnswer) => this.tell('message', answer));
  }

  send(request: CheckRequest): void {
    this.#channel.port1.postMessage(request);
  }

  on(event: string, listener: (...values: never[]) => void): void {
    this.#listeners.set(event, listener);
  }

  tell(event: 'message' | 'error' | 'exit', ...values: readonly unknown[]): void {
    (this.#listeners.get(event) as ((...values: readonly unknown[]) => void) | undefined)?.(...values);
  }

  kill(signal: string): void {
    this.killed += 1;
    this.#channel.port1.close();
    this.tell('exit', null, signal);
  }
}

const open: ProcessChecker[] = [];
afterEach(async () => {
  for (const checker of open.splice(0)) await checker.close();
});

function checkerIn(check: LineChecker['check']): { checker: ProcessChecker; channel: Channel } {
  const channel = new Channel(async () => ({ check, close: async () => undefined }));
  const checker = new ProcessChecker(channel);
  open.push(checker);
  return { checker, channel };
}

const failure = async (promise: Promise<unknown>): Promise<unknown> => promise.then(() => undefined, (error: unknown) => error);

test('lines and results come through as they are', async () => {
  const seen: LineStretch[] = [];
  const { checker } = checkerIn(async (stretch) => {
    seen.push(stretch);
    return [{ kind: 'right' }, wrong];
  });
  expect(await checker.check(stretchOf(2n ** 62n))).toEqual([{ kind: 'right' }, wrong]);
  expect(seen).toEqual([stretchOf(2n ** 62n)]);
});

test('calls overlap, and each gets its own answer, in whatever order they come', async () => {
  const waiting: (() => void)[] = [];
  const { checker } = checkerIn(async ({ lines }) => {
    await new Promise<void>((resolve) => void waiting.push(resolve));
    return [{ kind: 'wrong', finding: { kind: 'silent', message: String(lines[0]?.segment.firstOffset) } }];
  });
  const asked = [1n, 2n, 3n].map((first) => checker.check(stretchOf(first)));
  await expect.poll(() => waiting.length, { timeout: 30_000 }).toBe(3);
  for (const resolve of waiting.toReversed()) resolve();
  const found = (await Promise.all(asked)).map(([result]) => (result?.kind === 'wrong' ? result.finding.message : ''));
  expect(found).toEqual(['1', '2', '3']);
});

describe('what goes wrong there is known here', () => {
  test('with its code, sentence and details, and the next call is served', async () => {
    let calls = 0;
    const { checker } = checkerIn(async () => {
      calls += 1;
      if (calls === 1) throw new PlaitError('unavailable', 'no broker answers', { details: { topic: 'orders', partition: 3 }, cause: new Error('deep') });
      return [];
    });
    const error = await failure(checker.check(stretchOf(0n)));
    if (!isPlaitError(error, 'unavailable')) throw new Error(String(error));
    expect([error.message, error.details]).toEqual(['no broker answers', { topic: 'orders', partition: 3 }]);
    expect(await checker.check(stretchOf(0n))).toEqual([]);
  });

  test('a bug with the stack of the process', async () => {
    const { checker } = checkerIn(async function checkThere() {
      throw new TypeError('oops');
    });
    const error = await failure(checker.check(stretchOf(0n)));
    expect(error).toMatchObject({ message: 'oops', stack: expect.stringContaining('checkThere') as string });
    expect(isPlaitError(error)).toBe(false);
  });

  test('that it could not begin', async () => {
    const channel = new Channel(async () => {
      throw new PlaitError('config', 'lacks a right');
    });
    const checker = new ProcessChecker(channel);
    open.push(checker);
    const asked = [checker.check(stretchOf(0n)), checker.check(stretchOf(1n))].map(failure);
    for (const error of [...(await Promise.all(asked)), await failure(checker.check(stretchOf(2n)))]) expect(error).toMatchObject({ code: 'config', message: 'lacks a right' });
  });

  test('that it could not begin yet, and what is asked later lets it try again', async () => {
    let tries = 0;
    const channel = new Channel(async () => {
      tries += 1;
      if (tries === 1) throw new PlaitError('unavailable', 'no broker answers');
      return { check: async () => [{ kind: 'right' }], close: async () => undefined };
    });
    const checker = new ProcessChecker(channel);
    open.push(checker);
    expect(await failure(checker.check(stretchOf(0n)))).toMatchObject({ code: 'unavailable', message: 'no broker answers' });
    expect(await checker.check(stretchOf(0n))).toEqual([{ kind: 'right' }]);
    expect(tries).toBe(2);
  });
});

describe('a process that ends', () => {
  test.each([
    ['error', [new Error('spawn EAGAIN')], /EAGAIN/], ['exit', [1, null], /ended with code 1$/], ['exit', [null, 'SIGKILL'], /ended by SIGKILL: .*fewer --workers/],
  ] as const)('by %s %s: all that waits fails, and what is asked later', async (event, values, says) => {
    const { checker, channel } = checkerIn(async () => new Promise(() => undefined));
    const asked = [checker.check(stretchOf(0n)), checker.check(stretchOf(1n))].map(failure);
    channel.tell(event, ...values);
    for (const error of [...(await Promise.all(asked)), await failure(checker.check(stretchOf(2n)))]) expect(String(error)).toMatch(says);
  });

  test('before it was open', async () => {
    const channel = new Channel(async () => new Promise(() => undefined));
    const checker = new ProcessChecker(channel);
    open.push(checker);
    const asked = checker.check(stretchOf(0n));
    channel.tell('exit', 13, null);
    await expect(asked).rejects.toThrow('ended with code 13');
  });

  test('by being closed, as often as one likes', async () => {
    const { checker, channel } = checkerIn(async () => new Promise(() => undefined));
    const asked = failure(checker.check(stretchOf(0n)));
    await checker.close();
    await checker.close();
    expect(String(await asked)).toContain('closed');
    expect(channel.killed).toBe(2);
    open.splice(0);
  });
});
