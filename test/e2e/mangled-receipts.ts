/** Receipts that were changed in every element, and what this project's own verifier says of each. */
import {
  base64Encode, checkReceipt, encodeLeaf, equalBytes, formatCheckpoint, hashToText, isPlaitError, leafHash, messageHash, parseReceipt, parseVerifierKey, sha256, signNote,
  utf8Decode, utf8Encode, type Hash, type SignerKey,
} from '@plait/core';

/** A receipt's file, the checkpoint key, and perhaps a payload in a file of its own. */
export interface ReceiptCase {
  readonly file: Uint8Array;
  readonly key: string;
  readonly payload?: Uint8Array;
}

/** `refused`, the step that fails, or `ok` and the last step that holds. */
export function verdictOn({ file, key, payload }: ReceiptCase): string {
  try {
    const steps = checkReceipt(parseReceipt(file), { key: parseVerifierKey(key), ...(payload === undefined ? {} : { payload }) });
    const last = steps.at(-1);
    return last?.ok === true ? `ok ${last.step}` : (last?.step ?? 'nothing');
  } catch (error) {
    if (!isPlaitError(error, 'invalid')) throw error;
    return 'refused';
  }
}

/** The receipt with one change each: a bit of every byte, of the file and of the text in it; lines, words, numbers, hashes. */
export function mangled({ file, key }: ReceiptCase): ReceiptCase[] {
  const { before, extra, after } = parts(file);
  const withExtra = (bytes: Uint8Array): Uint8Array => utf8Encode(`${before}${base64Encode(bytes)}${after}`);
  const texts = [
    ...changedLines(extra).map((text) => withExtra(utf8Encode(text))),
    ...changedLines(after).map((rest) => utf8Encode(`${before}${base64Encode(utf8Encode(extra))}${rest}`)),
  ];
  const all = [...flipped(file), ...flipped(utf8Encode(extra)).map(withExtra), ...texts];
  return all.filter((each) => !equalBytes(each, file)).map((each) => ({ file: each, key }));
}

function parts(file: Uint8Array): { readonly before: string; readonly extra: string; readonly after: string } {
  const [, before = '', extra = '', after = ''] = /^([^]*?\nextra )(\S+)([^]*)$/.exec(Buffer.from(file).toString()) ?? [];
  return { before, extra: Buffer.from(extra, 'base64').toString(), after };
}

/** Each byte with one bit changed, another one in each. */
function flipped(bytes: Uint8Array): Uint8Array[] {
  return Array.from(bytes, (byte, at) => {
    const copy = Uint8Array.from(bytes);
    copy[at] = byte ^ (1 << (at % 8));
    return copy;
  });
}

/** Each line left out, repeated, or swapped with the next; each of its words changed in the ways that its kind allows. */
function changedLines(text: string): string[] {
  const lines = text.split('\n');
  const joined = (at: number, ...put: string[]): string => [...lines.slice(0, at), ...put, ...lines.slice(at + 1)].join('\n');
  return lines.flatMap((line, at) => [
    joined(at), joined(at, line, line), joined(at, `${line} `), [...lines.slice(0, at), ...lines.slice(at, at + 2).toReversed(), ...lines.slice(at + 2)].join('\n'),
    ...changedWords(line.split(' ')).map((words) => joined(at, words.join(' '))),
  ]);
}

function changedWords(words: readonly string[]): string[][] {
  const hashes = words.filter((word) => word.length === 44);
  return words.flatMap((word, at) => {
    const put = (...others: string[]): string[] => [...words.slice(0, at), ...others, ...words.slice(at + 1)];
    const others = /^\d+$/.test(word)
      ? [`0${word}`, `-${word}`, ...[1n, -1n, 256n].map((by) => String(BigInt(word) + by)), '9223372036854775807', '9223372036854775808']
      : [base64Encode(new Uint8Array(32)), ...hashes.filter((hash) => hash !== word)];
    return [put(), put(word, word), ...others.map((other) => put(other))];
  });
}

