/** Evidence is kept: whatever is found later, no file of an earlier finding is replaced, and each says by which key it holds. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { formatCheckpoint, hashToText, height, makeSignerKey, seq, sha256, signNote, utf8Encode, type SignerKey } from '@plait/core';
import type { VerifyReport } from '@plait/ledger';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { keepCheckpoints } from '../../apps/plait/src/proving/evidence-files.ts';
import { writeEvidence } from '../../apps/plait/src/verifying/evidence.ts';

const ORIGIN = 'example.com/orders';
const [KEY, FORMER] = [1, 2].map((byte) => makeSignerKey(ORIGIN, new Uint8Array(32).fill(byte))) as [SignerKey, SignerKey];

let base: string;
let folder: string;
beforeEach(() => {
  base = mkdtempSync(join(tmpdir(), 'plait-evidence-'));
  folder = join(base, "an auditor's");
});
afterEach(() => rmSync(base, { recursive: true }));

function note(size: bigint, tree: string, signer = KEY): Uint8Array {
  return signNote(formatCheckpoint({ kind: 'checkpoint', origin: ORIGIN, size, root: hashToText(sha256(utf8Encode(tree))) }), signer);
}

function reportOf(...evidence: readonly Uint8Array[]): VerifyReport {
  return {
    schemaVersion: 1, verdict: 'split-view', origin: ORIGIN, ledgerId: hashToText(sha256(utf8Encode('genesis'))), range: { firstSeq: seq(0n), nextSeq: seq(0n) }, height: height(9n),
    counts: {} as VerifyReport['counts'], ignored: {}, consistentWith: [], checked: [], notChecked: [], checkpointKeys: [KEY.verifier],
    finding: {
      kind: 'checkpoint-contradicts', message: 'the first 5 blocks are others', causes: [], next: '',
      evidence: evidence.map((each, i) => ({ name: i === 0 ? 'remembered' : 'the log', note: each })),
    },
  };
}

/** The folder's files, by name. */
const content = (): ReadonlyMap<string, string> => new Map(readdirSync(folder).toSorted().map((name) => [name, readFileSync(join(folder, name), 'utf8')]));
const textOf = (bytes: Uint8Array | undefined): string => Buffer.from(bytes ?? []).toString('utf8');

test('a second forgery erases nothing of the first', async () => {
  const [good, one, other] = [note(9n, 'good'), note(5n, 'one'), note(5n, 'other')];
  const first = await writeEvidence(reportOf(one, good), folder);
  const before = content();
  expect(before.size).toBe(3);
  const second = await writeEvidence(reportOf(other, good), folder);
  const after = content();
  expect([...before].filter(([name, text]) => after.get(name) !== text)).toEqual([]);
  // The other note, and what is said of it.
  expect(after.size).toBe(5);
  for (const [written, notes] of [[first, [one, good]], [second, [other, good]]] as const) {
    expect(written?.folder).toBe(folder);
    expect(written?.files.map((name) => after.get(name))).toEqual(notes.map(textOf));
    for (const name of written?.files ?? []) expect(name).toMatch(/^split-view-[0-9a-f]{12}-[59]-[0-9a-f]{12}\.checkpoint$/);
  }
  // The same once more is there.
  await writeEvidence(reportOf(one, good), folder);
  expect(content()).toEqual(after);
});

test('of one tree that was signed by two keys, or under whose name something else lies, both are kept', async () => {
  const [mine, former] = [note(5n, 'one'), note(5n, 'one', FORMER)];
  const files = await keepCheckpoints(folder, 'split-view', [mine, former, mine, former]);
  expect(new Set(files).size).toBe(2);
  expect([content().get(files[0] ?? ''), content().get(files[1] ?? '')]).toEqual([mine, former].map(textOf));
  for (const name of files) writeFileSync(join(folder, name), 'not ours');
  await expect(keepCheckpoints(folder, 'split-view', [former])).rejects.toMatchObject({ code: 'config' });
  expect([...content().values()]).toEqual(['not ours', 'not ours']);
});

test('it says by which keys the notes hold, and which command shows what they show', async () => {
  const written = await writeEvidence(reportOf(note(5n, 'one', FORMER), note(9n, 'good')), folder);
  const [readme = ''] = [...content()].flatMap(([name, text]) => (/^README-[0-9a-f]{12}\.txt$/.test(name) ? [text] : []));
  expect(readme).toContain(`signed by ${KEY.verifier.vkey}\n`);
  expect(readme).not.toContain(FORMER.verifier.vkey);
  expect(readme).toContain(`signature of ${FORMER.verifier.vkey.split('+').slice(0, 2).join('+')}: "plait history" shows`);
  const paths = written?.files.map((name) => `'${join(folder, name).replaceAll("'", "'\\''")}'`) ?? [];
  expect(readme).toContain(`plait consistency ${paths.join(' ')}\n`);
});

test('what the log does not bear out contradicts the log: it is verified against it', async () => {
  for (const evidence of [[note(9n, 'forged'), note(5n, 'good')], [note(9n, 'forged')], [note(0n, 'forged'), note(5n, 'good')]]) {
    const into = join(base, String(evidence.length + Number(textOf(evidence[0]).split('\n')[1])));
    const [file = ''] = (await writeEvidence(reportOf(...evidence), into))?.files ?? [];
    const readme = readdirSync(into).find((name) => name.startsWith('README')) ?? '';
    expect(readFileSync(join(into, readme), 'utf8')).toContain(`plait verify --trusted-checkpoint ${join(into, file)}\n`);
  }
});

test('without evidence nothing is written', async () => {
  expect(await writeEvidence(reportOf(), folder)).toBeUndefined();
  expect(readdirSync(base)).toEqual([]);
});
