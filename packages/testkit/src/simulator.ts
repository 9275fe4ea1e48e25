/**
 * The simulator: one seed decides everything that happens to a ledger with real roles over ports in memory.
 *
 * First chaos: processes crash, pause and come back, the group rebalances, the lease lies, brokers go away, appends are
 * lost, late and doubled, somebody writes hostile messages; in some runs topics expire, shrink and are made anew. Then
 * faults end, and everything must be sequenced and read within a bounded time. In the end the whole ledger is derived again and compared with the sources.
 */
import {
  chainOf, encodePayload, formatConfiguration, formatGenesis, generation, logPosition, signNote,
  type Configuration, type LedgerState, type VerifySignature,
} from '@plait/core';
import {
  Coordinator, LeaseKeeper, Publisher, Reader, runLoop, Worker,
  type LogAppender, type RoleEvent, type RoleTimes,
} from '@plait/roles';
import { aftermathOf, type Aftermath } from './aftermath.ts';
import { Beginnings } from './beginnings.ts';
import { Faults, HARSH_FAULTS } from './faults.ts';
import { claimOutOfTurn, forgedSnapshot, lieOfLeader } from './hostile-messages.ts';
import { cachedVerify, CHECKPOINT_KEY, COORDINATOR_KEYS, LEDGER_KEY, ORIGIN, simulatedGenesis, verifiers, WORKER_KEYS } from './keyring.ts';
import { MemoryGroup } from './memory-membership.ts';
import { MemoryLease } from './memory-lease.ts';
import { MemoryLog } from './memory-log.ts';
import { MemorySource } from './memory-source.ts';
import { MemoryStates } from './memory-states.ts';
import { checkOneTextEach, checkPrefix, Oracle, Violation, type Ordered } from './oracle.ts';
import type { Prng } from './prng.ts';
import { isAlive, Scheduler, type Process } from './scheduler.ts';
import { SourceTurmoil } from './source-turmoil.ts';
import { crashedCalls, type TracePhase } from './trace.ts';
import { VirtualClock, virtualRandom } from './virtual-clock.ts';

/** Short times, so that little virtual time holds many turns. */
const TIMES: RoleTimes = {
  cutIntervalMs: 20, stallMs: 400, takeoverMs: 100, resendMs: 150, checkpointIntervalMs: 60, reportTimeoutMs: 600, beyondEndMs: 5_000, drainMs: 500,
};
const LEASE_TTL_MS = 400;
/** A run has some hundred messages. */
const SNAPSHOT_MESSAGES = 15;
const SESSION_TIMEOUT_MS = 500;
const PARTITIONS = [['orders', 0], ['orders', 1], ['orders', 2], ['payments', 0]] as const;
const CHAOS_MS = 5_000;
/** Longest rest between two claims (takeoverMs × 2 × 2^6), and some. */
const CALM_MS_MAX = 40_000;

/** The port calls of the roles, as the ports in memory label them. Each run has one crash right in one of them. */
export const PORT_CALLS = ['log poll', 'log end', 'append', 'source poll', 'subscribe', 'lease acquire', 'lease extend', 'memory load', 'memory save', 'sleep'] as const;

/** How a run ended; a run that violates a promise throws instead. */
export interface SimulationReport {
  readonly seed: string;
  /** Two runs of one seed have the same. */
  readonly traceHash: string;
  readonly records: number;
  readonly blocks: bigint;
  readonly epochs: bigint;
  readonly messages: number;
  readonly events: number;
  /** The port calls that crashes hit. */
  readonly crashedIn: readonly string[];
  /** How many roles began at a state instead of at the log's beginning. */
  readonly coldStarts: number;
  /** Alarms of the workers, and `lost`, in the order they came. */
  readonly alarms: readonly string[];
}

interface Running {
  readonly process: Process;
  readonly start: () => Running;
  /** The state it holds now. */
  readonly state: () => LedgerState | undefined;
}

const verify: VerifySignature = cachedVerify();
const FOREVER = new AbortController().signal;

