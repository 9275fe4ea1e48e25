/**
 * Lines on their way to the checkers and back. They go in stretches of one partition, full ones to whoever has room, others
 * to the checker that has read their partition last, since it reads on there. Results come in any order, and are handed out in
 * the order of the lines: so the first finding that comes out is the one with the least seq.
 */
import { invariant, isTransient, partitionName, segmentCount, type Generation, type Line, type TopicPartition } from '@plait/core';
import type { LineChecker, LineResult, LineStretch } from './audit-types.ts';
import { LINES_WAITING_MAX, STRETCH_LINES_MAX, STRETCH_RECORDS, STRETCH_RECORDS_MIN, STRETCHES_IN_HAND_MAX } from './limits.ts';
import type { Clock } from './ports.ts';
import type { NumberedLine } from './reader.ts';

/** What lanes need. */
export interface LanesOptions {
  readonly checkers: readonly LineChecker[];
  readonly clock: Clock;
  /** What is to be said of a stretch beside its lines, asked when it sets out. */
  readonly about: (line: Line) => Pick<LineStretch, 'hasEnded' | 'isSource'>;
  /** How long a stretch is given to its checker again while no broker answers, ms. */
  readonly patienceMs: number;
  /** Records a second, at most. */
  readonly recordsPerSecondMax?: number;
}

/** A line with its result, once it is there. */
export interface Passed extends NumberedLine {
  result: LineResult | { readonly kind: 'void' } | undefined;
}

interface Forming extends TopicPartition {
  readonly generation: Generation;
  readonly lines: Passed[];
  records: bigint;
}

interface Lane {
  readonly checker: LineChecker;
  inHand: number;
}

const REST_MS = 200;

/** See the head of this file. One caller at a time. */
export class Lanes {
  readonly #options: LanesOptions;
  readonly #lanes: readonly Lane[];
  /** Records of a full stretch: with a rate no more than those of a second, so that they do not come all at once. */
  readonly #stretchRecords: number;
  /** All lines that were not taken out yet, in order. */
  #lines: Passed[] = [];
  #start = 0;
  /** By partition, the one whose oldest line has waited longest first. */
  readonly #forming = new Map<string, Forming>();
  readonly #full: Forming[] = [];
  readonly #lastLane = new Map<string, Lane>();
  readonly #underWay = new Set<Promise<void>>();
  #notBeforeMs = Number.NEGATIVE_INFINITY;
  #failure: { readonly error: unknown } | undefined;

  constructor(options: LanesOptions) {
    this.#options = options;
    this.#stretchRecords = Math.min(STRETCH_RECORDS, options.recordsPerSecondMax ?? STRETCH_RECORDS);
    this.#lanes = options.checkers.map((checker) => ({ checker, inHand: 0 }));
  }

  /** Whether no more lines should be added for now. */
  get isFull(): boolean {
    return this.#lines.length - this.#start >= LINES_WAITING_MAX;
  }

  /** The first line that was not taken out, perhaps without its result; undefined if there is none. */
  get front(): Passed | undefined {
    return this.#lines[this.#start];
  }

  /** What a checker threw: nothing more comes back. */
  get failure(): { readonly error: unknown } | undefined {
    return this.#failure;
  }

  /** Takes the front out. */
  shift(): void {
    this.#start += 1;
    if (this.#start * 2 < this.#lines.length) return;
    this.#lines = this.#lines.slice(this.#start);
    this.#start = 0;
  }

  /** Adds the next line. One that is void is not looked at: it keeps its turn. */
  add(numbered: NumberedLine, isVoid: boolean): void {
    const passed: Passed = { ...numbered, result: isVoid ? { kind: 'void' } : undefined };
    this.#lines.push(passed);
    if (isVoid) return;
    const { segment } = passed.line;
    const name = partitionName(segment);
    const known = this.#forming.get(name);
    const isSame = known?.generation === segment.generation;
    if (known !== undefined && !isSame) this.#close(name, known);
    const { topic, partition, generation } = segment;
    const forming = isSame ? known : { topic, partition, generation, lines: [], records: 0n };
    if (!isSame) this.#forming.set(name, forming);
    forming.lines.push(passed);
    forming.records += segmentCount(segment);
    if (forming.records >= this.#stretchRecords || forming.lines.length >= STRETCH_LINES_MAX) this.#close(name, forming);
  }

  #close(name: string, forming: Forming): void {
    this.#forming.delete(name);
    this.#full.push(forming);
  }

  /** Gives stretches to checkers that have room for them. `isLast`: no more lines come. */
  pump(isLast: boolean): void {
    for (const lane of this.#lanes) {
      while (lane.inHand < STRETCHES_IN_HAND_MAX && this.#options.clock.nowMs() >= this.#notBeforeMs) {
        const stretch = this.#full.shift() ?? this.#unfinished(lane, isLast || this.isFull);
        if (stretch === undefined) break;
        this.#send(stretch, lane);
      }
    }
  }

  /** Something for a checker that has nothing to do, or soon would: then it should be worth its while. */
  #unfinished(lane: Lane, mayTake: boolean): Forming | undefined {
    for (const [name, forming] of this.#forming) {
      if (lane.inHand > 0 && forming.records < STRETCH_RECORDS_MIN) continue;
      const last = this.#lastLane.get(name);
      if (!mayTake && last !== undefined && last !== lane) continue;
      this.#forming.delete(name);
      return forming;
    }
    return undefined;
  }

  #send({ topic, partition, generation, lines, records }: Forming, lane: Lane): void {
    const [first] = lines as [Passed];
    this.#lastLane.set(partitionName({ topic, partition }), lane);
    this.#pace(records);
    const stretch: LineStretch = { topic, partition, generation, lines: lines.map(({ line }) => line), ...this.#options.about(first.line) };
    const done = this.#bringBack(lines, stretch, lane);
    this.#underWay.add(done);
    void done.finally(() => this.#underWay.delete(done));
  }

  /** Never rejects: what a checker throws is thrown by the next {@link wait}. */
  async #bringBack(lines: readonly Passed[], stretch: LineStretch, lane: Lane): Promise<void> {
    lane.inHand += 1;
    try {
      const results = await this.#check(stretch, lane.checker);
      invariant(results.length === lines.length, `a checker gave ${results.length} results for ${lines.length} lines`);
      for (const [i, passed] of lines.entries()) passed.result = results[i];
    } catch (error) {
      this.#failure ??= { error };
    }
    lane.inHand -= 1;
  }

  #pace(records: bigint): void {
    const { recordsPerSecondMax: max, clock } = this.#options;
    if (max === undefined) return;
    this.#notBeforeMs = Math.max(clock.nowMs(), this.#notBeforeMs) + (Number(records) * 1_000) / max;
  }

  async #check(stretch: LineStretch, checker: LineChecker): Promise<readonly LineResult[]> {
    const { clock, patienceMs } = this.#options;
    const sinceMs = clock.nowMs();
    for (;;) {
      try {
        return await checker.check(stretch);
      } catch (error) {
        if (!isTransient(error)) throw error;
        if (clock.nowMs() - sinceMs >= patienceMs) throw error;
        await clock.sleep(REST_MS);
      }
    }
  }

  /** Resolves when a stretch came back, or after `maxWaitMs`. Throws what a checker threw. */
  async wait(maxWaitMs: number): Promise<void> {
    if (this.#failure === undefined) await Promise.race([...this.#underWay, this.#options.clock.sleep(maxWaitMs)]);
    if (this.#failure !== undefined) throw this.#failure.error;
  }
}
