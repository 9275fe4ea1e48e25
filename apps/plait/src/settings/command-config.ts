/**
 * `--command-config`: Java-style properties, as Kafka's own tools take them, of what concerns a connection here.
 *
 * A property of TLS or SASL that is not known here is refused: passing it over could weaken a connection. Any other is
 * passed over with a warning, as Kafka's clients do, so that one file serves all tools.
 */
import { readFileSync } from 'node:fs';
import { parseLines, type Pair } from 'dot-properties';
import { PlaitError } from '@plait/core';
import type { KafkaOptions } from '@plait/kafka';
import { saslOptions } from './command-config-sasl.ts';
import { tlsOptions } from './command-config-tls.ts';
import { didYouMean } from './config-suggest.ts';

/** What a file says of connections, and what is passed over of it. */
export interface CommandConfig extends Pick<KafkaOptions, 'clientId' | 'ssl' | 'sasl' | 'requestTimeoutMs' | 'connectTimeoutMs'> {
  readonly warnings: readonly string[];
}

/** One property and where it stands. */
export interface Property {
  readonly name: string;
  readonly value: string;
  readonly line: number;
}

const SUPPORTED = [
  'client.id', 'request.timeout.ms', 'socket.connection.setup.timeout.ms', 'security.protocol',
  'sasl.mechanism', 'sasl.jaas.config', 'sasl.login.callback.handler.class', 'sasl.oauthbearer.token.endpoint.url',
  'ssl.truststore.type', 'ssl.truststore.location', 'ssl.truststore.certificates',
  'ssl.keystore.type', 'ssl.keystore.location', 'ssl.keystore.certificate.chain', 'ssl.keystore.key', 'ssl.key.password',
  'ssl.endpoint.identification.algorithm', 'ssl.enabled.protocols',
];
const OF_SECURITY = /^(security|sasl|ssl)\./;
const PROTOCOLS = ['PLAINTEXT', 'SSL', 'SASL_PLAINTEXT', 'SASL_SSL'];

/** Reads a file's properties; see {@link parseProperties}. Throws `config`. */
export function readProperties(path: string): readonly Property[] {
  try {
    // What Java's Properties.load takes: other characters are written as escapes.
    return parseProperties(readFileSync(path, 'latin1'));
  } catch (error) {
    const why = (error as NodeJS.ErrnoException).code === 'ENOENT' ? 'there is no such file' : (error as Error).message;
    throw new PlaitError('config', `cannot read the command-config file ${path}: ${why}`, { cause: error });
  }
}

/** Properties in their order, trimmed as Kafka's clients do; of a name that stands there twice only the last counts. Any text is some properties. */
export function parseProperties(text: string): readonly Property[] {
  const found = new Map<string, Property>();
  for (const node of parseLines(text, true)) {
    if (node.type !== 'PAIR') continue;
    const { key: name, value } = node as Required<Pair>;
    found.delete(name);
    found.set(name, { name, value: value.trim(), line: text.slice(0, node.range[0]).split(/\r\n|\r|\n/).length });
  }
  return [...found.values()];
}

/** What the properties of a file say. Throws `config` that names file, line, property, value (unless secret) and what is wanted. */
export function readCommandConfig(path: string): CommandConfig {
  const properties = new Properties(path, readProperties(path));
  const warnings = properties.unknown();
  const protocol = properties.oneOf('security.protocol', PROTOCOLS) ?? 'PLAINTEXT';
  const clientId = properties.text('client.id');
  const requestTimeoutMs = properties.milliseconds('request.timeout.ms');
  const connectTimeoutMs = properties.milliseconds('socket.connection.setup.timeout.ms');
  return {
    warnings,
    ...(protocol.endsWith('SSL') ? { ssl: tlsOptions(properties) } : {}),
    ...(protocol.startsWith('SASL') ? { sasl: saslOptions(properties) } : {}),
    ...(clientId === undefined || clientId === '' ? {} : { clientId }),
    ...(requestTimeoutMs === undefined ? {} : { requestTimeoutMs }),
    ...(connectTimeoutMs === undefined ? {} : { connectTimeoutMs }),
  };
}

const MS_MAX = 3_600_000;

/** The properties of one file, asked for by their names. */
export class Properties {
  readonly path: string;
  readonly #found: ReadonlyMap<string, Property>;

  constructor(path: string, properties: readonly Property[]) {
    this.path = path;
    this.#found = new Map(properties.map((property) => [property.name, property]));
  }

  text(name: string): string | undefined {
    return this.#found.get(name)?.value;
  }

  /** Throws `config` if it is not there; `why` says what needs it. */
  needed(name: string, why: string): string {
    const value = this.text(name);
    if (value === undefined || value === '') throw new PlaitError('config', `${this.path}: ${name} is missing, ${why}`);
    return value;
  }

  oneOf(name: string, allowed: readonly string[]): string | undefined {
    const value = this.text(name);
    if (value === undefined || allowed.includes(value)) return value;
    throw this.wrong(name, `is ${JSON.stringify(value)}, wanted one of ${allowed.join(', ')}${didYouMean(value, allowed)}`);
  }

  milliseconds(name: string): number | undefined {
    const value = this.text(name);
    if (value === undefined) return undefined;
    const ms = /^\d{1,9}$/.test(value) ? Number(value) : 0;
    if (ms < 1 || ms > MS_MAX) throw this.wrong(name, `is ${JSON.stringify(value)}, wanted 1 … ${MS_MAX} milliseconds`);
    return ms;
  }

  wrong(name: string, what: string): PlaitError {
    return new PlaitError('config', `${this.path}:${this.#found.get(name)?.line ?? 1}: ${name} ${what}`);
  }

  /** Sentences for what is passed over. Throws `config` for what must not be. */
  unknown(): string[] {
    const unknown = [...this.#found.values()].filter(({ name }) => !SUPPORTED.includes(name));
    return unknown.map(({ name }) => {
      const near = didYouMean(name, SUPPORTED);
      if (OF_SECURITY.test(name)) throw this.wrong(name, `is no property that is supported here${near || `; those that are: ${SUPPORTED.join(', ')}`}`);
      return `${this.path}:${this.#found.get(name)?.line}: ${name} is not used here${near}`;
    });
  }
}
