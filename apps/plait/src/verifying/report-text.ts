/** The result of a verification for people. */
import type { SignedCheckpoint, VerifyFinding, VerifyReport } from '@plait/ledger';
import { printable, programName } from '../output.ts';
import { dateOf } from './auditor-memory.ts';
import { KIND_WORDS, type VerifyOutcome } from './outcome.ts';

/** As `util.styleText` has them. */
export type Colour = 'green' | 'red' | 'yellow' | 'bold';

/** How texts are laid out. */
export interface TextStyle {
  readonly columns: number;
  /** `text`, in a colour where those are wanted. */
  readonly paint: (colour: Colour, text: string) => string;
}

type Row = readonly [label: string, value: string | undefined];

const LABEL_CHARS = 13;

/** Lines for people; nothing in them steers a terminal but the colours of `style`. */
export function outcomeText(outcome: VerifyOutcome, style: TextStyle): string {
  const { report } = outcome;
  const { finding } = report;
  const parts = [headline(report, style)];
  if (finding !== undefined) parts.push(wrapped(finding.message, style), table(findingRows(finding), style), causesText(finding, style));
  parts.push(table(summaryRows(outcome), style), listed('checked', report.checked, style), listed('not checked', report.notChecked, style));
  if (finding !== undefined) parts.push(nextText(finding, outcome, style));
  return `${parts.filter((part) => part !== '').join('\n\n')}\n`;
}

const VERDICTS: Readonly<Record<VerifyReport['verdict'], { readonly words: string; readonly colour: Colour }>> = {
  verified: { words: 'verified', colour: 'green' },
  tampered: { words: 'TAMPERED', colour: 'red' },
  'rolled-back': { words: 'ROLLED BACK', colour: 'red' },
  'split-view': { words: 'SPLIT VIEW', colour: 'red' },
  undecided: { words: 'cannot decide', colour: 'yellow' },
};

function headline({ verdict, finding, origin }: VerifyReport, { paint }: TextStyle): string {
  const { words, colour } = VERDICTS[verdict];
  const rest = finding === undefined ? ` ${origin}` : `: ${KIND_WORDS[finding.kind]} (${finding.kind})`;
  return `${paint(colour, words)}${paint('bold', printable(rest))}`;
}

function findingRows(finding: VerifyFinding): readonly Row[] {
  const { topic, partition, generation, offset, firstOffset, nextOffset, seq, firstSeq, nextSeq, height, position, worker, report } = finding;
  return [
    ['partition', topic === undefined ? undefined : `${topic}/${partition}${generation === undefined || generation === 0n ? '' : `, generation ${generation}`}`],
    [offset === undefined ? 'offsets' : 'offset', oneOrRange(offset, firstOffset, nextOffset)],
    [seq === undefined ? 'seqs' : 'seq', oneOrRange(seq, firstSeq, nextSeq)],
    ['block', height === undefined ? undefined : `height ${height}`],
    ['in the log', position === undefined ? undefined : `position ${position}`],
    ['reported by', worker === undefined ? undefined : `${worker}${report === undefined ? '' : `, position ${report} of the log`}`],
    ['expected', finding.expected],
    ['found', finding.found],
    ['last good', lastGoodText(finding)],
  ];
}

function oneOrRange(one: bigint | undefined, first: bigint | undefined, next: bigint | undefined): string | undefined {
  if (one !== undefined) return String(one);
  if (first === undefined) return undefined;
  return next === undefined ? `from ${first} on` : rangeText(first, next);
}

/** A half-open range, in words that nobody takes for a closed one. */
function rangeText(first: bigint, next: bigint): string {
  return `from ${first} up to below ${next}`;
}

function lastGoodText({ kind, lastGoodCheckpoint: signed, position }: VerifyFinding): string {
  if (signed !== undefined) return `checkpoint of ${checkpointWords(signed)}`;
  const isOther = kind === 'rolled-back' || kind === 'history-differs' || kind === 'checkpoint-contradicts';
  return isOther && position === undefined ? 'not known: nothing tells up to where the log is the one that it was' : 'no checkpoint before it';
}

function checkpointWords({ checkpoint: { size, root } }: SignedCheckpoint): string {
  return `size ${size}, root ${root}`;
}

