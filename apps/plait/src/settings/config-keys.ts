/** Keys of the configuration file and names of variables: both are made from the options of the commands. */
import { join, isAbsolute } from 'node:path';
import { Command, Option } from 'commander';
import { PlaitError } from '@plait/core';
import { withoutCredentials } from './config-secrets.ts';

/** An option that means the same in every command that has it. In the file its key stands outside of the commands' sections too. */
export class SharedOption extends Option {}

/** Where a file is, is not for the file to say. */
const OUTSIDE = new Set(['config', 'profile', 'help', 'version']);
/** Commands that change something once: what they shall do is said each time, and nothing but shared options is for a file. */
const ACTS = new Set(['reconfigure', 'recover', 'keys']);

/** What may stand in one part of the file. */
export interface Section {
  readonly options: ReadonlyMap<string, Option>;
  readonly sections: ReadonlyMap<string, Section>;
}

/** Commands that do something, with the words that call them. */
export function commandsOf(command: Command, path: readonly string[] = []): { readonly path: readonly string[]; readonly command: Command }[] {
  if (command.commands.length === 0) return path.length === 0 ? [] : [{ path, command }];
  return command.commands.flatMap((each) => commandsOf(each, [...path, each.name()]));
}

/** The key of an option: its long name. */
export function keyOf(option: Option): string {
  return (option.long ?? option.flags).replace(option.negate ? /^--no-/ : /^--/, '');
}

/** The options of a command that a file or a variable may set. */
export function configurable(path: readonly string[], command: Command): readonly Option[] {
  return command.options.filter((option) => !OUTSIDE.has(keyOf(option)) && (option instanceof SharedOption || !ACTS.has(path[0] ?? '')));
}

/** What may stand in a file: shared options, and a section for each command. */
export function schemaOf(program: Command): Section {
  const options = new Map<string, Option>();
  const sections = new Map<string, Section>();
  for (const { path, command } of commandsOf(program)) {
    const own = configurable(path, command);
    for (const option of own) if (option instanceof SharedOption) options.set(keyOf(option), option);
    put(sections, path, new Map(own.map((option) => [keyOf(option), option])));
  }
  return { options, sections };
}

function put(sections: Map<string, Section>, [first, ...rest]: readonly string[], options: ReadonlyMap<string, Option>): void {
  if (first === undefined) return;
  const inner = new Map(sections.get(first)?.sections);
  put(inner, rest, options);
  sections.set(first, { options: rest.length === 0 ? options : (sections.get(first)?.options ?? new Map()), sections: inner });
}

/** Names the variable of each option that has none: `PLAIT_<OPTION>` if it is shared, else `PLAIT_<COMMAND>_<OPTION>`. */
export function nameVariables(path: readonly string[], command: Command): void {
  for (const option of configurable(path, command)) {
    if (option.envVar !== undefined) continue;
    const words = option instanceof SharedOption ? [keyOf(option)] : [...path, keyOf(option)];
    option.env(`PLAIT_${words.join('_').replaceAll('-', '_').toUpperCase()}`);
  }
}

/** What a file or a variable may say: what YAML knows, without maps. */
export type Plain = string | number | bigint | boolean | null | readonly Plain[];

/**
 * The value of an option as its command expects it. `folder`: what relative paths begin at. Throws `config` that begins
 * with `where` and says the value and what is wanted.
 */
export function optionValueOf(option: Option, value: Plain, { where, folder }: { where: string; folder: string }): unknown {
  const refused = (wanted: string): PlaitError =>
    new PlaitError('config', `${where} is ${JSON.stringify(value, (_, each: unknown) => showable(each))}, wanted ${wanted}`);
  if (typeof value === 'boolean') {
    if (option.isBoolean() || option.optional) return value;
    throw refused(wantedOf(option));
  }
  if (option.isBoolean()) throw refused('true or false');
  if (Array.isArray(value) && isJoined(option) && value.every((each) => typeof each === 'string')) return optionValueOf(option, value.join(','), { where, folder });
  if (Array.isArray(value) && !option.variadic) throw refused(wantedOf(option));
  let result: unknown = option.defaultValue;
  for (const each of [value].flat() as Plain[]) {
    const isText = typeof each === 'string';
    if (!isText && (option.parseArg === undefined || (typeof each !== 'number' && typeof each !== 'bigint'))) throw refused(wantedOf(option));
    try {
      result = parsed(option, isPath(option) && isText && !isAbsolute(each) ? join(folder, each) : String(each), result);
    } catch (error) {
      throw refused(`${wantedOf(option)}: ${(error as Error).message}`);
    }
  }
  return result;
}

function showable(value: unknown): unknown {
  if (typeof value === 'string') return withoutCredentials(value);
  return typeof value === 'bigint' ? Number(value) : value;
}

function parsed(option: Option, text: string, before: unknown): unknown {
  if (option.parseArg !== undefined) return option.parseArg(text, before);
  if (!option.variadic) return text;
  return before === option.defaultValue || !Array.isArray(before) ? [text] : [...(before as unknown[]), text];
}

/** Whether one text of it holds several, with commas between. */
function isJoined(option: Option): boolean {
  return /,\.\.\.[>\]]/.test(option.flags);
}

function isPath(option: Option): boolean {
  return /[<[](file|folder)(\.\.\.)?[>\]]/.test(option.flags);
}

function wantedOf(option: Option): string {
  if (option.argChoices !== undefined) return `one of ${option.argChoices.join(', ')}`;
  const placeholder = /[<[]([^>\]]+?)(?:,?\.\.\.)?[>\]]/.exec(option.flags)?.[1] ?? 'text';
  return `${option.parseArg === undefined ? 'text' : 'a value'} for <${placeholder}>${option.variadic || isJoined(option) ? ', or a list of them' : ''}`;
}

/** What a variable says: `true` and `false` for an option without a value, else text; several, if it takes several, with commas between. */
export function variableValueOf(option: Option, text: string): unknown {
  const where = `the variable ${option.envVar}`;
  const truth = text === 'true' ? true : text === 'false' ? false : undefined;
  const value = option.isBoolean() ? (truth ?? text) : option.variadic ? text.split(',').map((each) => each.trim()) : text;
  return optionValueOf(option, value, { where, folder: '.' });
}
