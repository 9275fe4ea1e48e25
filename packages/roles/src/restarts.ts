/** Where partitions begin anew, as configurations say: also those that a reader has not come to yet. */
import { chainOf, messageHash, type Configuration, type Genesis, type Hash, type LedgerState, type LogPosition, type Offset, type Segment } from '@plait/core';
import { LogStretches } from './log-stretch.ts';
import type { OpenLog } from './ports.ts';
import { parseAny } from './snapshot-index.ts';

/** The starts of the configurations that a reader folds, and of those up to the newest one when it has to know. */
export class Restarts {
  readonly #openLog: OpenLog | undefined;
  readonly #configurations = new Map<Hash, Genesis | Configuration>();

  /** Without `openLog` only what was folded is known. */
  constructor(openLog: OpenLog | undefined) {
    this.#openLog = openLog;
  }

  /** Takes in a configuration that was folded. */
  take(hash: Hash, configuration: Configuration): void {
    this.#configurations.set(hash, configuration);
  }

  /**
   * The least offset at which a generation after the segment's begins: what lies below is the segment's generation for ever.
   * Undefined if there is none, or it cannot be told. Reads the log from `position` on if need be; throws as that.
   */
  async after(segment: Segment, newest: LedgerState, position: LogPosition): Promise<Offset | undefined> {
    if (chainOf(newest, segment).end.generation <= segment.generation) return undefined;
    const { hash, body } = newest.configuration;
    if (!this.#configurations.has(hash)) await this.#collect(position);
    this.#configurations.set(hash, body);
    return this.#leastAfter(segment, hash);
  }

  /** Nobody's signature is checked: only what the newest configuration names, by hash after hash, is used. */
  async #collect(position: LogPosition): Promise<void> {
    if (this.#openLog === undefined) return;
    const log = new LogStretches(this.#openLog);
    await log.read(position, await log.end(), ({ value }) => {
      const message = parseAny(value);
      if (message?.signed === true && message.body.kind === 'configuration') this.#configurations.set(messageHash(message.note.text), message.body);
    });
  }

  #leastAfter(segment: Segment, newest: Hash): Offset | undefined {
    let least: Offset | undefined;
    let body = this.#configurations.get(newest);
    while (body !== undefined) {
      const start = body.starts.find(({ topic, partition }) => topic === segment.topic && partition === segment.partition);
      if (start !== undefined && (least === undefined || start.offset < least)) least = start.offset;
      // Generations are used one after the other: this is the first one behind the segment's.
      if (start?.generation === segment.generation + 1n) return least;
      body = body.kind === 'configuration' ? this.#configurations.get(body.previous) : undefined;
    }
    return undefined;
  }
}
