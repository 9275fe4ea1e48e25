/**
 * A checker of lines in another process: what the two ends say to each other, and both ends. Nothing but plain data crosses.
 *
 *     here                                there
 *       check n, stretch ─────────────────► opens the checker, if it is not open; compares the lines
 *       ◄────────────── checked n, results, or failed n, error
 */
import { PlaitError } from '@plait/core';
import type { LineChecker, LineResult, LineStretch } from '@plait/ledger';
import { receiveError, sendError, type SentError } from './sent-errors.ts';

/** To the process. */
export interface CheckRequest {
  readonly id: number;
  readonly stretch: LineStretch;
}

/** From the process. Answers come in any order, each once. */
export type CheckAnswer =
  | { readonly kind: 'checked'; readonly id: number; readonly results: readonly LineResult[] }
  | { readonly kind: 'failed'; readonly id: number; readonly error: SentError };

/** The end of the channel in the process. */
export interface ParentPort {
  send(answer: CheckAnswer): unknown;
  on(event: 'message', listener: (request: CheckRequest) => void): unknown;
}

/** The process, as its maker sees it: a `ChildProcess` with a channel. */
export interface CheckProcess {
  send(request: CheckRequest): unknown;
  on(event: 'message', listener: (answer: CheckAnswer) => void): unknown;
  on(event: 'error', listener: (error: Error) => void): unknown;
  on(event: 'exit', listener: (code: number | null, signal: string | null) => void): unknown;
  kill(signal: 'SIGKILL'): unknown;
}

/** Answers with the checker that `open` gives. If it throws, so does what was asked, and whoever asks again lets it try again. */
export function serveChecks(port: ParentPort, open: () => Promise<LineChecker>): void {
  let opened: Promise<LineChecker> | undefined;
  const checker = (): Promise<LineChecker> => (opened ??= open().catch((error: unknown) => {
    opened = undefined;
    throw error;
  }));
  const answer = async ({ id, stretch }: CheckRequest): Promise<CheckAnswer> => {
    try {
      return { kind: 'checked', id, results: await (await checker()).check(stretch) };
    } catch (error) {
      return { kind: 'failed', id, error: sendError(error) };
    }
  };
  port.on('message', (request) => void answer(request).then((each) => port.send(each)));
}

interface Waiting {
  readonly resolve: (results: readonly LineResult[]) => void;
  readonly reject: (error: Error) => void;
}

/** The checker in a process. Once that has ended, all that waits for it fails, and whatever is asked later. */
export class ProcessChecker implements LineChecker {
  readonly #process: CheckProcess;
  readonly #waiting = new Map<number, Waiting>();
  readonly #gone = Promise.withResolvers<void>();
  #asked = 0;
  #ended: Error | undefined;

  constructor(process: CheckProcess) {
    this.#process = process;
    process.on('message', (answer) => this.#take(answer));
    // It could not be started, or not be told something.
    process.on('error', (error) => this.#end(error));
    process.on('exit', (code, signal) => this.#end(endedBy(code, signal)));
  }

  async check(stretch: LineStretch): Promise<readonly LineResult[]> {
    if (this.#ended !== undefined) throw this.#ended;
    const id = (this.#asked += 1);
    const { promise, resolve, reject } = Promise.withResolvers<readonly LineResult[]>();
    this.#waiting.set(id, { resolve, reject });
    this.#process.send({ id, stretch });
    return await promise;
  }

  /** It only reads, so it may end wherever it is. Resolves when it has. */
  async close(): Promise<void> {
    this.#fail(new Error('the checker was closed'));
    this.#process.kill('SIGKILL');
    await this.#gone.promise;
  }

  #take(answer: CheckAnswer): void {
    const waiting = this.#waiting.get(answer.id);
    this.#waiting.delete(answer.id);
    if (answer.kind === 'checked') waiting?.resolve(answer.results);
    else waiting?.reject(receiveError(answer.error));
  }

  #end(error: Error): void {
    this.#fail(error);
    this.#gone.resolve();
  }

  #fail(error: Error): void {
    this.#ended ??= error;
    for (const { reject } of this.#waiting.values()) reject(this.#ended);
    this.#waiting.clear();
  }
}

/** Why nothing more comes of it: somebody ended it, or it has a bug. */
function endedBy(code: number | null, signal: string | null): Error {
  if (signal === null) return new Error(`a process that checks records ended with code ${code}`);
  return new PlaitError('config', `a process that checks records was ended by ${signal}: if nobody meant to, give the machine more memory, or use fewer --workers (1 starts no other process)`);
}
