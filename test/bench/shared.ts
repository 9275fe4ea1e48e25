/** What the benchmark and its parts have in common. */
import { makeSignerKey } from '@plait/core';

export const ORIGIN = 'bench.example/ledger';

const keyOf = (name: string, byte: number) => makeSignerKey(name, new Uint8Array(32).fill(byte));

/** Keys of the benchmark's ledgers; nothing secret. */
export const KEYS = {
  ledger: keyOf(`${ORIGIN}/ledger`, 1),
  checkpoint: keyOf(ORIGIN, 2),
  coordinator: keyOf(`${ORIGIN}/coordinator`, 3),
  worker: keyOf(`${ORIGIN}/worker`, 4),
};

export interface PartOptions {
  readonly bootstrapServers: string;
  /** The source topic. */
  readonly topic: string;
  /** The ledger's log. */
  readonly log: string;
  /** How many records to expect; 0 for a part that runs until it is told to stop. */
  readonly records: number;
  readonly perSecond: number;
  /** Where the unpatched kafkajs is. */
  readonly plainKafkajs: string;
}

/** Milliseconds since 1970 with fractions, comparable between processes of one machine. */
export function wallNow(): number {
  return performance.timeOrigin + performance.now();
}

/** Resolves at `timeMs` of `performance.now()`, at once if that is past. */
export async function sleepUntil(timeMs: number): Promise<void> {
  const waitMs = timeMs - performance.now();
  if (waitMs > 0) await new Promise((resolve) => setTimeout(resolve, waitMs));
}
