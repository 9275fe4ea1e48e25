import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Command, Option } from 'commander';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { isPlaitError } from '@plait/core';
import { configure } from '../../apps/plait/src/settings/config-apply.ts';
import { parseConfigFile } from '../../apps/plait/src/settings/config-file.ts';
import { schemaOf } from '../../apps/plait/src/settings/config-keys.ts';
import { hasPassword, withoutCredentials } from '../../apps/plait/src/settings/config-secrets.ts';
import { didYouMean } from '../../apps/plait/src/settings/config-suggest.ts';
import { bootstrapOption, countArgument, ledgerOption, redisOption } from '../../apps/plait/src/options.ts';
import { fc } from '../properties/fast-check.ts';

let folder: string;
let seen: Record<string, unknown>;

const put = (options: Record<string, unknown>): void => void (seen = options);

/** A program with options of every kind; its commands leave their options in `seen`. */
function program(): Command {
  const run = new Command('run').addOption(bootstrapOption()).addOption(redisOption()).addOption(ledgerOption())
    .option('--times <n>', 'a number', countArgument(1, 10), 3)
    .option('--key <file>', 'a file')
    .option('--watch [seconds]', 'with or without', countArgument(1, 60))
    .option('--topic <topic...>', 'several')
    .option('--follow', 'yes or no', false)
    .addOption(new Option('--since <n>', 'not with --times').conflicts('times'))
    .addOption(new Option('-o, --output <format>', 'one of').choices(['text', 'json']).default('text'))
    .action(put);
  const act = new Command('recover').addOption(ledgerOption()).option('--forget', 'an act').action(put);
  const plait = new Command('plait').exitOverride().addCommand(run).addCommand(act);
  for (const command of plait.commands) command.exitOverride();
  configure(plait);
  return plait;
}

async function parse(...args: string[]): Promise<Record<string, unknown>> {
  await program().parseAsync(args, { from: 'user' });
  return seen;
}

async function file(text: string): Promise<string> {
  const path = join(folder, 'plait.yaml');
  await writeFile(path, text);
  return path;
}

beforeEach(async () => {
  for (const name of Object.keys(process.env)) if (name.startsWith('PLAIT_')) vi.stubEnv(name, '');
  folder = await mkdtemp(join(tmpdir(), 'plait-config-'));
});
afterEach(async () => {
  vi.unstubAllEnvs();
  await rm(folder, { recursive: true, force: true });
});

describe('precedence', () => {
  test('flag over variable over profile over file over default, each option for itself', async () => {
    const path = await file('ledger: /base\nrun:\n  times: 4\n  output: json\nprofiles:\n  far:\n    ledger: /far\n    run: { times: 5 }\n');
    expect(await parse('run')).toMatchObject({ ledger: './plait', times: 3, output: 'text' });
    expect(await parse('run', '--config', path)).toMatchObject({ ledger: '/base', times: 4, output: 'json' });
    expect(await parse('run', '--config', path, '--profile', 'far')).toMatchObject({ ledger: '/far', times: 5, output: 'json' });
    vi.stubEnv('PLAIT_RUN_TIMES', '6');
    vi.stubEnv('PLAIT_LEDGER', '/variable');
    expect(await parse('run', '--config', path, '--profile', 'far')).toMatchObject({ ledger: '/variable', times: 6 });
    // The same words as flags as in the default.
    expect(await parse('run', '--config', path, '--times', '3', '--ledger', './plait')).toMatchObject({ ledger: './plait', times: 3 });
  });

  test('the file and the profile by variables; an empty variable is none', async () => {
    vi.stubEnv('PLAIT_CONFIG', await file('profiles:\n  far: { run: { times: 5 } }\n'));
    vi.stubEnv('PLAIT_PROFILE', 'far');
    vi.stubEnv('PLAIT_RUN_TIMES', '');
    vi.stubEnv('PLAIT_LEDGER', '');
    expect(await parse('run')).toMatchObject({ times: 5, ledger: './plait' });
  });

  test('a flag wins over what it excludes, wherever that is said', async () => {
    const path = await file('run: { times: 5, since: x }\n');
    expect(await parse('run', '--config', path, '--since', '7')).toMatchObject({ since: '7', times: 3 });
    const { since } = await parse('run', '--config', path, '--times', '7');
    expect(since).toBeUndefined();
    vi.stubEnv('PLAIT_RUN_SINCE', 'y');
    expect(await parse('run', '--times', '7')).toMatchObject({ times: 7 });
    expect(seen['since']).toBeUndefined();
  });

  test('a section wins over what is shared', async () => {
    const path = await file('ledger: /all\nrun: { ledger: /one }\n');
    expect(await parse('run', '--config', path)).toMatchObject({ ledger: '/one' });
    expect(await parse('recover', '--config', path)).toMatchObject({ ledger: '/all' });
  });
});

