/** Roles that start cold on a log in memory, without faults; what they read is counted. */
import { logPosition, stateHash, type Hash } from '@plait/core';
import {
  coldStart, Coordinator, LeaseKeeper, Publisher, Reader, runLoop, Worker,
  type ColdStart, type ColdStartOptions, type LogReader, type Observe, type OpenLog, type PublisherOptions, type Role,
} from '@plait/roles';
import { Faults, MemoryGroup, MemoryLease, MemoryLog, MemorySource, Scheduler, VirtualClock, virtualRandom, type FaultRates, type Process } from '@plait/testkit';
import { bob, checkpointKey, ledgerKey, ORIGIN, worker1 } from '../vectors/histories/builder.ts';
import { quickVerify, type History } from './history.ts';

export const PINNED = { origin: ORIGIN, ledgerKey: ledgerKey.verifier } as const;

/** The roles that start cold. */
export const ROLES = ['worker', 'coordinator', 'publisher', 'reader'] as const;
export type RoleName = (typeof ROLES)[number];

/** How a role came to know the log. */
export interface Started extends ColdStart {
  /** Messages read in all, the search and the fold up to the log's end. */
  readonly read: number;
  /** Of the state it came to. */
  readonly hash: Hash;
}

/** A world around one log. */
export class World {
  readonly scheduler = new Scheduler({ seed: 1 });
  readonly log: MemoryLog;
  readonly #source: MemorySource;
  readonly #group: MemoryGroup;
  readonly #lease: MemoryLease;
  #read = 0;

  constructor(history: History, rates: Partial<FaultRates> = {}) {
    const faults = new Faults(this.scheduler.random.fork('faults'), rates, { timeoutMsMax: 300, lateMsMax: 1_000 });
    this.log = new MemoryLog(this.scheduler, { faults });
    for (const { value } of history.messages) this.log.land(value);
    this.#source = new MemorySource(this.scheduler, { faults });
    for (let partition = 0; partition < 7; partition += 1) this.#source.createPartition('orders', partition);
    this.#group = new MemoryGroup(this.scheduler, { faults, partitionsOf: (topic) => this.#source.partitions(topic) });
    this.#lease = new MemoryLease(this.scheduler, { faults, ttlMs: 1_000 });
  }

  /** Does something in a process of its own, and gives its result. */
  async inProcess<T>(name: string, main: (self: Process) => Promise<T>): Promise<T> {
    let result: { readonly value: T } | undefined;
    this.scheduler.spawn(name, async (self) => {
      result = { value: await main(self) };
    });
    await this.scheduler.run({ untilMs: this.scheduler.nowMs + 600_000, until: () => result !== undefined });
    if (result === undefined) throw new Error(`${name} did not end`);
    return result.value;
  }

  /** Searches the log for a state to begin with. */
  search(options: Partial<ColdStartOptions> = {}): Promise<ColdStart> {
    return this.inProcess('search', (self) => coldStart({ ...PINNED, verify: quickVerify, openLog: this.openLog(self), ...options }));
  }

  /** Starts a role cold and lets it read the log to its end. */
  start(name: RoleName): Promise<Started> {
    return this.inProcess(name, async (self) => {
      this.#read = 0;
      const openLog = this.openLog(self);
      const found = await coldStart({ ...PINNED, verify: quickVerify, openLog });
      const log = await openLog(logPosition(found.start === undefined ? 0n : found.start.position + 1n));
      const role = this.#role(name, self, { ...PINNED, verify: quickVerify, log, ...(found.start === undefined ? {} : { start: found.start }) });
      const end = this.log.end;
      while (log.position() < end) await role.step();
      const { state } = role;
      if (state === undefined) throw new Error('no state at the log\'s end');
      return { ...found, read: this.#read, hash: stateHash(state) };
    });
  }

  /** Runs a publisher for so long. Gives what ended it, if something did. */
  publish(ms: number, options: Partial<PublisherOptions> = {}): Promise<unknown> {
    return this.#run('publisher', ms, (self) => new Publisher({
      ...this.#view(self), key: checkpointKey, appender: this.log.appender(self), clock: new VirtualClock(this.scheduler, self), ...options,
    }));
  }

  /** Runs a coordinator that leads for so long. */
  lead(ms: number, snapshotMessages: number): Promise<unknown> {
    return this.#run('coordinator', ms, (self) => {
      const clock = new VirtualClock(this.scheduler, self);
      const random = virtualRandom(this.scheduler, self);
      const lease = new LeaseKeeper({ lease: this.#lease.lease(self), clock, random });
      const coordinator = new Coordinator({
        ...this.#view(self), key: bob, appender: this.log.appender(self), lease, clock, random, snapshotMessages,
      });
      void runLoop(lease, { clock, signal: AbortSignal.any([]) });
      return coordinator;
    });
  }

  #view(self: Process) {
    return { ...PINNED, verify: quickVerify, openLog: this.openLog(self), log: this.log.reader(self, logPosition(0n)) };
  }

  #run(name: string, ms: number, make: (self: Process) => Role): Promise<unknown> {
    return this.inProcess(name, async (self) => {
      const clock = new VirtualClock(this.scheduler, self);
      const untilMs = clock.nowMs() + ms;
      const over = new AbortController();
      const role = make(self);
      const step = async (): Promise<void> => {
        await role.step(over.signal);
        if (clock.nowMs() >= untilMs) over.abort();
      };
      return await runLoop({ step }, { clock, signal: over.signal }).catch((error: unknown) => error);
    });
  }

  #role(name: RoleName, self: Process, view: { origin: string; ledgerKey: typeof PINNED.ledgerKey; verify: typeof quickVerify; log: LogReader }) {
    const clock = new VirtualClock(this.scheduler, self);
    const random = virtualRandom(this.scheduler, self);
    const appender = this.log.appender(self);
    const source = this.#source.reader(self);
    const lease = new LeaseKeeper({ lease: this.#lease.lease(self), clock, random });
    const makers = {
      worker: () => new Worker({ ...view, key: worker1, appender, source, membership: this.#group.member(self), clock }),
      coordinator: () => new Coordinator({ ...view, key: bob, appender, lease, clock, random }),
      publisher: () => new Publisher({ ...view, key: checkpointKey, appender, clock }),
      reader: () => new Reader({ ...view, source, clock, newest: () => Promise.resolve(undefined) }),
    };
    return makers[name]();
  }

  /** Readings of the log whose messages are counted. */
  openLog(self: Process): OpenLog {
    return async (from) => {
      const reader = this.log.reader(self, from);
      return {
        ...bound(reader),
        poll: async (options) => {
          const messages = await reader.poll(options);
          this.#read += messages.length;
          return messages;
        },
      };
    };
  }
}

function bound(reader: LogReader): LogReader {
  return {
    poll: (options) => reader.poll(options), position: () => reader.position(), end: () => reader.end(), close: () => reader.close(), incarnation: () => reader.incarnation(),
  };
}

/** Collects what a role tells. */
export function collect(): { readonly observe: Observe; readonly events: Parameters<Observe>[0][] } {
  const events: Parameters<Observe>[0][] = [];
  return { events, observe: (event) => void events.push(event) };
}
