/** `plait reconfigure`: signs the next configuration and brings it into force. */
import { Command, Option } from 'commander';
import {
  formatConfiguration, MESSAGE_BYTES_MAX, messageHash, parseConfiguration, parseNote, parseTopic, partitionName, PARTITIONS_MAX, PENDING_MAX,
  PlaitError, RULES_VERSION, type Configuration, type LedgerState, type Segment, type VerifierKey,
} from '@plait/core';
import { checkSourceTopics, openLogAppender, topicOffsets, type KafkaOptions, type PartitionOffsets } from '@plait/kafka';
import type { LedgerFile } from '@plait/ledger';
import type { Folded } from '@plait/roles';
import { changesOf, changeText } from './configuration-changes.ts';
import { keyPath, loadLedger } from '../keys.ts';
import { appendAndReadBack, foldLog, requireCounts, type FoldedLog } from './log-fold.ts';
import { makeLog, type Log } from '../log.ts';
import { bootstrapOption, countArgument, kafkaOptions, ledgerOption, logLevelOption, optionValue, type CommonOptions } from '../options.ts';
import { printLine } from '../output.ts';
import { settled } from '../settled.ts';
import { planConfiguration } from './reconfigure-plan.ts';
import { parseRestart, parseVoidWish, readVerifierKey, type SigningRole, type Wishes } from './reconfigure-wishes.ts';
import { readSigned, SIGNED_SUFFIX, signWithFile, writeForSigning } from './signing.ts';

const EXAMPLES = `
What is not named stays as it is. A configuration ends the epoch: coordinators claim anew, which takes about a second.
Revoke a key by its name, name and id, or whole; a new key is a vkey or @FILE. Only the ledger key signs. It may live on
another machine: --write-text FILE here, "plait keys sign" there, --signed FILE here.

Examples:
  plait reconfigure --restart orders/0 --dry-run
  plait reconfigure --on-loss record --pending-max 512
`;

interface ReconfigureOptions extends CommonOptions {
  readonly addWorkerKey?: readonly string[];
  readonly revokeWorkerKey?: readonly string[];
  readonly addCoordinatorKey?: readonly string[];
  readonly revokeCoordinatorKey?: readonly string[];
  readonly addCheckpointKey?: readonly string[];
  readonly revokeCheckpointKey?: readonly string[];
  readonly addTopic?: readonly string[];
  readonly removeTopic?: readonly string[];
  readonly restart?: readonly string[];
  readonly void?: readonly string[];
  readonly onLoss?: 'stop' | 'record';
  readonly partitionsMax?: number;
  readonly pendingMax?: number;
  readonly rules?: number;
  readonly force?: true;
  readonly dryRun?: true;
  readonly key?: string;
  readonly writeText?: string;
  readonly signed?: string;
  readonly output: 'text' | 'json';
}

/** The command. */
export function reconfigureCommand(): Command {
  return withChanges(new Command('reconfigure'))
    .summary('change keys, topics, limits or rules; restart or void partitions')
    .description('Shows what changes, signs the next configuration with the ledger key, appends it, and reads back that it is in force.')
    .option('--force', 'also revoke the last key of a role or remove the last topic, which stops the ledger')
    .option('--dry-run', 'only show what would change')
    .option('--key <file>', 'ledger key (default: keys/ledger.key in the ledger\'s folder)')
    .addOption(new Option('--write-text <file>', 'write the text to sign, for "plait keys sign" on the machine that has the ledger key').conflicts(['signed', 'key', 'dryRun']))
    .addOption(new Option('--signed <file>', 'append what "plait keys sign" made').conflicts(['key', ...CHANGES]))
    .addOption(new Option('-o, --output <format>', 'output format').choices(['text', 'json']).default('text'))
    .addOption(bootstrapOption())
    .addOption(ledgerOption())
    .addOption(logLevelOption())
    .addHelpText('after', EXAMPLES)
    .action(async (options: ReconfigureOptions) => {
      const log = makeLog(options.logLevel);
      const target = { ledger: await loadLedger(options.ledger), kafka: kafkaOptions(options, log), log };
      await reconfigure(options, target);
    });
}

/** What says what changes; with `--signed` the file does. */
const CHANGES = [
  'addWorkerKey', 'revokeWorkerKey', 'addCoordinatorKey', 'revokeCoordinatorKey', 'addCheckpointKey', 'revokeCheckpointKey', 'addTopic',
  'removeTopic', 'restart', 'void', 'onLoss', 'partitionsMax', 'pendingMax', 'rules', 'force',
] as const satisfies readonly (keyof ReconfigureOptions)[];

