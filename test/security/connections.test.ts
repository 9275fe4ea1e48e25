/** Every way to reach a secured Kafka, and what is said when it does not take us. */
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { isPlaitError, logPosition } from '@plait/core';
import { joinWorkerGroup, openLogReader, type KafkaOptions, type Sasl } from '@plait/kafka';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { EXIT } from '../../apps/plait/src/exit.ts';
import { spawnRole, type RoleProcess } from '../../apps/plait/src/roles.ts';
import { newFolder, start } from '../e2e/plait.ts';
import { uniqueName } from '../global/services.ts';
import { onceAvailable, openPatientAppender, openPatientLog } from '../kafka/patient.ts';
import { findJava } from '../launcher/machine.ts';
import { makeAuthority } from './certificates.ts';
import { OPERATIONS, passwordOf, startSecuredKafka, type Grant, type SecuredKafka } from './secured.ts';

const java = findJava();
if (java === undefined) console.log('skipped: a secured Kafka needs Java 17 on the PATH');

const EVERYTHING: readonly Grant[] = [
  ...(Object.keys(OPERATIONS) as (keyof typeof OPERATIONS)[]).map((operation) => ({ operation, kind: 'topic', name: '*' }) as const),
  { operation: 'Read', kind: 'group', name: '*' },
];
/** A session ends so soon that kafkajs, which renews it 10 s before, renews it all the time. */
const REAUTH_MS = 12_000;
/** More than several sessions at Kafka's listener last: who keeps it was not given up meanwhile. */
const GROUP_SESSION_MS = 60_000;
const SOON = { timeout: 60_000 };

let kafka: SecuredKafka;

const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url');

/** A token as Kafka's handler for development takes it (RFC 7519, section 6). */
function tokenFor(subject: string, lifeS = 3_600): string {
  const nowS = Math.floor(Date.now() / 1_000);
  return `${part({ alg: 'none' })}.${part({ sub: subject, iat: nowS, exp: nowS + lifeS })}.`;
}

