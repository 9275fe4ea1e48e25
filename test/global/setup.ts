import { launch, type Services } from '@plait/launcher';
import type { TestProject } from 'vitest/node';

let services: Services | undefined;

/** Starts the one Kafka and the one Redis of a test run and hands their addresses to the tests; see services.ts. */
export async function setup(project: TestProject): Promise<void> {
  // A test may stop and start its own Kafka, never this one: other files use it.
  services = await launch({ onProgress: (line) => process.stderr.write(`${line}\n`) });
  project.provide('bootstrapServers', services.bootstrapServers);
  project.provide('redisUrl', services.redisUrl);
}

/** Ends them. If this never runs the launcher's keeper does the same. */
export async function teardown(): Promise<void> {
  await services?.stop();
}
