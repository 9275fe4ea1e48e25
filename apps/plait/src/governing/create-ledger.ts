/**
 * Creating a ledger, so that a crash at any step leaves something the same command goes on from:
 *
 *     keys ──► log topic ──► genesis appended ──► read back as first ──► ledger.json
 */
import { mkdir } from 'node:fs/promises';
import {
  formatGenesis, generation, isPlaitError, MESSAGE_BYTES_MAX, offset, PlaitError, signNote, utf8Decode,
  type Genesis, type Hash, type LedgerState, type SignerKey, type Start, type VerifierKey,
} from '@plait/core';
import { writeNew } from '@plait/disk';
import {
  checkLogTopic, checkSourceTopics, createLogTopic, openLogAppender, topicOffsets, type KafkaOptions,
} from '@plait/kafka';
import { formatLedgerFile, readGenesis, type LedgerFile } from '@plait/ledger';
import { ensureKeys, KEY_ROLES, ledgerFilePath, ONLINE_ROLES } from '../keys.ts';
import type { Log } from '../log.ts';
import { formatPredecessor, requireFresh, type Succession } from '../recovery/succession.ts';
import { settled } from '../settled.ts';

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
  /** Version of the rules. */
  readonly rules: number;
  /** Partitions that may start elsewhere than at offset 0. */
  readonly entriesMax: number;
  /** The ledger it goes on from: it starts where that one's chains ended. */
  readonly succeeds?: Succession;
}

type OnlineKeys = Readonly<Record<(typeof ONLINE_ROLES)[number], SignerKey>>;

interface Context {
  readonly folder: string;
  readonly kafka: KafkaOptions;
  readonly log: Log;
}

/** The genesis that shall be, and who has signed or will sign it. */
interface Beginning extends Pick<LedgerPlan, 'origin' | 'log' | 'replication'> {
  readonly ledgerKey: VerifierKey;
  /** What an earlier, interrupted init with these starts must have written. */
  readonly expected: (starts: readonly Start[]) => string;
  /** The signed note; asked for only if there is no earlier one. */
  readonly note: () => Promise<Uint8Array>;
  /** A note to append behind it. */
  readonly noteBehind?: (ledgerId: Hash) => Uint8Array;
}

/** A genesis that was signed elsewhere, and where its log shall be. */
export interface SignedGenesis extends Pick<LedgerPlan, 'log' | 'replication'> {
  readonly note: Uint8Array;
  readonly genesis: Genesis;
  /** By which it was found signed. */
  readonly ledgerKey: VerifierKey;
}

const LEDGER_FILE_MODE = 0o644;

/**
 * Makes keys, topic and genesis where they are missing, and the ledger file last. Throws `config` for topics that do not
 * do, keys of another origin, and a log that holds anything but this ledger's own genesis; `unavailable`.
 */
export async function createLedger(plan: LedgerPlan, context: Context): Promise<{ file: LedgerFile; ledgerId: string }> {
  await checkSources(plan, context);
  // A crash here leaves some keys: the next init makes the others.
  const keys = await ensureKeys(context.folder, plan.origin, KEY_ROLES);
  const { origin, succeeds } = plan;
  if (succeeds !== undefined) requireFresh(origin, keys.checkpoint, succeeds);
  const textFor = (starts: readonly Start[]): string => formatGenesis(bodyOf(plan, keys, starts));
  const noteBehind = succeeds && ((ledgerId: Hash) => signNote(formatPredecessor({ origin, ledgerId, predecessor: succeeds.predecessor }), keys.ledger));
  return await begin({
    ...plan, ledgerKey: keys.ledger.verifier, expected: textFor,
    note: async () => signNote(textFor(await startsOf(plan, context.kafka)), keys.ledger), ...(noteBehind === undefined ? {} : { noteBehind }),
  }, context);
}

/** The text of the genesis, for the ledger key on another machine; makes the other keys. Throws as {@link createLedger}. */
export async function genesisText(plan: LedgerPlan, context: Context): Promise<string> {
  await checkSources(plan, context);
  const keys = await ensureKeys(context.folder, plan.origin, ONLINE_ROLES);
  return formatGenesis(bodyOf(plan, keys, await startsOf(plan, context.kafka)));
}

/** As {@link createLedger}, with a genesis that was signed elsewhere. Makes no keys. */
export async function createSignedLedger(signed: SignedGenesis, context: Context): Promise<{ file: LedgerFile; ledgerId: string }> {
  const { note, genesis } = signed;
  await checkSources(genesis, context);
  const beginning = { ...signed, origin: genesis.origin, expected: () => formatGenesis(genesis), note: () => Promise.resolve(note) };
  return await begin(beginning, context);
}

async function checkSources(
  { sources, partitionsMax }: Pick<LedgerPlan, 'sources' | 'partitionsMax'>, { kafka, log }: Context,
): Promise<void> {
  const { topics, warnings } = await checkSourceTopics({ kafka, topics: sources });
  for (const warning of warnings) log.warn({ event: 'setting' }, warning);
  for (const { topic, partitions } of topics) {
    if (partitions > partitionsMax) {
      throw new PlaitError('config', `--partitions-max is ${partitionsMax}, and ${topic} has ${partitions} partitions: wanted at least as many`);
    }
  }
}

