/** Configurations as people make them: `plait reconfigure`, `history` and `keys`, also with the ledger key on another machine. */
import { execFile } from 'node:child_process';
import { mkdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { promisify } from 'node:util';
import { describe, expect, test } from 'vitest';
import type { LogLine } from '../../apps/plait/src/roles.ts';
import { uniqueName } from '../global/services.ts';
import { assigned, createTopic, makeLedger, type LedgerHarness } from './ledger-harness.ts';
import { plait, start } from './plait.ts';

const run = promisify(execFile);

interface Turn {
  readonly kind: string;
  readonly position: string;
  readonly epoch: string;
  readonly version?: string;
  readonly key: string;
  readonly changes?: readonly Readonly<Record<string, unknown>>[];
}

/** What `history -o json` shows. */
async function historyOf(ledger: LedgerHarness): Promise<readonly Turn[]> {
  const { code, stdout, stderr } = await ledger.plait('history', '-o', 'json');
  expect(code, stderr).toBe(0);
  return stdout.trimEnd().split('\n').map((line) => JSON.parse(line) as Turn);
}

/** Runs `reconfigure`, which must bring its configuration into force. */
async function reconfigure(ledger: LedgerHarness, ...args: readonly string[]): Promise<Readonly<Record<string, unknown>>> {
  const { code, stdout, stderr } = await ledger.plait('reconfigure', '-o', 'json', ...args);
  expect(code, stderr).toBe(0);
  return JSON.parse(stdout) as Record<string, unknown>;
}

/** Makes a key beside the ledger's folder; its vkey. */
async function makeKey(ledger: LedgerHarness, name: string, file: string): Promise<string> {
  const { code, stdout, stderr } = await ledger.plait('keys', 'make', name, '--out', join(dirname(ledger.folder), file));
  expect(code, stderr).toBe(0);
  return stdout.trim();
}

describe('reconfigure', () => {
  test('shows what changes, signs, says from where it is in force; history tells all of it', async () => {
    await using ledger = await makeLedger({ partitions: 2 });
    const { topic } = ledger;
    const more = uniqueName('more');
    await createTopic(ledger.place, more, { partitions: 3 });
    const vkey = await makeKey(ledger, 'worker-2', 'worker-2.key');

    const args = ['--add-worker-key', vkey, '--add-topic', more, '--on-loss', 'record', '--pending-max', '99', '--restart', `${topic}/1`];
    const dry = await ledger.plait('reconfigure', ...args, '--dry-run');
    expect({ code: dry.code, stdout: dry.stdout }).toEqual({ code: 0, stdout: expect.stringContaining(`+ worker-key ${vkey}\n`) as string });
    for (const line of ['on-loss stop → record', 'pending-max 256 → 99', `+ source ${more}`, `${topic}/1 begins generation 0 at offset 0`, 'Nothing was signed']) {
      expect(dry.stdout).toContain(line);
    }
    expect(await historyOf(ledger)).toHaveLength(1);

    const first = await ledger.plait('reconfigure', ...args);
    expect({ code: first.code, stdout: first.stdout }).toEqual({ code: 0, stdout: expect.stringContaining('In force, at position 1 of the log') as string });
    const second = await reconfigure(ledger, '--revoke-worker-key', 'worker-2', '--remove-topic', more);
    expect(second).toEqual({
      version: '2', done: 'in-force', position: '2',
      changes: [{ change: 'removed', what: 'worker-key', value: vkey }, { change: 'removed', what: 'source', value: more }],
    });

    const turns = await historyOf(ledger);
    expect(turns.map(({ kind, position, epoch, version }) => [kind, position, epoch, version])).toEqual([
      ['genesis', '0', '0', '0'], ['configuration', '1', '1', '1'], ['configuration', '2', '2', '2'],
    ]);
    expect(turns.map(({ key }) => key)).toEqual(turns.map(() => ledger.file.ledgerKey));
    expect(turns[1]?.changes).toContainEqual({ change: 'added', what: 'source', value: more });
    expect(turns[2]?.changes).toEqual(second['changes']);
    const text = await ledger.plait('history');
    expect(text.stdout).toContain(`configuration 2  by ${ledger.file.ledgerKey}\n`);
    expect(text.stdout).toContain(`- worker-key ${vkey}\n`);
  });

  test('refuses what cannot be, what changes nothing, and what stops the ledger', async () => {
    await using ledger = await makeLedger({ partitions: 2 });
    const { topic, file: { origin } } = ledger;
    const [compacted, wide] = [uniqueName('compacted'), uniqueName('wide')];
    await createTopic(ledger.place, compacted, { partitions: 1, settings: { 'cleanup.policy': 'compact' } });
    await createTopic(ledger.place, wide, { partitions: 5 });
    const vkey = await makeKey(ledger, 'someone', 'someone.key');
    const refusals: readonly (readonly [readonly string[], string])[] = [
      [[], 'nothing would change'],
      [['--on-loss', 'stop'], 'nothing would change'],
      [['--add-topic', compacted], 'cleanup.policy is compact'],
      [['--add-topic', uniqueName('missing')], 'does not exist'],
      [['--add-topic', topic], 'it is a source already'],
      [['--add-topic', ledger.file.log], "the ledger's own log"],
      [['--add-topic', wide, '--partitions-max', '4'], `${wide} has 5 partitions: give at least --partitions-max 5`],
      [['--partitions-max', '1'], `${topic} has 2 partitions`],
      [['--remove-topic', wide], 'it is no source'],
      [['--remove-topic', topic], 'that removes the last topic'],
      [['--revoke-worker-key', `${origin}/worker`], 'that revokes the last worker key'],
      [['--revoke-coordinator-key', `${origin}/coordinator`], 'that revokes the last coordinator key'],
      [['--revoke-checkpoint-key', origin], 'that revokes the last checkpoint key'],
      [['--revoke-worker-key', 'nobody'], `there is no such worker key; in force: ${origin}/worker+`],
      [['--add-checkpoint-key', vkey], `a checkpoint key is named as the ledger, ${origin}`],
      [['--add-worker-key', 'nonsense'], '--add-worker-key: a verifier key has the form name+id+key'],
      [['--add-worker-key', '@nowhere'], 'cannot read nowhere: there is no such file'],
      [['--restart', 'nonsense'], 'wanted TOPIC/PARTITION'],
      [['--restart', `${wide}/0`], `${wide} is no source`],
      [['--restart', `${topic}/2`], `${topic} has 2 partitions`],
      [['--restart', `${topic}/0@7`], 'the partition ends at offset 0'],
      [['--restart', `${topic}/0`, `${topic}/0`], 'it is given twice'],
      [['--void', `${topic}/0`], 'wanted TOPIC/PARTITION:FIRSTINDEX-NEXTINDEX'],
      [['--void', `${topic}/0:0-5`], "the partition's chain ends at index 0"],
      [['--void', `${topic}/0:0-5@3`], 'the partition is in generation 0'],
      [['--void', `${topic}/0:0-5`, '--restart', `${topic}/0`], 'no segment was reported there'],
      [['--rules', '1'], 'going back helps no older program'],
      [['--rules', '99'], 'this program knows versions up to'],
      [['--key', join(ledger.folder, 'keys', 'worker.key'), '--on-loss', 'record'], `and the ledger key is ${ledger.file.ledgerKey}`],
      [['--signed', join(ledger.folder, 'ledger.json')], 'is no signed note'],
    ];
    for (const [args, sentence] of refusals) {
      const { code, stderr } = await ledger.plait('reconfigure', ...args);
      expect({ args, code, stderr }).toEqual({ args, code: 1, stderr: expect.stringContaining(sentence) as string });
    }
    expect(await historyOf(ledger)).toHaveLength(1);
    const forced = await reconfigure(ledger, '--revoke-worker-key', `${origin}/worker`, '--force');
    expect(forced['version']).toBe('1');
  });

  test('says when another configuration came first, and loses nothing', async () => {
    await using ledger = await makeLedger({ partitions: 1 });
    const key = join(ledger.folder, 'keys', 'ledger.key');
    const pipe = join(ledger.folder, 'pipe');
    await run('mkfifo', ['-m', '600', pipe]);
    // It has planned what to sign, and waits for its key.
    const slow = start(['reconfigure', '--pending-max', '11', '--key', pipe, '--ledger', ledger.folder]);
    await ledger.until('it shows what changes', () => Promise.resolve(slow.stdout().includes('pending-max 256 → 11')));
    await reconfigure(ledger, '--on-loss', 'record');
    await writeFile(pipe, await readFile(key));
    const { code, stderr } = await slow.ended;
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining('another configuration 1 came first, at position 1') as string });

    expect(await reconfigure(ledger, '--pending-max', '11')).toMatchObject({ version: '2', changes: [{ from: '256', to: '11' }] });
    expect((await historyOf(ledger)).map(({ version }) => version)).toEqual(['0', '1', '2']);
  });
});

