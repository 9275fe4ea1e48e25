import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { isPlaitError } from '@plait/core';
import { parseJaas } from '../../apps/plait/src/settings/command-config-jaas.ts';
import { parseProperties, readCommandConfig, type CommandConfig } from '../../apps/plait/src/settings/command-config.ts';
import { redisPlace } from '../../apps/plait/src/settings/config-redis.ts';
import { fc } from '../properties/fast-check.ts';

const CERTIFICATE = '-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----\n';
const KEY = '-----BEGIN ENCRYPTED PRIVATE KEY-----\nMIIC\n-----END ENCRYPTED PRIVATE KEY-----\n';
const PLAIN = 'org.apache.kafka.common.security.plain.PlainLoginModule';
const SCRAM = 'org.apache.kafka.common.security.scram.ScramLoginModule';
const BEARER = 'org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule';

let folder: string;
const at = (name: string): string => join(folder, name);

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'plait-properties-'));
  writeFileSync(at('ca.pem'), CERTIFICATE);
  writeFileSync(at('client.pem'), KEY + CERTIFICATE);
  writeFileSync(at('key.pem'), KEY);
  writeFileSync(at('store.jks'), Buffer.from('feedfeed0000', 'hex'));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

function read(text: string): CommandConfig {
  writeFileSync(at('client.properties'), text, 'latin1');
  return readCommandConfig(at('client.properties'));
}

function refusal(text: string): string {
  try {
    read(text);
  } catch (error) {
    if (isPlaitError(error, 'config')) return error.message;
    throw error;
  }
  throw new Error('not refused');
}

const line = (pem: string): string => pem.trim().replaceAll('\n', '\\n');
const sasl = (mechanism: string, jaas: string, more = ''): CommandConfig => read(`security.protocol=SASL_PLAINTEXT\nsasl.mechanism=${mechanism}\nsasl.jaas.config=${jaas}\n${more}`);

describe('properties as Java reads them', () => {
  test('separators, escapes, continuation lines, comments, the last of a name', () => {
    const text = '# comment\n! comment\n  a = 1 \nb:2\nc 3\nd=x\\\n    y\\u00e4\\t\\=\ne\\ f=\\ g\n\na=4\nh';
    expect(parseProperties(text).map(({ name, value, line }) => [name, value, line])).toEqual([
      ['b', '2', 4], ['c', '3', 5], ['d', 'xyä\t=', 6], ['e f', 'g', 8], ['a', '4', 10], ['h', '', 11],
    ]);
    expect(parseProperties('a=1\r\nb=2\r\n').map(({ line }) => line)).toEqual([1, 2]);
  });

  test('other characters are those of Latin 1, as Java takes them', () => {
    expect(read('client.id=caf\u00e9').clientId).toBe('café');
  });
});

describe('what a file says', () => {
  test('nothing is plain TCP', () => {
    expect(read('')).toEqual({ warnings: [] });
    expect(read('client.id=me\nrequest.timeout.ms=5000\nsocket.connection.setup.timeout.ms=700')).toEqual({ warnings: [], clientId: 'me', requestTimeoutMs: 5_000, connectTimeoutMs: 700 });
  });

  test('TLS with PEM, from files and in the property', () => {
    expect(read(`security.protocol=SSL\nssl.truststore.type=PEM\nssl.truststore.location=${at('ca.pem')}`)).toEqual({ warnings: [], ssl: { ca: CERTIFICATE } });
    expect(read(`security.protocol=SSL\nssl.truststore.location=${at('ca.pem')}\nssl.keystore.location=${at('client.pem')}\nssl.key.password=secret`).ssl)
      .toEqual({ ca: CERTIFICATE, key: KEY + CERTIFICATE, cert: KEY + CERTIFICATE, passphrase: 'secret' });
    expect(read(`security.protocol=SSL\nssl.truststore.certificates=${line(CERTIFICATE)}\nssl.keystore.key=${line(KEY)}\nssl.keystore.certificate.chain=${line(CERTIFICATE)}`).ssl)
      .toEqual({ ca: CERTIFICATE.trim(), key: KEY.trim(), cert: CERTIFICATE.trim() });
    expect(read('security.protocol=SSL\nssl.enabled.protocols=TLSv1.3').ssl).toEqual({ minVersion: 'TLSv1.3', maxVersion: 'TLSv1.3' });
    expect(read('security.protocol=SSL').ssl).toEqual({});
    const unchecked = read('security.protocol=SSL\nssl.endpoint.identification.algorithm=').ssl;
    expect(unchecked).toEqual({ checkServerIdentity: expect.any(Function) as unknown });
  });

  test('SASL PLAIN, SCRAM and OAUTHBEARER', async () => {
    expect(sasl('PLAIN', `${PLAIN} required \\\n  username="a" \\\n  password="p\\\\"w;=";`)).toEqual({ warnings: [], sasl: { mechanism: 'plain', username: 'a', password: 'p"w;=' } });
    expect(sasl('SCRAM-SHA-256', `${SCRAM} required username='a' password=b;`).sasl).toEqual({ mechanism: 'scram-sha-256', username: 'a', password: 'b' });
    expect(sasl('SCRAM-SHA-512', `${SCRAM} required username="a" password="b";`).sasl).toEqual({ mechanism: 'scram-sha-512', username: 'a', password: 'b' });
    const unsecured = sasl('OAUTHBEARER', `${BEARER} required unsecuredLoginStringClaim_sub="alice";`).sasl;
    const token = unsecured?.mechanism === 'oauthbearer' ? await unsecured.token() : '';
    expect(JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString())).toMatchObject({ sub: 'alice' });
    writeFileSync(at('token'), 'abc\n');
    const file = sasl('OAUTHBEARER', `${BEARER} required;`, `sasl.oauthbearer.token.endpoint.url=file://${at('token')}`).sasl;
    expect(file?.mechanism === 'oauthbearer' ? await file.token() : '').toBe('abc');
    expect(sasl('OAUTHBEARER', `${BEARER} required clientId="i" clientSecret="s" scope="x";`, 'sasl.oauthbearer.token.endpoint.url=https://idp.example/token').sasl)
      .toEqual({ mechanism: 'oauthbearer', token: expect.any(Function) as unknown });
  });

  test('what does not concern a connection here is passed over with a warning', () => {
    expect(read('acks=all\nclient.ids=x').warnings).toEqual([
      `${at('client.properties')}:1: acks is not used here`, `${at('client.properties')}:2: client.ids is not used here; did you mean "client.id"?`,
    ]);
  });
});

