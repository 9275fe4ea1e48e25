/** The lease where it may be kept beside one plain Redis: with TLS and an ACL user, behind Sentinel, at a majority of several. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isPlaitError } from '@plait/core';
import { launch, type Services } from '@plait/launcher';
import { openLease, type LeaseOptions, type RedisPlace } from '@plait/redis';
import type { HeldLease, Lease } from '@plait/roles';
import { Redis } from 'ioredis';
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest';
import { uniqueName } from '../global/services.ts';
import { makeAuthority, type Authority } from '../security/certificates.ts';
import { leaseContract, type LeaseDriver } from './lease-contract.ts';
import { openPatientLease } from './patient-lease.ts';

/** Longer than any machine stands still, and not so long that a test cannot wait for it. */
const TTL_MS = 30_000;
const SOON = { timeout: 90_000 };
const RIGHTS = ['evalsha', 'eval', 'exists', 'get', 'set', 'del'];
const KEYS = '~plait:lease:*';
const ACL = `on >secret ${KEYS} ${RIGHTS.map((right) => `+${right}`).join(' ')}`;

const newKey = (): string => uniqueName('plait:lease:test');
const redis = (settings: readonly string[] = [], tls = false): Promise<Services> =>
  launch({ mode: 'processes', kafka: false, redisProcess: { settings, tls } });

const port = (services: Services): number => Number(new URL(services.redisUrl).port);

async function opened(options: Partial<LeaseOptions> & Pick<LeaseOptions, 'redis'>): Promise<Lease> {
  const lease = await openLease({ key: newKey(), ttlMs: TTL_MS, ...options });
  onTestFinished(() => lease.close());
  return lease;
}

async function openedPatiently(options: Pick<LeaseOptions, 'redis'> & Partial<LeaseOptions>): Promise<Lease> {
  const lease = await openPatientLease({ key: newKey(), ttlMs: TTL_MS, ...options });
  onTestFinished(() => lease.close());
  return lease;
}

/** Granted well below its TTL, once what was released in one go has arrived. */
async function granted(lease: Lease): Promise<HeldLease> {
  const grants: HeldLease[] = [];
  await expect.poll(async () => {
    const held = await lease.acquire();
    if (held !== undefined) grants.push(held);
    return grants.length;
  }, { timeout: TTL_MS / 2 }).toBe(1);
  return grants[0] as HeldLease;
}

/** The contract at `place`, whose keys `urls` can delete. */
function driver(place: RedisPlace, ttlMs: number, urls: () => Promise<readonly string[]>): LeaseDriver {
  const key = newKey();
  return {
    ttlMs,
    lease: () => openPatientLease({ redis: place, key, ttlMs }),
    flush: async () => {
      for (const url of await urls()) {
        const admin = new Redis(url);
        await admin.del(key);
        admin.disconnect();
      }
    },
    sleep: (ms) => new Promise((resolve) => setTimeout(resolve, ms)),
    settle: (promise) => promise,
  };
}

async function failureOf(call: () => Promise<unknown>): Promise<{ code: string; message: string }> {
  const error = await call().then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  if (!isPlaitError(error)) throw new Error(`wanted a PlaitError, got ${String(error)}`);
  return error;
}

/** Expects that `call` is refused with such words, as soon as Redis answers in the half second that it is given. */
async function expectRefusal(call: () => Promise<unknown>, message: unknown): Promise<void> {
  await expect.poll(() => failureOf(call), SOON).toMatchObject({ code: 'config', message });
}

