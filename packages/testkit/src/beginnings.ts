/** Where simulated roles begin: mostly at a state instead of at the log's beginning. */
import { logPosition, type LedgerState } from '@plait/core';
import { coldStart, runLoop, type Clock, type ColdStart, type ColdStartOptions, type LogReader } from '@plait/roles';
import type { Prng } from './prng.ts';
import type { Process, Scheduler } from './scheduler.ts';

type Ports = ColdStartOptions & { readonly log: LogReader };

/** Begins roles, and counts those that begin cold. */
export class Beginnings {
  readonly #random: Prng;
  readonly #began: (self: Process, start: LedgerState) => void;
  #coldStarts = 0;

  /** `began` is told of each state that a role begins at. */
  constructor(scheduler: Scheduler, began: (self: Process, start: LedgerState) => void) {
    this.#random = scheduler.random.fork('beginnings');
    this.#began = began;
  }

  /** How many roles began at a state. */
  get coldStarts(): number {
    return this.#coldStarts;
  }

  /** The ports of a role, and the state it begins with: mostly the newest that is confirmed, if there is one. */
  async begin<T extends Ports>(self: Process, clock: Clock, ports: T): Promise<T & { start?: LedgerState }> {
    const found = this.#random.chance(0.7) ? await insist(() => coldStart(ports), clock) : undefined;
    if (found?.start === undefined) return ports;
    const { start } = found;
    this.#coldStarts += 1;
    this.#began(self, start);
    return { ...ports, start, log: await ports.openLog(logPosition(start.position + 1n)) };
  }
}

/** The result of `attempt`, made again after a rest while no broker answers. */
async function insist(attempt: () => Promise<ColdStart>, clock: Clock): Promise<ColdStart | undefined> {
  const done = new AbortController();
  let result: ColdStart | undefined;
  const step = async (): Promise<void> => {
    result = await attempt();
    done.abort();
  };
  await runLoop({ step }, { clock, signal: done.signal });
  return result;
}
