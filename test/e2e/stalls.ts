/** How long the machine stood still, for tests that measure a bound of the product: what it stood still is none of the product's time. */
import { client, patiently } from '../kafka/client.ts';
import { sleep } from './ledger-harness.ts';

const EVERY_MS = 50;

/** Watches until it is stopped. */
export class Stalls implements AsyncDisposable {
  readonly #run: Promise<void>;
  #stopped = false;
  #longestMs = 0;

  constructor(bootstrapServers: string) {
    this.#run = this.#watch(bootstrapServers);
    // Whoever stops it is told.
    this.#run.catch(() => undefined);
  }

  /** The longest time so far that a timer of this process and an answer of the broker together came late, ms. */
  get longestMs(): number {
    return this.#longestMs;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#stopped = true;
    await this.#run;
  }

  async #watch(bootstrapServers: string): Promise<void> {
    const admin = client(bootstrapServers).admin();
    await patiently(() => admin.connect());
    while (!this.#stopped) {
      const sinceMs = performance.now();
      await sleep(EVERY_MS);
      await patiently(() => admin.describeCluster());
      this.#longestMs = Math.max(this.#longestMs, performance.now() - sinceMs - EVERY_MS);
    }
    await admin.disconnect();
  }
}
