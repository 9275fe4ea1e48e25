/** What people and machines hand us: files, options, addresses. What is wrong with them is said with `config`. */
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { height, logPosition, makeSignerKey, messageHash, seq, signNote, utf8Decode } from '@plait/core';
import { formatLedgerFile, parseLedgerFile } from '@plait/ledger';
import { Command, InvalidArgumentError } from 'commander';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { readCommandConfig } from '../../apps/plait/src/settings/command-config.ts';
import { parseConfigFile } from '../../apps/plait/src/settings/config-file.ts';
import { schemaOf } from '../../apps/plait/src/settings/config-keys.ts';
import { coordinatorCommand } from '../../apps/plait/src/running/coordinator.ts';
import { loadKey } from '../../apps/plait/src/keys.ts';
import { makeLog } from '../../apps/plait/src/log.ts';
import { countArgument, kafkaOptions, seqArgument } from '../../apps/plait/src/options.ts';
import { parseRestart, parseVoidWish, readVerifierKey } from '../../apps/plait/src/governing/reconfigure-wishes.ts';
import { readSigned } from '../../apps/plait/src/governing/signing.ts';
import { startPointArgument } from '../../apps/plait/src/reading/start-point.ts';
import { appendRecord, copyHead, readRecords } from '../../packages/disk/src/copy-format.ts';
import { formatStateFile, parseStateFile } from '../../packages/disk/src/state-file.ts';
import { formatProgress, parseProgress } from '../../packages/ledger/src/progress.ts';
import { addressOf, endpointsOf } from '../../packages/redis/src/place.ts';
import { fc } from './fast-check.ts';
import { anyBytes, anyText, describeParser, holds, holdsAsync, hostileBytes, hostileTexts, ofCode, taken, takenAsync } from './hostile.ts';

const key = makeSignerKey('example.org/orders/ledger', new Uint8Array(32).fill(9));
const hash = messageHash('x');
let folder = '';

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'plait-properties-'));
});

afterAll(async () => {
  await rm(folder, { recursive: true });
});

/** `parse`, whose value must come back once it is formatted: files that people write have many spellings. */
const steady = <T>(parse: (text: string) => T, format: (value: T) => string) => (text: string): T => {
  const value = parse(text);
  expect(parse(format(value))).toEqual(value);
  return value;
};
const unspelled = (): undefined => undefined;

describeParser('ledger.json', {
  samples: [formatLedgerFile({ origin: 'example.org/orders', ledgerKey: key.verifier.vkey, log: 'orders.plait' })],
  parse: steady(parseLedgerFile, formatLedgerFile), format: unspelled, codes: ['config'],
});

describeParser('a state file', {
  samples: [{ height: height(0n), header: undefined, marks: [] }, { height: height(7n), header: hash, marks: [{ position: logPosition(3n), message: hash }], checkpoint: { size: 6n, root: hash } }].map((some) =>
    formatStateFile({ origin: 'example.org/orders', ledgerId: hash, position: logPosition(9n), message: hash, ...some })),
  parse: (text) => parseStateFile(text, 'a.state'), format: formatStateFile, codes: ['config'],
});

describe('what a group has committed', () => {
  it('of hostile edits is as it was, or nothing', () => {
    const sample = formatProgress({ ledgerId: hash, nextSeq: seq(12n), height: height(3n), header: hash });
    expect(parseProgress(sample)).toBeDefined();
    let kept = 0;
    holds(fc.oneof(hostileTexts([sample]), anyText), (text) => {
      const progress = taken(() => parseProgress(text), []);
      if (progress === undefined) return;
      kept += 1;
      expect(formatProgress(progress)).toBe(text);
    });
    expect(kept).toBeGreaterThan(0);
  });
});

