/** TLS by Kafka's properties: certificates and keys as PEM, in a file or in the property itself. */
import { readFileSync } from 'node:fs';
import type { ConnectionOptions as TlsOptions } from 'node:tls';
import { PlaitError } from '@plait/core';
import type { Properties } from './command-config.ts';

const VERSIONS = ['TLSv1.2', 'TLSv1.3'] as const;
type Version = (typeof VERSIONS)[number];

/** Node's options. Throws `config`, with how to convert what is no PEM. */
export function tlsOptions(properties: Properties): TlsOptions {
  const ca = store(properties, { kind: 'truststore', inline: 'ssl.truststore.certificates' });
  const chain = properties.text('ssl.keystore.certificate.chain');
  const keystore = store(properties, { kind: 'keystore', inline: 'ssl.keystore.key' });
  const passphrase = properties.text('ssl.key.password');
  const [minVersion, maxVersion] = versions(properties);
  if (keystore !== undefined && chain === undefined && !keystore.includes('-----BEGIN CERTIFICATE')) {
    throw new PlaitError('config', `${properties.path}: the key is there without its certificates: give ssl.keystore.certificate.chain`);
  }
  return {
    ...(ca === undefined ? {} : { ca }),
    // A keystore file holds both, and Node finds in it what it looks for.
    ...(keystore === undefined ? {} : { key: keystore, cert: chain ?? keystore }),
    ...(passphrase === undefined ? {} : { passphrase }),
    ...(minVersion === undefined ? {} : { minVersion }),
    ...(maxVersion === undefined ? {} : { maxVersion }),
    ...(isHostnameChecked(properties) ? {} : { checkServerIdentity: () => undefined }),
  };
}

/** Kafka's way to say that a certificate may be of another host: an empty algorithm. */
function isHostnameChecked(properties: Properties): boolean {
  const name = 'ssl.endpoint.identification.algorithm';
  const value = properties.text(name) ?? 'https';
  if (value !== '' && value.toLowerCase() !== 'https') throw properties.wrong(name, `is ${JSON.stringify(value)}, wanted https, or nothing for no check of the host's name`);
  return value !== '';
}

function versions(properties: Properties): (Version | undefined)[] {
  const name = 'ssl.enabled.protocols';
  const wanted = properties.text(name)?.split(',').map((each) => each.trim());
  if (wanted === undefined) return [];
  const unknown = wanted.find((each) => !VERSIONS.some((version) => version === each));
  if (unknown !== undefined) throw properties.wrong(name, `has ${JSON.stringify(unknown)}, wanted ${VERSIONS.join(', ')} or one of them`);
  const enabled = VERSIONS.filter((version) => wanted.includes(version));
  return [enabled[0], enabled.at(-1)];
}

/** The PEM text of a store; undefined if there is none. */
function store(properties: Properties, { kind, inline }: { kind: 'truststore' | 'keystore'; inline: string }): string | undefined {
  const location = properties.text(`ssl.${kind}.location`);
  const typeName = `ssl.${kind}.type`;
  const type = properties.text(typeName);
  if (type !== undefined && type !== 'PEM') throw properties.wrong(typeName, `is ${type}, wanted PEM. ${conversion(kind, type, location)}`);
  const text = properties.text(inline);
  if (text !== undefined) {
    if (!text.includes('-----BEGIN ')) throw properties.wrong(inline, 'holds no PEM, wanted -----BEGIN … -----END …');
    return text;
  }
  if (location === undefined || location === '') return undefined;
  let content: string;
  try {
    content = readFileSync(location, 'latin1');
  } catch (error) {
    throw properties.wrong(`ssl.${kind}.location`, `${location} cannot be read: ${(error as Error).message}`);
  }
  // Without a type Kafka takes it for JKS; what is PEM by its looks is taken as that.
  if (!content.includes('-----BEGIN ')) throw properties.wrong(`ssl.${kind}.location`, `${location} holds no PEM. ${conversion(kind, type ?? 'JKS', location)}`);
  return content;
}

function conversion(kind: 'truststore' | 'keystore', type: string, location = 'STORE'): string {
  const pem = `${location.replace(/\.\w+$/, '')}.pem`;
  const toPem = (from: string): string => `openssl pkcs12 -in ${from} ${kind === 'truststore' ? '-nokeys ' : ''}-out ${pem}`;
  const ways = type === 'PKCS12' ? toPem(location) : `keytool -importkeystore -srckeystore ${location} -destkeystore ${location}.p12 -deststoretype PKCS12, then ${toPem(`${location}.p12`)}`;
  return `Convert it: ${ways}; then set ssl.${kind}.type=PEM and ssl.${kind}.location=${pem}`;
}
