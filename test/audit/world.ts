/** A ledger as a simulated run left it, and a verification of it, or of what somebody made of it. */
import type { Aftermath, StillPartition } from '@plait/testkit';
import { simulate, stillClock, stillLog, StillSource } from '@plait/testkit';
import { verifyLedger, type VerifyOptions, type VerifyReport } from '@plait/ledger';
import type { LogMessage } from '@plait/roles';
import { cachedVerify, LEDGER_KEY, ORIGIN } from '../../packages/testkit/src/keyring.ts';

/** Log and partitions: all that a verification reads. */
export interface World {
  readonly messages: readonly LogMessage[];
  readonly partitions: readonly StillPartition[];
}

const verify = cachedVerify();

/** Verifies a world, by itself and at once. */
export async function verifyWorld({ messages, partitions }: World, options: VerifyOptions = {}): Promise<VerifyReport> {
  const clock = stillClock();
  return await verifyLedger({
    origin: ORIGIN, ledgerKey: LEDGER_KEY.verifier, openLog: stillLog(messages), openSource: async () => new StillSource(partitions, clock), clock, verify,
  }, options);
}

/** What a run of a seed left: without the messages that no role wrote, unless they are wanted. */
export async function worldOf(seed: string, { withHostile = false } = {}): Promise<World & { readonly hasTurmoil: boolean }> {
  let left: Aftermath | undefined;
  await simulate(seed, (aftermath) => {
    left = aftermath;
  });
  if (left === undefined) throw new Error('the run did not end');
  const { messages, isHostile, source, partitions, hasTurmoil } = left;
  return {
    hasTurmoil, messages: withHostile ? messages : messages.filter((message) => !isHostile(message)),
    partitions: partitions.map(({ topic, partition }) => {
      const [logStart, end] = [source.startOffset(topic, partition), source.endOffset(topic, partition)];
      return { topic, partition, logStart, end, records: source.records(topic, partition).filter(({ offset }) => offset >= logStart) };
    }),
  };
}
