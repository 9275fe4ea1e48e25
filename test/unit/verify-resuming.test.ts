/** Going on with an interrupted verification: only over the same log, and what nobody could check stays unchecked. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generation, height, index, logPosition, offset, seq } from '@plait/core';
import { loadVerifyProgress, type VerifyProgressMark } from '@plait/disk';
import type { VerifyProgress } from '@plait/ledger';
import type { LogMessage, LogReader } from '@plait/roles';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { digesting, LogDigest, OtherLog, ProgressKeeper } from '../../apps/plait/src/verifying/resuming.ts';

const message = (position: bigint, text: string): LogMessage => ({ position: logPosition(position), value: new TextEncoder().encode(text) });
/** With gaps, as a log has them. */
const MESSAGES = [message(0n, 'genesis'), message(1n, 'claim'), message(3n, 'report'), message(4n, 'block'), message(7n, '')];

/** A log that hands out its messages `size` at a time, and ends one above the last of them. */
function logOf(messages: readonly LogMessage[], size: number): LogReader {
  let next = 0;
  const end = () => logPosition((messages.at(-1)?.position ?? -1n) + 1n);
  return {
    poll: async () => messages.slice(next, (next += size)),
    position: () => messages[next]?.position ?? end(), end: async () => end(), incarnation: () => 5, close: async () => undefined,
  };
}

async function readAll(log: LogReader): Promise<readonly LogMessage[]> {
  const all: LogMessage[] = [];
  while (log.position() < (await log.end())) all.push(...(await log.poll({ maxWaitMs: 0 })));
  return all;
}

/** What a run would save that read the messages below `position`. */
function markAt(position: bigint, messages: readonly LogMessage[] = MESSAGES): VerifyProgressMark {
  const digest = new LogDigest();
  for (const each of messages) if (each.position < position) digest.add(each);
  return { origin: 'example.com/orders', timeMs: 0n, firstSeq: seq(0n), nextSeq: seq(10n), position: logPosition(position), digest: digest.value };
}

const progress = (nextSeq: bigint): VerifyProgress => ({ messages: 0n, position: logPosition(0n), end: logPosition(8n), records: 0n, nextSeq: seq(nextSeq) });

/** The first range that could not be read any more. */
const FIRST = {
  kind: 'expired-or-deleted', message: 'gone', topic: 'orders', partition: 0, generation: generation(0n), firstIndex: index(0n), nextIndex: index(3n), firstOffset: offset(0n),
  nextOffset: offset(3n), firstSeq: seq(0n), nextSeq: seq(3n), height: height(0n), position: logPosition(4n), expected: 'them', found: 'nothing', causes: [],
} as const;

describe('the log', () => {
  test('passes as it is where it begins with what was read, whatever was read at once', async () => {
    for (const size of [1, 2, 5]) {
      for (let position = 0n; position <= 8n; position += 1n) {
        const digest = new LogDigest();
        expect(await readAll(digesting(logOf(MESSAGES, size), digest, markAt(position)))).toEqual(MESSAGES);
        expect([digest.position, digest.value]).toEqual([8n, markAt(8n).digest]);
      }
    }
  });

  test('is another one if any message before is other, elsewhere, missing or more', async () => {
    const others = MESSAGES.flatMap((each, at) => [
      MESSAGES.with(at, message(each.position, 'other')), MESSAGES.toSpliced(at, 1),
      ...(at === 2 ? [MESSAGES.with(at, message(2n, 'report')), MESSAGES.toSpliced(at, 0, message(2n, 'more'))] : []),
    ]);
    for (const other of others) {
      for (const size of [1, 2, 5]) await expect(readAll(digesting(logOf(other, size), new LogDigest(), markAt(8n)))).rejects.toThrow(OtherLog);
    }
    // What comes behind is not its matter.
    for (const other of others) expect(await readAll(digesting(logOf(other, 2), new LogDigest(), markAt(0n)))).toEqual(other);
  });

  test('is another one if it ends before, though all that it holds is the same', async () => {
    await expect(readAll(digesting(logOf(MESSAGES.slice(0, 3), 2), new LogDigest(), markAt(8n)))).rejects.toThrow('ends at position 4, before position 8');
  });
});

describe('progress', () => {
  let folder: string;
  beforeAll(() => {
    folder = mkdtempSync(join(tmpdir(), 'plait-resuming-'));
  });
  afterAll(() => rmSync(folder, { recursive: true, force: true }));

  test('is saved with what was read, and with what could not be read', async () => {
    const path = join(folder, 'gone', 'progress.json');
    const digest = new LogDigest();
    for (const each of MESSAGES) digest.add(each);
    const keeper = new ProgressKeeper(path, { origin: 'example.com/orders', firstSeq: seq(0n) }, { digest });
    expect(await keeper.save()).toBeUndefined();
    const newest = { ...progress(10n), gone: { seqs: 3n, first: FIRST } };
    keeper.update(newest);
    expect(await keeper.save()).toBe(newest);
    expect(await loadVerifyProgress(path)).toMatchObject({ firstSeq: 0n, nextSeq: 10n, gone: { seqs: 3n, first: FIRST }, position: 8n, digest: markAt(8n).digest });
  });

  test('of a run that goes on replaces what it goes on from only once it has come further', async () => {
    const path = join(folder, 'further', 'progress.json');
    const before = { nextSeq: seq(10n), gone: { seqs: 3n, first: FIRST } };
    const keeper = new ProgressKeeper(path, { origin: 'example.com/orders', firstSeq: seq(0n) }, { digest: new LogDigest(), before });
    for (const nextSeq of [0n, 2n, 10n]) {
      keeper.update({ ...progress(nextSeq), gone: before.gone });
      expect(await keeper.save()).toBe(before);
      expect(await loadVerifyProgress(path)).toBeUndefined();
    }
    keeper.update({ ...progress(11n), gone: { ...before.gone, seqs: 4n } });
    expect(await keeper.save()).toMatchObject({ nextSeq: 11n });
    expect(await loadVerifyProgress(path)).toMatchObject({ nextSeq: 11n, gone: { seqs: 4n } });
  });

  test('of a run that came to its end is gone, also while it is being saved', async () => {
    const path = join(folder, 'end', 'progress.json');
    const keeper = new ProgressKeeper(path, { origin: 'example.com/orders', firstSeq: seq(0n) }, { digest: new LogDigest() });
    keeper.update(progress(10n));
    await keeper.end();
    expect(await loadVerifyProgress(path)).toBeUndefined();
  });
});
