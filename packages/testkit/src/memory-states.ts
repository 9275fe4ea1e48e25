/** What processes remember, on the disks of a world: it outlives them. */
import { PlaitError } from '@plait/core';
import type { Memory, OpenLog, Remembered } from '@plait/roles';
import type { Faults } from './faults.ts';
import type { MemoryLog } from './memory-log.ts';
import type { Process, Scheduler } from './scheduler.ts';

/** One memory for each name; the incarnations of a process share it. */
export class MemoryStates {
  readonly #scheduler: Scheduler;
  readonly #faults: Faults;
  readonly #held = new Map<string, Remembered>();

  constructor(scheduler: Scheduler, faults: Faults) {
    this.#scheduler = scheduler;
    this.#faults = faults;
  }

  /** What is remembered under a name: for the test itself, at once. */
  held(name: string): Remembered | undefined {
    return this.#held.get(name);
  }

  /** What a process needs to notice that the log is no longer the one it knew, and what its incarnations before remembered. */
  past(process: Process, log: MemoryLog): { readonly openLog: OpenLog; readonly memory: Memory } {
    return { openLog: async (from) => log.reader(process, from), memory: this.#memory(process, nameOf(process)) };
  }

  #memory(process: Process, name: string): Memory {
    const call = <T>(label: string, effect: () => T): Promise<T> =>
      this.#scheduler.call(process, label, effect, { delayMs: this.#faults.delayMs(), answerMs: this.#faults.delayMs() });
    return {
      load: () => call('memory load', () => this.#held.get(name)),
      save: (remembered) => call('memory save', () => {
        if (this.#faults.happens('readUnavailable')) throw new PlaitError('unavailable', 'simulated: memory save');
        const held = this.#held.get(name);
        if (held === undefined || held.position < remembered.position) this.#held.set(name, remembered);
      }),
    };
  }
}

/** What all incarnations of a process have in common. */
export const nameOf = ({ id }: Process): string => id.slice(0, id.indexOf('#'));
