/** The rules of tidiness, each a function of files that gives what breaks it; `tidy.test.ts` says what they are for. */
import { dirname, posix } from 'node:path';
import { blanked, functionsOf, importsOf, namedFilesOf, type Blanked } from './source.ts';

/** All files by their path from the repository's root, with `/`. */
export type Files = ReadonlyMap<string, string>;

export const FILE_LINES_MAX = 400;
export const FUNCTION_LINES_MAX = 70;

/** What a package, an app or the tests may import of the project. */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  'packages/core': [],
  'packages/roles': ['core'],
  'packages/kafka': ['core', 'roles'],
  'packages/redis': ['core', 'roles'],
  'packages/disk': ['core', 'roles'],
  'packages/ledger': ['core', 'roles', 'kafka', 'disk'],
  'packages/testkit': ['core', 'roles'],
  'packages/launcher': [],
  'apps/plait': ['core', 'roles', 'kafka', 'redis', 'disk', 'ledger', 'launcher'],
};
/** Core runs in a browser: only these of its files, which the browser does not load, may use Node. */
const CORE_ON_NODE = ['packages/core/src/sha256/node.ts', 'packages/core/src/ed25519/node.ts'];

const scans = new Map<string, Blanked>();
const scan = (text: string): Blanked => {
  const known = scans.get(text) ?? blanked(text);
  scans.set(text, known);
  return known;
};
const isSource = (path: string): boolean => /^(packages|apps)\/.*\.ts$/.test(path) && !path.endsWith('.test.ts');
const isTypeScript = (path: string): boolean => path.endsWith('.ts');
const roomOf = (path: string): string | undefined => Object.keys(MAY_IMPORT).find((room) => path.startsWith(`${room}/`));

/** Imports that go another way than DESIGN, section 9, draws; also deep ones, past a package's index. */
export function layering(files: Files): string[] {
  const found: string[] = [];
  for (const [path, text] of files) {
    const room = roomOf(path);
    if (room === undefined || !isTypeScript(path)) continue;
    for (const wanted of importsOf(scan(text))) {
      const why = refusalOf(path, room, wanted);
      if (why !== undefined) found.push(`${path}: ${why} (${wanted})`);
    }
  }
  return found;
}

function refusalOf(path: string, room: string, wanted: string): string | undefined {
  if (wanted.startsWith('.')) {
    const target = posix.join(posix.dirname(path), wanted);
    return target.startsWith(`${room}/src/`) ? undefined : 'reaches out of its package';
  }
  if (wanted.startsWith('#')) return room === 'packages/core' ? undefined : 'names a place inside another package';
  const own = /^@plait\/([^/]+)(\/.*)?$/.exec(wanted);
  if (own !== null) {
    if (own[2] !== undefined) return "goes past a package's index";
    return MAY_IMPORT[room]?.includes(own[1] as string) === true ? undefined : 'imports against the layers';
  }
  if (room !== 'packages/core' || path.endsWith('.test.ts')) return undefined;
  if (wanted.startsWith('@noble/')) return undefined;
  return wanted.startsWith('node:') && CORE_ON_NODE.includes(path) ? undefined : 'core depends on nothing but @noble';
}

/** Files with too many lines, and functions of the packages and apps with too many. Blank lines and comments count. */
export function sizes(files: Files): string[] {
  const found: string[] = [];
  for (const [path, text] of files) {
    if (!isTypeScript(path) && !path.endsWith('.py')) continue;
    const lines = text.split('\n').length - 1;
    if (lines > FILE_LINES_MAX) found.push(`${path}: ${lines} lines`);
    if (!isSource(path)) continue;
    for (const { line, lines: of } of functionsOf(scan(text).code)) {
      if (of > FUNCTION_LINES_MAX) found.push(`${path}:${line}: a function of ${of} lines`);
    }
  }
  return found;
}

/** The text without `~`, which keeps this file and its test from breaking the rules they name. */
export const spelled = (text: string): string => text.replaceAll('~', '');
const CLAIMS = spelled('tamper~-?proof|immu~tab(le|ility)');
const LEFTOVERS = spelled('TO~DO|FIX~ME|XX~X');
const CLAIM = new RegExp(`\\b(${CLAIMS})\\b`, 'i');
const LEFTOVER = new RegExp(`\\b(${LEFTOVERS})\\b`);

