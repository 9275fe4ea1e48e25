/**
 * A world with virtual time and no chance of its own: every port call of every simulated process is an event here, and
 * one seed decides which event comes next. Same seed, same code: same run, bit for bit (`trace.hash`).
 *
 * A call has two moments, as in life: it takes effect outside the process (`effect`), and the process gets the answer
 * (`answer`). Between two events everything the processes can do without a port is done (all microtasks are drained),
 * so a process is always found waiting for a port, and a crash or a pause can hit it at each of these moments:
 *
 * |        | calls on their way       | answers and timers | code of the process |
 * | ------ | ------------------------ | ------------------ | ------------------- |
 * | crash  | land, or don't, by seed  | never              | never runs again    |
 * | pause  | land                     | wait               | waits               |
 *
 * Processes must wait for nothing but ports: real timers, I/O and asynchronous cryptography would bring in real chance.
 */
import { isPlaitError } from '@plait/core';
import { drained } from './drained.ts';
import { Prng } from './prng.ts';
import { Trace, type TraceEntry, type TracePhase } from './trace.ts';

/** Virtual time that every event takes, so that loops which never wait cannot stop time. */
const EVENT_MS = 0.001;

/** - `ended`: its main returned, or threw what was expected. A crashed or ended process never comes back. */
export type ProcessState = 'running' | 'paused' | 'crashed' | 'ended';

/** One simulated process: what is lost together in a crash. */
export interface Process {
  readonly name: string;
  /** `name#n`, n counting the processes of that name from 1: two incarnations never share an id. */
  readonly id: string;
  readonly state: ProcessState;
  /** The expected error that its main threw, if it did. */
  readonly error: unknown;
}

/** Why `run` came back. `quiet`: nothing is left to happen. */
export type RunEnd = 'until' | 'time' | 'quiet';

/** A timer or an answer that a port may bring forward. */
export interface PendingEvent {
  /** Due at the latest `delayMs` from now, if it has not happened. */
  hasten(delayMs: number): void;
}

/** A promise of an answer that a port may bring forward, such as a poll that waits for data. */
export interface Wait<T> extends PendingEvent {
  readonly promise: Promise<T>;
}

/** Ends a run: `cause` is what went wrong; the message holds the seed and the end of the trace. */
export class SimulationError extends Error {
  override readonly name = 'SimulationError';
  readonly seed: string;

  constructor(seed: string, cause: unknown, trace: string) {
    super(`seed ${seed}: ${cause instanceof Error ? cause.message : String(cause)}\n${trace}`, { cause });
    this.seed = seed;
  }
}

/** A caller broke the contract of a port. It ends the run even if the caller would have caught an error. */
export class ContractError extends Error {
  override readonly name = 'ContractError';
}

interface Event extends PendingEvent {
  dueMs: number;
  readonly phase: TracePhase;
  readonly label: string;
  readonly process: MutableProcess | undefined;
  /** Happens inside the process: waits while it is paused, never comes after a crash. */
  readonly inside: boolean;
  /** Code of processes may go on after it, so microtasks have to be drained. */
  readonly wakes: boolean;
  readonly run: () => void;
}

type MutableProcess = { -readonly [K in keyof Process]: Process[K] };

type Outcome<T> = { readonly value: T } | { readonly error: unknown };

/** What decides a run. */
export interface SchedulerOptions {
  readonly seed: string | number;
  /** Newest entries of the trace that are kept. Default 10,000. */
  readonly traceMax?: number;
  /** Chance that a call on its way is lost when its process crashes. Default 0.5. */
  readonly crashLosesCall?: number;
}

/** The world of one run. */
export class Scheduler {
  readonly seed: string;
  /** The root of all randomness; ports and the test take forks of it. */
  readonly random: Prng;
  readonly trace: Trace;
  /**
   * Called with every entry before any process can act on it, so a test can crash or pause a process exactly there: at
   * a `call` nothing was sent, at an `effect` it was applied and the answer is lost, after an `answer` the process still
   * runs on to its next port call and gets no further. An `event` comes before what it sets off.
   */
  observe: ((entry: TraceEntry, process: Process | undefined) => void) | undefined;

  readonly #choice: Prng;
  readonly #crashLosesCall: number;
  readonly #processes: MutableProcess[] = [];
  #events: Event[] = [];
  #nowMs = 0;
  #failure: SimulationError | undefined;
  #isRunning = false;

  constructor(options: SchedulerOptions) {
    this.seed = String(options.seed);
    this.random = new Prng(options.seed);
    this.#choice = this.random.fork('scheduler');
    this.trace = new Trace(options.traceMax ?? 10_000);
    this.#crashLosesCall = options.crashLosesCall ?? 0.5;
  }

  /** Virtual milliseconds since the scheduler was made; never goes back. */
  get nowMs(): number {
    return this.#nowMs;
  }

  /** Every process so far, dead ones included, in the order they were spawned. */
  get processes(): readonly Process[] {
    return this.#processes;
  }

