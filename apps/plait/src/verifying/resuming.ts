/**
 * Going on with a verification that was interrupted. What it had checked holds only if the log still begins with the same bytes:
 * while the log is folded from its beginning, they are hashed again, and compared with those of the interrupted run.
 */
import { createHash, type Hash as Hasher } from 'node:crypto';
import { hashToText, logPosition, type Hash, type LogPosition } from '@plait/core';
import { forgetVerifyProgress, saveVerifyProgress, type VerifyProgressMark } from '@plait/disk';
import type { VerifyProgress } from '@plait/ledger';
import type { LogMessage, LogReader } from '@plait/roles';

const SAVE_MS = 5_000;

/** The log is not the one that the interrupted run read, so that nothing can be taken over from it. */
export class OtherLog extends Error {
  override readonly name = 'OtherLog';
}

/** Hashes the messages of a log as they pass; see `VerifyProgressMark.digest`. */
export class LogDigest {
  readonly #hasher: Hasher = createHash('sha256');
  #position = logPosition(0n);

  /** Everything below was added. */
  get position(): LogPosition {
    return this.#position;
  }

  /** Of all that was added. */
  get value(): Hash {
    return hashToText(this.#hasher.copy().digest());
  }

  /** Adds the next message. */
  add({ position, value }: LogMessage): void {
    const head = Buffer.alloc(12);
    head.writeBigUInt64BE(position);
    head.writeUInt32BE(value.length, 8);
    this.#hasher.update(head).update(value);
    this.#position = logPosition(position + 1n);
  }
}

/** A reader of the log from its beginning that hashes what it hands out. Its polls throw {@link OtherLog} where the log is not what `mark` says. */
export function digesting(log: LogReader, digest: LogDigest, mark?: VerifyProgressMark): LogReader {
  let unmet = mark;
  const check = (next: LogPosition): void => {
    if (unmet === undefined || next < unmet.position) return;
    if (digest.value !== unmet.digest) throw new OtherLog(`the messages before position ${unmet.position} of the log are not those that the interrupted run read`);
    unmet = undefined;
  };
  return {
    poll: async (options) => {
      const messages = await log.poll(options);
      for (const message of messages) {
        check(message.position);
        digest.add(message);
      }
      check(log.position());
      return messages;
    },
    position: () => log.position(),
    end: async () => {
      const end = await log.end();
      if (unmet !== undefined && end < unmet.position) throw new OtherLog(`the log ends at position ${end}, before position ${unmet.position} which the interrupted run read`);
      return end;
    },
    incarnation: () => log.incarnation(),
    close: () => log.close(),
  };
}

/** How far a verification has come. */
export type Checked = Pick<VerifyProgressMark, 'nextSeq' | 'gone'>;

/** Saves how far a run has come, some seconds apart. One for each run. */
export class ProgressKeeper {
  readonly #file: string;
  readonly #run: Pick<VerifyProgressMark, 'origin' | 'firstSeq'>;
  readonly #digest: LogDigest;
  readonly #before: Checked | undefined;
  #newest: VerifyProgress | undefined;
  #dueMs = 0;
  #saving: Promise<void> = Promise.resolve();

  /** `before`: what this run goes on from; until it has come further, that stays. */
  constructor(file: string, run: Pick<VerifyProgressMark, 'origin' | 'firstSeq'>, { digest, before }: { readonly digest: LogDigest; readonly before?: Checked | undefined }) {
    this.#file = file;
    this.#run = run;
    this.#digest = digest;
    this.#before = before;
  }

  /** Takes in how far the run is, and saves that now and then without making anybody wait. */
  update(progress: VerifyProgress): void {
    this.#newest = progress;
    if (!this.#isFurther(progress) || performance.now() < this.#dueMs) return;
    this.#dueMs = performance.now() + SAVE_MS;
    this.#saving = this.save().then(() => undefined, () => undefined);
  }

  #isFurther({ nextSeq }: VerifyProgress): boolean {
    return nextSeq > (this.#before?.nextSeq ?? this.#run.firstSeq);
  }

  /** Durable when it resolves; how far the verification has come, undefined if nothing is checked. Throws `config`, `unavailable`. */
  async save(): Promise<Checked | undefined> {
    const { origin, firstSeq } = this.#run;
    const newest = this.#newest;
    // Both as of now: what was checked was numbered by messages that were read before.
    const { position, value: digest } = this.#digest;
    await this.#saving;
    if (newest === undefined || !this.#isFurther(newest)) return this.#before;
    const { nextSeq, gone } = newest;
    await saveVerifyProgress(this.#file, { origin, timeMs: BigInt(Date.now()), firstSeq, nextSeq, ...(gone === undefined ? {} : { gone }), position, digest });
    return newest;
  }

  /** Of a run that came to its end: there is nothing to go on with. */
  async end(): Promise<void> {
    await this.#saving;
    await forgetVerifyProgress(this.#file);
  }
}