describe('Lease with TLS and an ACL user', () => {
  let folder: string;
  let authority: Authority;
  let services: Services;
  let admin: Redis;

  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'plait-redis-'));
    authority = makeAuthority('test CA');
    const { cert, key } = authority.issue('redis');
    for (const [name, text] of Object.entries({ cert, key, ca: authority.ca })) await writeFile(join(folder, `${name}.pem`), text);
    const files = Object.entries({ cert: 'tls-cert-file', key: 'tls-key-file', ca: 'tls-ca-cert-file' });
    services = await redis([...files.map(([name, setting]) => `${setting} ${join(folder, `${name}.pem`)}`), 'tls-auth-clients optional', `user plait ${ACL}`], true);
    admin = new Redis(services.redisUrl);
  });
  afterAll(async () => {
    admin.disconnect();
    await services.stop();
    await rm(folder, { recursive: true });
  });

  const url = (user = 'plait:secret'): string => `rediss://${user}@localhost:${services.redis?.tlsPort}`;
  const place = (): RedisPlace => ({ kind: 'node', url: url(), tls: { ca: authority.ca } });

  leaseContract((ttlMs) => Promise.resolve(driver(place(), ttlMs, () => Promise.resolve([services.redisUrl]))));

  it.each(RIGHTS)('refuses at the start without the right %s, and names it', async (right) => {
    const user = uniqueName('user');
    await admin.call('ACL', 'SETUSER', user, ...ACL.split(' '), `-${right}`);
    const key = newKey();
    const open = (): Promise<Lease> => opened({ redis: { kind: 'node', url: url(`${user}:secret`), tls: { ca: authority.ca } }, key });
    await expectRefusal(open, expect.stringContaining(`does not give user ${user} the right +${right}: grant it with ACL SETUSER ${user} +${right} `));
  });

  it('refuses at the start without the right to its key, and names the key', async () => {
    const user = uniqueName('user');
    await admin.call('ACL', 'SETUSER', user, ...ACL.split(' '), 'resetkeys', '~other:*');
    const key = newKey();
    const open = (): Promise<Lease> => opened({ redis: { kind: 'node', url: url(`${user}:secret`), tls: { ca: authority.ca } }, key });
    await expectRefusal(open, expect.stringContaining(`the right ~${key}: grant it with ACL SETUSER ${user} ~${key} `));
  });

  it('refuses a wrong password, and names user and address', async () => {
    const redis = { kind: 'node', url: url('plait:wrong'), tls: { ca: authority.ca } } as const;
    await expectRefusal(() => opened({ redis }), expect.stringMatching(/^Redis localhost:\d+ refuses user plait: WRONGPASS(?!.*wrong@)/s));
  });

  it('refuses a certificate of a CA that it does not know', async () => {
    const { ca } = makeAuthority('other CA');
    await expectRefusal(() => opened({ redis: { kind: 'node', url: url(), tls: { ca } } }), expect.stringMatching(/^Redis localhost:\d+: TLS fails: .*Check the CA/));
  });

  it('says what is missing when a right is taken away later, and goes on when it is given back', async () => {
    const user = uniqueName('user');
    await admin.call('ACL', 'SETUSER', user, ...ACL.split(' '));
    const lease = await openedPatiently({ redis: { kind: 'node', url: url(`${user}:secret`), tls: { ca: authority.ca } } });
    const held = await granted(lease);
    await admin.call('ACL', 'SETUSER', user, '-set');
    await expectRefusal(() => held.extend(), expect.stringContaining(`does not give user ${user} the right +set`));
    await admin.call('ACL', 'SETUSER', user, '+set');
    expect(await held.extend()).toBe(true);
  });

  it('without a password is refused where one is wanted', async () => {
    await using closed = await redis(['requirepass secret']);
    await expectRefusal(() => opened({ redis: { kind: 'node', url: closed.redisUrl } }).then((lease) => lease.acquire()), expect.stringContaining('refuses user default: NOAUTH'));
  });
});

