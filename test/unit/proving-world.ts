/** Small ledgers with real records, checkpoints that are really signed, and a prover over ports in memory. */
import {
  chainOf, encodePayload, formatCheckpoint, formatConfiguration, formatGenesis, formatReport, hashToText, index, invariant, linesUpTo, rangeRoot,
  SegmentHasher, signNote, utf8Encode,
  type Configuration, type Hash, type LedgerState, type Line, type LossSegment, type Offset, type Payload, type RecordSegment, type Segment, type SignerKey,
} from '@plait/core';
import { positionBehind, Prover, type ProverOptions } from '@plait/roles';
import { Faults, MemoryLog, MemorySource, Prng, Scheduler, VirtualClock, type FaultRates } from '@plait/testkit';
import { History, quickly, quickVerify } from '../cold/history.ts';
import { alice, BODY, checkpointKey, ledgerKey, ORIGIN, worker1 } from '../vectors/histories/builder.ts';

export const TOPIC = 'orders';

/** What the ledger says of an offset of a partition. */
export interface Told {
  readonly kind: 'record' | 'invisible' | 'loss';
  readonly partition: number;
  readonly offset: Offset;
  payload?: Uint8Array;
  timestamp?: bigint;
  seq?: bigint;
  /** It was hashed, and can no longer be read. */
  isGone?: boolean;
}

/** A ledger that grows as its seed says. */
export class ProvingWorld {
  readonly random: Prng;
  readonly scheduler: Scheduler;
  readonly source: MemorySource;
  readonly log: MemoryLog;
  readonly history: History;
  readonly told: Told[] = [];
  #landed = 0;

  constructor(seed: string | number, rates: Partial<FaultRates> = {}) {
    this.random = new Prng(seed);
    this.scheduler = new Scheduler({ seed: `${seed}` });
    const faults = new Faults(this.scheduler.random.fork('faults'), rates);
    this.source = new MemorySource(this.scheduler, { faults });
    this.log = new MemoryLog(this.scheduler, { faults });
    this.history = new History(signNote(formatGenesis({ kind: 'genesis', origin: ORIGIN, ...BODY, onLoss: 'record' }), ledgerKey));
    this.history.claim();
    for (let partition = 0; partition < 4; partition += 1) this.source.createPartition(TOPIC, partition);
  }

  get state(): LedgerState {
    return this.history.state;
  }

  /** A record with a payload of any shape. */
  produce(partition: number): Told {
    const { random } = this;
    const bytes = (): Uint8Array | null => (random.chance(0.2) ? null : random.bytes(random.int(40)));
    const headers = Array.from({ length: random.int(3) }, () => ({ key: utf8Encode('trace'), value: bytes() }));
    const content: Payload = { key: bytes(), value: bytes(), headers };
    const told: Told = { kind: 'record', partition, offset: this.source.endOffset(TOPIC, partition), payload: encodePayload(content), timestamp: BigInt(random.int(2 ** 31)) };
    this.source.produce(TOPIC, partition, told.payload as Uint8Array, told.timestamp);
    this.told.push(told);
    return told;
  }

  /** An offset that nobody sees. */
  skip(partition: number): void {
    this.told.push({ kind: 'invisible', partition, offset: this.source.endOffset(TOPIC, partition) });
    this.source.produceInvisible(TOPIC, partition);
  }

  /** Reports what is new of a partition as one segment; `change` makes it a lie. */
  report(partition: number, change: Partial<RecordSegment> = {}): RecordSegment {
    const { end } = chainOf(this.state, { topic: TOPIC, partition });
    const nextOffset = this.source.endOffset(TOPIC, partition);
    const records = this.source.records(TOPIC, partition).filter((record) => record.offset >= end.nextOffset);
    const hasher = new SegmentHasher();
    for (const { offset: at, timestamp, payload } of records) hasher.add(at, timestamp, payload);
    const segment: RecordSegment = {
      kind: 'segment', topic: TOPIC, partition, generation: end.generation, firstIndex: end.nextIndex, nextIndex: index(end.nextIndex + BigInt(records.length)),
      firstOffset: end.nextOffset, nextOffset, root: hashToText(hasher.root()), previous: end.head, ...change,
    };
    return this.#report(segment);
  }

