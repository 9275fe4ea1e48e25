/** What the demo sees of the log: how far it is, who leads, how long nothing was sequenced. */
import { logPosition } from '@plait/core';
import { openLogReader, type KafkaOptions } from '@plait/kafka';
import { systemClock, type LedgerFile } from '@plait/ledger';
import { Follower, runLoop, type Folded, type FollowerOptions } from '@plait/roles';
import { pinnedOf } from '../running/wiring.ts';

const POLL_MS = 100;

/** Follows the log beside the roles, by the same fold. */
export class LogWatch implements AsyncDisposable {
  readonly #follower: Follower;
  readonly #stop = new AbortController();
  readonly #close: () => Promise<void>;
  #running: Promise<void> = Promise.resolve();
  #lastBlockMs: number | undefined;
  #longestGapMs = 0;
  #segments = 0;

  private constructor(options: FollowerOptions) {
    this.#follower = new Follower(options, (folded) => this.#take(folded));
    this.#close = () => options.log.close();
  }

  static async open(kafka: KafkaOptions, ledger: LedgerFile): Promise<LogWatch> {
    const log = await openLogReader({ kafka, topic: ledger.log, from: logPosition(0n) });
    const watch = new LogWatch({ ...pinnedOf(ledger), log });
    const step = (): Promise<void> => watch.#follower.poll(POLL_MS);
    watch.#running = runLoop({ step }, { clock: systemClock, signal: watch.#stop.signal });
    watch.#running.catch(() => undefined);
    return watch;
  }

  #take({ outcome }: Folded): void {
    if (outcome.kind !== 'block') return;
    const nowMs = performance.now();
    const gapMs = this.#lastBlockMs === undefined ? 0 : nowMs - this.#lastBlockMs;
    this.#longestGapMs = Math.max(this.#longestGapMs, gapMs);
    this.#lastBlockMs = nowMs;
    this.#segments += outcome.header.segments;
  }

  get sequenced(): number {
    return Number(this.#follower.state?.nextSeq ?? 0n);
  }

  get epoch(): number {
    return Number(this.#follower.state?.epoch ?? 0n);
  }

  get blocks(): number {
    return Number(this.#follower.state?.height ?? 0n);
  }

  get segments(): number {
    return this.#segments;
  }

  /** Longest time between two blocks since the last call, in ms; the time since the newest block counts not. */
  takeLongestGapMs(): number {
    const gapMs = this.#longestGapMs;
    this.#longestGapMs = 0;
    return gapMs;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stop.abort();
    await this.#running.catch(() => undefined);
    await this.#close();
  }
}
