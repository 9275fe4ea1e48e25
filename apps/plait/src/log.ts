/** Logs: pino on stderr, pretty on a terminal, one JSON object a line otherwise. */
import { pino, type Logger } from 'pino';
import pretty from 'pino-pretty';
import type { Outcome } from '@plait/core';
import type { KafkaLog } from '@plait/kafka';
import type { Observe, RoleEvent } from '@plait/roles';
import { printable } from './output.ts';

/** A log as {@link makeLog} makes it. */
export type Log = Logger;

/** Levels by which logs are filtered, least first. */
export const LOG_LEVELS = ['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent'] as const;
/** One of {@link LOG_LEVELS}. */
export type LogLevel = (typeof LOG_LEVELS)[number];

const STDERR = 2;

/** A log on stderr. Written at once, so that nothing is lost when the process is killed. */
export function makeLog(level: LogLevel): Log {
  const stream = process.stderr.isTTY
    ? pretty({ destination: STDERR, sync: true, colorize: true, ignore: 'pid,hostname,event', translateTime: 'SYS:HH:MM:ss.l' })
    : pino.destination({ dest: STDERR, sync: true });
  return pino({ level, base: { pid: process.pid }, formatters: { level: (label) => ({ level: label }) } }, stream);
}

/** kafkajs' own log, as debug lines: what matters of it comes as errors. */
export function kafkaLog(log: Log): KafkaLog {
  return (level, message, fields) => log.debug({ event: 'kafkajs', of: level, ...fields }, message);
}

/** Logs what a role tells: what changes at info, each message and report at debug. */
export function observer(log: Log): Observe {
  return (event) => {
    if (event.event === 'folded') logFolded(log, event.outcome, event.position);
    else logEvent(log, event);
  };
}

function logFolded(log: Log, outcome: Outcome, position: bigint): void {
  if (outcome.kind === 'configuration') {
    const { version } = outcome.configuration;
    log.info({ event: 'configuration', version: String(version), position: String(position) }, `configuration ${version} is in force`);
  } else if (outcome.kind === 'claim') {
    const { epoch } = outcome.claim;
    log.info({ event: 'claim', epoch: String(epoch), key: outcome.key, position: String(position) }, `epoch ${epoch} is led by ${printable(outcome.key)}`);
  } else if (log.isLevelEnabled('debug')) {
    const reason = outcome.kind === 'ignored' ? `${outcome.of} ignored: ${outcome.reason}` : outcome.kind;
    log.debug({ event: 'folded', kind: outcome.kind, position: String(position) }, reason);
  }
}

function logEvent(log: Log, event: Exclude<RoleEvent, { event: 'folded' }>): void {
  switch (event.event) {
    case 'caught-up':
      return log.info({ event: 'caught-up', position: String(event.position) }, `read the log up to ${event.position}`);
    case 'cold-start': {
      const { height, position, messages, unconfirmed, why } = event;
      const fields = { height: height?.toString(), position: position?.toString(), messages };
      return log[unconfirmed === undefined ? 'info' : 'warn']({ event: 'cold-start', ...fields }, `starting ${why}`);
    }
    case 'assigned': {
      const partitions = event.partitions.map(({ topic, partition }) => `${topic}/${partition}`);
      return log.info({ event: 'assigned', partitions }, `assigned ${partitions.length} partitions`);
    }
    case 'started': {
      const { topic, partition } = event.partition;
      return log.debug({ event: 'started', topic, partition, offset: String(event.offset) }, `hashing ${topic}/${partition} from ${event.offset} (${event.why})`);
    }
    case 'reported':
      return log.debug({ event: 'reported', segments: event.segments, records: String(event.records) }, `reported ${event.records} records`);
    case 'lost': {
      const { topic, partition } = event.partition;
      return log.warn({ event: 'lost', topic, partition, firstOffset: String(event.firstOffset), nextOffset: String(event.nextOffset) },
        `${topic}/${partition}: offsets ${event.firstOffset} … ${event.nextOffset} expired before they were hashed, and are reported as lost`);
    }
    case 'claiming':
      return log.info({ event: 'claiming', epoch: String(event.epoch), why: event.why }, `claiming epoch ${event.epoch} (${event.why})`);
    case 'leading':
      return log.info({ event: 'leading', epoch: String(event.epoch) }, `leading in epoch ${event.epoch}`);
    case 'fenced':
      return log.warn({ event: 'fenced', epoch: String(event.epoch) }, `no longer leading, or not first to claim, in epoch ${event.epoch}`);
    case 'lease':
      return log.info({ event: 'lease', held: event.held }, event.held ? 'holding the lease' : 'not holding the lease any more');
    case 'published':
      return log.debug({ event: 'published', size: String(event.size), hasState: event.hasState }, `signed the checkpoint of size ${event.size}`);
    case 'tiles':
      return log.debug({ event: 'tiles', size: String(event.size) }, `the checkpoint of size ${event.size} can be fetched`);
    case 'waiting':
      return log.warn({ event: 'waiting' }, printable(event.why));
    case 'alarm':
      return log.error({ event: 'alarm', alarm: event.alarm }, printable(event.message));
  }
}