  /** All that is new of a partition was gone before it was hashed. */
  lose(partition: number): LossSegment {
    const { end } = chainOf(this.state, { topic: TOPIC, partition });
    const nextOffset = this.source.endOffset(TOPIC, partition);
    this.source.deleteBefore(TOPIC, partition, nextOffset);
    const own = this.told.filter((told) => told.partition === partition);
    for (const told of own) Object.assign(told, told.offset >= end.nextOffset ? { kind: 'loss' } : { isGone: true });
    return this.#report({
      kind: 'loss', topic: TOPIC, partition, generation: end.generation, firstIndex: end.nextIndex, nextIndex: index(end.nextIndex + 1n),
      firstOffset: end.nextOffset, nextOffset, previous: end.head,
    });
  }

  #report<S extends Segment>(segment: S): S {
    const outcome = this.history.append(quickly(formatReport({ kind: 'report', origin: ORIGIN, ledgerId: this.state.ledgerId, segments: [segment] }), worker1));
    invariant(outcome.kind === 'report' && outcome.segments[0]?.accepted === true, `reported in vain: ${JSON.stringify(outcome, (_, v: unknown) => (typeof v === 'bigint' ? `${v}` : v))}`);
    return segment;
  }

  /** A block, and what it says of the offsets. */
  block({ withState = false }: { readonly withState?: boolean } = {}): readonly Line[] {
    const before = this.state;
    this.history.block(withState);
    const lines = linesUpTo(before, this.state.cut);
    for (const { firstSeq, segment } of lines) {
      const own = this.told.filter((told) => told.partition === segment.partition && told.offset >= segment.firstOffset && told.offset < segment.nextOffset);
      own.filter(({ kind }) => kind === 'record').forEach((told, i) => (told.seq = firstSeq + BigInt(i)));
      own.filter(({ kind }) => kind === 'loss').forEach((told) => (told.seq = firstSeq));
    }
    return lines;
  }

  /** A checkpoint of all blocks so far; `change` makes it another one. */
  checkpoint({ key = checkpointKey, ...change }: { readonly key?: SignerKey; readonly size?: bigint; readonly root?: Hash } = {}): void {
    const { height, history } = this.state;
    this.history.append(signNote(formatCheckpoint({ kind: 'checkpoint', origin: ORIGIN, size: height, root: hashToText(rangeRoot(history)), ...change }), key));
  }

  configure(change: Partial<Configuration>): void {
    const { configuration, ledgerId } = this.state;
    const text = formatConfiguration({
      ...configuration.body, starts: [], kind: 'configuration', origin: ORIGIN, ledgerId, version: configuration.version + 1n, previous: configuration.hash, ...change,
    });
    invariant(this.history.append(signNote(text, ledgerKey)).kind === 'configuration', 'a configuration that counts');
    this.history.claim(alice);
  }

  /** So many random steps. */
  grow(steps: number): void {
    const { random } = this;
    for (let step = 0; step < steps; step += 1) {
      const partition = random.int(3);
      for (let i = random.int(8); i > 0; i -= 1) {
        if (random.chance(0.15)) this.skip(partition);
        else this.produce(partition);
      }
      if (random.chance(0.6) && this.source.endOffset(TOPIC, partition) > chainOf(this.state, { topic: TOPIC, partition }).end.nextOffset) {
        if (random.chance(0.1)) this.lose(partition);
        else this.report(partition);
      }
      if (random.chance(0.4)) this.block();
      if (random.chance(0.2)) this.checkpoint();
    }
  }

  /** What was appended to the history stands in the log now. */
  land(): void {
    for (const { value } of this.history.messages.slice(this.#landed)) this.log.land(value);
    this.#landed = this.history.messages.length;
  }

  /** Runs `main` with a prover and its step, which rests where brokers do not answer; says each seek in a source. */
  async prove<T>(options: Partial<ProverOptions>, main: (prover: Prover, step: () => Promise<void>) => Promise<T>, onSeek: () => void = () => undefined): Promise<T> {
    let result: { readonly value: T } | undefined;
    this.scheduler.spawn('prover', async (self) => {
      const clock = new VirtualClock(this.scheduler, self);
      const { start } = options;
      const source = this.source.reader(self);
      const seek = source.seek.bind(source);
      source.seek = (partition, from) => {
        onSeek();
        seek(partition, from);
      };
      const prover = new Prover({
        origin: ORIGIN, ledgerKey: ledgerKey.verifier, verify: quickVerify, clock, source,
        log: this.log.reader(self, start === undefined ? this.log.start : positionBehind(start)), newest: () => Promise.resolve(this.state), ...options,
      });
      const step = async (): Promise<void> => {
        try {
          await prover.step();
        } catch (error) {
          if ((error as { code?: string }).code !== 'unavailable') throw error;
          await clock.sleep(100);
        }
      };
      result = { value: await main(prover, step) };
    });
    await this.scheduler.run({ untilMs: this.scheduler.nowMs + 3_600_000, until: () => result !== undefined });
    invariant(result !== undefined, 'the prover did not end');
    return result.value;
  }
}
