/** A note of the ledger key that is appended while brokers come and go. */
import { formatConfiguration, PlaitError, signNote, type Configuration } from '@plait/core';
import type { Follower, LogAppender } from '@plait/roles';
import { afterEach, beforeEach, expect, test, vi } from 'vitest';
import { appendAndReadBack, requireCounts } from '../../apps/plait/src/governing/log-fold.ts';
import { readVerifierKey } from '../../apps/plait/src/governing/reconfigure-wishes.ts';
import { History } from '../cold/history.ts';
import { BODY, ledgerKey, ORIGIN, worker1 } from '../vectors/histories/builder.ts';

/** A log whose brokers do not answer for so many calls after an append, of which the answer is lost. */
function awayFor(calls: number): { appender: LogAppender; follower: Follower; readBack: () => string | undefined; appends: () => number } {
  let left = calls;
  let appends = 0;
  const away = (): void => {
    left -= 1;
    if (left >= 0) throw new PlaitError('unavailable', 'nobody answers');
  };
  return {
    appender: {
      append: async () => {
        appends += 1;
        if (appends === 1) throw new PlaitError('unknown', 'no answer');
        away();
      },
      close: async () => undefined,
    },
    follower: { poll: async () => away() } as unknown as Follower,
    readBack: () => (left < 0 ? 'there' : undefined),
    appends: () => appends,
  };
}

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

async function outcomeOf(promise: Promise<unknown>): Promise<unknown> {
  const outcome = promise.catch((error: unknown) => error);
  await vi.advanceTimersByTimeAsync(60_000);
  return await outcome;
}

test('brokers that are away for a while after the append are waited for', async () => {
  const log = awayFor(20);
  expect(await outcomeOf(appendAndReadBack(new Uint8Array(1), log))).toBe('there');
  expect(log.appends()).toBeGreaterThan(1);
});

test('brokers that stay away leave it unknown, with what to look at', async () => {
  const outcome = await outcomeOf(appendAndReadBack(new Uint8Array(1), awayFor(1_000_000)));
  expect(outcome).toMatchObject({ code: 'unknown', message: expect.stringContaining('plait history') });
});

test('a configuration that was signed elsewhere is appended only if it counts', () => {
  const { state } = new History();
  const next: Configuration = { kind: 'configuration', origin: ORIGIN, ledgerId: state.ledgerId, version: 1n, previous: state.configuration.hash, ...BODY };
  const counts = (change: Partial<Configuration>, key = ledgerKey): void => requireCounts(signNote(formatConfiguration({ ...next, ...change }), key), state);
  expect(() => counts({})).not.toThrow();
  expect(() => counts({ version: 2n })).toThrow(/would not count \(version\)/);
  expect(() => counts({}, worker1)).toThrow(/would not count/);
  expect(() => counts({ rules: 99 })).toThrow(/install a newer one/);
});

test('a secret key among the arguments is refused, and not repeated', async () => {
  const refused = await readVerifierKey('--add-worker-key', ` ${worker1.skey}`).catch((error: unknown) => error);
  expect(refused).toMatchObject({ code: 'config', message: expect.stringContaining('--add-worker-key: that is a secret key') });
  expect(String(refused)).not.toContain(worker1.skey.slice(-20));
  expect(await readVerifierKey('--add-worker-key', worker1.verifier.vkey)).toEqual(worker1.verifier);
});
