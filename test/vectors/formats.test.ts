/**
 * docs/FORMAT.md against the golden history it explains. Everything is computed here anew with Node's own crypto and a
 * tree of five lines, not with core: what the page says must be enough.
 */
import { createHash, createPrivateKey, createPublicKey, sign, type KeyObject } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import {
  CHUNK_BYTES_MAX, HEADER_BYTES_MAX, MESSAGE_BYTES_MAX, PARTITIONS_MAX, PENDING_MAX, REPORT_BYTES_MAX, SEGMENT_RECORDS_MAX, SOURCES_MAX,
} from '@plait/core';
import { keyOf } from './histories/builder.ts';
import type { Expected, History, Step } from './histories/format.ts';
import { ignored, ofCheckpoints, ofSegments } from './histories/reasons.ts';

const page = readFileSync(new URL('../../docs/FORMAT.md', import.meta.url), 'utf8');
const history = JSON.parse(readFileSync(new URL('./histories/example.json', import.meta.url), 'utf8')) as History;

/** The page's fenced examples by name. */
const examples = new Map([...page.matchAll(/^```text (\S+)\n([^]*?)^```$/gm)].map(([, name = '', body = '']) => [name, body]));

function message(at: number): string {
  const step = history.messages[at] as Step;
  if (!('text' in step)) throw new Error('a message of the example is text');
  return step.text;
}

/** Text of a note without its signatures. */
function unsigned(at: number): string {
  return message(at).slice(0, message(at).lastIndexOf('\n\n') + 1);
}

function sha256(...parts: readonly (Uint8Array | string)[]): Buffer {
  return parts.reduce((hash, part) => hash.update(part), createHash('sha256')).digest();
}

const leafHash = (entry: Uint8Array | string): Buffer => sha256(Uint8Array.of(0), entry);

function root(leaves: readonly Buffer[]): Buffer {
  if (leaves.length <= 1) return leaves[0] ?? sha256();
  const left = 2 ** Math.floor(Math.log2(leaves.length - 1));
  return sha256(Uint8Array.of(1), root(leaves.slice(0, left)), root(leaves.slice(left)));
}

/** The value of a line that begins with `keyword` in a message. */
function value(at: number, keyword: string, word = 0): string {
  const line = message(at).split('\n').find((found) => found.startsWith(`${keyword} `));
  return line?.split(' ')[word + 1] ?? '';
}

/** A field of a payload of less than 64 bytes: zigzag length, bytes. */
function field(text: string): Buffer {
  return Buffer.concat([Buffer.of(text.length * 2), Buffer.from(text)]);
}

function recordOf(at: number): { payload: Buffer; leaf: Buffer } {
  const payload = Buffer.concat([field('orders-0'), field(`record ${at}`), Buffer.of(0)]);
  const numbers = Buffer.alloc(16);
  numbers.writeBigInt64BE(BigInt(at), 0);
  numbers.writeBigInt64BE(1_700_000_000_000n + BigInt(at), 8);
  return { payload, leaf: Buffer.concat([numbers, sha256(payload)]) };
}

function ed25519Of(name: string): { seed: Buffer; publicKey: Buffer; privateKey: KeyObject } {
  const seed = createHash('sha256').update(`the golden histories' key ${name}`).digest();
  const pkcs8 = Buffer.concat([Buffer.from('302e020100300506032b657004220420', 'hex'), seed]);
  const privateKey = createPrivateKey({ key: pkcs8, format: 'der', type: 'pkcs8' });
  return { seed, publicKey: createPublicKey(privateKey).export({ format: 'der', type: 'spki' }).subarray(-32), privateKey };
}

