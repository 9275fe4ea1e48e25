/**
 * The cache folder: what was fetched from Maven Central, kept between launches. An entry is filled under another name
 * and renamed when it is complete, so that a half-filled one is never seen under its own, and of two launchers that fill
 * it at once one wins and the other's is removed. A list of its files and sizes guards against one that lost files later.
 */
import { chmod, mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { randomBytes } from 'node:crypto';
import { homedir, tmpdir } from 'node:os';
import { isAbsolute, join } from 'node:path';
import { LauncherError } from './errors.ts';
import type { Keeper } from './keeper-client.ts';
import { findProgram } from './programs.ts';
import { kafkaVersion } from './settings.ts';

const listFile = 'files.json';
const dependencyPlugin = 'org.apache.maven.plugins:maven-dependency-plugin:3.8.1';
const redisArtifact = 'com.github.codemonstur:embedded-redis:1.4.3';

/** Folder of the cache: `plait` in XDG_CACHE_HOME, else in ~/.cache, else (no home folder) in the temporary folder. Not made here. */
export function cacheFolder(): string {
  const xdg = process.env['XDG_CACHE_HOME'];
  if (xdg !== undefined && isAbsolute(xdg)) return join(xdg, 'plait');
  try {
    const home = homedir();
    if (isAbsolute(home) && home !== '/') return join(home, '.cache', 'plait');
  } catch {
    // No home folder and no entry for this user: fall through.
  }
  return join(tmpdir(), `plait-cache-${process.getuid?.() ?? 'user'}`);
}

async function sizes(folder: string): Promise<Record<string, number>> {
  const result: Record<string, number> = {};
  for (const name of (await readdir(folder)).sort()) {
    if (name !== listFile) result[name] = (await stat(join(folder, name))).size;
  }
  return result;
}

/** Whether a cache entry is there with all the files, each of the size, that it had when it was filled. */
export async function isComplete(entry: string): Promise<boolean> {
  try {
    const listed: unknown = JSON.parse(await readFile(join(entry, listFile), 'utf8'));
    return JSON.stringify(listed) === JSON.stringify(await sizes(entry));
  } catch {
    return false;
  }
}

/**
 * Returns the path of the cache entry `name`, filling it with `fill(folder)` first if it is not there or incomplete.
 * `fill` gets an empty folder on the same file system. Rejects with what `fill` rejects with.
 */
export async function cached(keeper: Keeper, cache: string, name: string, fill: (folder: string) => Promise<void>): Promise<string> {
  const entry = join(cache, name);
  if (await isComplete(entry)) return entry;
  await mkdir(cache, { recursive: true });
  const filling = join(cache, `.${name}.${randomBytes(6).toString('hex')}`);
  await keeper.removeAtEnd(filling);
  try {
    await mkdir(filling);
    await fill(filling);
    await writeFile(join(filling, listFile), JSON.stringify(await sizes(filling)));
    await moveIn(filling, entry);
    return entry;
  } finally {
    await rm(filling, { recursive: true, force: true });
    await keeper.release(filling);
  }
}

async function moveIn(filling: string, entry: string): Promise<void> {
  for (let tries = 0; tries < 3; tries++) {
    try {
      return await rename(filling, entry);
    } catch (error) {
      // Another launcher's is there: use that if it is complete, else take the broken one out of the way.
      if (await isComplete(entry)) return;
      const code = (error as NodeJS.ErrnoException).code;
      if (code !== 'ENOTEMPTY' && code !== 'EEXIST') throw error;
      const aside = `${filling}.old`;
      await rename(entry, aside).catch(() => undefined);
      await rm(aside, { recursive: true, force: true });
    }
  }
  throw new LauncherError(`The cache folder ${entry} cannot be replaced. Remove it and try again.`);
}

/** Runs Maven in an empty folder with a repository of its own, since two Mavens must not share one. */
async function maven(keeper: Keeper, what: string, args: readonly string[], pom?: string): Promise<void> {
  const mvn = await findProgram('mvn');
  if (mvn === undefined) {
    throw new LauncherError(`${what} is fetched with Maven once, and mvn was not found on the PATH. Install Maven (Debian: apt install maven), or Docker.`);
  }
  const folder = await keeper.temporaryFolder();
  const log = join(folder, 'maven.log');
  if (pom !== undefined) await writeFile(join(folder, 'pom.xml'), pom);
  const child = await keeper.start({
    command: mvn,
    args: ['-q', '-B', `-Dmaven.repo.local=${join(folder, 'repository')}`, ...args],
    cwd: folder,
    logFile: log,
  });
  const { code } = await child.exited();
  const text = await readFile(log, 'utf8').catch(() => '');
  await rm(folder, { recursive: true, force: true });
  if (code !== 0) {
    const error = text.split('\n').find((line) => line.includes('ERROR')) ?? 'it was ended from outside';
    throw new LauncherError(`Maven could not fetch ${what}: ${error.replace(/^.*ERROR\S*\s*/, '').trim()}`);
  }
}

const kafkaPom = `<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>plait</groupId><artifactId>kafka</artifactId><version>1</version><packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId><version>${kafkaVersion}</version></dependency>
    <dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId><version>2.25.1</version></dependency>
    <dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-core</artifactId><version>2.25.1</version></dependency>
  </dependencies>
</project>
`;

/** Returns the folder that holds Kafka's jars, fetching them if need be. Rejects with `LauncherError` if Maven is missing or fails. */
export function kafkaJars(keeper: Keeper, onProgress: (line: string) => void, cache = cacheFolder()): Promise<string> {
  return cached(keeper, cache, `kafka-${kafkaVersion}`, async (folder) => {
    onProgress(`fetching Kafka ${kafkaVersion} (44 MB, once)`);
    const args = [`${dependencyPlugin}:copy-dependencies`, '-DincludeScope=runtime', `-DoutputDirectory=${folder}`];
    await maven(keeper, `Kafka ${kafkaVersion}`, args, kafkaPom);
  });
}

/** Returns the folder that holds the redis-server binaries of the embedded-redis jar, fetching them if need be; rejects like `kafkaJars`. */
export function redisBinaries(keeper: Keeper, onProgress: (line: string) => void, cache = cacheFolder()): Promise<string> {
  return cached(keeper, cache, 'redis-embedded-1.4.3', async (folder) => {
    onProgress('fetching Redis (embedded-redis 1.4.3, 12 MB, once)');
    const args = [`${dependencyPlugin}:unpack`, `-Dartifact=${redisArtifact}`, `-DoutputDirectory=${folder}`, '-Dmdep.unpack.includes=redis-server-*', '-Dmdep.unpack.excludes=*.exe'];
    await maven(keeper, 'Redis', args);
    for (const name of await readdir(folder)) await chmod(join(folder, name), 0o755);
  });
}
