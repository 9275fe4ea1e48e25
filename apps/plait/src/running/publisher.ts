/** `plait publisher`: signs checkpoints. */
import { Command } from 'commander';
import { systemClock } from '@plait/ledger';
import { Publisher } from '@plait/roles';
import { observer } from '../log.ts';
import { stopSignal } from '../stopping.ts';
import { daemon, openLog, pinnedOf, roleSettings, runTogether, watched, withRoleOptions, type RoleOptions, type RoleSettings } from './wiring.ts';

/** It signs once a second: how long a block may rest unread. */
const LOG_PACE_MS = 25;

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
  const { ledger, key, signal } = settings;
  await using ports = new AsyncDisposableStack();
  const { reader, appender, ...keeping } = await openLog(settings, ports, { paceMs: LOG_PACE_MS });
  const observe = observer(settings.log);
  const publisher = new Publisher({ ...pinnedOf(ledger), ...keeping, log: reader, key, appender, clock: systemClock, observe });
  await runTogether([watched(publisher, settings, 'publisher')], { clock: systemClock, signal, observe });
  await publisher.drain();
}
