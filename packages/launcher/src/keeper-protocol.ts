/** What the program asks of its keeper. Every request gets one answer with its `id`. */
export type KeeperRequest = { readonly id: number } & KeeperTask;

/** The requests without their numbers. */
export type KeeperTask =
  /** Remove this folder at the end; without `path` make a temporary one. Answers its path. */
  | { readonly op: 'folder'; readonly path?: string }
  /** Forget a folder given by `folder`: it stays. */
  | { readonly op: 'release'; readonly path: string }
  /** Run this command at the end, after the servers ended. */
  | { readonly op: 'atEnd'; readonly command: string; readonly args: readonly string[]; readonly env: NodeJS.ProcessEnv }
  /** At the end ask the servers (SIGTERM) before forcing them: their data stays. */
  | { readonly op: 'graceful' }
  /** Start a process; its output is appended to `logFile`. Answers its process id; its exit is told as an event. */
  | {
      readonly op: 'start';
      readonly name: string;
      readonly command: string;
      readonly args: readonly string[];
      readonly cwd: string;
      readonly env: NodeJS.ProcessEnv;
      readonly logFile: string;
    }
  /** Send a signal to the process of that name. Answers 1 if it was running, else 0. */
  | { readonly op: 'signal'; readonly name: string; readonly signal: NodeJS.Signals }
  /** End all servers, run the closing commands, remove the folders; then answer. */
  | { readonly op: 'end' };

/** The answer to one request: a value, or the reason why it failed. */
export interface KeeperAnswer {
  readonly id: number;
  readonly value?: string | number | undefined;
  readonly error?: string;
}

/** Told without being asked: a process ended. */
export interface KeeperEvent {
  readonly event: 'exit';
  readonly name: string;
  readonly code: number | null;
  readonly signal: NodeJS.Signals | null;
}