test.each([
  ['security.protocl=SSL', 1, 'security.protocl is no property that is supported here; did you mean "security.protocol"?'],
  ['\nssl.provider=x', 2, 'ssl.provider is no property that is supported here'],
  ['security.protocol=TLS', 1, 'security.protocol is "TLS", wanted one of PLAINTEXT, SSL, SASL_PLAINTEXT, SASL_SSL'],
  ['request.timeout.ms=soon', 1, 'request.timeout.ms is "soon", wanted 1 … 3600000 milliseconds'],
  ['security.protocol=SASL_SSL\nsasl.mechanism=GSSAPI', 2, 'sasl.mechanism is "GSSAPI", wanted one of PLAIN, SCRAM-SHA-256'],
  [`security.protocol=SASL_SSL\nsasl.mechanism=PLAIN\nsasl.jaas.config=${SCRAM} required username="a" password="hush";`, 3, `sasl.jaas.config names ${SCRAM}, and sasl.mechanism=PLAIN wants ${PLAIN}`],
  [`security.protocol=SASL_SSL\nsasl.mechanism=PLAIN\nsasl.jaas.config=${PLAIN} required username="a" password="hush"`, 3, 'sasl.jaas.config cannot be read: ";" is missing at the end'],
  [`security.protocol=SASL_SSL\nsasl.mechanism=PLAIN\nsasl.jaas.config=${PLAIN} required username="a" password="hush;`, 3, 'sasl.jaas.config cannot be read: a string is not closed'],
  [`security.protocol=SASL_SSL\nsasl.mechanism=PLAIN\nsasl.jaas.config=${PLAIN} required user="a" password="hush";`, 3, 'sasl.jaas.config has no username'],
  ['security.protocol=SSL\nssl.endpoint.identification.algorithm=LDAPS', 2, 'ssl.endpoint.identification.algorithm is "LDAPS", wanted https'],
  ['security.protocol=SSL\nssl.enabled.protocols=TLSv1.1', 2, 'ssl.enabled.protocols has "TLSv1.1", wanted TLSv1.2, TLSv1.3'],
  ['security.protocol=SSL\nssl.truststore.certificates=hush', 2, 'ssl.truststore.certificates holds no PEM'],
])('%j is refused, and no secret is told', (text, line, message) => {
  const told = refusal(text);
  expect(told).toContain(`${at('client.properties')}:${line}: ${message}`);
  expect(told).not.toContain('hush');
});

