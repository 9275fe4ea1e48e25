/** `plait locate`: where a record stands. */
import { Command, Option } from 'commander';
import { base64Encode, PlaitError, segmentCount } from '@plait/core';
import { openLedger } from '@plait/ledger';
import { loadLedger } from '../keys.ts';
import { makeLog, type Log } from '../log.ts';
import { bootstrapOption, kafkaOptions, ledgerOption, logLevelOption, seqArgument, type CommonOptions } from '../options.ts';
import { printLine, showTime } from '../output.ts';
import { startPointArgument } from '../reading/start-point.ts';
import { stopSignal } from '../stopping.ts';
import { openKeptLeaves } from './kept-leaves.ts';
import { locateInLeaves, locateInLedger, type Located, type Wanted } from './locating.ts';
import { placeArgument, type Place } from './place.ts';

const EXAMPLES = `
Without --leaves the ledger is read from the newest confirmed state before the record, and its segment is verified. With it
Kafka is not asked at all: the answer is at once, and as true as the folder; what a later configuration declared void is not
known there. An offset is one of the partition's newest generation.

Exit codes: 0 found, 14 not sequenced yet (or not in the leaves), 10 tampered, 2 not reachable, 1 usage or configuration (also
for a topic or partition that the ledger does not order).

Examples:
  plait locate --seq 0
  plait locate --time 2020-01-01 -o json
`;

interface LocateOptions extends CommonOptions {
  readonly seq?: bigint;
  readonly at?: Place;
  readonly time?: bigint;
  readonly leaves?: string;
  readonly output: 'text' | 'json';
}

/** The command. */
export function locateCommand(): Command {
  return new Command('locate')
    .summary('find where a record stands')
    .description('Finds a record by its seq, its place or a time, and prints where it stands in the order, in its topic and in the log.')
    .addOption(new Option('--seq <n>', 'the record with this seq').argParser(seqArgument).conflicts(['at', 'time']))
    .addOption(new Option('--at <topic/partition/offset>', 'the record at this offset').argParser(placeArgument).conflicts('time'))
    .addOption(new Option('--time <time>', 'the first record of the first block not before it: 2026-11-23T08:00Z, or ms since 1970').argParser(timeArgument))
    .option('--leaves <folder>', 'look it up in what "plait serve --leaves" keeps, without Kafka')
    .addOption(new Option('-o, --output <format>', 'output format').choices(['text', 'json']).default('text'))
    .addOption(bootstrapOption())
    .addOption(ledgerOption())
    .addOption(logLevelOption())
    .addHelpText('after', EXAMPLES)
    .action(async (options: LocateOptions) => {
      const wanted = wantedOf(options);
      const log = makeLog(options.logLevel);
      const located = options.leaves === undefined ? await inLedger(wanted, options, log) : await inLeaves(options.leaves, wanted, options, log);
      if (located === undefined) return;
      const { leaves } = options;
      printLine(options.output === 'json' ? locatedJson(located, leaves) : locatedText(located, leaves));
    });
}

function timeArgument(text: string): bigint {
  const point = startPointArgument(`time:${text}`);
  return BigInt((point as { timeMs: number | bigint }).timeMs);
}

function wantedOf({ seq, at, time }: LocateOptions): Wanted {
  if (seq !== undefined) return { seq };
  if (at !== undefined) return at;
  if (time !== undefined) return { timeMs: time };
  throw new PlaitError('config', 'nothing to look for: give --seq N, --at TOPIC/PARTITION/OFFSET or --time TIME');
}

async function inLedger(wanted: Wanted, options: LocateOptions, log: Log): Promise<Located | undefined> {
  const { brokers, ...kafka } = kafkaOptions(options, log);
  await using ledger = await openLedger({ ...(await loadLedger(options.ledger)), bootstrapServers: brokers, kafka });
  return await locateInLedger(ledger, wanted, stopSignal());
}

async function inLeaves(folder: string, wanted: Wanted, { ledger }: LocateOptions, log: Log): Promise<Located> {
  using store = await openKeptLeaves(folder, await loadLedger(ledger), log);
  return locateInLeaves(store, wanted);
}

/** One JSON object on one line; numbers beyond 2^53 are decimal strings. */
export function locatedJson({ kind, line: { firstSeq, segment }, block, seq, record }: Located, leaves: string | undefined): string {
  const { topic, partition, generation, kind: _, ...range } = segment;
  return JSON.stringify({
    schemaVersion: 1, kind, seq, topic, partition, generation, index: seq === undefined ? undefined : segment.firstIndex + (seq - firstSeq),
    offset: record?.offset, timestamp: record?.timestamp, payloadDigest: record?.digest && base64Encode(record.digest),
    segment: { firstSeq, nextSeq: firstSeq + segmentCount(segment), ...range },
    block: { height: block.height, time: block.timeMs, position: block.position, header: block.header },
    from: leaves === undefined ? 'ledger' : 'leaves',
  }, (_key, value: unknown) => (typeof value === 'bigint' ? String(value) : value));
}

const KINDS: Readonly<Record<Located['kind'], string>> = {
  record: 'a record',
  loss: 'LOSS: records that were gone before they were hashed',
  void: 'VOID: declared unusable by configuration',
  gone: 'GONE: could no longer be read, so that nobody can check it',
  none: 'no record: nobody sees one at this offset (a transaction marker, or an aborted one)',
};

/** Lines for people. */
export function locatedText({ kind, line: { firstSeq, segment }, block, seq, record }: Located, leaves: string | undefined): string {
  const nextSeq = firstSeq + segmentCount(segment);
  const place = `${segment.topic}/${segment.partition}, generation ${segment.generation}`;
  const index = seq === undefined ? '' : `, index ${segment.firstIndex + (seq - firstSeq)}`;
  const rows = [
    ['kind', KINDS[kind]],
    ['seq', seq === undefined ? kind === 'none' ? 'none' : `one of ${firstSeq} … ${nextSeq}` : String(seq)],
    ['place', record === undefined ? `${place}${index}, between offsets ${segment.firstOffset} … ${segment.nextOffset}` : `${place}${index}, offset ${record.offset}`],
    ...(record?.timestamp === undefined ? [] : [['timestamp', showTime(record.timestamp)]]),
    ...(record?.digest === undefined ? [] : [['digest', base64Encode(record.digest)]]),
    ['segment', `seqs ${firstSeq} … ${nextSeq}, offsets ${segment.firstOffset} … ${segment.nextOffset}${segment.kind === 'segment' ? `, root ${segment.root}` : ''}`],
    ['block', `${block.height} of ${showTime(block.timeMs)}, header ${block.header}`],
    ['log', `position ${block.position}`],
    ['from', leaves === undefined ? 'the ledger, its segment verified now' : `the leaves in ${leaves}: not compared with the ledger now`],
  ];
  return rows.map(([name = '', value = '']) => `${name.padEnd(10)} ${value}`).join('\n');
}
