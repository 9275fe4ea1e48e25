/** A keeper of leaves over ports in memory: killed at every moment, with a log that is rolled back, and with records that differ. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import {
  apply, chainOf, emptyState, encodePayload, formatConfiguration, formatGenesis, generation, LEAF_BYTES, leafHash, logPosition, hashToText, minimalPayload, offset, segmentCount, signNote,
  treeRoot, writeLeaf, type Configuration, type FoldState, type LedgerState, type Line, type LogPosition,
} from '@plait/core';
import { openLeaves } from '@plait/disk';
import { Coordinator, LeafKeeper, LeaseKeeper, runLoop, Worker, type KeptLine, type LeafStore, type SourceRecord } from '@plait/roles';
import { Faults, HARSH_FAULTS, MemoryGroup, MemoryLease, MemoryLog, MemorySource, Scheduler, VirtualClock, virtualRandom, type FaultRates, type Process } from '@plait/testkit';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { cachedVerify, COORDINATOR_KEYS, LEDGER_KEY, ORIGIN, simulatedGenesis, WORKER_KEYS } from '../../packages/testkit/src/keyring.ts';

const T = 'orders';
const owner = { origin: ORIGIN, ledgerKey: LEDGER_KEY.verifier };
const FOREVER = new AbortController().signal;
const verify = cachedVerify();

let root: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'plait-keeper-'));
});
afterAll(() => {
  for (const store of opened) store[Symbol.dispose]();
  rmSync(root, { recursive: true, force: true });
});
const opened: LeafStore[] = [];
let folders = 0;
const fresh = (): string => join(root, String((folders += 1)));

/** A ledger over two partitions, made by a worker and a coordinator. */
class World {
  readonly scheduler: Scheduler;
  readonly source: MemorySource;
  readonly log: MemoryLog;
  readonly alarms: string[] = [];
  readonly #faults: Faults;
  /** What ended the keeper. */
  error: unknown;

  constructor(seed: number, rates: Partial<FaultRates> = {}) {
    this.scheduler = new Scheduler({ seed });
    const faults = new Faults(this.scheduler.random.fork('faults'), rates);
    this.source = new MemorySource(this.scheduler, { faults });
    this.log = new MemoryLog(this.scheduler, { faults });
    this.log.land(signNote(formatGenesis(simulatedGenesis([T], 64)), LEDGER_KEY));
    for (const partition of [0, 1]) this.source.createPartition(T, partition);
    this.#faults = faults;
    this.startRoles();
  }

