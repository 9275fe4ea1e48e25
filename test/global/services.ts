import { randomBytes } from 'node:crypto';
import { inject } from 'vitest';

/** `host:port` list of the Kafka that this whole test run shares; for test files of the projects `kafka` and `e2e`. Never stop it: other files use it. */
export function bootstrapServers(): string {
  return inject('bootstrapServers');
}

/** URL of the Redis that this whole test run shares; for test files of the projects `kafka` and `e2e`. Never flush or stop it: other files use it. */
export function redisUrl(): string {
  return inject('redisUrl');
}

/** `prefix` and 12 random hex digits: a name for a topic, group or key that no other test has, legal for Kafka if `prefix` is. */
export function uniqueName(prefix: string): string {
  return `${prefix}-${randomBytes(6).toString('hex')}`;
}
