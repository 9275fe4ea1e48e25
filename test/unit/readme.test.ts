/** What the page at the top shows is what a test runs. */
import { readFile } from 'node:fs/promises';
import { expect, test } from 'vitest';

const page = async (path: string): Promise<string> => await readFile(new URL(`../../${path}`, import.meta.url), 'utf8');

test('the producer of the README is a part of the one that test/package runs', async () => {
  const [, shown = ''] = /```ts\n(.*?)```/s.exec(await page('README.md')) ?? [];
  expect(shown).toContain('ledger.receipt(');
  expect(await page('packages/ledger/README.md')).toContain(shown);
});
