/**
 * A worker with a valid key lies: about what records are, about records that are not there, about records that are lost;
 * and it floods the log. Readers stop, each with the reason; one configuration ends all of it, and the partitions that
 * nobody lied about never stop.
 *
 * It lies about a quiet partition before the records come, so that it is always first.
 */
import { readFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import {
  chainOf, formatReport, index, logPosition, messageHash, offset, parseSignerKey, parseVerifierKey, segmentHash, signNote, utf8Encode,
  type Hash, type Outcome, type Segment, type Seq, type SignerKey,
} from '@plait/core';
import { openLogAppender, openLogReader } from '@plait/kafka';
import { Follower, type LogAppender, type LogReader } from '@plait/roles';
import { expect, test } from 'vitest';
import { makeLedger, type LedgerHarness } from './ledger-harness.ts';
import { fingerprint, type Load } from './load.ts';

const NONSENSE = messageHash('the root of nothing\n');
/** Nobody lies about these. */
const HONEST = [4, 5];

/** A process of its own, as far as the ledger can tell: a key in force, and the log. */
class Liar implements AsyncDisposable {
  readonly #key: SignerKey;
  readonly #topic: string;
  readonly #log: LogReader;
  readonly #appender: LogAppender;
  readonly #follower: Follower;
  readonly #seqs = new Map<Hash, Seq>();
  readonly outcomes: Outcome[] = [];

  private constructor(options: { key: SignerKey; ledger: LedgerHarness; log: LogReader; appender: LogAppender }) {
    const { origin, ledgerKey } = options.ledger.file;
    this.#key = options.key;
    this.#topic = options.ledger.topic;
    this.#log = options.log;
    this.#appender = options.appender;
    this.#follower = new Follower({ origin, ledgerKey: parseVerifierKey(ledgerKey), log: options.log }, ({ outcome }) => this.#take(outcome));
  }

  static async start(ledger: LedgerHarness, keyFile: string): Promise<Liar> {
    const kafka = { brokers: ledger.place.bootstrapServers.split(',') };
    const key = parseSignerKey((await readFile(keyFile, 'utf8')).trimEnd());
    const log = await openLogReader({ kafka, topic: ledger.file.log, from: logPosition(0n) });
    return new Liar({ key, ledger, log, appender: await openLogAppender({ kafka, topic: ledger.file.log }) });
  }

  #take(outcome: Outcome): void {
    if (outcome.kind === 'report' && outcome.key === this.#key.name) this.outcomes.push(outcome);
    if (outcome.kind === 'ignored' && outcome.reason === 'unknown-key') this.outcomes.push(outcome);
    if (outcome.kind !== 'block') return;
    for (const { firstSeq, segment } of outcome.lines) this.#seqs.set(segmentHash(segment), firstSeq);
  }

  /** A segment, or a loss, at the chain's end that speaks for the next offsets. */
  async claim(partition: number, records: number, kind: Segment['kind'] = 'segment'): Promise<Segment> {
    await this.readOn();
    const { state } = this.#follower;
    if (state === undefined) throw new Error('no genesis');
    const { end } = chainOf(state, { topic: this.#topic, partition });
    const range = {
      topic: this.#topic, partition, generation: end.generation, firstIndex: end.nextIndex, firstOffset: end.nextOffset,
      nextOffset: offset(end.nextOffset + BigInt(records)), previous: end.head,
    };
    return kind === 'loss'
      ? { kind, ...range, nextIndex: index(end.nextIndex + 1n) }
      : { kind, ...range, nextIndex: index(end.nextIndex + BigInt(records)), root: NONSENSE };
  }

  async report(segments: readonly Segment[]): Promise<void> {
    const { state } = this.#follower;
    if (state === undefined) throw new Error('no genesis');
    const text = formatReport({ kind: 'report', origin: state.origin, ledgerId: state.ledgerId, segments });
    await this.#appender.append(signNote(text, this.#key));
  }

  /** The first seq of a segment, once it is numbered. */
  async seqOf(segment: Segment): Promise<Seq | undefined> {
    await this.readOn();
    return this.#seqs.get(segmentHash(segment));
  }

  /** Everything up to now is in `outcomes`. */
  async readOn(): Promise<void> {
    while (!(await this.#follower.readToEnd())) continue;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#appender.close();
    await this.#log.close();
  }
}

/** Produces `count` records to a partition and waits until the broker has them. */
async function produce(ledger: LedgerHarness, partition: number, count: number): Promise<void> {
  const before = ledger.memory.acknowledged.size;
  const own = (): number => [...ledger.memory.acknowledged.keys()].filter((place) => place.startsWith(`${partition}/`)).length;
  const wanted = own() + count;
  const load: Load = ledger.load({ partitions: [partition], ratePerSecond: 40 });
  await ledger.until('records', () => Promise.resolve(own() >= wanted));
  await load.stop();
  expect(ledger.memory.acknowledged.size).toBeGreaterThanOrEqual(before + count);
}

/** The partitions that nobody lies about are numbered on. */
async function honestGoOn(ledger: LedgerHarness): Promise<void> {
  const sequenced = async (): Promise<readonly bigint[]> => {
    const { partitions } = await ledger.status();
    return HONEST.map((partition) => partitions.find((each) => each.partition === partition)?.sequenced ?? 0n);
  };
  const before = await sequenced();
  await ledger.until('the others go on', async () => (await sequenced()).every((at, i) => at > (before[i] ?? 0n) + 20n));
}

/** A reader of exactly that seq stops, and says why. */
async function readerStops(ledger: LedgerHarness, seq: Seq, sentence: string): Promise<void> {
  const { code, stderr } = await ledger.plait('read', '-o', 'jsonl', '--from-seq', String(seq), '--to-seq', String(seq + 1n));
  expect({ code, stderr }).toEqual({ code: 10, stderr: expect.stringContaining(sentence) as string });
  expect(stderr).toContain('TAMPERED');
}

interface Entry {
  readonly kind: 'record' | 'loss' | 'void';
  readonly seq: string;
  readonly nextSeq?: string;
  readonly partition: number;
  readonly generation: string;
  readonly offset: string;
  readonly key: { utf8?: string; base64?: string } | null;
  readonly value: { utf8?: string; base64?: string } | null;
  readonly headers: readonly (readonly [{ utf8?: string; base64?: string }, { utf8?: string; base64?: string } | null])[];
}

const bytesOf = (bytes: Entry['value']): Uint8Array | null =>
  bytes === null ? null : bytes.utf8 === undefined ? Buffer.from(bytes.base64 ?? '', 'base64') : utf8Encode(bytes.utf8);
const requiredBytes = (bytes: Entry['value']): Uint8Array => bytesOf(bytes) ?? new Uint8Array(0);

/** Everything, from seq 0 on; each acknowledged record is there once, as it was sent, nothing that was not sent, and seqs are dense. */
async function readWhole(ledger: LedgerHarness): Promise<readonly Entry[]> {
  const { acknowledged, unanswered } = ledger.memory;
  const { code, stdout, stderr } = await ledger.plait('read', '-o', 'jsonl');
  expect(code, stderr).toBe(0);
  const entries = stdout.trimEnd().split('\n').map((line) => JSON.parse(line) as Entry);
  let next = 0n;
  const missing = new Map(acknowledged);
  for (const entry of entries) {
    expect(entry.seq).toBe(String(next));
    next = entry.nextSeq === undefined ? next + 1n : BigInt(entry.nextSeq);
    if (entry.kind !== 'record') continue;
    const place = `${entry.partition}/${entry.offset}`;
    const headers = entry.headers.map(([key, value]) => ({ key: requiredBytes(key), value: bytesOf(value) }));
    const print = fingerprint({ key: bytesOf(entry.key), value: bytesOf(entry.value), headers });
    expect({ place, print }).toEqual({ place, print: missing.get(place) ?? (unanswered.has(print) ? print : undefined) });
    missing.delete(place);
  }
  expect(missing.size).toBe(0);
  return entries;
}

test('wrong roots, segments beyond the end, false losses and a flood: readers stop, one configuration ends it, the others never stop', { timeout: 400_000 }, async () => {
  await using ledger = await makeLedger({ partitions: 6 });
  const { topic } = ledger;
  const keyFile = join(dirname(ledger.folder), 'liar.key');
  const vkey = (await ledger.plait('keys', 'make', 'liar', '--out', keyFile)).stdout.trim();
  const allowed = await ledger.plait('reconfigure', '--add-worker-key', vkey, '--on-loss', 'record');
  expect(allowed.code, allowed.stderr).toBe(0);
  await ledger.startRoles();
  for (const partition of [0, 1, 2, 3]) await produce(ledger, partition, 10);
  await ledger.settled();
  const load = ledger.load({ partitions: HONEST, ratePerSecond: 200 });
  await honestGoOn(ledger);
  await using liar = await Liar.start(ledger, keyFile);

  const tell = async (segments: readonly Segment[]): Promise<readonly Seq[]> => {
    await liar.report(segments);
    return await ledger.until('the lies are numbered', async () => {
      const seqs = await Promise.all(segments.map((segment) => liar.seqOf(segment)));
      return seqs.every((seq) => seq !== undefined) ? seqs : undefined;
    });
  };

  // A wrong root: it speaks for two records before they are there.
  const wrong = await liar.claim(0, 2);
  const [wrongSeq] = await tell([wrong]);
  await produce(ledger, 0, 5);
  await readerStops(ledger, wrongSeq as Seq, `${topic}/0 offsets ${wrong.firstOffset} … ${wrong.nextOffset} differs from what was hashed`);
  await honestGoOn(ledger);

  // A false loss: what it declares gone is there.
  const loss = await liar.claim(2, 3, 'loss');
  const [lossSeq] = await tell([loss]);
  await produce(ledger, 2, 5);
  await readerStops(ledger, lossSeq as Seq, `${topic}/2 offsets ${loss.firstOffset} … ${loss.nextOffset} was reported as lost, and the partition still holds`);
  await honestGoOn(ledger);

  // Beyond the end: nothing ever comes there.
  const beyond = await liar.claim(1, 4);
  const [beyondSeq] = await tell([beyond]);
  await readerStops(ledger, beyondSeq as Seq, `${topic}/1 offsets ${beyond.firstOffset} … ${beyond.nextOffset} lies beyond the partition's end`);
  await honestGoOn(ledger);

  // A flood of segments of one record each: what does not fit is ignored, the rest is numbered, and the others go on.
  const flood = await liar.claim(3, 1);
  for (let round = 0; round < 6; round += 1) await liar.report(chainFrom(await liar.claim(3, 1), 500));
  await honestGoOn(ledger);
  await liar.readOn();
  const reasons = liar.outcomes.flatMap((outcome) => (outcome.kind === 'report' ? outcome.segments : []).map((each) => (each.accepted ? 'accepted' : each.reason)));
  expect(new Set(reasons)).toEqual(new Set(['accepted', 'full', 'not-at-end']));
  const [floodSeq] = await ledger.until('the flood is numbered', async () => {
    const seq = await liar.seqOf(flood);
    return seq === undefined ? undefined : [seq];
  });
  await readerStops(ledger, floodSeq, `${topic}/3 offsets ${flood.firstOffset} … ${flood.nextOffset} lies beyond the partition's end`);

  // One configuration revokes its key, declares what it said void, and restarts its partitions where that began.
  const lies = [wrong, beyond, loss, flood];
  const ended = await ledger.plait('reconfigure', '--revoke-worker-key', 'liar',
    '--void', ...lies.map(({ partition, firstIndex }) => `${topic}/${partition}:${firstIndex}-`),
    '--restart', ...lies.map(({ partition }) => `${topic}/${partition}`));
  expect(ended.code, ended.stderr).toBe(0);
  for (const { partition, firstOffset } of lies) expect(ended.stdout).toContain(`${topic}/${partition} begins generation 1 at offset ${firstOffset}`);
  await liar.report([await liar.claim(0, 1)]);
  await honestGoOn(ledger);
  await liar.readOn();
  expect(liar.outcomes.at(-1)).toEqual({ kind: 'ignored', of: 'report', reason: 'unknown-key' });

  for (const partition of [0, 1, 2, 3]) await produce(ledger, partition, 10);
  await load.stop();
  await ledger.settled();
  const entries = await readWhole(ledger);
  const voided = new Set(entries.filter(({ kind }) => kind === 'void').map(({ partition }) => partition));
  expect(voided).toEqual(new Set([0, 1, 2, 3]));
  expect(entries.filter(({ kind }) => kind === 'loss')).toEqual([]);
  expect(entries.filter(({ kind, partition }) => kind !== 'record' && HONEST.includes(partition))).toEqual([]);
  expect(entries.find(({ seq, nextSeq }) => BigInt(seq) <= (wrongSeq as Seq) && (wrongSeq as Seq) < BigInt(nextSeq ?? seq))?.kind).toBe('void');
  const generations = (partition: number): Set<string> => new Set(entries.filter((entry) => entry.kind === 'record' && entry.partition === partition).map(({ generation }) => generation));
  for (const { partition } of lies) expect(generations(partition)).toEqual(new Set(['0', '1']));
  for (const partition of HONEST) expect(generations(partition)).toEqual(new Set(['0']));
});

/** `count` segments of one record each, from this one on. */
function chainFrom(first: Segment, count: number): readonly Segment[] {
  const chain = [first];
  for (let last = first; chain.length < count; chain.push(last)) {
    last = {
      ...last, firstIndex: last.nextIndex, firstOffset: last.nextOffset, previous: segmentHash(last),
      nextIndex: index(last.nextIndex + 1n), nextOffset: offset(last.nextOffset + 1n),
    };
  }
  return chain;
}
