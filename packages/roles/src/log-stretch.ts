/** Reading stretches of a log, for searches. */
import { isPlaitError, logPosition, type LogPosition } from '@plait/core';
import { IDLE_WAIT_MS } from './limits.ts';
import type { LogMessage, OpenLog } from './ports.ts';

/** A log, read here and there, and how many messages that took. */
export class LogStretches {
  readonly #openLog: OpenLog;
  #messages = 0;

  constructor(openLog: OpenLog) {
    this.#openLog = openLog;
  }

  /** How many messages were read so far. */
  get messages(): number {
    return this.#messages;
  }

  /** The log's end now. Throws `unavailable`. */
  async end(): Promise<LogPosition> {
    const reader = await this.#openLog(logPosition(0n));
    try {
      return await reader.end();
    } finally {
      await reader.close();
    }
  }

  /**
   * Shows the messages at positions `from` … `to` − 1 to `see`, until it answers true. What was deleted from the log's
   * head is passed over. Throws as the log's port.
   */
  async read(from: LogPosition, to: LogPosition, see: (message: LogMessage) => boolean | void): Promise<void> {
    let start: LogPosition | undefined = from;
    while (start !== undefined && start < to) start = await this.#readFrom(start, to, see);
  }

  /** Undefined when it was read; else the log's start, where reading can begin. */
  async #readFrom(from: LogPosition, to: LogPosition, see: (message: LogMessage) => boolean | void): Promise<LogPosition | undefined> {
    const reader = await this.#openLog(from);
    try {
      while (reader.position() < to) {
        for (const message of await reader.poll({ maxWaitMs: IDLE_WAIT_MS })) {
          if (message.position >= to) return undefined;
          this.#messages += 1;
          if (see(message) === true) return undefined;
        }
      }
      return undefined;
    } catch (error) {
      const start = isPlaitError(error, 'missing') ? error.details['logStart'] : undefined;
      if (typeof start !== 'string' || BigInt(start) <= from) throw error;
      return logPosition(BigInt(start));
    } finally {
      await reader.close();
    }
  }
}
