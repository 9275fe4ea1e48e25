/** Those who compare records with their lines: one in this process, or several in processes of their own. */
import { fork } from 'node:child_process';
import { fileURLToPath } from 'node:url';
import { systemClock, type LineChecker } from '@plait/ledger';
import { RecordChecker } from '@plait/roles';
import { ProcessChecker } from './check-protocol.ts';
import { openRecords, type PlaceOptions } from './places.ts';

/** A checker with connections of its own. Throws `config`, `unavailable`. */
export async function openChecker(place: PlaceOptions): Promise<LineChecker> {
  return new RecordChecker({ source: await openRecords(place), clock: systemClock });
}

/**
 * `count` checkers, in processes of their own if there are several: those start while they are asked already, and throw then
 * what opening them threw. Closed by `ports`. Throws as {@link openChecker}.
 */
export async function openCheckers(
  place: PlaceOptions, { count, ports }: { readonly count: number; readonly ports: AsyncDisposableStack },
): Promise<readonly LineChecker[]> {
  if (count === 1) return [ports.adopt(await openChecker(place), (checker) => checker.close())];
  return Array.from({ length: count }, () => ports.adopt(startProcess(place), (checker) => checker.close()));
}

/** Threads of one process would be in each other's way when they hash: two do 1.7 times as much as one. */
function startProcess({ bootstrapServer, commandConfig, logDir, logLevel }: PlaceOptions): ProcessChecker {
  const fromSource = import.meta.url.endsWith('.ts');
  const path = fileURLToPath(new URL(fromSource ? './check-process.ts' : './check-process.js', import.meta.url));
  // What this process warned of, the others need not say again.
  const place = { bootstrapServer, commandConfig, logDir, logLevel: logLevel === 'debug' || logLevel === 'trace' ? logLevel : 'error' };
  return new ProcessChecker(fork(path, [JSON.stringify(place)], {
    execArgv: fromSource ? ['--conditions=development'] : [], serialization: 'advanced', stdio: ['ignore', 'ignore', 'inherit', 'ipc'],
  }));
}
