/**
 * The search for a confirmed state: backwards from the log's end, or around where a seq was numbered, in doubling windows.
 */
import {
  appendLeaf, chunkCount, concatBytes, decodeState, hashToText, headerLeafHash, isChunkOf, isPlaitError, logPosition, rangeRoot,
  verifyNoteSignature,
  type BlockHeader, type Height, type LedgerState, type LogPosition, type Seq, type VerifySignature,
} from '@plait/core';
import type { Pinned } from './follower.ts';
import type { LogStretches } from './log-stretch.ts';
import type { LogMessage, Remembered } from './ports.ts';
import { parseAny, SnapshotIndex, type StateHeader } from './snapshot-index.ts';

/** Messages of the first window. Doubled until a state is found that began in what was searched. */
const WINDOW = 1_024n;
/** Chunks that lie further apart are read each for itself. */
const APART = 32n;

interface Rules extends Pinned {
  readonly minConfiguration?: bigint;
  readonly verify?: VerifySignature;
}

interface Wanted {
  readonly log: LogStretches;
  readonly beforeSeq: Seq | undefined;
  readonly remembered: Remembered | undefined;
  /** Headers of this height and above are not wanted: the fold must come by the newest block that is remembered. */
  readonly heightBelow: Height | undefined;
}

interface Found {
  readonly start: LedgerState | undefined;
  readonly confirmedBy: string;
}

/** One search. */
export class SnapshotSearch {
  readonly #rules: Rules;
  readonly #wanted: Wanted;
  readonly #log: LogStretches;
  readonly #index: SnapshotIndex;
  /** What was known of a header when it was last examined in vain; it is worth another look when there is more. */
  readonly #examined = new Map<StateHeader, number>();
  #found: Found = { start: undefined, confirmedBy: '' };
  #unconfirmed: { readonly height: Height; readonly why: string } | undefined;

  constructor(rules: Rules, wanted: Wanted) {
    this.#rules = rules;
    this.#wanted = wanted;
    this.#log = wanted.log;
    this.#index = new SnapshotIndex(rules.origin);
  }

  /** The newest state above the one found that is complete, signed by the ledger key, and yet refused. */
  get unconfirmed(): { readonly height: Height; readonly why: string } | undefined {
    const above = this.#unconfirmed !== undefined && this.#unconfirmed.height > (this.#found.start?.height ?? -1n);
    return above ? this.#unconfirmed : undefined;
  }

  /**
   * Searches ever further. A header may be found by a copy, far behind its place; but its place is behind its cut. So
   * when the cut of the newest one found lies in what was searched, nothing newer lies before.
   */
  async run(): Promise<Found> {
    const end = await this.#log.end();
    const middle = await this.#placeOfLimit(end);
    let from = middle;
    let to = middle;
    for (let window = WINDOW; from > 0n && !this.#isNewestAbove(from); window *= 2n) {
      const [lower, upper] = [positionMax(0n, from - window), positionMin(end, to + window)];
      await this.#log.read(lower, from, (message) => this.#index.take(message));
      await this.#log.read(to, upper, (message) => this.#index.take(message));
      [from, to] = [lower, upper];
      await this.#examineAll();
    }
    return this.#found;
  }