function keyValues(): Record<string, string> {
  const { seed, publicKey } = ed25519Of('worker-1');
  const id = sha256('worker-1', Uint8Array.of(10, 1), publicKey).subarray(0, 4).toString('hex');
  const text = (bytes: Buffer): string => `worker-1+${id}+${Buffer.concat([Buffer.of(1), bytes]).toString('base64')}`;
  return {
    'name': 'worker-1', 'seed': seed.toString('hex'), 'public key': publicKey.toString('hex'), 'key id': id,
    'verifier key': text(publicKey), 'signer key': `PRIVATE+KEY+${text(seed)}`,
  };
}

function recordValues(): Record<string, string> {
  const { payload, leaf } = recordOf(0);
  return {
    'payload': payload.toString('hex'), 'payload digest': sha256(payload).toString('hex'), 'leaf': leaf.toString('hex'),
    'leaf hash': leafHash(leaf).toString('base64'),
    'root of offsets 0, 1, 2': root([0, 1, 2].map((at) => leafHash(recordOf(at).leaf))).toString('base64'),
  };
}

function segmentValues(): Record<string, string> {
  const id = sha256(unsigned(0)).toString('base64');
  const start = (place: string): string => sha256(`plait.start/v1\n${id}\n${place}\n`).toString('base64');
  const hash = (line: number): string => sha256(unsigned(2).split('\n')[line] as string).toString('base64');
  return {
    'ledger id': id,
    'chain start of orders 0 0 0': start('orders 0 0 0'), 'hash of the first segment': hash(3),
    'chain start of orders 0 1 100': start('orders 0 1 100'), 'hash of the loss': hash(4),
    'chain start of orders 1 1 0': start('orders 1 1 0'),
  };
}

function linesOf(at: number): readonly string[] {
  const { outcome } = history.messages[at] as { outcome: Expected };
  return outcome.kind === 'block' ? outcome.lines : [];
}

function blockValues(): Record<string, string> {
  return {
    'root over the first block\'s lines': root(linesOf(3).map((line) => leafHash(line))).toString('base64'),
    'root over the second block\'s lines': root(linesOf(8).map((line) => leafHash(line))).toString('base64'),
    'history of the first block': root([]).toString('base64'),
    'leaf hash of the first header': leafHash(unsigned(3)).toString('base64'),
    'history after the second block': root([leafHash(unsigned(3)), leafHash(unsigned(8))]).toString('base64'),
  };
}

const state = Buffer.from(value(9, 'data'), 'base64');

function stateValues(): Record<string, string> {
  return {
    'bytes': `${state.length}`, 'root': root([leafHash(state)]).toString('base64'), 'hash': sha256(state).toString('base64'),
  };
}

const base64 = (...lines: readonly Buffer[]): string => lines.map((hash) => hash.toString('base64')).join(' ');

/** The extra bytes of the receipt of offset 0: leaf 0 of 3, line 0 of 2. */
function receiptExtra(): string {
  const [, second, third] = [0, 1, 2].map((at) => leafHash(recordOf(at).leaf)) as [Buffer, Buffer, Buffer];
  const { payload, leaf } = recordOf(0);
  const [line = '', other = ''] = linesOf(3);
  return [
    'plait.receipt/v1', `leaf ${base64(leaf)}`, 'leaf-index 0', `leaf-proof ${base64(second, third)}`,
    line, 'line-index 0', `line-proof ${base64(leafHash(other))}`, `payload ${base64(payload)}`, `header\n${unsigned(3)}`,
  ].join('\n');
}

/** Header 0 of 2, under a checkpoint of both. */
function receipt(): string {
  const origin = 'ledger.example/orders';
  const [first, second] = [leafHash(unsigned(3)), leafHash(unsigned(8))];
  const checkpoint = `${origin}\n2\n${base64(root([first, second]))}\n`;
  const { publicKey, privateKey } = ed25519Of(origin);
  const id = sha256(origin, Uint8Array.of(10, 1), publicKey).subarray(0, 4);
  const signature = base64(Buffer.concat([id, sign(null, Buffer.from(checkpoint), privateKey)]));
  return [
    'c2sp.org/tlog-proof@v1', `extra ${base64(Buffer.from(receiptExtra()))}`, 'index 0', base64(second), '',
    `${checkpoint}\n\u2014 ${origin} ${signature}\n`,
  ].join('\n');
}

