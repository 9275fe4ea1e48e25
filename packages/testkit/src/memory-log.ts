/**
 * The ledger's log in memory, shared by all processes of a world, with every fault a producer can meet. Appending is
 * a call through the scheduler; what landed, landed for everybody in one order.
 */
import { logPosition, PlaitError, type LogPosition } from '@plait/core';
import type { LogAppender, LogMessage, LogReader } from '@plait/roles';
import type { Faults } from './faults.ts';
import { Guard } from './guard.ts';
import type { Prng } from './prng.ts';
import { isAlive, type Process, type Scheduler, type Wait } from './scheduler.ts';

/** How a log in memory behaves. */
export interface MemoryLogOptions {
  readonly faults: Faults;
  /** Chance that a position is skipped before a message, as by a transaction marker. Default 0. */
  readonly gapChance?: number;
}

/** One log. Everything public but the views is for the test itself: at once, without faults. */
export class MemoryLog {
  /** Called synchronously with every message as it lands; `sender` is undefined for the test's own. */
  onLanded: ((message: LogMessage, sender: Process | undefined) => void) | undefined;

  readonly #scheduler: Scheduler;
  readonly #faults: Faults;
  readonly #random: Prng;
  readonly #gapChance: number;
  readonly #messages: LogMessage[] = [];
  readonly #readers = new Set<MemoryLogReader>();
  #start = 0n;
  #end = 0n;
  #copy = 0;
  #incarnation = 0;
  #isDown = false;

  constructor(scheduler: Scheduler, options: MemoryLogOptions) {
    this.#scheduler = scheduler;
    this.#faults = options.faults;
    this.#random = scheduler.random.fork('log');
    this.#gapChance = options.gapChance ?? 0;
  }

  /** All messages that landed, deleted ones too, but for what was rolled back; in order of their positions. */
  get messages(): readonly LogMessage[] {
    return this.#messages;
  }

