/** `plait receipt`: writes the receipt of one record. */
import { Command, Option } from 'commander';
import { PlaitError } from '@plait/core';
import { writeNew } from '@plait/disk';
import { openLedger, systemClock, type Ledger, type LedgerReceipt, type ReceiptPlace } from '@plait/ledger';
import { EXIT } from '../exit.ts';
import { loadLedger } from '../keys.ts';
import { makeLog, type Log } from '../log.ts';
import { bootstrapOption, countArgument, kafkaOptions, ledgerOption, logLevelOption, seqArgument, type CommonOptions } from '../options.ts';
import { jsonText, print, programName } from '../output.ts';
import { stopSignal } from '../stopping.ts';
import { leavesIn, openKeptLeaves } from './kept-leaves.ts';
import { placeArgument, type Place } from './place.ts';
import { factRows, factsJson, rowsText } from './receipt-text.ts';

const EXAMPLES = `
A receipt proves the record's place offline, with nothing but the checkpoint key: plait verify-receipt. It is there once a
block has numbered the record and a checkpoint covers the block, so a worker, a coordinator and a publisher must run, or
have run. The records of its segment are read again and compared with what was hashed; --leaves names a folder of "plait
serve --leaves" for one that is gone. An offset is one of the partition's newest generation.

Exit codes: 0 written, 2 not reachable, or not there within --wait, 10 tampered, 11 rolled back, 12 split view, 14 there is no
such record to be seen, or it can no longer be read, 1 usage or configuration.

Examples:
  plait receipt --seq 0
  plait receipt --at orders/0/0 --no-payload --out order.tlog-proof
`;

const WAIT_SECONDS = 30;
const WAIT_SECONDS_MAX = 86_400;
/** After so long people are told what is waited for. */
const HINT_MS = 3_000;
const FILE_MODE = 0o644;

interface ReceiptCommandOptions extends CommonOptions {
  readonly seq?: bigint;
  readonly at?: Place;
  readonly noPayload: boolean;
  readonly out?: string;
  readonly leaves?: string;
  readonly wait: number;
  readonly output: 'text' | 'json';
}

/** The command. */
export function receiptCommand(): Command {
  return new Command('receipt')
    .summary('write the receipt of a record')
    .description('Writes a file that proves one record\'s place in the order offline, and prints what it proves.')
    .addOption(new Option('--seq <n>', 'the record with this seq').argParser(seqArgument).conflicts('at'))
    .addOption(new Option('--at <topic/partition/offset>', 'the record at this offset').argParser(placeArgument))
    .addOption(noPayloadOption())
    .option('--out <file>', 'where to write it, "-" for stdout; never over another file (default: <topic>-<partition>-<offset>.tlog-proof)')
    .option('--leaves <folder>', 'what "plait serve --leaves" keeps, for a record that is gone; needs --no-payload')
    .addOption(new Option('--wait <seconds>', 'how long to wait until it is sequenced and covered by a checkpoint').argParser(countArgument(1, WAIT_SECONDS_MAX)).default(WAIT_SECONDS))
    .addOption(new Option('-o, --output <format>', 'output format').choices(['text', 'json']).default('text'))
    .addOption(bootstrapOption())
    .addOption(ledgerOption())
    .addOption(logLevelOption())
    .addHelpText('after', EXAMPLES)
    .action(async (options: ReceiptCommandOptions) => await writeReceipt(options));
}

/** An option that is off unless it is given, as in files and variables; commander would take it for the end of one that is on. */
function noPayloadOption(): Option {
  const option = new Option('--no-payload', 'without the record\'s key, value and headers: it proves their digest').default(false);
  option.negate = false;
  return option;
}

async function writeReceipt(options: ReceiptCommandOptions): Promise<void> {
  const place = placeOf(options);
  const signal = stopSignal();
  const log = makeLog(options.logLevel);
  const { brokers, ...kafka } = kafkaOptions(options, log);
  const file = await loadLedger(options.ledger);
  await using ports = new AsyncDisposableStack();
  const leaves = options.leaves === undefined ? {} : { leavesOf: leavesIn(ports.use(await openKeptLeaves(options.leaves, file, log))) };
  const ledger = ports.use(await openLedger({ ...file, ...leaves, bootstrapServers: brokers, kafka }));
  const receipt = await waitFor(ledger, place, options, { log, signal });
  if (receipt === undefined) {
    process.exitCode = EXIT.interrupted;
    return;
  }
  const { out = `${receipt.topic}-${receipt.partition}-${receipt.offset}.tlog-proof` } = options;
  if (out === '-') return await print(receipt.text);
  await writeNew(out, receipt.text, FILE_MODE);
  await print(options.output === 'json' ? `${jsonText({ schemaVersion: 1, file: out, ...factsJson(receipt), key: receipt.key })}\n` : writtenText(receipt, out));
}

function placeOf({ seq, at }: ReceiptCommandOptions): ReceiptPlace {
  if (seq !== undefined) return { seq };
  if (at !== undefined) return at;
  throw new PlaitError('config', 'of which record? Give --seq N or --at TOPIC/PARTITION/OFFSET');
}

/** The receipt; undefined if `signal` ended the waiting. Throws `unavailable`, with what it lacks, when the time is over. */
async function waitFor(
  ledger: Ledger, place: ReceiptPlace, { wait, noPayload }: ReceiptCommandOptions, { log, signal }: { readonly log: Log; readonly signal: AbortSignal },
): Promise<LedgerReceipt | undefined> {
  const timeOver = AbortSignal.timeout(wait * 1_000);
  const done = new AbortController();
  const hint = async (): Promise<void> => {
    await systemClock.sleep(HINT_MS, done.signal);
    if (!done.signal.aborted) log.info({ event: 'waiting' }, `still waiting: ${await whatLacks(ledger, place)}`);
  };
  hint().catch(() => undefined);
  try {
    return await ledger.receipt(place, { payload: !noPayload, signal: AbortSignal.any([signal, timeOver]) });
  } catch (error) {
    if (signal.aborted) return undefined;
    if (!timeOver.aborted || error !== timeOver.reason) throw error;
    throw new PlaitError('unavailable', `no receipt within ${wait} s: ${await whatLacks(ledger, place)}`);
  } finally {
    done.abort();
  }
}

/** Why there is no receipt yet, for people. */
async function whatLacks(ledger: Ledger, place: ReceiptPlace): Promise<string> {
  const { nextSeq, partitions } = await ledger.status();
  if ('seq' in place) {
    return place.seq < nextSeq ? NO_CHECKPOINT : `seq ${place.seq} is not given out yet, only those below ${nextSeq} are`;
  }
  const { topic, partition, offset } = place;
  const held = partitions.find((each) => each.topic === topic && each.partition === partition);
  if (held !== undefined && offset < held.sequenced) return NO_CHECKPOINT;
  if (held !== undefined && offset >= held.end) return `there is no record at ${topic}/${partition} offset ${offset} yet, the partition ends at ${held.end}`;
  return `${topic}/${partition} offset ${offset} is not sequenced yet: are a worker and a coordinator running?`;
}

const NO_CHECKPOINT = 'it is sequenced, and no checkpoint covers its block yet: is a publisher running?';

function writtenText(receipt: LedgerReceipt, out: string): string {
  return rowsText([
    ['written', out],
    ...factRows(receipt),
    ['payload', receipt.hasPayload ? 'inside' : 'not inside: give it to whoever shall check the content'],
    ['verify', `${programName()} verify-receipt ${out} --key ${receipt.key}`],
  ]);
}
