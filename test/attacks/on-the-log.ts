/** Attacks on the log: edits on the disk, forgeries by strangers and by those who once had or still have a key. */
import { randomBytes } from 'node:crypto';
import {
  chainOf, epoch, formatBlock, formatCheckpoint, formatClaim, formatConfiguration, formatReport, formatSnapshot, index, makeSignerKey, offset, parseBlock,
  parseMessage, parseNote, sealBlock, signNote, utf8Encode, type Segment,
} from '@plait/core';
import { editLog, foldOf, kindOf, NONSENSE, positionOf, reportOf, rewrite, withOtherHash, type Attack } from './attack.ts';
import { editPartition, removeRecord, swapRecords, truncateAt } from './segment-file.ts';
import { PARTITIONS, WAVE, type SmallLedger } from './small-ledger.ts';

/** The block that is attacked is that of the middle wave. */
const BLOCK = 1;

/** A segment of partition 0 that begins at its chain's end, as a worker who lies reports it. */
async function lie(ledger: SmallLedger, kind: Segment['kind'], records: number): Promise<void> {
  const state = foldOf(ledger, await ledger.messages());
  const { origin, ledgerId } = state;
  const { end } = chainOf(state, { topic: ledger.topic, partition: 0 });
  const range = {
    topic: ledger.topic, partition: 0, generation: end.generation, firstIndex: end.nextIndex, firstOffset: end.nextOffset,
    nextOffset: offset(end.nextOffset + BigInt(records)), previous: end.head,
  };
  const segment: Segment = kind === 'loss'
    ? { kind, ...range, nextIndex: index(end.nextIndex + 1n) }
    : { kind, ...range, nextIndex: index(end.nextIndex + BigInt(records)), root: NONSENSE };
  await ledger.append(signNote(formatReport({ kind: 'report', origin, ledgerId, segments: [segment] }), ledger.keys.liar));
}

/** The lie is told before the honest worker looks, and then numbered. */
const worker = (name: string, kind: Segment['kind'], records: number): Attack => ({
  name,
  online: async (ledger) => {
    await ledger.write();
    await lie(ledger, kind, records);
    await using team = await ledger.team();
    await team.sequence();
  },
});

/** A configuration without the coordinator, after which it seals one more block. */
async function revokedGoesOn(ledger: SmallLedger): Promise<void> {
  const { keys, genesis } = ledger;
  await ledger.write();
  await using team = await ledger.team();
  await team.report();
  const before = foldOf(ledger, await ledger.messages());
  const { ledgerId, configuration: { hash: previous } } = before;
  const configuration = formatConfiguration({
    ...genesis, kind: 'configuration', ledgerId, version: 1n, previous, coordinatorKeys: [keys.rival.verifier],
  });
  const block = formatBlock(sealBlock(before, { cut: before.position, wallMs: Date.now() }));
  await ledger.append(signNote(configuration, keys.ledger), signNote(block, keys.coordinator));
}

const onDisk = (name: string, edit: Parameters<typeof editLog>[1]): Attack => ({ name, onDisk: (ledger) => editLog(ledger, edit) });

/** The block of the middle wave, signed again by who may, with another time. */
const resigned: Attack = {
  name: 'a block edited and signed again by its coordinator',
  onDisk: (ledger) => editLog(ledger, (messages) => rewrite(positionOf(messages, 'block', BLOCK), (message) => {
    const block = parseBlock(parseNote(message).text);
    return signNote(formatBlock({ ...block, timeMs: block.timeMs + 1n }), ledger.keys.coordinator);
  })),
};

/** Everything before the block of the middle wave. */
async function deleteHead(ledger: SmallLedger): Promise<void> {
  const { ground, file } = ledger;
  await ground.harness.deleteBefore({ topic: file.log, partition: 0 }, positionOf(await ledger.messages(), 'block', BLOCK));
}

/** As a backup of the broker's disk from before the last wave has it: files only grow. */
async function rollBack(ledger: SmallLedger): Promise<void> {
  await editLog(ledger, (messages) => truncateAt(reportOf(messages, 2)));
  for (const partition of PARTITIONS) await editPartition(ledger.partitionFolder(partition), truncateAt(BigInt(2 * WAVE)));
}

