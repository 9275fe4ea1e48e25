/** Attacks on records: the owner of the broker's disk, and who may delete. */
import { utf8Encode, type Payload } from '@plait/core';
import { createTopic } from '../kafka/client.ts';
import { WAVES, type Attack } from './attack.ts';
import { batchAt, blankBatch, changeRecord, editPartition, insertBatch, insertRecord, readPartition, removeBatch, removeRecord, swapRecords, truncateAt, type Edit } from './segment-file.ts';
import { PARTITIONS, WAVE } from './small-ledger.ts';

const HOUR_MS = 3_600_000;
/** Less than it takes from here to the audit. The broker would look for what has expired in an hour. */
const SHORT_MS = 1_000;
/** In the middle wave: offsets 4 … 8 of partition 0, seqs 8 … 12. */
const TARGET = 5n;

/** On the disk, in partition 0. */
const inFile = (name: string, edit: Edit): Attack => ({ name, onDisk: (ledger) => editPartition(ledger.partitionFolder(0), edit) });

const withPayload = (name: string, change: (payload: Payload) => Partial<Payload>): Attack =>
  inFile(name, changeRecord(TARGET, ({ payload }) => ({ payload: { ...payload, ...change(payload) } })));

function flipped(bytes: Uint8Array | null): Uint8Array {
  return Uint8Array.from(bytes ?? [], (byte, i) => (i === 0 ? byte ^ 1 : byte));
}

/** DeleteRecords, below an offset in the middle of a segment. */
const deleteHead = (name: string, retentionMs: number): Attack => ({
  name, ledger: { settings: { 'retention.ms': String(retentionMs) } }, online: ({ ground, topic }) => ground.harness.deleteBefore({ topic, partition: 0 }, TARGET),
});

export const ON_RECORDS: readonly Attack[] = [
  withPayload('a byte of a value changed', ({ value }) => ({ value: flipped(value) })),
  withPayload('a byte of a key changed', ({ key }) => ({ key: flipped(key) })),
  withPayload('a header changed', ({ headers }) => ({ headers: headers.map(({ key }) => ({ key, value: utf8Encode('another') })) })),
  inFile('a timestamp changed', changeRecord(TARGET, ({ timestamp }) => ({ timestamp: timestamp + 1n }))),
  inFile('two records of a batch swapped', swapRecords(TARGET, TARGET + 1n)),
  {
    name: 'a batch moved to another partition',
    onDisk: async (ledger) => {
      const batch = batchAt(await readPartition(ledger.partitionFolder(0)), TARGET);
      await editPartition(ledger.partitionFolder(0), removeBatch(TARGET));
      await editPartition(ledger.partitionFolder(1), insertBatch(batch, TARGET));
    },
  },
  inFile('a record removed and the rest renumbered', removeRecord(TARGET)),
  inFile('a record added and the rest renumbered', insertRecord(TARGET, () => ({ payload: { key: null, value: utf8Encode('never written'), headers: [] } }))),
  inFile('a middle batch blanked', blankBatch(TARGET)),
  inFile('the sequenced tail truncated', truncateAt(BigInt(2 * WAVE))),
  deleteHead('the head deleted with DeleteRecords, `retention.ms` −1', -1),
  deleteHead('the head deleted with DeleteRecords, younger than `retention.ms`', HOUR_MS),
  deleteHead('the head deleted with DeleteRecords, older than `retention.ms`', SHORT_MS),
  {
    name: 'the topic re-created with as many other records',
    online: async (ledger) => {
      const { topic, ground: { harness } } = ledger;
      await harness.deleteTopic(topic);
      await createTopic(harness.options.brokers.join(','), topic, { partitions: PARTITIONS.length, settings: { 'retention.ms': '-1' } });
      for (let wave = 0; wave < WAVES; wave++) await ledger.write('another record');
    },
  },
];
