/** Options that several commands share, and what their values mean. */
import { InvalidArgumentError, Option } from 'commander';
import { isPlaitError, parseCount, parseUint63, PlaitError } from '@plait/core';
import type { KafkaOptions } from '@plait/kafka';
import { readCommandConfig } from './settings/command-config.ts';
import { SharedOption } from './settings/config-keys.ts';
import { kafkaLog, LOG_LEVELS, type Log, type LogLevel } from './log.ts';

/** What commander gives for the options below. */
export interface CommonOptions {
  readonly ledger: string;
  readonly logLevel: LogLevel;
  readonly bootstrapServer?: string;
  readonly commandConfig?: string;
}

/** `--ledger`, with its default. */
export const ledgerOption = (): Option =>
  new SharedOption('--ledger <folder>', 'folder of the ledger: ledger.json and keys/').env('PLAIT_LEDGER').default('./plait');

/** `--log-level`, with its default. */
export const logLevelOption = (): Option =>
  new SharedOption('--log-level <level>', 'least level of what is logged on stderr').choices(LOG_LEVELS).env('PLAIT_LOG_LEVEL').default('info');

/** `--bootstrap-server`; see {@link kafkaOptions}. */
export const bootstrapOption = (): Option =>
  new SharedOption('--bootstrap-server <host:port,...>', 'Kafka brokers to begin with').env('PLAIT_BOOTSTRAP_SERVERS');

/** `--command-config`; every command with `--bootstrap-server` gets it. */
export const commandConfigOption = (): Option =>
  new SharedOption('--command-config <file>', 'Java-style properties of Kafka\'s clients: TLS, SASL').env('PLAIT_COMMAND_CONFIG');

/** `--redis-url`; see `redisPlace`. */
export const redisOption = (): Option =>
  new SharedOption('--redis-url <url,...>', 'Redis that holds the lease: redis[s]://[user:password@]host:port, several for a majority of independent ones, ' +
    'or redis[s]-sentinel://host:port,host:port#master').env('PLAIT_REDIS_URL');

/** TLS to Redis; every command with `--redis-url` gets them. */
export const redisTlsOptions = (): Option[] => [
  new SharedOption('--redis-ca <file>', 'PEM of the authorities that Redis\' certificate may be of (default: those Node trusts)'),
  new SharedOption('--redis-cert <file>', 'PEM of our certificate for Redis, if it wants one'),
  new SharedOption('--redis-key <file>', 'PEM of its key'),
];

/** `--state`: where a role remembers what it must find again in the log. */
export const stateOption = (): Option =>
  new Option('--state <file>', 'file of what it remembers of the log (default: state/<role>.json in the ledger\'s folder; "read" without a group, and "status": none)');

/** `--min-configuration`: what a role does not start from. */
export const minConfigurationOption = (): Option =>
  new Option('--min-configuration <version>', 'start from no state whose configuration is older: name the one that revoked a leaked checkpoint key')
    .argParser(seqArgument).default(0n, '0');

/** `--copy`: where a role copies the log to. */
export const copyOption = (): Option =>
  new Option('--copy <folder>', 'folder for a copy of the log, for "plait recover" (default: copy/<role> in the ledger\'s folder for coordinators, publishers and servers, none for others)');

/**
 * How Kafka is reached, with what `--command-config` says. Throws `config` if no address was given or one is not
 * `host:port`, and for properties that cannot be. What a property does not concern here is a warning.
 */
export function kafkaOptions({ bootstrapServer, commandConfig }: Pick<CommonOptions, 'bootstrapServer' | 'commandConfig'>, log: Log): KafkaOptions {
  const { warnings = [], ...settings } = commandConfig === undefined ? {} : readCommandConfig(commandConfig);
  for (const warning of warnings) log.warn({ event: 'setting' }, warning);
  if (bootstrapServer === undefined || bootstrapServer === '') {
    throw new PlaitError('config', 'no Kafka address: give --bootstrap-server HOST:PORT or set PLAIT_BOOTSTRAP_SERVERS');
  }
  const brokers = bootstrapServer.split(',').map((broker) => broker.trim());
  for (const broker of brokers) {
    const port = Number(/^.+:(\d{1,5})$/.exec(broker)?.[1] ?? 0);
    if (port < 1 || port > 65_535) {
      throw new PlaitError('config', `--bootstrap-server: ${JSON.stringify(broker)} is no address, wanted HOST:PORT`);
    }
  }
  return { brokers, clientId: 'plait', log: kafkaLog(log), ...settings };
}

/** For commander: a number of 0 … 2^63 − 1. */
export function seqArgument(text: string): bigint {
  return argument(() => parseUint63(text));
}

/** For commander: a whole number of `min` … `max`. */
export function countArgument(min: number, max: number): (text: string) => number {
  return (text) => {
    const value = argument(() => parseCount(text, max));
    if (value < min) throw new InvalidArgumentError(`wanted ${min} … ${max}`);
    return value;
  };
}

function argument<T>(parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (!isPlaitError(error, 'invalid')) throw error;
    throw new InvalidArgumentError(error.message);
  }
}

/** `parse`, whose `invalid` is the user's mistake: it becomes `config` and names the option. */
export function optionValue<T>(option: string, parse: () => T): T {
  try {
    return parse();
  } catch (error) {
    if (!isPlaitError(error, 'invalid')) throw error;
    throw new PlaitError('config', `${option}: ${error.message}`, { cause: error });
  }
}
