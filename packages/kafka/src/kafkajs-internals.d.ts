/*
 * The parts of kafkajs 2.2.4 below its public surface that this package uses: one connection to one broker, requests
 * and response decoders. Written from its sources; the version is pinned, so they do not move.
 */
declare module 'kafkajs/src/network/connectionPool.js' {
  import type { Connection, ConnectionOptions, ProtocolRequest } from 'kafkajs-internal-types';
  class ConnectionPool {
    constructor(options: ConnectionOptions);
    /** 0 takes every request but Fetch, 1 takes Fetch. Both connect on first use. */
    readonly pool: readonly Connection[];
    send<T>(request: ProtocolRequest<T>): Promise<T>;
  }
  export default ConnectionPool;
}

declare module 'kafkajs/src/protocol/recordBatch/crc32C/index.js' {
  /** uint32 */
  const crc32C: (bytes: Uint8Array) => number;
  export default crc32C;
}

declare module 'kafkajs/src/broker/index.js' {
  import type ConnectionPool from 'kafkajs/src/network/connectionPool.js';
  import type { Lookup, RootLogger } from 'kafkajs-internal-types';
  class Broker {
    constructor(options: {
      connectionPool: ConnectionPool;
      logger: RootLogger;
      authenticationTimeout: number;
      allowAutoTopicCreation: boolean;
    });
    readonly connectionPool: ConnectionPool;
    readonly lookupRequest: Lookup;
    isConnected(): boolean;
    connect(): Promise<void>;
  }
  export default Broker;
}

declare module 'kafkajs/src/protocol/requests/index.js' {
  import type { Requests } from 'kafkajs-internal-types';
  const exported: { requests: Requests };
  export default exported;
}

declare module 'kafkajs/src/protocol/requests/apiKeys.js' {
  const apiKeys: { Produce: number; Fetch: number; ListOffsets: number; Metadata: number };
  export default apiKeys;
}

declare module 'kafkajs/src/protocol/decoder.js' {
  class Decoder {
    constructor(buffer: Buffer);
    offset: number;
    readInt16(): number;
    readInt32(): number;
    readString(): string | null;
    readBytes(length?: number): Buffer | null;
  }
  export default Decoder;
}

declare module 'kafkajs/src/protocol/encoder.js' {
  class Encoder {
    writeInt32(value: number): this;
    writeString(value: string): this;
    writeBoolean(value: boolean): this;
  }
  export default Encoder;
}

declare module 'kafkajs/src/protocol/recordBatch/v0/decoder.js' {
  import type Decoder from 'kafkajs/src/protocol/decoder.js';
  import type { BatchContext, PatchedRecord } from 'kafkajs-internal-types';
  /** Patched: `make` gives what stands in `records` for each record. */
  function decodeRecordBatch(decoder: Decoder): Promise<BatchContext & { records: PatchedRecord[] }>;
  function decodeRecordBatch<T>(
    decoder: Decoder,
    make: (batch: BatchContext, timestampDelta: number | bigint, offsetDelta: number, payload: Buffer) => T,
  ): Promise<BatchContext & { records: T[] }>;
  export default decodeRecordBatch;
}

declare module 'kafkajs/src/consumer/filterAbortedMessages.js' {
  import type { AbortedTransaction, Abortable } from 'kafkajs-internal-types';
  function filterAbortedMessages<T extends Abortable>(options: {
    messages: T[];
    abortedTransactions: readonly AbortedTransaction[];
  }): T[];
  export default filterAbortedMessages;
}

declare module 'kafkajs/src/loggers/index.js' {
  import type { logCreator } from 'kafkajs';
  import type { RootLogger } from 'kafkajs-internal-types';
  const exported: { createLogger(options: { level: number; logCreator: logCreator }): RootLogger };
  export default exported;
}

declare module 'kafkajs-internal-types' {
  import type { Socket } from 'node:net';
  import type { ISocketFactory, Mechanism, SASLOptions } from 'kafkajs';

  export interface RootLogger {
    namespace(name: string): RootLogger;
  }

  export interface ConnectionOptions {
    host: string;
    port: number;
    logger: RootLogger;
    socketFactory: ISocketFactory;
    requestTimeout: number;
    connectionTimeout: number;
    enforceRequestTimeout: boolean;
    maxInFlightRequests: number | null;
    clientId: string;
    reauthenticationThreshold: number;
    ssl: object | boolean | null;
    sasl: SASLOptions | Mechanism | null;
  }

  export interface Connection {
    readonly socket?: Socket;
    isConnected(): boolean;
    rejectRequests(error: Error): void;
    disconnect(): Promise<boolean>;
  }

  export interface ProtocolRequest<T> {
    request: object;
    response: { decode(payload: Buffer): Promise<T>; parse(decoded: T): Promise<T> };
    requestTimeout?: number;
    logResponseError?: boolean;
  }

  export interface RequestDefinition<A, T> {
    versions: string[];
    protocol(options: { version: number }): (args: A) => ProtocolRequest<T>;
  }

  export type Lookup = <A, T>(apiKey: number, definition: RequestDefinition<A, T>) => (args: A) => ProtocolRequest<T>;

  export interface FetchArgs {
    maxWaitTime: number;
    minBytes: number;
    maxBytes: number;
    isolationLevel: number;
    topics: { topic: string; partitions: { partition: number; fetchOffset: string; maxBytes: number }[] }[];
  }

  export interface MetadataAnswer {
    throttleTime: number;
    brokers: { nodeId: number; host: string; port: number }[];
    topicMetadata: {
      topicErrorCode: number;
      topic: string;
      partitionMetadata: { partitionErrorCode: number; partitionId: number; leader: number; replicas: number[]; isr: number[] }[];
    }[];
  }

  export interface ListOffsetsAnswer {
    responses: { topic: string; partitions: { partition: number; errorCode: number; offset: string }[] }[];
  }

  export interface ProduceAnswer {
    topics: { topicName: string; partitions: { partition: number; errorCode: number; baseOffset: string }[] }[];
  }

  export interface Requests {
    Fetch: RequestDefinition<FetchArgs, unknown>;
    Metadata: RequestDefinition<{ topics: readonly string[]; allowAutoTopicCreation: boolean }, MetadataAnswer>;
    ListOffsets: RequestDefinition<
      {
        replicaId: number;
        isolationLevel: number;
        topics: { topic: string; partitions: { partition: number; timestamp: string }[] }[];
      },
      ListOffsetsAnswer
    >;
    Produce: RequestDefinition<
      {
        acks: number;
        timeout: number;
        compression: number;
        transactionalId: null;
        producerId: number;
        producerEpoch: number;
        topicData: {
          topic: string;
          partitions: { partition: number; firstSequence: number; messages: { key: null; value: Buffer; headers: object }[] }[];
        }[];
      },
      ProduceAnswer
    >;
  }

  export interface BatchContext {
    firstOffset: string;
    firstTimestamp: string;
    maxTimestamp: string;
    timestampType: number;
    inTransaction: boolean;
    isControlBatch: boolean;
    producerId: string;
  }

  export interface PatchedRecord {
    readonly offsetDelta: number;
    readonly payload: Buffer;
    readonly key: Buffer | null;
    readonly value: Buffer | null;
    readonly headerPairs: [Buffer, Buffer | null][];
  }

  export interface AbortedTransaction {
    producerId: string;
    firstOffset: string;
  }

  export interface Abortable {
    readonly offset: string;
    readonly key: Buffer | null;
    readonly isControlRecord: boolean;
    readonly batchContext: { readonly producerId: string; readonly inTransaction: boolean };
  }
}
