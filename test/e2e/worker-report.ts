/** Reports that no honest worker would write, by a worker's key. */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  apply, chainOf, emptyState, formatReport, logPosition, parseSignerKey, parseVerifierKey, signNote, type ChainEnd, type FoldState, type LedgerState, type Segment,
} from '@plait/core';
import { openLogAppender, openLogReader, type KafkaOptions } from '@plait/kafka';
import type { LedgerHarness } from './ledger-harness.ts';

/** Appends the report of one segment of a partition, which `segmentAt` makes for its chain's end; gives that end. */
export async function reportAs(
  ledger: LedgerHarness, { kafka, partition, segmentAt }: { readonly kafka: KafkaOptions; readonly partition: number; readonly segmentAt: (end: ChainEnd) => Segment },
): Promise<ChainEnd> {
  const state = await foldOf(ledger, kafka);
  const { origin, ledgerId } = state;
  const { end } = chainOf(state, { topic: ledger.topic, partition });
  const key = parseSignerKey((await readFile(join(ledger.folder, 'keys', 'worker.key'), 'utf8')).trimEnd());
  const report = formatReport({ kind: 'report', origin, ledgerId, segments: [segmentAt(end)] });
  const appender = await openLogAppender({ kafka, topic: ledger.file.log });
  await appender.append(signNote(report, key));
  await appender.close();
  return end;
}

/** The state at the log's end. */
async function foldOf({ file }: LedgerHarness, kafka: KafkaOptions): Promise<LedgerState> {
  const reader = await openLogReader({ kafka, topic: file.log, from: logPosition(0n) });
  let state: FoldState = emptyState({ origin: file.origin, ledgerKey: parseVerifierKey(file.ledgerKey) });
  const end = await reader.end();
  while (reader.position() < end) {
    for (const { position, value } of await reader.poll({ maxWaitMs: 1_000 })) ({ state } = apply(state, position, value));
  }
  await reader.close();
  if (state.kind !== 'ledger') throw new Error('no genesis');
  return state;
}
