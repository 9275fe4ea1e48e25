import { launch } from '@plait/launcher';
import type { TestProject } from 'vitest/node';

/**
 * Starts a Kafka and a Redis for the files of one project and hands their addresses to the tests; see services.ts. Gives what
 * ends them; if that never runs the launcher's keeper does the same.
 */
export async function setup(project: TestProject): Promise<() => Promise<void>> {
  // A test may stop and start its own Kafka, never this one: other files use it.
  const services = await launch({ onProgress: (line) => process.stderr.write(`${line}\n`) });
  project.provide('bootstrapServers', services.bootstrapServers);
  project.provide('redisUrl', services.redisUrl);
  return async () => await services.stop();
}