describe('the ledger key on another machine', () => {
  test('reconfigure writes the text, keys sign signs it without Kafka, reconfigure appends it', async () => {
    await using ledger = await makeLedger({ partitions: 1 });
    const [here, there] = [dirname(ledger.folder), join(dirname(ledger.folder), 'vault')];
    await mkdir(there, { mode: 0o700 });
    const key = join(there, 'ledger.key');
    await rename(join(ledger.folder, 'keys', 'ledger.key'), key);
    const text = join(here, 'next.txt');

    expect((await ledger.plait('reconfigure', '--on-loss', 'record')).stderr).toContain('cannot read the key file');
    const written = await ledger.plait('reconfigure', '--on-loss', 'record', '--write-text', text);
    expect({ code: written.code, stdout: written.stdout }).toEqual({ code: 0, stdout: expect.stringContaining(`keys sign --key ledger.key ${text}`) as string });
    expect(await readFile(text, 'utf8')).toContain('on-loss record\n');
    expect((await ledger.plait('reconfigure', '--on-loss', 'record', '--write-text', text)).stderr).toContain('it is there already');

    const offline = { PLAIT_BOOTSTRAP_SERVERS: '', PLAIT_REDIS_URL: '', PLAIT_LEDGER: there };
    const signed = await start(['keys', 'sign', text, '--key', key], offline).ended;
    expect({ code: signed.code, stdout: signed.stdout }).toEqual({ code: 0, stdout: `signed configuration 1 of ${ledger.file.origin}: ${text}.signed\n` });
    const done = await ledger.plait('reconfigure', '--signed', `${text}.signed`);
    expect({ code: done.code, stdout: done.stdout }).toEqual({ code: 0, stdout: expect.stringContaining('on-loss stop → record') as string });
    const late = await ledger.plait('reconfigure', '--signed', `${text}.signed`);
    expect({ code: late.code, stderr: late.stderr }).toEqual({ code: 1, stderr: expect.stringContaining('now 1 is: write the text again') as string });
  });

  test('neither another key, nor a changed text, nor another statement gets through', async () => {
    await using ledger = await makeLedger({ partitions: 1 });
    const [text, secret] = [join(ledger.folder, 'next.txt'), join(ledger.folder, 'keys', 'worker.key')];
    await ledger.plait('reconfigure', '--on-loss', 'record', '--write-text', text);
    await ledger.plait('keys', 'sign', text, '--key', secret, '--out', `${text}.other`);
    await ledger.plait('keys', 'sign', text);
    await writeFile(`${text}.changed`, (await readFile(`${text}.signed`, 'utf8')).replace('on-loss record', 'on-loss stop'));
    for (const file of [`${text}.other`, `${text}.changed`]) {
      const { code, stderr } = await ledger.plait('reconfigure', '--signed', file);
      expect({ file, code, stderr }).toEqual({ file, code: 1, stderr: expect.stringContaining('is not by the ledger key') as string });
    }
    const { code, stdout, stderr } = await ledger.plait('keys', 'sign', secret);
    expect({ code, stderr }).toEqual({ code: 1, stderr: expect.stringContaining('holds neither a genesis nor a configuration') as string });
    const bits = /^PRIVATE\+KEY\+[^+]+\+[0-9a-f]{8}\+(\S{40,})$/.exec((await readFile(secret, 'utf8')).trim())?.[1];
    expect(bits).toBeDefined();
    expect(stdout + stderr).not.toContain(bits);
    expect(await historyOf(ledger)).toHaveLength(1);
  });

  test('a ledger is created though its key never was here', async () => {
    await using elsewhere = await makeLedger({ partitions: 1 });
    const { place, topic } = elsewhere;
    const [here, there] = [dirname(elsewhere.folder), join(dirname(elsewhere.folder), 'vault')];
    const [folder, text, key] = [join(here, 'second'), join(here, 'genesis.txt'), join(there, 'ledger.key')];
    await mkdir(there, { mode: 0o700 });
    const init = ['init', '--ledger', folder, '--log', `${topic}.second`];
    const written = await plait(...init, '--topic', topic, '--origin', 'example.com/second', '--write-text', text);
    expect(written.code, written.stderr).toBe(0);
    const vkey = (await plait('keys', 'make', 'ledger', '--origin', 'example.com/second', '--out', key)).stdout.trim();
    expect(vkey).toMatch(/^example\.com\/second\/ledger\+/);
    expect((await plait('keys', 'sign', text, '--key', key)).code).toBe(0);
    const other = await plait(...init, '--signed', `${text}.signed`, '--ledger-key', elsewhere.file.ledgerKey);
    expect({ code: other.code, stderr: other.stderr }).toEqual({ code: 1, stderr: expect.stringContaining('is not by the ledger key') as string });
    // Interrupted before it wrote its file, it goes on from its own genesis.
    for (const round of [1, 2]) {
      const created = await plait(...init, '--signed', `${text}.signed`, '--ledger-key', vkey);
      expect(created.code, created.stderr).toBe(0);
      if (round === 1) await rm(join(folder, 'ledger.json'));
    }
    await expect(stat(join(folder, 'keys', 'ledger.key'))).rejects.toThrow('ENOENT');
    const shown = await start(['history', '--ledger', folder], { PLAIT_BOOTSTRAP_SERVERS: place.bootstrapServers }).ended;
    expect(shown.stdout).toContain(`genesis  by ${vkey}\n`);
  });
});

