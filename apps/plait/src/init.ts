/** `plait init`: keys, the log's topic, genesis. */
import { Command, Option } from 'commander';
import { ENTRIES_MAX, parseOrigin, parseTopic, PARTITIONS_MAX, PENDING_MAX, PlaitError } from '@plait/core';
import type { KafkaOptions } from '@plait/kafka';
import type { LedgerFile } from '@plait/ledger';
import { exists, keyPath, KEY_ROLES, ledgerFilePath } from './keys.ts';
import { createLedger, type LedgerPlan } from './create-ledger.ts';
import { makeLog, type Log } from './log.ts';
import { bootstrapOption, countArgument, kafkaOptions, ledgerOption, logLevelOption, optionValue, type CommonOptions } from './options.ts';
import { printLine, programName } from './output.ts';

const EXAMPLES = `
The topics stay as they are. The log is one topic beside them, of one partition, that must be empty or not there yet.
If init is interrupted, run the same command again: it goes on where it was.

Examples:
  plait init --topic orders --bootstrap-server localhost:9092
  plait init --topic orders --topic payments --origin example.com/shop --from latest --replication 3
`;

const REPLICATION_MAX = 32_767;
const PARTITIONS_DEFAULT = 1_024;
const PENDING_DEFAULT = 256;

interface InitOptions extends CommonOptions {
  readonly topic?: readonly string[];
  readonly origin?: string;
  readonly log?: string;
  readonly from: 'earliest' | 'latest';
  readonly replication?: number;
  readonly partitionsMax: number;
  readonly pendingMax: number;
}

/** The command. */
export function initCommand(): Command {
  return new Command('init')
    .summary('create a ledger over topics')
    .description('Creates a ledger over existing topics: makes its keys, its log\'s topic and the genesis, and writes ledger.json.')
    .option('--topic <topic...>', 'source topics; may be repeated')
    .option('--origin <name>', 'the ledger\'s unique name, like example.com/orders (default: ledger.local/<first topic>)')
    .option('--log <topic>', 'topic of the ledger\'s log (default: <first topic>.plait)')
    .addOption(new Option('--from <where>', 'order what the topics hold already, or only what comes from now on').choices(['earliest', 'latest']).default('earliest'))
    .option('--replication <n>', 'replication factor of the log (default: the brokers\')', countArgument(1, REPLICATION_MAX))
    .option('--partitions-max <n>', 'partition numbers of each topic stay below this', countArgument(1, PARTITIONS_MAX), PARTITIONS_DEFAULT)
    .option('--pending-max <n>', 'segments of one partition that may wait for a block', countArgument(1, PENDING_MAX), PENDING_DEFAULT)
    .addOption(bootstrapOption())
    .addOption(ledgerOption())
    .addOption(logLevelOption())
    .addHelpText('after', EXAMPLES)
    .action(async (options: InitOptions) => {
      const log = makeLog(options.logLevel);
      const { file, ledgerId } = await initLedger(planOf(options), { folder: options.ledger, kafka: kafkaOptions(options, log), log });
      for (const line of summary(options.ledger, file, ledgerId)) printLine(line);
    });
}

function planOf(options: InitOptions): LedgerPlan {
  const [first, ...more] = options.topic ?? [];
  if (first === undefined) throw new PlaitError('config', 'no topic: name the topics to order with --topic TOPIC');
  return makePlan([first, ...more], options);
}

/** What a ledger over `topics` shall be, with the defaults filled in. Throws `config` for impossible names. */
export function makePlan(
  topics: readonly [string, ...string[]],
  options: Partial<Pick<InitOptions, 'origin' | 'log' | 'from' | 'replication' | 'partitionsMax' | 'pendingMax'>> = {},
): LedgerPlan {
  const sources = [...new Set(topics.map((topic) => optionValue('--topic', () => parseTopic(topic))))].toSorted();
  const log = optionValue('--log', () => parseTopic(options.log ?? `${topics[0]}.plait`));
  if (sources.includes(log)) throw new PlaitError('config', `--log: ${log} is one of the sources; the log needs a topic of its own`);
  return {
    sources, log, from: options.from ?? 'earliest',
    origin: optionValue('--origin', () => parseOrigin(options.origin ?? `ledger.local/${topics[0]}`)),
    partitionsMax: options.partitionsMax ?? PARTITIONS_DEFAULT,
    pendingMax: options.pendingMax ?? PENDING_DEFAULT,
    entriesMax: ENTRIES_MAX,
    ...(options.replication === undefined ? {} : { replication: options.replication }),
  };
}

/** Creates the ledger and its folder. Throws `config`, also when the folder holds a ledger already; `unavailable`. */
export async function initLedger(
  plan: LedgerPlan, options: { readonly folder: string; readonly kafka: KafkaOptions; readonly log: Log },
): Promise<{ file: LedgerFile; ledgerId: string }> {
  const path = ledgerFilePath(options.folder);
  if (await exists(path)) {
    throw new PlaitError('config', `the folder ${options.folder} holds a ledger already (${path}): name another folder with --ledger; ` +
      'a ledger is created once');
  }
  return await createLedger(plan, options);
}

function summary(folder: string, { origin, log }: LedgerFile, ledgerId: string): string[] {
  return [
    `created the ledger ${origin}`,
    `  id    ${ledgerId}`,
    `  log   ${log}`,
    `  file  ${ledgerFilePath(folder)}`,
    ...KEY_ROLES.map((role) => `  key   ${keyPath(folder, role)}`),
    '',
    `Keep ${keyPath(folder, 'ledger')} offline from now on: no running process needs it, and whoever has it rules the ledger.`,
    'Next, in a shell each:',
    `  ${programName()} worker`,
    `  ${programName()} coordinator`,
    `  ${programName()} read --follow`,
  ];
}
