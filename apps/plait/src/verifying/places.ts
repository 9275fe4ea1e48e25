/** Where the log and the records of a verification are: with the brokers, or in Kafka's own segment files. */
import { readdir } from 'node:fs/promises';
import { PlaitError } from '@plait/core';
import { logOpener, openLogDirLog, openLogDirSource, openSourceReader, topicOffsets, topicRetention } from '@plait/kafka';
import type { LedgerFile, VerifyPorts } from '@plait/ledger';
import type { OpenLog, SourceReader } from '@plait/roles';
import { makeLog, type Log, type LogLevel } from '../log.ts';
import { kafkaOptions } from '../options.ts';
import type { ReadFrom } from './outcome.ts';

/** How they are reached, as it can be told to another process. */
export interface PlaceOptions {
  readonly bootstrapServer?: string;
  readonly commandConfig?: string;
  readonly logDir?: readonly string[];
  readonly logLevel: LogLevel;
}

/** The places, and how long something that gives nothing is waited for. */
export interface Places {
  readonly records: ReadFrom;
  readonly log: ReadFrom;
  readonly ports: { readonly openLog: OpenLog } & Pick<VerifyPorts, 'retentionOf' | 'patienceMs'>;
}

/** Throws `config` if there is no such log, or it may not be read; `unavailable`. */
export async function findPlaces(options: PlaceOptions, { log: topic }: LedgerFile, log: Log): Promise<Places> {
  const { logDir } = options;
  if (logDir !== undefined && (await holdsLog(logDir, topic))) {
    // Files that are not there do not come by waiting.
    return { records: 'log-dir', log: 'log-dir', ports: { openLog: (from) => openLogDirLog({ dir: logDir, topic, from }), patienceMs: 0 } };
  }
  if (logDir !== undefined) log.info({ event: 'log-from-kafka' }, `no folder of --log-dir holds the ledger's log (${topic}-0): it is read from the brokers`);
  const kafka = kafkaOptions(options, log);
  await topicOffsets({ kafka, topic, toRead: true });
  const ports = { openLog: logOpener({ kafka, topic }), retentionOf: (source: string) => topicRetention({ kafka, topic: source }) };
  return { records: logDir === undefined ? 'kafka' : 'log-dir', log: 'kafka', ports };
}

/** Whether the log's partition lies in one of the folders, in its own or as tiered storage names it. */
async function holdsLog(folders: readonly string[], topic: string): Promise<boolean> {
  for (const folder of folders) {
    const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
      throw new PlaitError('config', `--log-dir: cannot read ${folder}: ${error.code === 'ENOENT' ? 'there is no such folder' : error.message}`, { cause: error });
    });
    if (names.some((name) => name === `${topic}-0` || name.startsWith(`${topic}-0-`))) return true;
  }
  return false;
}

/** A reader of the records. Throws `config`, `unavailable`. */
export async function openRecords({ logDir, ...options }: PlaceOptions): Promise<SourceReader> {
  if (logDir !== undefined) return await openLogDirSource({ dir: logDir });
  return await openSourceReader({ kafka: kafkaOptions(options, makeLog(options.logLevel)) });
}
