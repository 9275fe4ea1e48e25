/** The log's messages out of record batches, and what to say where a log does not hold a position. */
import { logPosition, PlaitError, type Offset } from '@plait/core';
import type { LogMessage } from '@plait/roles';
import type { Held } from './fetch-source.ts';
import { decodeRecordSet } from './record-sets.ts';

const NO_BYTES = new Uint8Array(0);

/** The value of a record's payload: key length, key, value length, value. Throws an Error when a length leaves it. */
function valueOf(payload: Buffer): Uint8Array {
  let at = 0;
  const varint = (): number => {
    let result = 0;
    for (let shift = 0; shift <= 28; shift += 7) {
      const byte = payload.readUInt8(at++);
      result |= (byte & 0x7f) << shift;
      if (byte < 0x80) return (result >>> 1) ^ -(result & 1);
    }
    throw new Error('malformed varint');
  };
  const keyLength = varint();
  at += Math.max(0, keyLength);
  const length = varint();
  if (length > payload.length - at) throw new Error('a value leaves its record');
  return length <= 0 ? NO_BYTES : payload.subarray(at, at + length);
}

interface RawMessage {
  readonly offset: Offset;
  readonly payload: Buffer;
}

const makeRaw = (offset: Offset, _: bigint, payload: Buffer): RawMessage => ({ offset, payload });

/** The messages of whole batches from position `from` on, aborted ones included. Throws an Error for what cannot be decoded. */
export async function decodeMessages({ bytes, from }: { readonly bytes: Buffer; readonly from: bigint }): Promise<readonly LogMessage[]> {
  const raw = await decodeRecordSet({ bytes, from, aborted: [] }, makeRaw);
  return raw.map(({ offset, payload }) => ({ position: logPosition(offset), value: valueOf(payload) }));
}

/** The error for a position below or above what a log holds: `missing` or `rolled-back`. */
export function outsideLog(topic: string, { offset, logStart, end }: Held & { readonly offset: bigint }): PlaitError {
  const details = { topic, position: `${offset}`, logStart: `${logStart}`, end: `${end}` };
  return offset < logStart
    ? new PlaitError('missing', `position ${offset} of the log ${topic} was deleted: it begins at ${logStart}`, { details })
    : new PlaitError('rolled-back', `the log ${topic} ends at ${end}, below position ${offset} that was to be read next`, { details });
}
