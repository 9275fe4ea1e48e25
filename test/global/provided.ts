/** Whose files of the packages a project of vitest.config.ts resolves: those for Node or those for browsers. */
export type Platform = 'node' | 'browser';

declare module 'vitest' {
  /** What the configuration and the global setup hand to the tests through `inject`. */
  interface ProvidedContext {
    /** Kafka's addresses; only in the project `kafka`. */
    bootstrapServers: string;
    /** Redis' URL; only in the project `kafka`. */
    redisUrl: string;
    /** For which platform the project resolves the packages' files. */
    platform: Platform;
  }
}