  #isNewestAbove(from: LogPosition): boolean {
    return this.#found.start !== undefined && this.#found.start.position >= from;
  }

  /** Whether a state with these numbers may be used: before the seq that is asked for, below the height. */
  #isWanted({ height, firstSeq }: Pick<BlockHeader, 'height' | 'firstSeq'>): boolean {
    const { beforeSeq, heightBelow } = this.#wanted;
    return (beforeSeq === undefined || firstSeq <= beforeSeq) && (heightBelow === undefined || height < heightBelow);
  }

  /**
   * About where the last block lies that is wanted; the log's end if nothing limits it. It goes by the blocks it meets,
   * unchecked: led astray it costs time, and the windows around it find a state all the same.
   */
  async #placeOfLimit(end: LogPosition): Promise<LogPosition> {
    let high = end;
    let low = end;
    for (let step = WINDOW; low > 0n && !(await this.#isWantedAt(low, end)); step *= 2n) {
      high = low;
      low = positionMax(0n, low - step);
    }
    while (high - low > WINDOW) {
      const middle = logPosition((low + high) / 2n);
      if (await this.#isWantedAt(middle, high)) low = middle;
      else high = middle;
    }
    return high;
  }

  /** Whether the first block at or behind `position` is wanted. True without a limit, false where no block comes soon. */
  async #isWantedAt(position: LogPosition, end: LogPosition): Promise<boolean> {
    const { beforeSeq, heightBelow } = this.#wanted;
    if (beforeSeq === undefined && heightBelow === undefined) return true;
    let wanted = false;
    await this.#log.read(position, positionMin(end, logPosition(position + WINDOW)), (message) => {
      const header = blockOf(message);
      if (header === undefined) return false;
      wanted = this.#isWanted(header);
      return true;
    });
    return wanted;
  }

  /** Looks at the headers from the highest down to the one that is found already. */
  async #examineAll(): Promise<void> {
    for (const found of this.#index.headers()) {
      if (found.header.height <= (this.#found.start?.height ?? -1n)) return;
      if (!this.#isWanted(found.header)) continue;
      const evidence = this.#evidenceFor(found);
      if (this.#examined.get(found) === evidence) continue;
      this.#examined.set(found, evidence);
      const state = await this.#stateOf(found);
      if (state !== undefined) this.#judge(state, found);
    }
  }

  #evidenceFor({ header }: StateHeader): number {
    return this.#index.chunks(header).size + this.#index.checkpoints(header.height + 1n).length;
  }

  /** The state of a header, all of it under the header's root, and as the header says; undefined if there is none. */
  async #stateOf({ header }: StateHeader): Promise<LedgerState | undefined> {
    const bytes = await this.#gather(header);
    if (bytes === undefined) return undefined;
    try {
      const { origin, ledgerKey } = this.#rules;
      const state = decodeState(bytes, { origin, ledgerKey });
      return isStateFor(header, state) ? state : undefined;
    } catch (error) {
      if (!isPlaitError(error, 'invalid')) throw error;
      return undefined;
    }
  }

  /** The bytes of a header's state from its chunks, each checked alone; undefined if some are not there. */
  async #gather(header: StateHeader['header']): Promise<Uint8Array | undefined> {
    const places = this.#index.chunks(header);
    const count = chunkCount(header.state.bytes);
    if (places.size < count) return undefined;
    const chunks = new Map<number, Uint8Array>();
    const wanted = new Set(places.values());
    for (const { first, last } of stretchesOf(wanted)) {
      await this.#log.read(first, logPosition(last + 1n), ({ position, value }) => {
        const message = wanted.has(position) ? parseAny(value) : undefined;
        if (message?.signed === false && isChunkOf(header, message.body)) chunks.set(message.body.chunk, message.body.data);
      });
    }
    if (chunks.size < count) return undefined;
    return concatBytes(...Array.from({ length: count }, (_, chunk) => chunks.get(chunk) ?? new Uint8Array(0)));
  }

  /** Takes a state that is confirmed; keeps in mind the newest that is not. */
  #judge(state: LedgerState, found: StateHeader): void {
    const { minConfiguration = 0n } = this.#rules;
    const { version } = state.configuration;
    const confirmedBy = this.#confirmation(state, found);
    if (confirmedBy !== undefined && version >= minConfiguration) {
      this.#found = { start: state, confirmedBy };
    } else if (state.height > (this.#unconfirmed?.height ?? -1n)) {
      const why = confirmedBy === undefined
        ? 'no checkpoint confirms it: is a publisher running?'
        : `its configuration ${version} is below ${minConfiguration}`;
      this.#unconfirmed = { height: state.height, why };
    }
  }

  /** Who vouches for the header: one's own memory, or a checkpoint by a key that the ledger key named. */
  #confirmation(state: LedgerState, { text, hash }: StateHeader): string | undefined {
    const { remembered } = this.#wanted;
    if (remembered?.height === state.height + 1n && remembered.header === hash) return 'what this role remembers';
    if (remembered?.state?.height === state.height && remembered.state.header === hash) return 'what this role remembers';
    const size = state.height + 1n;
    const root = hashToText(rangeRoot(appendLeaf(state.history, headerLeafHash(text))));
    const { checkpointKeys } = state.configuration.body;
    const isSigned = this.#index.checkpoints(size).some((checkpoint) => checkpoint.root === root &&
      checkpointKeys.some((key) => verifyNoteSignature(checkpoint.note, key, this.#rules.verify)));
    return isSigned ? `the checkpoint of size ${size}` : undefined;
  }
}

/** Stretches that hold all positions, and not much besides: what lies between is whatever anybody has written there. */
function stretchesOf(positions: Iterable<LogPosition>): readonly { readonly first: LogPosition; last: LogPosition }[] {
  const stretches: { first: LogPosition; last: LogPosition }[] = [];
  for (const position of [...positions].toSorted((a, b) => Number(a - b))) {
    const newest = stretches.at(-1);
    if (newest === undefined || position - newest.last > APART) stretches.push({ first: position, last: position });
    else newest.last = position;
  }
  return stretches;
}

/** Whether a header of these numbers follows from the state, as the fold asks of one. */
function isStateFor(header: BlockHeader, state: LedgerState): boolean {
  return state.ledgerId === header.ledgerId && state.height === header.height && state.nextSeq === header.firstSeq &&
    state.position === header.cut && state.configuration.hash === header.configuration && state.leader?.claim === header.claim &&
    hashToText(rangeRoot(state.history)) === header.history;
}

function blockOf({ value }: LogMessage): BlockHeader | undefined {
  const message = parseAny(value);
  return message?.signed === true && message.body.kind === 'block' ? message.body : undefined;
}

function positionMax(a: bigint, b: bigint): LogPosition {
  return logPosition(a > b ? a : b);
}

function positionMin(a: bigint, b: bigint): LogPosition {
  return logPosition(a < b ? a : b);
}
