/**
 * The past changes: at a random time an older copy of the log is put in its place, perhaps one that ends where nobody was
 * yet, and roles that know nothing of it let it grow again. Whoever has folded what is gone must stop, say so, and append
 * nothing; whoever has not goes on.
 */
import { encodePayload, formatGenesis, isPlaitError, logPosition, signNote, type VerifySignature } from '@plait/core';
import { Coordinator, LeaseKeeper, Reader, runLoop, Worker, type RoleTimes } from '@plait/roles';
import { Faults } from './faults.ts';
import { cachedVerify, COORDINATOR_KEYS, LEDGER_KEY, ORIGIN, simulatedGenesis, WORKER_KEYS } from './keyring.ts';
import { MemoryGroup } from './memory-membership.ts';
import { MemoryLease } from './memory-lease.ts';
import { MemoryLog } from './memory-log.ts';
import { MemorySource } from './memory-source.ts';
import { MemoryStates, nameOf } from './memory-states.ts';
import { Violation } from './oracle.ts';
import type { Prng } from './prng.ts';
import { isAlive, Scheduler, type Process } from './scheduler.ts';
import { VirtualClock, virtualRandom } from './virtual-clock.ts';

const TIMES: RoleTimes = {
  cutIntervalMs: 20, stallMs: 400, takeoverMs: 100, resendMs: 150, checkpointIntervalMs: 60, reportTimeoutMs: 600, beyondEndMs: 5_000, drainMs: 500,
};
const PARTITIONS = [0, 1, 2];
const BEFORE_MS = 2_500;
const DOWN_MS = 300;
/** Longest time in which somebody who must stop may go on without a word: the longest rest of a role, and some calls. */
const NOTICED_MS_MAX = 8_000;

/** How a run ended; a run in which somebody did what it must not throws instead. */
export interface RollbackReport {
  readonly seed: string;
  /** Two runs of one seed have the same. */
  readonly traceHash: string;
  /** Names of the processes that had folded what was gone, and stopped. */
  readonly stopped: readonly string[];
  /** Messages that were gone, and that came in their place. */
  readonly gone: bigint;
  readonly regrown: bigint;
}

interface Running {
  readonly process: Process;
  /** Position of the last message that it has folded. */
  readonly position: () => bigint;
  readonly start: () => Running;
}

const verify: VerifySignature = cachedVerify();
const FOREVER = new AbortController().signal;

/** Runs one seed to its end. Throws a SimulationError that names the seed, with the end of the trace. */
export async function simulateRollback(seed: string | number): Promise<RollbackReport> {
  return await new RollbackSimulation(seed).run();
}

class RollbackSimulation {
  readonly #scheduler: Scheduler;
  readonly #chance: Prng;
  readonly #faults: Faults;
  readonly #log: MemoryLog;
  readonly #source: MemorySource;
  readonly #group: MemoryGroup;
  readonly #lease: MemoryLease;
  readonly #states: MemoryStates;
  #running: Running[] = [];
  /** Processes that ended as rolled back. */
  readonly #stopped = new Set<string>();
  /** Names of processes that know of what is gone. */
  readonly #knowing = new Set<string>();

  constructor(seed: string | number) {
    this.#scheduler = new Scheduler({ seed });
    this.#chance = this.#scheduler.random.fork('chaos');
    const rates = this.#chance.chance(0.5) ? {} : { appendUnavailable: 0.05, appendAnswerLost: 0.05, appendLate: 0.05, readUnavailable: 0.02, pollEmpty: 0.05 };
    this.#faults = new Faults(this.#scheduler.random.fork('faults'), rates, { slowMsMax: 50, timeoutMsMax: 200, lateMsMax: 1_000 });
    this.#log = new MemoryLog(this.#scheduler, { faults: this.#faults, gapChance: this.#chance.pick([0, 0.1]) });
    this.#source = new MemorySource(this.#scheduler, { faults: this.#faults });
    this.#group = new MemoryGroup(this.#scheduler, { faults: this.#faults, partitionsOf: (topic) => this.#source.partitions(topic), sessionTimeoutMs: 500 });
    this.#lease = new MemoryLease(this.#scheduler, { faults: this.#faults, ttlMs: 400 });
    this.#states = new MemoryStates(this.#scheduler, this.#faults);
    this.#log.onLanded = (_, sender) => {
      if (sender !== undefined && this.#knowing.has(nameOf(sender))) this.#scheduler.fail(new Violation(`${sender.id} extends a log that was rolled back`));
    };
  }

