/**
 * Each command with exactly the rights that docs/OPERATING.md lists for it, and with one right less: for every row of that
 * table, and for every right in it.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { EXIT } from '../../apps/plait/src/exit.ts';
import { exists } from '../../apps/plait/src/keys.ts';
import { spawnRole, type RoleProcess } from '../../apps/plait/src/roles.ts';
import { start, type Ran } from '../e2e/plait.ts';
import { findJava } from '../launcher/machine.ts';
import { startSecuredKafka, OPERATIONS, type Grant, type SecuredKafka } from './secured.ts';

const java = findJava();
if (java === undefined) console.log('skipped: a secured Kafka needs Java 17 on the PATH');

const OPERATING = new URL('../../docs/OPERATING.md', import.meta.url);
const ROW = /^\| `plait ([^`]+)` \| ([\w ]*)\| ([\w ]*)\| ([\w ]*)\|$/gm;
const SOURCE = 'orders';
const RECORDS = ['a', 'b', 'c', 'd', 'e'];

type Where = 'log' | 'source' | 'group';
interface Right {
  readonly operation: keyof typeof OPERATIONS;
  readonly where: Where;
}
interface Row {
  readonly command: string;
  /** `init`, `read-group`, … : Kafka's user has this name. */
  readonly user: string;
  readonly rights: readonly Right[];
}

function isOperation(text: string): text is keyof typeof OPERATIONS {
  return text in OPERATIONS;
}

async function table(): Promise<readonly Row[]> {
  const text = await readFile(OPERATING, 'utf8');
  return [...text.matchAll(ROW)].map(([, command = '', log = '', source = '', group = '']) => ({
    command,
    user: command.replaceAll(/\W+/g, '-'),
    rights: Object.entries({ log, source, group }).flatMap(([where, operations]) =>
      operations.split(' ').filter(isOperation).map((operation) => ({ operation, where: where as Where }))),
  }));
}

const rows = await table();
const cases = rows.flatMap(({ command, user, rights }) =>
  rights.map((missing) => ({ command, user: `${user}-less-${missing.operation}-${missing.where}`, missing, rights: rights.filter((right) => right !== missing) })));
const DEADLINE_MS = 60_000;
const at = (path: string): string[] => ['--ledger', path];

/** What a user's command works on: those of `init` and `reconfigure` have topics of their own, since each can be taken once. */
function namesOf(user: string): Readonly<Record<Where, string>> {
  const isOfInit = user.startsWith('init-');
  return {
    log: isOfInit ? `${user}.plait` : `${SOURCE}.plait`,
    source: user.startsWith('reconfigure') ? `added-${user}` : SOURCE,
    group: user.startsWith('read') ? `readers-${user}` : `plait.${SOURCE}.plait.`,
  };
}

it('the table in docs/OPERATING.md is read whole', () => {
  expect(rows.map(({ user }) => user)).toEqual([
    'init', 'worker', 'coordinator', 'publisher', 'serve', 'serve-leaves', 'read', 'locate', 'receipt', 'read-group', 'verify', 'status', 'history', 'consistency', 'reconfigure-add-topic',
  ]);
  expect(cases.length).toBeGreaterThan(20);
});

