/**
 * A checker of lines in another thread: what the two ends say to each other, and both ends. Nothing but plain data crosses.
 *
 *     here                                there
 *       │                                   opens the checker; if it cannot: unusable, error
 *       check n, stretch ─────────────────► compares its lines
 *       ◄────────────── checked n, results, or failed n, error
 */
import type { LineChecker, LineResult, LineStretch } from '@plait/ledger';
import { receiveError, sendError, type SentError } from './sent-errors.ts';

/** To the thread. */
export interface CheckRequest {
  readonly id: number;
  readonly stretch: LineStretch;
}

/** From the thread. Answers come in any order, each once. */
export type CheckAnswer =
  /** The checker could not be opened; nothing else comes. */
  | { readonly kind: 'unusable'; readonly error: SentError }
  | { readonly kind: 'checked'; readonly id: number; readonly results: readonly LineResult[] }
  | { readonly kind: 'failed'; readonly id: number; readonly error: SentError };

/** The end of a channel in the thread. */
export interface ThreadPort {
  postMessage(answer: CheckAnswer): void;
  on(event: 'message', listener: (request: CheckRequest) => void): unknown;
}

/** A thread, as its maker sees it: a `Worker`. */
export interface CheckThread {
  postMessage(request: CheckRequest): void;
  on(event: 'message', listener: (answer: CheckAnswer) => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
  on(event: 'exit', listener: (code: number) => void): unknown;
  terminate(): Promise<number>;
}

/** Opens the checker and answers with it, for as long as the thread lives. */
export async function serveChecks(port: ThreadPort, open: () => Promise<LineChecker>): Promise<void> {
  const checker = await open().catch((error: unknown) => {
    port.postMessage({ kind: 'unusable', error: sendError(error) });
  });
  if (checker === undefined) return;
  port.on('message', ({ id, stretch }) => {
    checker.check(stretch).then(
      (results) => port.postMessage({ kind: 'checked', id, results }),
      (error: unknown) => port.postMessage({ kind: 'failed', id, error: sendError(error) }),
    );
  });
}

interface Waiting {
  readonly resolve: (results: readonly LineResult[]) => void;
  readonly reject: (error: Error) => void;
}

/** The checker in a thread; what is asked before it is open waits there. Once the thread has ended, all that waits for it fails, and whatever is asked later. */
export class ThreadChecker implements LineChecker {
  readonly #thread: CheckThread;
  readonly #waiting = new Map<number, Waiting>();
  #asked = 0;
  #ended: Error | undefined;

  constructor(thread: CheckThread) {
    this.#thread = thread;
    thread.on('message', (answer) => this.#take(answer));
    thread.on('error', (error) => this.#end(error));
    thread.on('exit', (code) => this.#end(new Error(`a thread that checks records ended with code ${code}`)));
  }

  async check(stretch: LineStretch): Promise<readonly LineResult[]> {
    if (this.#ended !== undefined) throw this.#ended;
    const id = (this.#asked += 1);
    const { promise, resolve, reject } = Promise.withResolvers<readonly LineResult[]>();
    this.#waiting.set(id, { resolve, reject });
    // oxlint-disable-next-line unicorn/require-post-message-target-origin -- that is of windows; this is a thread
    this.#thread.postMessage({ id, stretch });
    return await promise;
  }

  /** It only reads, so it may end wherever it is. */
  async close(): Promise<void> {
    this.#end(new Error('the checker was closed'));
    await this.#thread.terminate();
  }

  #take(answer: CheckAnswer): void {
    if (answer.kind === 'unusable') return this.#end(receiveError(answer.error));
    const waiting = this.#waiting.get(answer.id);
    this.#waiting.delete(answer.id);
    if (answer.kind === 'checked') waiting?.resolve(answer.results);
    else waiting?.reject(receiveError(answer.error));
  }

  #end(error: Error): void {
    this.#ended ??= error;
    for (const { reject } of this.#waiting.values()) reject(this.#ended);
    this.#waiting.clear();
  }
}
