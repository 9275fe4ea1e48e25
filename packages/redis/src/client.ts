/** One connection to a Redis for the lease, as ioredis makes it. */
import { Redis } from 'ioredis';
import type { RedisOptions } from 'ioredis';
import { addressOf } from './place.ts';
import type { Endpoint } from './place.ts';

const COMMAND_TIMEOUT_MS = 200;
const CONNECT_TIMEOUT_MS = 2_000;
const RECONNECT_MS = { first: 50, max: 500 } as const;

const reconnectMs = (times: number): number => Math.min(RECONNECT_MS.first * times, RECONNECT_MS.max);

const CLIENT = {
  lazyConnect: true,
  connectTimeout: CONNECT_TIMEOUT_MS,
  commandTimeout: COMMAND_TIMEOUT_MS,
  // By default ioredis keeps commands while Redis is away and sends them, stale, when it is back.
  enableOfflineQueue: false,
  maxRetriesPerRequest: 0,
  autoResendUnfulfilledCommands: false,
  // It comes back by itself, soon, for ever.
  retryStrategy: reconnectMs,
  // After a failover the former master refuses writes: ask Sentinel again.
  reconnectOnError: (error) => error.message.includes('READONLY'),
  noDelay: true,
  // Each of these is a command that an ACL would have to allow: HELLO, CLIENT SETINFO, INFO.
  protocol: 2,
  disableClientInfo: true,
  enableReadyCheck: false,
} satisfies RedisOptions;

/** A client for `endpoint`, not connected yet. It prints nothing. */
export function makeClient({ at, credentials, database, tls }: Endpoint): Redis {
  const common = {
    ...CLIENT,
    db: database,
    ...credentials,
    ...(tls === undefined ? {} : { tls }),
  } satisfies RedisOptions;
  if (!('kind' in at)) return new Redis({ ...common, host: at.host, port: at.port });
  return new Redis({
    ...common,
    sentinels: at.sentinels.map(addressOf),
    name: at.master,
    enableTLSForSentinelMode: tls !== undefined,
    sentinelCommandTimeout: COMMAND_TIMEOUT_MS,
    sentinelRetryStrategy: reconnectMs,
    ...(at.sentinel?.username === undefined ? {} : { sentinelUsername: at.sentinel.username }),
    ...(at.sentinel?.password === undefined ? {} : { sentinelPassword: at.sentinel.password }),
    ...(at.sentinel?.tls === undefined ? {} : { sentinelTLS: at.sentinel.tls }),
  });
}
