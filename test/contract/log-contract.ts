/** The contract of LogReader and LogAppender as a suite, for the fakes and for Kafka alike. */
import { isPlaitError, logPosition, type LogPosition } from '@plait/core';
import type { LogAppender, LogMessage, LogReader } from '@plait/roles';
import { expect, it, onTestFinished } from 'vitest';

/** One new, empty log, and hands on it that only a test has. */
export interface LogDriver {
  reader(from: LogPosition): Promise<LogReader>;
  appender(): Promise<LogAppender>;
  /** Deletes everything below `position`. */
  deleteBefore(position: LogPosition): Promise<void>;
  /** Leaves a position without a message, as a transaction marker does; may append a message `filler` before it. */
  gap(): Promise<void>;
  /** Every connection to the log ends, as when a broker restarts. */
  disconnect(): void;
  /** Gives what the promise gives; where time is virtual, lets it pass meanwhile. */
  settle<T>(promise: Promise<T>): Promise<T>;
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);
const texts = (messages: readonly LogMessage[]): string[] => messages.map(({ value }) => new TextDecoder().decode(value));

/** Polls until `count` messages have come, or fails after some tries. */
async function readMessages(driver: LogDriver, reader: LogReader, count: number): Promise<LogMessage[]> {
  const all: LogMessage[] = [];
  for (let i = 0; all.length < count && i < 100; i++) all.push(...(await driver.settle(reader.poll({ maxWaitMs: 200 }))));
  expect(all).toHaveLength(count);
  return all;
}

const open = async (driver: LogDriver, from = 0n): Promise<LogReader> => {
  const reader = await driver.settle(driver.reader(logPosition(from)));
  onTestFinished(() => driver.settle(reader.close()));
  return reader;
};
const openAppender = async (driver: LogDriver): Promise<LogAppender> => {
  const appender = await driver.settle(driver.appender());
  onTestFinished(() => driver.settle(appender.close()));
  return appender;
};

