/** What the roles have in common: the ledger they are pinned to, and the ports over Kafka. */
import { createHash, randomBytes } from 'node:crypto';
import type { Command } from 'commander';
import { isAmong, isTransient, MESSAGE_BYTES_MAX, parseVerifierKey, type LedgerState, type SignerKey } from '@plait/core';
import { openCopy, openStateFile } from '@plait/disk';
import { checkLogTopic, checkSourceTopics, logOpener, openLogAppender, openLogReader, topicOffsets, type KafkaOptions } from '@plait/kafka';
import { requireGenesis, systemClock, type LedgerFile } from '@plait/ledger';
import { coldStart, positionBehind, requireRemembered, runLoop, type Clock, type ColdStart, type ColdStartOptions, type LogAppender, type LogCopy, type LogReader, type Memory, type Observe, type OpenLog, type Pinned, type Random, type Role } from '@plait/roles';
import { Told, explain } from '../exit.ts';
import { copyFolderPath, keyPath, loadKey, loadLedger, stateFilePath } from '../keys.ts';
import { makeLog, observer, type Log } from '../log.ts';
import { bootstrapOption, copyOption, kafkaOptions, ledgerOption, logLevelOption, minConfigurationOption, stateOption, type CommonOptions } from '../options.ts';

/** Randomness for the roles. */
export const systemRandom: Random = {
  uniform: () => Math.random(),
  bytes: (count) => randomBytes(count),
};

/** Everything a role of this process needs to begin with. */
export interface RoleSettings {
  readonly kafka: KafkaOptions;
  readonly ledger: LedgerFile;
  readonly key: SignerKey;
  /** File of what the role remembers. */
  readonly stateFile: string;
  /** Folder of its copy of the log; it keeps none without. */
  readonly copyFolder?: string;
  /** It starts from no state whose configuration has a lower version. */
  readonly minConfiguration: bigint;
  readonly log: Log;
  readonly signal: AbortSignal;
}

/** The roles that run as daemons. */
export type RoleName = 'worker' | 'coordinator' | 'publisher' | 'serve';

/** Their options. */
export interface RoleOptions extends CommonOptions {
  readonly key?: string;
  readonly state?: string;
  readonly copy?: string;
  readonly minConfiguration: bigint;
}

/** The key that each of them has. */
const KEY_OF = { worker: 'worker', coordinator: 'coordinator', publisher: 'checkpoint', serve: 'checkpoint' } as const;

/** The command, with what every role can be told. */
export function withRoleOptions(command: Command, key: 'worker' | 'coordinator' | 'checkpoint'): Command {
  return command
    .addOption(bootstrapOption())
    .addOption(ledgerOption())
    .option('--key <file>', `${key} key (default: keys/${key}.key in the ledger's folder)`)
    .addOption(stateOption())
    .addOption(copyOption())
    .addOption(minConfigurationOption())
    .addOption(logLevelOption());
}

/** Reads the folder's files. Throws `config`. */
export async function roleSettings(role: RoleName, options: RoleOptions, context: { log: Log; signal: AbortSignal }): Promise<RoleSettings> {
  const kafka = kafkaOptions(options, context.log);
  const ledger = await loadLedger(options.ledger);
  const key = await loadKey(options.key ?? keyPath(options.ledger, KEY_OF[role]));
  const stateFile = options.state ?? stateFilePath(options.ledger, role);
  const copyFolder = options.copy ?? (KEEPS_COPY.has(role) ? copyFolderPath(options.ledger, role) : undefined);
  const { minConfiguration } = options;
  return { kafka, ledger, key, stateFile, minConfiguration, ...(copyFolder === undefined ? {} : { copyFolder }), ...context };
}

/** What every role pins. */
export function pinnedOf({ origin, ledgerKey }: LedgerFile): Pinned {
  return { origin, ledgerKey: parseVerifierKey(ledgerKey) };
}

/** The group in which the workers of a ledger share its partitions. */
export function workerGroupId(ledger: LedgerFile): string {
  return `plait.${ledger.log}.${shortHash(ledger)}`;
}

/** The Redis key for which the coordinators of a ledger compete. */
export function leaseKey(ledger: LedgerFile): string {
  return `plait:lease:${ledger.log}:${shortHash(ledger)}`;
}

