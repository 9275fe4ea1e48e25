/** What Kafka does not allow, and what TLS and SASL do not take, said so that it can be mended. */
import { X509Certificate } from 'node:crypto';
import { PlaitError } from '@plait/core';
import type { KafkaOptions } from './client.ts';
import { deniedType, isRefused, isTlsFailure, isUnusable, readError, reason } from './errors.ts';

/** Operations as kafka-acls writes them. `Read` and `Write` include `Describe`. */
export type Operation = 'Read' | 'Write' | 'Create' | 'Describe' | 'DescribeConfigs';

/** A right that an ACL of Kafka gives. */
export interface Right {
  readonly operation: Operation;
  readonly kind: 'topic' | 'group';
  readonly name: string;
}

/** Kafka's name for who we are; undefined when only the token says it. */
function principalOf({ sasl, ssl }: KafkaOptions): string | undefined {
  if (sasl !== undefined) return sasl.mechanism === 'oauthbearer' ? undefined : sasl.username;
  const cert = typeof ssl === 'object' ? ssl.cert : undefined;
  if (typeof cert !== 'string' && !Buffer.isBuffer(cert)) return 'ANONYMOUS';
  // Kafka writes the newest part of a name first (RFC 2253), the certificate last.
  return new X509Certificate(cert).subject.split('\n').toReversed().join(',');
}

/** `config`: the right that is missing, and the command that grants it. */
export function denied(kafka: KafkaOptions, { operation, kind, name }: Right): PlaitError {
  const principal = principalOf(kafka);
  const who = principal === undefined ? "the token's user" : `user ${principal}`;
  const command = `kafka-acls --bootstrap-server ${kafka.brokers.join(',')} --add --allow-principal "User:${principal ?? '…'}" ` +
    `--operation ${operation} --${kind} ${name}`;
  return new PlaitError('config', `${who} lacks the right ${operation} on ${kind} ${name}: grant it with ${command}`, {
    details: { operation, kind, name },
  });
}

/** What a group's request threw: `config` with the missing right if the group is refused, else as {@link readError}. */
export function groupError(error: unknown, { kafka, groupId, doing }: { kafka: KafkaOptions; groupId: string; doing: string }): PlaitError {
  if (deniedType(error) === 'GROUP_AUTHORIZATION_FAILED') return denied(kafka, { operation: 'Read', kind: 'group', name: groupId });
  return readError(error, doing);
}

/** Why a connection to `address` failed, as a sentence. */
export function whyNotConnected(kafka: KafkaOptions, address: string, error: unknown): string {
  if (isTlsFailure(error)) return `TLS with ${address} fails: ${reason(error)} (${tlsAdvice(error)})`;
  if (isUnusable(error)) return `TLS with ${address} cannot begin: ${reason(error)} (check our certificate, its key and passphrase)`;
  if (isRefused(error)) return `${address} refuses ${principalOf(kafka) ?? 'the token'}: ${reason(error)}`;
  // A broker that cannot make sense of what it is sent says nothing and hangs up.
  const isHungUp = error instanceof Error && error.name === 'KafkaJSConnectionClosedError';
  return `${address}: ${reason(error)}${isHungUp ? ` (${wantedInstead(kafka)})` : ''}`;
}

function wantedInstead({ ssl, sasl }: KafkaOptions): string {
  const ours = `${sasl === undefined ? '' : 'SASL_'}${ssl === undefined || ssl === false ? 'PLAINTEXT' : 'SSL'}`;
  return `is this port for another security.protocol than ${ours}?`;
}

/** What to do about Node's code of a TLS failure. */
function tlsAdvice(error: { readonly code: string }): string {
  const { code } = error;
  if (code === 'CERT_HAS_EXPIRED') return "the broker's certificate has expired: renew it";
  if (code === 'ERR_TLS_CERT_ALTNAME_INVALID') return "the broker's certificate is for other names: connect by one of them, or have this one added";
  if (code.includes('ALERT')) return 'the broker wants a client certificate, or does not accept ours';
  if (code.includes('WRONG_VERSION') || code.includes('PACKET_LENGTH')) return 'there is no TLS at this port';
  return "the broker's certificate is of an authority that is not trusted here: give its CA";
}
