/** Leading-edge throttle: at once when quiet, at most once in an interval under load. */
export class Throttle {
  readonly #intervalMs: number;
  #lastMs = Number.NEGATIVE_INFINITY;

  constructor(intervalMs: number) {
    this.#intervalMs = intervalMs;
  }

  /** How long to wait from `nowMs`; 0 if now is the time. */
  waitMs(nowMs: number): number {
    return Math.max(0, this.#lastMs + this.#intervalMs - nowMs);
  }

  /** Says that it was done now. */
  passed(nowMs: number): void {
    this.#lastMs = nowMs;
  }
}
