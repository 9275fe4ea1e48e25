/** The demo's proof: a fresh reader reads everything from seq 0 and compares it with what was produced. */
import { isPlaitError, PlaitError } from '@plait/core';
import type { KafkaOptions } from '@plait/kafka';
import { openLedger, type LedgerFile } from '@plait/ledger';
import { DEMO_PARTITIONS } from './demo-orders.ts';
import type { ProofStage } from './demo-proof.ts';

/** What the fresh reader found. `problem` is undefined iff everything is as it must be. */
export interface CheckResult {
  readonly records: number;
  readonly segments: number;
  readonly seconds: number;
  readonly partitions: number;
  readonly problem: string | undefined;
}

/** Reads the ledger up to `orders` records; every order must be there once, dense seqs, offsets rising in each partition. */
export async function checkLedger(kafka: KafkaOptions, file: LedgerFile, orders: number): Promise<CheckResult> {
  const { brokers, ...rest } = kafka;
  const startMs = performance.now();
  const seen = new Uint8Array(orders);
  const nextOffsets = Array.from({ length: DEMO_PARTITIONS }, () => 0n);
  let records = 0;
  let segments = 0;
  const result = (problem?: string): CheckResult => ({
    records, segments, problem, seconds: (performance.now() - startMs) / 1000,
    partitions: nextOffsets.filter((offset) => offset > 0n).length,
  });
  try {
    await using ledger = await openLedger({ ...file, bootstrapServers: brokers, kafka: rest });
    for await (const verified of ledger.readSegments({ follow: false })) {
      if (verified.kind !== 'records') return result(`seq ${verified.line.firstSeq} is no record but ${verified.kind}`);
      if (verified.line.firstSeq !== BigInt(records)) return result(`seq ${verified.line.firstSeq} comes where ${records} was expected`);
      for (const { offset } of verified.records) {
        const next = nextOffsets[verified.segment.partition] ?? 0n;
        if (offset < next) return result(`partition ${verified.segment.partition}: offset ${offset} comes after ${next - 1n}`);
        nextOffsets[verified.segment.partition] = offset + 1n;
      }
      for (const { payload } of verified.records) {
        const order = orderOf(payload);
        if (order === undefined || order >= orders || seen[order] === 1) return result(`order ${order} is unknown or comes twice`);
        seen[order] = 1;
      }
      records += verified.records.length;
      segments += 1;
    }
  } catch (error) {
    if (!isPlaitError(error)) throw error;
    return result(error.message);
  }
  return result(records === orders ? undefined : `${records} records are in the ledger, ${orders} were produced`);
}

/** The order at a seq, and where it stands. Throws as reading, and `missing` if there is none. */
export async function orderAt({ brokers, ...kafka }: KafkaOptions, file: LedgerFile, fromSeq: bigint): Promise<ProofStage['order']> {
  await using ledger = await openLedger({ ...file, bootstrapServers: brokers, kafka });
  for await (const entry of ledger.read({ fromSeq, toSeq: fromSeq + 1n, follow: false })) {
    const number = entry.kind === 'record' ? orderOf(entry.value ?? new Uint8Array()) : undefined;
    if (entry.kind === 'record' && number !== undefined) return { number, topic: entry.topic, partition: entry.partition, offset: entry.offset };
  }
  throw new PlaitError('missing', `there is no order at seq ${fromSeq}`);
}

/** The order's number, from the record's wire bytes: its value begins with `{"order":`. */
function orderOf(payload: Uint8Array): number | undefined {
  const text = Buffer.from(payload.buffer, payload.byteOffset, payload.byteLength).toString('latin1');
  const match = /\{"order":(\d+),/.exec(text);
  return match === null ? undefined : Number(match[1]);
}
