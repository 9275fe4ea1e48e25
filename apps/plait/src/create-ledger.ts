/**
 * Creating a ledger, so that a crash at any step leaves something the same command goes on from:
 *
 *     keys ──► log topic ──► genesis appended ──► read back as first ──► ledger.json
 */
import {
  formatGenesis, generation, isPlaitError, logPosition, MESSAGE_BYTES_MAX, offset, PlaitError, RULES_VERSION, signNote,
  type Genesis, type LedgerState, type SignerKey, type Start,
} from '@plait/core';
import {
  checkLogTopic, checkSourceTopics, createLogTopic, openLogAppender, openLogReader, topicOffsets, type KafkaOptions,
} from '@plait/kafka';
import { formatLedgerFile, systemClock, type LedgerFile } from '@plait/ledger';
import { Follower } from '@plait/roles';
import { ensureKeys, ledgerFilePath, writeNew, type KeyRole } from './keys.ts';
import type { Log } from './log.ts';

/** What a ledger shall be. */
export interface LedgerPlan {
  /** Sorted, without repeats. */
  readonly sources: readonly string[];
  readonly origin: string;
  /** Topic of the log. */
  readonly log: string;
  /** Whether what the topics hold already is ordered too. */
  readonly from: 'earliest' | 'latest';
  /** Of the log's topic; the brokers' default if not given. */
  readonly replication?: number;
  readonly partitionsMax: number;
  readonly pendingMax: number;
  /** Partitions that may start elsewhere than at offset 0. */
  readonly entriesMax: number;
}

type Keys = Readonly<Record<KeyRole, SignerKey>>;

interface Context {
  readonly folder: string;
  readonly kafka: KafkaOptions;
  readonly log: Log;
}

const LEDGER_FILE_MODE = 0o644;
const SETTLE_MS = 10_000;
const REST_MS = 200;
const POLL_WAIT_MS = 100;

/**
 * Makes keys, topic and genesis where they are missing, and the ledger file last. Throws `config` for topics that do not
 * do, keys of another origin, and a log that holds anything but this ledger's own genesis; `unavailable`.
 */
export async function createLedger(plan: LedgerPlan, context: Context): Promise<{ file: LedgerFile; ledgerId: string }> {
  const { kafka, log } = context;
  const { topics, warnings } = await checkSourceTopics({ kafka, topics: plan.sources });
  for (const warning of warnings) log.warn({ event: 'setting' }, warning);
  for (const { topic, partitions } of topics) {
    if (partitions > plan.partitionsMax) {
      throw new PlaitError('config', `--partitions-max is ${plan.partitionsMax}, and ${topic} has ${partitions} partitions: wanted at least as many`);
    }
  }
  // A crash here leaves some keys: the next init makes the others.
  const keys = await ensureKeys(context.folder, plan.origin);
  // A crash here leaves an empty topic, which the next init takes.
  const created = await createLogTopic({
    kafka, topic: plan.log, messageBytesMax: MESSAGE_BYTES_MAX, ...(plan.replication === undefined ? {} : { replicationFactor: plan.replication }),
  });
  log.info({ event: 'log-topic', created }, created ? `created the topic ${plan.log}` : `the topic ${plan.log} is there already`);
  for (const warning of await settled(() => checkLogTopic({ kafka, topic: plan.log, messageBytesMax: MESSAGE_BYTES_MAX }))) {
    log.warn({ event: 'setting' }, warning);
  }
  const state = (await earlierGenesis(plan, keys, context)) ?? (await writeGenesis(plan, keys, kafka));
  const file: LedgerFile = { origin: plan.origin, ledgerKey: keys.ledger.verifier.vkey, log: plan.log };
  // A crash before this line leaves a ledger without its file: the next init finds its genesis and writes the file.
  await writeNew(ledgerFilePath(context.folder), formatLedgerFile(file), LEDGER_FILE_MODE);
  return { file, ledgerId: state.ledgerId };
}

