/** `plait init`: keys, the log's topic, genesis. */
import { Command, Option } from 'commander';
import { ENTRIES_MAX, parseGenesis, parseOrigin, parseTopic, PARTITIONS_MAX, PENDING_MAX, PlaitError, RULES_VERSION } from '@plait/core';
import type { KafkaOptions } from '@plait/kafka';
import type { LedgerFile } from '@plait/ledger';
import { exists, keyPath, KEY_ROLES, ledgerFilePath, ONLINE_ROLES, type KeyRole } from '../keys.ts';
import { createLedger, createSignedLedger, genesisText, type LedgerPlan, type SignedGenesis } from './create-ledger.ts';
import { makeLog, type Log } from '../log.ts';
import { bootstrapOption, countArgument, kafkaOptions, ledgerOption, logLevelOption, optionValue, type CommonOptions } from '../options.ts';
import { printLine, programName } from '../output.ts';
import { readVerifierKey } from './reconfigure-wishes.ts';
import { readSigned, SIGNED_SUFFIX, writeForSigning } from './signing.ts';
import { successionOf, type Succession } from '../recovery/succession.ts';

const EXAMPLES = `
The topics stay as they are. The log is one topic beside them, of one partition, that must be empty or not there yet.
If init is interrupted, run the same command again: it goes on where it was. The ledger key may live on another machine:
--write-text FILE here, "plait keys sign" there, --signed FILE here.

Examples:
  plait init --topic orders
  plait init --topic orders --from latest --log orders.second --origin example.com/orders --ledger ./second
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
  readonly rules: number;
  readonly writeText?: string;
  readonly signed?: string;
  readonly ledgerKey?: string;
  readonly succeeds?: string;
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
    .option('--rules <version>', 'version of the rules', countArgument(1, RULES_VERSION), RULES_VERSION)
    .addOption(new Option('--write-text <file>', 'make the keys but the ledger key, and write the genesis to sign, for "plait keys sign" on the machine that has it').conflicts('signed'))
    .addOption(new Option('--signed <file>', 'create the ledger with the genesis that "plait keys sign" made').conflicts([...SAID_BY_GENESIS]))
    .addOption(new Option('--succeeds <folder>', 'go on from the ledger in this folder, which lost its log and has no copy of it (default topics: its own)')
      .conflicts(['signed', 'writeText', 'from']))
    .option('--ledger-key <vkey>', 'the ledger key with which --signed was signed, or @FILE')
    .addOption(bootstrapOption())
    .addOption(ledgerOption())
    .addOption(logLevelOption())
    .addHelpText('after', EXAMPLES)
    .action(async (options: InitOptions) => {
      const log = makeLog(options.logLevel);
      const context = { folder: options.ledger, kafka: kafkaOptions(options, log), log };
      await refuseLedger(options.ledger);
      for (const line of await initAs(options, context)) printLine(line);
    });
}

/** What a signed genesis says, so that nothing else may. */
const SAID_BY_GENESIS = ['topic', 'origin', 'from', 'partitionsMax', 'pendingMax', 'rules'] as const satisfies readonly (keyof InitOptions)[];

interface Context {
  readonly folder: string;
  readonly kafka: KafkaOptions;
  readonly log: Log;
}

/** Creates the ledger, or the text of its genesis; what to tell people. */
async function initAs(options: InitOptions, context: Context): Promise<readonly string[]> {
  if (options.signed !== undefined) {
    const { file, ledgerId } = await createSignedLedger(await signedGenesis(options), context);
    return summary(context.folder, { file, ledgerId, roles: ONLINE_ROLES });
  }
  const succeeds = options.succeeds === undefined ? undefined : await successionOf(options.succeeds, context);
  const plan = planOf(options, succeeds);
  if (options.writeText !== undefined) {
    await writeForSigning(options.writeText, await genesisText(plan, context));
    return signingSteps(options.writeText, plan, context.folder);
  }
  return [...summary(context.folder, { ...(await createLedger(plan, context)), roles: KEY_ROLES }), ...(succeeds === undefined ? [] : successorLines(succeeds))];
}

function successorLines({ predecessor: { origin, ledgerId, height, nextSeq, position } }: Succession): readonly string[] {
  return [
    '',
    `It goes on from the ledger ${origin} (${ledgerId}) behind position ${position}: ${height} blocks, seqs below ${nextSeq}. Its own seqs begin at 0.`,
    'Keep the old log and the old folder: what was numbered there is proved there.',
  ];
}

async function signedGenesis({ signed = '', ledgerKey, log, replication }: InitOptions): Promise<SignedGenesis> {
  if (ledgerKey === undefined) {
    throw new PlaitError('config', '--signed: give the key it was signed with too, --ledger-key VKEY ("plait keys show FILE" prints it): everybody is given it');
  }
  const key = await readVerifierKey('--ledger-key', ledgerKey);
  const { note, text } = await readSigned(signed, key);
  const genesis = optionValue('--signed', () => parseGenesis(text));
  const topic = optionValue('--log', () => parseTopic(log ?? `${genesis.sources[0]}.plait`));
  requireOwnTopic(topic, genesis.sources);
  return { note, genesis, ledgerKey: key, log: topic, ...(replication === undefined ? {} : { replication }) };
}

function signingSteps(file: string, { log, origin }: LedgerPlan, folder: string): readonly string[] {
  return [
    `wrote the genesis of ${origin}: ${file}`,
    ...ONLINE_ROLES.map((role) => `  key   ${keyPath(folder, role)}`),
    '',
    'Next, where the ledger key is:',
    `  ${programName()} keys make ledger --origin ${origin} --out ledger.key`,
    `  ${programName()} keys sign --key ledger.key ${file}`,
    'and here, with the key that "keys make" has printed:',
    `  ${programName()} init --signed ${file}${SIGNED_SUFFIX} --log ${log} --ledger-key VKEY`,
  ];
}

function planOf(options: InitOptions, succeeds: Succession | undefined): LedgerPlan {
  const [first, ...more] = options.topic ?? succeeds?.state.configuration.body.sources ?? [];
  if (first === undefined) throw new PlaitError('config', 'no topic: name the topics to order with --topic TOPIC');
  return { ...makePlan([first, ...more], options), ...(succeeds === undefined ? {} : { succeeds }) };
}

/** What a ledger over `topics` shall be, with the defaults filled in. Throws `config` for impossible names. */
export function makePlan(
  topics: readonly [string, ...string[]],
  options: Partial<Pick<InitOptions, 'origin' | 'log' | 'from' | 'replication' | 'partitionsMax' | 'pendingMax' | 'rules'>> = {},
): LedgerPlan {
  const sources = [...new Set(topics.map((topic) => optionValue('--topic', () => parseTopic(topic))))].toSorted();
  const log = optionValue('--log', () => parseTopic(options.log ?? `${topics[0]}.plait`));
  requireOwnTopic(log, sources);
  return {
    sources, log, from: options.from ?? 'earliest',
    origin: optionValue('--origin', () => parseOrigin(options.origin ?? `ledger.local/${topics[0]}`)),
    partitionsMax: options.partitionsMax ?? PARTITIONS_DEFAULT,
    pendingMax: options.pendingMax ?? PENDING_DEFAULT,
    rules: options.rules ?? RULES_VERSION,
    entriesMax: ENTRIES_MAX,
    ...(options.replication === undefined ? {} : { replication: options.replication }),
  };
}

/** A log that was its own source would grow by numbering itself. */
function requireOwnTopic(log: string, sources: readonly string[]): void {
  if (sources.includes(log)) throw new PlaitError('config', `--log: ${log} is one of the sources; the log needs a topic of its own`);
}

/** Creates the ledger and its folder. Throws `config`, also when the folder holds a ledger already; `unavailable`. */
export async function initLedger(plan: LedgerPlan, context: Context): Promise<{ file: LedgerFile; ledgerId: string }> {
  await refuseLedger(context.folder);
  return await createLedger(plan, context);
}

async function refuseLedger(folder: string): Promise<void> {
  const path = ledgerFilePath(folder);
  if (!(await exists(path))) return;
  throw new PlaitError('config', `the folder ${folder} holds a ledger already (${path}): name another folder with --ledger; a ledger is created once`);
}

function summary(folder: string, { file, ledgerId, roles }: { file: LedgerFile; ledgerId: string; roles: readonly KeyRole[] }): string[] {
  return [
    `created the ledger ${file.origin}`,
    `  id    ${ledgerId}`,
    `  log   ${file.log}`,
    `  file  ${ledgerFilePath(folder)}`,
    ...roles.map((role) => `  key   ${keyPath(folder, role)}`),
    '',
    ...(roles.includes('ledger') ? [`Keep ${keyPath(folder, 'ledger')} offline from now on: no running process needs it, and whoever has it rules the ledger.`] : []),
    'Next, in a shell each:',
    `  ${programName()} worker`,
    `  ${programName()} coordinator`,
    `  ${programName()} publisher`,
    `  ${programName()} read --follow`,
  ];
}
