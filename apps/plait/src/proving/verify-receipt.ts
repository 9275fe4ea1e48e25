/** `plait verify-receipt`: checks a receipt, offline. */
import { styleText } from 'node:util';
import { Command, Option } from 'commander';
import {
  checkReceipt, isPlaitError, parseReceipt, PlaitError, verifyReceipt,
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

/** What came out of it. */
interface Checked {
  readonly steps: readonly Step[];
  /** Undefined if a step failed. */
  readonly proved?: VerifiedReceipt;
  readonly notChecked: readonly string[];
}

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
      if (checked.proved === undefined) process.exitCode = EXIT.tampered;
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
    return { steps: [{ step: 'file', ok: false, says: `it is no receipt: ${error.message}` }], notChecked: [] };
  }
  const steps: readonly Step[] = [{ step: 'file', ok: true, says: 'it is spelled as a receipt is' }, ...checkReceipt(receipt, options)];
  if (steps.some(({ ok }) => !ok)) return { steps, notChecked: [] };
  const proved = verifyReceipt(receipt, options);
  return { steps, proved, notChecked: notCheckedOf(proved) };
}

function notCheckedOf({ hasPayload }: VerifiedReceipt): readonly string[] {
  return [
    ...(hasPayload ? [] : ["the record's key, value and headers: neither inside nor given (--payload)"]),
    'the rest of the ledger, and whether the key signed another: plait verify',
    'what Kafka holds now',
  ];
}

function checkedJson({ steps, proved, notChecked }: Checked): Readonly<Record<string, unknown>> {
  const failed = steps.find(({ ok }) => !ok);
  return {
    verdict: failed === undefined ? 'verified' : 'invalid', ...(failed === undefined ? {} : { failed: failed.step }), steps,
    ...(proved === undefined ? {} : { proves: factsJson(proved) }), notChecked,
  };
}

const STEP_CHARS = 21;

function checkedText({ steps, proved, notChecked }: Checked): string {
  const parts = steps.map(stepText);
  if (proved === undefined) return parts.join('');
  const verified = styleText('green', 'verified', { stream: process.stdout });
  const rest = notChecked.map((each) => `  - ${each}\n`);
  return [...parts, `\n${verified}\n\n`, rowsText(factRows(proved)), '\nnot checked\n', ...rest].join('');
}

function stepText({ step, ok, says, expected, found }: Step): string {
  const isTerminal = process.stdout.isTTY;
  const sign = ok ? (isTerminal ? '✓' : 'ok  ') : (isTerminal ? '✗' : 'FAIL');
  const coloured = styleText(ok ? 'green' : 'red', sign, { stream: process.stdout });
  const values = [...(expected === undefined ? [] : [`     expected ${expected}\n`]), ...(found === undefined ? [] : [`     found    ${found}\n`])];
  return `${coloured} ${step.padEnd(STEP_CHARS)}${printable(says)}\n${printable(values.join(''))}`;
}