describe('a file of copies', () => {
  const owner = { origin: 'example.org/orders', ledgerKey: key.verifier };
  const records = [3n, 4n, 9n].map((position) => appendRecord({ position: logPosition(position), value: Buffer.from(`message ${position}`) }));
  const file = Buffer.concat([copyHead(owner), ...records]);

  it('comes back as it was', () => {
    const { messages, tornBytes, ...found } = readRecords(file);
    expect([found, tornBytes]).toEqual([{ origin: owner.origin, ledgerKey: owner.ledgerKey.vkey }, 0]);
    expect(Buffer.concat([copyHead(owner), ...messages.map(appendRecord)]).equals(file)).toBe(true);
  });

  it('of whole records in another order, or repeated, ends where a position does not grow', () => {
    holds(fc.array(fc.nat({ max: records.length - 1 }), { maxLength: 6 }), (order) => {
      const { messages, tornBytes } = readRecords(Buffer.concat([copyHead(owner), ...order.map((i) => records[i] as Uint8Array)]));
      const growing = order.findIndex((i, at) => at > 0 && i <= (order[at - 1] as number));
      const kept = growing < 0 ? order : order.slice(0, growing);
      expect(messages.map(appendRecord)).toEqual(kept.map((i) => records[i]));
      expect(tornBytes).toBe(order.slice(kept.length).reduce((sum, i) => sum + (records[i] as Uint8Array).length, 0));
    });
  });

  it('of hostile edits gives whole records in order and says what is torn, or is refused', () => {
    let kept = 0;
    holds(fc.oneof({ weight: 4, arbitrary: hostileBytes([file]) }, anyBytes), (bytes) => {
      const found = taken(() => readRecords(bytes));
      if (found === undefined) return;
      kept += found.messages.length;
      const whole = Buffer.concat(found.messages.map(appendRecord));
      const end = bytes.length - found.tornBytes;
      expect(bytes.subarray(end - whole.length, end).equals(whole)).toBe(true);
      expect(found.messages.every(({ position }, i) => position > (found.messages[i - 1]?.position ?? -1n))).toBe(true);
    }, 2_000);
    expect(kept).toBeGreaterThan(100);
  });
});

describe('key files and signed files', () => {
  const note = utf8Decode(signNote('plait.claim/v1\n', key));

  interface File {
    readonly name: string;
    readonly sample: string;
    readonly read: (path: string) => Promise<unknown>;
    readonly same: (found: unknown) => void;
  }

  it.each<File>([
    { name: 'a key', sample: `${key.skey}\n`, read: loadKey, same: (found: unknown) => expect(found).toEqual(key) },
    { name: 'a public key', sample: `${key.verifier.vkey}\n`, read: (path: string) => readVerifierKey('--add', `@${path}`), same: (found: unknown) => expect(found).toEqual(key.verifier) },
    { name: 'a signed note', sample: note, read: (path: string) => readSigned(path, key.verifier), same: (found: unknown) => expect(found).toMatchObject({ text: 'plait.claim/v1\n' }) },
  ])('$name of hostile edits is the same, or refused', async ({ name, sample, read, same }) => {
    const path = join(folder, name.replaceAll(' ', '-'));
    await writeFile(path, sample, { mode: 0o600 });
    same(await read(path));
    await holdsAsync(fc.oneof(hostileTexts([sample]), anyText), async (text) => {
      await writeFile(path, text);
      const found = await takenAsync(() => read(path), ofCode('config'));
      if (found !== undefined) same(found);
    });
  });
});

describe('the configuration file', () => {
  const schema = schemaOf(new Command('plait').addCommand(coordinatorCommand()));
  const read = (text: string): unknown => parseConfigFile(text, { path: 'plait.yaml', schema, profile: undefined });

  describeParser('in YAML', {
    samples: [
      'ledger: /etc/plait/orders\nbootstrap-server: [a:1, b:2]\ncoordinator:\n  log-level: info\nprofiles:\n  big:\n    bootstrap-server: c:3\n',
      'ledger: &a ./plait\nprofiles: {one: {ledger: *a}}\n', '# nothing\n',
    ],
    parse: read, format: unspelled, codes: ['config'],
  });

  it.each([
    ['holds itself', 'bootstrap-server: &a [*a]\n'],
    ['doubles thirty times', `bootstrap-server: [&a0 x, ${Array.from({ length: 30 }, (_, i) => `&a${i + 1} [*a${i}, *a${i}]`).join(', ')}]\n`],
    ['is very deep', `bootstrap-server: ${'['.repeat(20_000)}\n`],
  ])('that %s is refused', (_what, text) => expect(taken(() => read(text), ['config'])).toBeUndefined());
});