/** Runs one seed to its end; `see` gets what it left. Throws a SimulationError that names the seed, with the end of the trace. */
export async function simulate(seed: string | number, see: (left: Aftermath) => void = () => undefined): Promise<SimulationReport> {
  return await new Simulation(seed).run(see);
}

class Simulation {
  readonly #scheduler: Scheduler;
  readonly #chance: Prng;
  readonly #faults: Faults;
  readonly #log: MemoryLog;
  readonly #source: MemorySource;
  readonly #group: MemoryGroup;
  readonly #lease: MemoryLease;
  readonly #oracle: Oracle;
  readonly #states: MemoryStates;
  readonly #sent: Uint8Array[] = [];
  readonly #hostile = new Set<string>();
  readonly #outputs: { who: string; output: Ordered[] }[] = [];
  readonly #alarms: string[] = [];
  readonly #beginnings: Beginnings;
  /** In some runs the topics change too; in the others a reader must get everything. */
  readonly #topics: SourceTurmoil | undefined;
  #running: Running[] = [];
  #calm = false;

  constructor(seed: string | number) {
    this.#scheduler = new Scheduler({ seed });
    this.#chance = this.#scheduler.random.fork('chaos');
    const rates = this.#chance.chance(0.2) ? {} : HARSH_FAULTS;
    const times = { slowMsMax: 100, timeoutMsMax: 300, lateMsMax: 3_000 };
    this.#faults = new Faults(this.#scheduler.random.fork('faults'), rates, times);
    this.#log = new MemoryLog(this.#scheduler, { faults: this.#faults, gapChance: this.#chance.pick([0, 0.1]) });
    this.#source = new MemorySource(this.#scheduler, { faults: this.#faults });
    const partitionsOf = (topic: string) => this.#source.partitions(topic);
    this.#group = new MemoryGroup(this.#scheduler, { faults: this.#faults, partitionsOf, sessionTimeoutMs: SESSION_TIMEOUT_MS });
    this.#lease = new MemoryLease(this.#scheduler, { faults: this.#faults, ttlMs: LEASE_TTL_MS });
    this.#states = new MemoryStates(this.#scheduler, this.#faults);
    this.#oracle = new Oracle({ source: this.#source, verify, hostile: this.#hostile });
    const turmoil = { source: this.#source, scheduler: this.#scheduler, partitions: PARTITIONS.map(([topic, partition]) => ({ topic, partition })) };
    this.#topics = this.#chance.chance(0.3) ? new SourceTurmoil(turmoil) : undefined;
    this.#beginnings = new Beginnings(this.#scheduler, (self, start) =>
      this.#guard(() => this.#oracle.checkState(`${self.id} begins cold and`, start)));
    this.#log.onLanded = (message) => this.#guard(() => this.#oracle.take(message));
  }

  async run(see: (left: Aftermath) => void): Promise<SimulationReport> {
    for (const [topic, partition] of PARTITIONS) this.#source.createPartition(topic, partition);
    this.#log.land(signNote(formatGenesis(simulatedGenesis(['orders', 'payments'], this.#chance.pick([2, 64]))), LEDGER_KEY));
    this.#lease.mode = this.#chance.pick(['honest', 'honest', 'grants-everyone', 'grants-nobody', 'down']);
    for (const n of [0, 1, 2]) this.#running.push(this.#startCoordinator(n));
    for (const n of [0, 1]) this.#running.push(this.#startWorker(n));
    for (const n of [0, 1]) this.#running.push(this.#startPublisher(n));
    this.#running.push(this.#startReader());
    this.#produceSoon();
    this.#chaosSoon();
    this.#crashInside(this.#chance.pick(PORT_CALLS), this.#chance.pick(['call', 'effect', 'answer']));
    await this.#scheduler.run({ untilMs: CHAOS_MS });
    await this.#beCalm();
    this.#guard(() => this.#check());
    await this.#scheduler.run({ untilMs: this.#scheduler.nowMs });
    see(aftermathOf({ log: this.#log, source: this.#source, hostile: this.#hostile, partitions: PARTITIONS, hasTurmoil: this.#topics !== undefined }));
    return {
      seed: this.#scheduler.seed, traceHash: this.#scheduler.trace.hash, records: this.#oracle.order.length,
      blocks: this.#oracle.state?.height ?? 0n, epochs: this.#oracle.state?.epoch ?? 0n,
      messages: this.#log.messages.length, events: this.#scheduler.trace.count, crashedIn: crashedCalls(this.#scheduler.trace.entries), alarms: this.#alarms,
      coldStarts: this.#beginnings.coldStarts,
    };
  }

  /** A violation ends the run, whoever notices it. */
  #guard(check: () => void): void {
    try {
      check();
    } catch (error) {
      this.#scheduler.fail(error);
    }
  }

  #startCoordinator(n: number): Running {
    let role: Coordinator | undefined;
    const process = this.#scheduler.spawn(`coordinator-${n}`, async (self) => {
      const clock = new VirtualClock(this.#scheduler, self, { skewMs: this.#chance.int(20_000) - 10_000 });
      const random = virtualRandom(this.#scheduler, self);
      const keeper = new LeaseKeeper({ lease: this.#lease.lease(self), clock, random });
      role = new Coordinator({
        ...(await this.#beginnings.begin(self, clock, this.#ports(self))), key: COORDINATOR_KEYS[n < 2 ? 0 : 1], lease: keeper, clock, random, snapshotMessages: SNAPSHOT_MESSAGES,
      });
      await Promise.all([runLoop(role, { clock, signal: FOREVER }), runLoop(keeper, { clock, signal: FOREVER })]);
    });
    return { process, start: () => this.#startCoordinator(n), state: () => role?.state };
  }

  #startWorker(n: number): Running {
    let role: Worker | undefined;
    const process = this.#scheduler.spawn(`worker-${n}`, async (self) => {
      const clock = new VirtualClock(this.#scheduler, self);
      role = new Worker({
        ...(await this.#beginnings.begin(self, clock, this.#ports(self))), key: WORKER_KEYS[n === 0 ? 0 : 1], clock,
        source: this.#source.reader(self), membership: this.#group.member(self), observe: (event) => this.#hear(event),
      });
      await runLoop(role, { clock, signal: FOREVER });
    });
    return { process, start: () => this.#startWorker(n), state: () => role?.state };
  }

  /** Two of them, with one key. */
  #startPublisher(n: number): Running {
    let role: Publisher | undefined;
    const process = this.#scheduler.spawn(`publisher-${n}`, async (self) => {
      const clock = new VirtualClock(this.#scheduler, self);
      role = new Publisher({ ...(await this.#beginnings.begin(self, clock, this.#ports(self))), key: CHECKPOINT_KEY, clock });
      await runLoop(role, { clock, signal: FOREVER });
    });
    return { process, start: () => this.#startPublisher(n), state: () => role?.state };
  }

  #hear(event: RoleEvent): void {
    if (event.event === 'alarm') this.#alarms.push(event.alarm);
    if (event.event === 'lost') this.#alarms.push(event.event);
  }

  #startReader(): Running {
    let role: Reader | undefined;
    const output: Ordered[] = [];
    const process = this.#scheduler.spawn('reader', async (self) => {
      const clock = new VirtualClock(this.#scheduler, self);
      const reader = new Reader({ ...this.#ports(self), source: this.#source.reader(self), clock, newest: async () => this.#oracle.state });
      role = reader;
      const step = async (): Promise<void> => {
        const verified = await reader.step().catch(async (error: unknown) => {
          if (this.#topics?.explains(error) !== true) throw error;
          return await new Promise<never>(() => undefined);
        });
        if (verified?.kind !== 'records') return;
        const { topic, partition } = verified.segment;
        for (const record of verified.records) output.push({ topic, partition, record });
      };
      await runLoop({ step }, { clock, signal: FOREVER });
    });
    this.#outputs.push({ who: process.id, output });
    return { process, start: () => this.#startReader(), state: () => role?.state };
  }

  #ports(self: Process) {
    const appender = this.#log.appender(self);
    const spy: LogAppender = {
      append: (message) => {
        this.#sent.push(message.slice());
        this.#guard(() => this.#oracle.checkSigned(self.id, message));
        return appender.append(message);
      },
      close: () => appender.close(),
    };
    return {
      origin: ORIGIN, ledgerKey: LEDGER_KEY.verifier, verify, times: TIMES,
      log: this.#log.reader(self, logPosition(0n)), appender: spy, ...this.#states.past(self, this.#log),
    };
  }

  #produceSoon(): void {
    this.#scheduler.after(this.#chance.int(60), 'produce', () => {
      if (this.#calm) return;
      const [topic, partition] = this.#chance.pick(PARTITIONS.slice(0, -1));
      for (let i = this.#chance.int(8); i >= 0; i -= 1) {
        if (this.#chance.chance(0.1)) this.#source.produceInvisible(topic, partition, 1 + this.#chance.int(3));
        else this.#source.produce(topic, partition, this.#payload(), BigInt(i));
      }
      // A tail that nobody sees must not hold up anything either.
      if (this.#chance.chance(0.1)) this.#source.produceInvisible(topic, partition);
      this.#produceSoon();
    });
  }

  #payload(): Uint8Array {
    return encodePayload({ key: null, value: this.#chance.bytes(this.#chance.int(20)), headers: [] });
  }

  #chaosSoon(): void {
    this.#scheduler.after(this.#chance.int(200), 'chaos', () => {
      if (this.#calm) return;
      this.#chance.pick([...this.#turmoil, ...(this.#topics?.kinds ?? [])])();
      this.#chaosSoon();
    });
  }

  readonly #turmoil: readonly (() => void)[] = [
    () => this.#crash(),
    () => this.#crash(),
    () => this.#pause(),
    () => this.#pause(),
    () => this.#group.rebalance(),
    () => this.#lease.flush(),
    () => { this.#lease.mode = this.#chance.pick(['honest', 'grants-everyone', 'grants-nobody', 'down']); },
    () => this.#outage(this.#log),
    () => this.#outage(this.#source),
    () => this.#replay(),
    () => this.#replay(),
    () => this.#land(this.#chance.bytes(this.#chance.int(300))),
    () => this.#mislead((state) => lieOfLeader(state, this.#chance)),
    () => this.#mislead((state) => claimOutOfTurn(state, this.#chance)),
    () => this.#mislead((state) => forgedSnapshot(state, this.#chance)),
    () => this.#states.revert(this.#chance),
    () => this.#reconfigure(),
  ];

  /** Some time crashes the process that makes this call: before it was sent, when it took effect, or with its answer. */
  #crashInside(label: string, phase: TracePhase): void {
    const fromMs = this.#chance.int(CHAOS_MS / 2);
    // Not every call has an effect apart from its answer.
    const phases = [phase, 'answer'];
    this.#scheduler.observe = (entry, process) => {
      const isHit = entry.atMs >= fromMs && entry.label.startsWith(label) && phases.includes(entry.phase);
      const victim = isHit ? this.#running.find((each) => each.process === process) : undefined;
      if (victim === undefined || this.#calm) return;
      this.#scheduler.observe = undefined;
      this.#crash(victim);
    };
  }

  /** A crash, at whatever port call it is waiting for; comes back later as a new incarnation. */
  #crash(victim = this.#chance.pick(this.#running)): void {
    if (!isAlive(victim.process)) return;
    this.#scheduler.crash(victim.process);
    this.#scheduler.after(this.#chance.int(1_500), 'restart', () => this.#restart(victim));
  }

  #restart(dead: Running): void {
    if (isAlive(dead.process)) return;
    this.#running = this.#running.map((each) => (each === dead ? dead.start() : each));
  }

  /** Like SIGSTOP, for longer than a lease, and SIGCONT. */
  #pause(): void {
    const { process } = this.#chance.pick(this.#running);
    this.#scheduler.pause(process);
    this.#scheduler.after(this.#chance.int(3 * LEASE_TTL_MS), 'resume', () => this.#scheduler.resume(process));
  }

  #outage(broker: { isDown: boolean }): void {
    broker.isDown = true;
    this.#scheduler.after(this.#chance.int(400), 'broker back', () => { broker.isDown = false; });
  }

  #land(value: Uint8Array): void {
    this.#hostile.add(Buffer.from(value).toString('latin1'));
    this.#log.land(value);
  }

  #mislead(make: (state: LedgerState) => Uint8Array | readonly Uint8Array[] | undefined): void {
    const { state } = this.#oracle;
    const made = state === undefined ? undefined : make(state);
    for (const value of made instanceof Uint8Array ? [made] : (made ?? [])) this.#land(value);
  }

