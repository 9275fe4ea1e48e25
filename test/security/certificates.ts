/** X.509 certificates for tests, made with Node alone: a CA and what it signs (RFC 5280, DER, P-256). */
import { generateKeyPairSync, randomBytes, sign, type KeyObject } from 'node:crypto';

/** A key and its certificate, in PEM. */
export interface Identity {
  readonly cert: string;
  readonly key: string;
}

/** Something that signs certificates. */
export interface Authority {
  /** Its own certificate, in PEM. */
  readonly ca: string;
  /** A certificate for `commonName`, good for TLS servers on 127.0.0.1 and for clients; `days` below 0: one that has expired. */
  issue(commonName: string, options?: { readonly days?: number }): Identity;
}

/** A new CA that nobody trusts yet. */
export function makeAuthority(commonName: string): Authority {
  const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  const issuer = nameOf(commonName);
  const basic = extension('2.5.29.19', sequence(der(0x01, Buffer.from([0xff]))));
  const ca = certificate({ subject: issuer, issuer, publicKey: keys.publicKey, signer: keys.privateKey, days: 30, extensions: [basic] });
  return {
    ca,
    issue: (subject, { days = 30 } = {}) => {
      const { publicKey, privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
      // dNSName localhost, iPAddress 127.0.0.1.
      const names = sequence(der(0x82, Buffer.from('localhost')), der(0x87, Buffer.from([127, 0, 0, 1])));
      const extensions = [extension('2.5.29.17', names)];
      return {
        cert: certificate({ subject: nameOf(subject), issuer, publicKey, signer: keys.privateKey, days, extensions }),
        key: privateKey.export({ type: 'pkcs8', format: 'pem' }).toString(),
      };
    },
  };
}

interface Wanted {
  readonly subject: Buffer;
  readonly issuer: Buffer;
  readonly publicKey: KeyObject;
  readonly signer: KeyObject;
  readonly days: number;
  readonly extensions: readonly Buffer[];
}

const DAY_MS = 86_400_000;

function certificate({ subject, issuer, publicKey, signer, days, extensions }: Wanted): string {
  const ecdsaWithSha256 = sequence(objectId('1.2.840.10045.4.3.2'));
  const endMs = Date.now() + days * DAY_MS;
  const body = sequence(
    der(0xa0, integer(Buffer.from([2]))),
    integer(Buffer.concat([Buffer.from([1]), randomBytes(15)])),
    ecdsaWithSha256,
    issuer,
    sequence(time(endMs - 60 * DAY_MS), time(endMs)),
    subject,
    publicKey.export({ type: 'spki', format: 'der' }),
    der(0xa3, sequence(...extensions)),
  );
  const bytes = sequence(body, ecdsaWithSha256, bits(sign('sha256', body, signer)));
  const lines = bytes.toString('base64').replaceAll(/.{64}(?=.)/g, '$&\n');
  return `-----BEGIN CERTIFICATE-----\n${lines}\n-----END CERTIFICATE-----\n`;
}

function der(tag: number, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  const head = length < 0x80 ? [tag, length] : length < 0x100 ? [tag, 0x81, length] : [tag, 0x82, length >> 8, length & 0xff];
  return Buffer.concat([Buffer.from(head), content]);
}

const sequence = (...parts: readonly Buffer[]): Buffer => der(0x30, ...parts);
const integer = (bytes: Buffer): Buffer => der(0x02, bytes);
const bits = (bytes: Buffer): Buffer => der(0x03, Buffer.from([0]), bytes);
const extension = (id: string, value: Buffer): Buffer => sequence(objectId(id), der(0x04, value));
const nameOf = (commonName: string): Buffer => sequence(der(0x31, sequence(objectId('2.5.4.3'), der(0x0c, Buffer.from(commonName)))));
/** GeneralizedTime is for years from 2050 on only; UTCTime has two digits of the year. */
const time = (ms: number): Buffer => der(0x17, Buffer.from(`${new Date(ms).toISOString().slice(2, 19).replaceAll(/[-:T]/g, '')}Z`));

function objectId(text: string): Buffer {
  const [first = 0, second = 0, ...rest] = text.split('.').map(Number);
  const bytes = [first * 40 + second];
  for (const part of rest) {
    const digits = [part & 0x7f];
    for (let left = part >> 7; left > 0; left >>= 7) digits.unshift((left & 0x7f) | 0x80);
    bytes.push(...digits);
  }
  return der(0x06, Buffer.from(bytes));
}
