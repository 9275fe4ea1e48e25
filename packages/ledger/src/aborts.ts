/** Ending many waits by one signal. */

/** Things that end when a signal aborts: one listener a signal, however many there are (Node warns of more than ten). */
export class Aborts<T> {
  readonly #end: (item: T, reason: unknown) => void;
  readonly #waiting = new Map<AbortSignal, { readonly items: Set<T>; readonly stop: () => void }>();

  /** `end` is called with the signal's reason for each item that was added and not deleted. */
  constructor(end: (item: T, reason: unknown) => void) {
    this.#end = end;
  }

  /** From now on the item ends when the signal aborts: at once, if it has. */
  add(signal: AbortSignal, item: T): void {
    if (signal.aborted) return this.#end(item, signal.reason);
    const known = this.#waiting.get(signal);
    if (known !== undefined) {
      known.items.add(item);
      return;
    }
    const items = new Set([item]);
    const stop = (): void => {
      this.#waiting.delete(signal);
      for (const each of items) this.#end(each, signal.reason);
    };
    this.#waiting.set(signal, { items, stop });
    signal.addEventListener('abort', stop, { once: true });
  }

  /** The item ends no more. */
  delete(signal: AbortSignal, item: T): void {
    const known = this.#waiting.get(signal);
    known?.items.delete(item);
    if (known === undefined || known.items.size > 0) return;
    this.#waiting.delete(signal);
    signal.removeEventListener('abort', known.stop);
  }
}