/** An OAuth 2.0 token endpoint that knows one client. */
async function tokenEndpoint(): Promise<string> {
  const server: Server = createServer((request, response) => {
    const known = `Basic ${Buffer.from(`plait:${passwordOf('plait')}`).toString('base64')}`;
    const isKnown = request.headers.authorization === known;
    response.writeHead(isKnown ? 200 : 401, { 'content-type': 'application/json' });
    response.end(JSON.stringify(isKnown ? { access_token: tokenFor('plait'), token_type: 'Bearer', expires_in: 3_600 } : { error: 'invalid_client' }));
  });
  server.listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  onTestFinished(() => void server.close());
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/token`;
}

const trusted = (): { ca: string } => ({ ca: kafka.authority.ca });
const plain = (username: string, password: string): Sasl => ({ mechanism: 'plain', username, password });
const opened = (options: KafkaOptions) => (): Promise<unknown> => openLogReader({ kafka: options, topic: 'any', from: logPosition(0n) });

async function failureOf(call: () => Promise<unknown>): Promise<{ code: string; message: string }> {
  const error = await call().then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!isPlaitError(error)) throw new Error(`wanted a PlaitError, got ${String(error)}`);
  return error;
}

describe.skipIf(java === undefined)(java === undefined ? 'connections (skipped: needs Java 17 on the PATH)' : 'connections', () => {
  beforeAll(async () => {
    kafka = await startSecuredKafka({ users: ['plait'], reauthMs: REAUTH_MS });
    for (const user of ['plait', 'CN=plait']) await kafka.grant(user, EVERYTHING);
  });
  afterAll(async () => {
    await kafka[Symbol.asyncDispose]();
  });

  it.each<[string, () => Promise<string>, 'SASL' | 'MTLS']>([
    ['a client certificate', () => kafka.mutualProperties('plait'), 'MTLS'],
    ['SASL PLAIN', () => kafka.properties('plait', 'plain'), 'SASL'],
    ['SASL SCRAM-SHA-256', () => kafka.properties('plait', 'scram-sha-256'), 'SASL'],
    ['SASL SCRAM-SHA-512', () => kafka.properties('plait', 'scram-sha-512'), 'SASL'],
    ['SASL OAUTHBEARER', async () => kafka.tokenProperties(await tokenEndpoint()), 'SASL'],
  ])('init, worker, coordinator, read and status connect with TLS and %s', async (_, properties, listener) => {
    const [topic, folder] = [uniqueName('orders'), await newFolder()];
    onTestFinished(() => rm(dirname(folder), { recursive: true }));
    await kafka.createTopic(topic, 2);
    await kafka.produce(topic, ['a', 'b', 'c', 'd']);
    const env = { PLAIT_BOOTSTRAP_SERVERS: kafka.address(listener), PLAIT_REDIS_URL: kafka.redisUrl, PLAIT_COMMAND_CONFIG: await properties(), PLAIT_LOG_LEVEL: 'info' };
    const plait = async (...args: readonly string[]): Promise<string> => {
      const { code, stdout, stderr } = await start([...args, '--ledger', folder], env).ended;
      if (code === EXIT.unreachable) return await plait(...args);
      expect([args[0], code, code === 0 ? '' : stderr]).toEqual([args[0], 0, '']);
      return stdout;
    };
    await plait('init', '--topic', topic);
    const role = (command: 'worker' | 'coordinator'): RoleProcess => spawnRole({ command, args: ['--ledger', folder], env, logFile: join(folder, `${command}.log`) });
    await using worker = role('worker');
    await using coordinator = role('coordinator');
    await Promise.all([worker.ready, coordinator.ready]);
    await expect.poll(() => plait('status', '-o', 'json').then((text) => (JSON.parse(text) as { nextSeq: string }).nextSeq), { timeout: 60_000 }).toBe('4');
    const values = (await plait('read', '-o', 'jsonl')).trim().split('\n').map((line) => (JSON.parse(line) as { value: { utf8: string } }).value.utf8);
    expect(new Set(values)).toEqual(new Set(['a', 'b', 'c', 'd']));
    expect(values).toHaveLength(4);
  });

  it('goes on through the ends of many sessions', async () => {
    const topic = uniqueName('session');
    await kafka.createTopic(topic, 1);
    let tokens = 0;
    const options = kafka.options({
      mechanism: 'oauthbearer',
      token: () => {
        tokens += 1;
        return Promise.resolve(tokenFor('plait', REAUTH_MS / 1_000));
      },
    });
    const appender = await openPatientAppender({ kafka: options, topic });
    const reader = await openPatientLog({ kafka: options, topic, from: logPosition(0n) });
    const membership = joinWorkerGroup({ kafka: options, groupId: uniqueName('group'), sessionTimeoutMs: GROUP_SESSION_MS });
    onTestFinished(async () => {
      for (const end of [() => appender.close(), () => reader.close(), () => membership.leave()]) await end();
    });
    await onceAvailable(() => membership.subscribe([topic]));
    await expect.poll(() => membership.assignment().partitions.length, SOON).toBe(1);
    const { version } = membership.assignment();
    const before = tokens;
    const untilMs = performance.now() + 1.5 * REAUTH_MS;
    let [appended, read] = [0, 0];
    while (performance.now() < untilMs || read < appended) {
      if (performance.now() < untilMs) {
        await appender.append(Buffer.from(`${appended}`));
        appended += 1;
      }
      read += (await reader.poll({ maxWaitMs: 100 })).length;
    }
    expect(read).toBe(appended);
    expect(membership.assignment().version).toBe(version);
    expect(tokens).toBeGreaterThan(before + 2);
  });

  describe('what does not fit is said with the address', () => {
    const good = plain('plait', passwordOf('plait'));

    it.each<[string, () => KafkaOptions, 'config' | 'unavailable', RegExp]>([
      ['a wrong password (PLAIN)', () => kafka.options(plain('plait', 'wrong')), 'config', /^Kafka: ADDRESS refuses plait: .*[Aa]uthentication failed/],
      ['a wrong password (SCRAM)', () => kafka.options({ mechanism: 'scram-sha-512', username: 'plait', password: 'wrong' }), 'config', /^Kafka: ADDRESS refuses plait: /],
      ['an unknown user', () => kafka.options(plain('nobody', 'x')), 'config', /^Kafka: ADDRESS refuses nobody: /],
      ['a token that has expired', () => kafka.options({ mechanism: 'oauthbearer', token: () => Promise.resolve(tokenFor('plait', -60)) }), 'config', /^Kafka: ADDRESS refuses the token: /],
      ['an unknown CA', () => ({ ...kafka.options(good), ssl: { ca: makeAuthority('other').ca } }), 'config', /^Kafka: TLS with ADDRESS fails: .*give its CA/],
      ['no CA at all', () => ({ ...kafka.options(good), ssl: true }), 'config', /^Kafka: TLS with ADDRESS fails: .*give its CA/],
      ['an expired certificate', () => ({ brokers: [kafka.address('EXPIRED')], ssl: trusted() }), 'config', /^Kafka: TLS with ADDRESS fails: .*has expired: renew it/],
      ['no client certificate', () => ({ brokers: [kafka.address('MTLS')], ssl: trusted() }), 'config', /^Kafka: TLS with ADDRESS fails: .*wants a client certificate/],
      ['a client certificate of another CA', () => ({ brokers: [kafka.address('MTLS')], ssl: { ...trusted(), ...makeAuthority('other').issue('plait') } }), 'config',
        /^Kafka: TLS with ADDRESS fails: .*does not accept ours/],
      ['a key that is none', () => ({ brokers: [kafka.address('MTLS')], ssl: { ...trusted(), key: 'none', cert: 'none' } }), 'config', /^Kafka: TLS with ADDRESS cannot begin: .*check our certificate/],
      ['no TLS where it is wanted', () => ({ brokers: [kafka.address('SASL')], sasl: good }), 'unavailable',
        /^no Kafka broker answers at ADDRESS: .*another security\.protocol than SASL_PLAINTEXT/],
      ['nothing where TLS is wanted', () => ({ brokers: [kafka.address('SASL')] }), 'unavailable', /^no Kafka broker answers at ADDRESS: .*another security\.protocol than PLAINTEXT/],
      ['TLS where there is none', () => ({ brokers: [kafka.address('PLAINTEXT')], ssl: trusted() }), 'unavailable', /ADDRESS/],
      ['SASL where there is none', () => ({ brokers: [kafka.address('PLAINTEXT')], sasl: good }), 'config', /^Kafka: ADDRESS refuses plait: /],
      ['no SASL where it is wanted', () => ({ brokers: [kafka.address('SASL')], ssl: trusted() }), 'unavailable', /^no Kafka broker answers at ADDRESS: .*another security\.protocol than SSL/],
    ])('%s', async (_, options, code, message) => {
      const [address = ''] = options().brokers;
      // A broker that takes its time is not reachable, and nothing else is said of it.
      await expect.poll(async () => {
        const startMs = performance.now();
        const failure = await failureOf(opened(options()));
        return { code: failure.code, message: failure.message, isInTime: performance.now() - startMs < 15_000 };
      }, SOON).toEqual({ code, message: expect.stringMatching(new RegExp(message.source.replaceAll('ADDRESS', address), 's')), isInTime: true });
    });

    it('a token endpoint that refuses the client', async () => {
      const endpoint = await tokenEndpoint();
      const properties = await kafka.tokenProperties(endpoint, 'wrong');
      const folder = await newFolder();
      onTestFinished(() => rm(dirname(folder), { recursive: true }));
      const { code, stderr } = await start(['init', '--topic', 'orders', '--ledger', folder], { PLAIT_BOOTSTRAP_SERVERS: kafka.address('SASL'), PLAIT_COMMAND_CONFIG: properties }).ended;
      expect(code).toBe(1);
      expect(stderr).toContain(`the token endpoint ${endpoint} refuses the client plait with status 401`);
    });
  });
});
