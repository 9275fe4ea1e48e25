/** Ports of servers: nobody else finds one while its server is down. */
import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { expect, it } from 'vitest';
import { freePorts } from '../../packages/launcher/src/probe.ts';

const PROBE = new URL('../../packages/launcher/src/probe.ts', import.meta.url).href;

/** What another process finds that wants `port`. */
async function foundElsewhere(port: number): Promise<number> {
  const code = `import { freePorts } from ${JSON.stringify(PROBE)}; console.log((await freePorts(1, [${port}]))[0]);`;
  const { stdout } = await promisify(execFile)(process.execPath, ['--input-type=module', '--eval', code]);
  return Number(stdout);
}

it('one that was found is found again by who wants it back', async () => {
  const found = await freePorts(3);
  expect(new Set(found).size).toBe(3);
  expect(await freePorts(3, found)).toEqual(found);
});

// Elsewhere there is no name that ends with its process (see probe.ts).
it.runIf(process.platform === 'linux')('and by no other process', async () => {
  const [port = 0] = await freePorts(1);
  expect(await foundElsewhere(port)).not.toBe(port);
});
