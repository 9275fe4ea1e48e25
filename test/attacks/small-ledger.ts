/**
 * A small ledger to be attacked: a topic of two partitions of its own, a log, and a folder with its keys. Its records come in
 * waves, four to each partition, so that where everything is can be told beforehand: wave w has offsets 4w … 4w + 4 of both
 * partitions, seqs 8w … 8w + 4 and 8w + 4 … 8w + 8, the block of height w and the checkpoint of size w + 1.
 */
import { randomBytes } from 'node:crypto';
import { mkdir, mkdtemp, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  compareText, formatGenesis, logPosition, makeSignerKey, MESSAGE_BYTES_MAX, RULES_VERSION, signNote, type Genesis, type SignerKey, type TopicPartition, type VerifierKey,
} from '@plait/core';
import { openLeaves } from '@plait/disk';
import { createLogTopic, type KafkaOptions } from '@plait/kafka';
import { formatLedgerFile, systemClock, type LedgerFile } from '@plait/ledger';
import { LeafKeeper } from '@plait/roles';
import type { Producer } from 'kafkajs';
import { ensureKeys, ledgerFilePath } from '../../apps/plait/src/keys.ts';
import { pinnedOf } from '../../apps/plait/src/running/wiring.ts';
import { uniqueName } from '../global/services.ts';
import { createTopic, patiently } from '../kafka/client.ts';
import type { Harness } from '../kafka/harness.ts';
import { onceAvailable, openPatientAppender, openPatientLog, openPatientSource } from '../kafka/patient.ts';
import { Team, type TeamOptions } from './team.ts';

/** Where ledgers are made. */
export interface Ground {
  readonly kafka: KafkaOptions;
  readonly harness: Harness;
  readonly producer: Producer;
  /** Where the broker keeps its partitions. */
  readonly dataDir: string;
}

export const PARTITIONS = [0, 1] as const;
/** Records of a wave in one partition. */
export const WAVE = 4;

/** How a ledger differs from the others. */
export interface SmallLedgerOptions {
  /** Of the source topic. Default: nothing expires. */
  readonly settings?: Readonly<Record<string, string>>;
  /** Its coordinator writes a state after so many messages. Default: it writes none. */
  readonly snapshotMessages?: number;
}

/** Keys of a ledger: those of its folder, and one more worker and coordinator in force, who are up to no good. */
export type Keys = Readonly<Record<'ledger' | 'checkpoint' | 'coordinator' | 'worker' | 'liar' | 'rival', SignerKey>>;

/** One ledger. */
export class SmallLedger {
  readonly ground: Ground;
  readonly topic: string;
  readonly folder: string;
  readonly file: LedgerFile;
  readonly keys: Keys;
  readonly genesis: Genesis;
  readonly #options: SmallLedgerOptions;
  /** Records of each partition. */
  #written = 0;

  private constructor(made: { ground: Ground; topic: string; folder: string; file: LedgerFile; keys: Keys; genesis: Genesis; options: SmallLedgerOptions }) {
    this.ground = made.ground;
    this.topic = made.topic;
    this.folder = made.folder;
    this.file = made.file;
    this.keys = made.keys;
    this.genesis = made.genesis;
    this.#options = made.options;
  }

  /** Topics, keys, genesis and folder. */
  static async make(ground: Ground, options: SmallLedgerOptions = {}): Promise<SmallLedger> {
    const topic = uniqueName('orders');
    await createTopic(ground.kafka.brokers.join(','), topic, { partitions: PARTITIONS.length, settings: { 'retention.ms': '-1', ...options.settings } });
    const folder = await mkdtemp(join(tmpdir(), 'plait-attacks-'));
    const origin = `attacks.example/${topic}`;
    const keys = await makeKeys(folder, origin);
    const file: LedgerFile = { origin, ledgerKey: keys.ledger.verifier.vkey, log: `${topic}.plait` };
    await writeFile(ledgerFilePath(folder), formatLedgerFile(file));
    await patiently(() => createLogTopic({ kafka: ground.kafka, topic: file.log, messageBytesMax: MESSAGE_BYTES_MAX }));
    const ledger = new SmallLedger({ ground, topic, folder, file, keys, genesis: genesisOf(origin, topic, keys), options });
    await ledger.append(signNote(formatGenesis(ledger.genesis), keys.ledger));
    return ledger;
  }

  /** The partitions of its topic. */
  get partitions(): readonly TopicPartition[] {
    return PARTITIONS.map((partition) => ({ topic: this.topic, partition }));
  }

