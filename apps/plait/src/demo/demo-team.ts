/** The demo's processes: two workers and two coordinators, and who of them leads. */
import { join } from 'node:path';
import { spawnRole, type RoleProcess } from '../roles.ts';

export class DemoTeam implements AsyncDisposable {
  readonly #workers: RoleProcess[] = [];
  readonly #coordinators: RoleProcess[] = [];
  /** Index of the coordinator that said last that it leads. */
  #leader: number | undefined;

  private constructor(env: NodeJS.ProcessEnv, folder: string) {
    for (const n of [0, 1]) {
      this.#workers.push(spawnRole({ command: 'worker', logFile: join(folder, `worker-${n + 1}.log`), env: { ...env, PLAIT_LOG_LEVEL: 'info' } }));
      this.#coordinators.push(spawnRole({
        command: 'coordinator', logFile: join(folder, `coordinator-${n + 1}.log`), env: { ...env, PLAIT_LOG_LEVEL: 'info' },
        onLine: ({ event }) => {
          if (event === 'leading') this.#leader = n;
        },
      }));
    }
  }

  /** Resolves when all four are at work. Throws `unavailable` if one ends before. */
  static async start(env: NodeJS.ProcessEnv, folder: string): Promise<DemoTeam> {
    const team = new DemoTeam(env, folder);
    await Promise.all([...team.#workers, ...team.#coordinators].map(({ ready }) => ready));
    while (team.#leader === undefined) await new Promise((resolve) => setTimeout(resolve, 20));
    return team;
  }

  /** Who leads, for people. */
  get leader(): string {
    return this.#leader === undefined ? 'nobody' : `coordinator ${this.#leader + 1}`;
  }

  /** SIGKILL for the coordinator that leads and for one worker; what was done, for people. */
  killLeaderAndWorker(): string {
    const { leader } = this;
    if (this.#leader !== undefined) this.#coordinators[this.#leader]?.kill('SIGKILL');
    this.#leader = undefined;
    this.#workers[0]?.kill('SIGKILL');
    return `SIGKILL to ${leader}, which leads, and to worker 1`;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await Promise.all([...this.#workers, ...this.#coordinators].map((role) => role.stop()));
  }
}
