/**
 * Loads the real sources with one bug edited in, and runs seeds until one fails.
 * Arguments: the bug's number, how many seeds. Prints one line of JSON: the seed and the first line of what was found.
 */
import { registerHooks } from 'node:module';
import { BUGS } from './bugs.ts';

const [number = '', seeds = ''] = process.argv.slice(2);
const bug = BUGS[Number(number)];
if (bug === undefined) throw new Error(`no bug ${number}`);
const applied = new Set<string>();

registerHooks({
  load(url, context, nextLoad) {
    const loaded = nextLoad(url, context);
    const edits = bug.edits.filter(({ file }) => url.endsWith(`/packages/${file}`));
    if (edits.length === 0) return loaded;
    let source = Buffer.from(loaded.source as Uint8Array | string as string).toString();
    for (const { file, from, to } of edits) {
      if (source.split(from).length !== 2) throw new Error(`${bug.name}: not exactly once in ${file}: ${from}`);
      source = source.replace(from, () => to);
      applied.add(from);
    }
    return { ...loaded, source };
  },
});

const { simulate: simulateChaos, simulateRollback } = await import('@plait/testkit');
const simulate = bug.simulation === 'rollback' ? simulateRollback : simulateChaos;
if (applied.size !== bug.edits.length) throw new Error(`${bug.name}: not every edited file was loaded`);

let found: { seed: number; what: string } | undefined;
for (let seed = 1; seed <= Number(seeds) && found === undefined; seed += 1) {
  Reflect.deleteProperty(globalThis, 'committed');
  try {
    await simulate(seed);
  } catch (error) {
    found = { seed, what: (error as Error).message.split('\n')[0] ?? '' };
  }
}
process.stdout.write(`${JSON.stringify(found ?? null)}\n`);
process.exit(0);
