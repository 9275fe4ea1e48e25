/** Where a lease may be kept: one Redis, whichever Redis Sentinel names, or a majority of several. */
import { isIP } from 'node:net';
import type { ConnectionOptions as TlsOptions } from 'node:tls';
import { PlaitError } from '@plait/core';

/** Which Redis keeps the lease. */
export type RedisPlace = RedisNode | RedisSentinel | RedisNodes;

/** One Redis. If it is away nobody gets the lease, and the ledger goes on without. */
export interface RedisNode {
  readonly kind: 'node';
  /** `redis://[user:password@]host[:port][/database]`, `rediss://` with TLS; user and password percent-encoded. */
  readonly url: string;
  /** Node's TLS options for a `rediss://` URL: `ca`, `cert`, `key` as PEM text, and so on. Default: the CAs that Node trusts. */
  readonly tls?: TlsOptions;
}

/** A Redis with replicas that Sentinel watches: whichever of them Sentinel says is the master. */
export interface RedisSentinel {
  readonly kind: 'sentinel';
  /** `host:port` of at least one Sentinel; the others are learnt from them. */
  readonly sentinels: readonly string[];
  /** The name under which Sentinel watches it. */
  readonly master: string;
  /** ACL user and password at Redis. */
  readonly username?: string;
  readonly password?: string;
  /** TLS to Redis. Default: plain TCP. */
  readonly tls?: TlsOptions;
  /** ACL user, password and TLS at the Sentinels themselves. Default: none. */
  readonly sentinel?: { readonly username?: string; readonly password?: string; readonly tls?: TlsOptions };
}

/** Several that know nothing of each other: whoever holds the lease at more than half of them holds it. */
export interface RedisNodes {
  readonly kind: 'nodes';
  /** As {@link RedisNode.url}; three or five, since an even number stands no more losses than one less. */
  readonly urls: readonly string[];
  /** As {@link RedisNode.tls}, for all of them. */
  readonly tls?: TlsOptions;
}

/** One Redis server, or one that Sentinel names. */
export interface Endpoint {
  /** For people: `host:port`, or the master's name and its Sentinels. */
  readonly name: string;
  /** What is sent to it; undefined: nothing. */
  readonly credentials: { readonly username?: string; readonly password: string } | undefined;
  readonly database: number;
  readonly tls: TlsOptions | undefined;
  readonly at: { readonly host: string; readonly port: number } | RedisSentinel;
}

const PORT = 6_379;
const SENTINEL_PORT = 26_379;

/** What a place consists of. Throws `config`, in which no password stands. */
export function endpointsOf(place: RedisPlace): readonly Endpoint[] {
  if (place.kind === 'node') return [endpointOf(place.url, place.tls)];
  if (place.kind === 'sentinel') return [sentinelEndpoint(place)];
  const endpoints = place.urls.map((url) => endpointOf(url, place.tls));
  if (endpoints.length === 0) throw new PlaitError('config', 'no Redis is named: give the URLs of the independent Redis servers');
  const repeated = endpoints.find(({ name }, index) => endpoints.findIndex((other) => other.name === name) < index);
  if (repeated !== undefined) {
    throw new PlaitError('config', `Redis ${repeated.name} is named twice: each of several counts once, so name each once`);
  }
  return endpoints;
}

function endpointOf(text: string, tls: TlsOptions | undefined): Endpoint {
  const url = URL.canParse(text) ? new URL(text) : undefined;
  const database = url === undefined ? undefined : /^\/?(\d{0,5})$/.exec(url.pathname)?.[1];
  if (url === undefined || database === undefined || url.hostname === '' || (url.protocol !== 'redis:' && url.protocol !== 'rediss:')) {
    throw new PlaitError('config', `the URL of Redis is ${JSON.stringify(withoutSecret(text))}, wanted redis://HOST:PORT or rediss://HOST:PORT, ` +
      'with USER:PASSWORD@ before HOST and /DATABASE after PORT if need be');
  }
  const isTls = url.protocol === 'rediss:';
  const host = url.hostname.replace(/^\[(.*)\]$/, '$1');
  if (tls !== undefined && !isTls) {
    throw new PlaitError('config', `Redis ${url.host} is given TLS options, but its URL begins with redis://, which is without TLS: write rediss://`);
  }
  return {
    name: `${url.hostname}:${url.port || PORT}`,
    credentials: credentialsOf(decoded(url.username), decoded(url.password)),
    database: Number(database),
    // The name that a server with several certificates chooses by.
    tls: isTls ? { ...(isIP(host) === 0 ? { servername: host } : {}), ...tls } : undefined,
    at: { host, port: Number(url.port || PORT) },
  };
}

function sentinelEndpoint(place: RedisSentinel): Endpoint {
  if (place.sentinels.length === 0) throw new PlaitError('config', 'no Sentinel is named: give HOST:PORT of at least one');
  if (place.master === '') throw new PlaitError('config', 'the name of the master that Sentinel watches is empty: give it as in "sentinel monitor NAME …"');
  for (const address of place.sentinels) addressOf(address);
  return {
    name: `${place.master} of the Sentinels ${place.sentinels.join(', ')}`,
    credentials: credentialsOf(place.username ?? '', place.password ?? ''), database: 0, tls: place.tls, at: place,
  };
}

function credentialsOf(username: string, password: string): Endpoint['credentials'] {
  if (username === '') return password === '' ? undefined : { password };
  return { username, password };
}

/** Host and port of a Sentinel. Throws `config`. */
export function addressOf(text: string): { readonly host: string; readonly port: number } {
  const match = /^\[?([^\]]+?)\]?(?::(\d{1,5}))?$/.exec(text);
  const port = Number(match?.[2] ?? SENTINEL_PORT);
  if (match?.[1] === undefined || text.includes('/') || port < 1 || port > 65_535) {
    throw new PlaitError('config', `the Sentinel ${JSON.stringify(text)} is no address, wanted HOST:PORT`);
  }
  return { host: match[1], port };
}

function decoded(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

/** What stands before the last `@` may be a password, also where the rest is no URL. */
function withoutSecret(text: string): string {
  return text.replace(/^((?:[a-z]+:)?\/\/)?.*@/is, '$1…@');
}
