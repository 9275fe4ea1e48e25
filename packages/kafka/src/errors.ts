/** Kafka's error codes and kafkajs' errors, sorted by what our callers must do. */
import { PlaitError } from '@plait/core';

/** Codes of the Kafka protocol that are told apart here (https://kafka.apache.org/protocol.html#protocol_error_codes). */
export const KAFKA = {
  offsetOutOfRange: 1,
  corruptMessage: 2,
  unknownTopicOrPartition: 3,
  leaderNotAvailable: 5,
  notLeader: 6,
  messageTooLarge: 10,
  invalidTopic: 17,
  recordListTooLarge: 18,
  notEnoughReplicas: 19,
  topicAuthorizationFailed: 29,
  policyViolation: 44,
  kafkaStorageError: 56,
  unsupportedCompression: 76,
  invalidRecord: 87,
} as const;

/** True if the answer says that these messages, or this client, will never be taken. */
export function isRefusal(code: number): boolean {
  return (
    code === KAFKA.messageTooLarge ||
    code === KAFKA.recordListTooLarge ||
    code === KAFKA.invalidTopic ||
    code === KAFKA.topicAuthorizationFailed ||
    code === KAFKA.policyViolation ||
    code === KAFKA.unsupportedCompression ||
    code === KAFKA.invalidRecord
  );
}

/** True if the broker refused an append before it wrote anything. */
export function isSurelyNotAppended(code: number): boolean {
  return (
    code === KAFKA.unknownTopicOrPartition ||
    code === KAFKA.leaderNotAvailable ||
    code === KAFKA.notLeader ||
    code === KAFKA.notEnoughReplicas
  );
}

/** A sentence for people out of whatever was thrown. */
export function reason(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}

/** Names of kafkajs errors that more tries do not help against. */
const REFUSED = ['KafkaJSSASLAuthenticationError', 'KafkaJSUnsupportedSaslMechanismError', 'KafkaJSServerDoesNotSupportApiKey'];
const REFUSED_TYPES = [
  'TOPIC_AUTHORIZATION_FAILED', 'GROUP_AUTHORIZATION_FAILED', 'CLUSTER_AUTHORIZATION_FAILED', 'SASL_AUTHENTICATION_FAILED',
  'ILLEGAL_SASL_STATE', 'UNSUPPORTED_SASL_MECHANISM', 'INVALID_TOPIC_EXCEPTION', 'INVALID_GROUP_ID', 'INVALID_SESSION_TIMEOUT',
  'INCONSISTENT_GROUP_PROTOCOL',
];
/** Node's codes for a certificate, or a whole connection, that TLS does not take: not those of a broker that is about to stop. */
const TLS_CODES = /^(ERR_TLS_|CERT_|SELF_SIGNED_|DEPTH_ZERO_|UNABLE_TO_|ERR_SSL_.*(CERTIFICATE|UNKNOWN_CA|VERSION|PACKET_LENGTH|HANDSHAKE_FAILURE))/;

/** True if TLS failed for a reason that more tries do not help against. kafkajs hands Node's code on. */
export function isTlsFailure(error: unknown): error is Error & { readonly code: string } {
  return error instanceof Error && 'code' in error && typeof error.code === 'string' && TLS_CODES.test(error.code);
}

/** True if Node threw before anything was sent: a certificate or key of ours that cannot be read. */
export function isUnusable(error: unknown): boolean {
  return error instanceof Error && error.name === 'KafkaJSConnectionError' && error.message.startsWith('Failed to connect');
}

/** True if kafkajs' error, or what it was caused by, says that this client is not allowed or not able to do it, ever. */
export function isRefused(error: unknown): boolean {
  for (let e = error; e instanceof Error; e = e.cause) {
    if (REFUSED.includes(e.name) || isTlsFailure(e) || ('type' in e && REFUSED_TYPES.includes(String(e.type)))) return true;
    if (e instanceof PlaitError && e.code === 'config') return true;
    if (isUnusable(e)) return true;
    if ('errors' in e && Array.isArray(e.errors) && e.errors.some(isRefused)) return true;
  }
  return false;
}

/** True if kafkajs' error, or what it was caused by, says that a connection was not there in time. */
export function isConnectTimeout(error: unknown): boolean {
  for (let e = error; e instanceof Error; e = e.cause) {
    if (e.name === 'KafkaJSConnectionError' && e.message === 'Connection timeout') return true;
  }
  return false;
}

/** The type of Kafka's error that kafkajs' error was caused by, if it is an authorization that failed. */
export function deniedType(error: unknown): string | undefined {
  for (let e = error; e instanceof Error; e = e.cause) {
    if ('type' in e && typeof e.type === 'string' && e.type.endsWith('_AUTHORIZATION_FAILED')) return e.type;
    const [first]: unknown[] = 'errors' in e && Array.isArray(e.errors) ? e.errors : [];
    if (first !== undefined) return deniedType(first);
  }
  return undefined;
}

/** What a request without effects (a read, a lookup) throws: `config` when refused, else `unavailable`. A PlaitError stays. */
export function readError(error: unknown, doing: string): PlaitError {
  if (error instanceof PlaitError) return error;
  return new PlaitError(isRefused(error) ? 'config' : 'unavailable', `${doing}: ${reason(error)}`, { cause: error });
}
