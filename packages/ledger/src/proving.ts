/** One prover with its ports, at work until nobody waits for it, or for as long as the ledger is open. */
import { PlaitError, type LedgerState } from '@plait/core';
import { logOpener, openLogReader, openSourceReader } from '@plait/kafka';
import { positionBehind, Prover, type LeavesOf, type ProofQuestion } from '@plait/roles';
import { systemClock } from './clock.ts';
import { patient } from './patient.ts';
import type { Access } from './run.ts';

/** What receipts need. */
export interface ProvingContext {
  readonly access: Access;
  /** See Prover. */
  readonly newest: () => Promise<LedgerState | undefined>;
  readonly leavesOf?: LeavesOf;
  /** Aborts when the ledger is closed. */
  readonly signal: AbortSignal;
}

/** Who follows needs records when their block has come, and the checkpoint takes a while yet: few and full answers. */
const FOLLOWING_PACE_MS = 20;

/** How long it works. */
interface ProvingTimes {
  readonly isEndless: boolean;
  readonly patienceMs: number;
  readonly signal: AbortSignal;
}

export class Proving {
  readonly #prover: Prover;
  readonly #ports: AsyncDisposableStack;
  readonly #times: ProvingTimes;
  readonly #caughtUp = Promise.withResolvers<void>();
  #isOver = false;

  private constructor(prover: Prover, ports: AsyncDisposableStack, times: ProvingTimes) {
    this.#prover = prover;
    this.#ports = ports;
    this.#times = times;
    this.#caughtUp.promise.catch(() => undefined);
  }

  /** Connects. It folds on from `start`, or from the log's beginning. Throws `unavailable`, `config`. */
  static async open(context: ProvingContext, { start, isEndless }: { readonly start: LedgerState | undefined; readonly isEndless: boolean }): Promise<Proving> {
    const { access: { kafka, log: topic, origin, ledgerKey, patienceMs, memory }, newest, leavesOf, signal } = context;
    await using ports = new AsyncDisposableStack();
    const log = ports.adopt(await openLogReader({ kafka, topic, from: positionBehind(start) }), (port) => port.close());
    const source = ports.adopt(await openSourceReader({ kafka, paceMs: isEndless ? FOLLOWING_PACE_MS : 0 }), (port) => port.close());
    const prover = new Prover({
      origin, ledgerKey, log, source, clock: systemClock, newest, openLog: logOpener({ kafka, topic }),
      ...(memory === undefined ? {} : { memory }), ...(start === undefined ? {} : { start }), ...(leavesOf === undefined ? {} : { leavesOf }),
    });
    return new Proving(prover, ports.move(), { isEndless, patienceMs, signal });
  }

  /** The fold so far; undefined before genesis. */
  get state(): LedgerState | undefined {
    return this.#prover.state;
  }

  /** Whether it has ended: it takes no questions any more. */
  get isOver(): boolean {
    return this.#isOver;
  }

  /** Resolves when the log was read to the end that it had when this began. Rejects with what ended it before. */
  get caughtUp(): Promise<void> {
    return this.#caughtUp.promise;
  }

  /** See {@link Prover.ask}. */
  ask(question: ProofQuestion): boolean {
    return this.#prover.ask(question);
  }

  /** See {@link Prover.withdraw}. */
  withdraw(question: ProofQuestion): void {
    this.#prover.withdraw(question);
  }

  /** Works until nobody waits, or endlessly; or until the signal aborts. What ends it before is everybody's answer. Never throws. */
  async run(): Promise<void> {
    const { isEndless, signal } = this.#times;
    const prover = this.#prover;
    const step = patient(() => prover.step(), this.#times);
    const isWanted = (): boolean => isEndless || prover.isWanted;
    try {
      while (!signal.aborted && isWanted()) {
        await step();
        if (prover.caughtUp) this.#caughtUp.resolve();
      }
      await prover.drain();
      this.#end(signal.reason ?? new PlaitError('unavailable', 'nobody waits any more'));
    } catch (error) {
      this.#end(error);
    } finally {
      await this.#ports.disposeAsync();
    }
  }

  #end(why: unknown): void {
    this.#isOver = true;
    this.#caughtUp.reject(why);
    this.#prover.refuseAll(why);
  }
}