describe.skipIf(java === undefined)(java === undefined ? 'rights (skipped: needs Java 17 on the PATH)' : 'rights', () => {
  let kafka: SecuredKafka;
  let folder: string;
  const ledger = (): string => join(folder, 'ledger');

  beforeAll(async () => {
    kafka = await startSecuredKafka({ users: [...rows, ...cases].map(({ user }) => user) });
    folder = await mkdtemp(join(tmpdir(), 'plait-rights-'));
    await kafka.createTopic(SOURCE, 2);
    await kafka.produce(SOURCE, RECORDS);
  });
  afterAll(async () => {
    await kafka[Symbol.asyncDispose]();
    await rm(folder, { recursive: true });
  });

  async function grant(user: string, rights: readonly Right[]): Promise<void> {
    const names = namesOf(user);
    await kafka.grant(user, rights.map(({ operation, where }): Grant => {
      if (where !== 'group') return { operation, kind: 'topic', name: names[where] };
      return { operation, kind: 'group', name: names.group, isPrefix: !user.startsWith('read') };
    }));
  }

  function argumentsOf(command: string, user: string): string[] {
    const names = namesOf(user);
    const own = ['--state', join(folder, `${user}.state`), '--copy', join(folder, `${user}.copy`)];
    switch (command) {
      case 'init':
        return ['init', '--topic', names.source, '--log', names.log, ...at(user === 'init' ? ledger() : join(folder, user))];
      case 'worker': case 'coordinator': case 'publisher':
        return [command, ...at(ledger()), ...own];
      case 'serve':
        return [command, '--listen', '127.0.0.1:0', '--dir', join(folder, user), ...at(ledger()), ...own];
      case 'consistency':
        return [command, join(folder, 'serve', 'checkpoint'), join(folder, 'serve', 'checkpoint'), ...at(ledger())];
      case 'serve --leaves':
        return ['serve', '--leaves', join(folder, `${user}.leaves`), '--listen', '127.0.0.1:0', ...at(ledger()), ...own];
      case 'verify':
        return [command, '--memory', join(folder, `${user}.memory`), ...at(ledger())];
      case 'locate':
        return [command, '--seq', '0', ...at(ledger())];
      case 'receipt':
        return [command, '--seq', '0', '--out', join(folder, `${user}.tlog-proof`), ...at(ledger())];
      case 'read --group':
        return ['read', '--group', names.group, '--auto-commit', '--at-end', 'end', ...at(ledger())];
      case 'reconfigure --add-topic':
        return ['reconfigure', '--add-topic', names.source, ...at(ledger())];
      default:
        return [command, ...at(ledger())];
    }
  }

  async function environment(user: string): Promise<NodeJS.ProcessEnv> {
    return {
      PLAIT_BOOTSTRAP_SERVERS: kafka.address('SASL'), PLAIT_REDIS_URL: kafka.redisUrl, PLAIT_COMMAND_CONFIG: await kafka.properties(user), PLAIT_LOG_LEVEL: 'info',
    };
  }

  async function run(command: string, user: string): Promise<Ran> {
    if (command.startsWith('reconfigure')) await kafka.createTopic(namesOf(user).source, 1);
    return await runToEnd(command, user);
  }

  /** Runs a command to its end, which it must come to; again while a busy broker does not answer. */
  async function runToEnd(command: string, user: string): Promise<Ran> {
    const { child, ended } = start(argumentsOf(command, user), await environment(user));
    const force = setTimeout(() => child.kill('SIGKILL'), DEADLINE_MS);
    const ran = await ended.finally(() => clearTimeout(force));
    return ran.code === EXIT.unreachable ? await runToEnd(command, user) : ran;
  }

  async function mustDo(command: string, user: string): Promise<string> {
    const { code, stdout, stderr } = await run(command, user);
    expect([command, code, code === 0 ? '' : stderr]).toEqual([command, 0, '']);
    return stdout;
  }

  async function startRole(command: RoleProcess['command'], user: string = command, line: string = command): Promise<RoleProcess> {
    const [name = '', ...args] = argumentsOf(line, user);
    expect(name).toBe(command);
    const role = spawnRole({ command, args, env: await environment(user), logFile: join(folder, `${user}.log`) });
    await role.ready;
    return role;
  }

  it('each command does its work with exactly its rights', { timeout: 300_000 }, async () => {
    for (const { user, rights } of rows) await grant(user, rights);
    await mustDo('init', 'init');
    {
      await using coordinator = await startRole('coordinator');
      await using publisher = await startRole('publisher');
      await using worker = await startRole('worker');
      await expect.poll(async () => (await mustDo('read', 'read')).split('\n').filter((line) => line !== '').length, { timeout: DEADLINE_MS }).toBe(RECORDS.length);
      await using tiles = await startRole('serve');
      await using server = await startRole('serve', 'serve-leaves', 'serve --leaves');
      const leaves = (): Promise<number | null> => start(['locate', '--seq', String(RECORDS.length - 1), '--leaves', join(folder, 'serve-leaves.leaves'), ...at(ledger())]).ended.then(({ code }) => code);
      await expect.poll(leaves, { timeout: DEADLINE_MS, interval: 500 }).toBe(0);
      await expect.poll(() => exists(join(folder, 'serve', 'checkpoint')), { timeout: DEADLINE_MS }).toBe(true);
      for (const role of [worker, publisher, coordinator, tiles, server]) expect(await role.stop()).toEqual({ code: 0, signal: null });
    }
    expect((await mustDo('read --group', 'read-group')).trim().split('\n')).toHaveLength(RECORDS.length);
    expect((await mustDo('read --group', 'read-group')).trim()).toBe('');
    expect(await mustDo('locate', 'locate')).toContain(`${SOURCE}/`);
    expect(await mustDo('receipt', 'receipt')).toContain('verify-receipt');
    expect(await mustDo('consistency', 'consistency')).toContain('consistent');
    expect(await mustDo('verify', 'verify')).toMatch(/^verified /);
    expect(await mustDo('status', 'status')).toContain(SOURCE);
    expect(await mustDo('history', 'history')).toContain('genesis');
  });

  it.each(cases)('$command without $missing.operation on the $missing.where fails, and says so', { timeout: 180_000 }, async ({ command, user, rights, missing }) => {
    await grant(user, rights);
    const { code, stderr } = await run(command, user);
    const { operation, where } = missing;
    const resource = `${where === 'group' ? 'group' : 'topic'} ${namesOf(user)[where]}`;
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining(`user ${user} lacks the right ${operation} on ${resource}`) as string });
    expect(stderr).toMatch(/grant it with kafka-acls --bootstrap-server \S+ --add --allow-principal /);
  });

  it('a topic is added with exactly these rights too', async () => {
    expect(await mustDo('reconfigure --add-topic', 'reconfigure-add-topic')).toContain('In force');
  });

  it('a right that is taken away later ends a worker, and is named', { timeout: 180_000 }, async () => {
    await using coordinator = await startRole('coordinator');
    expect(coordinator.pid).toBeGreaterThan(0);
    await kafka.grant('worker', [{ operation: 'Read', kind: 'topic', name: namesOf('reconfigure-add-topic').source }, { operation: 'DescribeConfigs', kind: 'topic', name: namesOf('reconfigure-add-topic').source }]);
    const worker = await startRole('worker');
    await kafka.revoke('worker', { operation: 'Write', kind: 'topic', name: `${SOURCE}.plait` });
    await kafka.produce(SOURCE, ['later']);
    expect(await worker.exited).toEqual({ code: 1, signal: null });
    expect(await readFile(worker.logFile, 'utf8')).toContain(`user worker lacks the right Write on topic ${SOURCE}.plait`);
  });
});
