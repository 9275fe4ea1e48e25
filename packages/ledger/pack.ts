/**
 * Packs the library as programs outside of this workspace install it: `node packages/ledger/pack.ts [FOLDER]`.
 *
 * The tarball holds one module and one file of types. Core, roles and the Kafka adapter are inside, for they are no
 * packages of their own; so is kafkajs, for it is patched and a patch does not travel with a package. Everything else is
 * a dependency in the versions that were tested here. The same sources give the same bytes.
 */
import { execFile } from 'node:child_process';
import { chmod, copyFile, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, relative, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { rolldown, type InputOptions, type OutputChunk } from 'rolldown';
import { dts } from 'rolldown-plugin-dts';

const ROOT = fileURLToPath(new URL('../../', import.meta.url));
const LEDGER = join(ROOT, 'packages/ledger');
/** What is taken in because it is patched. */
const PATCHED = ['kafkajs'];
/** The types name those of Node; a program has one version of them, its own. */
const NODE_TYPES = { '@types/node': '>=24' };
/** So that a program need not name them in its own configuration. */
const NODE_TYPES_REFERENCE = '/// <reference types="node" />\n';
const DIST = './dist/index';

type Versions = Readonly<Record<string, string>>;

/** What a package.json says, as far as it is looked at here. */
interface Manifest {
  readonly name: string;
  readonly version: string;
  readonly description: string;
  readonly license: string;
  readonly dependencies?: Versions;
  readonly engines?: Versions;
}

const run = promisify(execFile);

/**
 * Builds the library, packs it and gives the path of the tarball, a new file in `folder`. Needs npm on the PATH and no
 * network. Throws if the build fails.
 */
export async function packLedger(folder: string): Promise<string> {
  await build();
  const stage = await mkdtemp(join(tmpdir(), 'plait-pack-'));
  try {
    await fill(stage);
    await mkdir(folder, { recursive: true });
    const { stdout } = await run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', resolve(folder)], { cwd: stage });
    const [packed] = JSON.parse(stdout) as readonly { readonly filename: string }[];
    if (packed === undefined) throw new Error('npm packed nothing');
    return join(folder, packed.filename);
  } finally {
    await rm(stage, { recursive: true });
  }
}

async function build(): Promise<void> {
  try {
    await run(process.execPath, [join(ROOT, 'node_modules/typescript/bin/tsc'), '-b', LEDGER]);
  } catch (error) {
    throw new Error(`the library does not build:\n${(error as { stdout?: string }).stdout ?? ''}`, { cause: error });
  }
}

/** Puts all that the tarball holds into the folder `stage`. */
async function fill(stage: string): Promise<void> {
  const dependencies = await dependenciesOfOurs();
  const external = [/^node:/, ...Object.keys(dependencies).map((name) => new RegExp(`^${name}(/|$)`))];
  // Where a module lay is left out: under which folder a store keeps packages is a matter of each machine.
  const common: InputOptions = { cwd: ROOT, platform: 'node', external, experimental: { attachDebugInfo: 'none' } };
  const code = await bundle({ ...common, input: join(LEDGER, `${DIST}.js`) });
  const types = await bundle({
    ...common,
    input: { index: join(LEDGER, `${DIST}.d.ts`) },
    resolve: { conditionNames: ['types', 'node', 'default'] },
    plugins: [dts({ dtsInput: true, emitDtsOnly: true, tsconfig: false })],
  });
  await mkdir(join(stage, 'dist'));
  await writeFile(join(stage, `${DIST}.js`), code.code);
  await writeFile(join(stage, `${DIST}.d.ts`), NODE_TYPES_REFERENCE + types.code);
  await writeFile(join(stage, 'package.json'), `${JSON.stringify(await manifest(dependencies), undefined, 2)}\n`);
  await copyFile(join(LEDGER, 'README.md'), join(stage, 'README.md'));
  await copyFile(join(ROOT, 'LICENSE'), join(stage, 'LICENSE'));
  await copyLicenses(code, join(stage, 'licenses'));
  await setModes(stage);
}

/** What our packages take from the registry and is not taken in, each in its one version. */
async function dependenciesOfOurs(): Promise<Versions> {
  const found = (await ours(LEDGER)).flatMap(({ dependencies = {} }) => Object.entries(dependencies));
  const kept = found.filter(([name, version]) => !isOurs(version) && !PATCHED.includes(name));
  return Object.fromEntries(kept.toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

/** The package in `folder` and all of this workspace that it is made of; some more than once. */
async function ours(folder: string): Promise<Manifest[]> {
  const own = await readManifest(folder);
  const inner = Object.entries(own.dependencies ?? {}).filter(([, version]) => isOurs(version));
  return [own, ...(await Promise.all(inner.map(([name]) => ours(join(folder, 'node_modules', name))))).flat()];
}

const isOurs = (version: string): boolean => version.startsWith('workspace:');

/** The one chunk that rolldown makes of `input`. Throws if there is not exactly one: something is loaded on demand. */
async function bundle(input: InputOptions): Promise<OutputChunk> {
  const bundler = await rolldown(input);
  try {
    const { output: [chunk, ...others] } = await bundler.generate({ format: 'esm', sourcemap: false, minify: false });
    if (others.length > 0) throw new Error(`more than one file: ${others.map(({ fileName }) => fileName).join(', ')}`);
    return chunk;
  } finally {
    await bundler.close();
  }
}

async function manifest(dependencies: Versions): Promise<object> {
  const { name, version, description, license } = await readManifest(LEDGER);
  const { engines } = await readManifest(ROOT);
  return {
    name, version, description, license,
    type: 'module', sideEffects: false, engines,
    exports: { '.': { types: `${DIST}.d.ts`, default: `${DIST}.js` }, './package.json': './package.json' },
    files: ['dist', 'licenses'],
    dependencies: { ...dependencies, ...NODE_TYPES },
  };
}

/** Copies the licence of every package whose code the chunk holds and that is not ours, as `<name>.txt`. */
async function copyLicenses({ moduleIds }: OutputChunk, folder: string): Promise<void> {
  const roots = new Map<string, string>();
  for (const id of moduleIds) {
    const [, root, name] = /^(.*\/node_modules\/((?:@[^/]+\/)?[^/]+))\//.exec(id) ?? [];
    if (root !== undefined && name !== undefined) roots.set(name, root);
  }
  await mkdir(folder);
  for (const [name, root] of roots) {
    const file = (await readdir(root)).find((each) => /^licen[cs]e/i.test(each));
    if (file === undefined) throw new Error(`${name} has no licence that could be packed with it`);
    await copyFile(join(root, file), join(folder, `${name.replace('/', '-')}.txt`));
  }
}

/** npm keeps the modes of what it packs, and those depend on who packs. */
async function setModes(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    await chmod(join(entry.parentPath, entry.name), entry.isDirectory() ? 0o755 : 0o644);
  }
}

async function readManifest(folder: string): Promise<Manifest> {
  return JSON.parse(await readFile(join(folder, 'package.json'), 'utf8')) as Manifest;
}

if (import.meta.main) {
  const file = await packLedger(process.argv[2] ?? join(ROOT, 'dist'));
  process.stdout.write(`${relative(process.cwd(), file)}\n`);
}
