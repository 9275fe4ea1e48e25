/** The one place that reaches below kafkajs' public surface. */
// Ambient declarations have no other way into a program that takes only this file in.
// oxlint-disable-next-line typescript/triple-slash-reference
/// <reference path="./kafkajs-internals.d.ts" />
export { default as Broker } from 'kafkajs/src/broker/index.js';
export { default as filterAbortedMessages } from 'kafkajs/src/consumer/filterAbortedMessages.js';
export { default as loggers } from 'kafkajs/src/loggers/index.js';
export { default as ConnectionPool } from 'kafkajs/src/network/connectionPool.js';
export { default as Decoder } from 'kafkajs/src/protocol/decoder.js';
export { default as Encoder } from 'kafkajs/src/protocol/encoder.js';
export { default as crc32C } from 'kafkajs/src/protocol/recordBatch/crc32C/index.js';
export { default as decodeRecordBatch } from 'kafkajs/src/protocol/recordBatch/v0/decoder.js';
export { default as apiKeys } from 'kafkajs/src/protocol/requests/apiKeys.js';
export { default as protocol } from 'kafkajs/src/protocol/requests/index.js';
export type {
  Abortable, AbortedTransaction, BatchContext, FetchArgs, MetadataAnswer, ProtocolRequest,
} from 'kafkajs-internal-types';
