/** `plait history`: who ruled and who led, from the log. */
import { Command, Option } from 'commander';
import type { ConfigurationBody, Outcome } from '@plait/core';
import type { Folded } from '@plait/roles';
import { changesOf, changeText, type Change } from './configuration-changes.ts';
import { loadLedger } from '../keys.ts';
import { foldLog } from './log-fold.ts';
import { makeLog } from '../log.ts';
import { bootstrapOption, kafkaOptions, ledgerOption, logLevelOption, type CommonOptions } from '../options.ts';
import { print, printable } from '../output.ts';

const EXAMPLES = `
Shows what counted: the genesis, every configuration with what it changed, every claim. The position is the message's
offset in the log, so that any Kafka tool can show the signed text itself. With -o json: one object a line.

Examples:
  plait history
  plait history -o json
`;

interface HistoryOptions extends CommonOptions {
  readonly output: 'text' | 'json';
}

/** The command. */
export function historyCommand(): Command {
  return new Command('history')
    .summary('show every configuration and claim')
    .description('Folds the log and shows every configuration and claim that counted, with position, signer, epoch and what changed.')
    .addOption(new Option('-o, --output <format>', 'output format').choices(['text', 'json']).default('text'))
    .addOption(bootstrapOption())
    .addOption(ledgerOption())
    .addOption(logLevelOption())
    .addHelpText('after', EXAMPLES)
    .action(async (options: HistoryOptions) => {
      const target = { ledger: await loadLedger(options.ledger), kafka: kafkaOptions(options, makeLog(options.logLevel)) };
      const history = new History();
      await using ports = new AsyncDisposableStack();
      await foldLog(target, ports, (folded) => history.take(folded));
      const show = options.output === 'text' ? turnText : (turn: Turn): string => `${JSON.stringify(turn)}\n`;
      for (const turn of history.turns) await print(show(turn));
    });
}

/** One message that changed who rules or leads. Numbers are decimal strings: they may exceed 2^53. */
interface Turn {
  readonly kind: 'genesis' | 'configuration' | 'claim';
  readonly position: string;
  /** That it began. */
  readonly epoch: string;
  /** Of a configuration; 0 for the genesis. */
  readonly version?: string;
  /** Verifier key of the signer. */
  readonly key: string;
  readonly hash: string;
  readonly changes?: readonly Change[];
}

/** Collects the turns of a log. */
class History {
  readonly turns: Turn[] = [];
  #body: ConfigurationBody | undefined;

  take({ outcome, position, state }: Folded): void {
    if (state === undefined || !isTurn(outcome)) return;
    const common = { position: String(position), epoch: String(state.epoch), hash: outcome.hash };
    if (outcome.kind === 'claim') {
      this.turns.push({ kind: 'claim', ...common, key: state.leader?.key.vkey ?? outcome.key });
      return;
    }
    const { body, version } = state.configuration;
    this.turns.push({ kind: outcome.kind, ...common, version: String(version), key: state.ledgerKey.vkey, changes: changesOf(this.#body, body) });
    this.#body = body;
  }
}

function isTurn(outcome: Outcome): outcome is Extract<Outcome, { kind: 'genesis' | 'configuration' | 'claim' }> {
  return outcome.kind === 'genesis' || outcome.kind === 'configuration' || outcome.kind === 'claim';
}

const POSITION_CHARS = 10;
const EPOCH_CHARS = 6;

/** Lines for people. Names of keys may hold more than terminals should get. */
function turnText({ kind, position, epoch, version, key, changes = [] }: Turn): string {
  const what = kind === 'configuration' ? `configuration ${version}` : kind;
  const head = `${position.padStart(POSITION_CHARS)}  epoch ${epoch.padEnd(EPOCH_CHARS)}  ${what}  by ${key}\n`;
  return printable(head) + changes.map((change) => `${' '.repeat(POSITION_CHARS)}  ${changeText(change)}\n`).join('');
}
