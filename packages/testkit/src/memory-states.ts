/** What processes remember, on the disks of a world: it outlives them. */
import { PlaitError } from '@plait/core';
import type { Memory, OpenLog, Remembered } from '@plait/roles';
import type { Faults } from './faults.ts';
import type { MemoryLog } from './memory-log.ts';
import type { Prng } from './prng.ts';
import type { Process, Scheduler } from './scheduler.ts';

/** One memory for each name; the incarnations of a process share it. */
export class MemoryStates {
  readonly #scheduler: Scheduler;
  readonly #faults: Faults;
  /** All that was ever remembered, the newest last. */
  readonly #held = new Map<string, readonly Remembered[]>();

  constructor(scheduler: Scheduler, faults: Faults) {
    this.#scheduler = scheduler;
    this.#faults = faults;
  }

  /** What is remembered under a name: for the test itself, at once. */
  held(name: string): Remembered | undefined {
    return this.#held.get(name)?.at(-1);
  }

  /** Puts back an older memory of some name, or none. */
  revert(random: Prng): void {
    const names = [...this.#held.keys()];
    if (names.length === 0) return;
    const name = random.pick(names);
    const all = this.#held.get(name) ?? [];
    this.#held.set(name, all.slice(0, random.int(all.length + 1)));
  }

  /** What a process needs to notice that the log is no longer the one it knew, and what its incarnations before remembered. */
  past(process: Process, log: MemoryLog): { readonly openLog: OpenLog; readonly memory: Memory } {
    return { openLog: async (from) => log.reader(process, from), memory: this.#memory(process, nameOf(process)) };
  }

  #memory(process: Process, name: string): Memory {
    const call = <T>(label: string, effect: () => T): Promise<T> =>
      this.#scheduler.call(process, label, effect, { delayMs: this.#faults.delayMs(), answerMs: this.#faults.delayMs() });
    return {
      load: () => call('memory load', () => this.held(name)),
      save: (remembered) => call('memory save', () => {
        if (this.#faults.happens('readUnavailable')) throw new PlaitError('unavailable', 'simulated: memory save');
        this.#held.set(name, [...(this.#held.get(name) ?? []), further(this.held(name), remembered)]);
      }),
    };
  }
}

/** As files do: what is further along, with the larger checkpoint. */
function further(held: Remembered | undefined, fresh: Remembered): Remembered {
  if (held === undefined) return fresh;
  const ahead = held.position > fresh.position ? held : fresh;
  const [{ checkpoint: one }, { checkpoint: other }] = [held, fresh];
  const larger = (one?.size ?? 0n) > (other?.size ?? 0n) ? one : other;
  return larger === undefined ? ahead : { ...ahead, checkpoint: larger };
}

/** What all incarnations of a process have in common. */
export const nameOf = ({ id }: Process): string => id.slice(0, id.indexOf('#'));
