/** The demo's attacker: somebody with access to the broker's disk who knows Kafka's format, so that Kafka notices nothing. */
import { sealBatch } from '@plait/kafka';

/** Length of a batch's head up to its length, and where that stands. */
const HEAD_BYTES = 12;
const LENGTH_AT = 8;

/** What was changed: one digit. */
export interface Change {
  readonly before: string;
  readonly after: string;
}

/**
 * Changes the first quantity of an order in the bytes of a partition's segment file, in place, and makes the checksum of its
 * batch fit again. Throws if the order is not in it.
 */
export function changeQuantity(file: Buffer, order: number): Change {
  const found = file.indexOf(`{"order":${order},`);
  const name = '"quantity":';
  const at = found < 0 ? -1 : file.indexOf(name, found) + name.length;
  if (at < name.length) throw new Error(`order ${order} is not in the file`);
  const quantity = (file[at] ?? 0) - 0x30;
  const changed = (quantity % 9) + 1;
  file[at] = changed + 0x30;
  sealBatch(batchAround(file, at));
  return { before: `${name}${quantity}`, after: `${name}${changed}` };
}

/** The batch in which position `at` of a segment file lies. */
function batchAround(file: Buffer, at: number): Buffer {
  for (let start = 0; start + HEAD_BYTES <= file.length;) {
    const end = start + HEAD_BYTES + file.readInt32BE(start + LENGTH_AT);
    if (at < end) return file.subarray(start, end);
    start = end;
  }
  throw new Error(`no batch at ${at}`);
}