function tileValues(): Record<string, string> {
  const texts = [3, 8].map((at) => Buffer.from(unsigned(at)));
  const entries = Buffer.concat(texts.flatMap((text) => [Buffer.of(text.length >> 8, text.length & 255), text]));
  return {
    'tile/0/000.p/2': Buffer.concat(texts.map((text) => leafHash(text))).toString('hex'),
    'begin of tile/entries/000.p/2': entries.subarray(0, 16).toString('hex'),
    'SHA-256 of tile/entries/000.p/2': sha256(entries).toString('hex'),
  };
}

/** What every example of the page must be. */
const wanted: Record<string, string> = {
  ...Object.fromEntries(history.messages.map((_, at) => [`message-${at}`, message(at)])),
  lines: [3, 8].flatMap((at) => linesOf(at)).map((line) => `${line}\n`).join(''),
  state: state.toString('utf8'),
  key: spell(keyValues()),
  record: spell(recordValues()),
  segment: spell(segmentValues()),
  block: spell(blockValues()),
  'state-values': spell(stateValues()),
  'receipt-extra': receiptExtra(),
  receipt: receipt(),
  tiles: spell(tileValues()),
};

function spell(values: Record<string, string>): string {
  return Object.entries(values).map(([name, text]) => `${name} = ${text}\n`).join('');
}

describe('docs/FORMAT.md', () => {
  it('has exactly the examples that are computed here', () => {
    expect([...examples.keys()].toSorted()).toEqual(Object.keys(wanted).toSorted());
  });

  it.each(Object.keys(wanted))('shows the real %s', (name) => {
    expect(examples.get(name)).toBe(wanted[name]);
  });

  it('shows values that fit together', () => {
    expect(value(3, 'root')).toBe(blockValues()['root over the first block\'s lines']);
    expect(value(8, 'root')).toBe(blockValues()['root over the second block\'s lines']);
    expect(value(3, 'history')).toBe(blockValues()['history of the first block']);
    expect(value(8, 'history')).toBe(blockValues()['leaf hash of the first header']);
    expect(message(4).split('\n')[2]).toBe(blockValues()['leaf hash of the first header']);
    expect(value(2, 'segment', 7)).toBe(recordValues()['root of offsets 0, 1, 2']);
    expect(value(2, 'segment', 8)).toBe(segmentValues()['chain start of orders 0 0 0']);
    expect(value(2, 'loss', 7)).toBe(segmentValues()['chain start of orders 0 1 100']);
    expect(value(5, 'segment', 8)).toBe(segmentValues()['hash of the first segment']);
    expect(message(8)).toContain(`\nstate ${stateValues()['bytes']} ${stateValues()['root']}\n`);
    expect(receipt().split('\n')[7]).toBe(blockValues()['history after the second block']);
    expect(message(7)).toContain(`follows ${sha256(unsigned(6)).toString('base64')}\n`);
    expect(keyValues()['verifier key']).toBe(keyOf('worker-1').verifier.vkey);
    expect(keyValues()['signer key']).toBe(keyOf('worker-1').skey);
  });

  it('names every reason', () => {
    const words = [...Object.keys(ignored), ...Object.keys(ofSegments).filter((word) => word !== 'accepted'), ...Object.keys(ofCheckpoints)];
    expect(words.filter((word) => !page.includes(`\`${word}\``))).toEqual([]);
  });

  it('states the limits that the code has', () => {
    const limits = [MESSAGE_BYTES_MAX, REPORT_BYTES_MAX, HEADER_BYTES_MAX, SEGMENT_RECORDS_MAX, CHUNK_BYTES_MAX, PARTITIONS_MAX, PENDING_MAX, SOURCES_MAX];
    for (const limit of limits) expect(page).toContain(limit.toLocaleString('en-US'));
  });
});
