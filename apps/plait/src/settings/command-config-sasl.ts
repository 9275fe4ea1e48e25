/** SASL by Kafka's properties: the login module, its options, and for OAUTHBEARER where tokens come from. */
import { fileURLToPath } from 'node:url';
import { tokenFromEndpoint, tokenFromFile, type Sasl, type TokenProvider } from '@plait/kafka';
import type { Properties } from './command-config.ts';
import { parseJaas, type JaasEntry } from './command-config-jaas.ts';
import { withoutCredentials } from './config-secrets.ts';

const JAAS = 'sasl.jaas.config';
const MODULES = {
  PLAIN: 'org.apache.kafka.common.security.plain.PlainLoginModule',
  'SCRAM-SHA-256': 'org.apache.kafka.common.security.scram.ScramLoginModule',
  'SCRAM-SHA-512': 'org.apache.kafka.common.security.scram.ScramLoginModule',
  OAUTHBEARER: 'org.apache.kafka.common.security.oauthbearer.OAuthBearerLoginModule',
} as const;

/** Who we are to Kafka. Throws `config`; no message holds a password. */
export function saslOptions(properties: Properties): Sasl {
  const mechanisms = Object.keys(MODULES);
  properties.needed('sasl.mechanism', `security.protocol needs it: one of ${mechanisms.join(', ')}`);
  const mechanism = properties.oneOf('sasl.mechanism', mechanisms) as keyof typeof MODULES;
  const jaas = parsed(properties, `${MODULES[mechanism]} required …;`);
  if (jaas.module !== MODULES[mechanism]) {
    throw properties.wrong(JAAS, `names ${jaas.module}, and sasl.mechanism=${mechanism} wants ${MODULES[mechanism]}`);
  }
  if (mechanism === 'OAUTHBEARER') return { mechanism: 'oauthbearer', token: tokens(properties, jaas) };
  const username = option(properties, jaas, 'username');
  const password = option(properties, jaas, 'password');
  if (mechanism === 'PLAIN') return { mechanism: 'plain', username, password };
  return { mechanism: mechanism === 'SCRAM-SHA-256' ? 'scram-sha-256' : 'scram-sha-512', username, password };
}

function parsed(properties: Properties, wanted: string): JaasEntry {
  const text = properties.needed(JAAS, `SASL needs it: ${wanted}`);
  try {
    return parseJaas(text);
  } catch (error) {
    throw properties.wrong(JAAS, `cannot be read: ${(error as Error).message}, wanted ${wanted}`);
  }
}

function option(properties: Properties, { module, options }: JaasEntry, name: string): string {
  const value = options.get(name);
  if (value === undefined) throw properties.wrong(JAAS, `has no ${name}: wanted ${module} required … ${name}="…";`);
  return value;
}

function tokens(properties: Properties, jaas: JaasEntry): TokenProvider {
  const urlName = 'sasl.oauthbearer.token.endpoint.url';
  const subject = jaas.options.get('unsecuredLoginStringClaim_sub');
  if (subject !== undefined) return () => Promise.resolve(unsecuredToken(subject));
  const text = properties.needed(urlName, 'OAUTHBEARER takes its tokens from there');
  const url = URL.parse(text);
  if (url === null || !['http:', 'https:', 'file:'].includes(url.protocol)) {
    throw properties.wrong(urlName, `is ${JSON.stringify(withoutCredentials(text))}, wanted a URL of https, http or file`);
  }
  if (url.password !== '') throw properties.wrong(urlName, `holds a password: give clientId and clientSecret in ${JAAS}`);
  if (url.protocol === 'file:') return tokenFromFile(fileURLToPath(url));
  const scope = jaas.options.get('scope');
  return tokenFromEndpoint({
    endpoint: text, clientId: option(properties, jaas, 'clientId'), clientSecret: option(properties, jaas, 'clientSecret'),
    ...(scope === undefined ? {} : { scope }),
  });
}

const UNSECURED_LIFE_S = 3_600;

/** A token without a signature (RFC 7519, section 6), for development: whoever may connect may be anybody. */
function unsecuredToken(subject: string): string {
  const nowS = Math.floor(Date.now() / 1_000);
  return `${part({ alg: 'none' })}.${part({ sub: subject, iat: nowS, exp: nowS + UNSECURED_LIFE_S })}.`;
}

function part(value: unknown): string {
  return Buffer.from(JSON.stringify(value)).toString('base64url');
}