/** The state after the genesis that an interrupted init wrote; undefined for an empty log. Throws `config` for any other log. */
async function earlierGenesis(plan: LedgerPlan, keys: Keys, { kafka, log }: Context): Promise<LedgerState | undefined> {
  const [partition] = await settled(() => topicOffsets({ kafka, topic: plan.log }));
  if (partition?.end === 0n) return undefined;
  const used = `the topic ${plan.log} is not empty (it ends at ${partition?.end}), and a ledger's log must be: name another topic with --log`;
  if (partition === undefined || partition.logStart > 0n) throw new PlaitError('config', used);
  const state = await readGenesis(plan, keys, kafka).catch((error: unknown) => {
    throw isPlaitError(error, 'config') ? new PlaitError('config', `${used}. ${error.message}`, { cause: error }) : error;
  });
  if (state === undefined) throw new PlaitError('config', used);
  const body = state.configuration.body as Genesis;
  const wanted = bodyOf(plan, keys, body.starts);
  if (formatGenesis(body) !== formatGenesis(wanted)) {
    throw new PlaitError('config', `the topic ${plan.log} holds the genesis of an earlier init with these keys, which differs from ` +
      `what is asked for now: it has the topics ${body.sources.join(', ')}, partitions-max ${body.partitionsMax}, pending-max ` +
      `${body.pendingMax}. Ask for the same, or name another topic with --log`);
  }
  log.info({ event: 'resumed' }, 'going on from the genesis of an earlier init');
  return state;
}

/** Appends genesis to an empty log and reads back that it came first. Throws `config` if another did. */
async function writeGenesis(plan: LedgerPlan, keys: Keys, kafka: KafkaOptions): Promise<LedgerState> {
  const text = formatGenesis(bodyOf(plan, keys, await startsOf(plan, kafka)));
  const bytes = signNote(text, keys.ledger);
  const appender = await openLogAppender({ kafka, topic: plan.log });
  try {
    // A crash here leaves genesis in the log or not: the next init looks. The same bytes twice are one genesis.
    await settled(() => appender.append(bytes));
  } finally {
    await appender.close();
  }
  const state = await readGenesis(plan, keys, kafka);
  if (state?.configuration.note === undefined || formatGenesis(state.configuration.body as Genesis) !== text) {
    throw new PlaitError('config', `another genesis of ${plan.origin} came first in the topic ${plan.log}: two inits ran at once. ` +
      'Run init again: it goes on from the first one');
  }
  return state;
}

/** The state after the log's first genesis of this origin; undefined if there is none. Throws `config` if another key signed it. */
async function readGenesis({ log: topic, origin }: LedgerPlan, keys: Keys, kafka: KafkaOptions): Promise<LedgerState | undefined> {
  const reader = await openLogReader({ kafka, topic, from: logPosition(0n) });
  try {
    const follower = new Follower({ origin, ledgerKey: keys.ledger.verifier, log: reader });
    const end = await reader.end();
    while (follower.state === undefined && follower.position < end) await follower.poll(POLL_WAIT_MS);
    return follower.state;
  } finally {
    await reader.close();
  }
}

function bodyOf(plan: LedgerPlan, keys: Keys, starts: readonly Start[]): Genesis {
  return {
    kind: 'genesis', origin: plan.origin, rules: RULES_VERSION, onLoss: 'stop',
    partitionsMax: plan.partitionsMax, pendingMax: plan.pendingMax,
    checkpointKeys: [keys.checkpoint.verifier], coordinatorKeys: [keys.coordinator.verifier], workerKeys: [keys.worker.verifier],
    sources: plan.sources, starts, voids: [],
  };
}

/** Where partitions start that do not start at offset 0: at their end for `latest`, else at their log start. */
async function startsOf(plan: LedgerPlan, kafka: KafkaOptions): Promise<readonly Start[]> {
  const starts: Start[] = [];
  for (const topic of plan.sources) {
    for (const { partition, logStart, end } of await topicOffsets({ kafka, topic })) {
      const from = plan.from === 'latest' ? end : logStart;
      if (from > 0n) starts.push({ topic, partition, generation: generation(0n), offset: offset(from) });
    }
  }
  if (starts.length <= plan.entriesMax) return starts;
  throw new PlaitError('config', `${starts.length} partitions would start above offset 0, and a genesis holds ${plan.entriesMax} of them: ` +
    'order fewer topics in one ledger');
}

/** `attempt`, again while it throws `unavailable` or `unknown`, for a few seconds: a new topic takes a moment to settle. */
async function settled<T>(attempt: () => Promise<T>): Promise<T> {
  const deadlineMs = systemClock.nowMs() + SETTLE_MS;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      const again = isPlaitError(error, 'unavailable') || isPlaitError(error, 'unknown');
      if (!again || systemClock.nowMs() >= deadlineMs) throw error;
      await systemClock.sleep(REST_MS);
    }
  }
}