/** Two ledgers may share a Kafka, a Redis, even a topic's name. */
function shortHash({ origin, ledgerKey, log }: LedgerFile): string {
  return createHash('sha256').update(`${origin}\n${ledgerKey}\n${log}\n`).digest('hex').slice(0, 12);
}

/**
 * Opens the log for a role, after a look whether it is this ledger's and has the settings it needs: behind the newest state
 * that is confirmed, else at its beginning. Both ports are closed by `ports`. `paceMs` is how long a message may rest unread;
 * `mayPassMemory` as in coldStart. Throws `config`, `unavailable`, `missing`.
 */
export async function openLog(
  settings: RoleSettings, ports: AsyncDisposableStack, { paceMs, mayPassMemory = false }: { readonly paceMs: number; readonly mayPassMemory?: boolean },
): Promise<{ reader: LogReader; appender: LogAppender; start?: LedgerState } & Keeping> {
  const { kafka, ledger } = settings;
  const { reader, keeping, begun: { start } } = await openLogFrom(settings, ports, { paceMs, begin: (options) => coldStart({ ...options, mayPassMemory }) });
  const appender = ports.adopt(await openLogAppender({ kafka, topic: ledger.log }), (port) => port.close());
  return { reader, appender, ...keeping, ...(start === undefined ? {} : { start }) };
}

/** As {@link openLog}, for who only reads, and begins where `begin` says, given the log's first position. */
export async function openLogFrom<S extends Pick<ColdStart, 'start'>>(
  settings: RoleSettings, ports: AsyncDisposableStack, { paceMs, begin }: { readonly paceMs: number; readonly begin: (options: ColdStartOptions, logStart: bigint) => Promise<S> },
): Promise<{ readonly reader: LogReader; readonly keeping: Keeping; readonly begun: S }> {
  const { kafka, ledger, log, minConfiguration } = settings;
  const topic = ledger.log;
  const observe = observer(log);
  const logStart = await logStartOf(settings);
  const keeping = await keepingOf(settings, ports);
  // Before genesis is missed in a log that was made anew.
  await requireRemembered({ ...keeping, clock: systemClock, observe });
  const begun = await begin({ ...pinnedOf(ledger), ...keeping, minConfiguration, observe }, logStart);
  // A state carries the ledger key's signature, and shows whose log this is; else the genesis does.
  if (begun.start === undefined) await requireGenesis({ ...pinnedOf(ledger), kafka, log: topic }, logStart);
  for (const warning of await checkLogTopic({ kafka, topic, messageBytesMax: MESSAGE_BYTES_MAX })) log.warn({ event: 'setting' }, warning);
  const reader = ports.adopt(await openLogReader({ kafka, topic, from: positionBehind(begun.start), paceMs }), (port) => port.close());
  return { reader, keeping, begun };
}

/** The log's first position; an alarm if that is not 0. Throws `config` if there is no such topic. */
async function logStartOf({ kafka, ledger, log }: RoleSettings): Promise<bigint> {
  const [partition] = await topicOffsets({ kafka, topic: ledger.log, toRead: true });
  const logStart = partition?.logStart ?? 0n;
  if (logStart > 0n) {
    observer(log)({ event: 'alarm', alarm: 'log-start', message: `the log ${ledger.log} begins at position ${logStart}: what was before is ` +
      'deleted, and only those who find a confirmed state above it can go on' });
  }
  return logStart;
}

/** What a role needs to notice when the log is no longer the one it knew, and for others to write it anew. */
export interface Keeping {
  readonly openLog: OpenLog;
  readonly memory: Memory;
  readonly copy?: LogCopy;
}

/** Which roles keep a copy of the log without being asked: those that everything depends on, and of which there are few. */
const KEEPS_COPY: ReadonlySet<string> = new Set(['coordinator', 'publisher', 'serve']);

/** Opens a role's state file and its copy, which is closed by `ports`. Throws `config`, `unavailable`. */
async function keepingOf(
  { kafka, ledger, stateFile, copyFolder }: Pick<RoleSettings, 'kafka' | 'ledger' | 'stateFile' | 'copyFolder'>, ports: AsyncDisposableStack,
): Promise<Keeping> {
  const memory = openStateFile(stateFile);
  const openLogAt = logOpener({ kafka, topic: ledger.log });
  if (copyFolder === undefined) return { openLog: openLogAt, memory };
  const copy = ports.adopt(await openCopy(copyFolder, pinnedOf(ledger)), (port) => port.close());
  return { openLog: openLogAt, memory, copy };
}

