/** Whose files of the packages a project of vitest.config.ts resolves: those for Node or those for browsers. */
export type Platform = 'node' | 'browser';

declare module 'vitest' {
  /** What the configuration and the global setup hand to the tests through `inject`. */
  interface ProvidedContext {
    /** Kafka's addresses; only in the projects `kafka` and `e2e`. */
    bootstrapServers: string;
    /** Redis' URL; only in the projects `kafka` and `e2e`. */
    redisUrl: string;
    /** For which platform the project resolves the packages' files. */
    platform: Platform;
  }
}
