/** Where each command's options get their values from: flag, else variable, else file, else default. */
import { access } from 'node:fs/promises';
import type { Command, Option } from 'commander';
import { PlaitError } from '@plait/core';
import { readConfigFile, type ConfigFile } from './config-file.ts';
import { commandsOf, configurable, keyOf, nameVariables, schemaOf, SharedOption, variableValueOf } from './config-keys.ts';
import { hasPassword } from './config-secrets.ts';
import { commandConfigOption, redisTlsOptions } from '../options.ts';
import { WITH_PARENT_VARIABLE } from '../stopping.ts';

/** Taken if it is there and no other file is named. */
export const CONFIG_FILE_DEFAULT = 'plait.yaml';

const GROUP = 'Configuration:';

const configOption = (): Option =>
  new SharedOption('--config <file>', `configuration file (default: ./${CONFIG_FILE_DEFAULT} if it is there)`).env('PLAIT_CONFIG').helpGroup(GROUP);
const profileOption = (): Option =>
  new SharedOption('--profile <name>', 'profile of the configuration file to take').env('PLAIT_PROFILE').helpGroup(GROUP);

/**
 * Gives every command of `program` the options of configuration, a variable for each option, and the values that
 * variables and the file say, before it runs. Call it when all commands are there.
 */
export function configure(program: Command): void {
  for (const { path, command } of commandsOf(program)) {
    const has = (key: string): boolean => command.options.some((option) => keyOf(option) === key);
    const more = [...(has('bootstrap-server') ? [commandConfigOption()] : []), ...(has('redis-url') ? redisTlsOptions() : []), configOption(), profileOption()];
    for (const option of more) if (!has(keyOf(option))) command.addOption(option);
    nameVariables(path, command);
    for (const { envVar } of command.options) if (envVar !== undefined && process.env[envVar] === '') delete process.env[envVar];
  }
  program.hook('preAction', async (_, command) => {
    const file = await configFileOf(program, command);
    const path = wordsOf(command);
    for (const option of configurable(path, command)) {
      const found = resolve(option, { command, path, file });
      if (found.source === 'flag') refusePassword(option, found.value);
      else command.setOptionValueWithSource(option.attributeName(), isRuledOut(option, command) ? option.defaultValue : found.value, found.source);
    }
  });
}

/** The words that call a command, without the program's name. */
export function wordsOf(command: Command): string[] {
  return command.parent === null ? [] : [...wordsOf(command.parent), command.name()];
}

/** The file that a command is to take its values from, checked; undefined if there is none. Throws `config`. */
export async function configFileOf(program: Command, command: Command): Promise<ConfigFile | undefined> {
  const { config, profile } = command.opts<{ config?: string; profile?: string }>();
  // A role that another process of this program started was told everything by it.
  if (process.env[WITH_PARENT_VARIABLE] === '1' && command.getOptionValueSource('config') !== 'cli') return undefined;
  const path = config ?? ((await isThere(CONFIG_FILE_DEFAULT)) ? CONFIG_FILE_DEFAULT : undefined);
  if (path !== undefined) return await readConfigFile(path, { schema: schemaOf(program), profile });
  if (profile === undefined) return undefined;
  throw new PlaitError('config', `--profile: there is no configuration file: name it with --config or PLAIT_CONFIG, or put a ${CONFIG_FILE_DEFAULT} here`);
}

/** An option's value, and where it is from. */
export interface Resolved {
  readonly value: unknown;
  readonly source: 'flag' | 'environment' | 'file' | 'default' | 'none';
  /** For people: the flag, the variable's name, or file, line and profile. */
  readonly from: string;
}

/** What an option of `command` is. Throws `config` for a variable with a wrong value. */
export function resolve(
  option: Option, { command, path, file }: { readonly command: Command; readonly path: readonly string[]; readonly file: ConfigFile | undefined },
): Resolved {
  const name = option.attributeName();
  if (command.getOptionValueSource(name) === 'cli') return { value: command.getOptionValue(name), source: 'flag', from: option.long ?? option.flags };
  const { envVar = '' } = option;
  const text = process.env[envVar];
  if (text !== undefined) return { value: variableValueOf(option, text), source: 'environment', from: envVar };
  const found = file?.find(path, keyOf(option));
  if (found !== undefined && file !== undefined) {
    return { value: found.value, source: 'file', from: `${file.path}:${found.line}${found.profile === undefined ? '' : ` (profile ${found.profile})`}` };
  }
  const value: unknown = option.defaultValue;
  return value === undefined ? { value, source: 'none', from: 'not set' } : { value, source: 'default', from: 'default' };
}

/** Whether a flag was given that excludes the option: a flag wins. (Commander compares only what it sets itself.) */
function isRuledOut(option: Option, command: Command): boolean {
  const flags = command.options.filter((each) => command.getOptionValueSource(each.attributeName()) === 'cli');
  return flags.some((flag) => excludes(flag, option) || excludes(option, flag));
}

function excludes(option: Option, other: Option): boolean {
  const { conflictsWith } = option as Option & { readonly conflictsWith: readonly string[] };
  return conflictsWith.includes(other.attributeName());
}

/** Everybody on the machine can read the arguments of every process. */
function refusePassword(option: Option, value: unknown): void {
  if (![value].flat().some((each) => typeof each === 'string' && hasPassword(each))) return;
  throw new PlaitError('config', `${option.long} holds a password, and everybody on this machine can read a process' arguments: ` +
    `set ${option.envVar} instead, or put ${keyOf(option)} into the configuration file`);
}

async function isThere(path: string): Promise<boolean> {
  return await access(path).then(() => true, () => false);
}
