import { spawnSync } from 'node:child_process';

/** The Java that the launcher would use on the PATH, if it is there; for tests that say why they are skipped. */
export function findJava(): string | undefined {
  return spawnSync('java', ['-version']).status === 0 ? 'java' : undefined;
}
