/** The roles' {@link LogReader} over Kafka's log segment files, without a broker. */
import { setTimeout as delay } from 'node:timers/promises';
import { isTransient, logPosition, PlaitError, type LogPosition } from '@plait/core';
import type { LogMessage, LogReader } from '@plait/roles';
import { reason } from './errors.ts';
import { undecodable, type Chunk, type Held } from './fetch-source.ts';
import { openFolders } from './log-dir-files.ts';
import { LogDirPartition } from './log-dir-partition.ts';
import type { LogDirSourceOptions } from './log-dir-source.ts';
import { decodeMessages, outsideLog } from './log-messages.ts';

/** Which log is read, and from where. */
export interface LogDirLogOptions extends LogDirSourceOptions {
  /** The log's topic: its partition 0 is read. */
  readonly topic: string;
  /** The first position to read. */
  readonly from: LogPosition;
}

/** How often a poll that waits looks whether files have grown. */
const LOOK_AGAIN_MS = 200;

class LogDirLogReader implements LogReader {
  readonly #files: LogDirPartition;
  readonly #closing = new AbortController();
  #position: LogPosition;
  /** Once the log cannot be read on, it never can. */
  #failure: unknown;

  constructor(files: LogDirPartition, from: LogPosition) {
    this.#files = files;
    this.#position = from;
  }

  async poll({ maxWaitMs }: { readonly maxWaitMs: number }): Promise<readonly LogMessage[]> {
    if (this.#failure !== undefined) throw this.#failure;
    const untilMs = performance.now() + maxWaitMs;
    const { signal } = this.#closing;
    for (;;) {
      const from = this.#position;
      const messages = await this.#next().catch((error: unknown) => {
        if (!isTransient(error)) this.#failure = error;
        throw error;
      });
      const restMs = untilMs - performance.now();
      if (messages.length > 0 || signal.aborted || (restMs <= 0 && this.#position === from)) return messages;
      // A part of markers alone moved the position: what is behind it may be there already.
      if (this.#position === from) await delay(Math.min(restMs, LOOK_AGAIN_MS), undefined, { signal }).catch(() => undefined);
    }
  }

  async #next(): Promise<readonly LogMessage[]> {
    const from = this.#position;
    const { held: known } = this.#files;
    const held = known !== undefined && from >= known.logStart && from < known.end ? known : await this.#look();
    if (from < held.logStart || from > held.end) throw outsideLog(this.#files.topic, { offset: from, ...held });
    // What was known may have grown; what was looked at just now has not.
    const chunk = (await this.#read(from)) ?? (held === known ? await this.#look().then(() => this.#read(from)) : undefined);
    if (chunk === undefined) {
      this.#files.requireMore(from);
      return [];
    }
    try {
      const messages = await decodeMessages({ bytes: chunk.bytes, from });
      this.#position = logPosition(chunk.nextOffset);
      return messages;
    } catch (error) {
      throw undecodable(this.#files, from, reason(error));
    }
  }

  async #read(from: bigint): Promise<Chunk | undefined> {
    return await this.#files.read(from, { committed: false });
  }

  async #look(): Promise<Held> {
    const held = await this.#files.look();
    if (held === undefined) throw noLog(this.#files.topic);
    return held;
  }

  position(): LogPosition {
    return this.#position;
  }

  async end(): Promise<LogPosition> {
    return logPosition((await this.#look()).end);
  }

  incarnation(): number {
    return this.#files.incarnation;
  }

  async close(): Promise<void> {
    this.#closing.abort();
  }
}

function noLog(topic: string): PlaitError {
  return new PlaitError('config', `the folder holds no segment files of the log: wanted ${topic}-0 in it`);
}

/**
 * Reads a ledger's log out of Kafka's log segment files, with no broker. Throws `config` for a folder that is not there or
 * does not hold partition 0 of `topic`. After `missing`, `rolled-back`, `config` or `invalid` every later poll throws the
 * same.
 */
export async function openLogDirLog({ dir, topic, from }: LogDirLogOptions): Promise<LogReader> {
  const files = new LogDirPartition(await openFolders(dir), { topic, partition: 0 });
  if ((await files.look()) === undefined) throw noLog(topic);
  return new LogDirLogReader(files, from);
}