const isNotInForce = (line: LogLine): boolean => line['alarm'] === 'key-not-in-force';

describe('keys', () => {
  test('are made for their owner only, never over another, and shown by their public half', async () => {
    await using ledger = await makeLedger({ partitions: 1 });
    const file = join(dirname(ledger.folder), 'worker-2.key');
    const vkey = await makeKey(ledger, 'worker-2', 'worker-2.key');
    expect((await stat(file)).mode & 0o777).toBe(0o600);
    const again = await ledger.plait('keys', 'make', 'worker-2', '--out', file);
    expect({ code: again.code, stderr: again.stderr }).toEqual({ code: 1, stderr: expect.stringContaining('it is there already') as string });
    expect((await ledger.plait('keys', 'show', file)).stdout).toBe(`${vkey}\n`);
    expect(await makeKey(ledger, 'checkpoint', 'checkpoint-2.key')).toMatch(new RegExp(`^${ledger.file.origin}\\+`));
    const all = (await ledger.plait('keys', 'show')).stdout;
    expect(all).toContain(`${ledger.file.ledgerKey}  the ledger key\n`);
    expect(all).not.toContain('PRIVATE');
    expect(all.trimEnd().split('\n')).toHaveLength(5);
  });

  test('alarm: key-not-in-force: a worker with such a key does nothing, until a configuration names it', async () => {
    await using ledger = await makeLedger({ partitions: 2 });
    const file = join(dirname(ledger.folder), 'worker-2.key');
    const vkey = await makeKey(ledger, 'worker-2', 'worker-2.key');
    const worker = ledger.start('worker', {}, ['--key', file]);
    ledger.start('coordinator');
    const load = ledger.load({ ratePerSecond: 200 });
    const alarm = await ledger.until('the alarm', () => Promise.resolve(worker.lines.find(isNotInForce)));
    expect(alarm['msg']).toContain(`the key ${vkey} is no worker key of configuration 0`);
    expect({ assigned: assigned(worker), sequenced: (await ledger.status()).nextSeq }).toEqual({ assigned: [], sequenced: 0n });

    await reconfigure(ledger, '--add-worker-key', vkey);
    await worker.ready;
    await load.stop();
    await ledger.verifyAll();
    // Taken out again, it leaves its partitions to another.
    const another = ledger.start('worker');
    await another.ready;
    await reconfigure(ledger, '--revoke-worker-key', 'worker-2');
    await ledger.until('its partitions are the other one\'s', () => Promise.resolve(assigned(another).length === 2 && assigned(worker).length === 0));
    await ledger.until('the alarm again', () => Promise.resolve(worker.lines.some((line) => isNotInForce(line) && String(line['msg']).includes(' of configuration 2:'))));
    const before = (await ledger.status()).nextSeq;
    const more = ledger.load({ ratePerSecond: 200 });
    await ledger.until('more is numbered', async () => (await ledger.status()).nextSeq > before);
    await more.stop();
    await ledger.verifyAll();
  });
});
