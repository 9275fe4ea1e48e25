/** What a worker makes of partitions that expire, move, shrink and are made anew: one after the other, without other faults. */
import {
  apply, chainOf, emptyState, encodePayload, formatConfiguration, formatGenesis, generation, logPosition, offset, signNote,
  type Configuration, type LedgerState, type Offset, type Segment,
} from '@plait/core';
import { runLoop, Worker, type AlarmName, type SourceEvent } from '@plait/roles';
import { Faults, MemoryGroup, MemoryLog, MemorySource, Scheduler, VirtualClock } from '@plait/testkit';
import { describe, expect, test } from 'vitest';
import { UNREPORTED_SEGMENTS_MAX } from '../../packages/roles/src/limits.ts';
import { LEDGER_KEY, ORIGIN, simulatedGenesis, WORKER_KEYS } from '../../packages/testkit/src/keyring.ts';

const T = 'orders';
const at = (partition: number) => ({ topic: T, partition });

/** One worker over two partitions, and no coordinator: whatever is accepted stays pending. */
class World {
  readonly scheduler: Scheduler;
  readonly alarms: string[] = [];
  readonly segments: Segment[] = [];
  readonly source: MemorySource;
  readonly log: MemoryLog;
  /** Records that the worker was handed, of both partitions. */
  handed = 0;
  state: LedgerState | undefined;
  /** When something was last sought. */
  soughtMs = 0;

  constructor(seed = 1) {
    this.scheduler = new Scheduler({ seed });
    const faults = new Faults(this.scheduler.random.fork('faults'));
    this.source = new MemorySource(this.scheduler, { faults });
    this.log = new MemoryLog(this.scheduler, { faults });
    for (const partition of [0, 1]) this.source.createPartition(T, partition);
    this.log.land(signNote(formatGenesis(simulatedGenesis([T], 4_096)), LEDGER_KEY));
    const group = new MemoryGroup(this.scheduler, { faults, partitionsOf: () => [at(0), at(1)] });
    this.scheduler.spawn('worker', async (self) => {
      const clock = new VirtualClock(this.scheduler, self);
      const reader = this.source.reader(self);
      const poll = reader.poll.bind(reader);
      reader.poll = async (wait) => this.#count(await poll(wait));
      const seek = reader.seek.bind(reader);
      reader.seek = (partition, from) => {
        this.soughtMs = this.scheduler.nowMs;
        seek(partition, from);
      };
      const worker = new Worker({
        origin: ORIGIN, ledgerKey: LEDGER_KEY.verifier, key: WORKER_KEYS[0], log: this.log.reader(self, logPosition(0n)),
        appender: this.log.appender(self), source: reader, membership: group.member(self), clock,
        observe: (event) => {
          if (event.event === 'alarm') this.alarms.push(`${event.alarm satisfies AlarmName}: ${event.message.split(':')[0]}`);
        },
      });
      await runLoop(worker, { clock, signal: new AbortController().signal });
    });
  }

  #count(events: readonly SourceEvent[]): readonly SourceEvent[] {
    for (const event of events) if (event.kind === 'records') this.handed += event.records.length;
    return events;
  }

  put(partition: number, count: number): void {
    for (let i = 0; i < count; i += 1) {
      this.source.produce(T, partition, encodePayload({ key: null, value: this.scheduler.random.bytes(8), headers: [] }), BigInt(i));
    }
  }

  /** Lets a second pass, and folds the log. */
  async pass(): Promise<void> {
    await this.scheduler.run({ untilMs: this.scheduler.nowMs + 1_000 });
    let state = emptyState({ origin: ORIGIN, ledgerKey: LEDGER_KEY.verifier }) as Parameters<typeof apply>[0];
    this.segments.length = 0;
    for (const { position, value } of this.log.messages) {
      const applied = apply(state, position, value);
      state = applied.state;
      if (applied.outcome.kind !== 'report') continue;
      for (const each of applied.outcome.segments) if (each.accepted) this.segments.push(each.segment);
    }
    if (state.kind === 'ledger') this.state = state;
  }

  nextOffset(partition: number): Offset | undefined {
    return this.state && chainOf(this.state, at(partition)).end.nextOffset;
  }

  configure(change: Partial<Configuration>): void {
    const { state } = this;
    if (state === undefined) throw new Error('nothing has passed yet');
    const { origin, ledgerId, configuration } = state;
    this.log.land(signNote(formatConfiguration({
      ...configuration.body, starts: [], ...change, kind: 'configuration', origin, ledgerId, version: configuration.version + 1n, previous: configuration.hash,
    }), LEDGER_KEY));
  }

  /** A new generation of a partition. */
  restart(partition: number, from: bigint): void {
    const next = this.state === undefined ? 0n : chainOf(this.state, at(partition)).end.generation + 1n;
    this.configure({ starts: [{ ...at(partition), generation: generation(next), offset: offset(from) }] });
  }
}

/** A world whose worker has hashed `records` of both partitions. */
async function worldOf(records: number, seed?: number): Promise<World> {
  const world = new World(seed);
  for (const partition of [0, 1]) world.put(partition, records);
  await world.pass();
  expect([world.nextOffset(0), world.nextOffset(1)]).toEqual([BigInt(records), BigInt(records)]);
  return world;
}

