/** Where every option of kafkajs is spelled out, for its public client and for the connections of our own. */
import { connect as connectTcp, isIP } from 'node:net';
import { connect as connectTls } from 'node:tls';
import type { ConnectionOptions as TlsOptions } from 'node:tls';
import kafkajs from 'kafkajs';
import type { ISocketFactory, Kafka, KafkaConfig, logCreator } from 'kafkajs';
import { PlaitError } from '@plait/core';
import { registerCodecs } from './codecs.ts';
import { Broker, ConnectionPool, loggers } from './internals.ts';
import { saslOptions } from './sasl.ts';
import type { Sasl } from './sasl.ts';

// Node finds no names in kafkajs' CommonJS exports.
const { logLevel } = kafkajs;

/** Takes one line of kafkajs' own log. `fields` are printable; never record contents. */
export type KafkaLog = (
  level: 'debug' | 'info' | 'warn' | 'error',
  message: string,
  fields: Readonly<Record<string, unknown>>,
) => void;

/** How to reach a Kafka cluster. */
export interface KafkaOptions {
  /** `host:port` of one or more brokers to begin with; the others are learnt from them. */
  readonly brokers: readonly string[];
  /** Name shown in the brokers' logs and quotas. Default `plait`. */
  readonly clientId?: string;
  /**
   * TLS, with Node's options: `ca` (PEM text) to trust another than Node's CAs, `cert`, `key` and `passphrase` for mTLS, and so
   * on; `true` for TLS with the defaults. Default: plain TCP.
   */
  readonly ssl?: TlsOptions | boolean;
  /** Default: no authentication, but that of a client certificate. */
  readonly sasl?: Sasl;
  /** Default: kafkajs' log is dropped; what a caller must know comes as an error. */
  readonly log?: KafkaLog;
  /** For TCP, TLS and the first request, each. Default 1,500 ms, so that a start without a broker ends within 5 s. */
  readonly connectTimeoutMs?: number;
  /** How long a broker that accepted a request may stay silent before the connection is given up. Default 10,000 ms. */
  readonly requestTimeoutMs?: number;
}

const CONNECT_TIMEOUT_MS = 1_500;
const REQUEST_TIMEOUT_MS = 10_000;
const AUTHENTICATION_TIMEOUT_MS = 5_000;
/** kafkajs renews a SASL session this long before its end. */
const REAUTHENTICATION_THRESHOLD_MS = 10_000;
const KEEP_ALIVE_DELAY_MS = 60_000;

/** As kafkajs' own, but without Nagle's algorithm: a small request must not wait for the answer to an earlier one. */
const socketFactory: ISocketFactory = ({ host, port, ssl, onConnect }) => {
  const socket = ssl
    ? // An address is no server name (RFC 6066, section 3).
      connectTls({ host, port, ...(isIP(host) === 0 ? { servername: host } : {}), ...ssl }, onConnect)
    : connectTcp({ host, port, noDelay: true }, onConnect);
  socket.setNoDelay(true);
  socket.setKeepAlive(true, KEEP_ALIVE_DELAY_MS);
  return socket;
};

const LEVELS = { [logLevel.ERROR]: 'error', [logLevel.WARN]: 'warn', [logLevel.INFO]: 'info', [logLevel.DEBUG]: 'debug' } as const;

function logCreatorFor(log: KafkaLog | undefined): logCreator {
  return () =>
    ({ namespace, level, log: entry }) => {
      const { message, ...fields } = entry;
      if (level !== logLevel.NOTHING) log?.(LEVELS[level], message, { namespace, ...fields });
    };
}

function kafkaConfig(options: KafkaOptions): KafkaConfig {
  return {
    brokers: [...options.brokers],
    clientId: options.clientId ?? 'plait',
    ...(options.ssl === undefined ? {} : { ssl: options.ssl }),
    ...(options.sasl === undefined ? {} : { sasl: saslOptions(options.sasl) }),
    connectionTimeout: options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS,
    authenticationTimeout: AUTHENTICATION_TIMEOUT_MS,
    reauthenticationThreshold: REAUTHENTICATION_THRESHOLD_MS,
    requestTimeout: options.requestTimeoutMs ?? REQUEST_TIMEOUT_MS,
    // Without it a request to a stopped broker would hang for ever.
    enforceRequestTimeout: true,
    // Few and short: our callers bound each call and try again by their own rules.
    retry: { retries: 3, initialRetryTime: 100, maxRetryTime: 1_000, factor: 0.2, multiplier: 2 },
    socketFactory,
    logLevel: options.log === undefined ? logLevel.NOTHING : logLevel.INFO,
    logCreator: logCreatorFor(options.log),
  };
}

/** kafkajs' public client, for what is not on the way of the records: administration and group membership. Connects nothing. */
export function createKafka(options: KafkaOptions): Kafka {
  registerCodecs();
  return new kafkajs.Kafka(kafkaConfig(options));
}

/** A connection of our own to one broker. Connects nothing. Throws `config` if `address` is not `host:port`. */
export function createBroker(options: KafkaOptions, address: string): Broker {
  registerCodecs();
  const colon = address.lastIndexOf(':');
  const port = Number(address.slice(colon + 1));
  if (colon < 1 || !Number.isInteger(port) || port < 1 || port > 65_535) {
    throw new PlaitError('config', `broker address ${JSON.stringify(address)} is not host:port`);
  }
  const config = kafkaConfig(options);
  const logger = loggers.createLogger({ level: config.logLevel ?? logLevel.NOTHING, logCreator: logCreatorFor(options.log) });
  return new Broker({
    connectionPool: new ConnectionPool({
      host: address.slice(0, colon).replace(/^\[(.*)\]$/, '$1'),
      port,
      logger,
      socketFactory,
      requestTimeout: options.requestTimeoutMs ?? REQUEST_TIMEOUT_MS,
      connectionTimeout: options.connectTimeoutMs ?? CONNECT_TIMEOUT_MS,
      enforceRequestTimeout: true,
      // We never have two on one connection; no queue of kafkajs' own.
      maxInFlightRequests: null,
      clientId: options.clientId ?? 'plait',
      reauthenticationThreshold: REAUTHENTICATION_THRESHOLD_MS,
      ssl: options.ssl ?? null,
      sasl: options.sasl === undefined ? null : saslOptions(options.sasl),
    }),
    logger,
    authenticationTimeout: AUTHENTICATION_TIMEOUT_MS,
    allowAutoTopicCreation: false,
  });
}