  /**
   * Starts a process, as an event of its own. When `main` returns the process has ended, and nothing else of it runs.
   * When it throws, the run ends with that error, unless `expects` says true to it: then the process has ended with it.
   * Two living processes never have one name; that throws.
   */
  spawn(name: string, main: (process: Process) => Promise<void>, expects?: (error: unknown) => boolean): Process {
    const namesakes = this.#processes.filter((p) => p.name === name);
    if (namesakes.some(isAlive)) throw new Error(`a process named ${name} is alive`);
    const process: MutableProcess = { name, id: `${name}#${namesakes.length + 1}`, state: 'running', error: undefined };
    this.#processes.push(process);
    const start = async (): Promise<void> => {
      try {
        await main(process);
        this.#end(process, undefined);
      } catch (error) {
        if (!isAlive(process)) return;
        if (expects?.(error) === true) this.#end(process, error);
        else this.fail(error);
      }
    };
    this.after(0, 'start', () => void start(), process);
    return process;
  }

  /** Kills a process, like SIGKILL. What it had sent lands or is lost, by the seed. Repeatable. */
  crash(process: Process): void {
    if (!isAlive(process)) return;
    (process as MutableProcess).state = 'crashed';
    this.#note(process, 'crashed');
    this.#events = this.#events.filter(
      (e) => e.process !== process || (!e.inside && !this.#choice.chance(this.#crashLosesCall)),
    );
  }

  /** Stops a process, like SIGSTOP: no answer and no timer reaches it, while time and what it had sent go on. */
  pause(process: Process): void {
    if (process.state !== 'running') return;
    (process as MutableProcess).state = 'paused';
    this.#note(process, 'paused');
  }

  /** Lets a paused process go on, like SIGCONT: what became due meanwhile is due at once, in any order. */
  resume(process: Process): void {
    if (process.state !== 'paused') return;
    (process as MutableProcess).state = 'running';
    this.#note(process, 'resumed');
  }