  async run(): Promise<RollbackReport> {
    for (const partition of PARTITIONS) this.#source.createPartition('orders', partition);
    this.#log.land(signNote(formatGenesis(simulatedGenesis(['orders'], 64)), LEDGER_KEY));
    for (const n of [0, 1]) this.#running.push(this.#startCoordinator(`coordinator-${n}`), this.#startWorker(`worker-${n}`));
    this.#running.push(this.#startReader('reader'));
    this.#produceSoon();
    await this.#scheduler.run({ untilMs: BEFORE_MS + this.#chance.int(BEFORE_MS) });
    const gone = await this.#rollBack();
    const end = this.#log.end;
    if (this.#chance.chance(0.6)) this.#running.push(this.#startCoordinator('ignorant-coordinator'), this.#startWorker('ignorant-worker'));
    await this.#scheduler.run({ untilMs: this.#scheduler.nowMs + NOTICED_MS_MAX });
    this.#check();
    await this.#scheduler.run({ untilMs: this.#scheduler.nowMs });
    return { seed: this.#scheduler.seed, traceHash: this.#scheduler.trace.hash, stopped: [...this.#stopped].toSorted(), gone, regrown: this.#log.end - end };
  }

  /** The brokers go away, some processes crash or sleep meanwhile, and an older copy comes back. */
  async #rollBack(): Promise<bigint> {
    this.#log.isDown = true;
    for (const each of this.#running) {
      if (this.#chance.chance(0.2)) this.#pause(each);
      else if (this.#chance.chance(0.3)) this.#crash(each);
    }
    await this.#scheduler.run({ untilMs: this.#scheduler.nowMs + this.#chance.int(DOWN_MS) });
    const { end } = this.#log;
    const kept = BigInt(1 + this.#chance.int(Number(end) - 1));
    for (const { process, position } of this.#running) {
      const name = nameOf(process);
      const known = isAlive(process) ? position() : -1n;
      const remembered = this.#states.held(name)?.position ?? -1n;
      if ((known > remembered ? known : remembered) >= kept) this.#knowing.add(name);
    }
    this.#log.rollBack(logPosition(kept));
    this.#log.isDown = false;
    return end - kept;
  }

  #crash(victim: Running): void {
    this.#scheduler.crash(victim.process);
    this.#scheduler.after(this.#chance.int(1_000), 'restart', () => {
      this.#running = this.#running.map((each) => (each === victim ? victim.start() : each));
    });
  }

  #pause({ process }: Running): void {
    this.#scheduler.pause(process);
    this.#scheduler.after(this.#chance.int(2_000), 'resume', () => this.#scheduler.resume(process));
  }

  #check(): void {
    for (const name of this.#knowing) {
      if (!this.#stopped.has(name)) this.#scheduler.fail(new Violation(`${name} goes on in a log that was rolled back behind it`));
    }
    for (const name of this.#stopped) {
      if (!this.#knowing.has(name)) this.#scheduler.fail(new Violation(`${name} says that the log was rolled back, and knew nothing of what is gone`));
    }
  }

  /** A process that runs a role until it says that the log was rolled back. */
  #spawn(name: string, run: (self: Process) => Promise<void>): Process {
    return this.#scheduler.spawn(name, async (self) => {
      try {
        await run(self);
      } catch (error) {
        if (!isPlaitError(error, 'rolled-back')) throw error;
        this.#stopped.add(name);
      }
    });
  }

  #startCoordinator(name: string): Running {
    let role: Coordinator | undefined;
    const process = this.#spawn(name, async (self) => {
      const clock = new VirtualClock(this.#scheduler, self);
      const random = virtualRandom(this.#scheduler, self);
      const keeper = new LeaseKeeper({ lease: this.#lease.lease(self), clock, random });
      role = new Coordinator({ ...this.#ports(self), key: COORDINATOR_KEYS[0], lease: keeper, clock, random });
      await Promise.race([runLoop(role, { clock, signal: FOREVER }), runLoop(keeper, { clock, signal: FOREVER })]);
    });
    return { process, position: () => role?.state?.position ?? -1n, start: () => this.#startCoordinator(name) };
  }

  #startWorker(name: string): Running {
    let role: Worker | undefined;
    const process = this.#spawn(name, async (self) => {
      const clock = new VirtualClock(this.#scheduler, self);
      role = new Worker({ ...this.#ports(self), key: WORKER_KEYS[0], clock, source: this.#source.reader(self), membership: this.#group.member(self) });
      await runLoop(role, { clock, signal: FOREVER });
    });
    return { process, position: () => role?.state?.position ?? -1n, start: () => this.#startWorker(name) };
  }

  #startReader(name: string): Running {
    let role: Reader | undefined;
    const process = this.#spawn(name, async (self) => {
      const clock = new VirtualClock(this.#scheduler, self);
      const reader = new Reader({ ...this.#ports(self), source: this.#source.reader(self), clock, newest: async () => reader.state });
      role = reader;
      await runLoop({ step: async () => void (await reader.step()) }, { clock, signal: FOREVER });
    });
    return { process, position: () => role?.state?.position ?? -1n, start: () => this.#startReader(name) };
  }

  #ports(self: Process) {
    return {
      origin: ORIGIN, ledgerKey: LEDGER_KEY.verifier, verify, times: TIMES,
      log: this.#log.reader(self, logPosition(0n)), appender: this.#log.appender(self), ...this.#states.past(self, this.#log),
    };
  }

  #produceSoon(): void {
    this.#scheduler.after(this.#chance.int(100), 'produce', () => {
      const payload = encodePayload({ key: null, value: this.#chance.bytes(this.#chance.int(20)), headers: [] });
      this.#source.produce('orders', this.#chance.pick(PARTITIONS), payload, 0n);
      this.#produceSoon();
    });
  }
}
