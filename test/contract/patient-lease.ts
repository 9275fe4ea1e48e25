/** The lease as a coordinator uses it: what Redis did not answer in time is asked again. */
import { openLease, type LeaseOptions } from '@plait/redis';
import type { HeldLease, Lease } from '@plait/roles';
import { onceAvailable } from '../kafka/patient.ts';

/** As openLease; its calls, each of which has half a second, are made again while there is no answer. */
export async function openPatientLease(options: LeaseOptions): Promise<Lease> {
  const lease = await openLease(options);
  return {
    ttlMs: lease.ttlMs,
    acquire: () => onceAvailable(async () => {
      const held = await lease.acquire();
      return held === undefined ? undefined : patient(held);
    }),
    close: () => lease.close(),
  };
}

const patient = (held: HeldLease): HeldLease => ({ extend: () => onceAvailable(() => held.extend()), release: () => held.release() });
