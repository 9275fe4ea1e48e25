/** `plait read`: the records in the global order, verified. */
import { Command, Option } from 'commander';
import { isPlaitError, minimalPayload, PlaitError } from '@plait/core';
import { openCopy } from '@plait/disk';
import { entriesOf, openLedger, openStateFile, type Ledger, type LedgerEntry, type LedgerFile, type LedgerSegment, type LogCopy, type Memory, type ReadNotice, type ReadOptions, type StartPoint } from '@plait/ledger';
import { EXIT } from '../exit.ts';
import { loadLedger, stateFilePath } from '../keys.ts';
import { makeLog, type Log } from '../log.ts';
import { bootstrapOption, commandConfigOption, copyOption, kafkaOptions, ledgerOption, logLevelOption, seqArgument, stateOption, type CommonOptions } from '../options.ts';
import { entryJson, entryLine, OutputClosed, print } from '../output.ts';
import { startPointArgument } from './start-point.ts';
import { stopSignal } from '../stopping.ts';
import { pinnedOf } from '../running/wiring.ts';

const HELP = `
Every record is hashed again and compared with what was signed before it is printed. Text shows seq, topic/partition@offset,
time, key and value, shortened and escaped; jsonl has everything, bytes as {"utf8": …} or {"base64": …}; wire is nothing but
the bytes of each record's key, value and headers as they are hashed, which "plait verify-receipt --payload" takes.

--from takes oldest, newest, seq:N, time:2026-11-23T08:00Z or time:MS (the first block not before it), or
TOPIC/PARTITION@OFFSET. A group begins there only if it has committed nothing; then it goes on behind its commit. Without
--auto-commit nothing is committed. With --share partitions the members of the group read at the same time.

Exit codes: 0 everything that was asked for and printed is verified, 10 tampered, 11 rolled back, 12 split view,
14 cannot decide (records were deleted before they could be checked; with --on-missing report they are printed as gone and
all else is verified), 2 not reachable or, with --at-end fail, not sequenced yet, 1 usage or configuration.

Examples:
  plait read -o jsonl --from oldest
  plait read --group printing --auto-commit --on-missing report
`;

interface ReadCommandOptions extends CommonOptions {
  readonly from?: StartPoint;
  readonly fromSeq?: bigint;
  readonly toSeq?: bigint;
  readonly follow: boolean;
  readonly atEnd?: 'wait' | 'end' | 'fail';
  readonly onMissing: 'stop' | 'report';
  readonly group?: string;
  readonly share?: 'partitions';
  readonly autoCommit: boolean;
  readonly output: 'text' | 'jsonl' | 'wire';
  readonly state?: string;
  readonly copy?: string;
}

/** The command. */
export function readCommand(): Command {
  return new Command('read')
    .summary('print the records in their order, verified')
    .description('Prints the records in the global order, each verified before it is printed.')
    .addOption(new Option('--from <point>', 'where to begin; see below').argParser(startPointArgument).conflicts('fromSeq'))
    .option('--from-seq <n>', 'short for --from seq:<n>', seqArgument)
    .option('--to-seq <n>', 'end before this seq', seqArgument)
    .addOption(new Option('--at-end <what>', 'at the end of what is sequenced: wait for more, end, or fail if not all that was asked for is there')
      .choices(['wait', 'end', 'fail']).conflicts('follow'))
    .option('--follow', 'short for --at-end wait', false)
    .addOption(new Option('--on-missing <what>', 'records that can no longer be read: stop there, or report them as gone and go on').choices(['stop', 'report']).default('stop'))
    .option('--group <name>', 'read as a member of this consumer group: one reads, the others stand by')
    .addOption(new Option('--share <how>', 'the members of the group read at the same time, each its partitions').choices(['partitions']))
    .option('--auto-commit', 'commit for the group what was printed', false)
    .addOption(new Option('-o, --output <format>', 'output format').choices(['text', 'jsonl', 'wire']).default('text'))
    .addOption(bootstrapOption())
    .addOption(commandConfigOption())
    .addOption(ledgerOption())
    .addOption(stateOption())
    .addOption(copyOption())
    .addOption(logLevelOption())
    .addHelpText('after', HELP)
    .action(async (options: ReadCommandOptions, command: Command) => {
      if (options.group === undefined && (options.autoCommit || options.share !== undefined)) {
        command.error('error: --auto-commit and --share need --group <name>');
      }
      if (options.output === 'wire' && process.stdout.isTTY) throw new PlaitError('config', '-o wire: these are bytes and no text; send them to a file or a pipe');
      const signal = stopSignal();
      const log = makeLog(options.logLevel);
      const { brokers, ...kafka } = kafkaOptions(options, log);
      const file = await loadLedger(options.ledger);
      await using ports = new AsyncDisposableStack();
      const keeping = await readerKeeping(file, options, ports);
      // Who waits for more waits for Kafka too.
      const patience = atEndOf(options) === 'wait' ? { patienceMs: Number.POSITIVE_INFINITY } : {};
      await using ledger = await openLedger({ ...file, ...keeping, ...patience, bootstrapServers: brokers, kafka });
      const { gone } = await printEntries(ledger, options, { log, signal });
      // Whoever follows ends it so; else what was asked for is not all printed.
      if (signal.aborted && atEndOf(options) !== 'wait') process.exitCode = EXIT.interrupted;
      else if (gone > 0) process.exitCode = EXIT.undecided;
    });
}