  /** First position that is not deleted. */
  get start(): LogPosition {
    return logPosition(this.#start);
  }

  /** Position after the newest message or gap. */
  get end(): LogPosition {
    return logPosition(this.#end);
  }

  /** Lands a message at once and tells its position; `value` is copied. */
  land(value: Uint8Array, sender?: Process): LogPosition {
    if (this.#random.chance(this.#gapChance)) this.gap();
    const message: LogMessage = { position: logPosition(this.#end), value: value.slice() };
    this.#messages.push(message);
    this.#end += 1n;
    this.#scheduler.note(sender, `log ${message.position}`, message.value);
    this.onLanded?.(message, sender);
    this.#wakeReaders();
    return message.position;
  }

  /** Skips one position, as a transaction marker does. */
  gap(): void {
    this.#end += 1n;
  }

  /** Deletes everything below `position`, which is at most the end. */
  deleteBefore(position: LogPosition): void {
    if (position > this.#end) throw new RangeError(`deleteBefore(${position}) of a log that ends at ${this.#end}`);
    if (position > this.#start) this.#start = position;
    this.#wakeReaders();
  }

  /** While true no broker answers: polls and `end` throw `unavailable`, appends throw it or, not applied, `unknown`. */
  get isDown(): boolean {
    return this.#isDown;
  }

  set isDown(isDown: boolean) {
    this.#isDown = isDown;
    if (isDown) this.disconnect();
  }

  /** How many older copies were put in its place so far. */
  get copy(): number {
    return this.#copy;
  }

  /** See `LogReader.incarnation`. */
  get incarnation(): number {
    return this.#incarnation;
  }

  /** Every reader's connection ends, and it makes a new one. */
  disconnect(): void {
    this.#incarnation += 1;
    this.#wakeReaders();
  }

  /**
   * An older copy takes the log's place: what is at or above `position`, at most the end, was never there. All connections
   * end, and what is under way never lands.
   */
  rollBack(position: LogPosition): void {
    if (position > this.#end) throw new RangeError(`rollBack(${position}) of a log that ends at ${this.#end}`);
    this.#messages.length = this.indexFrom(position);
    this.#end = position;
    this.#scheduler.note(undefined, `log rolled back to ${position}`);
    this.#copy += 1;
    this.disconnect();
  }

  /** The appender of one process. */
  appender(process: Process): LogAppender {
    return new MemoryLogAppender(this, this.#scheduler, this.#faults, process);
  }

  /** A reader of one process, from `from` on. */
  reader(process: Process, from: LogPosition): LogReader {
    const reader = new MemoryLogReader(this, this.#scheduler, this.#faults, process, from);
    this.#readers.add(reader);
    return reader;
  }

  /** Index in `messages` of the first message at or above `position`. For views. */
  indexFrom(position: bigint): number {
    let low = 0;
    let high = this.#messages.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#messages[middle] as LogMessage).position < position) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #wakeReaders(): void {
    for (const reader of this.#readers) {
      if (!reader.wake()) this.#readers.delete(reader);
    }
  }
}

class MemoryLogAppender implements LogAppender {
  readonly #log: MemoryLog;
  readonly #scheduler: Scheduler;
  readonly #faults: Faults;
  readonly #process: Process;
  readonly #guard: Guard;
  /** The copy that its connection leads to. */
  #copy: number;

  constructor(log: MemoryLog, scheduler: Scheduler, faults: Faults, process: Process) {
    this.#log = log;
    this.#scheduler = scheduler;
    this.#faults = faults;
    this.#process = process;
    this.#guard = new Guard(scheduler, process, 'LogAppender');
    this.#copy = log.copy;
  }

  append(message: Uint8Array): Promise<void> {
    const value = message.slice();
    return this.#guard.alone('append', () => {
      const faults = this.#faults;
      if (faults.happens('appendUnavailable')) return this.#fails('append unavailable', 'unavailable', () => undefined);
      if (faults.happens('appendAnswerLost')) return this.#fails('append answer lost', 'unknown', this.#lander(value));
      if (faults.happens('appendLost')) return this.#fails('append lost', 'unknown', () => undefined);
      if (faults.happens('appendLate')) return this.#late(value);
      return this.#lands(value, faults.happens('appendDuplicated'));
    });
  }

  close(): Promise<void> {
    this.#guard.close();
    return this.#scheduler.wait(this.#process, 'append close', () => undefined, this.#faults.delayMs()).promise;
  }

  /** The good case, once or twice; both copies are in the log when the answer comes. */
  #lands(value: Uint8Array, isTwice: boolean): Promise<void> {
    const copyMs = this.#faults.delayMs();
    const effect = (): void => {
      if (this.#log.isDown) throw this.#failsDown();
      this.#requireConnection();
      this.#log.land(value, this.#process);
      if (isTwice) this.#scheduler.after(copyMs, 'append copy lands', this.#lander(value));
    };
    const answerMs = this.#faults.delayMs() + (isTwice ? copyMs : 0);
    const times = { delayMs: this.#faults.delayMs(), answerMs };
    return this.#scheduler.call(this.#process, isTwice ? 'append twice' : 'append', effect, times);
  }

  /** An error after `effect`; `unknown` comes only after a wait, since nobody says so. */
  #fails(label: string, code: 'unavailable' | 'unknown', effect: () => void): Promise<void> {
    const answerMs = code === 'unknown' ? this.#faults.timeoutMs() : this.#faults.delayMs();
    const run = (): void => {
      effect();
      throw new PlaitError(code, `simulated: ${label}`);
    };
    return this.#scheduler.call(this.#process, label, run, { delayMs: this.#faults.delayMs(), answerMs });
  }

  #late(value: Uint8Array): Promise<void> {
    const timeoutMs = this.#faults.timeoutMs();
    // 1 ms: the landing is never in the moment of the error, which would be the answer-lost case again.
    const lateMs = timeoutMs + 1 + this.#faults.lateMs();
    const land = this.#lander(value);
    const run = (): void => {
      this.#scheduler.after(lateMs, 'append lands late', land);
      throw new PlaitError('unknown', 'simulated: append late');
    };
    const times = { delayMs: this.#faults.delayMs(), answerMs: timeoutMs };
    return this.#scheduler.call(this.#process, 'append late', run, times);
  }

  /** Lands it, unless no broker is there to take it, or the connection it was sent over has ended. */
  #lander(value: Uint8Array): () => void {
    const copy = this.#copy;
    return () => {
      if (!this.#log.isDown && this.#log.copy === copy) this.#log.land(value, this.#process);
    };
  }

  /** The first append after its connection has ended fails; the next one goes over a new one. */
  #requireConnection(): void {
    if (this.#copy === this.#log.copy) return;
    this.#copy = this.#log.copy;
    throw new PlaitError('unavailable', 'simulated: the connection has ended');
  }

  #failsDown(): PlaitError {
    return new PlaitError(this.#faults.happens('appendLost') ? 'unknown' : 'unavailable', 'simulated: the log is down');
  }
}

class MemoryLogReader implements LogReader {
  readonly #log: MemoryLog;
  readonly #scheduler: Scheduler;
  readonly #faults: Faults;
  readonly #random: Prng;
  readonly #process: Process;
  readonly #guard: Guard;
  /** See {@link LogReader.position}. */
  #next: LogPosition;
  #waiting: Wait<readonly LogMessage[]> | undefined;

  constructor(log: MemoryLog, scheduler: Scheduler, faults: Faults, process: Process, from: LogPosition) {
    this.#log = log;
    this.#scheduler = scheduler;
    this.#faults = faults;
    this.#random = scheduler.random.fork(`log reader ${process.id}`);
    this.#process = process;
    this.#guard = new Guard(scheduler, process, 'LogReader');
    this.#next = from;
  }

  poll(options: { readonly maxWaitMs: number }): Promise<readonly LogMessage[]> {
    return this.#guard.alone('poll', async () => {
      const delayMs = this.#hasNews() ? this.#faults.delayMs() : Math.max(options.maxWaitMs, this.#faults.delayMs());
      this.#waiting = this.#scheduler.wait(this.#process, 'log poll', () => this.#take(), delayMs);
      try {
        return await this.#waiting.promise;
      } finally {
        this.#waiting = undefined;
      }
    });
  }

  position(): LogPosition {
    return this.#next;
  }

  incarnation(): number {
    return this.#log.incarnation;
  }

  end(): Promise<LogPosition> {
    return this.#guard.alone('end', () => {
      const isUnavailable = this.#faults.happens('readUnavailable');
      const effect = (): LogPosition => {
        if (isUnavailable || this.#log.isDown) throw new PlaitError('unavailable', 'simulated: log end');
        return this.#log.end;
      };
      const times = { delayMs: this.#faults.delayMs(), answerMs: this.#faults.delayMs() };
      return this.#scheduler.call(this.#process, 'log end', effect, times);
    });
  }

  close(): Promise<void> {
    this.#guard.close();
    this.#waiting?.hasten(0);
    return this.#scheduler.wait(this.#process, 'log close', () => undefined, this.#faults.delayMs()).promise;
  }

  /** Something changed in the log. False if this reader never wants to know again. */
  wake(): boolean {
    if (this.#hasNews()) this.#waiting?.hasten(this.#faults.delayMs());
    return isAlive(this.#process) && !this.#guard.isClosed;
  }

  #hasNews(): boolean {
    const { start, end, messages } = this.#log;
    return (messages.at(-1)?.position ?? -1n) >= this.#next || start > this.#next || end < this.#next;
  }

  /**
   * A prefix, at least one, of what is there. A gap behind the newest message is passed with it or, as when its marker
   * is fetched later, by the next poll that finds nothing.
   */
  #take(): readonly LogMessage[] {
    if (this.#guard.isClosed) return [];
    if (this.#log.isDown || this.#faults.happens('readUnavailable')) {
      throw new PlaitError('unavailable', 'simulated: log poll');
    }
    const details = { position: String(this.#next), logStart: String(this.#log.start), end: String(this.#log.end) };
    if (this.#next < this.#log.start) throw new PlaitError('missing', 'the log begins above the position', { details });
    if (this.#next > this.#log.end) throw new PlaitError('rolled-back', 'the log ends below the position', { details });
    const first = this.#log.indexFrom(this.#next);
    const count = this.#log.messages.length - first;
    if (this.#faults.happens('pollEmpty')) return [];
    const takenCount = this.#random.chance(0.5) || count === 0 ? count : 1 + this.#random.int(count);
    const taken = this.#log.messages.slice(first, first + takenCount);
    const newest = taken.at(-1);
    const passesGap = newest === undefined || (takenCount === count && this.#random.chance(0.5));
    this.#next = passesGap ? this.#log.end : logPosition(newest.position + 1n);
    return taken.map((m) => ({ position: m.position, value: m.value.slice() }));
  }
}
