/** The ports in memory against the suites that the real adapters pass too: what the simulator assumes of them is so. */
import { encodePayload } from '@plait/core';
import { Faults, MemoryLease, MemoryLog, MemorySource, Scheduler, type Process } from '@plait/testkit';
import { describe } from 'vitest';
import { leaseContract } from '../contract/lease-contract.ts';
import { logContract } from '../contract/log-contract.ts';
import { sourceContract } from '../contract/source-contract.ts';

/** Each seed is another order of events and another way of answers; some of those are slow. */
const SEEDS = [1, 2, 3, 4, 5];

/** A scheduler without a simulator: the test itself is the code of the processes. */
class World {
  readonly scheduler: Scheduler;
  readonly faults: Faults;
  #processes = 0;

  constructor(seed: number) {
    this.scheduler = new Scheduler({ seed });
    this.faults = new Faults(this.scheduler.random.fork('faults'), { slow: 0.2 });
  }

  /** A process for one hand; it lives as long as the test. */
  process(): Process {
    this.#processes += 1;
    return this.scheduler.spawn(`p${this.#processes}`, () => new Promise(() => undefined));
  }

  /** Lets events happen until the promise is settled; fails when none is left and it is not. */
  readonly settle = async <T>(promise: Promise<T>): Promise<T> => {
    let isSettled = false;
    const settled = (): void => void (isSettled = true);
    promise.then(settled, settled);
    // What needs no event needs no virtual time either.
    await new Promise((resolve) => setImmediate(resolve));
    if (!isSettled) await this.scheduler.run({ until: () => isSettled });
    return promise;
  };
}

describe.each(SEEDS)('ports in memory, seed %i', (seed) => {
  describe('LogReader and LogAppender', () => {
    logContract(async () => {
      const world = new World(seed);
      const log = new MemoryLog(world.scheduler, { faults: world.faults });
      return {
        reader: async (from) => log.reader(world.process(), from),
        appender: async () => log.appender(world.process()),
        deleteBefore: async (position) => log.deleteBefore(position),
        gap: async () => log.gap(),
        disconnect: () => log.disconnect(),
        settle: world.settle,
      };
    });
  });

  describe('SourceReader', () => {
    sourceContract(async () => {
      const world = new World(seed);
      const source = new MemorySource(world.scheduler, { faults: world.faults });
      const addPartitions = async (topic: string, total: number): Promise<void> => {
        for (let partition = 0; partition < total; partition += 1) source.createPartition(topic, partition);
      };
      return {
        makeTopic: async (partitions) => {
          await addPartitions('orders', partitions);
          return 'orders';
        },
        reader: async () => source.reader(world.process()),
        produce: async ({ topic, partition }, payloads) => {
          for (const payload of payloads) source.produce(topic, partition, encodePayload(payload));
        },
        produceInTransaction: async ({ topic, partition }, payloads, end) => {
          if (end === 'abort') source.produceInvisible(topic, partition, payloads.length);
          else for (const payload of payloads) source.produce(topic, partition, encodePayload(payload));
          source.produceInvisible(topic, partition);
        },
        deleteBefore: async ({ topic, partition }, before) => source.deleteBefore(topic, partition, before),
        addPartitions,
        deleteTopic: async (topic) => source.partitions(topic).forEach(({ partition }) => source.remove(topic, partition)),
        makeAgain: addPartitions,
        settle: world.settle,
      };
    });
  });

  describe('Lease', () => {
    leaseContract(async (ttlMs) => {
      const world = new World(seed);
      const server = new MemoryLease(world.scheduler, { faults: world.faults, ttlMs });
      const sleeper = world.process();
      return {
        ttlMs,
        lease: async () => server.lease(world.process()),
        flush: async () => server.flush(),
        sleep: (ms) => world.scheduler.sleep(sleeper, ms),
        settle: world.settle,
      };
    });
  });
});