function summaryRows({ report, records, log, memory, resumed, durationMs }: VerifyOutcome): readonly Row[] {
  const { ledgerId, range, height, counts, ignored, checkpoint, consistentWith, finding } = report;
  const seqs = range.nextSeq > range.firstSeq ? `, seqs ${rangeText(range.firstSeq, range.nextSeq)}` : '';
  const seconds = durationMs / 1_000;
  const perSecond = seconds > 0 ? `, ${many(BigInt(Math.round(Number(counts.records) / seconds)))} a second` : '';
  return [
    ['ledger', `${report.origin} (${ledgerId ?? 'its genesis was not read'})`],
    ['records', `${many(counts.records)} hashed again${seqs}, ${sourceWords(records)}`],
    ['', restText(report)],
    ['log', `${many(counts.messages)} messages, ${many(height)} blocks, ${sourceWords(log)}`],
    ['ignored', Object.entries(ignored).map(([what, count]) => `${what} ${count}`).join(', ') || 'nothing'],
    ['checkpoint', checkpoint === undefined ? (finding === undefined ? 'none in the log' : 'none that covers only what is good') : checkpointWords(checkpoint)],
    ...consistentWith.map(({ name, size }): Row => ['extends', `the checkpoint of size ${size} (${name})`]),
    ['resumed', resumed === undefined ? undefined : `at seq ${resumed.nextSeq}: those below are what the run of ${dateOf(resumed.timeMs)} came to`],
    ['memory', finding === undefined || memory.remembered ? memoryWords(memory) : undefined],
    ['took', `${seconds.toFixed(1)} s${perSecond}`],
  ];
}

function restText({ counts: { losses, voids, gone } }: VerifyReport): string | undefined {
  const parts = [[losses, 'losses'], [voids, 'void seqs'], [gone, 'seqs gone']] as const;
  const said = parts.filter(([count]) => count > 0n).map(([count, what]) => `${many(count)} ${what}`);
  return said.length === 0 ? undefined : said.join(', ');
}

function sourceWords(from: VerifyOutcome['records']): string {
  return from === 'kafka' ? 'from Kafka' : 'from segment files';
}

function memoryWords({ folder, first, remembered }: VerifyOutcome['memory']): string {
  const what = first ? 'nothing was remembered before' : 'what was remembered still holds';
  return `${what}; ${remembered ? 'this run is' : 'this run is not'} remembered in ${folder}`;
}

function causesText({ causes }: VerifyFinding, style: TextStyle): string {
  return listed('likely causes', causes, style);
}

function nextText({ next }: VerifyFinding, { evidence, report }: VerifyOutcome, style: TextStyle): string {
  const signed = evidence === undefined ? '' : `Evidence is in ${evidence.folder}: ${evidence.files.join(', ')}. Keep it. `;
  const kept: string[] = report.verdict === 'undecided' ? [] : [wrapped(`${signed}Copy what is stored now before anything is mended: it is evidence too.`, style)];
  if (next.includes(' --void ')) kept.push(wrapped('If there is a copy of the records as they were, put it back and verify again. Else declare them void:', style));
  const command = next.startsWith('plait ') ? `${programName()}${next.slice('plait'.length)}` : next;
  // A command stays on one line, so that it can be copied.
  return [...kept, `${style.paint('bold', 'next')}\n  ${printable(command)}`].join('\n\n');
}

/** A count with commas. */
export function many(count: bigint): string {
  return count.toLocaleString('en-US');
}

function table(rows: readonly Row[], { columns }: TextStyle): string {
  const lines = rows.flatMap(([label, value]) =>
    value === undefined ? [] : wrap(printable(value), columns - LABEL_CHARS).map((line, i) => `${(i === 0 ? label : '').padEnd(LABEL_CHARS)}${line}`.trimEnd()));
  return lines.join('\n');
}

function listed(title: string, sentences: readonly string[], { columns, paint }: TextStyle): string {
  if (sentences.length === 0) return '';
  const lines = sentences.flatMap((sentence) => wrap(printable(sentence), columns - 4).map((line, i) => `${i === 0 ? '  - ' : '    '}${line}`));
  return [paint('bold', title), ...lines].join('\n');
}

function wrapped(text: string, { columns }: TextStyle): string {
  return wrap(printable(text), columns).join('\n');
}

/** Lines of at most `chars` characters, broken at spaces; a word that is longer has a line for itself. */
function wrap(text: string, chars: number): readonly string[] {
  const lines: string[] = [];
  let line = '';
  for (const word of text.split(/\s+/)) {
    if (line !== '' && line.length + 1 + word.length > chars) {
      lines.push(line);
      line = word;
    } else {
      line = line === '' ? word : `${line} ${word}`;
    }
  }
  return [...lines, line];
}
