/** docs/SECURITY.md explains every kind of finding. (That what it says of attacks is true is shown in test/attacks.) */
import { readFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { KIND_WORDS } from '../../apps/plait/src/verifying/outcome.ts';

const page = readFileSync(new URL('../../docs/SECURITY.md', import.meta.url), 'utf8');
const kinds = page.split('\n## Kinds of findings\n')[1]?.split('\n## ')[0] ?? '';

test('every kind of finding is explained, and no other', () => {
  expect([...kinds.matchAll(/^\| `([a-z-]+)` \|/gm)].map(([, kind]) => kind)).toEqual(Object.keys(KIND_WORDS));
});
