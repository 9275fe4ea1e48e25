/** `plait verify-receipt`: checks a receipt, offline. */
import { styleText } from 'node:util';
import { Command, Option } from 'commander';
import {
  checkReceipt, isPlaitError, parseReceipt, PlaitError, RECEIPT_STEPS, verifyReceipt,
  type Receipt, type ReceiptStep, type VerifiedReceipt, type VerifierKey,
} from '@plait/core';
import { EXIT } from '../exit.ts';
import { readInput, readStdin, RECEIPT_BYTES_MAX } from '../input.ts';
import { jsonText, print, printable } from '../output.ts';
import { readCheckpointKey } from './checkpoint-key.ts';
import { factRows, factsJson, rowsText } from './receipt-text.ts';

const EXAMPLES = `
Needs no Kafka and no ledger: the checkpoint key is all that must be trusted. It is served as /log.vkey and stands in the
ledger's genesis and configurations; take it from somebody else than the receipt. --payload is for a receipt without the
record's bytes; "plait read --from-seq N --to-seq N+1 -o wire" writes them.

Exit codes: 0 every step holds, 10 one does not (it is named), or the file is no receipt, 1 usage or configuration.

Examples:
  plait verify-receipt order.tlog-proof --key plait/serve/log.vkey
  plait receipt --seq 1 --out - | plait verify-receipt - --key plait/serve/log.vkey -o json
`;

interface VerifyReceiptOptions {
  readonly key: string;
  readonly payload?: string;
  readonly output: 'text' | 'json';
}

/** A step of core's, or the one before them: whether the file is a receipt at all. */
type Step = Omit<ReceiptStep, 'step'> & { readonly step: ReceiptStep['step'] | 'file' };

/** What came out of it; `steps` are those that were run. */
type Checked =
  | { readonly verdict: 'verified'; readonly steps: readonly Step[]; readonly proved: VerifiedReceipt; readonly notChecked: readonly string[] }
  /** `notRun` are the steps behind the one that failed: each rests on the one before. */
  | { readonly verdict: 'invalid'; readonly steps: readonly Step[]; readonly failed: Step['step']; readonly notRun: readonly Step['step'][] };

/** The command. */
export function verifyReceiptCommand(): Command {
  return new Command('verify-receipt')
    .summary('check a receipt, offline')
    .description('Checks a receipt step by step, from the checkpoint\'s signature down to the record\'s bytes, and prints what it proves.')
    .argument('<file>', 'the receipt; "-" for stdin')
    .requiredOption('--key <vkey>', 'the checkpoint key, <name>+<id>+<base64>, or a file that holds it, such as log.vkey')
    .option('--payload <file>', 'the record\'s key, value and headers as they are on the wire, if they are not in the receipt; "-" for stdin')
    .addOption(new Option('-o, --output <format>', 'output format').choices(['text', 'json']).default('text'))
    .addHelpText('after', EXAMPLES)
    .action(async (file: string, options: VerifyReceiptOptions) => {
      const key = await readCheckpointKey(options.key);
      if (file === '-' && options.payload === '-') throw new PlaitError('config', 'receipt and --payload cannot both come from stdin');
      const payload = options.payload === undefined ? {} : { payload: await readBytes(options.payload) };
      const checked = check(await readBytes(file), { key, ...payload });
      if (checked.verdict === 'invalid') process.exitCode = EXIT.tampered;
      await print(options.output === 'json' ? `${jsonText({ schemaVersion: 1, file, ...checkedJson(checked), key: key.vkey })}\n` : checkedText(checked));
    });
}

async function readBytes(path: string): Promise<Uint8Array> {
  return path === '-' ? await readStdin(RECEIPT_BYTES_MAX) : await readInput(path, { bytesMax: RECEIPT_BYTES_MAX });
}

function check(bytes: Uint8Array, options: { readonly key: VerifierKey; readonly payload?: Uint8Array }): Checked {
  let receipt: Receipt;
  try {
    receipt = parseReceipt(bytes);
  } catch (error) {
    if (!isPlaitError(error, 'invalid')) throw error;
    return failure([{ step: 'file', ok: false, says: `it is no receipt: ${error.message}` }], 'file');
  }
  const steps: readonly Step[] = [{ step: 'file', ok: true, says: 'it is spelled as a receipt is' }, ...checkReceipt(receipt, options)];
  const failed = steps.find(({ ok }) => !ok);
  const hasPayload = receipt.payload !== undefined || options.payload !== undefined;
  if (failed !== undefined) return failure(steps, failed.step, hasPayload);
  const proved = verifyReceipt(receipt, options);
  return { verdict: 'verified', steps, proved, notChecked: notCheckedOf(proved) };
}

function failure(steps: readonly Step[], failed: Step['step'], hasPayload = true): Checked {
  const all: readonly Step['step'][] = ['file', ...RECEIPT_STEPS.filter((step) => hasPayload || step !== 'payload')];
  return { verdict: 'invalid', steps, failed, notRun: all.slice(all.indexOf(failed) + 1) };
}

function notCheckedOf({ hasPayload }: VerifiedReceipt): readonly string[] {
  return [
    ...(hasPayload ? [] : ["the record's key, value and headers: neither inside nor given (--payload)"]),
    'the rest of the ledger, and whether the key signed another: plait verify',
    'what Kafka holds now',
  ];
}

function checkedJson(checked: Checked): Readonly<Record<string, unknown>> {
  const { verdict, steps } = checked;
  if (verdict === 'invalid') return { verdict, failed: checked.failed, steps, notRun: checked.notRun, notChecked: [] };
  return { verdict, steps, notRun: [], proves: factsJson(checked.proved), notChecked: checked.notChecked };
}

const STEP_CHARS = 21;

function checkedText(checked: Checked): string {
  const parts = checked.steps.map(stepText);
  if (checked.verdict === 'invalid') return [...parts, failureText(checked)].join('');
  const verified = styleText('green', 'verified', { stream: process.stdout });
  const rest = checked.notChecked.map((each) => `  - ${each}\n`);
  return [...parts, `\n${verified}\n\n`, rowsText(factRows(checked.proved)), '\nnot checked\n', ...rest].join('');
}

function failureText({ failed, notRun }: Extract<Checked, { verdict: 'invalid' }>): string {
  const behind = notRun.length === 0 ? '' : `not run: ${notRun.join(', ')}\n`;
  const verdict = styleText('red', 'INVALID', { stream: process.stdout });
  return `${behind}\n${verdict}: ${verdictOf(failed)}\n`;
}

function verdictOf(failed: Step['step']): string {
  if (failed === 'file') return 'the file is no receipt, so it proves nothing';
  return failed === 'payload' ? 'payload does not hold: the receipt is of another one' : `${failed} does not hold, so it proves nothing`;
}

function stepText({ step, ok, says, expected, found }: Step): string {
  const isTerminal = process.stdout.isTTY;
  const sign = ok ? (isTerminal ? '✓' : 'ok  ') : (isTerminal ? '✗' : 'FAIL');
  const coloured = styleText(ok ? 'green' : 'red', sign, { stream: process.stdout });
  const values = [...(expected === undefined ? [] : [`     expected ${expected}\n`]), ...(found === undefined ? [] : [`     found    ${found}\n`])];
  return `${coloured} ${step.padEnd(STEP_CHARS)}${printable(says)}\n${printable(values.join(''))}`;
}
