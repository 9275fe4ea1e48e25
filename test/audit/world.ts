/** A ledger as a simulated run left it, and a verification of it, or of what somebody made of it. */
import { logPosition } from '@plait/core';
import type { Aftermath, StillPartition } from '@plait/testkit';
import { simulate, stillClock, stillLog, StillSource } from '@plait/testkit';
import { verifyLedger, type SignedCheckpoint, type VerifyOptions, type VerifyPorts, type VerifyReport } from '@plait/ledger';
import { readSignedCheckpoint, RecordChecker, type LineChecker, type LogMessage } from '@plait/roles';
import { cachedVerify, LEDGER_KEY, ORIGIN } from '../../packages/testkit/src/keyring.ts';

/** Log and partitions: all that a verification reads. */
export interface World {
  readonly messages: readonly LogMessage[];
  readonly partitions: readonly StillPartition[];
}

const verify = cachedVerify();

/** So many checkers of a world's records. */
export function checkersOf({ partitions }: World, count: number, clock = stillClock()): readonly LineChecker[] {
  return Array.from({ length: count }, () => new RecordChecker({ source: new StillSource(partitions, clock), clock }));
}

/** Verifies a world. */
export async function verifyWorld(
  world: World, options: VerifyOptions = {}, { checkers = 1, logStart = 0n, ...ports }: Partial<VerifyPorts> & { readonly checkers?: number; readonly logStart?: bigint } = {},
): Promise<VerifyReport> {
  const clock = stillClock();
  return await verifyLedger({
    origin: ORIGIN, ledgerKey: LEDGER_KEY.verifier, openLog: stillLog(world.messages, logStart), openSource: async () => new StillSource(world.partitions, clock), clock, verify,
    ...ports,
  }, { checkers: checkersOf(world, checkers, clock), ...options });
}

/** The checkpoints in a world's log, in order, whoever signed them. */
export function checkpointsIn({ messages }: World): readonly SignedCheckpoint[] {
  return messages.flatMap(({ value }) => {
    try {
      return [readSignedCheckpoint(value, 'kept')];
    } catch {
      return [];
    }
  });
}

/** What a run left: as it is, and without the messages that no role wrote. */
export interface Left {
  readonly world: World;
  readonly honest: World;
  /** Positions of those messages. */
  readonly hostile: ReadonlySet<bigint>;
  /** Whether topics expired, shrank or were made anew. */
  readonly hasTurmoil: boolean;
}

/** Runs a seed of the simulator. */
export async function worldOf(seed: number): Promise<Left> {
  let left: Aftermath | undefined;
  await simulate(seed, (aftermath) => {
    left = aftermath;
  });
  if (left === undefined) throw new Error('the run did not end');
  const { messages, isHostile, partitions, hasTurmoil } = left;
  return {
    world: { messages, partitions }, honest: { messages: messages.filter((message) => !isHostile(message)), partitions },
    hostile: new Set(messages.filter(isHostile).map(({ position }) => position)), hasTurmoil,
  };
}

/** With more messages at its end. */
export function behind({ messages, partitions }: World, ...values: readonly Uint8Array[]): World {
  const end = (messages.at(-1)?.position ?? -1n) + 1n;
  return { partitions, messages: [...messages, ...values.map((value, i) => ({ position: logPosition(end + BigInt(i)), value }))] };
}

/** With one more message about in the middle, at a position that no message had. */
export function inGap({ messages, partitions }: World, value: Uint8Array): World {
  const at = messages.findIndex(({ position }, i) => i > messages.length / 2 && position > (messages[i - 1]?.position ?? position) + 1n);
  return { partitions, messages: messages.toSpliced(at, 0, { position: logPosition((messages[at] as LogMessage).position - 1n), value }) };
}
