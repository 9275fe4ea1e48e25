/**
 * Configurations: who may sign, what is ordered, under which limits. The genesis is configuration 0; its hash is the
 * ledger id. Each configuration is whole: it repeats what it keeps, but for `start` entries, which act once.
 */
import { compareText, parseHash } from './bytes.ts';
import { invalid } from './errors.ts';
import { parseVerifierKeyForm, type VerifierKey } from './keys.ts';
import { ENTRIES_MAX, KEYS_MAX, PARTITIONS_MAX, PENDING_MAX, SOURCES_MAX } from './limits.ts';
import { compareNumbers } from './segment.ts';
import { LineReader, parseCount, parseOrigin, parseTopic, parseUint63, requireIncreasing } from './text.ts';
import * as types from './types.ts';
import type { Generation, Hash, Index, Offset, TopicPartition } from './types.ts';

/**
 * A partition that begins a generation: at genesis 0, later one above the greatest ever used. Its number is below 65,536
 * ({@link PARTITIONS_MAX}), not perforce below the configuration's own `partitionsMax`.
 */
export interface Start extends TopicPartition {
  readonly generation: Generation;
  /** Where its chain starts; records below are not the ledger's. */
  readonly offset: Offset;
}

/** A range declared unusable: its seqs stay, its records are delivered as void. */
export interface VoidRange extends TopicPartition {
  readonly generation: Generation;
  readonly firstIndex: Index;
  readonly nextIndex: Index;
}

/** What a configuration says, apart from whose it is and what it follows. Lists are sorted and without repeats. */
export interface ConfigurationBody {
  /** Version of the rules in force from this configuration on. */
  readonly rules: number;
  /** Whether workers may report records that were gone before they were hashed. */
  readonly onLoss: 'stop' | 'record';
  /** Partition numbers of a topic are below this; 1 … 65,536. */
  readonly partitionsMax: number;
  /** Segments of one partition that may wait for a block; 1 … 4,096. */
  readonly pendingMax: number;
  readonly checkpointKeys: readonly VerifierKey[];
  readonly coordinatorKeys: readonly VerifierKey[];
  readonly workerKeys: readonly VerifierKey[];
  readonly sources: readonly string[];
  readonly starts: readonly Start[];
  readonly voids: readonly VoidRange[];
}

/** The first configuration. */
export interface Genesis extends ConfigurationBody {
  readonly kind: 'genesis';
  readonly origin: string;
}

/** A later configuration. */
export interface Configuration extends ConfigurationBody {
  readonly kind: 'configuration';
  readonly origin: string;
  readonly ledgerId: Hash;
  /** One above the version of the configuration it follows; genesis is version 0. */
  readonly version: bigint;
  /** Hash of the configuration it follows. */
  readonly previous: Hash;
}

/** The genesis' one spelling. Throws `invalid` if it could not be parsed back. */
export function formatGenesis(genesis: Genesis): string {
  return checked(`plait.genesis/v1\n${genesis.origin}\n${formatBody(genesis)}`, parseGenesis);
}

/** Throws `invalid`. */
export function parseGenesis(text: string): Genesis {
  const lines = new LineReader(text);
  lines.expect('plait.genesis/v1');
  const origin = parseOrigin(lines.line());
  return { kind: 'genesis', origin, ...parseBody(lines) };
}

/** The configuration's one spelling. Throws `invalid` if it could not be parsed back. */
export function formatConfiguration(c: Configuration): string {
  const head = `plait.configuration/v1\n${c.origin}\n${c.ledgerId}\nversion ${c.version}\nprevious ${c.previous}\n`;
  return checked(head + formatBody(c), parseConfiguration);
}

/** Throws `invalid`. */
export function parseConfiguration(text: string): Configuration {
  const lines = new LineReader(text);
  const { origin, ledgerId } = parseHead(lines, 'configuration');
  const version = lines.uint63('version');
  const previous = lines.hash('previous');
  return { kind: 'configuration', origin, ledgerId, version, previous, ...parseBody(lines) };
}

/** The three lines with which every note but genesis and checkpoint begins. */
export function parseHead(lines: LineReader, kind: string): { origin: string; ledgerId: Hash } {
  lines.expect(`plait.${kind}/v1`);
  return { origin: parseOrigin(lines.line()), ledgerId: parseHash(lines.line()) };
}

function checked(text: string, parse: (text: string) => unknown): string {
  parse(text);
  return text;
}

function formatBody(body: ConfigurationBody): string {
  const lines = [
    `rules ${body.rules}`,
    `on-loss ${body.onLoss}`,
    `partitions-max ${body.partitionsMax}`,
    `pending-max ${body.pendingMax}`,
    ...body.checkpointKeys.map((key) => `checkpoint-key ${key.vkey}`),
    ...body.coordinatorKeys.map((key) => `coordinator-key ${key.vkey}`),
    ...body.workerKeys.map((key) => `worker-key ${key.vkey}`),
    ...body.sources.map((topic) => `source ${topic}`),
    ...body.starts.map((s) => `start ${s.topic} ${s.partition} ${s.generation} ${s.offset}`),
    ...body.voids.map((v) => `void ${v.topic} ${v.generation} ${v.partition} ${v.firstIndex} ${v.nextIndex}`),
  ];
  return `${lines.join('\n')}\n`;
}