  /** A worker and a coordinator that remember nothing. */
  startRoles(): void {
    const faults = this.#faults;
    const group = new MemoryGroup(this.scheduler, { faults, partitionsOf: (topic) => this.source.partitions(topic) });
    const lease = new MemoryLease(this.scheduler, { faults, ttlMs: 1_000 });
    this.scheduler.spawn('worker', async (self) => {
      const clock = new VirtualClock(this.scheduler, self);
      const worker = new Worker({ ...this.#ports(self), key: WORKER_KEYS[0], source: this.source.reader(self), membership: group.member(self), clock });
      await runLoop(worker, { clock, signal: FOREVER });
    });
    this.scheduler.spawn('coordinator', async (self) => {
      const [clock, random] = [new VirtualClock(this.scheduler, self), virtualRandom(this.scheduler, self)];
      const keeper = new LeaseKeeper({ lease: lease.lease(self), clock, random });
      const coordinator = new Coordinator({ ...this.#ports(self), key: COORDINATOR_KEYS[0], lease: keeper, clock, random });
      await Promise.all([runLoop(coordinator, { clock, signal: FOREVER }), runLoop(keeper, { clock, signal: FOREVER })]);
    });
  }

  #ports(self: Process) {
    return { ...owner, verify, log: this.log.reader(self, logPosition(0n)), appender: this.log.appender(self) };
  }

  /** So many times some records, and what becomes of them within half a second. */
  async grow(rounds: number): Promise<void> {
    for (let round = 0; round < rounds; round += 1) {
      for (const partition of [0, 1]) {
        for (let i = this.scheduler.random.int(9); i > 0; i -= 1) this.source.produce(T, partition, this.#payload(), BigInt(round));
        if (round % 3 === 1) this.source.produceInvisible(T, partition);
      }
      await this.pass(500);
    }
    await this.pass(2_000);
  }

  #payload(): Uint8Array {
    return encodePayload({ key: null, value: this.scheduler.random.bytes(8), headers: [] });
  }

  async pass(ms: number): Promise<void> {
    await this.scheduler.run({ untilMs: this.scheduler.nowMs + ms });
  }

  /** The fold of the log, up to `end` if given, and its lines. */
  fold(end: LogPosition = this.log.end): { state: LedgerState | undefined; lines: Line[] } {
    let folded: FoldState = emptyState(owner);
    const lines: Line[] = [];
    for (const { position, value } of this.log.messages) {
      if (position >= end) break;
      const { state, outcome } = apply(folded, position, value, { verify });
      folded = state;
      if (outcome.kind === 'block') lines.push(...outcome.lines);
    }
    return { state: folded.kind === 'ledger' ? folded : undefined, lines };
  }

  /** Starts a keeper over a folder, from a state if one is given. */
  async keep(folder: string, start?: LedgerState): Promise<Process> {
    const store = await openLeaves(folder, owner);
    // A process that is killed does not close it.
    opened.push(store);
    return this.scheduler.spawn('keeper', async (self) => {
      const clock = new VirtualClock(this.scheduler, self);
      const keeper = new LeafKeeper({
        ...owner, verify, store, clock, source: this.source.reader(self), newest: async () => this.fold().state,
        log: this.log.reader(self, logPosition(start === undefined ? 0n : start.position + 1n)), openLog: async (from) => this.log.reader(self, from),
        ...(start === undefined ? {} : { start }),
        observe: (event) => {
          if (event.event === 'alarm') this.alarms.push(event.alarm);
        },
      });
      await runLoop({ step: (signal) => keeper.step(signal) }, { clock, signal: FOREVER });
    }, (error) => {
      this.error = error;
      return true;
    });
  }

  configure(change: Partial<Configuration>): void {
    const { state } = this.fold();
    if (state === undefined) throw new Error('nothing has passed yet');
    const { origin, ledgerId, configuration } = state;
    this.log.land(signNote(formatConfiguration({
      ...configuration.body, starts: [], ...change, kind: 'configuration', origin, ledgerId, version: configuration.version + 1n, previous: configuration.hash,
    }), LEDGER_KEY));
  }

  /** Every line of the ledger is kept as the fold has it, and its leaves are those of the records as they were produced. */
  async check(folder: string): Promise<readonly KeptLine[]> {
    using store = await openLeaves(folder, owner, { readOnly: true });
    const { lines } = this.fold();
    const kept = allOf(store);
    expect(kept.map(({ line }) => line)).toEqual(lines);
    for (const { line: { segment }, kind } of kept) {
      if (kind !== 'records' || segment.kind !== 'segment' || segmentCount(segment) === 0n) continue;
      const leaves = store.leavesOf(segment);
      expect(leaves).toEqual(this.#leaves(segment.partition, segment.firstOffset, segment.nextOffset));
      expect(rootOf(leaves as Uint8Array)).toBe(segment.root);
    }
    return kept;
  }

  #leaves(partition: number, first: bigint, next: bigint): Uint8Array {
    const records = this.source.records(T, partition).filter((record) => record.offset >= first && record.offset < next);
    const out = new Uint8Array(records.length * LEAF_BYTES);
    for (const [i, { offset: at, timestamp, payload }] of records.entries()) writeLeaf({ out, at: i * LEAF_BYTES, offset: at, timestamp, payload: minimalPayload(payload) });
    return out;
  }
}

function rootOf(leaves: Uint8Array): string {
  return hashToText(treeRoot(Array.from({ length: leaves.length / LEAF_BYTES }, (_, i) => leafHash(leaves.subarray(i * LEAF_BYTES, (i + 1) * LEAF_BYTES)))));
}

function allOf(store: LeafStore): readonly KeptLine[] {
  const end = store.newestBlock()?.height ?? -1n;
  return Array.from({ length: Number(end) + 1 }, (_, at) => store.linesOfBlock(BigInt(at))).flat();
}

const kindsOf = (lines: readonly KeptLine[]): Set<string> => new Set(lines.map(({ kind }) => kind));

describe('a keeper', () => {
  test('keeps what the fold numbers, while it grows, over ports that fail', async () => {
    const world = new World(1, HARSH_FAULTS);
    const folder = fresh();
    await world.keep(folder);
    await world.grow(12);
    await world.pass(10_000);
    expect(world.error).toBeUndefined();
    expect(world.fold().lines.length).toBeGreaterThan(10);
    expect(kindsOf(await world.check(folder))).toEqual(new Set(['records']));
  });

  test('killed at every moment of its life, it goes on where its store ends', async () => {
    const world = new World(2);
    await world.grow(6);
    const folder = fresh();
    let moments = 0;
    for (let last = 1; world.error === undefined; last += 1) {
      let seen = 0;
      const keeper = await world.keep(folder);
      world.scheduler.observe = (_, process) => {
        if (process === keeper && (seen += 1) === last) world.scheduler.crash(keeper);
      };
      await world.pass(1_000);
      if (seen < last) break;
      moments += 1;
    }
    world.scheduler.observe = undefined;
    expect(moments).toBeGreaterThan(15);
    await world.check(folder);
  });

  test('begun at a state before the newest block that is kept, it goes on; one behind it would be a bug', async () => {
    const world = new World(3);
    await world.grow(4);
    const folder = fresh();
    const first = await world.keep(folder);
    await world.pass(1_000);
    world.scheduler.crash(first);
    await world.grow(4);
    const { state } = world.fold();
    using store = await openLeaves(folder, owner);
    const newest = store.newestBlock()?.height ?? 0n;
    const starts = world.log.messages.map(({ position }) => world.fold(logPosition(position + 1n)).state).filter((each) => each !== undefined);
    const start = starts.findLast(({ height }) => height <= newest);
    expect(start?.height).toBe(newest);
    await world.keep(folder, start);
    await world.pass(1_000);
    await world.check(folder);
    const reader = { ...owner, store, log: world.log.reader(first, logPosition(0n)), source: world.source.reader(first), clock: new VirtualClock(world.scheduler, first), newest: async () => state };
    expect(() => new LeafKeeper({ ...reader, start: starts.at(-1) as LedgerState })).toThrow('the fold comes by the newest block');
  });

  test.each([0, 1, 20])('stops at a log that was rolled back while it was away, and has grown anew for %d rounds', async (rounds) => {
    const world = new World(4);
    await world.grow(8);
    const folder = fresh();
    const keeper = await world.keep(folder);
    await world.pass(1_000);
    world.scheduler.crash(keeper);
    const before = await world.check(folder);
    const blocks = world.log.messages.filter(({ value }) => new TextDecoder().decode(value.subarray(0, 11)) === 'plait.block');
    world.scheduler.processes.filter(({ name }) => name !== 'keeper').forEach((process) => world.scheduler.crash(process));
    world.log.rollBack(blocks[3]?.position ?? logPosition(0n));
    if (rounds > 0) world.startRoles();
    await world.grow(rounds);
    await world.keep(folder);
    await world.pass(3_000);
    expect(world.error).toMatchObject({ code: 'rolled-back', message: expect.stringContaining('delete the leaves') });
    expect(world.alarms).toEqual(['rolled-back']);
    using store = await openLeaves(folder, owner, { readOnly: true });
    expect(allOf(store)).toEqual(before);
  });

  test('keeps no leaf of records that differ and nothing behind them, until they are declared void', async () => {
    const world = new World(6);
    await world.grow(4);
    const { lines } = world.fold();
    const wrong = lines.find(({ segment }) => segment.partition === 1 && segmentCount(segment) > 1n && segment.firstIndex > 0n) as Line;
    const { segment } = wrong;
    const { payload } = world.source.records(T, 1).find((each) => each.offset >= segment.firstOffset) as SourceRecord;
    payload[3] = (payload[3] ?? 0) ^ 1;
    const folder = fresh();
    await world.keep(folder);
    await world.pass(10_000);
    expect(world.alarms).toEqual(['tampered']);
    expect(world.error).toBeUndefined();
    using store = await openLeaves(folder, owner, { readOnly: true });
    expect(store.nextSeq).toBe(wrong.firstSeq);
    const { topic, partition, generation: of, firstIndex, nextIndex } = segment;
    world.configure({ voids: [{ topic, partition, generation: of, firstIndex, nextIndex }] });
    await world.pass(10_000);
    const kept = await world.check(folder);
    expect(kept.filter(({ kind }) => kind === 'void').map(({ line }) => line)).toEqual([wrong]);
    expect(world.alarms).toEqual(['tampered']);
  });

  test('keeps the lines of records that are gone, and of a generation that ended, without leaves', async () => {
    const world = new World(7);
    await world.grow(4);
    const { state } = world.fold();
    const end = chainOf(state as LedgerState, { topic: T, partition: 1 }).end.nextOffset;
    world.source.deleteBefore(T, 0, offset(3n));
    world.source.truncate(T, 1, offset(0n));
    world.configure({ starts: [{ topic: T, partition: 1, generation: generation(1n), offset: offset(0n) }] });
    await world.grow(4);
    const folder = fresh();
    await world.keep(folder);
    await world.pass(30_000);
    expect(world.error).toBeUndefined();
    const kept = await world.check(folder);
    expect(kindsOf(kept)).toEqual(new Set(['records', 'gone']));
    expect(kept.filter(({ kind, line: { segment } }) => kind === 'records' && segment.partition === 1 && segment.generation === 0n && segment.nextOffset <= end && segmentCount(segment) > 0n)).toEqual([]);
  });
});
