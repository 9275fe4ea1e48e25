/** A ledger with its roles on a Kafka and a Redis of its own, which a test may stop. */
import { launch, type Services } from '@plait/launcher';
import { makeLedger, type LedgerHarness } from './ledger-harness.ts';

/** The servers, and the ledger on them. */
export interface LaunchedLedger {
  readonly services: Services;
  readonly ledger: LedgerHarness;
}

/** Starts both; the roles are at work when it resolves. */
export async function launchLedger(partitions: number): Promise<LaunchedLedger> {
  const services = await launch({ mode: 'processes' });
  const ledger = await makeLedger({ partitions, place: services });
  await ledger.startRoles();
  return { services, ledger };
}

/** Ends the roles, which must end in good order, and the servers whatever happens. */
export async function endLedger({ services, ledger }: LaunchedLedger): Promise<void> {
  try {
    await ledger[Symbol.asyncDispose]();
  } finally {
    await services.stop();
  }
}
