/** What a receipt proves, for people and for programs. */
import type { VerifiedReceipt } from '@plait/core';
import { printable, showTime } from '../output.ts';

/** A label and its value. */
export type Row = readonly [label: string, value: string];

const LABEL_CHARS = 12;

/** What it proves, as rows. */
export function factRows(receipt: VerifiedReceipt): readonly Row[] {
  const { origin, seq, topic, partition, generation, index, offset, timestamp, payloadDigest, height, blockTimeMs, checkpointSize } = receipt;
  return [
    ['ledger', origin],
    ['seq', String(seq)],
    ['record', `${topic}/${partition} offset ${offset} (generation ${generation}, index ${index})`],
    ['timestamp', showTime(timestamp)],
    ['digest', payloadDigest],
    ['block', `${height} of ${showTime(blockTimeMs)}, as its leader claims`],
    ['checkpoint', `of the first ${checkpointSize} blocks`],
  ];
}

/** The same for `jsonText`. */
export function factsJson(receipt: VerifiedReceipt): Readonly<Record<string, unknown>> {
  const { origin, ledgerId, seq, topic, partition, generation, index, offset, timestamp, payloadDigest, height, blockTimeMs, checkpointSize, hasPayload } = receipt;
  return {
    origin, ledgerId, seq, topic, partition, generation, index, offset, timestamp, payloadDigest,
    block: { height, time: blockTimeMs }, checkpointSize, hasPayload,
  };
}

/** Rows as lines, each ended by a newline; nothing in them steers a terminal. */
export function rowsText(rows: readonly Row[]): string {
  return rows.map(([label, value]) => `${label.padEnd(LABEL_CHARS)} ${printable(value)}\n`).join('');
}