  /**
   * A call to something outside the process: `effect` runs once after `delayMs`, the process gets what it returned
   * `answerMs` later. A PlaitError out of `effect` is an answer; any other error ends the run. `effect` is synchronous.
   * For a dead process nothing happens and the promise never settles.
   */
  call<T>(process: Process, label: string, effect: () => T, times: { delayMs: number; answerMs: number }): Promise<T> {
    if (!this.#begin(process, label)) return never();
    return new Promise((resolve, reject) => {
      const run = (): void => {
        const outcome = this.#attempt(effect);
        if (outcome === undefined || !isAlive(process)) return;
        const answer = (): void => settle(outcome, resolve, reject);
        this.#add({ phase: 'answer', label, process, inside: true, wakes: true, run: answer }, times.answerMs);
      };
      this.#add({ phase: 'effect', label, process, inside: false, wakes: false, run }, times.delayMs);
    });
  }

  /**
   * A call whose effect and answer are one moment, inside the process: `take` runs when the answer is due, `delayMs`
   * from now or when hastened. Errors as with `call`.
   */
  wait<T>(process: Process, label: string, take: () => T, delayMs: number): Wait<T> {
    if (!this.#begin(process, label)) return { promise: never(), hasten: () => undefined };
    let event: PendingEvent | undefined;
    const promise = new Promise<T>((resolve, reject) => {
      const run = (): void => {
        const outcome = this.#attempt(take);
        if (outcome !== undefined) settle(outcome, resolve, reject);
      };
      event = this.#add({ phase: 'answer', label, process, inside: true, wakes: true, run }, delayMs);
    });
    return { promise, hasten: (ms) => event?.hasten(ms) };
  }

  /** Resolves after `ms` of virtual time, or at once when `signal` aborts. Never rejects. */
  async sleep(process: Process, ms: number, signal?: AbortSignal): Promise<void> {
    const wait = this.wait(process, 'sleep', () => undefined, signal?.aborted === true ? 0 : ms);
    const hasten = (): void => wait.hasten(0);
    signal?.addEventListener('abort', hasten, { once: true });
    await wait.promise;
    signal?.removeEventListener('abort', hasten);
  }

  /**
   * Runs `run` after `delayMs`: in the world, whoever crashes; or with `process` inside it, so that it waits while the
   * process is paused and never comes after its end. An error out of it ends the run.
   */
  after(delayMs: number, label: string, run: () => void, process?: Process): PendingEvent {
    if (process !== undefined && !isAlive(process)) return { hasten: () => undefined };
    return this.#add({ phase: 'event', label, process, inside: process !== undefined, wakes: true, run }, delayMs);
  }

  /** Writes a detail down; `bytes` go into the trace's hash. */
  note(process: Process | undefined, label: string, bytes?: Uint8Array): void {
    this.#note(process, label, bytes);
  }

  /** Ends the run with `error`. The first one counts. */
  fail(error: unknown): void {
    this.#failure ??= new SimulationError(this.seed, error, this.trace.text(40));
  }

  /** Ends the run because `process` broke the contract of a port; the promise to give back never settles. */
  breach(process: Process, message: string): Promise<never> {
    if (isAlive(process)) this.fail(new ContractError(`${process.id}: ${message}`));
    return never();
  }

  /**
   * Lets events happen until `until()` is true (asked before every event), or virtual time reaches `untilMs`, or
   * nothing is left to happen. Can be called again to go on.
   *
   * Throws a {@link SimulationError} when something failed, when more than `eventsMax` events (default a million) were
   * not enough, or when, without `untilMs`, nothing is left to happen though a process still runs.
   */
  async run(options: { untilMs?: number; until?: () => boolean; eventsMax?: number } = {}): Promise<RunEnd> {
    const { untilMs = Infinity, until, eventsMax = 1_000_000 } = options;
    if (this.#isRunning) throw new Error('the scheduler is running already');
    this.#isRunning = true;
    try {
      for (let events = 0; ; events += 1) {
        if (this.#failure !== undefined) throw this.#failure;
        if (until?.() === true) return 'until';
        const event = this.#next(untilMs);
        if (event === undefined) return this.#stop(untilMs);
        if (events >= eventsMax) this.fail(new Error(`no end after ${eventsMax} events`));
        else if (this.#happen(event)) await drained();
      }
    } finally {
      this.#isRunning = false;
    }
  }

  /** What ends a run that has no event up to `untilMs`. */
  #stop(untilMs: number): RunEnd {
    if (untilMs !== Infinity) {
      this.#nowMs = Math.max(this.#nowMs, untilMs);
      return 'time';
    }
    const waiting = this.#processes.find((p) => p.state === 'running');
    if (waiting === undefined) return 'quiet';
    this.fail(new Error(`${waiting.id} waits for something that is not a port`));
    throw this.#failure as SimulationError;
  }

  /** Takes the next event and moves time to it: any of the due ones, else the earliest; none beyond `untilMs`. */
  #next(untilMs: number): Event | undefined {
    let earliestMs = Infinity;
    for (const e of this.#events) if (e.dueMs < earliestMs && canHappen(e)) earliestMs = e.dueMs;
    if (earliestMs === Infinity || Math.max(earliestMs, this.#nowMs) > untilMs) return undefined;
    this.#nowMs = Math.max(this.#nowMs, earliestMs);
    let chosen = -1;
    let due = 0;
    for (let at = 0; at < this.#events.length; at += 1) {
      const e = this.#events[at] as Event;
      if (e.dueMs > this.#nowMs || !canHappen(e)) continue;
      due += 1;
      if (due === 1 || this.#choice.int(due) === 0) chosen = at;
    }
    const event = this.#events[chosen] as Event;
    const newest = this.#events.pop() as Event;
    if (newest !== event) this.#events[chosen] = newest;
    return event;
  }

  /** True if processes may have something to do now. */
  #happen(event: Event): boolean {
    // An event is written down before what it sets off, an effect or answer when it is a fact.
    if (event.phase === 'event') this.#record(event.phase, event.process, event.label);
    try {
      if (!event.inside || (event.process !== undefined && isAlive(event.process))) event.run();
    } catch (error) {
      this.fail(error);
    }
    if (event.phase !== 'event') this.#record(event.phase, event.process, event.label);
    this.#nowMs += EVENT_MS;
    return event.wakes;
  }

  #begin(process: Process, label: string): boolean {
    if (!isAlive(process)) return false;
    this.#record('call', process, label);
    return isAlive(process);
  }

  #record(phase: TracePhase, process: Process | undefined, label: string): void {
    const entry = { atMs: this.#nowMs, phase, process: process?.id ?? '', label };
    this.trace.add(entry);
    this.observe?.(entry, process);
  }

  #note(process: Process | undefined, label: string, bytes?: Uint8Array): void {
    this.trace.add({ atMs: this.#nowMs, phase: 'note', process: process?.id ?? '', label }, bytes);
  }

  #end(process: MutableProcess, error: unknown): void {
    if (!isAlive(process)) return;
    process.state = 'ended';
    process.error = error;
    this.#note(process, 'ended');
    this.#events = this.#events.filter((e) => e.process !== process || !e.inside);
  }

  #attempt<T>(run: () => T): Outcome<T> | undefined {
    try {
      return { value: run() };
    } catch (error) {
      if (isPlaitError(error)) return { error };
      this.fail(error);
      return undefined;
    }
  }

  #add(event: Omit<Event, 'dueMs' | 'hasten'>, delayMs: number): PendingEvent {
    if (!(delayMs >= 0)) throw new RangeError(`${event.label}: delay of ${delayMs} ms`);
    const hasten = (ms: number): void => {
      added.dueMs = Math.min(added.dueMs, this.#nowMs + ms);
    };
    const added: Event = { ...event, dueMs: this.#nowMs + delayMs, hasten };
    this.#events.push(added);
    return added;
  }
}

/** True while the process may still do something: running, or paused. */
export function isAlive(process: Process): boolean {
  return process.state === 'running' || process.state === 'paused';
}

function canHappen(event: Event): boolean {
  return !event.inside || event.process?.state !== 'paused';
}

function settle<T>(outcome: Outcome<T>, resolve: (value: T) => void, reject: (error: unknown) => void): void {
  if ('error' in outcome) reject(outcome.error);
  else resolve(outcome.value);
}

function never(): Promise<never> {
  return new Promise(() => undefined);
}