const KEYS_OF = { worker: 'workerKeys', coordinator: 'coordinatorKeys', publisher: 'checkpointKeys', serve: 'checkpointKeys' } as const;

/**
 * Looks at each configuration that comes into force: whether the role's key is in it (an alarm: without that the role does
 * nothing), and for a worker, the one that reads the sources, their settings (throws `config` when one is compacted).
 */
function configurationWatch({ kafka, key, log }: RoleSettings, role: RoleName): (state: LedgerState | undefined) => Promise<void> {
  const observe = observer(log);
  let seen = '';
  return async (state) => {
    if (state === undefined || state.configuration.hash === seen) return;
    const { body, hash, version } = state.configuration;
    if (!isAmong(body[KEYS_OF[role]], key.verifier)) {
      observe({ event: 'alarm', alarm: 'key-not-in-force', message: `the key ${key.verifier.vkey} is no ${KEY_OF[role]} key of configuration ` +
        `${version}: this ${role} does nothing until a configuration names it` });
    }
    if (role === 'worker') {
      const { warnings } = await checkSourceTopics({ kafka, topics: body.sources, toRead: true });
      for (const warning of warnings) log.warn({ event: 'setting' }, warning);
    }
    seen = hash;
  };
}

/** A role for a loop, that looks at each configuration once it has caught up: what was read before may be long over. */
export function watched(
  role: { step(): Promise<void>; readonly caughtUp: boolean; readonly state: LedgerState | undefined }, settings: RoleSettings, name: RoleName,
): Role {
  const watch = configurationWatch(settings, name);
  return {
    step: async () => {
      await role.step();
      if (role.caughtUp) await watch(role.state);
    },
  };
}

/** A role with all that it needs, for a loop. */
export interface OpenedRole extends Role {
  /** For a stop in good order, after its last step. */
  drain(): Promise<void>;
}

/** Opens a role; its ports are closed by `ports`. */
export type OpenRole = (settings: RoleSettings, ports: AsyncDisposableStack) => Promise<OpenedRole>;

const REST_MS = 1_000;

/** Opens roles, again and again while no broker answers; none when `signal` aborts before that. Throws what else they throw. */
export async function openPatiently(settings: RoleSettings, ports: AsyncDisposableStack, roles: readonly OpenRole[]): Promise<readonly OpenedRole[]> {
  const { log, signal } = settings;
  while (!signal.aborted) {
    const attempt = new AsyncDisposableStack();
    try {
      const opened: OpenedRole[] = [];
      for (const open of roles) opened.push(await open(settings, attempt));
      ports.use(attempt);
      return opened;
    } catch (error) {
      await attempt.disposeAsync();
      if (!isTransient(error)) throw error;
      observer(log)({ event: 'waiting', why: error.message });
      await systemClock.sleep(REST_MS, signal);
    }
  }
  return [];
}

/** Runs roles until `signal` aborts, or until one fails: then the others are stopped and its error is thrown. */
export async function runTogether(
  roles: readonly Role[], options: { readonly clock: Clock; readonly signal: AbortSignal; readonly observe: Observe },
): Promise<void> {
  const failed = new AbortController();
  const signal = AbortSignal.any([options.signal, failed.signal]);
  const runs = roles.map(async (role) => {
    try {
      await runLoop(role, { ...options, signal });
    } catch (error) {
      failed.abort();
      throw error;
    }
  });
  const ended = await Promise.allSettled(runs);
  for (const end of ended) if (end.status === 'rejected') throw end.reason;
}

/** Runs what a daemon does, and logs its end: other programs read these lines, so nothing else is printed. */
export async function daemon(options: CommonOptions, run: (log: Log) => Promise<void>): Promise<void> {
  const log = makeLog(options.logLevel);
  try {
    await run(log);
    log.info({ event: 'stopped' }, 'stopped');
  } catch (error) {
    const told = new Told(error);
    log.fatal({ event: 'failed', exitCode: told.exitCode }, explain(error));
    throw told;
  }
}
