/** Records of a ledger changed, moved, taken away and put in: the audit names the very record, where leaves are kept, else its segment. */
import { encodeLeaf, encodePayload, LEAF_BYTES, minimalPayload, offset, payloadDigest, type RecordSegment } from '@plait/core';
import { Prng, type StillPartition } from '@plait/testkit';
import type { LeavesOf, SourceRecord } from '@plait/roles';
import type { VerifyFinding } from '@plait/ledger';
import { beforeAll, expect, test } from 'vitest';
import { verifyWorld, worldOf, type World } from './world.ts';

let world: World;
/** Where each seq lies: of all records, none of them lost. */
let leavesOf: LeavesOf;

beforeAll(async () => {
  ({ honest: world } = await worldOf(7));
  const records = new Map(world.partitions.map((each) => [`${each.topic}/${each.partition}`, each.records]));
  leavesOf = async ({ topic, partition, firstOffset, nextOffset }: RecordSegment) => {
    const held = (records.get(`${topic}/${partition}`) ?? []).filter((record) => record.offset >= firstOffset && record.offset < nextOffset);
    const leaves = new Uint8Array(held.length * LEAF_BYTES);
    for (const [i, record] of held.entries()) leaves.set(encodeLeaf({ ...record, digest: payloadDigest(minimalPayload(record.payload)) }), i * LEAF_BYTES);
    return leaves;
  };
});

/** Another content of the partition with number `at`. */
function withRecords(at: number, records: readonly SourceRecord[], more: Partial<StillPartition> = {}): World {
  return { ...world, partitions: world.partitions.with(at, { ...(world.partitions[at] as StillPartition), records, ...more }) };
}

interface Attack {
  readonly name: string;
  readonly kinds: readonly VerifyFinding['kind'][];
  /** Other records than these, tampered with from number `i` on; undefined if that is not possible there. */
  readonly of: (records: readonly SourceRecord[], i: number) => readonly SourceRecord[] | undefined;
}

const other = encodePayload({ key: null, value: new TextEncoder().encode('never produced'), headers: [] });
const at = (record: SourceRecord | undefined, where: SourceRecord): SourceRecord => ({ ...(record as SourceRecord), offset: where.offset });

const attacks: readonly Attack[] = [
  { name: 'a payload changed', kinds: ['payload-changed'], of: (records, i) => records.with(i, { ...(records[i] as SourceRecord), payload: other }) },
  { name: 'a timestamp changed', kinds: ['timestamp-changed'], of: (records, i) => records.with(i, { ...(records[i] as SourceRecord), timestamp: 99n }) },
  { name: 'a record blanked', kinds: ['record-missing'], of: (records, i) => records.toSpliced(i, 1) },
  {
    name: 'a record removed, the rest renumbered', kinds: ['record-missing', 'payload-changed'],
    of: (records, i) => records.slice(0, -1).map((record, n) => (n < i ? record : at(records[n + 1], record))),
  },
  {
    name: 'a record put in, the rest renumbered', kinds: ['record-added', 'payload-changed'],
    of: (records, i) => records.map((record, n) => (n < i ? record : n === i ? { ...record, payload: other } : at(records[n - 1], record))),
  },
  {
    name: 'two records swapped', kinds: ['payload-changed', 'timestamp-changed'],
    of: (records, i) => {
      const [a, b] = [records[i], records[i + 1]];
      return a === undefined || b === undefined ? undefined : records.with(i, at(b, a)).with(i + 1, at(a, b));
    },
  },
];

test.each(attacks)('$name', async ({ kinds, of }) => {
  const random = new Prng('records');
  const seen = new Map<string, number>();
  for (const [number, { records, topic, partition }] of world.partitions.entries()) {
    for (let i = random.int(47); i < records.length; i += 1 + random.int(47)) {
      const changed = of(records, i);
      const record = records[i] as SourceRecord;
      if (changed === undefined) continue;
      const mutated = withRecords(number, changed);
      const { verdict, finding } = await verifyWorld(mutated, { leavesOf }, { checkers: 2 });
      expect({ verdict, ...finding }, `${topic}/${partition}@${record.offset}`).toMatchObject({
        verdict: 'tampered', kind: expect.toSatisfy((kind) => kinds.includes(kind)), topic, partition, offset: record.offset,
      });
      seen.set(finding?.kind ?? '', (seen.get(finding?.kind ?? '') ?? 0) + 1);
      const { finding: range } = await verifyWorld(mutated);
      expect(range, `${topic}/${partition}@${record.offset}`).toMatchObject({ kind: 'records-differ', topic, partition, firstSeq: finding?.firstSeq, nextSeq: finding?.nextSeq });
      expect(range?.firstOffset).toBeLessThanOrEqual(record.offset);
      expect(range?.nextOffset).toBeGreaterThan(record.offset);
    }
  }
  process.stdout.write(`${JSON.stringify(Object.fromEntries(seen))}\n`);
});

test('a partition truncated', async () => {
  const [{ records, end, topic }] = world.partitions as [StillPartition];
  for (const back of [1n, 7n, end]) {
    const cut = end - back;
    const { verdict, finding } = await verifyWorld(withRecords(0, records.filter((record) => record.offset < cut), { end: cut }), { leavesOf });
    expect({ verdict, ...finding }).toMatchObject({ verdict: 'tampered', kind: 'beyond-end', topic, partition: 0 });
    expect(finding?.nextOffset).toBeGreaterThan(cut);
  }
});

test.each([
  { what: 'kept for ever', retention: { ms: -1n, bytes: -1n, onlyDelete: true }, kind: 'deleted' },
  { what: 'kept for longer', retention: { ms: 10n ** 15n, bytes: -1n, onlyDelete: true }, kind: 'deleted' },
  { what: 'kept for a while', retention: { ms: 1_000n, bytes: -1n, onlyDelete: true }, kind: 'expired-or-deleted' },
  { what: 'kept up to a size', retention: { ms: -1n, bytes: 1_000n, onlyDelete: true }, kind: 'expired-or-deleted' },
  { what: 'compacted', retention: { ms: -1n, bytes: -1n, onlyDelete: false }, kind: 'expired-or-deleted' },
  { what: 'nobody knows', retention: undefined, kind: 'expired-or-deleted' },
])('a head deleted of a topic that is $what: $kind', async ({ retention, kind }) => {
  const [{ records }] = world.partitions as [StillPartition];
  const logStart = offset(BigInt(records.length >> 1));
  const mutated = withRecords(0, records.filter((record) => record.offset >= logStart), { logStart });
  const report = await verifyWorld(mutated, { retentionOf: async () => retention });
  expect(report).toMatchObject({ verdict: 'undecided', finding: { kind, topic: 'orders', partition: 0, firstOffset: 0n } });
  expect(report.counts.gone + report.counts.records).toBe((await verifyWorld(world)).counts.records);
  expect(report.counts.gone).toBeGreaterThan(0n);
  // A place that was tampered with behind it wins.
  const [, { records: others }] = world.partitions as [StillPartition, StillPartition];
  const worse = { ...mutated, partitions: mutated.partitions.with(1, { ...(mutated.partitions[1] as StillPartition), records: others.slice(0, -1) }) };
  expect(await verifyWorld(worse)).toMatchObject({ verdict: 'tampered', finding: { kind: 'records-differ', partition: 1 } });
});
