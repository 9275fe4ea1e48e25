/** `plait verify`: everything that a ledger says, derived again from its log and its records. */
import { availableParallelism } from 'node:os';
import { join } from 'node:path';
import { styleText } from 'node:util';
import { Command, Option } from 'commander';
import { isPlaitError, PlaitError } from '@plait/core';
import type { VerifyReport } from '@plait/ledger';
import { EXIT } from '../exit.ts';
import { loadLedger } from '../keys.ts';
import { makeLog, type Log } from '../log.ts';
import { bootstrapOption, commandConfigOption, countArgument, ledgerOption, logLevelOption, seqArgument } from '../options.ts';
import { print } from '../output.ts';
import { stopSignal } from '../stopping.ts';
import { AuditorMemory, userFolder } from './auditor-memory.ts';
import { writeEvidence, type WrittenEvidence } from './evidence.ts';
import { exitCodeOfReport, isRemembered, type VerifyOutcome } from './outcome.ts';
import { outcomeJson } from './report-json.ts';
import { outcomeText } from './report-text.ts';
import { runVerification, type VerificationOptions } from './run-verification.ts';
import { readTrusted } from './trusted.ts';

const HELP = `
It folds the log from its beginning, checks every signature, block, claim and configuration, reads every record again, and
compares. It ends at the first bad place and names it. What it finds right it remembers, in a folder of your own: the next
run also proves that the log still extends it. The first run cannot know whether an older log is shown to it, and says so.

Exit codes: 0 verified, 10 tampered, 11 rolled back (what is remembered, or a trusted checkpoint, is not in the log),
12 split view (two signed checkpoints contradict each other), 14 cannot decide (records were deleted, all else is verified),
2 not reachable, 1 usage or configuration, 130 cut short (go on with --resume).

Examples:
  plait verify
  plait verify --from-seq 1000 -o json
`;

const WORKERS_MAX = 64;
const RATE_MAX = 2 ** 31 - 1;
const COLUMNS = 80;
/** Sentences are hard to read on longer lines. */
const COLUMNS_MAX = 100;

interface VerifyCommandOptions extends VerificationOptions {
  readonly trustedCheckpoint?: readonly string[];
  readonly memory?: string;
  readonly evidence?: string;
  readonly output: 'text' | 'json';
}

/** The command. */
export function verifyCommand(): Command {
  return new Command('verify')
    .summary('check the whole ledger again: log, records, checkpoints')
    .description('Reads the log and the records again and recomputes everything: says that the ledger is verified, and what that means, or names the first bad place.')
    .option('--from-seq <n>', 'read the records from this seq on (the log is always checked whole)', seqArgument)
    .option('--to-seq <n>', 'read the records below this seq', seqArgument)
    .option('--workers <n>', 'processes that read records, each with connections of its own', countArgument(1, WORKERS_MAX), Math.min(2, availableParallelism()))
    .option('--rate <records>', 'read at most so many records a second', countArgument(1, RATE_MAX))
    .option('--log-dir <folder...>', 'read the records out of Kafka\'s own segment files in these folders (log.dirs, a copy, tiered segments), and the log too if it is there: then no broker is needed')
    .option('--leaves <folder>', 'leaves that "plait serve --leaves" keeps: with them the very record is named')
    .option('--trusted-checkpoint <file...>', 'a signed checkpoint that you have kept, which the log must extend')
    .addOption(new Option('--resume', 'go on where an interrupted run ended').default(false).conflicts('fromSeq'))
    .option('--memory <folder>', 'folder of what is remembered (default: plait in your folder for settings)')
    .option('--evidence <folder>', 'folder for signed statements that contradict each other (default: evidence in the memory)')
    .addOption(new Option('-o, --output <format>', 'output format').choices(['text', 'json']).default('text'))
    .addOption(bootstrapOption())
    .addOption(commandConfigOption())
    .addOption(ledgerOption())
    .addOption(logLevelOption())
    .addHelpText('after', HELP)
    .action(async (options: VerifyCommandOptions) => {
      const signal = stopSignal();
      const log = makeLog(options.logLevel);
      const outcome = await verify(options, { log, signal });
      // Cut short: the log has said how far it came.
      if (outcome === undefined) process.exitCode = EXIT.interrupted;
      else await tell(outcome, options);
    });
}

/** The outcome, remembered if nothing is wrong, with its evidence written; undefined if the signal ended it. */
async function verify(options: VerifyCommandOptions, { log, signal }: { log: Log; signal: AbortSignal }): Promise<VerifyOutcome | undefined> {
  requireRange(options);
  const startMs = performance.now();
  const ledger = await loadLedger(options.ledger);
  const trusted = await readTrusted(options.trustedCheckpoint ?? [], ledger.origin);
  const memory = await AuditorMemory.open(options.memory ?? userFolder(), ledger);
  const ran = await runVerification({ options, ledger, memory, trusted, log, signal });
  if (ran === undefined) return undefined;
  const { report } = ran;
  const remembered = isRemembered(report);
  if (remembered) await memory.remember(report, Date.now());
  const evidence = await keepEvidence(report, options.evidence ?? join(memory.folder, 'evidence'), log);
  return {
    ...ran, report: withCommand(report, evidence), memory: { folder: memory.folder, first: memory.isFirst, remembered }, durationMs: performance.now() - startMs,
    ...(evidence === undefined ? {} : { evidence }),
  };
}

/** What cannot be written must not lose the report, which may have taken hours. */
async function keepEvidence(report: VerifyReport, folder: string, log: Log): Promise<WrittenEvidence | undefined> {
  try {
    return await writeEvidence(report, folder);
  } catch (error) {
    if (!isPlaitError(error)) throw error;
    log.error({ event: 'no-evidence' }, `the evidence could not be kept: ${error.message}. The notes are in the report of -o json; give another folder with --evidence`);
    return undefined;
  }
}

function requireRange({ fromSeq = 0n, toSeq }: VerifyCommandOptions): void {
  if (toSeq !== undefined && toSeq < fromSeq) throw new PlaitError('config', `--to-seq ${toSeq} is below --from-seq ${fromSeq}: nothing lies between; give a larger --to-seq`);
}

/** What is to be done next about a contradiction, with the files in which it was written out. */
function withCommand(report: VerifyReport, evidence: WrittenEvidence | undefined): VerifyReport {
  const { finding } = report;
  if (finding?.kind !== 'checkpoint-contradicts' || evidence === undefined) return report;
  return { ...report, finding: { ...finding, next: evidence.command } };
}

async function tell(outcome: VerifyOutcome, { output }: VerifyCommandOptions): Promise<void> {
  process.exitCode = exitCodeOfReport(outcome.report);
  if (output === 'json') return await print(`${outcomeJson(outcome)}\n`);
  // Some terminals say 0.
  const columns = Math.min(process.stdout.columns || COLUMNS, COLUMNS_MAX);
  // Without colours where they are not wanted: no terminal, NO_COLOR.
  await print(outcomeText(outcome, { columns, paint: (colour, text) => styleText(colour, text, { stream: process.stdout }) }));
}
