/** What `plait verify-receipt` prints: every step, and a verdict that nobody can mistake. */
import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { formatReceipt, RECEIPT_STEPS, type Receipt } from '@plait/core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { checkpointKey, receiptOf } from '../vectors/receipt-world.ts';

const main = join(import.meta.dirname, '../../apps/plait/src/main.ts');
const { vkey } = checkpointKey.verifier;
const good = receiptOf();
const flip = (bytes: Uint8Array): Uint8Array => bytes.map((byte, i) => (i === 0 ? byte ^ 1 : byte));

let folder: string;
beforeAll(() => void (folder = mkdtempSync(join(tmpdir(), 'plait-verify-receipt-'))));
afterAll(() => rmSync(folder, { recursive: true }));

/** Runs the command on the text of a file. */
function run(text: string, ...args: readonly string[]): { readonly code: number | null; readonly stdout: string } {
  const file = join(folder, 'a.tlog-proof');
  writeFileSync(file, text);
  const { status, stdout } = spawnSync(process.execPath, ['--conditions=development', main, 'verify-receipt', file, '--key', vkey, ...args], { encoding: 'utf8' });
  return { code: status, stdout };
}

const changed = (more: Partial<Receipt>): string => formatReceipt({ ...good, ...more });

test.each([
  ['header-proof', changed({ header: good.header.replace(/\ntime (\d+)/, '\ntime 1$1') }), 'header-proof does not hold, so it proves nothing'],
  ['leaf-proof', changed({ leaf: flip(good.leaf) }), 'leaf-proof does not hold, so it proves nothing'],
  ['payload', changed({ payload: flip(good.payload ?? new Uint8Array(1)) }), 'payload does not hold: the receipt is of another one'],
  ['file', 'anything', 'the file is no receipt, so it proves nothing'],
] as const)('%s fails: the steps behind it are named as not run, and the last line is the verdict', (step, text, verdict) => {
  const behind = step === 'file' ? RECEIPT_STEPS : RECEIPT_STEPS.slice(RECEIPT_STEPS.indexOf(step) + 1);
  const ran = run(text);
  expect(ran.code).toBe(10);
  const lines = ran.stdout.trimEnd().split('\n');
  expect(lines.filter((line) => line.startsWith('not run'))).toEqual(behind.length === 0 ? [] : [`not run: ${behind.join(', ')}`]);
  expect(lines.at(-1)).toBe(`INVALID: ${verdict}`);
  expect(JSON.parse(run(text, '-o', 'json').stdout)).toMatchObject({ verdict: 'invalid', failed: step, notRun: behind, notChecked: [] });
});

test('a step that is run only with a payload is not missed where there is none', () => {
  const { payload: _payload, ...bare } = good;
  const { stdout } = run(formatReceipt({ ...bare, leaf: flip(good.leaf) }), '-o', 'json');
  expect(JSON.parse(stdout)).toMatchObject({ failed: 'leaf-proof', notRun: ['leaf'] });
});

test('a receipt that holds is verified, and no step is left out', () => {
  const { code, stdout } = run(formatReceipt(good));
  expect(code).toBe(0);
  expect(stdout).toContain('\n\nverified\n\n');
  expect(stdout).not.toContain('not run');
  expect(JSON.parse(run(formatReceipt(good), '-o', 'json').stdout)).toMatchObject({ verdict: 'verified', notRun: [] });
});