/** Declares the suite's tests; `make` is called once in each. */
export function logContract(make: () => Promise<LogDriver>): void {
  it('reads what was appended, in order, each once, and moves its position', async () => {
    const driver = await make();
    const appender = await openAppender(driver);
    const reader = await open(driver);
    expect(reader.position()).toBe(0n);
    expect(await driver.settle(reader.poll({ maxWaitMs: 0 }))).toEqual([]);
    for (let i = 0; i < 5; i++) await driver.settle(appender.append(bytes(`m${i}`)));
    const messages = await readMessages(driver, reader, 5);
    expect(texts(messages)).toEqual(['m0', 'm1', 'm2', 'm3', 'm4']);
    expect(messages.map(({ position }) => position)).toEqual([0n, 1n, 2n, 3n, 4n]);
    expect(reader.position()).toBe(5n);
    expect(await driver.settle(reader.end())).toBe(5n);
    expect(await driver.settle(reader.poll({ maxWaitMs: 10 }))).toEqual([]);
  });

  it('hands out a message that arrives while it waits', async () => {
    const driver = await make();
    const appender = await openAppender(driver);
    const reader = await open(driver);
    const [messages] = await driver.settle(Promise.all([reader.poll({ maxWaitMs: 60_000 }), appender.append(bytes('late'))]));
    expect(texts(messages)).toEqual(['late']);
  });

  it('begins at the position it was given', async () => {
    const driver = await make();
    const appender = await openAppender(driver);
    for (let i = 0; i < 4; i++) await driver.settle(appender.append(bytes(`m${i}`)));
    const reader = await open(driver, 2n);
    expect(reader.position()).toBe(2n);
    expect(texts(await readMessages(driver, reader, 2))).toEqual(['m2', 'm3']);
  });

  it('carries empty and large messages unchanged', async () => {
    const driver = await make();
    const appender = await openAppender(driver);
    const large = new Uint8Array(900_000).map((_, i) => (i * 7) & 0xff);
    await driver.settle(appender.append(new Uint8Array(0)));
    await driver.settle(appender.append(large));
    const messages = await readMessages(driver, await open(driver), 2);
    expect(messages[0]?.value).toHaveLength(0);
    expect(Buffer.compare(messages[1]?.value ?? bytes(''), large)).toBe(0);
  });

  it('passes positions without a message', async () => {
    const driver = await make();
    const appender = await openAppender(driver);
    await driver.settle(appender.append(bytes('a')));
    await driver.settle(driver.gap());
    const before = await driver.settle((await open(driver)).end());
    await driver.settle(appender.append(bytes('b')));
    const reader = await open(driver);
    const messages = await readUpTo(driver, reader, logPosition(before + 1n));
    expect(texts(messages).filter((text) => text !== 'filler')).toEqual(['a', 'b']);
    expect(messages.length).toBeLessThan(Number(before + 1n));
    expect(messages.at(-1)?.position).toBe(before);
    expect(reader.position()).toBe(before + 1n);
  });

  it('says `missing` when the next position was deleted', async () => {
    const driver = await make();
    const appender = await openAppender(driver);
    for (let i = 0; i < 4; i++) await driver.settle(appender.append(bytes(`m${i}`)));
    await driver.settle(driver.deleteBefore(logPosition(3n)));
    const reader = await open(driver, 1n);
    const error: unknown = await pollUntilError(driver, reader);
    expect(isPlaitError(error, 'missing')).toBe(true);
    expect(texts(await readMessages(driver, await open(driver, 3n), 1))).toEqual(['m3']);
  });

  it('says `rolled-back` when the log ends below the next position', async () => {
    const driver = await make();
    await driver.settle((await openAppender(driver)).append(bytes('only')));
    const error: unknown = await pollUntilError(driver, await open(driver, 5n));
    expect(isPlaitError(error, 'rolled-back')).toBe(true);
  });

  it('is of another incarnation after its connection was lost, at once, and reads on', async () => {
    const driver = await make();
    const appender = await openAppender(driver);
    await driver.settle(appender.append(bytes('before')));
    const reader = await open(driver);
    await readMessages(driver, reader, 1);
    const before = reader.incarnation();
    expect(await driver.settle(reader.poll({ maxWaitMs: 50 }))).toEqual([]);
    expect(reader.incarnation()).toBe(before);
    driver.disconnect();
    for (let i = 0; reader.incarnation() === before && i < 100; i++) await driver.settle(reader.poll({ maxWaitMs: 20 }).catch(() => []));
    expect(reader.incarnation()).toBeGreaterThan(before);
    // Over a connection that never was lost.
    await driver.settle((await openAppender(driver)).append(bytes('after')));
    const messages = await readMessages(driver, reader, 1);
    expect(texts(messages)).toEqual(['after']);
    const after = reader.incarnation();
    expect(await driver.settle(reader.poll({ maxWaitMs: 50 }))).toEqual([]);
    expect(reader.incarnation()).toBe(after);
  });

  it('closes more than once, and at once while a poll waits', async () => {
    const driver = await make();
    const reader = await driver.settle(driver.reader(logPosition(0n)));
    const poll = reader.poll({ maxWaitMs: 30_000 });
    await driver.settle(reader.close());
    expect(await driver.settle(poll)).toEqual([]);
    await driver.settle(reader.close());
  });
}

/** Polls until the reader's position is `end`. */
async function readUpTo(driver: LogDriver, reader: LogReader, end: LogPosition): Promise<LogMessage[]> {
  const all: LogMessage[] = [];
  for (let i = 0; reader.position() < end && i < 100; i++) all.push(...(await driver.settle(reader.poll({ maxWaitMs: 200 }))));
  expect(reader.position()).toBe(end);
  return all;
}

async function pollUntilError(driver: LogDriver, reader: LogReader): Promise<unknown> {
  for (let i = 0; i < 20; i++) {
    try {
      await driver.settle(reader.poll({ maxWaitMs: 500 }));
    } catch (error) {
      return error;
    }
  }
  return undefined;
}