test('what is missing is named, and a store that is no PEM comes with its conversion', () => {
  expect(refusal('security.protocol=SASL_SSL')).toContain('sasl.mechanism is missing');
  expect(refusal('security.protocol=SASL_SSL\nsasl.mechanism=PLAIN')).toContain('sasl.jaas.config is missing');
  expect(refusal(`security.protocol=SSL\nssl.keystore.location=${at('key.pem')}`)).toContain('give ssl.keystore.certificate.chain');
  for (const text of [`ssl.truststore.type=JKS\nssl.truststore.location=${at('store.jks')}`, `ssl.truststore.location=${at('store.jks')}`]) {
    expect(refusal(`security.protocol=SSL\n${text}`)).toContain(`keytool -importkeystore -srckeystore ${at('store.jks')} -destkeystore ${at('store.jks')}.p12 -deststoretype PKCS12, then openssl pkcs12`);
  }
  expect(refusal('security.protocol=SSL\nssl.keystore.type=PKCS12\nssl.keystore.location=/a/b.p12')).toContain('openssl pkcs12 -in /a/b.p12 -out /a/b.pem; then set ssl.keystore.type=PEM');
  expect(() => readCommandConfig(at('none'))).toThrow('there is no such file');
});

test('any text is properties, and a login module is read or refused without being told', () => {
  fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => {
    for (const { line } of parseProperties(text)) expect(line).toBeGreaterThan(0);
  }));
  const word = fc.constantFrom('a.b', ' required', ' x', '=', '"y"', "'z'", ';', ' ', '"', '\\', 'é', '\n');
  fc.assert(fc.property(fc.oneof(fc.array(word).map((words) => words.join('')), fc.string({ unit: 'binary' })), (text) => {
    try {
      expect(parseJaas(text).module).not.toBe('');
    } catch (error) {
      expect((error as Error).message).toMatch(/missing|not closed|allowed/);
    }
  }), { numRuns: 2_000 });
  const plain = fc.string({ unit: 'grapheme-ascii' }).filter((text) => !/[\n\r\t]/.test(text));
  fc.assert(fc.property(plain, (password) => {
    expect(parseJaas(`m required p="${password.replace(/["\\]/g, '\\$&')}";`).options.get('p')).toBe(password);
  }));
});

describe('where the lease is kept', () => {
  test('one Redis, a majority of several, or behind Sentinel', () => {
    expect(redisPlace({ redisUrl: 'redis://h:1' })).toEqual({ kind: 'node', url: 'redis://h:1' });
    expect(redisPlace({ redisUrl: 'redis://u:a,b@h:1, redis://i:2' })).toEqual({ kind: 'nodes', urls: ['redis://u:a,b@h:1', 'redis://i:2'] });
    expect(redisPlace({ redisUrl: 'rediss://h:1', redisCa: at('ca.pem') })).toEqual({ kind: 'node', url: 'rediss://h:1', tls: { ca: CERTIFICATE } });
    expect(redisPlace({ redisUrl: 'redis-sentinel://h:1,i:2#main' })).toEqual({ kind: 'sentinel', sentinels: ['h:1', 'i:2'], master: 'main' });
    expect(redisPlace({ redisUrl: 'rediss-sentinel://u:p%40@h:1?sentinel-user=s&sentinel-password=t#main', redisCa: at('ca.pem') })).toEqual({
      kind: 'sentinel', sentinels: ['h:1'], master: 'main', username: 'u', password: 'p@', tls: { ca: CERTIFICATE },
      sentinel: { username: 's', password: 't', tls: { ca: CERTIFICATE } },
    });
  });

  test.each([
    [{}, 'no Redis address'],
    [{ redisUrl: 'redis-sentinel://u:hush@h:1' }, 'is no URL of Sentinels'],
    [{ redisUrl: 'redis-sentinel://h:1#m,redis://i:1' }, 'Sentinel is one URL'],
    [{ redisUrl: 'redis-sentinel://h:1?sentinel=x#m' }, 'is no parameter of a Sentinel URL'],
    [{ redisUrl: 'redis://h:1', redisCa: '/ca.pem' }, 'cannot read /ca.pem'],
    [{ redisUrl: 'rediss://h:1', redisCert: '/c.pem' }, 'belong together'],
  ])('%j is refused', (options, message) => {
    expect(() => redisPlace(options)).toThrow(expect.objectContaining({ code: 'config', message: expect.stringContaining(message) as string }) as Error);
    expect(() => redisPlace(options)).not.toThrow(/hush/);
  });

  test('TLS options without TLS', () => {
    expect(() => redisPlace({ redisUrl: 'redis://h:1', redisCa: at('ca.pem') })).toThrow('write rediss://');
    expect(() => redisPlace({ redisUrl: 'redis-sentinel://h:1#m', redisCa: at('ca.pem') })).toThrow('write rediss-sentinel://');
    expect(() => redisPlace({ redisUrl: 'rediss://h:1', redisCa: at('store.jks') })).toThrow('holds no PEM');
  });
});
