import { PlaitError, type ErrorCode } from '@plait/core';
import { LeaseKeeper, type Clock, type Lease, type RoleEvent } from '@plait/roles';
import { expect, it } from 'vitest';

/** A keeper whose Redis answers with these failures, one after the other, and then grants. */
function keeperOf(failures: readonly PlaitError[]): { keeper: LeaseKeeper; events: RoleEvent[] } {
  const events: RoleEvent[] = [];
  const left = [...failures];
  const lease: Lease = {
    ttlMs: 1_000,
    acquire: async () => {
      const failure = left.shift();
      if (failure !== undefined) throw failure;
      return { extend: async () => true, release: async () => undefined };
    },
    close: async () => undefined,
  };
  const clock: Clock = { nowMs: () => 0, wallMs: () => 0, sleep: async () => undefined };
  const random = { uniform: () => 0, bytes: (count: number) => new Uint8Array(count) };
  return { keeper: new LeaseKeeper({ lease, clock, random, observe: (event) => void events.push(event) }), events };
}

const failed = (code: ErrorCode, message: string): PlaitError => new PlaitError(code, message);

it.each(['unavailable', 'config'] as const)('%s from Redis ends nobody and is told once', async (code) => {
  const { keeper, events } = keeperOf([failed(code, 'no'), failed(code, 'no'), failed(code, 'still no')]);
  for (let step = 0; step < 4; step++) await keeper.step();
  expect(events).toEqual([{ event: 'waiting', why: 'no' }, { event: 'waiting', why: 'still no' }, { event: 'lease', held: true }]);
  expect(keeper.held()).toBe(true);
});

it('any other failure is a bug, and ends it', async () => {
  const { keeper } = keeperOf([failed('invalid', 'what?')]);
  await expect(keeper.step()).rejects.toThrow('what?');
});
