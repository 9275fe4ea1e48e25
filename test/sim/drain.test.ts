/** A worker that stops in good order: everything it was handed and hashed is reported when `drain` says so. */
import {
  apply, chainOf, emptyState, encodePayload, formatGenesis, isPlaitError, logPosition, makeSignerKey, signNote, type FoldState, type Genesis, type SignerKey,
} from '@plait/core';
import { Worker } from '@plait/roles';
import { Faults, MemoryGroup, MemoryLog, MemorySource, Scheduler, VirtualClock, type FaultRates } from '@plait/testkit';
import { describe, expect, test } from 'vitest';

const ORIGIN = 'sim.example/drain';
const keyOf = (role: string, byte: number): SignerKey => makeSignerKey(role === '' ? ORIGIN : `${ORIGIN}/${role}`, new Uint8Array(32).fill(byte));
const KEYS = { ledger: keyOf('ledger', 1), checkpoint: keyOf('', 2), coordinator: keyOf('coordinator', 3), worker: keyOf('worker', 4) };
const ORDERS = { topic: 'orders', partition: 0 };
const RECORDS = 400;
/** The worker is stopped when it was handed so many. */
const HANDED_MIN = 150n;

const genesis = (pendingMax: number): Genesis => ({
  kind: 'genesis', origin: ORIGIN, rules: 1, onLoss: 'stop', partitionsMax: 8, pendingMax,
  checkpointKeys: [KEYS.checkpoint.verifier], coordinatorKeys: [KEYS.coordinator.verifier], workerKeys: [KEYS.worker.verifier],
  sources: ['orders'], starts: [], voids: [],
});

interface Drained {
  readonly complete: boolean;
  /** Offset below which the worker was handed records, and below which the fold has accepted reports. */
  readonly handed: bigint;
  readonly reported: bigint;
}

/** Runs a worker until it was handed records, stops it there, and drains it. */
async function drained(seed: number, options: { readonly faults?: Partial<FaultRates>; readonly pendingMax?: number } = {}): Promise<Drained> {
  const scheduler = new Scheduler({ seed });
  const faults = new Faults(scheduler.random.fork('faults'), options.faults ?? {});
  const log = new MemoryLog(scheduler, { faults });
  const source = new MemorySource(scheduler, { faults });
  source.createPartition(ORDERS.topic, ORDERS.partition);
  const group = new MemoryGroup(scheduler, { faults, partitionsOf: () => [ORDERS] });
  log.land(signNote(formatGenesis(genesis(options.pendingMax ?? 4_096)), KEYS.ledger));
  const payload = encodePayload({ key: null, value: new Uint8Array(8), headers: [] });
  for (let i = 0; i < RECORDS; i += 1) source.produce(ORDERS.topic, ORDERS.partition, payload);

  const read = { upTo: 0n };
  let complete: boolean | undefined;
  const self = scheduler.spawn('worker', async (process) => {
    const reader = source.reader(process);
    const poll = reader.poll.bind(reader);
    reader.poll = async (wait) => {
      const events = await poll(wait);
      for (const event of events) if (event.kind === 'records') read.upTo = event.nextOffset;
      return events;
    };
    const worker = new Worker({
      origin: ORIGIN, ledgerKey: KEYS.ledger.verifier, key: KEYS.worker, log: log.reader(process, logPosition(0n)), appender: log.appender(process),
      source: reader, membership: group.member(process), clock: new VirtualClock(scheduler, process), times: { drainMs: 20_000 },
    });
    while (read.upTo < HANDED_MIN) await worker.step().catch(ignoreOutage);
    complete = await worker.drain();
  });
  await scheduler.run({ until: () => complete !== undefined, eventsMax: 20_000 });
  expect(self.state).not.toBe('crashed');
  return { complete: complete === true, handed: read.upTo, reported: reportedIn(log) };
}

function ignoreOutage(error: unknown): void {
  if (!isPlaitError(error, 'unavailable') && !isPlaitError(error, 'unknown')) throw error;
}

function reportedIn(log: MemoryLog): bigint {
  let state: FoldState = emptyState({ origin: ORIGIN, ledgerKey: KEYS.ledger.verifier });
  for (const { position, value } of log.messages) state = apply(state, position, value).state;
  return state.kind === 'empty' ? 0n : chainOf(state, ORDERS).end.nextOffset;
}

describe.each([1, 2, 3, 4, 5, 6])('seed %i', (seed) => {
  test('what was hashed is reported, in as many reports as it takes', async () => {
    const { complete, handed, reported } = await drained(seed);
    expect(complete).toBe(true);
    expect(handed).toBeGreaterThan(0n);
    expect(reported).toBe(handed);
  });

  test('appends that fail or whose answer is lost are sent again', async () => {
    const { complete, handed, reported } = await drained(seed, { faults: { appendUnavailable: 0.3, appendLost: 0.2, appendAnswerLost: 0.2, slow: 0.2 } });
    expect(complete).toBe(true);
    expect(reported).toBe(handed);
  });

  test('a log that takes no more reports, for want of blocks, is waited for no longer than said', async () => {
    const { complete, handed, reported } = await drained(seed, { pendingMax: 1 });
    expect(complete).toBe(false);
    expect(reported).toBeLessThan(handed);
  });
});