describe('Lease behind Sentinel', () => {
  let master: Services;
  let replica: Services;
  let sentinel: Services;

  beforeAll(async () => {
    master = await redis([`user plait ${ACL}`]);
    replica = await redis([`user plait ${ACL}`, `replicaof 127.0.0.1 ${port(master)}`, 'repl-diskless-sync-delay 0']);
    const watch = [
      // It must not take a machine that stands still for a master that is down, before one is.
      `sentinel monitor shop 127.0.0.1 ${port(master)} 1`, 'sentinel down-after-milliseconds shop 60000', 'sentinel failover-timeout shop 10000',
      'user asker on >asked ~* &* +sentinel', 'user default off',
    ];
    sentinel = await launch({ mode: 'processes', kafka: false, redisProcess: { sentinel: true, settings: watch } });
  });
  afterAll(async () => {
    for (const services of [sentinel, replica, master]) await services.stop();
  });

  const place = (): RedisPlace => ({
    kind: 'sentinel', sentinels: [`127.0.0.1:${port(sentinel)}`], master: 'shop', username: 'plait', password: 'secret',
    sentinel: { username: 'asker', password: 'asked' },
  });

  leaseContract((ttlMs) => Promise.resolve(driver(place(), ttlMs, () => Promise.resolve([master.redisUrl]))));

  it('follows a failover to the new master', { timeout: 240_000 }, async () => {
    // The new master knows of the grant, and goes by its TTL.
    const lease = await opened({ redis: place(), ttlMs: 1_000 });
    await expect.poll(() => lease.acquire(), SOON).toBeDefined();
    const copy = new Redis(replica.redisUrl);
    onTestFinished(() => copy.disconnect());
    await expect.poll(() => copy.info('replication'), SOON).toContain('master_link_status:up');
    // Sentinel promotes only a replica that it knows.
    const asker = new Redis(port(sentinel), '127.0.0.1', { username: 'asker', password: 'asked', enableReadyCheck: false });
    onTestFinished(() => asker.disconnect());
    await expect.poll(() => asker.call('SENTINEL', 'REPLICAS', 'shop'), SOON).toHaveLength(1);
    await master.redis?.kill('SIGKILL');
    expect((await failureOf(() => lease.acquire())).code).toBe('unavailable');
    await asker.call('SENTINEL', 'SET', 'shop', 'down-after-milliseconds', '1000');
    await expect.poll(() => lease.acquire(), SOON).toBeDefined();
    expect(await copy.info('replication')).toContain('role:master');
  });
});

describe('Lease at a majority of three', () => {
  let nodes: Services[];
  beforeAll(async () => {
    nodes = [await redis(), await redis(), await redis()];
  });
  afterAll(async () => {
    for (const node of nodes) await node.stop();
  });

  const urls = (): string[] => nodes.map(({ redisUrl }) => redisUrl);

  leaseContract((ttlMs) => Promise.resolve(driver({ kind: 'nodes', urls: urls() }, ttlMs, () => Promise.resolve(urls()))));

  it('survives the loss of one, and not of two', async () => {
    const options = { redis: { kind: 'nodes', urls: urls() } as const, key: newKey() };
    const [a, b] = [await openedPatiently(options), await openedPatiently(options)];
    const held = await granted(a);
    await nodes[0]?.redis?.kill('SIGKILL');
    expect(await held.extend()).toBe(true);
    expect(await b.acquire()).toBeUndefined();
    await held.release();
    await granted(b);
    expect(await a.acquire()).toBeUndefined();
    // It opens so too.
    expect(await (await openedPatiently(options)).acquire()).toBeUndefined();
    // What two of three do not answer is asked once.
    const impatient = await opened({ ...options, key: newKey() });
    const next = await granted(impatient);
    await nodes[1]?.redis?.kill('SIGKILL');
    expect((await failureOf(() => next.extend())).code).toBe('unavailable');
    expect((await failureOf(() => impatient.acquire())).code).toBe('unavailable');
    await nodes[1]?.redis?.start();
    await expect.poll(() => next.extend(), SOON).toBeDefined();
  });
});

describe('A place that cannot be', () => {
  it.each<[string, RedisPlace, RegExp]>([
    ['no URL', { kind: 'node', url: 'localhost' }, /the URL of Redis is "localhost", wanted redis:/],
    ['another scheme', { kind: 'node', url: 'http://u:topsecret@h' }, /"http:\/\/…@h"/],
    ['TLS options without TLS', { kind: 'node', url: 'redis://h', tls: { ca: 'x' } }, /write rediss:/],
    ['a path that is no number', { kind: 'node', url: 'redis://h/zero' }, /\/DATABASE/],
    ['no node', { kind: 'nodes', urls: [] }, /no Redis is named/],
    ['one node twice', { kind: 'nodes', urls: ['redis://h', 'redis://h:6379'] }, /h:6379 is named twice/],
    ['no Sentinel', { kind: 'sentinel', sentinels: [], master: 'm' }, /no Sentinel is named/],
    ['a Sentinel that is no address', { kind: 'sentinel', sentinels: ['redis://h'], master: 'm' }, /"redis:\/\/h" is no address/],
    ['no master', { kind: 'sentinel', sentinels: ['h'], master: '' }, /name of the master/],
  ])('%s', async (_, place, message) => {
    const failure = await failureOf(() => openLease({ redis: place, key: 'k', ttlMs: TTL_MS }));
    expect(failure.code).toBe('config');
    expect(failure.message).toMatch(message);
    expect(failure.message).not.toContain('topsecret');
  });
});
