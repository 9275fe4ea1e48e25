/** `plait recover`: writes a log that was rolled back or lost anew, from copies; or forgets what a role remembers. */
import { rename } from 'node:fs/promises';
import { Command, Option } from 'commander';
import { equalBytes, MESSAGE_BYTES_MAX, parseTopic, PlaitError, type LogPosition } from '@plait/core';
import { replaceFile } from '@plait/disk';
import { checkLogTopic, createLogTopic, logOpener, topicOffsets, writeLog, type KafkaOptions } from '@plait/kafka';
import { formatLedgerFile } from '@plait/ledger';
import { copyFolderPath, exists, ledgerFilePath, loadLedger, stateFilePath } from '../keys.ts';
import { makeLog, type Log } from '../log.ts';
import { bootstrapOption, kafkaOptions, ledgerOption, logLevelOption, optionValue, type CommonOptions } from '../options.ts';
import { printLine } from '../output.ts';
import { gather, PUT_ASIDE } from './recover-gather.ts';
import { verifyRecovered, type RecoveredLog } from './recover-log.ts';
import { topicMessages } from './recover-sources.ts';
import { pinnedOf } from '../running/wiring.ts';
import { settled } from '../settled.ts';

const EXAMPLES = `
Stop all roles first. Nothing is written into a damaged topic: --to names a new one, in which every message gets its old
position, from the copies in the ledger's folder and those that --copy names, and from what is left of the old topic. All of
it is folded under the ledger key first, and nothing is written that lacks what a state file of the folder remembers. Then
ledger.json names the new topic: give it to everybody who has the old one, and start the roles again. If recover is
interrupted, run the same command again.

A role that knew only what the log became after it was rolled back stops on the recovered log: --forget resets it, by its name
(worker, coordinator, publisher, serve, reader) or its state file. What it remembered, and its copy, are put aside, not removed.

Examples:
  plait recover --to orders.plait.2
  plait recover --forget worker
`;

interface RecoverOptions extends CommonOptions {
  readonly to?: string;
  readonly fromTopic?: string;
  readonly copy?: readonly string[];
  readonly state?: readonly string[];
  readonly forget?: string;
}

/** The command. */
export function recoverCommand(): Command {
  return new Command('recover')
    .summary('write a log that was rolled back anew, from copies')
    .description('Writes a new topic with every message of the ledger\'s log at its old position, from copies; or makes a role forget.')
    .option('--to <topic>', 'the new topic: not there yet, or empty')
    .option('--from-topic <topic>', 'the damaged topic (default: the one that ledger.json names)')
    .option('--copy <folder...>', 'more folders with copies, from other machines')
    .option('--state <file...>', 'more state files, from other machines')
    .addOption(new Option('--forget <role>', 'reset what a role remembers: worker, coordinator, publisher, serve, reader, or a state file').conflicts(['to', 'fromTopic', 'copy', 'state']))
    .addOption(bootstrapOption())
    .addOption(ledgerOption())
    .addOption(logLevelOption())
    .addHelpText('after', EXAMPLES)
    .action(async (options: RecoverOptions) => {
      if (options.forget !== undefined) return await forget(options.ledger, options.forget);
      if (options.to === undefined) throw new PlaitError('config', 'name the new topic with --to TOPIC, or the role to reset with --forget ROLE');
      const to = optionValue('--to', () => parseTopic(options.to ?? ''));
      await recover(to, options);
    });
}

async function recover(to: string, options: RecoverOptions): Promise<void> {
  const log = makeLog(options.logLevel);
  const kafka = kafkaOptions(options, log);
  const ledger = await loadLedger(options.ledger);
  const from = optionValue('--from-topic', () => parseTopic(options.fromTopic ?? ledger.log));
  if (to === from) throw new PlaitError('config', `--to: ${to} is the damaged topic itself, and nothing is recovered into that: name a new one`);
  const { recovered, witnesses } = await gather(from, { ledger, kafka, log }, options);
  const state = await verifyRecovered(recovered, pinnedOf(ledger), witnesses);
  for (const { path, position } of witnesses.filter((each) => each.position >= recovered.end)) {
    log.warn({ event: 'ahead' }, `${path} remembers position ${position}, which no copy holds and no block needs: before that role is started again, reset it with ` +
      `"plait recover --forget ${path}"`);
  }
  log.info({ event: 'verified', height: String(state.height) }, `found ${state.height} blocks and ${state.nextSeq} seqs, all under the ledger key`);
  await writeAnew(to, recovered, { kafka, log });
  // A crash before this line leaves the whole log in the new topic, which the next run finds and goes on from.
  await replaceFile(ledgerFilePath(options.ledger), formatLedgerFile({ ...ledger, log: to }), LEDGER_FILE_MODE);
  for (const line of summary(options.ledger, { to, recovered, height: state.height, nextSeq: state.nextSeq })) printLine(line);
}

