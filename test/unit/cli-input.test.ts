/** Files that are handed to commands: nothing is read beyond what one of its kind can have. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { makeSignerKey } from '@plait/core';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { readInput } from '../../apps/plait/src/input.ts';
import { readCheckpointKey } from '../../apps/plait/src/proving/checkpoint-key.ts';
import { readCheckpoint } from '../../apps/plait/src/proving/consistency-check.ts';
import { verifyReceiptCommand } from '../../apps/plait/src/proving/verify-receipt.ts';

const { vkey } = makeSignerKey('example.com/input', new Uint8Array(32).fill(5)).verifier;
let folder: string;
beforeAll(async () => void (folder = await mkdtemp(join(tmpdir(), 'plait-input-'))));
afterAll(async () => await rm(folder, { recursive: true }));

test('a file comes whole, or not at all', async () => {
  const file = join(folder, 'file');
  const bytes = Uint8Array.from({ length: 200_000 }, (_, i) => i & 0xff);
  await writeFile(file, bytes);
  expect(Buffer.compare(await readInput(file, { bytesMax: 200_000 }), bytes)).toBe(0);
  await expect(readInput(file, { bytesMax: 199_999 })).rejects.toMatchObject({ code: 'config', message: expect.stringContaining('more than 199999 bytes') as string });
  await writeFile(file, '');
  expect(await readInput(file, { bytesMax: 0 })).toHaveLength(0);
  const missing = { code: 'config', message: `--key: cannot read ${join(folder, 'none')}: there is no such file` };
  await expect(readInput(join(folder, 'none'), { bytesMax: 1, option: '--key' })).rejects.toMatchObject(missing);
  await expect(readInput(folder, { bytesMax: 1 })).rejects.toMatchObject({ code: 'config' });
});

test('one without an end is no checkpoint and no key', async () => {
  const endless = { code: 'config', message: expect.stringContaining('more than') as string };
  await expect(readCheckpoint('/dev/zero')).rejects.toMatchObject(endless);
  await expect(readCheckpointKey('/dev/zero')).rejects.toMatchObject(endless);
});

test('a checkpoint key is given as it is, or in a file', async () => {
  const file = join(folder, 'log.vkey');
  await writeFile(file, `${vkey}\n`);
  for (const text of [vkey, file, `@${file}`]) expect((await readCheckpointKey(text)).vkey).toBe(vkey);
  await expect(readCheckpointKey(folder)).rejects.toMatchObject({ code: 'config' });
});

test('who reads no more of the result still gets its exit code, and no other', async () => {
  const file = join(folder, 'no-receipt');
  await writeFile(file, 'anything');
  const main = join(import.meta.dirname, '../../apps/plait/src/main.ts');
  const program = spawn(process.execPath, ['--conditions=development', main, 'verify-receipt', file, '--key', vkey], { stdio: ['ignore', 'pipe', 'pipe'] });
  program.stdout.destroy();
  let stderr = '';
  program.stderr.on('data', (part: Buffer) => (stderr += part.toString()));
  const [code] = (await once(program, 'close')) as [number];
  expect({ code, stderr }).toEqual({ code: 10, stderr: '' });
});

test('stdin is no receipt and its payload at once', async () => {
  const both = verifyReceiptCommand().parseAsync(['-', '--payload', '-', '--key', vkey], { from: 'user' });
  await expect(both).rejects.toMatchObject({ code: 'config', message: expect.stringContaining('stdin') as string });
});