async function begin(beginning: Beginning, context: Context): Promise<{ file: LedgerFile; ledgerId: string }> {
  const { kafka, log } = context;
  const { origin, log: topic, replication, ledgerKey } = beginning;
  // A crash here leaves an empty topic, which the next init takes.
  const created = await createLogTopic({
    kafka, topic, messageBytesMax: MESSAGE_BYTES_MAX, ...(replication === undefined ? {} : { replicationFactor: replication }),
  });
  log.info({ event: 'log-topic', created }, created ? `created the topic ${topic}` : `the topic ${topic} is there already`);
  for (const warning of await settled(() => checkLogTopic({ kafka, topic, messageBytesMax: MESSAGE_BYTES_MAX }))) {
    log.warn({ event: 'setting' }, warning);
  }
  const state = (await earlierGenesis(beginning, context)) ?? (await writeGenesis(beginning, kafka));
  // A crash before or here: the next init appends it (again), and nobody minds two.
  if (beginning.noteBehind !== undefined) await append(topic, beginning.noteBehind(state.ledgerId), kafka);
  const file: LedgerFile = { origin, ledgerKey: ledgerKey.vkey, log: topic };
  await mkdir(context.folder, { recursive: true });
  // A crash before this line leaves a ledger without its file: the next init finds its genesis and writes the file.
  await writeNew(ledgerFilePath(context.folder), formatLedgerFile(file), LEDGER_FILE_MODE);
  return { file, ledgerId: state.ledgerId };
}

/** The state after the genesis that an interrupted init wrote; undefined for an empty log. Throws `config` for any other log. */
async function earlierGenesis(beginning: Beginning, { kafka, log }: Context): Promise<LedgerState | undefined> {
  const topic = beginning.log;
  const [partition] = await settled(() => topicOffsets({ kafka, topic }));
  if (partition?.end === 0n) return undefined;
  const used = `the topic ${topic} is not empty (it ends at ${partition?.end}), and a ledger's log must be: name another topic with --log`;
  if (partition === undefined || partition.logStart > 0n) throw new PlaitError('config', used);
  const { state } = await readGenesis({ ...beginning, kafka }).catch((error: unknown) => {
    throw isPlaitError(error, 'config') ? new PlaitError('config', `${used}. ${error.message}`, { cause: error }) : error;
  });
  if (state === undefined) throw new PlaitError('config', used);
  const body = state.configuration.body as Genesis;
  if (formatGenesis(body) !== beginning.expected(body.starts)) {
    throw new PlaitError('config', `the topic ${topic} holds the genesis of an earlier init with these keys, which differs from ` +
      `what is asked for now: it has the topics ${body.sources.join(', ')}, partitions-max ${body.partitionsMax}, pending-max ` +
      `${body.pendingMax}, rules ${body.rules}. Ask for the same, or name another topic with --log`);
  }
  log.info({ event: 'resumed' }, 'going on from the genesis of an earlier init');
  return state;
}

/** Appends genesis to an empty log and reads back that it came first. Throws `config` if another did. */
async function writeGenesis(beginning: Beginning, kafka: KafkaOptions): Promise<LedgerState> {
  const bytes = await beginning.note();
  // A crash here leaves genesis in the log or not: the next init looks. The same bytes twice are one genesis.
  await append(beginning.log, bytes, kafka);
  const { state } = await readGenesis({ ...beginning, kafka });
  if (state?.configuration.note !== utf8Decode(bytes)) {
    throw new PlaitError('config', `another genesis of ${beginning.origin} came first in the topic ${beginning.log}: two inits ran at once. ` +
      'Run init again: it goes on from the first one');
  }
  return state;
}

async function append(topic: string, bytes: Uint8Array, kafka: KafkaOptions): Promise<void> {
  const appender = await openLogAppender({ kafka, topic });
  try {
    await settled(() => appender.append(bytes));
  } finally {
    await appender.close();
  }
}

function bodyOf(plan: LedgerPlan, keys: OnlineKeys, starts: readonly Start[]): Genesis {
  return {
    kind: 'genesis', origin: plan.origin, rules: plan.rules, onLoss: 'stop',
    partitionsMax: plan.partitionsMax, pendingMax: plan.pendingMax,
    checkpointKeys: [keys.checkpoint.verifier], coordinatorKeys: [keys.coordinator.verifier], workerKeys: [keys.worker.verifier],
    sources: plan.sources, starts, voids: [],
  };
}

/** Where partitions start that do not start at offset 0: at their end for `latest`, else at their log start. */
async function startsOf(plan: LedgerPlan, kafka: KafkaOptions): Promise<readonly Start[]> {
  if (plan.succeeds !== undefined) return plan.succeeds.starts.filter(({ topic }) => plan.sources.includes(topic));
  const starts: Start[] = [];
  for (const topic of plan.sources) {
    for (const { partition, logStart, end } of await settled(() => topicOffsets({ kafka, topic }))) {
      const from = plan.from === 'latest' ? end : logStart;
      if (from > 0n) starts.push({ topic, partition, generation: generation(0n), offset: offset(from) });
    }
  }
  if (starts.length <= plan.entriesMax) return starts;
  throw new PlaitError('config', `${starts.length} partitions would start above offset 0, and a genesis holds ${plan.entriesMax} of them: ` +
    'order fewer topics in one ledger');
}
