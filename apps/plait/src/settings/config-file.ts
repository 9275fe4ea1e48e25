/**
 * The configuration file, in YAML:
 *
 *     ledger: /etc/plait/orders            # an option that several commands share: for each of them
 *     coordinator:
 *       lease-ttl: 3000                    # an option of one command
 *     profiles:
 *       production:                        # taken with --profile production; wins over what stands outside
 *         bootstrap-server: kafka-1:9093
 */
import { readFile } from 'node:fs/promises';
import { dirname } from 'node:path';
import { isAlias, isMap, isScalar, isSeq, LineCounter, parseDocument, type Document, type YAMLMap } from 'yaml';
import { PlaitError } from '@plait/core';
import { optionValueOf, type Plain, type Section } from './config-keys.ts';
import { didYouMean } from './config-suggest.ts';

/** A value that the file gives, and where it stands. */
export interface FileValue {
  readonly value: unknown;
  readonly line: number;
  readonly profile: string | undefined;
}

/** What a file says, checked. */
export interface ConfigFile {
  readonly path: string;
  readonly profile: string | undefined;
  /** The value for an option of the command that `words` call; undefined if the file says nothing of it. */
  find(words: readonly string[], key: string): FileValue | undefined;
}

/** `section key` of a command's key, or `key` of a shared one, with the profile before both. */
type Values = Map<string, FileValue>;

const PROFILES = 'profiles';

/** Reads the file. Throws `config` that names the file, the line, the key, its value and what is wanted. */
export async function readConfigFile(path: string, options: { readonly schema: Section; readonly profile: string | undefined }): Promise<ConfigFile> {
  const text = await readFile(path, 'utf8').catch((error: NodeJS.ErrnoException) => {
    throw new PlaitError('config', `cannot read the configuration file ${path}: ${error.code === 'ENOENT' ? 'there is no such file' : error.message}`, { cause: error });
  });
  return parseConfigFile(text, { path, ...options });
}

/** As {@link readConfigFile}, of a text. All profiles are checked, not only the one that is asked for. */
export function parseConfigFile(text: string, options: { readonly path: string; readonly schema: Section; readonly profile: string | undefined }): ConfigFile {
  const { path, schema, profile } = options;
  const parser = new Parser(text, path);
  const base: Values = new Map();
  const profiles = new Map<string, Values>();
  for (const { key, node, line } of parser.entries(parser.root, '')) {
    if (key === PROFILES) {
      for (const { key: name, node: inner } of parser.entries(node, PROFILES)) {
        profiles.set(name, parser.values(schema, inner, { profile: name, into: new Map(), words: [], path: `${PROFILES}.${name}` }));
      }
    } else {
      parser.value(schema, { key, node, line }, { profile: undefined, into: base, words: [], path: '' });
    }
  }
  const chosen = profile === undefined ? undefined : profiles.get(profile);
  if (profile !== undefined && chosen === undefined) {
    throw new PlaitError('config', `--profile: ${path} has no profile ${JSON.stringify(profile)}${didYouMean(profile, profiles.keys())}`);
  }
  return {
    path, profile,
    find: (words, key) => {
      const own = [...words, key].join(' ');
      return chosen?.get(own) ?? chosen?.get(key) ?? base.get(own) ?? base.get(key);
    },
  };
}

interface Place {
  readonly profile: string | undefined;
  readonly into: Values;
  readonly words: readonly string[];
  /** For people. */
  readonly path: string;
}

interface Entry {
  readonly key: string;
  readonly node: unknown;
  readonly line: number;
}

class Parser {
  readonly root: unknown;
  readonly #document: Document.Parsed;
  readonly #lines = new LineCounter();
  readonly #path: string;

  constructor(text: string, path: string) {
    this.#path = path;
    this.#document = parseDocument(text, { lineCounter: this.#lines, intAsBigInt: true, prettyErrors: false, uniqueKeys: true });
    const [error] = this.#document.errors;
    if (error !== undefined) throw this.#wrong(this.#lines.linePos(error.pos[0]).line, error.message);
    this.root = this.#document.contents;
  }

  /** Keys and values of a map; none of nothing. */
  entries(node: unknown, path: string): Entry[] {
    const map = this.#resolved(node);
    if (map === null || (isScalar(map) && map.value === null)) return [];
    if (!isMap(map)) throw this.#wrong(this.#lineOf(map), `${path === '' ? 'the file' : path} is no map: wanted keys and values`);
    return (map as YAMLMap.Parsed).items.map(({ key, value }) => {
      const line = this.#lineOf(key);
      if (!isScalar(key) || typeof key.value !== 'string') throw this.#wrong(line, `a key${path === '' ? '' : ` in ${path}`} is no text`);
      return { key: key.value, node: value, line };
    });
  }

  values(section: Section, node: unknown, place: Place): Values {
    for (const entry of this.entries(node, place.path)) this.value(section, entry, place);
    return place.into;
  }

  value(section: Section, { key, node, line }: Entry, place: Place): void {
    const path = place.path === '' ? key : `${place.path}.${key}`;
    const inner = section.sections.get(key);
    const option = section.options.get(key);
    if (inner !== undefined) {
      this.values(inner, node, { ...place, words: [...place.words, key], path });
    } else if (option !== undefined) {
      const value = optionValueOf(option, this.#plain(node, path, line), { where: `${this.#path}:${line}: ${path}`, folder: dirname(this.#path) });
      place.into.set([...place.words, key].join(' '), { value, line, profile: place.profile });
    } else {
      const known = [...section.options.keys(), ...section.sections.keys(), ...(place.path === '' ? [PROFILES] : [])];
      throw this.#wrong(line, `${path} is no key of the configuration${didYouMean(key, known)}`);
    }
  }

  #plain(node: unknown, path: string, line: number): Plain {
    const value = this.#resolved(node);
    // No option takes a list of lists; with aliases one could hold itself.
    return isSeq(value) ? value.items.map((each) => this.#scalar(this.#resolved(each), `an item of ${path}`, line)) : this.#scalar(value, path, line);
  }

  #scalar(value: unknown, path: string, line: number): Plain {
    if (isScalar(value)) return value.value as Plain;
    if (value === null) return null;
    throw this.#wrong(line, `${path} is a ${isSeq(value) ? 'list' : 'map'}, wanted a value`);
  }

  #resolved(node: unknown): unknown {
    return isAlias(node) ? (node.resolve(this.#document) ?? null) : node;
  }

  #lineOf(node: unknown): number {
    const range = (node as { readonly range?: readonly number[] | null } | null)?.range;
    return this.#lines.linePos(range?.[0] ?? 0).line;
  }

  #wrong(line: number, what: string): PlaitError {
    return new PlaitError('config', `${this.#path}:${line}: ${what}`);
  }
}
