/** `plait publisher`: signs checkpoints. */
import { Command } from 'commander';
import { systemClock } from '@plait/ledger';
import { Publisher } from '@plait/roles';
import { observer } from '../log.ts';
import { stopSignal } from '../stopping.ts';
import { daemon, openLog, pinnedOf, roleSettings, runTogether, watched, withRoleOptions, type OpenRole, type RoleName, type RoleOptions, type RoleSettings } from './wiring.ts';

/** It signs once a second: how long a block may rest unread, ms. */
export const LOG_PACE_MS = 25;

const EXAMPLES = `
Run one or two: what they sign is a function of the blocks, the same text for the same size. Without one, blocks keep coming;
but starts take longer and longer, since only a checkpoint confirms the states that others start from.

Examples:
  plait publisher
  plait publisher --ledger ./plait --log-level debug
`;

/** The command. */
export function publisherCommand(): Command {
  return withRoleOptions(new Command('publisher'), 'checkpoint')
    .summary('sign checkpoints over the blocks')
    .description('Signs a checkpoint over the blocks at most once a second, and one for each block with a state. Stops in good order on Ctrl-C or SIGTERM.')
    .addHelpText('after', EXAMPLES)
    .action(async (options: RoleOptions) => {
      const signal = stopSignal();
      await daemon(options, async (log) => await runPublisher(await roleSettings('publisher', options, { log, signal })));
    });
}

/** Publishes until the signal aborts. Throws what ends a publisher. */
async function runPublisher(settings: RoleSettings): Promise<void> {
  await using ports = new AsyncDisposableStack();
  const publisher = await openPublisher('publisher')(settings, ports);
  await runTogether([publisher], { clock: systemClock, signal: settings.signal, observe: observer(settings.log) });
  await publisher.drain();
}

/** Opens a publisher for the process of a role. */
export function openPublisher(name: RoleName): OpenRole {
  return async (settings, ports) => {
    const { ledger, key, log } = settings;
    const { reader, appender, ...keeping } = await openLog(settings, ports, { paceMs: LOG_PACE_MS });
    const publisher = new Publisher({ ...pinnedOf(ledger), ...keeping, log: reader, key, appender, clock: systemClock, observe: observer(log) });
    return { ...watched(publisher, settings, name), drain: () => publisher.drain() };
  };
}