/** What this reading remembers, and its copy: both if they are asked for; a group remembers anyway. */
async function readerKeeping(
  file: LedgerFile, { ledger, group, state, copy }: ReadCommandOptions, ports: AsyncDisposableStack,
): Promise<{ readonly memory?: Memory; readonly copy?: LogCopy }> {
  const path = state ?? (group === undefined ? undefined : stateFilePath(ledger, 'reader'));
  return {
    ...(path === undefined ? {} : { memory: openStateFile(path) }),
    ...(copy === undefined ? {} : { copy: ports.adopt(await openCopy(copy, pinnedOf(file)), (port) => port.close()) }),
  };
}

function atEndOf({ atEnd, follow }: ReadCommandOptions): 'wait' | 'end' | 'fail' {
  return atEnd ?? (follow ? 'wait' : 'end');
}

function readOptions(options: ReadCommandOptions, { log, signal }: { log: Log; signal: AbortSignal }): ReadOptions {
  const { from, fromSeq, toSeq, onMissing, group, share } = options;
  return {
    ...(from === undefined ? {} : { from }), ...(fromSeq === undefined ? {} : { fromSeq }), ...(toSeq === undefined ? {} : { toSeq }),
    ...(group === undefined ? {} : { group }), ...(share === undefined ? {} : { share }),
    atEnd: atEndOf(options), onMissing, signal, onNotice: (notice) => logNotice(log, notice),
  };
}

function logNotice(log: Log, { notice, message }: ReadNotice): void {
  if (notice === 'standby' || notice === 'assigned') log.info({ event: notice }, message);
  else log.warn({ event: notice }, message);
}

/** What was printed. */
interface Printed {
  records: number;
  /** Seqs, and segments without any, that nobody can check. */
  gone: number;
  /** Entries that are no records. */
  unshown: number;
  nextSeq: bigint | undefined;
}

async function printEntries(ledger: Ledger, options: ReadCommandOptions, { log, signal }: { log: Log; signal: AbortSignal }): Promise<Printed> {
  const { toSeq } = options;
  const range = toSeq === undefined ? {} : { toSeq };
  const show = SHOWN[options.output];
  const printed: Printed = { records: 0, gone: 0, unshown: 0, nextSeq: undefined };
  const commits = new AutoCommit(log);
  try {
    for await (const segment of ledger.readSegments(readOptions(options, { log, signal }))) {
      const entries = entriesOf(segment, range);
      for (let at = 0; at < entries.length; at += LINES_A_WRITE) await print(Buffer.concat(entries.slice(at, at + LINES_A_WRITE).map(show)));
      const last = entries.at(-1);
      if (last !== undefined) printed.nextSeq = 'nextSeq' in last ? last.nextSeq : last.seq + 1n;
      if (segment.kind === 'records') printed.records += entries.length;
      else printed.unshown += entries.length;
      if (segment.kind === 'gone') printed.gone += Math.max(1, Number(segment.segment.nextIndex - segment.segment.firstIndex));
      if (options.autoCommit) commits.add(segment, last);
      commits.throwIfFailed();
    }
    await commits.settled();
  } catch (error) {
    if (error instanceof OutputClosed) return printed;
    throw error;
  }
  tell(printed, options, { log, signal });
  return printed;
}

function tell({ records, gone, unshown, nextSeq }: Printed, options: ReadCommandOptions, { log, signal }: { log: Log; signal: AbortSignal }): void {
  const { toSeq, fromSeq = 0n } = options;
  const end = nextSeq ?? fromSeq;
  if (toSeq !== undefined && end < toSeq && !signal.aborted && options.share === undefined) {
    log.warn({ event: 'short' }, `asked for seqs up to ${toSeq}, but only those below ${end} are sequenced`);
  }
  if (gone > 0) log.warn({ event: 'gone', seqs: gone }, `${gone} seqs are gone: nobody can check them any more`);
  if (options.output === 'wire' && unshown > 0) log.warn({ event: 'unshown', entries: unshown }, `${unshown} entries have no bytes: they are lost, void or gone`);
  log.info({ event: 'read', records, nextSeq: String(end) }, `${records} records, all verified, below seq ${end}`);
}

/** Commits what was printed, without holding up the printing. */
class AutoCommit {
  readonly #log: Log;
  #last: Promise<void> = Promise.resolve();
  #failure: unknown;

  constructor(log: Log) {
    this.#log = log;
  }

  /** `last` is the last entry that was printed of the segment; none if it has none to show. */
  add(segment: LedgerSegment, last: LedgerEntry | undefined): void {
    const done = last === undefined ? segment.commit() : last.commit();
    this.#last = done.catch((error: unknown) => {
      // Another member prints it again.
      if (isPlaitError(error, 'fenced') || isPlaitError(error, 'unknown')) this.#log.warn({ event: 'not-committed' }, error.message);
      else this.#failure ??= error;
    });
  }

  throwIfFailed(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  async settled(): Promise<void> {
    await this.#last;
    this.throwIfFailed();
  }
}

/** Entries that are written at once: few system calls, and little memory for records of 1 MB. */
const LINES_A_WRITE = 64;

const lineWith = (show: (entry: LedgerEntry) => string) => (entry: LedgerEntry): Uint8Array => Buffer.from(`${show(entry)}\n`);

const SHOWN: Readonly<Record<ReadCommandOptions['output'], (entry: LedgerEntry) => Uint8Array>> = {
  text: lineWith(entryLine),
  jsonl: lineWith(entryJson),
  wire: (entry) => (entry.kind === 'record' ? minimalPayload(entry.payload) : new Uint8Array(0)),
};
