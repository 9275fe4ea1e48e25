/** Signed statements that contradict each other, or the ledger, as files to be kept and shown to others. */
import { join } from 'node:path';
import { makeFolder, replaceFile } from '@plait/disk';
import { utf8Decode } from '@plait/core';
import type { VerifyReport } from '@plait/ledger';
import { printable } from '../output.ts';

/** Evidence is for others to see. */
const MODE = 0o644;
const NAME_CHARS = 60;

/** Where evidence was written. */
export interface WrittenEvidence {
  readonly folder: string;
  /** Names of the notes, in the order of the finding's. */
  readonly files: readonly string[];
}

/**
 * Writes each signed note of the finding byte for byte, and a README that says what they show; nothing if there are none.
 * What is in the folder under these names is replaced. Throws `config`, `unavailable`.
 */
export async function writeEvidence(report: VerifyReport, folder: string): Promise<WrittenEvidence | undefined> {
  const { evidence = [] } = report.finding ?? {};
  if (evidence.length === 0) return undefined;
  await makeFolder(folder);
  const files = evidence.map(({ name }, i) => `${i + 1}-${name.replaceAll(/[^A-Za-z0-9._-]+/g, '-').slice(0, NAME_CHARS)}.note`);
  for (const [i, { note }] of evidence.entries()) await replaceFile(join(folder, files[i] ?? ''), utf8Decode(note), MODE);
  await replaceFile(join(folder, 'README.txt'), readme(report, files), MODE);
  return { folder, files };
}

function readme({ origin, ledgerId, finding }: VerifyReport, files: readonly string[]): string {
  const rows = (finding?.evidence ?? []).map(({ name }, i) => `  ${files[i]}  ${name}`);
  return printable([
    `Found by "plait verify" in the ledger ${origin} (${ledgerId ?? 'without a genesis'}): ${finding?.kind}`, '',
    finding?.message ?? '', '',
    'Each file is a signed note (c2sp.org/signed-note), byte for byte as it was signed:', '',
    ...rows, '',
  ].join('\n'));
}