function parseBody(lines: LineReader): ConfigurationBody {
  const rules = parseRules(lines);
  const onLoss = lines.value('on-loss');
  if (onLoss !== 'stop' && onLoss !== 'record') throw invalid('on-loss: expected stop or record');
  const partitionsMax = parseBetween(lines.value('partitions-max'), 1, PARTITIONS_MAX);
  const pendingMax = parseBetween(lines.value('pending-max'), 1, PENDING_MAX);
  const checkpointKeys = parseKeys(lines, 'checkpoint-key');
  const coordinatorKeys = parseKeys(lines, 'coordinator-key');
  const workerKeys = parseKeys(lines, 'worker-key');
  const sources = parseList(lines, 'source', 1, SOURCES_MAX, ([topic = '']) => parseTopic(topic));
  const starts = parseList(lines, 'start', 4, ENTRIES_MAX, parseStart);
  const voids = parseList(lines, 'void', 5, ENTRIES_MAX, parseVoid);
  lines.end();
  requireIncreasing('source', sources, (a, b) => (a < b ? -1 : Number(a !== b)));
  requireIncreasing('start', starts, comparePartitions);
  requireIncreasing('void', voids, compareVoids);
  for (const start of starts) {
    if (!sources.includes(start.topic)) throw invalid(`start of ${start.topic}, which is no source`);
  }
  return { rules, onLoss, partitionsMax, pendingMax, checkpointKeys, coordinatorKeys, workerKeys, sources, starts, voids };
}

/** What stands in the same place in every version of the rules, so that older code can tell what it does not know. */
export interface ConfigurationStub {
  readonly origin: string;
  readonly ledgerId: Hash;
  readonly version: bigint;
  readonly previous: Hash;
  readonly rules: number;
}

/** The head of a configuration whose body this code may not know. Throws `invalid`. */
export function parseConfigurationStub(text: string): ConfigurationStub {
  const lines = new LineReader(text);
  const head = parseHead(lines, 'configuration');
  const version = lines.uint63('version');
  const previous = lines.hash('previous');
  return { ...head, version, previous, rules: parseRules(lines) };
}

/** Origin and rules of a genesis whose body this code may not know. Throws `invalid`. */
export function parseGenesisStub(text: string): Pick<ConfigurationStub, 'origin' | 'rules'> {
  const lines = new LineReader(text);
  lines.expect('plait.genesis/v1');
  return { origin: parseOrigin(lines.line()), rules: parseRules(lines) };
}

function parseRules(lines: LineReader): number {
  return parseBetween(lines.value('rules'), 1, 2 ** 31 - 1);
}

function parseBetween(text: string, min: number, max: number): number {
  const value = parseCount(text, max);
  if (value < min) throw invalid(`number below ${min}: ${text}`);
  return value;
}

function parseList<T>(
  lines: LineReader, keyword: string, values: number, max: number, parse: (values: string[]) => T,
): readonly T[] {
  const items: T[] = [];
  while (lines.at(keyword)) {
    if (items.length === max) throw invalid(`more than ${max} ${keyword} lines`);
    items.push(parse(lines.values(keyword, values)));
  }
  return items;
}

function parseKeys(lines: LineReader, keyword: string): readonly VerifierKey[] {
  const keys = parseList(lines, keyword, 1, KEYS_MAX, ([vkey = '']) => parseVerifierKeyForm(vkey));
  requireIncreasing(keyword, keys, (a, b) => compareText(a.vkey, b.vkey));
  return keys;
}

function parseStart([topic = '', partition = '', generation = '', offset = '']: string[]): Start {
  return {
    topic: parseTopic(topic),
    partition: parseCount(partition, PARTITIONS_MAX - 1),
    generation: types.generation(parseUint63(generation)),
    offset: types.offset(parseUint63(offset)),
  };
}

function parseVoid([topic = '', generation = '', partition = '', firstIndex = '', nextIndex = '']: string[]): VoidRange {
  const range = {
    topic: parseTopic(topic),
    generation: types.generation(parseUint63(generation)),
    partition: parseCount(partition, PARTITIONS_MAX - 1),
    firstIndex: types.index(parseUint63(firstIndex)),
    nextIndex: types.index(parseUint63(nextIndex)),
  };
  if (range.nextIndex <= range.firstIndex) throw invalid('void range is empty');
  return range;
}

/** Order by topic (by bytes), then partition. */
export function comparePartitions(a: TopicPartition, b: TopicPartition): number {
  if (a.topic !== b.topic) return a.topic < b.topic ? -1 : 1;
  return compareNumbers(a.partition, b.partition);
}

/** Order of void ranges. Of two that overlap neither is below the other. */
function compareVoids(a: VoidRange, b: VoidRange): number {
  const chains =
    (a.topic !== b.topic && (a.topic < b.topic ? -1 : 1)) ||
    compareNumbers(a.generation, b.generation) ||
    compareNumbers(a.partition, b.partition);
  if (chains !== 0) return chains;
  return a.nextIndex <= b.firstIndex ? -1 : 1;
}
