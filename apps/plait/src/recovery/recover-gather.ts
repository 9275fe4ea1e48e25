/** Gathers everything that is known of a ledger's log: state files, copies, and what is left of its topic. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { isPlaitError, PlaitError } from '@plait/core';
import { openStateFile, readCopies, type CopyFile } from '@plait/disk';
import { logOpener, topicOffsets, type KafkaOptions } from '@plait/kafka';
import type { LedgerFile } from '@plait/ledger';
import { copyFolderPath } from '../keys.ts';
import type { Log } from '../log.ts';
import { RecoveredLog, type DamagedTopic } from './recover-log.ts';
import { chooseCopies, pinsOf, type Witness } from './recover-sources.ts';
import { pinnedOf } from '../running/wiring.ts';

/** What was put aside has this in its name. */
export const PUT_ASIDE = '.forgotten-';

/** Where to look besides the topic. */
export interface Places {
  /** The ledger's folder, with its `state` and `copy`. */
  readonly ledger: string;
  readonly copy?: readonly string[];
  readonly state?: readonly string[];
}

interface Context {
  readonly ledger: LedgerFile;
  readonly kafka: KafkaOptions;
  readonly log: Log;
}

/**
 * The log out of everything that is known of it. Throws `config` when state files or copies contradict each other, or one
 * cannot be read; `unavailable`.
 */
export async function gather(from: string, context: Context, options: Places): Promise<{ recovered: RecoveredLog; witnesses: readonly Witness[] }> {
  const { ledger, kafka, log } = context;
  const witnesses = await witnessesOf(options);
  const pins = pinsOf(witnesses);
  const files: CopyFile[] = [];
  for (const folder of [...(await copyFolders(options.ledger)), ...(options.copy ?? [])]) files.push(...(await readCopies(folder, pinnedOf(ledger))));
  const chosen = await chooseCopies(files, pins);
  for (const sentence of chosen.passedOver) log.warn({ event: 'passed-over' }, sentence);
  const topic = await damagedTopic(from, kafka, log);
  const recovered = await RecoveredLog.from(chosen.files, pins, topic);
  log.info({ event: 'gathered', copies: chosen.files.length, end: String(recovered.end), prefixEnd: String(recovered.prefixEnd) },
    `the topic ${from} is right below position ${recovered.prefixEnd}; with ${chosen.files.length} files of copies the log ends at ${recovered.end}`);
  return { recovered, witnesses };
}

async function witnessesOf(options: Places): Promise<readonly Witness[]> {
  const own = await namesIn(join(options.ledger, 'state'));
  const paths = [...own.filter((name) => name.endsWith('.json')).map((name) => join(options.ledger, 'state', name)), ...(options.state ?? [])];
  const witnesses: Witness[] = [];
  for (const path of paths) {
    const remembered = await openStateFile(path).load();
    if (remembered === undefined) throw new PlaitError('config', `--state: there is no file ${path}`);
    witnesses.push({ ...remembered, path });
  }
  return witnesses;
}

async function copyFolders(folder: string): Promise<readonly string[]> {
  const names = await namesIn(join(folder, 'copy'));
  return names.filter((name) => !name.includes(PUT_ASIDE)).map((name) => copyFolderPath(folder, name));
}

async function namesIn(folder: string): Promise<readonly string[]> {
  return await readdir(folder).then((names) => names.toSorted(), (error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return [];
    throw new PlaitError('config', `cannot read ${folder}: ${error.message}`, { cause: error });
  });
}

/** Undefined, and a warning, if there is no such topic any more. */
async function damagedTopic(topic: string, kafka: KafkaOptions, log: Log): Promise<DamagedTopic | undefined> {
  try {
    const [partition] = await topicOffsets({ kafka, topic });
    return { openLog: logOpener({ kafka, topic }), logStart: partition?.logStart ?? 0n };
  } catch (error) {
    if (!isPlaitError(error, 'config')) throw error;
    log.warn({ event: 'no-topic' }, `${error.message}: recovering from copies alone`);
    return undefined;
  }
}
