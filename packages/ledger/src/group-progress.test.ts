import { describe, expect, test } from 'vitest';
import { height, PlaitError, seq, type Hash } from '@plait/core';
import type { Hold } from '@plait/kafka';
import { GroupProgress, type Wanted } from './group-progress.ts';
import { formatProgress, parseProgress } from './progress.ts';

const wanted = (nextSeq: number): Wanted => ({ nextSeq: seq(BigInt(nextSeq)), offset: BigInt(nextSeq), metadata: '' });
const holdOf = (partition: number): { topic: string; partition: number; state: Hold['state'] } => ({ topic: 'orders', partition, state: 'held' });

/** A broker that answers when it is told to. */
class Broker {
  readonly requests: { readonly seqs: Record<number, bigint>; answer(error?: Error): void }[] = [];

  async commit(commits: readonly { readonly hold: Hold; readonly offset: bigint }[]): Promise<void> {
    const lost = commits.find(({ hold }) => hold.state === 'lost');
    if (lost !== undefined) throw new PlaitError('fenced', `${lost.hold.partition} is lost`);
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const seqs = Object.fromEntries(commits.map(({ hold, offset }) => [hold.partition, offset]));
    this.requests.push({ seqs, answer: (error) => (error === undefined ? resolve() : reject(error)) });
    await promise;
  }

  async next(count: number): Promise<void> {
    await expect.poll(() => this.requests.length, { timeout: 30_000 }).toBe(count);
  }
}

describe('commits of a reading', () => {
  test('those of one turn are one request; later ones wait for it and go together', async () => {
    const broker = new Broker();
    const progress = new GroupProgress(broker);
    const hold = holdOf(0);
    const first = [3, 1, 2].map((n) => progress.commit(hold, wanted(n)));
    await broker.next(1);
    const second = [5, 9, 4].map((n) => progress.commit(hold, wanted(n)));
    broker.requests[0]?.answer();
    await Promise.all(first);
    await broker.next(2);
    broker.requests[1]?.answer();
    await Promise.all(second);
    expect(broker.requests.map(({ seqs }) => seqs[0])).toEqual([3n, 9n]);
    await progress.commit(hold, wanted(7));
    expect(broker.requests.length).toBe(2);
  });

  test('one that fails is told to those who wait for it, and the next is tried anew', async () => {
    const broker = new Broker();
    const progress = new GroupProgress(broker);
    const hold = holdOf(0);
    const failing = progress.commit(hold, wanted(3));
    await broker.next(1);
    const later = progress.commit(hold, wanted(4));
    broker.requests[0]?.answer(new PlaitError('unknown', 'no answer'));
    await expect(failing).rejects.toMatchObject({ code: 'unknown' });
    await broker.next(2);
    broker.requests[1]?.answer();
    await later;
    await progress.settle();
  });

  test('of several holds a lost one is fenced, and the others are committed', async () => {
    const broker = new Broker();
    const progress = new GroupProgress(broker);
    const [lost, kept] = [holdOf(0), holdOf(1)];
    lost.state = 'lost';
    const commits = Promise.allSettled([progress.commit(lost, wanted(3)), progress.commit(kept, wanted(4))]);
    await broker.next(1);
    broker.requests[0]?.answer();
    expect((await commits).map(({ status }) => status)).toEqual(['rejected', 'fulfilled']);
    expect(broker.requests[0]?.seqs).toEqual({ 1: 4n });
  });
});

test('progress has one spelling, and everything else is not ours', () => {
  const hash = `${'A'.repeat(43)}=` as Hash;
  const progress = { ledgerId: hash, nextSeq: seq(12n), height: height(3n), header: hash };
  const text = formatProgress(progress);
  expect(text).toBe(`plait.progress/v1 ${hash} 12 3 ${hash}`);
  expect(parseProgress(text)).toEqual(progress);
  const others = ['', 'x', `${text} `, ` ${text}`, text.slice(0, -1), text.replace('/v1', '/v2'), text.replace(' 12 ', ' 012 '), text.replace(' 3 ', ' -3 '), text.replace(' ', '  ')];
  for (const other of others) expect(parseProgress(other), other).toBeUndefined();
});
