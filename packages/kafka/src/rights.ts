/** Asks Kafka what we may do, before we need it: Metadata version 8 tells (KIP-430), which kafkajs does not speak. */
import { KAFKA } from './errors.ts';
import { apiKeys, Decoder, Encoder } from './internals.ts';
import type { ProtocolRequest } from './internals.ts';
import type { Operation } from './refusal.ts';

/** What the cluster says we may do with a topic. */
export interface TopicRights {
  readonly topic: string;
  readonly errorCode: number;
  /** A bit for each operation, by its code (`AclOperation` in Kafka). */
  readonly operations: number;
}

const BITS: Readonly<Record<Operation, number>> = { Read: 1 << 3, Write: 1 << 4, Create: 1 << 5, Describe: 1 << 8, DescribeConfigs: 1 << 10 };
/** Brokers that do not tell send this. */
const NOT_TOLD = -2_147_483_648;
const VERSION = 8;

/** True if the cluster says that we lack it; a topic that does not exist is none that anything can be said of. */
export function lacks({ errorCode, operations }: TopicRights, operation: Operation): boolean {
  if (errorCode === KAFKA.topicAuthorizationFailed) return true;
  return errorCode === 0 && operations !== NOT_TOLD && (operations & BITS[operation]) === 0;
}

/**
 * Metadata version 8 of these topics, none for none:
 *
 *     [ topic string ], allow_auto_topic_creation bool, include_cluster_authorized_operations bool,
 *     include_topic_authorized_operations bool
 */
export function rightsRequest(topics: readonly string[]): ProtocolRequest<readonly TopicRights[]> {
  return {
    request: {
      apiKey: apiKeys.Metadata,
      apiVersion: VERSION,
      apiName: 'Metadata',
      encode: async () => {
        const encoder = new Encoder().writeInt32(topics.length);
        for (const topic of topics) encoder.writeString(topic);
        return encoder.writeBoolean(false).writeBoolean(false).writeBoolean(true);
      },
    },
    logResponseError: false,
    response: { decode: async (payload) => decodeRights(payload), parse: async (decoded) => decoded },
  };
}

/**
 * Reads
 *
 *     throttle_time_ms int32, [ broker: node_id int32, host string, port int32, rack nullable string ],
 *     cluster_id nullable string, controller_id int32,
 *     [ error_code int16, topic string, is_internal bool, [ error_code int16, partition int32, leader int32,
 *       leader_epoch int32, replicas [int32], isr [int32], offline [int32] ], operations int32 ], operations int32
 *
 * Throws a RangeError when it ends early or a length is negative.
 */
export function decodeRights(payload: Buffer): readonly TopicRights[] {
  const decoder = new Decoder(payload);
  const skip = (bytes: number): Buffer => {
    const start = decoder.offset;
    if (bytes < 0 || bytes > payload.length - start) throw new RangeError(`metadata response: a length of ${bytes} at ${start} of ${payload.length}`);
    decoder.offset += bytes;
    return payload.subarray(start, decoder.offset);
  };
  const string = (): string => skip(Math.max(0, decoder.readInt16())).toString();
  const skipInt32s = (): Buffer => skip(4 * decoder.readInt32());
  skip(4);
  for (let brokers = decoder.readInt32(); brokers > 0; brokers--) {
    skip(4);
    string();
    skip(4);
    string();
  }
  string();
  skip(4);
  const found: TopicRights[] = [];
  for (let topics = decoder.readInt32(); topics > 0; topics--) {
    const errorCode = decoder.readInt16();
    const topic = string();
    skip(1);
    for (let partitions = decoder.readInt32(); partitions > 0; partitions--) {
      skip(2 + 4 + 4 + 4);
      for (let lists = 0; lists < 3; lists++) skipInt32s();
    }
    found.push({ topic, errorCode, operations: decoder.readInt32() });
  }
  return found;
}
