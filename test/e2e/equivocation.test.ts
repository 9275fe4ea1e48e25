/** A worker signs two segments over one range: the first counts, everybody sees the second, and one configuration ends it. */
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import {
  chainOf, formatReport, index, logPosition, messageHash, offset, parseSignerKey, parseVerifierKey, signNote, type RecordSegment, type SignerKey,
} from '@plait/core';
import { openLogAppender, openLogReader } from '@plait/kafka';
import { Follower } from '@plait/roles';
import { expect, test } from 'vitest';
import { open } from './ledger-checks.ts';
import { makeLedger, type LedgerHarness } from './ledger-harness.ts';

const RECORDS = 5n;

/** Appends two reports that say different things of the first offsets of partition 0. */
async function equivocate({ file, place, topic }: LedgerHarness, key: SignerKey): Promise<void> {
  await using ports = new AsyncDisposableStack();
  const kafka = { brokers: place.bootstrapServers.split(',') };
  const log = ports.adopt(await openLogReader({ kafka, topic: file.log, from: logPosition(0n) }), (port) => port.close());
  const appender = ports.adopt(await openLogAppender({ kafka, topic: file.log }), (port) => port.close());
  const follower = new Follower({ origin: file.origin, ledgerKey: parseVerifierKey(file.ledgerKey), log });
  while (!(await follower.readToEnd())) continue;
  const { state } = follower;
  if (state === undefined) throw new Error('no genesis');
  const { end } = chainOf(state, { topic, partition: 0 });
  for (const lie of ['one thing', 'and another']) {
    const segment: RecordSegment = {
      kind: 'segment', topic, partition: 0, generation: end.generation, firstIndex: end.nextIndex, nextIndex: index(end.nextIndex + RECORDS),
      firstOffset: end.nextOffset, nextOffset: offset(end.nextOffset + RECORDS), root: messageHash(`${lie}\n`), previous: end.head,
    };
    await appender.append(signNote(formatReport({ kind: 'report', origin: state.origin, ledgerId: state.ledgerId, segments: [segment] }), key));
  }
}

test('alarm: equivocation – ended by revoking the key, declaring the segment void and restarting the partition', { timeout: 300_000 }, async () => {
  await using ledger = await makeLedger({ partitions: 2 });
  const keyFile = join(dirname(ledger.folder), 'liar.key');
  expect((await ledger.plait('keys', 'make', 'liar', '--out', keyFile)).code).toBe(0);
  const key = parseSignerKey((await readFile(keyFile, 'utf8')).trimEnd());
  expect((await ledger.plait('reconfigure', '--add-worker-key', `@${keyFile}`)).code).toBe(0);
  const worker = ledger.start('worker');
  await worker.ready;
  // Without a coordinator the first of the two waits for its block, and is there to be compared.
  await equivocate(ledger, key);
  const alarm = (name: string): boolean => worker.lines.some((line) => line['event'] === 'alarm' && line['alarm'] === name && String(line['msg']).includes(ledger.topic));
  await ledger.until('the alarm', () => Promise.resolve(alarm('equivocation')));
  // What the first one speaks of is not there.
  await ledger.until('the partition stops', () => Promise.resolve(alarm('source-regressed')));

  await ledger.start('coordinator').ready;
  await ledger.until('the lie is numbered', async () => (await ledger.status()).nextSeq === RECORDS);
  const ended = await ledger.plait('reconfigure', '--revoke-worker-key', key.name, '--void', `${ledger.topic}/0:0-`, '--restart', `${ledger.topic}/0`);
  expect(ended.code, ended.stderr).toBe(0);
  const load = ledger.load();
  await ledger.until('records', () => Promise.resolve(load.acknowledged > 100));
  await load.stop();
  await ledger.settled();
  await using opened = await open(ledger.folder, ledger.place.bootstrapServers);
  const kinds: string[] = [];
  for await (const entry of opened.read({ follow: false })) kinds.push(entry.kind);
  // Of a busy broker more may be there than it has acknowledged.
  const { partitions } = await ledger.status();
  const records = Number(partitions.reduce((sum, { end }) => sum + end, 0n));
  expect(records).toBeGreaterThanOrEqual(load.acknowledged);
  expect(kinds).toEqual(['void', ...Array.from({ length: records }, () => 'record')]);
});