function withChanges(command: Command): Command {
  return command
    .option('--add-worker-key <vkey...>', 'also take reports of this key')
    .option('--revoke-worker-key <name...>', 'take no more reports of this key; what was accepted stays')
    .option('--add-coordinator-key <vkey...>', 'also take claims of this key')
    .option('--revoke-coordinator-key <name...>', 'take no more claims of this key')
    .option('--add-checkpoint-key <vkey...>', 'also take checkpoints of this key')
    .option('--revoke-checkpoint-key <name...>', 'take no more checkpoints of this key')
    .option('--add-topic <topic...>', 'order this topic too, from its first record on')
    .option('--remove-topic <topic...>', 'order no more records of this topic')
    .option('--restart <partition...>', 'TOPIC/PARTITION[@OFFSET]: begin a new generation there (default: where a void of the same command begins, else the log start)')
    .option('--void <range...>', 'TOPIC/PARTITION:FIRST-[NEXT][@GENERATION]: indexes that are unusable; their seqs stay, readers deliver them as void. Without NEXT: all from FIRST on')
    .addOption(new Option('--on-loss <what>', 'what a worker does about records that expired before it hashed them').choices(['stop', 'record']))
    .option('--partitions-max <n>', 'partition numbers of each topic stay below this', countArgument(1, PARTITIONS_MAX))
    .option('--pending-max <n>', 'segments of one partition that may wait for a block', countArgument(1, PENDING_MAX))
    .option('--rules <version>', `version of the rules, up to ${RULES_VERSION}`, countArgument(1, 2 ** 31 - 1));
}

interface Target {
  readonly ledger: LedgerFile;
  readonly kafka: KafkaOptions;
  readonly log: Log;
}

/** What of the log the fold does not keep. */
class LogMemory {
  /** Accepted segments of the partitions asked for, in log order. */
  readonly segments: Segment[] = [];
  /** Each configuration's hash and position, by version. */
  readonly configurations = new Map<bigint, { readonly hash: string; readonly position: bigint }>();
  readonly #wanted: ReadonlySet<string>;

  constructor(partitions: Wishes['voids']) {
    this.#wanted = new Set(partitions.map(partitionName));
  }

