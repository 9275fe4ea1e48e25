/** Signed statements that contradict each other, or the ledger, as files to be kept and shown to others. */
import { join, resolve } from 'node:path';
import { parseCheckpoint, parseNote, verifyNoteSignature, type Checkpoint, type Note, type VerifierKey } from '@plait/core';
import type { VerifyReport } from '@plait/ledger';
import { printable, programName } from '../output.ts';
import { keepCheckpoints, keepText } from '../proving/evidence-files.ts';

/** Where evidence was written. */
export interface WrittenEvidence {
  readonly folder: string;
  /** Names of the notes, in the order of the finding's. */
  readonly files: readonly string[];
  /** A command line of the program that shows what they contradict. */
  readonly command: string;
}

/** A note of the finding, and its file. */
interface Kept {
  readonly name: string;
  readonly file: string;
  readonly note: Note;
  readonly checkpoint: Checkpoint;
}

/**
 * Keeps each signed note of the finding byte for byte, under a name that says what it is, and a `README-….txt` for the finding
 * that says what they show, by which keys they are signed, and which command shows it; nothing if there are none. What earlier
 * findings left in the folder stays. Throws `config`, `unavailable`.
 */
export async function writeEvidence(report: VerifyReport, folder: string): Promise<WrittenEvidence | undefined> {
  const { evidence = [] } = report.finding ?? {};
  if (evidence.length === 0) return undefined;
  const files = await keepCheckpoints(folder, report.verdict, evidence.map(({ note }) => note));
  const kept = evidence.map(({ name, note: bytes }, i): Kept => {
    const note = parseNote(bytes);
    return { name, file: files[i] ?? '', note, checkpoint: parseCheckpoint(note.text) };
  });
  const command = commandOf(kept, folder);
  await keepText(folder, 'README', readme(report, kept, command));
  return { folder, files, command };
}

function readme({ origin, ledgerId, finding, checkpointKeys = [] }: VerifyReport, kept: readonly Kept[], command: string): string {
  return printable([
    `Found by "plait verify" in the ledger ${origin} (${ledgerId ?? 'without a genesis'}): ${finding?.kind}`, '',
    finding?.message ?? '', '',
    'Each file is a signed note (c2sp.org/signed-note), byte for byte as it was signed:', '',
    ...kept.flatMap((each) => [...noteLines(each, checkpointKeys), '']),
    'This shows it, with the --ledger and --bootstrap-server of that run:', '',
    `  ${programName()} ${command.slice('plait '.length)}`, '',
  ].join('\n'));
}

function noteLines({ name, file, note, checkpoint: { size, root } }: Kept, keys: readonly VerifierKey[]): readonly string[] {
  const signers = keys.filter((key) => verifyNoteSignature(note, key));
  const others = note.signatures.filter((each) => !signers.some((key) => key.name === each.name && key.keyId === each.keyId));
  return [
    `  ${file}`, `    ${name}`, `    size ${size}, root ${root}`,
    ...signers.map(({ vkey }) => `    signed by ${vkey}`),
    // A vkey begins with name and id.
    ...others.map((each) => `    signature of ${each.name}+${each.keyId.toString(16).padStart(8, '0')}: "plait history" shows the checkpoint keys of earlier configurations whole`),
  ];
}

/** Two checkpoints of which the log bears out the larger one contradict each other; any other one contradicts the log. */
function commandOf(kept: readonly Kept[], folder: string): string {
  const [one, other] = kept;
  const files = kept.map(({ file }) => word(resolve(join(folder, file))));
  const isPair = one !== undefined && other !== undefined && one.checkpoint.size > 0n && one.checkpoint.size <= other.checkpoint.size;
  return isPair ? `plait consistency ${files.join(' ')}` : `plait verify --trusted-checkpoint ${files[0]}`;
}

/** As shells take it. */
function word(text: string): string {
  return /^[\w./:@%+=,-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
