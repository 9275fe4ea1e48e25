/** The demo's reader: a process that reads the ledger, verified, while it grows, and tells the demo what it saw. */
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { Command } from 'commander';
import { openLedger, type LedgerRecord } from '@plait/ledger';
import { preciseNowMs, SENT_HEADER } from './demo-orders.ts';
import { loadLedger } from '../keys.ts';
import { makeLog } from '../log.ts';
import { bootstrapOption, kafkaOptions, ledgerOption, logLevelOption, type CommonOptions } from '../options.ts';
import { entryLine, printLine } from '../output.ts';
import { programArguments } from '../roles.ts';
import { stopSignal, WITH_PARENT_VARIABLE } from '../stopping.ts';

export const DEMO_READER = 'demo-reader';

const TELL_EVERY_MS = 250;

/** What the reader tells, four times a second. */
export interface ReaderNews {
  /** Records handed out so far. */
  readonly verified: number;
  /** Time from producer to verified of the records since the last news, ms, at most some thousand of them. */
  readonly latenciesMs: readonly number[];
  /** The newest record, for people. */
  readonly sample: string;
}

const LATENCIES_MAX = 5_000;

/** The hidden command of the reader's process. */
export function demoReaderCommand(): Command {
  return new Command(DEMO_READER)
    .addOption(bootstrapOption()).addOption(ledgerOption()).addOption(logLevelOption())
    .action(async (options: CommonOptions) => {
      const signal = stopSignal();
      const { brokers, ...kafka } = kafkaOptions(options, makeLog(options.logLevel));
      await using ledger = await openLedger({ ...(await loadLedger(options.ledger)), bootstrapServers: brokers, kafka });
      let verified = 0;
      let latenciesMs: number[] = [];
      let last: LedgerRecord | undefined;
      const tell = (): void => {
        printLine(JSON.stringify({ verified, latenciesMs, sample: last === undefined ? '' : entryLine(last) } satisfies ReaderNews));
        latenciesMs = [];
      };
      const telling = setInterval(tell, TELL_EVERY_MS);
      for await (const entry of ledger.read({ signal })) {
        if (entry.kind !== 'record') continue;
        verified += 1;
        last = entry;
        if (latenciesMs.length < LATENCIES_MAX) latenciesMs.push(preciseNowMs() - sentAtMs(entry));
      }
      clearInterval(telling);
      tell();
    });
}

function sentAtMs(record: LedgerRecord): number {
  const header = record.headers.find(({ key }) => Buffer.from(key).toString() === SENT_HEADER);
  return Number(Buffer.from(header?.value ?? []).toString());
}

/** The reader's process as the demo sees it. */
export interface DemoReader extends AsyncDisposable {
  /** Rejects when the process ends by itself: reading failed. */
  readonly failed: Promise<never>;
}

/** Starts the reader; `onNews` gets what it tells. */
export function startReader(options: { args: readonly string[]; env: NodeJS.ProcessEnv; onNews: (news: ReaderNews) => void }): DemoReader {
  const { path, args } = programArguments();
  const child = spawn(path, [...args, DEMO_READER, ...options.args], {
    env: { ...process.env, ...options.env, [WITH_PARENT_VARIABLE]: '1' }, stdio: ['pipe', 'pipe', 'inherit'],
  });
  let isStopping = false;
  const ended = new Promise<number | null>((resolve) => child.on('exit', resolve));
  createInterface({ input: child.stdout }).on('line', (line) => options.onNews(JSON.parse(line) as ReaderNews));
  const failed = ended.then((code): Promise<never> => {
    if (isStopping) return new Promise(() => undefined);
    throw new Error(`the reader ended with code ${code}`);
  });
  failed.catch(() => undefined);
  return {
    failed,
    [Symbol.asyncDispose]: async () => {
      isStopping = true;
      child.kill('SIGTERM');
      await ended;
    },
  };
}
