/**
 * Ports over Kafka, and calls, that go on after a moment without an answer, as those who use them do: where a machine stood
 * still for some seconds is no matter of the tests.
 */
import { isPlaitError, type LogPosition } from '@plait/core';
import { openLogAppender, openLogReader, openSourceReader, type KafkaOptions } from '@plait/kafka';
import type { LogAppender, LogReader, SourceReader } from '@plait/roles';
import { patiently } from './client.ts';

/** Longer than any machine stands still: what was sent is not given up, and so is there once. */
const ANSWER_MS = 60_000;

/** What `call` gives, called again after a rest while it throws `unavailable`: then nothing was done. */
export async function onceAvailable<T>(call: () => Promise<T>): Promise<T> {
  return await patiently(call, (error) => isPlaitError(error, 'unavailable'));
}

/** As openSourceReader. */
export async function openPatientSource(kafka: KafkaOptions): Promise<SourceReader> {
  const reader = await onceAvailable(() => openSourceReader({ kafka }));
  return {
    find: (partition) => reader.find(partition),
    seek: (partition, offset) => reader.seek(partition, offset),
    drop: (partition) => reader.drop(partition),
    poll: (options) => onceAvailable(() => reader.poll(options)),
    close: () => reader.close(),
  };
}

/** As openLogReader. */
export async function openPatientLog(options: { readonly kafka: KafkaOptions; readonly topic: string; readonly from: LogPosition }): Promise<LogReader> {
  const reader = await onceAvailable(() => openLogReader(options));
  return {
    poll: (wait) => onceAvailable(() => reader.poll(wait)),
    position: () => reader.position(),
    end: () => onceAvailable(() => reader.end()),
    incarnation: () => reader.incarnation(),
    close: () => reader.close(),
  };
}

/** As openLogAppender; each message is there once. */
export async function openPatientAppender({ kafka, topic }: { readonly kafka: KafkaOptions; readonly topic: string }): Promise<LogAppender> {
  const appender = await onceAvailable(() => openLogAppender({ kafka: { ...kafka, requestTimeoutMs: ANSWER_MS }, topic, timeoutMs: ANSWER_MS }));
  return { append: (message) => onceAvailable(() => appender.append(message)), close: () => appender.close() };
}