  /** Writes the next wave, one batch to each partition, with values that begin so. */
  async write(value = 'record'): Promise<void> {
    const timestamp = String(Date.now());
    // Each by itself: of a request for several partitions of which one is refused for now, all would be sent again.
    await Promise.all(PARTITIONS.map(async (partition) => {
      const messages = Array.from({ length: WAVE }, (_, i) => {
        const offset = this.#written + i;
        return { partition, key: `key ${offset % 3}`, value: `${value} ${offset} of ${partition}`, headers: { of: `order ${offset}` }, timestamp };
      });
      await this.ground.producer.send({ topic: this.topic, acks: -1, messages });
    }));
    this.#written += WAVE;
  }

  /** Roles at work; what they remember is under that name. */
  async team(memory = 'state', more: Partial<TeamOptions> = {}): Promise<Team> {
    const { ground: { kafka }, file, keys, partitions, folder } = this;
    const { snapshotMessages } = this.#options;
    return await Team.start({
      kafka, file, keys, partitions, memory: join(folder, memory), ...(snapshotMessages === undefined ? {} : { snapshotMessages }), ...more,
    });
  }

  /** Keeps the leaves of all below that seq, in {@link leavesFolder}. */
  async keepLeaves(seqs: bigint): Promise<void> {
    const { ground: { kafka }, file } = this;
    using store = await openLeaves(leavesFolder(this), pinnedOf(file));
    await using ports = new AsyncDisposableStack();
    const log = ports.adopt(await openPatientLog({ kafka, topic: file.log, from: logPosition(0n) }), (port) => port.close());
    const source = ports.adopt(await openPatientSource(kafka), (port) => port.close());
    // Nobody asks for the newest configuration where nothing differs.
    const keeper = new LeafKeeper({ ...pinnedOf(file), log, source, store, clock: systemClock, newest: () => Promise.resolve(undefined) });
    while (store.nextSeq < seqs) {
      await onceAvailable(() => keeper.step());
      await keeper.drain();
    }
  }

  /** Appends to the log. */
  async append(...messages: readonly Uint8Array[]): Promise<void> {
    const appender = await openPatientAppender({ kafka: this.ground.kafka, topic: this.file.log });
    try {
      for (const message of messages) await appender.append(message);
    } finally {
      await appender.close();
    }
  }

  /** What the log holds now. */
  async messages(): Promise<readonly Uint8Array[]> {
    const reader = await openPatientLog({ kafka: this.ground.kafka, topic: this.file.log, from: logPosition(0n) });
    try {
      const messages: Uint8Array[] = [];
      const end = await reader.end();
      while (reader.position() < end) messages.push(...(await reader.poll({ maxWaitMs: 1_000 })).map(({ value }) => value));
      return messages;
    } finally {
      await reader.close();
    }
  }

  /** Folder of a partition of the topic on the broker's disk. */
  partitionFolder(partition: number): string {
    return join(this.ground.dataDir, '1', `${this.topic}-${partition}`);
  }

  /** Folder of the log there. */
  get logFolder(): string {
    return join(this.ground.dataDir, '1', `${this.file.log}-0`);
  }
}

/** Where leaves of a ledger are kept. */
export function leavesFolder({ folder }: SmallLedger): string {
  return join(folder, 'leaves');
}

async function makeKeys(folder: string, origin: string): Promise<Keys> {
  await mkdir(folder, { recursive: true });
  const online = await ensureKeys(folder, origin, ['ledger', 'checkpoint', 'coordinator', 'worker']);
  const other = (name: string): SignerKey => makeSignerKey(`${origin}/${name}`, randomBytes(32));
  return { ...online, liar: other('liar'), rival: other('rival') };
}

/** In the order a configuration lists them. */
function verifiers(keys: readonly SignerKey[]): readonly VerifierKey[] {
  return keys.map(({ verifier }) => verifier).toSorted((a, b) => compareText(a.vkey, b.vkey));
}

function genesisOf(origin: string, topic: string, { checkpoint, coordinator, worker, liar, rival }: Keys): Genesis {
  return {
    kind: 'genesis', origin, rules: RULES_VERSION, onLoss: 'record', partitionsMax: 8, pendingMax: 16,
    checkpointKeys: verifiers([checkpoint]), coordinatorKeys: verifiers([coordinator, rival]), workerKeys: verifiers([worker, liar]),
    sources: [topic], starts: [], voids: [],
  };
}
