/** Those who compare records with their lines: one in this process, or several in threads of their own. */
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { systemClock, type LineChecker } from '@plait/ledger';
import { RecordChecker } from '@plait/roles';
import { ThreadChecker } from './check-protocol.ts';
import { openRecords, type PlaceOptions } from './places.ts';

/** A checker with connections of its own. Throws `config`, `unavailable`. */
export async function openChecker(place: PlaceOptions): Promise<LineChecker> {
  return new RecordChecker({ source: await openRecords(place), clock: systemClock });
}

/**
 * `count` checkers, in threads if there are several: those begin while they are asked already, and throw then what opening them
 * threw. Closed by `ports`. Throws as {@link openChecker}.
 */
export async function openCheckers(
  place: PlaceOptions, { count, ports }: { readonly count: number; readonly ports: AsyncDisposableStack },
): Promise<readonly LineChecker[]> {
  if (count === 1) return [ports.adopt(await openChecker(place), (checker) => checker.close())];
  return Array.from({ length: count }, () => ports.adopt(startThread(place), (checker) => checker.close()));
}

function startThread({ logLevel, ...place }: PlaceOptions): ThreadChecker {
  const fromSource = import.meta.url.endsWith('.ts');
  const path = fileURLToPath(new URL(fromSource ? './check-thread.ts' : './check-thread.js', import.meta.url));
  // What this process warned of, its threads need not say again.
  const workerData: PlaceOptions = { ...place, logLevel: logLevel === 'debug' || logLevel === 'trace' ? logLevel : 'error' };
  return new ThreadChecker(new Worker(path, { workerData, execArgv: fromSource ? ['--conditions=development'] : [] }));
}
