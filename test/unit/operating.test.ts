/** docs/OPERATING.md has an entry for every alarm, and every alarm a test that provokes it and ends it with the command named there. */
import { globSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';

const root = fileURLToPath(new URL('../../', import.meta.url));
const read = (path: string): string => readFileSync(`${root}/${path}`, 'utf8');

/** The members of `AlarmName`, as the source spells them. */
const [, members = ''] = /export type AlarmName =([^;]+);/.exec(read('packages/roles/src/events.ts')) ?? [];
const alarms = [...members.matchAll(/'([a-z-]+)'/g)].map(([, name = '']) => name);
const operating = read('docs/OPERATING.md');
const tests = globSync('test/{e2e,security}/**/*.test.ts', { cwd: root }).map(read);

/** The entry's text up to the next heading. */
function entryOf(alarm: string): string {
  const [, after = ''] = operating.split(`\n### \`${alarm}\`\n`);
  return after.split(/\n#{2,3} /)[0] ?? '';
}

test('there are alarms', () => expect(alarms.length).toBeGreaterThan(2));

describe.each(alarms)('alarm %s', (alarm) => {
  test.each(['**Means**', '**Look at**', '**Ends it**'])('is explained: %s', (part) => expect(entryOf(alarm)).toContain(part));

  test('names a command that ends it', () => expect(entryOf(alarm).split('**Ends it**')[1]).toMatch(/`plait [a-z]/));

  test('is provoked and ended by a test', () => expect(tests.filter((text) => text.includes(`alarm: ${alarm}`))).not.toEqual([]));
});

test('no entry is of an alarm that nobody raises', () => {
  const section = operating.split('\n## Alarms\n')[1] ?? '';
  const entries = [...section.matchAll(/\n### `([a-z-]+)`/g)].map(([, name]) => name);
  expect(new Set(entries)).toEqual(new Set(alarms));
});
