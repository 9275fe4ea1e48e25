/** `plait config`: every value, and where it comes from. */
import { Command, Option } from 'commander';
import { readProperties } from './command-config.ts';
import { configFileOf, resolve, type Resolved } from './config-apply.ts';
import { commandsOf, configurable, keyOf, SharedOption } from './config-keys.ts';
import { didYouMean } from './config-suggest.ts';
import { HIDDEN, isSecretProperty, withoutCredentials } from './config-secrets.ts';
import type { ConfigFile } from './config-file.ts';
import { bootstrapOption, ledgerOption, logLevelOption, redisOption } from '../options.ts';
import { escapeText, printLine } from '../output.ts';
import { WITH_PARENT_VARIABLE } from '../stopping.ts';

const EXAMPLES = `
A flag wins over a variable, a variable over the file, the file over the default. In the file ./plait.yaml (or --config FILE):

  ledger: /etc/plait/orders          # options that commands share
  command-config: client.properties  # relative to this file
  coordinator:
    lease-ttl: 3000                  # options of one command
  profiles:
    production:                      # with --profile production; wins over the rest of the file
      bootstrap-server: kafka-1:9093,kafka-2:9093

Passwords are hidden here and are refused as arguments, which everybody on a machine can read: they belong into variables,
the file, or the file of --command-config. The whole file is checked, so this command also tells whether it is right.

Examples:
  plait config
  plait config --ledger ./plait -o json
`;

/** One value as it is shown. */
interface Shown {
  readonly key: string;
  readonly value: unknown;
  readonly source: Resolved['source'];
  readonly from: string;
}

/** The command. */
export function configCommand(): Command {
  return new Command('config')
    .summary('show every setting and where it comes from')
    .description('Shows the value of every option of every command, and the flag, variable or line of a file it comes from.')
    .addOption(new Option('-o, --output <format>', 'output format').choices(['text', 'json']).default('text'))
    .addOption(bootstrapOption())
    .addOption(redisOption())
    .addOption(ledgerOption())
    .addOption(logLevelOption())
    .addHelpText('after', EXAMPLES)
    .action(async ({ output }: { output: 'text' | 'json' }, command: Command) => {
      const program = command.parent ?? command;
      const file = await configFileOf(program, command);
      const values = shownValues(program, command, file);
      const unknown = unknownVariables(program);
      if (output === 'json') printLine(json({ file: file?.path ?? null, profile: file?.profile ?? null, values, unknown }));
      else for (const line of [...textOf(values, file), ...unknown]) printLine(line);
    });
}

/** Sentences for variables that look like ours and are not. */
function unknownVariables(program: Command): string[] {
  const known = new Set([WITH_PARENT_VARIABLE, ...commandsOf(program).flatMap(({ command }) => command.options.flatMap(({ envVar }) => envVar ?? []))]);
  return Object.keys(process.env).filter((name) => name.startsWith('PLAIT_') && !known.has(name))
    .map((name) => `the variable ${name} sets nothing${didYouMean(name, known)}`);
}

function json(value: unknown): string {
  return JSON.stringify(value, (_, each: unknown) => (typeof each === 'bigint' ? String(each) : each), 2);
}

function shownValues(program: Command, self: Command, file: ConfigFile | undefined): Shown[] {
  const own = new Map<string, Option>(self.options.map((option) => [keyOf(option), option]));
  const shared: Shown[] = [];
  for (const option of own.values()) {
    if (!(option instanceof SharedOption)) continue;
    const found = resolve(option, { command: self, path: ['config'], file });
    shared.push(shown(keyOf(option), found));
    if (keyOf(option) === 'command-config' && typeof found.value === 'string') shared.push(...shownProperties(found.value));
  }
  const ofCommands = commandsOf(program).filter(({ command }) => command !== self).flatMap(({ path, command }) =>
    configurable(path, command).flatMap((option) => {
      const found = resolve(option, { command, path, file });
      // What a command has as all others have it stands above.
      const asAbove = shared.find(({ key }) => key === keyOf(option));
      const isAbove = option instanceof SharedOption && asAbove !== undefined && (asAbove.from === found.from || asAbove.source === 'flag');
      return isAbove ? [] : [shown([...path, keyOf(option)].join('.'), found)];
    }));
  return [...shared, ...ofCommands];
}

function shown(key: string, { value, source, from }: Resolved): Shown {
  return { key, value: withoutSecrets(value), source, from };
}

function withoutSecrets(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutSecrets);
  return typeof value === 'string' ? withoutCredentials(value) : (value ?? null);
}

function shownProperties(path: string): Shown[] {
  return readProperties(path).map(({ name, value, line }) => ({
    key: `command-config.${name}`, value: isSecretProperty(name) ? HIDDEN : withoutCredentials(value), source: 'file', from: `${path}:${line}`,
  }));
}

function textOf(values: readonly Shown[], file: ConfigFile | undefined): string[] {
  const rows = values.map(({ key, value, from }) => [key, value === null ? '-' : escapeText([value].flat().map(String).join(',')), from] as const);
  const widthOf = (column: 0 | 1): number => Math.min(COLUMN_CHARS_MAX, Math.max(...rows.map((row) => row[column].length)));
  const [keys, texts] = [widthOf(0), widthOf(1)];
  const head = file === undefined ? 'no configuration file' : `configuration file ${file.path}${file.profile === undefined ? '' : `, profile ${file.profile}`}`;
  return [head, ...rows.map(([key, text, from]) => `${key.padEnd(keys)}  ${text.padEnd(texts)}  ${from}`)];
}

const COLUMN_CHARS_MAX = 48;