describe('values', () => {
  test('of every kind from a file', async () => {
    const path = await file('bootstrap-server: [a:1, b:2]\nrun:\n  follow: true\n  topic: [x, y]\n  watch: true\n  key: keys/w.key\n');
    expect(await parse('run', '--config', path)).toMatchObject({
      bootstrapServer: 'a:1,b:2', follow: true, topic: ['x', 'y'], watch: true, key: join(folder, 'keys/w.key'),
    });
    expect(await parse('run', '--config', await file('bootstrap-server: a:1\nrun: { topic: x, watch: 7, key: /k }\n'))).toMatchObject({
      bootstrapServer: 'a:1', topic: ['x'], watch: 7, key: '/k',
    });
  });

  test('of every kind from variables', async () => {
    vi.stubEnv('PLAIT_RUN_FOLLOW', 'false');
    vi.stubEnv('PLAIT_RUN_TOPIC', 'x, y');
    vi.stubEnv('PLAIT_RUN_WATCH', '7');
    expect(await parse('run')).toMatchObject({ follow: false, topic: ['x', 'y'], watch: 7 });
    vi.stubEnv('PLAIT_RUN_FOLLOW', 'yes');
    await expect(parse('run')).rejects.toMatchObject({ code: 'config', message: 'the variable PLAIT_RUN_FOLLOW is "yes", wanted true or false' });
    vi.stubEnv('PLAIT_RUN_FOLLOW', 'true');
    expect(await parse('run')).toMatchObject({ follow: true });
  });

  test.each([
    ['ledgr: /x', 1, 'ledgr is no key of the configuration; did you mean "ledger"?'],
    ['ledger: /x\nrunn: {}', 2, 'runn is no key of the configuration; did you mean "run"?'],
    ['run:\n  tims: 4', 2, 'run.tims is no key of the configuration; did you mean "times"?'],
    ['times: 4', 1, 'times is no key of the configuration'],
    ['profiles:\n  a:\n    run:\n      outptu: json', 4, 'profiles.a.run.outptu is no key of the configuration; did you mean "output"?'],
    ['recover: { forget: true }', 1, 'recover.forget is no key of the configuration'],
    ['config: other.yaml', 1, 'config is no key of the configuration'],
    ['run: { times: soon }', 1, 'run.times is "soon", wanted a value for <n>'],
    ['run: { times: 0 }', 1, 'run.times is 0, wanted a value for <n>: wanted 1 … 10'],
    ['run: { times: [1, 2] }', 1, 'run.times is [1,2], wanted'],
    ['run: { follow: "true" }', 1, 'run.follow is "true", wanted true or false'],
    ['run: { output: yaml }', 1, 'run.output is "yaml", wanted one of text, json'],
    ['ledger: 7', 1, 'ledger is 7, wanted text for <folder>'],
    ['ledger: true', 1, 'ledger is true, wanted text for <folder>'],
    ['ledger:', 1, 'ledger is null, wanted text for <folder>'],
    ['ledger: { a: b }', 1, 'ledger is a map, wanted a value'],
    ['run: 7', 1, 'run is no map'],
    ['- 1', 1, 'the file is no map'],
    ['ledger: a\nledger: b', 2, 'Map keys must be unique'],
    ['redis-url: [redis://u:secret@h, 5]', 1, 'redis-url is ["redis://********@h",5], wanted text for <url>, or a list of them'],
  ])('%j is refused, with file, line, key, value and what is wanted', async (text, line, message) => {
    const path = await file(text);
    const error: unknown = await parse('run', '--config', path).catch((thrown: unknown) => thrown);
    expect(isPlaitError(error, 'config')).toBe(true);
    expect((error as Error).message).toContain(`${path}:${line}: ${message}`);
    expect((error as Error).message).not.toContain('secret');
  });

  test('no file, no profile', async () => {
    await expect(parse('run', '--config', join(folder, 'none.yaml'))).rejects.toMatchObject({ code: 'config', message: expect.stringContaining('there is no such file') as string });
    await expect(parse('run', '--profile', 'far')).rejects.toMatchObject({ code: 'config', message: expect.stringContaining('there is no configuration file') as string });
    const path = await file('profiles: { production: {} }');
    await expect(parse('run', '--config', path, '--profile', 'prodution')).rejects.toMatchObject({ code: 'config', message: expect.stringContaining('did you mean "production"') as string });
  });

  test('a password is taken from a variable or the file, and never as an argument', async () => {
    const url = 'redis://user:secret@host:1';
    const refused: unknown = await parse('run', '--redis-url', url).catch((thrown: unknown) => thrown);
    expect(refused).toMatchObject({ code: 'config', message: expect.stringContaining('PLAIT_REDIS_URL') as string });
    expect(String(refused)).not.toContain('secret');
    vi.stubEnv('PLAIT_REDIS_URL', url);
    expect(await parse('run')).toMatchObject({ redisUrl: url });
    vi.stubEnv('PLAIT_REDIS_URL', '');
    expect(await parse('run', '--config', await file(`redis-url: ${url}`))).toMatchObject({ redisUrl: url });
  });
});

