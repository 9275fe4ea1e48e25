/** What a reader takes in of a segment whose worker lies, before it says so. */
import {
  chainOf, EMPTY_ROOT, formatReport, hashToText, index, logPosition, minimalPayload, encodePayload, offset, type Offset, type RecordSegment,
} from '@plait/core';
import { Reader, type Clock, type LogReader, type SourceBatch, type SourceReader } from '@plait/roles';
import { expect, test } from 'vitest';
import { History, quickly, quickVerify } from '../cold/history.ts';
import { ledgerKey, ORIGIN, worker1 } from '../vectors/histories/builder.ts';

const BATCH_RECORDS = 1_000n;
const clock: Clock = { nowMs: () => 0, wallMs: () => 0, sleep: async () => undefined };

/** A log with one block of one segment of orders/0: so many records, in so many offsets. */
function historyOf(records: bigint, offsets: bigint): History {
  const history = new History();
  const { end } = chainOf(history.state, { topic: 'orders', partition: 0 });
  const segment: RecordSegment = {
    kind: 'segment', topic: 'orders', partition: 0, generation: end.generation, firstIndex: end.nextIndex, nextIndex: index(end.nextIndex + records),
    firstOffset: end.nextOffset, nextOffset: offset(end.nextOffset + offsets), root: hashToText(EMPTY_ROOT), previous: end.head,
  };
  history.append(quickly(formatReport({ kind: 'report', origin: ORIGIN, ledgerId: history.state.ledgerId, segments: [segment] }), worker1));
  history.block();
  return history;
}

function logOf(history: History): LogReader {
  let read = 0;
  return {
    poll: async () => history.messages.slice(read, (read = history.messages.length)),
    position: () => logPosition(BigInt(read)), end: async () => history.end, incarnation: () => 0, close: async () => undefined,
  };
}

/** A partition without an end. */
class Endless implements SourceReader {
  handed = 0n;
  #next = offset(0n);
  readonly #payload = minimalPayload(encodePayload({ key: null, value: new Uint8Array(8), headers: [] }));

  find(): void {
    throw new Error('nobody needs to ask what it holds');
  }

  seek(_: unknown, from: Offset): void {
    this.#next = from;
  }

  drop(): void {
    this.#next = offset(0n);
  }

  poll(): Promise<readonly SourceBatch[]> {
    const firstOffset = this.#next;
    this.#next = offset(firstOffset + BATCH_RECORDS);
    this.handed += BATCH_RECORDS;
    const records = Array.from({ length: Number(BATCH_RECORDS) }, (_, i) => ({ offset: offset(firstOffset + BigInt(i)), timestamp: 0n, payload: this.#payload }));
    return Promise.resolve([{ kind: 'records', topic: 'orders', partition: 0, firstOffset, records, nextOffset: this.#next }]);
  }

  close(): Promise<void> {
    return Promise.resolve();
  }
}

test('of a segment that spans more records than it says, little is fetched', async () => {
  const history = historyOf(2_500n, 1_000_000n);
  const source = new Endless();
  const reader = new Reader({
    origin: ORIGIN, ledgerKey: ledgerKey.verifier, log: logOf(history), verify: quickVerify, source, clock, newest: () => Promise.resolve(history.state),
  });
  const readAll = async (): Promise<void> => {
    for (;;) await reader.step();
  };
  await expect(readAll()).rejects.toMatchObject({
    code: 'invalid', message: expect.stringContaining('expected 2500 records, found 3000 up to offset 3000 already'),
    details: { topic: 'orders', partition: 0, firstOffset: '0', nextOffset: '1000000', firstSeq: '0', nextSeq: '2500' },
  });
  expect(source.handed).toBe(3_000n);
});