/** Roles that know nothing of what was before number the same records anew, and more of them. */
const regrown = (name: string, { publishes }: { publishes: boolean }): Attack => ({
  name,
  onDisk: (ledger) => editLog(ledger, (messages) => truncateAt(reportOf(messages, 1))),
  afterwards: async (ledger) => {
    await using team = await ledger.team('regrown', { publishes });
    for (let wave = 0; wave < 2; wave++) {
      await team.sequence();
      await ledger.write();
    }
    await team.sequence();
  },
});

export const ON_THE_LOG: readonly Attack[] = [
  onDisk('a block edited', (messages) => rewrite(positionOf(messages, 'block', BLOCK), withOtherHash('root '))),
  resigned,
  onDisk('a block dropped and the rest renumbered', (messages) => removeRecord(positionOf(messages, 'block', BLOCK))),
  onDisk('two blocks in each other\'s place', (messages) => swapRecords(positionOf(messages, 'block', BLOCK), positionOf(messages, 'block', BLOCK + 1))),
  { name: 'a block appended by a revoked coordinator', online: revokedGoesOn },
  onDisk('a report edited', (messages) => rewrite(reportOf(messages, 1), withOtherHash('segment '))),
  onDisk('a report dropped and the rest renumbered', (messages) => removeRecord(reportOf(messages, 1))),
  worker('a worker reports another root', 'segment', WAVE),
  worker('a worker reports records beyond the end', 'segment', 2 * WAVE),
  worker('a worker reports a loss of records that exist', 'loss', WAVE),
  {
    name: 'a forged claim',
    online: async (ledger) => {
      const { origin, ledgerId, follows, epoch: current } = foldOf(ledger, await ledger.messages());
      const claim = formatClaim({ kind: 'claim', origin, ledgerId, epoch: epoch(current + 1n), follows, nonce: randomBytes(16).toString('hex') });
      // By a key that only calls itself as the coordinator's.
      await ledger.append(signNote(claim, makeSignerKey(ledger.keys.coordinator.name, randomBytes(32))));
    },
  },
  {
    name: 'a forged snapshot',
    ledger: { snapshotMessages: 3 },
    online: async (ledger) => {
      const genuine = (await ledger.messages()).findLast((message) => kindOf(message) === 'snapshot');
      const body = genuine && parseMessage(genuine).body;
      if (body?.kind !== 'snapshot') throw new Error('no snapshot');
      const data = Buffer.from(Buffer.from(body.data).toString().replace(/^next-seq .*$/m, 'next-seq 0'));
      await ledger.append(utf8Encode(formatSnapshot({ ...body, data, stateBytes: data.length })));
    },
  },
  {
    name: 'a checkpoint of another tree, signed with the checkpoint key',
    online: async (ledger) => {
      const { origin, height } = foldOf(ledger, await ledger.messages());
      await ledger.append(signNote(formatCheckpoint({ kind: 'checkpoint', origin, size: height, root: NONSENSE }), ledger.keys.checkpoint));
    },
  },
  onDisk('a checkpoint edited', (messages) => rewrite(positionOf(messages, 'checkpoint', BLOCK), withOtherHash(`${BLOCK + 1}\n`))),
  onDisk('the genesis edited', () => rewrite(0n, (message) => Buffer.from(Buffer.from(message).toString().replace('pending-max 16', 'pending-max 61')))),
  onDisk('the genesis dropped and the rest renumbered', () => removeRecord(0n)),
  {
    name: 'the log\'s head deleted with DeleteRecords',
    online: deleteHead,
  },
  onDisk('the log\'s tail truncated', (messages) => truncateAt(reportOf(messages, 2))),
  {
    name: 'the log\'s tail truncated, and its head deleted with DeleteRecords',
    onDisk: (ledger) => editLog(ledger, (messages) => truncateAt(reportOf(messages, 2))),
    afterwards: deleteHead,
  },
  regrown('the log truncated and regrown', { publishes: true }),
  regrown('the log truncated and regrown without checkpoints', { publishes: false }),
  { name: 'the whole cluster rolled back to an older copy', onDisk: rollBack },
];
