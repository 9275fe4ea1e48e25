/** Leaves that `plait serve --leaves` keeps, for commands that look at them. */
import { openLeaves } from '@plait/disk';
import type { LeavesOf, LedgerFile } from '@plait/ledger';
import type { LeafStore } from '@plait/roles';
import type { Log } from '../log.ts';
import { pinnedOf } from '../running/wiring.ts';

/** Opens the leaves of a folder to look things up in; says which are damaged. Throws `config`, `unavailable`. */
export async function openKeptLeaves(folder: string, ledger: LedgerFile, log: Log): Promise<LeafStore> {
  return await openLeaves(folder, pinnedOf(ledger), { readOnly: true, onDamaged: (message) => log.warn({ event: 'damaged' }, message) });
}

/** The leaves of one segment after the other, out of a store. */
export function leavesIn(store: LeafStore): LeavesOf {
  return (segment) => Promise.resolve(store.leavesOf(segment));
}
