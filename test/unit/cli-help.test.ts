/** Commands that come to a verdict say in their help what each of their exit codes means. */
import type { Command } from 'commander';
import { expect, test } from 'vitest';
import { EXIT } from '../../apps/plait/src/exit.ts';
import { consistencyCommand } from '../../apps/plait/src/proving/consistency.ts';
import { locateCommand } from '../../apps/plait/src/proving/locate.ts';
import { receiptCommand } from '../../apps/plait/src/proving/receipt.ts';
import { verifyReceiptCommand } from '../../apps/plait/src/proving/verify-receipt.ts';
import { readCommand } from '../../apps/plait/src/reading/read.ts';
import { verifyCommand } from '../../apps/plait/src/verifying/verify.ts';

const { done, usage, unreachable, tampered, rolledBack, splitView, undecided } = EXIT;

function helpOf(command: Command): string {
  let text = '';
  command.configureOutput({ writeOut: (part) => void (text += part) }).outputHelp();
  return text;
}

test.each([
  ['verify', verifyCommand(), [done, usage, unreachable, tampered, rolledBack, splitView, undecided]],
  ['read', readCommand(), [done, usage, unreachable, tampered, rolledBack, splitView, undecided]],
  ['receipt', receiptCommand(), [done, usage, unreachable, tampered, rolledBack, splitView, undecided]],
  ['consistency', consistencyCommand(), [done, usage, unreachable, tampered, rolledBack, splitView, undecided]],
  ['locate', locateCommand(), [done, usage, unreachable, tampered, undecided]],
  ['verify-receipt', verifyReceiptCommand(), [done, usage, tampered]],
])('%s', (_name, command, codes) => {
  const [, paragraph = ''] = /\nExit codes: ((?:.+\n)+)\n/.exec(helpOf(command)) ?? [];
  const said = Array.from(paragraph.matchAll(/(?:^|,)\s*(\d+) [a-z]/g), ([, code]) => Number(code));
  expect(said).toEqual(expect.arrayContaining(codes));
});
