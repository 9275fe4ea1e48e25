/** `plait read`: the records in the global order, verified. */
import { Command, Option } from 'commander';
import { entriesOf, openLedger, type Ledger, type LedgerEntry } from '@plait/ledger';
import { EXIT } from './exit.ts';
import { loadLedger } from './keys.ts';
import { makeLog, type Log } from './log.ts';
import { bootstrapOption, kafkaOptions, ledgerOption, logLevelOption, seqArgument, type CommonOptions } from './options.ts';
import { entryJson, entryLine, OutputClosed, print } from './output.ts';
import { stopSignal } from './stopping.ts';

const EXAMPLES = `
Every record is hashed again and compared with what was signed before it is printed. Text shows seq, topic/partition@offset,
time, key and value, shortened and escaped; jsonl has everything, bytes as {"utf8": …} or {"base64": …}.

Exit codes: 0 everything that was asked for and printed is verified, 10 tampered, 11 rolled back, 12 split view,
14 cannot decide (records were deleted before they could be checked), 2 not reachable, 1 usage or configuration.

Examples:
  plait read --bootstrap-server localhost:9092
  plait read --from-seq 1000 --to-seq 2000 -o jsonl
  plait read --follow | head
`;

interface ReadCommandOptions extends CommonOptions {
  readonly fromSeq: bigint;
  readonly toSeq?: bigint;
  readonly follow: boolean;
  readonly output: 'text' | 'jsonl';
}

/** The command. */
export function readCommand(): Command {
  return new Command('read')
    .summary('print the records in their order, verified')
    .description('Prints the records in the global order, each verified before it is printed.')
    .option('--from-seq <n>', 'first seq to print', seqArgument, 0n)
    .option('--to-seq <n>', 'end before this seq', seqArgument)
    .option('--follow', 'wait for more at the end', false)
    .addOption(new Option('-o, --output <format>', 'output format').choices(['text', 'jsonl']).default('text'))
    .addOption(bootstrapOption())
    .addOption(ledgerOption())
    .addOption(logLevelOption())
    .addHelpText('after', EXAMPLES)
    .action(async (options: ReadCommandOptions) => {
      const signal = stopSignal();
      const log = makeLog(options.logLevel);
      const { brokers, ...kafka } = kafkaOptions(options, log);
      await using ledger = await openLedger({ ...(await loadLedger(options.ledger)), bootstrapServers: brokers, kafka });
      await printEntries(ledger, options, { log, signal });
      // Whoever follows ends it so; else what was asked for is not all printed.
      if (signal.aborted && !options.follow) process.exitCode = EXIT.interrupted;
    });
}

async function printEntries(ledger: Ledger, options: ReadCommandOptions, { log, signal }: { log: Log; signal: AbortSignal }): Promise<void> {
  const { fromSeq, toSeq, follow } = options;
  const range = { fromSeq, ...(toSeq === undefined ? {} : { toSeq }) };
  const show = options.output === 'jsonl' ? entryJson : entryLine;
  let nextSeq = fromSeq;
  let records = 0;
  try {
    for await (const segment of ledger.readSegments({ ...range, follow, signal })) {
      const entries = entriesOf(segment, range);
      for (let at = 0; at < entries.length; at += LINES_A_WRITE) await print(linesOf(entries.slice(at, at + LINES_A_WRITE), show));
      const last = entries.at(-1);
      if (last !== undefined) nextSeq = last.kind === 'void' ? last.nextSeq : last.seq + 1n;
      if (segment.kind === 'records') records += entries.length;
    }
  } catch (error) {
    if (error instanceof OutputClosed) return;
    throw error;
  }
  if (toSeq !== undefined && nextSeq < toSeq && !signal.aborted) {
    log.warn({ event: 'short' }, `asked for seqs up to ${toSeq}, but only those below ${nextSeq} are sequenced`);
  }
  log.info({ event: 'read', records, nextSeq: String(nextSeq) }, `${records} records, all verified, below seq ${nextSeq}`);
}

/** Lines that are written at once: few system calls, and little memory for records of 1 MB. */
const LINES_A_WRITE = 64;

function linesOf(entries: readonly LedgerEntry[], show: (entry: LedgerEntry) => string): string {
  return entries.map((entry) => `${show(entry)}\n`).join('');
}