  take({ outcome, position }: Folded): void {
    if (outcome.kind === 'configuration') this.configurations.set(outcome.configuration.version, { hash: outcome.hash, position });
    if (outcome.kind !== 'report' || this.#wanted.size === 0) return;
    for (const { accepted, segment } of outcome.segments) {
      if (accepted && this.#wanted.has(partitionName(segment))) this.segments.push(segment);
    }
  }
}

/** What became of the command. */
type Done = { readonly done: 'dry-run' } | { readonly done: 'written'; readonly file: string } | { readonly done: 'in-force'; readonly position: bigint };

async function reconfigure(options: ReconfigureOptions, target: Target): Promise<void> {
  const wishes = await wishesOf(options);
  await using ports = new AsyncDisposableStack();
  const memory = new LogMemory(wishes.voids);
  const log = await foldLog(target, ports, (folded) => memory.take(folded));
  const signed = options.signed === undefined ? undefined : await readSigned(options.signed, log.state().ledgerKey);
  const next = signed === undefined ? await planned(wishes, { options, target, memory, state: log.state() }) : followUp(signed.text, log.state());
  if (next.sources.includes(target.ledger.log)) throw new PlaitError('config', `${target.ledger.log} would be a source, and it is the ledger's own log`);
  const changes = changesOf(log.state().configuration.body, next);
  const asText = options.output === 'text';
  if (asText) printLine(`configuration ${next.version} of ${next.origin}\n${changes.map((change) => `  ${changeText(change)}\n`).join('')}`);
  const done = await act(next, signed?.note, { options, target, memory, log, ports });
  printLine(asText ? doneText(done) : JSON.stringify({ version: String(next.version), changes, ...done }, bigintsAsText));
}

async function planned(
  wishes: Wishes, { options, target, memory, state }: { options: ReconfigureOptions; target: Target; memory: LogMemory; state: LedgerState },
): Promise<Configuration> {
  return planConfiguration(wishes, {
    state, segments: memory.segments, force: options.force === true, offsets: await offsetsOf(wishes, state, target),
  });
}

interface Acting {
  readonly options: ReconfigureOptions;
  readonly target: Target;
  readonly memory: LogMemory;
  readonly log: FoldedLog;
  readonly ports: AsyncDisposableStack;
}

/** Signs and appends, or stops before, as the options say. */
async function act(next: Configuration, signed: Uint8Array | undefined, acting: Acting): Promise<Done> {
  const { options, log } = acting;
  if (options.dryRun === true) return { done: 'dry-run' };
  const text = formatConfiguration(next);
  if (options.writeText !== undefined) {
    await writeForSigning(options.writeText, text);
    return { done: 'written', file: options.writeText };
  }
  const { ledgerKey } = log.state();
  const note = signed ?? (await signWithFile(text, { path: options.key ?? keyPath(options.ledger, 'ledger'), ledgerKey }));
  return { done: 'in-force', position: await bringIntoForce(note, next, acting) };
}

/** Appends the note until it is read back; its position. Throws `config` when another configuration came first. */
async function bringIntoForce(note: Uint8Array, { version }: Configuration, { target, memory, log, ports }: Acting): Promise<bigint> {
  if (note.length > MESSAGE_BYTES_MAX) {
    throw new PlaitError('config', `the configuration has ${note.length} bytes, and a message of the log has at most ${MESSAGE_BYTES_MAX}: void or restart less`);
  }
  requireCounts(note, log.state());
  const { kafka, ledger } = target;
  const appender = ports.adopt(await openLogAppender({ kafka, topic: ledger.log }), (port) => port.close());
  const readBack = (): { hash: string; position: bigint } | undefined => memory.configurations.get(version);
  const { hash, position } = await appendAndReadBack(note, { appender, follower: log.follower, readBack });
  if (hash === messageHash(parseNote(note).text)) return position;
  throw new PlaitError('config', `another configuration ${version} came first, at position ${position}: nothing of this one is in force, and nothing is ` +
    'lost. Look at it with "plait history", and run the same command again if it is still wanted');
}

/** The configuration of a signed file. Throws `config` unless it follows the one in force. */
function followUp(text: string, { configuration, origin, ledgerId }: LedgerState): Configuration {
  const next = optionValue('--signed', () => parseConfiguration(text));
  if (next.origin !== origin || next.ledgerId !== ledgerId) throw new PlaitError('config', `--signed: the file is for the ledger ${next.origin} (${next.ledgerId}), this is ${origin} (${ledgerId})`);
  if (next.version === configuration.version + 1n && next.previous === configuration.hash) return next;
  throw new PlaitError('config', `--signed: the file holds configuration ${next.version}, written when ${next.version - 1n} was in force, and now ` +
    `${configuration.version} is: write the text again with --write-text`);
}

async function wishesOf(options: ReconfigureOptions): Promise<Wishes> {
  return {
    add: {
      worker: await keysOf('worker', options.addWorkerKey), coordinator: await keysOf('coordinator', options.addCoordinatorKey),
      checkpoint: await keysOf('checkpoint', options.addCheckpointKey),
    },
    revoke: {
      worker: options.revokeWorkerKey ?? [], coordinator: options.revokeCoordinatorKey ?? [], checkpoint: options.revokeCheckpointKey ?? [],
    },
    addTopics: topicsOf('--add-topic', options.addTopic), removeTopics: topicsOf('--remove-topic', options.removeTopic),
    restarts: (options.restart ?? []).map(parseRestart), voids: (options.void ?? []).map(parseVoidWish),
    ...(options.onLoss === undefined ? {} : { onLoss: options.onLoss }),
    ...(options.partitionsMax === undefined ? {} : { partitionsMax: options.partitionsMax }),
    ...(options.pendingMax === undefined ? {} : { pendingMax: options.pendingMax }),
    ...(options.rules === undefined ? {} : { rules: options.rules }),
  };
}

async function keysOf(role: SigningRole, texts: readonly string[] = []): Promise<readonly VerifierKey[]> {
  return await Promise.all(texts.map(async (text) => await readVerifierKey(`--add-${role}-key`, text)));
}

function topicsOf(option: string, names: readonly string[] = []): readonly string[] {
  return [...new Set(names.map((name) => optionValue(option, () => parseTopic(name))))];
}

/** Where the partitions of the topics begin and end that the wishes need looked at. Throws `config` for topics that do not do. */
async function offsetsOf(wishes: Wishes, state: LedgerState, { kafka, ledger, log }: Target): Promise<ReadonlyMap<string, readonly PartitionOffsets[]>> {
  const { addTopics, removeTopics, restarts, partitionsMax } = wishes;
  if (addTopics.includes(ledger.log)) throw new PlaitError('config', `--add-topic ${ledger.log}: that is the ledger's own log`);
  const { warnings } = await checkSourceTopics({ kafka, topics: addTopics });
  for (const warning of warnings) log.warn({ event: 'setting' }, warning);
  const kept = state.configuration.body.sources.filter((topic) => !removeTopics.includes(topic));
  const topics = new Set([...addTopics, ...restarts.map(({ topic }) => topic).filter((topic) => kept.includes(topic)), ...(partitionsMax === undefined ? [] : kept)]);
  const offsets = new Map<string, readonly PartitionOffsets[]>();
  for (const topic of topics) offsets.set(topic, await settled(() => topicOffsets({ kafka, topic })));
  return offsets;
}

function doneText(done: Done): string {
  if (done.done === 'dry-run') return 'Nothing was signed.';
  if (done.done === 'in-force') return `In force, at position ${done.position} of the log.`;
  return `Sign it where the ledger key is:  plait keys sign --key ledger.key ${done.file}\n` +
    `and bring it back:                plait reconfigure --signed ${done.file}${SIGNED_SUFFIX}`;
}

const bigintsAsText = (_: string, value: unknown): unknown => (typeof value === 'bigint' ? String(value) : value);
