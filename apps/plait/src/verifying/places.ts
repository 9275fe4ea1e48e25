/** Where the log and the records of a verification are. */
import { logOpener, openSourceReader, topicOffsets, topicRetention } from '@plait/kafka';
import type { LedgerFile, RetentionOf } from '@plait/ledger';
import type { OpenLog, SourceReader } from '@plait/roles';
import { makeLog, type Log, type LogLevel } from '../log.ts';
import { kafkaOptions } from '../options.ts';
import type { ReadFrom } from './outcome.ts';

/** How they are reached, as it can be told to a thread. */
export interface PlaceOptions {
  readonly bootstrapServer?: string;
  readonly commandConfig?: string;
  readonly logLevel: LogLevel;
}

/** The log. */
export interface LogPlace {
  readonly from: ReadFrom;
  readonly openLog: OpenLog;
  readonly retentionOf?: RetentionOf;
}

/** Throws `config` if there is no such log, or it may not be read; `unavailable`. */
export async function logPlace(options: PlaceOptions, { log: topic }: LedgerFile, log: Log): Promise<LogPlace> {
  const kafka = kafkaOptions(options, log);
  await topicOffsets({ kafka, topic, toRead: true });
  return { from: 'kafka', openLog: logOpener({ kafka, topic }), retentionOf: (source) => topicRetention({ kafka, topic: source }) };
}

/** A reader of the records. Throws `config`, `unavailable`. */
export async function openRecords(options: PlaceOptions): Promise<SourceReader> {
  return await openSourceReader({ kafka: kafkaOptions(options, makeLog(options.logLevel)) });
}

/** Where {@link openRecords} reads from. */
export function recordsFrom(_options: PlaceOptions): ReadFrom {
  return 'kafka';
}
