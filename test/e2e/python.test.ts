/**
 * A verifier that somebody else wrote, in another language and from docs/FORMAT.md alone, comes to the same: on all golden
 * histories, on signatures at the borders, on receipts changed in every element, and on a real ledger, good and mangled.
 */
import { glob, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { gzipSync, zstdCompressSync } from 'node:zlib';
import {
  apply, EMPTY_ROOT, emptyState, encodePayload, formatCheckpoint, formatConfiguration, hashToText, isPlaitError, logPosition, makeSignerKey, parseSignerKey, parseVerifierKey, rangeRoot,
  signNote, utf8Decode, utf8Encode, type FoldState, type LedgerState, type Payload, type SignerKey,
} from '@plait/core';
import { openLogReader } from '@plait/kafka';
import { formatLedgerFile } from '@plait/ledger';
import type { Verdict } from '@plait/roles';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { CHECKPOINT_KEY, LEDGER_KEY, ORIGIN } from '../../packages/testkit/src/keyring.ts';
import { behind, inGap, verifyWorld, worldOf, type Left, type World } from '../audit/world.ts';
import { uniqueName } from '../global/services.ts';
import { Harness } from '../kafka/harness.ts';
import { recordBatch } from '../kafka/record-batch.ts';
import { makeLedger, type LedgerHarness } from './ledger-harness.ts';
import { forged, mangled, verdictOn, type ReceiptCase } from './mangled-receipts.ts';
import { createTopic, produce, type Ran } from './plait.ts';
import { fold } from '../vectors/histories/format.ts';
import { answers, environment, verifyLedger, whyNoPython, type PythonAudit, type PythonStep } from './python.ts';

const why = await whyNoPython();
const named = (name: string): string => (why === undefined ? name : `${name} (skipped: ${why})`);
const root = new URL('../../', import.meta.url);
let python: string;

beforeAll(async () => {
  if (why === undefined) python = await environment();
});

describe.skipIf(why !== undefined)(named('of values alone'), () => {
  test('all golden histories: outcomes, reasons and states', async () => {
    const files: string[] = [];
    for await (const file of glob('*.json', { cwd: new URL('test/vectors/histories', root) })) files.push(fileURLToPath(new URL(`test/vectors/histories/${file}`, root)));
    const { code, stdout } = await verifyLedger(python, 'history', ...files);
    expect({ code, stdout }).toEqual({ code: 0, stdout: `${files.length} of ${files.length} histories as written\n` });
    expect(files.length).toBeGreaterThan(90);
  });

  test('a history that is not as written', async () => {
    const folder = await mkdtemp(join(tmpdir(), 'plait-python-'));
    const history = await readFile(new URL('test/vectors/histories/report-range.json', root), 'utf8');
    await writeFile(join(folder, 'a.json'), history.replace('"range"', '"full"'));
    const { code, stdout } = await verifyLedger(python, 'history', join(folder, 'a.json'));
    expect({ code, stdout }).toEqual({ code: 10, stdout: expect.stringMatching(/^a\.json, position \d+: wanted .*\n0 of 1 /) as string });
    await rm(folder, { recursive: true });
  });

  test('signatures at the borders of Ed25519', async () => {
    const { verifying } = JSON.parse(await readFile(new URL('test/vectors/core/ed25519.json', root), 'utf8')) as { verifying: { valid: boolean }[] };
    expect(await answers(python, 'signatures', verifying)).toEqual(verifying.map(({ valid }) => valid));
  });

  test('a receipt changed in every element: both verifiers name the same step', async () => {
    const page = await readFile(new URL('docs/FORMAT.md', root), 'utf8');
    const [, file = ''] = /```text receipt\n([^]*?)```/.exec(page) ?? [];
    const [, key = ''] = /^checkpoint-key (.*)$/m.exec(page) ?? [];
    await agree({ file: utf8Encode(file), key });
  });

  test('receipts of which every proof holds and the content cannot be', async () => {
    const cases = forged(makeSignerKey('ledger.example/forged', new Uint8Array(32).fill(7)));
    const wanted = cases.map(([step]) => step);
    expect(cases.map(([, each]) => verdictOn(each))).toEqual(wanted);
    expect(await pythonOn(cases.map(([, each]) => each))).toEqual(wanted);
  });
});

/** Both verifiers take the receipt, and say the same of everything that can be made of it, or of every so many of that. */
async function agree(good: ReceiptCase, every = 1): Promise<void> {
  const [, inside = ''] = /\npayload (\S+)\n/.exec(Buffer.from(/\nextra (\S+)\n/.exec(utf8Decode(good.file))?.[1] ?? '', 'base64').toString()) ?? [];
  const payload = Buffer.from(inside, 'base64');
  // The key's length in two bytes instead of one.
  const longer = Buffer.concat([Buffer.from([(payload[0] ?? 0) | 0x80, 0]), payload.subarray(1)]);
  const given = [payload, longer, payload.subarray(1), Buffer.alloc(0), Buffer.from('another')].map((each) => ({ ...good, payload: each }));
  const cases = [good, { ...good, key: OTHER_KEY }, ...given, ...mangled(good).filter((_, i) => i % every === 0)];
  const wanted = cases.map(verdictOn);
  expect(await pythonOn(cases)).toEqual(wanted);
  expect(wanted.slice(0, 7)).toEqual(['ok payload', 'checkpoint-signature', 'ok payload', 'ok payload', 'payload', 'payload', 'payload']);
  // Nothing holds that was changed, but where the payload alone was left out, and where a signature line stands twice.
  expect(['ok leaf', 'ok payload']).toEqual(expect.arrayContaining(wanted.slice(7).filter((verdict) => verdict.startsWith('ok'))));
}

const base64 = (bytes: Uint8Array): string => Buffer.from(bytes).toString('base64');

async function pythonOn(cases: readonly ReceiptCase[]): Promise<readonly string[]> {
  const receipts = cases.map(({ file, key, payload }) => ({ file: base64(file), key, ...(payload === undefined ? {} : { payload: base64(payload) }) }));
  return await answers(python, 'receipts', receipts);
}

const OTHER_KEY = 'worker-1+9c255861+AcAhP/bU0v8IE4k4Ncn5q5hvWeueD1Lt9fR1sztenkIW';

const text = (value: string): Payload => ({ key: null, value: Buffer.from(value), headers: [] });
const header = (key: string, value: string | null) => ({ key: Buffer.from(key), value: value === null ? null : Buffer.from(value) });

/** A world as the verifier reads it. */
const caseOf = ({ messages, partitions }: World, steps: boolean) => ({
  origin: ORIGIN, ledgerKey: LEDGER_KEY.verifier.vkey, steps,
  messages: messages.map(({ position, value }) => ({ position: `${position}`, base64: base64(value) })),
  partitions: partitions.map(({ topic, partition, logStart, end, records }) => [
    topic, partition, { start: `${logStart}`, end: `${end}`, records: records.map((each) => [`${each.offset}`, `${each.timestamp}`, base64(each.payload)]) },
  ]),
});

/** What this project's own fold says of each message. */
function ownSteps({ messages }: World): PythonStep[] {
  let state: FoldState = emptyState({ origin: ORIGIN, ledgerKey: LEDGER_KEY.verifier });
  return messages.map(({ position, value }) => {
    const folded = fold(state, position, value, 2);
    ({ state } = folded);
    return { outcome: folded.expected, stateHash: folded.hash };
  });
}

describe.skipIf(why !== undefined)(named('of simulated ledgers'), () => {
  const SEEDS = [101, 104, 105, 106, 212];
  const left: Left[] = [];

  beforeAll(async () => {
    for (const seed of SEEDS) left.push(await worldOf(seed));
  });

  const EXIT: Readonly<Record<Verdict, number>> = { verified: 0, tampered: 10, 'rolled-back': 11, 'split-view': 12, undecided: 14 };

  /** What this project's own audit makes of it, in the words of the other. */
  async function ownAudit(world: World): Promise<Pick<PythonAudit, 'code' | 'counts'>> {
    try {
      const { verdict, counts } = await verifyWorld(world);
      if (verdict !== 'verified' && verdict !== 'undecided') return { code: EXIT[verdict] };
      const [block, records, lost, gone] = [counts.blocks, counts.records, counts.losses, counts.gone].map(Number) as [number, number, number, number];
      return { code: EXIT[verdict], counts: { block, records, lost, void: Number(counts.voids), gone } };
    } catch (error) {
      if (!isPlaitError(error, 'config')) throw error;
      return { code: 1 };
    }
  }

  /** Both audits come to the same. What was found is printed. */
  async function agreeOn(worlds: readonly World[]): Promise<void> {
    const found = (await answers(python, 'ledgers', worlds.map((world) => caseOf(world, false)))).map(({ audit }) => audit);
    const own: Pick<PythonAudit, 'code' | 'counts'>[] = [];
    for (const world of worlds) own.push(await ownAudit(world));
    expect(found.map(({ says, ...audit }, i) => ({ i, says, ...audit }))).toEqual(own.map((audit, i) => ({ i, says: found[i]?.says, ...audit })));
    const tally = Object.groupBy(found, ({ code, says = '' }) => `${code} ${says.split(':')[0]}`.trimEnd());
    process.stdout.write(`${Object.entries(tally).map(([what, all]) => `${all?.length} × ${what}`).join(', ')}\n`);
  }

  test('runs of some seeds, with hostile messages: every outcome and every state', async () => {
    const found = await answers(python, 'ledgers', left.map(({ world }) => caseOf(world, true)));
    for (const [i, { world }] of left.entries()) expect(found[i]?.steps, `seed ${SEEDS[i]}`).toEqual(ownSteps(world));
  });

  test('the same: what an audit comes to, with the hostile messages and without', async () => {
    await agreeOn(left.flatMap(({ world, honest }) => [world, honest]));
  });

  test('one of them with a message left out, and with one bit of it changed', async () => {
    const [{ honest: { messages, partitions } }] = left as [Left];
    await agreeOn(messages.flatMap(({ position, value }, at) => {
      if (at % 7 !== 0) return [];
      const edited = value.slice();
      const byte = (at * 7_919) % edited.length;
      edited[byte] = (edited[byte] as number) ^ (1 << (at % 8));
      return [messages.toSpliced(at, 1), messages.with(at, { position, value: edited })].map((changed) => ({ messages: changed, partitions }));
    }));
  });

  test('a checkpoint of another tree, its key replaced, and its successor over the blocks or over others', async () => {
    const { honest } = await worldOf(7);
    const state = honest.messages.reduce<FoldState>((folded, { position, value }) => apply(folded, position, value).state, emptyState({ origin: ORIGIN, ledgerKey: LEDGER_KEY.verifier })) as LedgerState;
    const { origin, ledgerId, height, history, configuration: { body, version, hash } } = state;
    const successor = makeSignerKey(ORIGIN, new Uint8Array(32).fill(9));
    const signed = (size: bigint, tree: Uint8Array, key: SignerKey): Uint8Array => signNote(formatCheckpoint({ kind: 'checkpoint', origin, size, root: hashToText(tree) }), key);
    const replaced = signNote(formatConfiguration({
      ...body, starts: [], checkpointKeys: [successor.verifier], kind: 'configuration', origin, ledgerId, version: version + 1n, previous: hash,
    }), LEDGER_KEY);
    const right = rangeRoot(history);
    const ahead = inGap(honest, signed(1_000n, EMPTY_ROOT, CHECKPOINT_KEY));
    const lied = inGap(honest, signed(1n, EMPTY_ROOT, CHECKPOINT_KEY));
    const vouched = [replaced, signed(height, right, successor)];
    await agreeOn([
      ahead, behind(ahead, replaced), behind(ahead, ...vouched), lied, behind(lied, replaced), behind(lied, ...vouched),
      ...[signed(1n, right, successor), signed(height, EMPTY_ROOT, successor)].map((end) => behind(lied, replaced, end)),
    ]);
  });
});

describe.skipIf(why !== undefined)(named('of a ledger in Kafka'), () => {
  const TIME = 1_700_000_000_000n;
  const FILLER = utf8Encode('plait.filler/v1\n');
  /** The records' times are of long ago: a broker would delete them. */
  const SETTINGS = { 'retention.ms': '-1' };
  let ledger: LedgerHarness;
  let raw: Harness;
  /** The log's messages, with filler in the place of those that do not count; all copies are of these. */
  let messages: readonly Uint8Array[];

  beforeAll(async () => {
    raw = new Harness();
    ledger = await makeLedger({ partitions: 4, settings: SETTINGS });
    const [configured] = await Promise.all([ledger.plait('reconfigure', '--on-loss', 'record'), fill('first')]);
    expect(configured).toMatchObject({ code: 0 });
    const roles = [ledger.start('worker'), ledger.start('coordinator'), ledger.start('publisher')];
    await Promise.all(roles.map(({ ready }) => ready));
    await ledger.settled();
    // So many messages that the leader writes down the state.
    await produce(ledger.file.log, Array.from({ length: 1_050 }, () => ({ value: Buffer.from(FILLER) })));
    const { topic } = ledger;
    expect(await ledger.plait('reconfigure', '--void', `${topic}/3:0-`, '--restart', `${topic}/3`)).toMatchObject({ code: 0 });
    await nextGeneration();
    await ledger.settled();
    messages = effective(await ledger.until('a checkpoint over all blocks, and a state', async () => await wholeLog()));
    await Promise.all(roles.map((role) => ledger.stop(role)));
  });
  afterAll(async () => {
    await ledger[Symbol.asyncDispose]();
  });

  /** Every kind of record: partition 0 of any bytes and codecs, 1 in transactions, 2 with a head that is gone, 3 to be restarted. */
  async function fill(first: string): Promise<void> {
    await writeFirst([text(first), { key: null, value: null, headers: [] }, { key: Buffer.alloc(0), value: Buffer.alloc(0), headers: [] }]);
    const producer = await raw.producer(true);
    for (const end of ['commit', 'abort', 'commit'] as const) {
      const transaction = await producer.transaction();
      await transaction.send({ topic: ledger.topic, messages: [1, 2].map((i) => ({ partition: 1, key: null, value: `${end} ${i}`, timestamp: `${TIME}` })) });
      await transaction[end]();
    }
    await write(2, [1, 2, 3, 4, 5].map((i) => text(`${i} of 2`)));
    await raw.deleteBefore({ topic: ledger.topic, partition: 2 }, 3n);
    await write(3, [text('void'), text('void, too')]);
  }

  /** The same each time, so that a partition that is filled with the same holds the same. */
  async function write(partition: number, payloads: readonly Payload[]): Promise<void> {
    await raw.produceRaw({ topic: ledger.topic, partition }, recordBatch(payloads.map((payload) => ({ payload: encodePayload(payload) })), { baseTimestamp: TIME }));
  }

  async function nextGeneration(): Promise<void> {
    await write(3, [text('of the next generation')]);
  }

  /** The records of partition 0: those given, and compressed ones with headers. */
  async function writeFirst(payloads: readonly Payload[]): Promise<void> {
    const at = { topic: ledger.topic, partition: 0 };
    const headers = [header('b', '1'), header('a', ''), header('b', '2'), header('\u00e9', null), header('b', '1')];
    const rest = [1, 2, 3].map((i) => ({ payload: encodePayload({ key: Buffer.from('k'), value: Buffer.alloc(300, i), headers }), timestampDelta: BigInt(i) }));
    await write(0, payloads);
    await raw.produceRaw(at, recordBatch(rest, { baseTimestamp: TIME, codec: 1, compress: (bytes) => gzipSync(bytes) }));
    await raw.produceRaw(at, recordBatch(rest, { baseTimestamp: TIME, codec: 4, compress: (bytes) => zstdCompressSync(bytes) }));
  }

  /** What the log holds, once a state stands in it and a checkpoint covers the last block. */
  async function wholeLog(): Promise<readonly Uint8Array[] | undefined> {
    const all = await readLog(ledger);
    const size = (await ledger.status()).height;
    const covers = all.some((message) => Buffer.from(message).toString().startsWith(`${ledger.file.origin}\n${size}\n`));
    return covers && all.some((message) => isOf(message, 'snapshot')) ? all : undefined;
  }

  /** With filler in the place of what the fold ignores: roles send again what they do not read back within a second. */
  function effective(all: readonly Uint8Array[]): readonly Uint8Array[] {
    let state: FoldState = emptyState({ origin: ledger.file.origin, ledgerKey: parseVerifierKey(ledger.file.ledgerKey) });
    return all.map((value, at) => {
      const applied = apply(state, logPosition(BigInt(at)), value);
      ({ state } = applied);
      const { outcome } = applied;
      const counts = outcome.kind === 'report' ? outcome.segments.some(({ accepted }) => accepted) : outcome.kind !== 'ignored';
      return counts ? value : FILLER;
    });
  }

  async function verify(file: Partial<LedgerHarness['file']> = {}, servers = ledger.place.bootstrapServers): Promise<Ran> {
    const path = join(ledger.folder, `${uniqueName('ledger')}.json`);
    await writeFile(path, formatLedgerFile({ ...ledger.file, ...file }));
    return await verifyLedger(python, 'ledger', '--ledger', path, '--bootstrap-server', servers);
  }

  /** Verifies the ledger with another log. */
  async function verifyLog(log: readonly Uint8Array[]): Promise<Ran> {
    const copy = uniqueName('copy');
    await createTopic(copy, 1);
    await produce(copy, log.map((value) => ({ value: Buffer.from(value) })));
    return await verify({ log: copy });
  }

  const positionsOf = (kind: string): number[] => messages.flatMap((message, at) => (isOf(message, kind) ? [at] : []));
  const positionOf = (kind: string, n: number): number => positionsOf(kind).at(n) ?? expect.unreachable(`no ${kind} number ${n}`);
  /** The log with other messages in the place of one. */
  const put = (at: number, ...others: Uint8Array[]): Uint8Array[] => [...messages.slice(0, at), ...others, ...messages.slice(at + 1)];
  /** The log with one message changed; its signature stays. */
  const edit = (at: number, from: RegExp, to: string): Uint8Array[] => {
    const before = utf8Decode(messages[at] ?? new Uint8Array());
    expect(before).toMatch(from);
    return put(at, utf8Encode(before.replace(from, to)));
  };

  test('is verified: every message, every record', async () => {
    const { code, stdout, stderr } = await verify();
    expect({ code, stderr }, stdout).toEqual({ code: 0, stderr: '' });
    const { height, nextSeq } = await ledger.status();
    expect(stdout).toMatch(new RegExp(`^verified\nledger ${ledger.file.origin} .*\nblocks ${height}, seqs ${nextSeq}, `));
    // A leader sends a chunk again that it does not read back within a second.
    const chunks = (await readLog(ledger)).filter((message) => isOf(message, 'snapshot')).length;
    // 9 of partition 0, 4 committed ones of 1, 2 that are left of 2, and 3 of the new generation of 3.
    for (const line of ['18 records', '1 lost', '2 void', '1 genesis', '2 configuration', `${chunks} chunks of a state`, '1050 ignored (unknown: unknown-kind)']) {
      expect(stdout).toContain(`  ${line}\n`);
    }
  });

  test('receipts of its records: with a payload inside, with one in a file, changed in every element', async () => {
    const [whole, bare, wire] = ['whole.tlog-proof', 'bare.tlog-proof', 'wire'].map((name) => join(ledger.folder, name)) as [string, string, string];
    const [made] = await Promise.all([
      ledger.plait('receipt', '--at', `${ledger.topic}/0/4`, '--out', whole), ledger.plait('receipt', '--at', `${ledger.topic}/0/0`, '--no-payload', '--out', bare),
    ]);
    expect(made, made.stderr).toMatchObject({ code: 0 });
    await writeFile(wire, encodePayload(text('first')));
    const { verifier: { vkey } } = await checkpointKey();
    await agree({ file: await readFile(whole), key: vkey }, 10);
    const { code, stdout } = await verifyLedger(python, 'receipt', bare, '--key', vkey, '--payload', wire);
    expect({ code, stdout }).toEqual({ code: 0, stdout: expect.stringMatching(
      new RegExp(`ok {3}payload: .*\\nverified seq \\d+: topic ${ledger.topic}, partition 0, generation 0, index 0, offset 0, timestamp ${TIME} ms, in block `)) as string });
    expect(await verifyLedger(python, 'receipt', bare, '--key', vkey)).toMatchObject({ code: 0, stdout: expect.stringContaining('not checked: the payload') as string });
    expect(await verifyLedger(python, 'receipt', bare, '--key', OTHER_KEY)).toMatchObject({ code: 10, stdout: expect.stringMatching(/\ntampered: checkpoint-signature\n$/) as string });
    expect(await verifyLedger(python, 'receipt', wire, '--key', vkey)).toMatchObject({ code: 10, stdout: expect.stringMatching(/^refused: /) as string });
  });

  const checkpointKey = async () => parseSignerKey((await readFile(join(ledger.folder, 'keys', 'checkpoint.key'), 'utf8')).trimEnd());

  test('a log that was changed: the first message that shows it', { timeout: 120_000 }, async () => {
    const key = await checkpointKey();
    const signed = (size: bigint): Uint8Array => signNote(formatCheckpoint({ kind: 'checkpoint', origin: ledger.file.origin, size, root: hashToText(EMPTY_ROOT) }), key);
    const [first, second] = [positionOf('report', 0), positionOf('report', 1)];
    const cases: readonly (readonly [string, readonly Uint8Array[], number, RegExp])[] = [
      ['a report edited', edit(first, /(segment|loss) (\S+) 0 (\d) 0 /, '$1 $2 0 $3 1 '), 10, /^block-differs: the block at position \d+ \(content\) /],
      ['a report dropped', put(first), 10, /^block-differs: /],
      ['a report again, in the place of another', put(second, messages[first] ?? new Uint8Array()), 10, /^block-(differs|missing): /],
      ['a block edited', edit(positionOf('block', 0), /time 1/, 'time 2'), 10, /^block-missing: /],
      ['a block dropped', put(positionOf('block', 1), FILLER), 10, /^block-missing: /],
      ['a claim dropped', put(positionOf('claim', 0), FILLER), 10, /^block-missing: /],
      ['a configuration dropped', put(positionOf('configuration', 1), FILLER), 10, /^block-(missing|differs): /],
      ['the last block dropped', put(positionOf('block', -1), FILLER), 10, /^block-missing: the checkpoint /],
      ['a checkpoint of another tree', [...messages, signed(1n)], 12, /^checkpoint-contradicts: /],
      ['a checkpoint over more', [...messages, signed(1_000n)], 10, /^block-missing: the checkpoint /],
      ['no genesis', [FILLER, ...messages.slice(1)], 10, /^genesis-missing: /],
      // Nothing in it tells: only who remembers more can.
      ['an earlier end', messages.slice(0, positionOf('configuration', 1)), 0, /^verified\n/],
    ];
    const ran = await Promise.all(cases.map(async ([name, log]) => ({ name, ...(await verifyLog(log)) })));
    expect(ran.map(({ name, code, stdout, stderr }) => ({ name, code, stdout, stderr }))).toEqual(
      cases.map(([name, , code, says]) => ({ name, code, stdout: expect.stringMatching(says) as string, stderr: '' })),
    );
  });

  test('another ledger key, another log, no Kafka, a wrong call', async () => {
    const ran = await Promise.all([verify({ ledgerKey: OTHER_KEY }), verify({ log: uniqueName('none') }), verify({}, '127.0.0.1:1'), verifyLedger(python, 'ledger')]);
    expect(ran.map(({ code, stdout }) => ({ code, stdout }))).toEqual([1, 2, 2, 1].map((code) => ({ code, stdout: '' })));
    expect(ran.map(({ stderr }) => stderr)).toEqual([/not signed by the ledger key/, /there is no topic/, /127\.0\.0\.1:1/, /^usage/].map((says) => expect.stringMatching(says) as string));
  });

  test('records that are gone, and others in their place', async () => {
    await raw.deleteBefore({ topic: ledger.topic, partition: 1 }, 1n);
    const gone = await verify();
    expect(gone.stdout).toMatch(/^undecided: /);
    expect(gone).toMatchObject({ code: 14, stderr: '' });
    // As many as its first segment holds: the worker may have seen only the first of the transactions then.
    const first = messages.flatMap((message) => /^segment \S+ 0 1 0 (\d+) /m.exec(Buffer.from(message).toString())?.[1] ?? [])[0];
    expect(gone.stdout).toContain(`  ${first} gone\n`);
    await raw.deleteTopic(ledger.topic);
    await createTopic(ledger.topic, 4, SETTINGS);
    await fill('other');
    await nextGeneration();
    const changed = await verify();
    expect(changed).toMatchObject({ code: 10, stderr: '' });
    expect(changed.stdout).toMatch(new RegExp(`^records-differ: topic ${ledger.topic}, partition 0, generation 0, offsets 0 to \\d+, seqs \\d+ to \\d+ .*: expected root `));
  });
});

/** The values of all messages of a ledger's log. */
async function readLog({ file, place }: LedgerHarness): Promise<Uint8Array[]> {
  const reader = await openLogReader({ kafka: { brokers: place.bootstrapServers.split(',') }, topic: file.log, from: logPosition(0n) });
  const messages: Uint8Array[] = [];
  try {
    const end = await reader.end();
    while (reader.position() < end) messages.push(...(await reader.poll({ maxWaitMs: 100 })).map(({ value }) => value));
  } finally {
    await reader.close();
  }
  return messages;
}

function isOf(message: Uint8Array, kind: string): boolean {
  return Buffer.from(message).toString().startsWith(`plait.${kind}/v1\n`);
}