  /** Any message of the past once more, perhaps cut short. */
  #replay(): void {
    const { value } = this.#chance.pick(this.#log.messages);
    this.#log.land(this.#chance.chance(0.3) && value.length > 0 ? value.subarray(0, this.#chance.int(value.length)) : value);
  }

  /** Revokes keys or gives them back, changes a limit, or begins a new generation of a partition where its chain ends. */
  #reconfigure(): void {
    const { state } = this.#oracle;
    if (state === undefined || this.#chance.chance(0.5)) return;
    const [topic, partition] = this.#chance.pick(PARTITIONS);
    const { end } = chainOf(state, { topic, partition });
    const start = { topic, partition, generation: generation(end.generation + 1n), offset: end.nextOffset };
    const chosen = <T>(all: readonly T[]): readonly T[] => (this.#chance.chance(0.7) ? all : all.slice(0, 1));
    this.#configure(state, {
      coordinatorKeys: verifiers(chosen(COORDINATOR_KEYS)), workerKeys: verifiers(chosen(WORKER_KEYS)),
      pendingMax: this.#chance.pick([1, 3, 64]), starts: this.#chance.chance(0.5) ? [start] : [],
      ...(this.#topics === undefined ? {} : { onLoss: this.#chance.pick(['stop', 'record']) }),
    });
  }

  #configure(state: LedgerState, change: Partial<Configuration>): void {
    const { origin, ledgerId, configuration } = state;
    const next: Configuration = {
      ...configuration.body, starts: [], ...change, kind: 'configuration', origin, ledgerId,
      version: configuration.version + 1n, previous: configuration.hash,
    };
    this.#log.land(signNote(formatConfiguration(next), LEDGER_KEY));
  }

  /** Faults end, everybody is back, every key is in force; then all must be sequenced and read. */
  async #beCalm(): Promise<void> {
    this.#calm = true;
    this.#faults.off();
    this.#log.isDown = false;
    this.#source.isDown = false;
    const { state } = this.#oracle;
    if (state !== undefined) {
      this.#configure(state, {
        coordinatorKeys: verifiers(COORDINATOR_KEYS), workerKeys: verifiers(WORKER_KEYS), pendingMax: 64, ...this.#topics?.repair(state),
      });
    }
    for (const each of this.#running) {
      this.#scheduler.resume(each.process);
      this.#restart(each);
    }
    const untilMs = this.#scheduler.nowMs + CALM_MS_MAX;
    const wanted = PARTITIONS.reduce((sum, [topic, partition]) => sum + this.#source.records(topic, partition).length, 0);
    const hasAll = (): boolean => this.#topics?.hasAll(this.#oracle.state) ??
      (this.#outputs.at(-1)?.output.length === wanted && this.#oracle.order.length === wanted);
    const done = (): boolean => hasAll() && this.#oracle.published === this.#oracle.state?.height;
    const end = await this.#scheduler.run({ untilMs, until: done });
    if (end !== 'until') {
      this.#scheduler.fail(new Violation(`no progress: ${wanted} records, ${this.#oracle.order.length} sequenced, ` +
        `${this.#outputs.at(-1)?.output.length} read, ${this.#oracle.published} of ${this.#oracle.state?.height} blocks under a checkpoint, ${CALM_MS_MAX} ms after faults ended`));
      await this.#scheduler.run({ untilMs });
    }
  }

  #check(): void {
    this.#oracle.checkComplete();
    checkOneTextEach(this.#sent);
    for (const { who, output } of this.#outputs) checkPrefix(who, output, this.#oracle.order);
    for (const { process, state } of this.#running) {
      const held = state();
      if (held !== undefined) this.#oracle.checkState(process.id, held);
    }
  }
}
