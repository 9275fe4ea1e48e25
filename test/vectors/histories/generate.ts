/**
 * Writes the golden histories: `node --conditions=development test/vectors/histories/generate.ts [--renew]`.
 *
 * A file that is there already must come out as it is: the rules it pins do not change within their version. `--renew`
 * overwrites, and is for histories that no release has carried yet.
 */
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import type { Log } from './builder.ts';
import { blocks } from './scenarios-block.ts';
import { claims } from './scenarios-claim.ts';
import { configurations } from './scenarios-configuration.ts';
import { examples } from './scenarios-example.ts';
import { malformed } from './scenarios-malformed.ts';
import { notes } from './scenarios-note.ts';
import { reports } from './scenarios-report.ts';
import { rules } from './scenarios-rules.ts';
import { states } from './scenarios-state.ts';

const renew = process.argv.includes('--renew');
const scenarios: Record<string, () => Log> = {
  ...examples, ...notes, ...malformed, ...configurations, ...claims, ...reports, ...blocks, ...states, ...rules,
};
const here = new URL('./', import.meta.url);
let [written, kept, refused] = [0, 0, 0];

for (const [name, build] of Object.entries(scenarios)) {
  const file = new URL(`${name}.json`, here);
  const text = `${JSON.stringify(build().history(), undefined, 2)}\n`;
  const old = existsSync(file) ? readFileSync(file, 'utf8') : undefined;
  if (old === text) {
    kept += 1;
  } else if (old !== undefined && !renew) {
    console.error(`${name}.json would change; it is frozen (--renew overwrites)`);
    refused += 1;
  } else {
    writeFileSync(file, text);
    written += 1;
  }
}
for (const file of readdirSync(here).filter((name) => name.endsWith('.json'))) {
  if (scenarios[file.slice(0, -'.json'.length)] !== undefined) continue;
  console.error(`${file} has no scenario`);
  refused += 1;
}
console.log(`${written} written, ${kept} as they were, ${refused} refused`);
process.exitCode = refused === 0 ? 0 : 1;
