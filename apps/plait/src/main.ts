/** The one program. */
import { Command, CommanderError } from 'commander';
import { configCommand } from './settings/config.ts';
import { configure } from './settings/config-apply.ts';
import { consistencyCommand } from './proving/consistency.ts';
import { coordinatorCommand } from './running/coordinator.ts';
import { demoCommand } from './demo/demo.ts';
import { demoReaderCommand } from './demo/demo-reader.ts';
import { devCommand } from './dev.ts';
import { EXIT, exitCodeOf, explain, Told } from './exit.ts';
import { historyCommand } from './governing/history.ts';
import { initCommand } from './governing/init.ts';
import { keysCommand } from './governing/keys-command.ts';
import { locateCommand } from './proving/locate.ts';
import { publisherCommand } from './running/publisher.ts';
import { OutputClosed } from './output.ts';
import { readCommand } from './reading/read.ts';
import { receiptCommand } from './proving/receipt.ts';
import { reconfigureCommand } from './governing/reconfigure.ts';
import { recoverCommand } from './recovery/recover.ts';
import { serveCommand } from './running/serve.ts';
import { statusCommand } from './reading/status.ts';
import { verifyCommand } from './verifying/verify.ts';
import { verifyReceiptCommand } from './proving/verify-receipt.ts';
import { workerCommand } from './running/worker.ts';

const VERSION = '0.1.0';

const FIRST_STEPS = `
Your own topic:
  plait init --topic orders --bootstrap-server localhost:9092
  plait worker --bootstrap-server localhost:9092
  plait coordinator --bootstrap-server localhost:9092 --redis-url redis://localhost:6379
  plait publisher --bootstrap-server localhost:9092
  plait read --bootstrap-server localhost:9092 --follow

Nothing at hand: plait dev
`;

function program(): Command {
  const plait = new Command('plait')
    .description('Gives the records of a partitioned Kafka topic one global order that anyone can check.')
    .version(VERSION)
    .showHelpAfterError('(see --help)')
    .addHelpText('after', FIRST_STEPS);
  const commands = [initCommand(), workerCommand(), coordinatorCommand(), publisherCommand(), serveCommand(), readCommand(), statusCommand(), verifyCommand(), locateCommand(), receiptCommand(), verifyReceiptCommand(), consistencyCommand(), recoverCommand(), configCommand(), reconfigureCommand(), historyCommand(), keysCommand(), devCommand(), demoCommand()];
  for (const command of commands) plait.addCommand(command);
  configure(plait);
  plait.addCommand(demoReaderCommand(), { hidden: true });
  // Commands made on their own do not take these over.
  for (const command of [plait, ...commands]) command.exitOverride();
  return plait;
}

/** Runs the command of the arguments; the exit code. */
async function main(): Promise<number> {
  try {
    await program().parseAsync();
    return exitCodeSoFar();
  } catch (error) {
    if (error instanceof OutputClosed) return exitCodeSoFar();
    // Commander has said what was wrong.
    if (error instanceof CommanderError) return error.exitCode === 0 ? EXIT.done : EXIT.usage;
    if (!(error instanceof Told)) process.stderr.write(`plait: ${explain(error)}\n`);
    return exitCodeOf(error);
  }
}

/** What the command has said of its result, before it printed it. */
function exitCodeSoFar(): number {
  return Number(process.exitCode ?? EXIT.done);
}

// A closed pipe is no failure: whoever writes more learns it from its own write.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error;
});

// Nothing of ours is thrown past its caller: what comes here is a bug.
process.on('uncaughtException', (error) => {
  process.stderr.write(`plait: ${explain(error)}\n`);
  process.exit(EXIT.bug);
});

// Connections that are still closing need not be waited for.
process.exit(await main());