const LEDGER_FILE_MODE = 0o644;

/** Writes what the new topic lacks and reads all of it back. Throws `config` if it holds anything else. */
async function writeAnew(topic: string, recovered: RecoveredLog, { kafka, log }: { kafka: KafkaOptions; log: Log }): Promise<void> {
  // A crash here leaves an empty topic, which the next run takes.
  await createLogTopic({ kafka, topic, messageBytesMax: MESSAGE_BYTES_MAX });
  for (const warning of await settled(() => checkLogTopic({ kafka, topic, messageBytesMax: MESSAGE_BYTES_MAX }))) log.warn({ event: 'setting' }, warning);
  await settled(() => topicOffsets({ kafka, topic }));
  const from = await matching(topic, recovered, kafka);
  if (from > 0n) log.info({ event: 'resumed', position: String(from) }, `${topic} holds the first ${from} messages already`);
  // A crash here leaves the beginning of the log, from whose end the next run goes on.
  await writeLog({ kafka, topic, from, messages: recovered.values(from, MESSAGE_BYTES_MAX) });
  const end = await matching(topic, recovered, kafka);
  if (end !== recovered.end) throw new PlaitError('unknown', `${topic} ends at ${end} instead of ${recovered.end}: run the same command again`);
}

/** How much of the recovered log a topic holds. Throws `config` unless that is all it holds. */
async function matching(topic: string, recovered: RecoveredLog, kafka: KafkaOptions): Promise<LogPosition> {
  const wanted = recovered.values(0n, MESSAGE_BYTES_MAX);
  let next = 0n;
  for await (const { position, value } of topicMessages(logOpener({ kafka, topic }))) {
    const expected = await wanted.next();
    if (position !== next || expected.done === true || !equalBytes(expected.value, value)) {
      throw new PlaitError('config', `the topic ${topic} is not empty, and at position ${next} it does not hold what belongs there: name another one with --to`);
    }
    next += 1n;
  }
  return next as LogPosition;
}

function summary(folder: string, { to, recovered, height, nextSeq }: { to: string; recovered: RecoveredLog; height: bigint; nextSeq: bigint }): readonly string[] {
  return [
    `recovered the log into ${to}`,
    `  positions  ${recovered.end}, each as it was`,
    `  blocks     ${height}`,
    `  seqs       ${nextSeq}`,
    `  file       ${ledgerFilePath(folder)} names ${to} now: give it to everybody who has the old one`,
    '',
    'Start the roles again. Keep the old topic as evidence, and let nobody write to it.',
  ];
}

/** Puts aside what a role remembers, and its copy. */
async function forget(folder: string, roleOrFile: string): Promise<void> {
  const isRole = /^[a-z-]+$/.test(roleOrFile);
  const file = isRole ? stateFilePath(folder, roleOrFile) : roleOrFile;
  const aside = `${PUT_ASIDE}${new Date().toISOString().replaceAll(':', '')}`;
  const found = [file, ...(isRole ? [copyFolderPath(folder, roleOrFile)] : [])];
  let moved = 0;
  for (const path of found) {
    if (!(await exists(path))) continue;
    await rename(path, path + aside).catch((error: Error) => {
      throw new PlaitError('config', `cannot put ${path} aside: ${error.message}`, { cause: error });
    });
    printLine(`put aside ${path}${aside}`);
    moved += 1;
  }
  if (moved > 0) return;
  if (!isRole) throw new PlaitError('config', `--forget: there is no file ${file}`);
  printLine(`nothing is remembered for ${roleOrFile}: there is no ${file}`);
}