describe('properties of Kafka\'s clients', () => {
  const sample = 'security.protocol=SASL_SSL\nsasl.mechanism=SCRAM-SHA-512\n' +
    'sasl.jaas.config=org.apache.kafka.common.security.scram.ScramLoginModule required username="a" password="b\\u0020c";\nclient.id = x\\\n  y\n! done\n';

  it('of hostile edits are taken or refused', async () => {
    const path = join(folder, 'client.properties');
    let kept = 0;
    await holdsAsync(fc.oneof(hostileTexts([sample]), anyText), async (text) => {
      await writeFile(path, text);
      kept += Number((await takenAsync(() => readCommandConfig(path), ofCode('config'))) !== undefined);
    }, 500);
    expect(kept).toBeGreaterThan(10);
  });
});

describe('options', () => {
  const log = makeLog('silent');
  const parsers: readonly { readonly name: string; readonly samples: readonly string[]; readonly parse: (text: string) => unknown; readonly again: (value: never) => string | undefined }[] = [
    { name: '--bootstrap-server', samples: ['a:1', 'b.example:65535, [::1]:9092'], parse: (text) => kafkaOptions({ bootstrapServer: text }, log), again: unspelled },
    {
      name: '--restart', samples: ['orders/3', 'a.b/0@77'], parse: parseRestart,
      again: ({ topic, partition, offset }: ReturnType<typeof parseRestart>) => `${topic}/${partition}${offset === undefined ? '' : `@${offset}`}`,
    },
    {
      name: '--void', samples: ['orders/3:0-4', 'orders/3:7-@2'], parse: parseVoidWish,
      again: ({ topic, partition, firstIndex, nextIndex, generation }: ReturnType<typeof parseVoidWish>) =>
        `${topic}/${partition}:${firstIndex}-${nextIndex ?? ''}${generation === undefined ? '' : `@${generation}`}`,
    },
  ];
  for (const { name, samples, parse, again } of parsers) {
    describeParser(name, { samples, parse, format: again as (value: unknown) => string | undefined, codes: ['config'] });
  }

  it('--from is a start point, or refused as commander wants it', async () => {
    const samples = ['oldest', 'newest', 'seq:7', 'time:1700000000000', 'time:2026-11-23T08:00Z', 'orders/3@9'];
    for (const sample of samples) expect(startPointArgument(sample)).toBeDefined();
    let refused = 0;
    await holdsAsync(fc.oneof(hostileTexts(samples), anyText), async (text) => {
      const point = await takenAsync(() => startPointArgument(text), (error) => error instanceof InvalidArgumentError);
      refused += Number(point === undefined);
      if (typeof point === 'object' && 'topic' in point) expect(`${point.topic}/${point.partition}@${point.offset}`).toBe(text);
      if (typeof point === 'object' && 'seq' in point) expect(`seq:${point.seq}`).toBe(text);
    }, 1_000);
    expect(refused).toBeGreaterThan(0);
  });

  it.each([['a seq', seqArgument, '7'], ['a count', countArgument(1, 500), '500']] as const)('%s is spelled as it was, or refused as commander wants it', async (_name, parse, sample) => {
    expect(String(parse(sample))).toBe(sample);
    await holdsAsync(fc.oneof(hostileTexts([sample]), anyText, fc.bigInt().map(String)), async (text) => {
      const value = await takenAsync(() => parse(text), (error) => error instanceof InvalidArgumentError);
      if (value !== undefined) expect(String(value)).toBe(text);
    }, 1_000);
  });
});

describe('where Redis is', () => {
  it.each([
    ['a URL', (text: string) => endpointsOf({ kind: 'node', url: text }), ['redis://user:pass%20word@host:6379/3', 'rediss://[::1]:1']],
    ['a Sentinel', addressOf, ['host:26379', '[::1]:1', 'host']],
  ] as const)('%s is taken or refused', (_name, parse, samples) => {
    for (const sample of samples) expect(parse(sample)).toBeDefined();
    let refused = 0;
    holds(fc.oneof(hostileTexts(samples), anyText), (text) => void (refused += Number(taken(() => parse(text), ['config']) === undefined)), 2_000);
    expect(refused).toBeGreaterThan(0);
  });
});

