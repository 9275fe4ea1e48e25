/** A Kafka with TLS, every way to say who one is, and ACLs that are enforced; for this folder's tests. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { KafkaOptions, Sasl } from '@plait/kafka';
import { launch, type Services } from '@plait/launcher';
import kafkajs, { type Admin } from 'kafkajs';
import { makeAuthority, type Authority } from './certificates.ts';

const { AclOperationTypes, AclPermissionTypes, AclResourceTypes, Kafka, logLevel, ResourcePatternTypes } = kafkajs;

/** Operations as kafka-acls writes them. */
export const OPERATIONS = {
  Read: AclOperationTypes.READ, Write: AclOperationTypes.WRITE, Create: AclOperationTypes.CREATE,
  Describe: AclOperationTypes.DESCRIBE, DescribeConfigs: AclOperationTypes.DESCRIBE_CONFIGS,
} as const;

/** A right as an ACL grants it. */
export interface Grant {
  readonly operation: keyof typeof OPERATIONS;
  readonly kind: 'topic' | 'group';
  readonly name: string;
  readonly isPrefix?: boolean;
}

/** What the users of these tests are called and how they show it. */
export const passwordOf = (user: string): string => `${user}-secret`;

const MODULES = {
  plain: 'org.apache.kafka.common.security.plain.PlainLoginModule',
  'scram-sha-256': 'org.apache.kafka.common.security.scram.ScramLoginModule',
  'scram-sha-512': 'org.apache.kafka.common.security.scram.ScramLoginModule',
  oauthbearer: 'org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule',
} as const;

export class SecuredKafka implements AsyncDisposable {
  readonly #services: Services;
  readonly #folder: string;
  readonly authority: Authority;
  readonly admin: Admin;

  constructor(services: Services, made: { folder: string; authority: Authority; admin: Admin }) {
    this.#services = services;
    this.#folder = made.folder;
    this.authority = made.authority;
    this.admin = made.admin;
  }

  /** `host:port` of a listener: `MTLS`, `SASL`, `EXPIRED`, or `PLAINTEXT`, where everybody is the super user. */
  address(listener: 'MTLS' | 'SASL' | 'EXPIRED' | 'PLAINTEXT'): string {
    return this.#services.kafka?.addresses(listener) ?? '';
  }

  get redisUrl(): string {
    return this.#services.redisUrl;
  }

  /** As a user of the listener `SASL`. */
  options(sasl: Sasl): KafkaOptions {
    return { brokers: [this.address('SASL')], ssl: { ca: this.authority.ca }, sasl };
  }

