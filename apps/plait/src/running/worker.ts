/** `plait worker`: hashes records and reports them. */
import { Command } from 'commander';
import { joinWorkerGroup, openSourceReader } from '@plait/kafka';
import { systemClock } from '@plait/ledger';
import { Worker } from '@plait/roles';
import { observer } from '../log.ts';
import { stopSignal } from '../stopping.ts';
import { daemon, openLog, pinnedOf, roleSettings, runTogether, watched, withRoleOptions, workerGroupId, type RoleOptions, type RoleSettings } from './wiring.ts';

/** A worker only looks whether its reports were taken: there is no hurry, and a request a message would cost more than hashing. */
const LOG_PACE_MS = 25;

const EXAMPLES = `
Run as many as you like: they share the partitions. Each may have a key of its own; a configuration names all of them.

Examples:
  plait worker
  plait worker --ledger ./plait --key ./plait/keys/worker.key
`;

/** The command. */
export function workerCommand(): Command {
  return withRoleOptions(new Command('worker'), 'worker')
    .summary('hash the records of the sources and report them')
    .description('Hashes the records of the partitions it is assigned and reports them as signed segments. Stops in good order on Ctrl-C or SIGTERM.')
    .addHelpText('after', EXAMPLES)
    .action(async (options: RoleOptions) => {
      const signal = stopSignal();
      await daemon(options, async (log) => await runWorker(await roleSettings('worker', options, { log, signal })));
    });
}

/** Works until the signal aborts; then reports what was hashed and leaves the group. Throws what ends a worker. */
async function runWorker(settings: RoleSettings): Promise<void> {
  const { kafka, ledger, key, signal } = settings;
  await using ports = new AsyncDisposableStack();
  const { reader, appender, ...keeping } = await openLog(settings, ports, { paceMs: LOG_PACE_MS, mayPassMemory: true });
  const source = ports.adopt(await openSourceReader({ kafka }), (port) => port.close());
  const membership = ports.adopt(joinWorkerGroup({ kafka, groupId: workerGroupId(ledger) }), (port) => port.leave());
  const observe = observer(settings.log);
  const worker = new Worker({
    ...pinnedOf(ledger), ...keeping, log: reader, key, appender, source, membership, clock: systemClock, observe,
  });
  await runTogether([watched(worker, settings, 'worker')], { clock: systemClock, signal, observe });
  const complete = await worker.drain();
  settings.log.info({ event: 'drained', complete }, complete ? 'reported everything that was hashed' : 'the log took no more reports in time: the next owner hashes again');
}
