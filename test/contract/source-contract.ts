/** The contract of SourceReader as a suite, for the fake and for Kafka alike. */
import { encodePayload, offset, type Offset, type Payload, type TopicPartition } from '@plait/core';
import type { SourceEvent, SourceReader, SourceRecord } from '@plait/roles';
import { expect, it, onTestFinished } from 'vitest';

/** Topics, and hands on them that only a test has. */
export interface SourceDriver {
  /** A new topic's name. */
  makeTopic(partitions: number): Promise<string>;
  reader(): Promise<SourceReader>;
  /** Appends records, committed. */
  produce(partition: TopicPartition, payloads: readonly Payload[]): Promise<void>;
  /** Appends records in one transaction and ends it; a marker follows them. */
  produceInTransaction(partition: TopicPartition, payloads: readonly Payload[], end: 'commit' | 'abort'): Promise<void>;
  /** Deletes everything below `offset`. */
  deleteBefore(partition: TopicPartition, offset: Offset): Promise<void>;
  addPartitions(topic: string, total: number): Promise<void>;
  /** Deletes the topic. */
  deleteTopic(topic: string): Promise<void>;
  /** Makes a topic of that name, which was deleted, anew. */
  makeAgain(topic: string, partitions: number): Promise<void>;
  /** Gives what the promise gives; where time is virtual, lets it pass meanwhile. */
  settle<T>(promise: Promise<T>): Promise<T>;
}

const payload = (text: string): Payload => ({ key: null, value: new TextEncoder().encode(text), headers: [] });
const payloads = (prefix: string, count: number): Payload[] => Array.from({ length: count }, (_, i) => payload(`${prefix}${i}`));

/** What came of one partition, checked as it comes: every batch begins where the former ended. */
interface Read {
  next: Offset;
  readonly records: SourceRecord[];
}

/** Polls until the partition's position is `end`. Fails on a gap, an overlap or a batch that does not move on. */
async function readUpTo(driver: SourceDriver, reader: SourceReader, { at, from, end }: { at: TopicPartition; from: bigint; end: bigint }): Promise<Read> {
  const read: Read = { next: offset(from), records: [] };
  for (let i = 0; read.next < end && i < 200; i++) {
    for (const event of await driver.settle(reader.poll({ maxWaitMs: 500, only: at }))) {
      if (event.kind !== 'records') throw new Error(`${event.kind} after ${read.next}`);
      expect({ topic: event.topic, partition: event.partition }).toEqual(at);
      expect(event.firstOffset).toBe(read.next);
      expect(event.nextOffset > event.firstOffset).toBe(true);
      for (const record of event.records) {
        expect(record.offset >= event.firstOffset && record.offset < event.nextOffset).toBe(true);
        expect(record.offset > (read.records.at(-1)?.offset ?? -1n)).toBe(true);
        read.records.push(record);
      }
      read.next = event.nextOffset;
    }
  }
  expect(read.next).toBe(end);
  return read;
}

const same = (record: SourceRecord | undefined, expected: Payload): boolean =>
  record !== undefined && Buffer.compare(record.payload, encodePayload(expected)) === 0;

const open = async (driver: SourceDriver): Promise<SourceReader> => {
  const reader = await driver.settle(driver.reader());
  onTestFinished(() => driver.settle(reader.close()));
  return reader;
};

