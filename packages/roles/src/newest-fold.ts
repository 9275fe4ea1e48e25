/** The fold at the log's end, beside one that is still on its way there. */
import { emptyState, type FoldState, type LedgerState } from '@plait/core';
import { coldStart, positionBehind, type ColdStartOptions } from './cold-start.ts';
import { Follower } from './follower.ts';

/** Follows the log from its newest confirmed state on, once it is first asked. One caller at a time; whoever makes it ends it. */
export class NewestFold implements AsyncDisposable {
  readonly #options: Omit<ColdStartOptions, 'memory' | 'mayPassMemory'>;
  readonly #open = new AsyncDisposableStack();
  #follower: Follower | undefined;

  constructor(options: Omit<ColdStartOptions, 'memory' | 'mayPassMemory'>) {
    this.#options = options;
  }

  /**
   * The fold at an end of the log sampled now, which is empty if the log holds no genesis; or undefined if it is not read so
   * far yet: then it folds some more. Throws as {@link Follower.poll}.
   */
  readonly fold = async (): Promise<FoldState | undefined> => {
    this.#follower ??= await this.#follow();
    return (await this.#follower.readToEnd()) ? (this.#follower.state ?? emptyState(this.#options)) : undefined;
  };

  /** As {@link fold}, for who knows that the log holds a genesis. */
  readonly ask = async (): Promise<LedgerState | undefined> => {
    const state = await this.fold();
    return state?.kind === 'ledger' ? state : undefined;
  };

  async #follow(): Promise<Follower> {
    const { openLog } = this.#options;
    const { start } = await coldStart(this.#options);
    const log = this.#open.adopt(await openLog(positionBehind(start)), (port) => port.close());
    return new Follower({ ...this.#options, log, ...(start === undefined ? {} : { start }) });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#open.disposeAsync();
  }
}