  /** A file in the folder of this Kafka. */
  async file(name: string, text: string): Promise<string> {
    const path = join(this.#folder, name);
    await writeFile(path, text);
    return path;
  }

  /** Properties for a user of the listener `SASL`, as Kafka's own tools take them. */
  async properties(user: string, mechanism: Exclude<Sasl['mechanism'], 'oauthbearer'> = 'scram-sha-512'): Promise<string> {
    return await this.file(`${user}-${mechanism}.properties`, [
      'security.protocol=SASL_SSL', `sasl.mechanism=${mechanism.toUpperCase()}`,
      `sasl.jaas.config=${MODULES[mechanism]} required username="${user}" password="${passwordOf(user)}";`,
      ...(await this.#trust()),
    ].join('\n'));
  }

  /** Properties for a client that shows a certificate, at the listener `MTLS`. */
  async mutualProperties(commonName: string): Promise<string> {
    const { cert, key } = this.authority.issue(commonName);
    const keystore = await this.file(`${commonName}.pem`, `${key}${cert}`);
    return await this.file(`${commonName}.properties`, [
      'security.protocol=SSL', 'ssl.keystore.type=PEM', `ssl.keystore.location=${keystore}`, ...(await this.#trust()),
    ].join('\n'));
  }

  /** Properties for a client whose token comes from an OAuth 2.0 endpoint. */
  async tokenProperties(endpoint: string, clientSecret = passwordOf('plait')): Promise<string> {
    return await this.file('oauth.properties', [
      'security.protocol=SASL_SSL', 'sasl.mechanism=OAUTHBEARER', `sasl.oauthbearer.token.endpoint.url=${endpoint}`,
      'sasl.login.callback.handler.class=org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginCallbackHandler',
      `sasl.jaas.config=${MODULES.oauthbearer} required clientId="plait" clientSecret="${clientSecret}";`,
      ...(await this.#trust()),
    ].join('\n'));
  }

  async #trust(): Promise<string[]> {
    return ['ssl.truststore.type=PEM', `ssl.truststore.location=${await this.file('ca.pem', this.authority.ca)}`, ''];
  }

  /** Gives a user exactly these rights beside what it has, and waits until they are in force. */
  async grant(user: string, grants: readonly Grant[]): Promise<void> {
    const principal = `User:${user}`;
    if (grants.length === 0) return;
    await this.admin.createAcls({
      acl: grants.map(({ operation, kind, name, isPrefix = false }) => ({
        resourceType: kind === 'topic' ? AclResourceTypes.TOPIC : AclResourceTypes.GROUP,
        resourceName: name,
        resourcePatternType: isPrefix ? ResourcePatternTypes.PREFIXED : ResourcePatternTypes.LITERAL,
        principal, host: '*', operation: OPERATIONS[operation], permissionType: AclPermissionTypes.ALLOW,
      })),
    });
    const filter = {
      resourceType: AclResourceTypes.ANY, resourcePatternType: ResourcePatternTypes.ANY,
      principal, operation: AclOperationTypes.ANY, permissionType: AclPermissionTypes.ANY,
    };
    const wanted = grants.map(({ operation, name }) => `${OPERATIONS[operation]} ${name}`);
    for (;;) {
      const { resources } = await this.admin.describeAcls(filter);
      const found = new Set(resources.flatMap(({ resourceName, acls }) => acls.map(({ operation }) => `${operation} ${resourceName}`)));
      if (wanted.every((each) => found.has(each))) return;
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
  }

  /** Takes one right away, and waits until it is gone. */
  async revoke(user: string, { operation, kind, name }: Grant): Promise<void> {
    const filter = {
      resourceType: kind === 'topic' ? AclResourceTypes.TOPIC : AclResourceTypes.GROUP, resourceName: name,
      resourcePatternType: ResourcePatternTypes.LITERAL, principal: `User:${user}`, host: '*', operation: OPERATIONS[operation],
      permissionType: AclPermissionTypes.ALLOW,
    };
    await this.admin.deleteAcls({ filters: [filter] });
    while ((await this.admin.describeAcls(filter)).resources.length > 0) await new Promise((resolve) => setTimeout(resolve, 50));
  }

  async createTopic(topic: string, partitions: number): Promise<void> {
    await this.admin.createTopics({ waitForLeaders: true, topics: [{ topic, numPartitions: partitions, replicationFactor: 1 }] });
  }

  async produce(topic: string, values: readonly string[]): Promise<void> {
    const producer = quiet(this.address('PLAINTEXT')).producer({ createPartitioner: kafkajs.Partitioners.DefaultPartitioner });
    await producer.connect();
    await producer.send({ topic, acks: -1, messages: values.map((value) => ({ key: value, value })) });
    await producer.disconnect();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.admin.disconnect();
    await this.#services.stop();
    await rm(this.#folder, { recursive: true });
  }
}

const quiet = (address: string): kafkajs.Kafka => new Kafka({ brokers: [address], logLevel: logLevel.NOTHING, retry: { retries: 10 } });

/** Starts it, and a Redis. `users` may come with PLAIN and both kinds of SCRAM; `reauthMs` is how long a session of theirs lasts. */
export async function startSecuredKafka({ users, reauthMs = 0 }: { users: readonly string[]; reauthMs?: number }): Promise<SecuredKafka> {
  const folder = await mkdtemp(join(tmpdir(), 'plait-secured-'));
  const authority = makeAuthority('test CA');
  const pem = async (name: string, text: string): Promise<string> => {
    await writeFile(join(folder, name), text);
    return join(folder, name);
  };
  const [server, expired] = [authority.issue('localhost'), authority.issue('localhost', { days: -1 })];
  const plainUsers = users.map((user) => `user_${user}="${passwordOf(user)}"`).join(' ');
  const settings = {
    'ssl.keystore.type': 'PEM', 'ssl.keystore.location': await pem('server.pem', `${server.key}${server.cert}`),
    'ssl.truststore.type': 'PEM', 'ssl.truststore.location': await pem('ca.pem', authority.ca),
    'listener.name.mtls.ssl.client.auth': 'required',
    'listener.name.expired.ssl.keystore.type': 'PEM',
    'listener.name.expired.ssl.keystore.location': await pem('expired.pem', `${expired.key}${expired.cert}`),
    'sasl.enabled.mechanisms': 'PLAIN,SCRAM-SHA-256,SCRAM-SHA-512,OAUTHBEARER',
    'listener.name.sasl.plain.sasl.jaas.config': `${MODULES.plain} required ${plainUsers};`,
    'listener.name.sasl.scram-sha-256.sasl.jaas.config': `${MODULES['scram-sha-256']} required;`,
    'listener.name.sasl.scram-sha-512.sasl.jaas.config': `${MODULES['scram-sha-512']} required;`,
    // Kafka's handler for development: it takes tokens without a signature.
    'listener.name.sasl.oauthbearer.sasl.jaas.config': `${MODULES.oauthbearer} required unsecuredLoginStringClaim_sub="broker";`,
    'listener.name.sasl.connections.max.reauth.ms': `${reauthMs}`,
    'authorizer.class.name': 'org.apache.kafka.metadata.authorizer.StandardAuthorizer',
    // Whoever comes by the plain listener: the tests' administrator, and the broker itself.
    'super.users': 'User:ANONYMOUS',
  };
  const format = users.flatMap((name) =>
    ['SCRAM-SHA-256', 'SCRAM-SHA-512'].flatMap((mechanism) => ['--add-scram', `${mechanism}=[name=${name},password=${passwordOf(name)}]`]));
  const services = await launch({
    mode: 'processes',
    kafkaProcess: { listeners: { MTLS: 'SSL', SASL: 'SASL_SSL', EXPIRED: 'SSL' }, settings, format },
  });
  const admin = quiet(services.bootstrapServers).admin();
  await admin.connect();
  return new SecuredKafka(services, { folder, authority, admin });
}
