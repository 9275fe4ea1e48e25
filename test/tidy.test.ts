/**
 * The style as a test. Each rule is tried on the project, and on small bad samples, so that none of them can pass because
 * it sees nothing. Sources are read as text with comments and strings told apart (tidy/source.ts), without a compiler.
 */
import { globSync, readFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { describe, expect, test } from 'vitest';
import {
  bannedSyntax, bannedWords, dead, FILE_LINES_MAX, FUNCTION_LINES_MAX, layering, machines, sizes, spelled, switchedOff, undocumented, type Files,
} from './tidy/rules.ts';
import { blanked, functionsOf, importsOf } from './tidy/source.ts';

const root = fileURLToPath(new URL('../', import.meta.url));
const PLACES = ['*', '.ci/*', '{apps,docker,docs,examples,packages,patches,test}/**/*'];
const TEXT = /(\.(ts|mjs|py|json|md|ya?ml|sh|patch)|\/run)$/;
const project: Files = new Map(
  globSync(PLACES, { cwd: root, exclude: (name) => /(^|\/)(node_modules|dist|coverage)$/.test(name) })
    .map((path) => path.replaceAll('\\', '/'))
    .filter((path) => TEXT.test(path))
    .toSorted()
    .map((path) => [path, readFileSync(`${root}/${path}`, 'utf8')]),
);

const files = (...list: [string, string][]): Files => new Map(list);
const long = (lines: number): string => 'const line = 1;\n'.repeat(lines);

test('the project is there', () => {
  expect(project.size).toBeGreaterThan(100);
  expect([...project.keys()]).toEqual(expect.arrayContaining(['package.json', '.ci/run', 'docs/FORMAT.md', 'packages/core/src/fold.ts']));
});

describe('imports go one way', () => {
  test('in the project', () => expect(layering(project)).toEqual([]));
  test.each([
    ['packages/core/src/a.ts', "import { b } from 'fastify';"],
    ['packages/core/src/a.ts', "import { readFileSync } from 'node:fs';"],
    ['packages/core/src/a.ts', "import type { Clock } from '@plait/roles';"],
    ['packages/roles/src/a.ts', "import { openLease } from '@plait/redis';"],
    ['packages/kafka/src/a.ts', "import { openLease } from '@plait/redis';"],
    ['packages/redis/src/a.ts', "import { createKafka } from '@plait/kafka';"],
    ['packages/ledger/src/a.ts', "import { launch } from '@plait/launcher';"],
    ['packages/launcher/src/a.ts', "import { PlaitError } from '@plait/core';"],
    ['packages/testkit/src/a.ts', "export * from '@plait/kafka';"],
    ['apps/plait/src/a.ts', "import { Scheduler } from '@plait/testkit';"],
    ['apps/plait/src/a.ts', "import { apply } from '@plait/core/src/fold.ts';"],
    ['apps/plait/src/a.ts', "import { apply } from '../../../packages/core/src/fold.ts';"],
    ['apps/plait/src/a.ts', "const { apply } = await import('@plait/core/fold');"],
    ['packages/roles/src/a.ts', "import {\n  a,\n  b,\n} from '@plait/kafka';"],
  ])('not %s: %s', (path, text) => expect(layering(files([path, text]))).toHaveLength(1));
  test('an import in a comment or a string is none', () => {
    expect(importsOf(blanked(`// import { a } from 'b';\nconst text = "import { a } from 'c';";\n/* export * from 'd'; */`))).toEqual([]);
  });
});

describe('what one has to hold in the head is small', () => {
  test('in the project', () => expect(sizes(project)).toEqual([]));
  test('a long file', () => {
    expect(sizes(files(['test/a.ts', long(FILE_LINES_MAX)]))).toEqual([]);
    expect(sizes(files(['test/a.ts', long(FILE_LINES_MAX + 1)]))).toHaveLength(1);
  });
  test.each([
    ['a function', 'export function f(a: number): void {', '}'],
    ['a method that gives an object', '  async f(\n    a: string,\n  ): Promise<{ a: string; b: number }> {', '}'],
    ['an arrow', 'const f = (a: (b: string) => void): void => {', '};'],
    ['an arrow without parentheses', 'each(a => {', '});'],
    ['a method that destructures', '  #f({ a, b }: { a: number; b: string }) {', '}'],
  ])('%s that is long', (_what, head, end) => {
    const body = (lines: number): string => `${head}\n${long(lines)}${end}\n`;
    const headLines = head.split('\n').length;
    const fits = FUNCTION_LINES_MAX - headLines - 1;
    expect(sizes(files(['packages/core/src/a.ts', body(fits)]))).toEqual([]);
    expect(sizes(files(['packages/core/src/a.ts', body(fits + 1)]))).toHaveLength(1);
  });
  test('a class, an interface, a switch and an object are no functions, and braces in texts no braces', () => {
    const code = `class A extends B(C) {\n${long(80)}}\ninterface D {\n${long(80)}}\nif (a) {\n${long(80)}}\nconst o = {\n${long(80)}};\n`;
    expect(sizes(files(['packages/core/src/a.ts', code]))).toEqual([]);
    const text = 'function f() {\n  const a = "{";\n  const b = `}${g({ h: `{` })}`;\n  return /[{/]\'/.test(a + b); // {\n}\nconst c = 1;\n';
    expect(functionsOf(blanked(text).code)).toEqual([{ line: 1, lines: 5 }]);
    const after = `function f(): A {\n}\nclass B {\n${long(80)}}\n`;
    expect(sizes(files(['packages/core/src/a.ts', after]))).toEqual([]);
  });
  test('the functions of the project are seen', () => {
    for (const path of ['packages/core/src/fold.ts', 'packages/roles/src/worker.ts']) {
      expect(functionsOf(blanked(project.get(path) ?? '').code).length).toBeGreaterThan(15);
    }
  });
});

describe('words and constructs that are not used', () => {
  test('words', () => expect(bannedWords(project)).toEqual([]));
  test('constructs', () => expect(bannedSyntax(project)).toEqual([]));
  test.each(['a tamper~-proof log', 'An immu~table ledger', '// TO~DO: later', '# FIX~ME'])('"%s"', (line) => {
    expect(bannedWords(files(['docs/A.md', spelled(line)]))).toHaveLength(1);
  });
  test.each(['let a: any;', 'b as any', 'const c: any[] = [];', 'Map<string, any>', 'enum Color { red }', 'const enum Color { red }', 'export default 1;', 'export default class {}'])('%s', (line) => {
    expect(bannedSyntax(files(['test/a.ts', line]))).toHaveLength(1);
  });
  test('any word of a comment, a string or a name is fine', () => {
    const text = "/** any enum */\nconst a = 'any'; // any\nAbortSignal.any([b]);\nconst anyone = `any ${c}`;\n";
    expect(bannedSyntax(files(['test/a.ts', text]))).toEqual([]);
    expect(bannedSyntax(files(['vitest.config.ts', 'export default {};']))).toEqual([]);
  });
});

describe('every name that a package gives out says what it is', () => {
  const index = 'packages/a/src/index.ts';
  test('in the project', () => expect(undocumented(project)).toEqual([]));
  test.each([
    ['export const b = 1;', "export * from './b.ts';"],
    ['// Not a docstring.\nexport const b = 1;', "export * from './b.ts';"],
    ['/** Of a. */\nexport const a = 1;\nexport const b = 1;', "export * from './b.ts';"],
    ['export interface b {}', "export type { b } from './b.ts';"],
    ['export async function b() {}', "export { b as c } from './b.ts';"],
    ['/** Of the file. */\n\nexport class b {}', "export { type b } from './b.ts';"],
  ])('%s', (text, from) => expect(undocumented(files([index, from], ['packages/a/src/b.ts', text]))).toEqual(['packages/a/src/b.ts: b']));
  test('with one', () => {
    expect(undocumented(files([index, "export * from './b.ts';"], ['packages/a/src/b.ts', '/**\n * B.\n */\nexport const b = 1;\nconst hidden = 2;\n']))).toEqual([]);
  });
});

describe('no file is dead', () => {
  test('in the project', () => expect(dead(project)).toEqual([]));
  test('one that nothing imports', () => {
    const manifest: [string, string] = ['packages/core/package.json', '{"exports":{".":"./src/index.ts"},"imports":{"#x":{"node":"./src/x.ts"}},"bin":"./dist/main.js"}'];
    const tree = files(
      manifest, ['packages/core/src/index.ts', "export * from './a.ts';"], ['packages/core/src/a.ts', "fork('./b.ts');"], ['packages/core/src/b.ts', ''],
      ['packages/core/src/x.ts', ''], ['packages/core/src/main.ts', ''], ['packages/core/src/dead.ts', "import './index.ts';"],
    );
    expect(dead(tree)).toEqual(['packages/core/src/dead.ts']);
  });
});

describe('nothing of one machine', () => {
  test('in the project', () => expect(machines(project)).toEqual([]));
  test.each(['cd /ho~me/ann/plait', 'see /wo~rk/main', 'https://reg~istry.example.com/a.tgz', '  resolution: {integrity: a, tar~ball: http://x}'])('%s', (line) => {
    expect(machines(files(['docs/A.md', spelled(line)]))).toHaveLength(1);
  });
});

describe('no test is switched off without a reason', () => {
  test('in the project', () => expect(switchedOff(project)).toEqual([]));
  test.each(['only', 'skip', 'todo', 'fails', 'skipIf(x)', 'runIf(x)'])('it.%s', (how) => {
    expect(switchedOff(files(['test/a.test.ts', `it.${how}('a', () => {});`]))).toHaveLength(1);
  });
  test('with one it may be, but never the only one', () => {
    expect(switchedOff(files(['test/a.test.ts', "// Needs Linux's proc.\nit.runIf(linux)('a', () => {});"]))).toEqual([]);
    expect(switchedOff(files(['test/a.test.ts', "// Why.\nit.only('a', () => {});"]))).toHaveLength(1);
  });
});