describe('a worker', () => {
  test('stops a partition that expired, and signs exactly what is missing once that is allowed', async () => {
    const world = await worldOf(30);
    world.source.isDown = true;
    for (const partition of [0, 1]) world.put(partition, 20);
    world.source.deleteBefore(T, 0, offset(42n));
    world.source.isDown = false;
    await world.pass();
    expect(world.alarms).toEqual([`source-expired: ${T}/0`]);
    expect([world.nextOffset(0), world.nextOffset(1)]).toEqual([30n, 50n]);
    world.configure({ onLoss: 'record' });
    await world.pass();
    expect(world.segments.filter(({ kind }) => kind === 'loss')).toMatchObject([{ partition: 0, firstOffset: 30n, nextOffset: 42n, firstIndex: 30n, nextIndex: 31n }]);
    expect(world.nextOffset(0)).toBe(50n);
    expect(world.alarms).toHaveLength(1);
  });

  test('signs no loss for what it hashed before it expired', async () => {
    const world = await worldOf(30);
    world.configure({ onLoss: 'record' });
    world.source.deleteBefore(T, 0, offset(30n));
    world.source.moveLeader(T, 0);
    world.put(0, 5);
    await world.pass();
    expect(world.nextOffset(0)).toBe(35n);
    expect(world.segments.every(({ kind }) => kind === 'segment')).toBe(true);
  });

  test.each([10, 30, 90])('adds nothing to a partition of 30 records that was made anew with %i, until it begins a generation', async (records) => {
    const world = await worldOf(30);
    world.configure({ onLoss: 'record' });
    world.source.remove(T, 0);
    await world.pass();
    world.put(0, records);
    world.put(1, 10);
    await world.pass();
    expect(world.alarms).toEqual([`source-regressed: ${T}/0`]);
    expect([world.nextOffset(0), world.nextOffset(1)]).toEqual([30n, 40n]);
    world.restart(0, 0n);
    await world.pass();
    expect(world.nextOffset(0)).toBe(BigInt(records));
    expect(world.alarms).toHaveLength(1);
  });

  test('finds a partition that was truncated and has grown again', async () => {
    const world = await worldOf(30);
    world.source.truncate(T, 0, offset(20n));
    world.put(0, 40);
    await world.pass();
    expect(world.alarms).toEqual([`source-regressed: ${T}/0`]);
    expect(world.nextOffset(0)).toBe(30n);
    // Every configuration has it look again.
    world.configure({});
    await world.pass();
    expect(world.alarms).toHaveLength(2);
    expect(world.nextOffset(0)).toBe(30n);
  });

  test('is told that a partition was made anew while what it looks at again is on its way', async () => {
    for (let seed = 1; seed <= 40; seed += 1) {
      const world = await worldOf(30, seed);
      const movedMs = world.scheduler.nowMs;
      world.source.moveLeader(T, 0);
      await world.scheduler.run({ until: () => world.soughtMs > movedMs });
      // It does not get to its sources, and they go on fetching: first what it wants to see again, then another partition.
      world.log.isDown = true;
      await world.scheduler.run({ untilMs: world.scheduler.nowMs + seed });
      world.source.remove(T, 0);
      world.put(0, 90);
      await world.scheduler.run({ untilMs: world.scheduler.nowMs + 100 });
      world.log.isDown = false;
      await world.pass();
      expect({ seed, alarms: world.alarms, next: world.nextOffset(0) }).toEqual({ seed, alarms: [`source-regressed: ${T}/0`], next: 30n });
    }
  });

  test('watches a partition again that it held for want of room, also if it was found right behind what filled it', async () => {
    const world = await worldOf(30);
    world.configure({ pendingMax: 1 });
    await world.pass();
    const passed = async (): Promise<unknown> => await world.scheduler.run({ untilMs: world.scheduler.nowMs + 200 });
    // Every look at a partition ends the open segment before it.
    for (let made = 0; made < UNREPORTED_SEGMENTS_MAX; made += 1) {
      world.put(0, 1);
      await passed();
      world.source.moveLeader(T, 0);
      await passed();
    }
    world.log.isDown = true;
    await passed();
    world.put(0, 3);
    await passed();
    world.source.moveLeader(T, 0);
    await passed();
    world.log.isDown = false;
    await world.pass();
    world.source.remove(T, 0);
    world.put(0, 300);
    await world.pass();
    world.configure({ pendingMax: 4_096 });
    await world.pass();
    expect(world.alarms).toEqual([`source-regressed: ${T}/0`]);
    expect(world.nextOffset(0)).toBeLessThanOrEqual(97n);
  });

  test('reads its last segment again, and nothing else, when another broker leads', async () => {
    const world = await worldOf(30);
    const last = world.segments.filter(({ partition }) => partition === 0).at(-1);
    const before = world.handed;
    world.source.moveLeader(T, 0);
    await world.pass();
    expect(BigInt(world.handed - before)).toBe((last?.nextIndex ?? 0n) - (last?.firstIndex ?? 0n));
    world.put(0, 5);
    await world.pass();
    expect(world.nextOffset(0)).toBe(35n);
    expect(world.alarms).toEqual([]);
  });

  test('goes on where nothing can be compared any more', async () => {
    const world = await worldOf(30);
    world.source.deleteBefore(T, 0, offset(29n));
    world.source.moveLeader(T, 0);
    world.put(0, 5);
    await world.pass();
    expect(world.nextOffset(0)).toBe(35n);
    expect(world.alarms).toEqual([]);
  });

  test('reports what lies before a record that nobody can hash, and goes on behind it in a new generation', async () => {
    const world = await worldOf(3);
    world.put(0, 4);
    world.source.produce(T, 0, Uint8Array.of(1));
    world.put(0, 2);
    world.put(1, 2);
    await world.pass();
    expect(world.alarms).toEqual([`record-unreadable: ${T}/0`]);
    expect([world.nextOffset(0), world.nextOffset(1)]).toEqual([7n, 5n]);
    world.restart(0, 8n);
    await world.pass();
    expect(world.nextOffset(0)).toBe(10n);
    expect(world.alarms).toHaveLength(1);
  });
});
