/** One reading of the log from some start on: a reader with its ports, and when it has come to the end. */
import { seq, type LedgerState, type LogPosition, type Seq, type VerifierKey } from '@plait/core';
import { logOpener, openLogReader, openSourceReader, type KafkaOptions } from '@plait/kafka';
import { coldStart, positionBehind, Reader, type ColdStartOptions, type LeavesOf, type LogCopy, type LogReader, type Memory, type NumberedLine, type Observe, type VerifiedSegment } from '@plait/roles';
import { systemClock } from './clock.ts';
import { nextSeqOf } from './entries.ts';
import { patient } from './patient.ts';

/** Which ledger, and how it is reached. */
export interface Access {
  readonly kafka: KafkaOptions;
  readonly log: string;
  readonly origin: string;
  readonly ledgerKey: VerifierKey;
  /** How long a reader goes on trying while no broker answers, in ms. */
  readonly patienceMs: number;
  readonly memory?: Memory;
  readonly copy?: LogCopy;
  /** Nothing is folded on from a state whose configuration has a lower version. */
  readonly minConfiguration?: bigint;
  readonly leavesOf?: LeavesOf;
}

/** What a run reads. */
export interface RunOptions {
  /** The fold at the log's end; undefined while it is not read so far. */
  readonly newest: () => Promise<LedgerState | undefined>;
  readonly wants: (numbered: NumberedLine) => boolean;
  readonly onMissing: 'stop' | 'report';
  /** Where to fold on from, if the caller knows a state; else from the newest confirmed one that leaves `beforeSeq` out. */
  readonly start?: LedgerState;
  readonly beforeSeq: Seq;
  /** Without an end the run waits there for more. */
  readonly toSeq?: bigint;
  readonly endless: boolean;
  readonly observe?: Observe;
  /** While false nobody waits for brokers: the step under way is the last one. */
  readonly isWanted?: () => boolean;
  readonly signal: AbortSignal;
}

/** Records are needed only when their block has come, some ms later: fewer and fuller answers in time. */
const SOURCE_PACE_MS = 4;

export class Run implements AsyncDisposable {
  readonly #reader: Reader;
  readonly #ports: AsyncDisposableStack;
  readonly #step: () => Promise<VerifiedSegment | undefined>;
  readonly #options: RunOptions;
  /** The log's end when the run began. */
  readonly #end: LogPosition;
  #until: bigint | undefined;
  #next = 0n;
  #endMet = false;

  private constructor(made: { reader: Reader; ports: AsyncDisposableStack; end: LogPosition }, options: RunOptions, patienceMs: number) {
    this.#reader = made.reader;
    this.#ports = made.ports;
    this.#end = made.end;
    this.#options = options;
    this.#until = options.toSeq;
    this.#step = patient(() => made.reader.step(), { patienceMs, signal: options.signal, isWanted: options.isWanted ?? (() => true) });
  }

  /** Connects. Throws `unavailable`, `config`. */
  static async open(access: Access, options: RunOptions): Promise<Run> {
    const { kafka, log: topic, origin, ledgerKey, patienceMs, memory, copy } = access;
    await using ports = new AsyncDisposableStack();
    const { log, start } = await openFold(access, options);
    ports.adopt(log, (port) => port.close());
    const source = ports.adopt(await openSourceReader({ kafka, paceMs: SOURCE_PACE_MS }), (port) => port.close());
    const { newest, wants, onMissing, observe } = options;
    const reader = new Reader({
      origin, ledgerKey, log, source, clock: systemClock, newest, wants, onMissing,
      openLog: logOpener({ kafka, topic }), ...(memory === undefined ? {} : { memory }), ...(copy === undefined ? {} : { copy }),
      ...(start === undefined ? {} : { start }), ...(observe === undefined ? {} : { observe }),
    });
    const end = await log.end();
    return new Run({ reader, ports: ports.move(), end }, options, patienceMs);
  }

  /** The fold of what was read so far. */
  get state(): LedgerState | undefined {
    return this.#reader.state;
  }

  /** Whether the log was read to the end that it had when the run began. */
  get endMet(): boolean {
    return (this.#endMet ||= this.#reader.position >= this.#end);
  }

  /** The next wanted segment, undefined if it cannot be told yet, or `end`. Throws as the reader, after the patience for brokers. */
  async next(): Promise<VerifiedSegment | 'end' | undefined> {
    if (this.#isOver()) return 'end';
    const verified = await this.#step();
    if (verified === undefined) return undefined;
    if (this.#until !== undefined && verified.line.firstSeq >= this.#until) return 'end';
    this.#next = nextSeqOf(verified);
    return verified;
  }

  #isOver(): boolean {
    if (!this.#options.endless && !this.#endMet && this.endMet) {
      const sequenced = this.state?.nextSeq ?? 0n;
      this.#until = this.#until === undefined || sequenced < this.#until ? sequenced : this.#until;
    }
    const drained = !this.#options.endless && this.#endMet && this.#reader.drained;
    return drained || (this.#until !== undefined && this.#next >= this.#until);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    try {
      await this.#reader.drain();
    } finally {
      await this.#ports.disposeAsync();
    }
  }
}

/** The log, and the state to fold on from that it stands right behind; without one it stands at its beginning. */
async function openFold(
  access: Access, { start, beforeSeq }: Pick<RunOptions, 'start' | 'beforeSeq'>,
): Promise<{ log: LogReader; start: LedgerState | undefined }> {
  const { kafka, log: topic } = access;
  const known = start ?? (beforeSeq === 0n ? undefined : await confirmedState(access, beforeSeq));
  return { log: await openLogReader({ kafka, topic, from: positionBehind(known) }), start: known };
}

/** The newest confirmed state, before a seq if one is given. Throws as {@link coldStart}. */
export async function confirmedState(
  { kafka, log: topic, origin, ledgerKey, memory, minConfiguration = 0n }: Access, beforeSeq?: bigint,
): Promise<LedgerState | undefined> {
  const options: ColdStartOptions = {
    origin, ledgerKey, minConfiguration, openLog: logOpener({ kafka, topic }), mayPassMemory: true,
    ...(memory === undefined ? {} : { memory }), ...(beforeSeq === undefined ? {} : { beforeSeq: seq(beforeSeq) }),
  };
  return (await coldStart(options)).start;
}