/** Promises we do not make, and work put off, in sources and docs. */
export function bannedWords(files: Files): string[] {
  return linesWith(files, (path) => path !== 'pnpm-lock.yaml', (line) => CLAIM.exec(line)?.[0] ?? LEFTOVER.exec(line)?.[0]);
}

/** The type of everything, enums and default exports (but where a tool wants one). */
export function bannedSyntax(files: Files): string[] {
  const found: string[] = [];
  for (const [path, text] of files) {
    if (!isTypeScript(path)) continue;
    const patterns: [RegExp, string][] = [[/(?<![.\w'])any(?![\w'(])/, 'any'], [/(?<![.\w])enum\s+\w+\s*\{/, 'enum']];
    // Tools want them in their configurations, and declarations of others' modules tell what those do.
    if (!/\.(config|d)\.ts$/.test(path)) patterns.push([/\bexport\s+default\b/, 'default export']);
    for (const [number, line] of scan(text).code.split('\n').entries()) {
      for (const [pattern, what] of patterns) if (pattern.test(line)) found.push(`${path}:${number + 1}: ${what}`);
    }
  }
  return found;
}

/** Exported names of a package's index without a docstring where they are declared. */
export function undocumented(files: Files): string[] {
  const found: string[] = [];
  for (const path of files.keys()) {
    if (!/^packages\/[^/]+\/src\/index\.ts$/.test(path)) continue;
    for (const { file, name } of exportsOf(files, path)) {
      if (!isDocumented(files.get(file) ?? '', name)) found.push(`${file}: ${name}`);
    }
  }
  return [...new Set(found)];
}

interface Exported {
  readonly file: string;
  readonly name: string;
}

function exportsOf(files: Files, index: string): Exported[] {
  const { withStrings } = scan(files.get(index) ?? '');
  const exported: Exported[] = [];
  for (const [, list, from = ''] of withStrings.matchAll(/export\s+(?:type\s+)?(\*|\{[^}]*\})\s*from\s*['"]([^'"]+)['"]/g)) {
    // What another package gives out, that one documents.
    if (from.startsWith('@')) continue;
    // What comes from an imports map is declared once for each platform.
    const targets = from.startsWith('#') ? platformFiles(files, index, from) : [posix.join(dirname(index), from)];
    for (const file of targets) {
      const names = list === '*' ? declaredIn(files.get(file) ?? '') : namesOf(list ?? '');
      for (const name of names) exported.push({ file, name });
    }
  }
  return exported;
}

const namesOf = (list: string): string[] =>
  list.slice(1, -1).split(',').map((each) => each.trim().replace(/^type\s+/, '').replace(/\s+as\s+.*$/, '')).filter((name) => name !== '');

const DECLARATION = /^export\s+(?:declare\s+)?(?:abstract\s+)?(?:async\s+)?(?:function\*?|const|let|class|interface|type)\s+(\w+)/;

const declaredIn = (text: string): string[] =>
  text.split('\n').flatMap((line) => DECLARATION.exec(line)?.[1] ?? []);

function isDocumented(text: string, name: string): boolean {
  const lines = text.split('\n');
  const at = lines.findIndex((line) => DECLARATION.exec(line)?.[1] === name);
  return at > 0 && (lines[at - 1] as string).trimEnd().endsWith('*/') && lines.slice(0, at).findLast((line) => line.includes('/*'))?.trim().startsWith('/**') === true;
}

/** The sources that an imports map gives for `#name`, of the package whose file this is. */
function platformFiles(files: Files, path: string, name: string): string[] {
  const room = roomOf(path) ?? '';
  const { imports = {} } = JSON.parse(files.get(`${room}/package.json`) ?? '{}') as { imports?: Record<string, unknown> };
  return sourcesIn(imports[name]).map((file) => posix.join(room, file));
}

function sourcesIn(value: unknown): string[] {
  if (typeof value === 'string') return value.endsWith('.ts') ? [value] : [];
  return typeof value === 'object' && value !== null ? Object.values(value).flatMap(sourcesIn) : [];
}

/**
 * TypeScript files that nothing leads to: from an index or imports map of a package.json, its `bin`, a script, a test, a
 * configuration, or a program that is run by hand. What declares other people's modules counts as reached: the compiler
 * finds it by itself.
 */
export function dead(files: Files): string[] {
  const reached = new Set<string>();
  const waiting = [...files.keys()].filter((path) => /\.test\.ts$|\.config\.ts$|\.d\.ts$/.test(path));
  for (const [path, text] of files) if (isRunByHand(path, text) || /^declare module '/m.test(text)) waiting.push(path);
  for (const [path, text] of files) if (path.endsWith('package.json')) waiting.push(...startsOf(path, text));
  for (const [path, text] of files) {
    if (path.endsWith('.config.ts')) waiting.push(...namedFilesOf(scan(text)));
  }
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    const text = files.get(path);
    if (reached.has(path) || text === undefined) continue;
    reached.add(path);
    for (const wanted of [...importsOf(scan(text)), ...namedFilesOf(scan(text))]) {
      if (wanted.startsWith('#')) waiting.push(...platformFiles(files, path, wanted));
      else waiting.push(posix.join(posix.dirname(path), wanted));
    }
  }
  return [...files.keys()].filter((path) => isTypeScript(path) && !reached.has(path));
}

/** A program for people says in its first comment how it is started: with `node` and its own path. */
function isRunByHand(path: string, text: string): boolean {
  const head = text.startsWith('/**') ? text.slice(0, text.indexOf('*/')) : '';
  return head.includes('`node ') && head.includes(path);
}

/** Files that a package.json leads to; a program's `bin` is named by what it is built to. */
function startsOf(path: string, text: string): string[] {
  const { exports, imports, bin, scripts } = JSON.parse(text) as Record<string, unknown>;
  const built = JSON.stringify(bin ?? {}).matchAll(/"\.\/dist\/([\w/.-]+)\.js"/g);
  const run = Object.values(scripts ?? {}).flatMap((script: string) => script.match(/[\w./-]+\.(ts|mjs)\b/g) ?? []);
  const named = [...sourcesIn(exports), ...sourcesIn(imports), ...[...built].map((match) => `src/${match[1]}.ts`), ...run];
  return named.map((file) => posix.join(posix.dirname(path), file));
}

const MACHINE = [
  /(?<![\w.])\/(?:home|root|Users|work|workspace|mnt)\/[\w.-]+/,
  /https?:\/\/[^\s'"]*\b(?:registry|nexus|artifactory|mirror|proxy)\b[^\s'"]*/i,
  /^\s*resolution:.*\btarball:/,
];

/** Paths of somebody's machine, and hosts that packages were fetched from. */
export function machines(files: Files): string[] {
  return linesWith(files, () => true, (line) => MACHINE.map((pattern) => pattern.exec(line)?.[0]).find((found) => found !== undefined));
}

/**
 * Tests that are switched off, or that switch all others off. One that depends on the machine (`skipIf`, `runIf`) must
 * say why: a comment above it, or a name that is made of the reason.
 */
export function switchedOff(files: Files): string[] {
  const found: string[] = [];
  for (const [path, text] of files) {
    if (!path.endsWith('.test.ts') && !path.endsWith('-contract.ts')) continue;
    const lines = text.split('\n');
    for (const [number, line] of scan(text).code.split('\n').entries()) {
      const match = /\b(?:describe|test|it)\.(only|skip|todo|fails|skipIf|runIf)\b/.exec(line);
      if (match === null) continue;
      const saysWhy = /^\s*(\/\/|\*|\/\*)/.test(lines[number - 1] ?? '') || /skipped|named\(/.test(lines[number] as string);
      if (match[1] === 'only' || !saysWhy) found.push(`${path}:${number + 1}: ${match[1]}`);
    }
  }
  return found;
}

function linesWith(files: Files, wanted: (path: string) => boolean, judge: (line: string) => string | undefined): string[] {
  const found: string[] = [];
  for (const [path, text] of files) {
    if (!wanted(path)) continue;
    for (const [number, line] of text.split('\n').entries()) {
      const what = judge(line);
      if (what !== undefined) found.push(`${path}:${number + 1}: ${what}`);
    }
  }
  return found;
}