/** Declares the suite's tests; `make` is called once in each. */
export function sourceContract(make: () => Promise<SourceDriver>): void {
  it('reads nothing that was not sought', async () => {
    const driver = await make();
    const at = { topic: await driver.makeTopic(1), partition: 0 };
    await driver.settle(driver.produce(at, payloads('a', 3)));
    expect(await driver.settle((await open(driver)).poll({ maxWaitMs: 300 }))).toEqual([]);
  });

  it('reads each partition from its own offset, in order, without gap or overlap', async () => {
    const driver = await make();
    const topic = await driver.makeTopic(3);
    for (let partition = 0; partition < 3; partition++) await driver.settle(driver.produce({ topic, partition }, payloads(`p${partition}-`, 10)));
    const reader = await open(driver);
    for (let partition = 0; partition < 3; partition++) reader.seek({ topic, partition }, offset(BigInt(partition)));
    for (let partition = 0; partition < 3; partition++) {
      const { records } = await readUpTo(driver, reader, { at: { topic, partition }, from: BigInt(partition), end: 10n });
      expect(records).toHaveLength(10 - partition);
      expect(same(records[0], payload(`p${partition}-${partition}`))).toBe(true);
    }
  });

  it('gives events of all partitions when not asked for one', async () => {
    const driver = await make();
    const topic = await driver.makeTopic(2);
    const reader = await open(driver);
    for (const partition of [0, 1]) {
      await driver.settle(driver.produce({ topic, partition }, payloads('x', 2)));
      reader.seek({ topic, partition }, offset(0n));
    }
    const seen = new Map<number, number>();
    for (let i = 0; i < 20 && (seen.get(0) !== 2 || seen.get(1) !== 2); i++) {
      for (const event of await driver.settle(reader.poll({ maxWaitMs: 500 }))) {
        if (event.kind === 'records') seen.set(event.partition, (seen.get(event.partition) ?? 0) + event.records.length);
      }
    }
    expect([seen.get(0), seen.get(1)]).toEqual([2, 2]);
  });

  it('hands out a record that arrives while it waits', async () => {
    const driver = await make();
    const at = { topic: await driver.makeTopic(1), partition: 0 };
    const reader = await open(driver);
    reader.seek(at, offset(0n));
    const [events] = await driver.settle(Promise.all([firstEvents(reader), driver.produce(at, [payload('late')])]));
    expect(events.map((event) => (event.kind === 'records' ? event.records.length : -1))).toEqual([1]);
  });

  it('leaves out aborted records and markers, and still tells where the fetch ended', async () => {
    const driver = await make();
    const at = { topic: await driver.makeTopic(1), partition: 0 };
    await driver.settle(driver.produceInTransaction(at, payloads('gone', 2), 'abort'));
    await driver.settle(driver.produceInTransaction(at, payloads('kept', 2), 'commit'));
    await driver.settle(driver.produceInTransaction(at, payloads('tail', 1), 'abort'));
    const reader = await open(driver);
    reader.seek(at, offset(0n));
    const { records } = await readUpTo(driver, reader, { at, from: 0n, end: 8n });
    expect(records.map(({ offset }) => offset)).toEqual([3n, 4n]);
    expect(same(records[1], payload('kept1'))).toBe(true);
  });

  it('gives an empty batch where only a marker was read', async () => {
    const driver = await make();
    const at = { topic: await driver.makeTopic(1), partition: 0 };
    await driver.settle(driver.produceInTransaction(at, payloads('kept', 1), 'commit'));
    const reader = await open(driver);
    reader.seek(at, offset(1n));
    expect((await readUpTo(driver, reader, { at, from: 1n, end: 2n })).records).toEqual([]);
  });

  it('forgets what was fetched when sought elsewhere or dropped', async () => {
    const driver = await make();
    const at = { topic: await driver.makeTopic(1), partition: 0 };
    await driver.settle(driver.produce(at, payloads('a', 10)));
    const reader = await open(driver);
    reader.seek(at, offset(0n));
    await readUpTo(driver, reader, { at, from: 0n, end: 10n });
    reader.seek(at, offset(4n));
    reader.seek(at, offset(7n));
    expect((await readUpTo(driver, reader, { at, from: 7n, end: 10n })).records).toHaveLength(3);
    reader.seek(at, offset(0n));
    reader.drop(at);
    expect(await driver.settle(reader.poll({ maxWaitMs: 300 }))).toEqual([]);
    reader.seek(at, offset(9n));
    expect((await readUpTo(driver, reader, { at, from: 9n, end: 10n })).records).toHaveLength(1);
  });

  it('says once what a partition holds when the offset is below its start or above its end', async () => {
    const driver = await make();
    const at = { topic: await driver.makeTopic(1), partition: 0 };
    await driver.settle(driver.produce(at, payloads('a', 10)));
    await driver.settle(driver.deleteBefore(at, offset(6n)));
    const reader = await open(driver);
    for (const wanted of [2n, 50n]) {
      reader.seek(at, offset(wanted));
      const events = await driver.settle(firstEvents(reader));
      expect(events).toEqual([{ kind: 'out-of-range', ...at, offset: wanted, logStart: 6n, end: 10n }]);
      expect(await driver.settle(reader.poll({ maxWaitMs: 300 }))).toEqual([]);
    }
    reader.seek(at, offset(6n));
    expect((await readUpTo(driver, reader, { at, from: 6n, end: 10n })).records).toHaveLength(4);
  });

  it('gives nothing of a partition that does not exist, until it does', async () => {
    const driver = await make();
    const topic = await driver.makeTopic(1);
    const reader = await open(driver);
    const at = { topic, partition: 1 };
    reader.seek(at, offset(0n));
    expect(await driver.settle(reader.poll({ maxWaitMs: 300 }))).toEqual([]);
    await driver.settle(driver.addPartitions(topic, 2));
    await driver.settle(driver.produce(at, payloads('new', 2)));
    expect((await readUpTo(driver, reader, { at, from: 0n, end: 2n })).records).toHaveLength(2);
  });

  it('says what a partition holds when asked, and reads it from where it is sought then', async () => {
    const driver = await make();
    const at = { topic: await driver.makeTopic(1), partition: 0 };
    await driver.settle(driver.produce(at, payloads('a', 10)));
    await driver.settle(driver.deleteBefore(at, offset(6n)));
    const reader = await open(driver);
    for (let i = 0; i < 2; i += 1) {
      reader.find(at);
      expect(await driver.settle(firstEvents(reader))).toEqual([{ kind: 'found', ...at, logStart: 6n, end: 10n }]);
      expect(await driver.settle(reader.poll({ maxWaitMs: 300 }))).toEqual([]);
    }
    reader.seek(at, offset(7n));
    expect((await readUpTo(driver, reader, { at, from: 7n, end: 10n })).records).toHaveLength(3);
    reader.seek(at, offset(2n));
    expect(await driver.settle(firstEvents(reader))).toEqual([{ kind: 'out-of-range', ...at, offset: 2n, logStart: 6n, end: 10n }]);
  });

  it('finds a partition as soon as it exists', async () => {
    const driver = await make();
    const topic = await driver.makeTopic(1);
    const at = { topic, partition: 1 };
    const reader = await open(driver);
    reader.find(at);
    expect(await driver.settle(reader.poll({ maxWaitMs: 300 }))).toEqual([]);
    await driver.settle(driver.addPartitions(topic, 2));
    expect(await driver.settle(firstEvents(reader))).toMatchObject([{ kind: 'found', ...at, logStart: 0n }]);
  });

  it.each([{ records: 3 }, { records: 10 }, { records: 30 }])('finds a partition of 10 records again that was deleted and made anew with $records', async ({ records }) => {
    const driver = await make();
    const at = { topic: await driver.makeTopic(1), partition: 0 };
    await driver.settle(driver.produce(at, payloads('a', 10)));
    const reader = await open(driver);
    reader.find(at);
    await driver.settle(firstEvents(reader));
    reader.seek(at, offset(0n));
    await readUpTo(driver, reader, { at, from: 0n, end: 10n });
    // Polled meanwhile: who has not asked for a while notices nothing.
    const [events] = await driver.settle(Promise.all([firstEvents(reader), makeAnew(driver, at, { partitions: 1, records })]));
    // Found right when it was made, or with records.
    expect(events).toMatchObject([{ kind: 'found', ...at, logStart: 0n }]);
    expect(await driver.settle(reader.poll({ maxWaitMs: 300 }))).toEqual([]);
    reader.seek(at, offset(0n));
    const read = await readUpTo(driver, reader, { at, from: 0n, end: BigInt(records) });
    expect(same(read.records[0], payload('b0'))).toBe(true);
  });

  it('finds a partition that was made anew, though it is sought before that was handed out', async () => {
    const driver = await make();
    const topic = await driver.makeTopic(2);
    const [at, other] = [{ topic, partition: 0 }, { topic, partition: 1 }];
    await driver.settle(driver.produce(at, payloads('a', 10)));
    const reader = await open(driver);
    reader.find(at);
    await driver.settle(firstEvents(reader));
    reader.seek(at, offset(10n));
    let isMade = false;
    const made = makeAnew(driver, at, { partitions: 2, records: 30 }).then(() => void (isMade = true));
    // Meanwhile, and for some time to find it, nothing of it is handed out.
    for (let left = 3; left > 0; left -= Number(isMade)) expect(await driver.settle(reader.poll({ maxWaitMs: 500, only: other }))).toEqual([]);
    await made;
    reader.seek(at, offset(10n));
    expect(await driver.settle(firstEvents(reader))).toEqual([{ kind: 'found', ...at, logStart: 0n, end: 30n }]);
  });

  it('reads on in what was made anew if it was not to find the partition', async () => {
    const driver = await make();
    const at = { topic: await driver.makeTopic(1), partition: 0 };
    const reader = await open(driver);
    reader.find(at);
    await driver.settle(firstEvents(reader));
    reader.drop(at);
    reader.seek(at, offset(0n));
    await driver.settle(driver.deleteTopic(at.topic));
    await driver.settle(driver.makeAgain(at.topic, 1));
    await driver.settle(driver.produce(at, payloads('b', 5)));
    expect((await readUpTo(driver, reader, { at, from: 0n, end: 5n })).records).toHaveLength(5);
  });

  it('closes more than once, and at once while a poll waits', async () => {
    const driver = await make();
    const at = { topic: await driver.makeTopic(1), partition: 0 };
    const reader = await driver.settle(driver.reader());
    reader.seek(at, offset(0n));
    const poll = reader.poll({ maxWaitMs: 30_000 });
    await driver.settle(reader.close());
    expect(await driver.settle(poll)).toEqual([]);
    await driver.settle(reader.close());
  });
}

/** Deletes the topic of a partition, makes one of that name, and appends so many records to the partition. */
async function makeAnew(driver: SourceDriver, at: TopicPartition, { partitions, records }: { readonly partitions: number; readonly records: number }): Promise<void> {
  await driver.deleteTopic(at.topic);
  await driver.makeAgain(at.topic, partitions);
  await driver.produce(at, payloads('b', records));
}

async function firstEvents(reader: SourceReader): Promise<readonly SourceEvent[]> {
  for (let i = 0; i < 60; i++) {
    const events = await reader.poll({ maxWaitMs: 1_000 });
    if (events.length > 0) return events;
  }
  return [];
}
