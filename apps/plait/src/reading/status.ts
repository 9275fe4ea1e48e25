/** `plait status`: how the ledger stands. */
import { Command, Option } from 'commander';
import { openLedger, openStateFile, systemClock } from '@plait/ledger';
import { loadLedger } from '../keys.ts';
import { makeLog } from '../log.ts';
import { bootstrapOption, countArgument, kafkaOptions, ledgerOption, logLevelOption, stateOption, type CommonOptions } from '../options.ts';
import { print } from '../output.ts';
import { statusJson, statusText } from './status-text.ts';
import { stopSignal } from '../stopping.ts';

const EXAMPLES = `
Offsets: "end" is where the partition ends, "reported" and "sequenced" below which it is reported and numbered. "lag" is
end − sequenced; it counts what readers do not see (transaction markers, aborted records) too. Status folds the log and
checks its signatures, but reads no records: that is what "plait read" does.

Examples:
  plait status -o json
  plait status --watch
`;

const WATCH_SECONDS = 1;
const WATCH_SECONDS_MAX = 86_400;
/** Clears the screen and goes to its upper left corner (ECMA-48, ED and CUP). */
const CLEAR = '\u001b[2J\u001b[H';

interface StatusOptions extends CommonOptions {
  /** Seconds, or true for the default. */
  readonly watch?: number | true;
  readonly output: 'text' | 'json';
  readonly state?: string;
}

/** The command. */
export function statusCommand(): Command {
  return new Command('status')
    .summary('show how the ledger stands')
    .description('Shows for each partition how far it is reported and sequenced, who leads, the last block\'s age, and what was ignored.')
    .option('--watch [seconds]', 'show it again every second, or as often as given', countArgument(1, WATCH_SECONDS_MAX))
    .addOption(new Option('-o, --output <format>', 'output format').choices(['text', 'json']).default('text'))
    .addOption(bootstrapOption())
    .addOption(ledgerOption())
    .addOption(stateOption())
    .addOption(logLevelOption())
    .addHelpText('after', EXAMPLES)
    .action(async (options: StatusOptions) => {
      const signal = stopSignal();
      const { brokers, ...kafka } = kafkaOptions(options, makeLog(options.logLevel));
      const memory = options.state === undefined ? {} : { memory: openStateFile(options.state) };
      await using ledger = await openLedger({ ...(await loadLedger(options.ledger)), ...memory, bootstrapServers: brokers, kafka });
      const everyMs = options.watch === undefined ? undefined : 1_000 * (options.watch === true ? WATCH_SECONDS : options.watch);
      const clear = everyMs !== undefined && process.stdout.isTTY ? CLEAR : '';
      for (;;) {
        const status = await ledger.status();
        await print(options.output === 'json' ? `${statusJson(status)}\n` : `${clear}${statusText(status)}`);
        if (everyMs === undefined) return;
        await systemClock.sleep(everyMs, signal);
        if (signal.aborted) return;
      }
    });
}