test('any text is a configuration or refused as one', () => {
  const schema = schemaOf(program());
  const word = fc.constantFrom('ledger', 'run', 'times', 'profiles', 'a', ': ', '\n', '  ', '[', ']', '{', '}', '&a ', '*a', '- ', '5', '"', '!!binary ', '? ', '<<', '__proto__', '|', '#');
  fc.assert(fc.property(fc.oneof(fc.array(word, { maxLength: 30 }).map((words) => words.join('')), fc.string({ unit: 'binary' })), (text) => {
    try {
      parseConfigFile(text, { path: 'f', schema, profile: undefined });
    } catch (error) {
      if (!isPlaitError(error, 'config')) throw error;
    }
  }), { numRuns: 2_000 });
});

test('no credentials are shown of any URL', () => {
  expect(withoutCredentials('redis://user:a@b,c@host:1/2,rediss://:x@other')).toBe('redis://********@host:1/2,rediss://********@other');
  expect(withoutCredentials('redis-sentinel://u:p@h1:1,h2:2?sentinel-password=x&sentinel-user=y#m')).toBe('redis-sentinel://********@h1:1,h2:2?sentinel-password=********&sentinel-user=y#m');
  expect(withoutCredentials('redis://host:1')).toBe('redis://host:1');
  expect([hasPassword('redis://user@h'), hasPassword('redis://h:1'), hasPassword('/a:b@c'), hasPassword('redis://:x@h'), hasPassword('redis-sentinel://h?sentinel-password=x#m')])
    .toEqual([false, false, false, true, true]);
  const secret = fc.string({ minLength: 1 }).map((text) => `«${text}»`);
  fc.assert(fc.property(secret, secret, (first, second) => {
    const text = withoutCredentials(`redis://u:${first}@h:1,rediss://${second}:@h:2`);
    return !text.includes(first) && !text.includes(second);
  }));
});

test('a suggestion is near', () => {
  expect(didYouMean('bootstrap-servers', ['bootstrap-server', 'redis-url'])).toBe('; did you mean "bootstrap-server"?');
  expect(didYouMean('ldeger', ['ledger', 'led'])).toBe('; did you mean "ledger"?');
  expect(didYouMean('xyz', ['ledger'])).toBe('');
});
