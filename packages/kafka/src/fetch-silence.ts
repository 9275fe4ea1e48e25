/** Tells a broker that has nothing to say from brokers that do not answer: who asks nothing is owed no answer. */

export class Silence {
  readonly #maxMs: number;
  #inFlight = 0;
  /** Since when answers are due and none came. */
  #sinceMs: number | undefined;

  /** `maxMs`: without any answer for so long no broker counts as answering. */
  constructor(maxMs: number) {
    this.#maxMs = maxMs;
  }

  /** A request was sent. Each is followed by one `ended`, with one `answered` before it if there was an answer. */
  asked(): void {
    this.#inFlight++;
    this.#sinceMs ??= performance.now();
  }

  answered(): void {
    this.#sinceMs = this.#inFlight > 1 ? performance.now() : undefined;
  }

  ended(): void {
    this.#inFlight--;
  }

  /** Nothing is wanted any more: else the next question would be called unanswered at once. */
  rest(): void {
    if (this.#inFlight === 0) this.#sinceMs = undefined;
  }

  get isTooLong(): boolean {
    return this.#sinceMs !== undefined && performance.now() - this.#sinceMs > this.#maxMs;
  }
}
