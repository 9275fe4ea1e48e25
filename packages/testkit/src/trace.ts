/** What happened in a run, in order: the newest entries for people, and a hash over all of them to compare runs. */

/**
 * - `call`: a process called a port; nothing has been sent yet.
 * - `effect`: what was called took effect outside the process (or failed there).
 * - `answer`: the process got its answer and goes on.
 * - `event`: something that no process called: a late write, a rebalance, a step of the test.
 * - `note`: a detail that a port wrote down, such as where a message landed.
 */
export type TracePhase = 'call' | 'effect' | 'answer' | 'event' | 'note';

/** One line of a trace. */
export interface TraceEntry {
  /** Virtual time. */
  readonly atMs: number;
  readonly phase: TracePhase;
  /** `name#incarnation` of the process; empty for what belongs to none. */
  readonly process: string;
  readonly label: string;
}

/** What each process that crashed was waiting for. */
export function crashedCalls(entries: readonly TraceEntry[]): readonly string[] {
  const waiting = new Map<string, Set<string>>();
  const hit = new Set<string>();
  for (const { phase, process, label } of entries) {
    const calls = waiting.get(process) ?? new Set();
    waiting.set(process, calls);
    if (phase === 'call') calls.add(label);
    if (phase === 'answer') calls.delete(label);
    if (phase === 'note' && label === 'crashed') for (const call of calls) hit.add(call);
  }
  return [...hit];
}

/** Collects entries; keeps at least the newest `entriesMax` and a 64-bit hash over all. Not a cryptographic hash. */
export class Trace {
  readonly #entriesMax: number;
  #entries: TraceEntry[] = [];
  #count = 0;
  readonly #time = new Float64Array(1);
  readonly #timeWords = new Int32Array(this.#time.buffer);
  #low = 0x811c9dc5 | 0;
  #high = 0x9e3779b9 | 0;

  constructor(entriesMax: number) {
    this.#entriesMax = entriesMax;
  }

  /** Adds one entry. `bytes`, when given, go into the hash only. */
  add(entry: TraceEntry, bytes?: Uint8Array): void {
    this.#count += 1;
    this.#entries.push(entry);
    if (this.#entries.length > 2 * this.#entriesMax) this.#entries = this.#entries.slice(-this.#entriesMax);
    this.#time[0] = entry.atMs;
    this.#mix(this.#timeWords[0] as number);
    this.#mix(this.#timeWords[1] as number);
    this.#mixText(entry.phase);
    this.#mixText(entry.process);
    this.#mixText(entry.label);
    if (bytes !== undefined) for (const byte of bytes) this.#mix(byte);
  }

  /** Entries so far, the ones no longer kept included. */
  get count(): number {
    return this.#count;
  }

  /** The entries that are kept, oldest first. */
  get entries(): readonly TraceEntry[] {
    return this.#entries;
  }

  /** Sixteen hex digits over every entry so far. Two runs with the same hash did the same, but for a chance of 2^-64. */
  get hash(): string {
    return hex(this.#high) + hex(this.#low);
  }

  /** The newest `linesMax` entries as text, one a line. */
  text(linesMax: number): string {
    return this.#entries
      .slice(-linesMax)
      .map((e) => `${e.atMs.toFixed(3).padStart(12)} ${e.phase.padEnd(6)} ${e.process.padEnd(16)} ${e.label}`)
      .join('\n');
  }

  #mixText(text: string): void {
    for (let at = 0; at < text.length; at += 1) this.#mix(text.charCodeAt(at));
    this.#mix(-1);
  }

  /** FNV-1a, two lanes; the second with a multiplier and a rotation of its own. */
  #mix(word: number): void {
    this.#low = Math.imul(this.#low ^ word, 0x01000193);
    this.#high = Math.imul((this.#high << 5) ^ (this.#high >>> 27) ^ word, 0x85ebca6b);
  }
}

function hex(word: number): string {
  return (word >>> 0).toString(16).padStart(8, '0');
}
