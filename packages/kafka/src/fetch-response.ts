/** Takes a fetch response apart without decoding records: that is done when somebody takes them. */
import type { TopicPartition } from '@plait/core';
import { Decoder } from './internals.ts';
import type { AbortedTransaction } from './internals.ts';

/** What one response says of one partition. */
export interface FetchedPartition extends TopicPartition {
  readonly errorCode: number;
  readonly aborted: readonly AbortedTransaction[];
  /** Record batches as stored, a slice of the response; the last may be cut off. */
  readonly records: Buffer;
}

const NO_BYTES = Buffer.alloc(0);

/**
 * Reads version 11:
 *
 *     throttle_time_ms int32, error_code int16, session_id int32,
 *     [ topic string, [ partition int32, error_code int16, high_watermark int64, last_stable_offset int64,
 *       log_start_offset int64, aborted [ producer_id int64, first_offset int64 ], preferred_read_replica int32,
 *       records bytes ] ]
 *
 * `clientSideThrottleTime` is the name under which kafkajs' queue looks for the throttle time.
 * Throws a RangeError when the response ends early or a length is negative: the connection is then of no use any more.
 */
export function decodeFetchResponse(payload: Buffer): {
  readonly clientSideThrottleTime: number;
  readonly partitions: readonly FetchedPartition[];
} {
  const decoder = new Decoder(payload);
  const clientSideThrottleTime = decoder.readInt32();
  decoder.offset += 2 + 4;
  const partitions: FetchedPartition[] = [];
  for (let topics = decoder.readInt32(); topics > 0; topics--) {
    const topic = slice(payload, decoder, decoder.readInt16()).toString();
    for (let count = decoder.readInt32(); count > 0; count--) {
      const partition = decoder.readInt32();
      const errorCode = decoder.readInt16();
      decoder.offset += 3 * 8;
      const aborted: AbortedTransaction[] = [];
      for (let left = decoder.readInt32(); left > 0; left--) {
        aborted.push({
          producerId: payload.readBigInt64BE(decoder.offset).toString(),
          firstOffset: payload.readBigInt64BE(decoder.offset + 8).toString(),
        });
        decoder.offset += 16;
      }
      decoder.offset += 4;
      partitions.push({ topic, partition, errorCode, aborted, records: slice(payload, decoder, decoder.readInt32()) });
    }
  }
  return { clientSideThrottleTime, partitions };
}

/**
 * The next `length` bytes, none for −1. kafkajs' decoder steps back on other negative lengths, and by that a count of
 * partitions could keep it busy for ever.
 */
function slice(payload: Buffer, decoder: Decoder, length: number): Buffer {
  if (length === -1) return NO_BYTES;
  const start = decoder.offset;
  if (length < 0 || length > payload.length - start) throw new RangeError(`fetch response: a length of ${length} at ${start} of ${payload.length}`);
  decoder.offset += length;
  return payload.subarray(start, decoder.offset);
}