interface Forgery {
  readonly offset?: bigint;
  readonly payload?: Uint8Array;
  readonly digest?: Uint8Array;
  readonly line?: (root: Hash) => string;
  readonly header?: readonly [RegExp, string];
}

const NONSENSE = messageHash('the root of nothing\n');
/** A record `v` without key and headers. */
const PAYLOAD = Uint8Array.of(1, 2, 118, 0);
const oneLeaf = (entry: Uint8Array): Hash => hashToText(leafHash(entry));

/** What the holder of the checkpoint key could sign, if it lied: receipts whose proofs hold and whose content cannot be. */
export function forged(key: SignerKey): (readonly [name: string, file: ReceiptCase])[] {
  const { name, vkey } = key.verifier;
  const made = ({ offset = 0n, payload = PAYLOAD, digest = sha256(payload), line = lineOf('segment', '0 1 0 1'), header = [/$/, ''] }: Forgery): ReceiptCase => {
    const leaf = encodeLeaf({ offset, timestamp: 5n, digest });
    const numbered = line(oneLeaf(leaf));
    const text = headerOf(name, oneLeaf(utf8Encode(numbered))).replace(...header);
    const checkpoint = signNote(formatCheckpoint({ kind: 'checkpoint', origin: name, size: 1n, root: oneLeaf(utf8Encode(text)) }), key);
    const extra = [
      'plait.receipt/v1', `leaf ${base64Encode(leaf)}`, 'leaf-index 0', 'leaf-proof', numbered, 'line-index 0', 'line-proof', `payload ${base64Encode(payload)}`, 'header', text,
    ].join('\n');
    return { file: utf8Encode(`c2sp.org/tlog-proof@v1\nextra ${base64Encode(utf8Encode(extra))}\nindex 0\n\n${utf8Decode(checkpoint)}`), key: vkey };
  };
  return FORGERIES.map(([step, forgery]) => [step, made(forgery)]);
}

/** Each with the step at which it must fail. */
const FORGERIES: readonly (readonly [string, Forgery])[] = [
  ['ok payload', {}],
  ['header', { header: [/height 0/, 'height 1'] }],
  ['header', { header: [/example/, 'examples'] }],
  ['header', { header: [/cut 1/, 'cut one'] }],
  ['header', { header: [/$/, 'more\n'] }],
  ['line-proof', { header: [/segments 1/, 'segments 0'] }],
  ['line-proof', { header: [/segments 1/, 'segments 2'] }],
  ['line', { line: lineOf('loss', '0 1 0 1') }],
  ['line', { line: lineOf('segment', '2 1 0 1') }],
  ['line', { header: [/first-seq 0/, 'first-seq 1'] }],
  ['line', { header: [/records 1/, 'records 0'] }],
  ['leaf-proof', { line: lineOf('segment', '1 1 0 1') }],
  ['leaf-proof', { line: lineOf('segment', '0 2 0 1'), header: [/records 1/, 'records 2'] }],
  ['leaf', { offset: 1n }],
  ['leaf', { line: lineOf('segment', '0 1 1 2') }],
  ['payload', { digest: sha256(Uint8Array.of()) }],
  ['payload', { payload: Uint8Array.of(0x81, 0, 2, 118, 0), digest: sha256(PAYLOAD) }],
  ['payload', { payload: Uint8Array.of(...PAYLOAD, 0) }],
  ['payload', { payload: Uint8Array.of(1, 2, 118, 2, 1, 1) }],
];

function lineOf(kind: 'segment' | 'loss', range: string): (root: Hash) => string {
  return (root) => `line 0 ${kind} orders 0 0 ${range}${kind === 'segment' ? ` ${root}` : ''} ${NONSENSE}`;
}

function headerOf(origin: string, root: Hash): string {
  return [
    'plait.block/v1', origin, NONSENSE, `configuration ${NONSENSE}`, `claim ${NONSENSE}`, 'height 0', 'time 5', 'first-seq 0', 'records 1', 'segments 1', 'cut 1',
    `root ${root}`, `history ${NONSENSE}`, '',
  ].join('\n');
}
