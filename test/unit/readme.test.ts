/** What the page at the top shows is what a test runs, and what lies in the repository. */
import { globSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';

const page = async (path: string): Promise<string> => await readFile(new URL(`../../${path}`, import.meta.url), 'utf8');

test('the producer of the README is a part of the one that test/package runs', async () => {
  const [, shown = ''] = /```ts\n(.*?)```/s.exec(await page('README.md')) ?? [];
  expect(shown).toContain('ledger.receipt(');
  expect(await page('packages/ledger/README.md')).toContain(shown);
});

test('the tables of the repository name every folder of sources', async () => {
  const folders = globSync(['packages/*', 'apps/*', 'examples', 'test'], { cwd: fileURLToPath(new URL('../../', import.meta.url)) }).toSorted();
  const [, table = ''] = (await page('README.md')).split('\n## In this repository\n');
  const rows = Array.from(table.matchAll(/^\| (`.*?`) \|/gm), ([, names = '']) => names.replaceAll('`', '').split(', '));
  expect(rows.flat().toSorted()).toEqual(folders);
  const [, places = ''] = /^```\n(packages\/core .*?)```$/ms.exec(await page('docs/DESIGN.md')) ?? [];
  const named = Array.from(places.matchAll(/^(\S+)/gm), ([, name = '']) => name);
  expect(named.toSorted()).toEqual(folders.filter((folder) => folder !== 'test').map((folder) => (folder === 'examples' ? 'examples/python' : folder)));
});

test('nothing that there is counts as later', async () => {
  const later = Array.from((await page('docs/GLOSSARY.md')).matchAll(/^\|(.*)\(\*later\*\).*$/gm), ([, row = '']) => row);
  expect(later.filter((row) => /\b(audit|tile|leaves|receipt)/.test(row.split(';').at(-1) ?? ''))).toEqual([]);
});
