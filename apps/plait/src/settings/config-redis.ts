/** Where the lease is kept, out of the options. */
import { readFileSync } from 'node:fs';
import { PlaitError } from '@plait/core';
import type { RedisPlace } from '@plait/redis';
import { withoutCredentials } from './config-secrets.ts';

/** What commander gives for the options of Redis. */
export interface RedisCommandOptions {
  readonly redisUrl?: string;
  readonly redisCa?: string;
  readonly redisCert?: string;
  readonly redisKey?: string;
}

type Tls = { readonly ca?: string; readonly cert?: string; readonly key?: string };

const SENTINEL = /^(rediss?)-sentinel:\/\/(?:(.*)@)?([^@/?#]+)\/?(?:\?([^#]*))?(?:#(.*))?$/s;

/**
 * Which Redis keeps the lease: one, several independent ones, or the one that Sentinel names. Throws `config`; no message
 * holds a password. `rediss` is with TLS, for Sentinel to both Sentinel and Redis.
 */
export function redisPlace(options: RedisCommandOptions): RedisPlace {
  // A comma also parts the Sentinels of one URL: URLs are parted only where the next begins.
  const urls = (options.redisUrl ?? '').split(/,(?=\s*rediss?(?:-sentinel)?:\/\/)/).map((url) => url.trim()).filter((url) => url !== '');
  const [url, ...more] = urls;
  if (url === undefined) throw new PlaitError('config', 'no Redis address: give --redis-url redis://HOST:PORT or set PLAIT_REDIS_URL');
  const tls = tlsOf(options);
  if (urls.some((each) => /^rediss?-sentinel:/.test(each))) {
    if (more.length > 0) throw new PlaitError('config', '--redis-url: Sentinel is one URL that names all Sentinels, redis-sentinel://HOST:PORT,HOST:PORT#MASTER');
    return sentinelPlace(url, tls);
  }
  const isTls = urls.every((each) => each.startsWith('rediss:'));
  if (tls !== undefined && !isTls) throw new PlaitError('config', '--redis-ca, --redis-cert and --redis-key are for TLS: write rediss:// in --redis-url');
  const withTls = tls === undefined ? {} : { tls };
  return more.length === 0 ? { kind: 'node', url, ...withTls } : { kind: 'nodes', urls, ...withTls };
}

function sentinelPlace(text: string, given: Tls | undefined): RedisPlace {
  const [, scheme, credentials = '', addresses = '', query = '', master = ''] = SENTINEL.exec(text) ?? [];
  if (scheme === undefined || master === '') {
    throw new PlaitError('config', `--redis-url: ${JSON.stringify(withoutCredentials(text))} is no URL of Sentinels, wanted redis-sentinel://USER:PASSWORD@HOST:PORT,HOST:PORT#MASTER`);
  }
  if (given !== undefined && scheme === 'redis') throw new PlaitError('config', '--redis-ca, --redis-cert and --redis-key are for TLS: write rediss-sentinel:// in --redis-url');
  const colon = credentials.indexOf(':');
  const [user, password] = colon < 0 ? [credentials, ''] : [credentials.slice(0, colon), credentials.slice(colon + 1)];
  const parameters = new URLSearchParams(query);
  const unknown = [...parameters.keys()].find((name) => name !== 'sentinel-user' && name !== 'sentinel-password');
  if (unknown !== undefined) throw new PlaitError('config', `--redis-url: ${JSON.stringify(unknown)} is no parameter of a Sentinel URL, wanted sentinel-user or sentinel-password`);
  const withTls = scheme === 'rediss' ? { tls: given ?? {} } : {};
  const sentinel = { ...named('username', parameters.get('sentinel-user')), ...named('password', parameters.get('sentinel-password')), ...withTls };
  return {
    kind: 'sentinel', sentinels: addresses.split(','), master: decoded(master), ...named('username', decoded(user)), ...named('password', decoded(password)), ...withTls,
    ...(Object.keys(sentinel).length === 0 ? {} : { sentinel }),
  };
}

function named<N extends string>(name: N, value: string | null): { readonly [K in N]?: string } {
  return (value === null || value === '' ? {} : { [name]: value }) as { readonly [K in N]?: string };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

function tlsOf({ redisCa, redisCert, redisKey }: RedisCommandOptions): Tls | undefined {
  if ((redisCert === undefined) !== (redisKey === undefined)) throw new PlaitError('config', '--redis-cert and --redis-key belong together: give both or none');
  const tls: Tls = {
    ...(redisCa === undefined ? {} : { ca: pem('--redis-ca', redisCa) }),
    ...(redisCert === undefined ? {} : { cert: pem('--redis-cert', redisCert) }),
    ...(redisKey === undefined ? {} : { key: pem('--redis-key', redisKey) }),
  };
  return Object.keys(tls).length === 0 ? undefined : tls;
}

function pem(option: string, path: string): string {
  let text: string;
  try {
    text = readFileSync(path, 'utf8');
  } catch (error) {
    throw new PlaitError('config', `${option}: cannot read ${path}: ${(error as Error).message}`, { cause: error });
  }
  if (!text.includes('-----BEGIN ')) throw new PlaitError('config', `${option}: ${path} holds no PEM, wanted -----BEGIN … -----END …`);
  return text;
}
