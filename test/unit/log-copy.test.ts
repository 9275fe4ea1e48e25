/** A role's copy of the log, as files: whatever a crash leaves, what was flushed is there. */
import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { open, type FileHandle } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { isPlaitError, logPosition, makeSignerKey } from '@plait/core';
import { appendRecord, copyHead, openCopy, readCopies, readRecords, type CopyOwner } from '@plait/disk';
import type { LogCopy, LogMessage } from '@plait/roles';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { fc } from '../properties/fast-check.ts';

const owner: CopyOwner = { origin: 'example.com/orders', ledgerKey: makeSignerKey('example.com/orders/ledger', new Uint8Array(32).fill(7)).verifier };
const message = (position: bigint, text = `message ${position}`): LogMessage => ({ position: logPosition(position), value: new TextEncoder().encode(text) });
const plain = (messages: readonly LogMessage[]): string[] => messages.map(({ position, value }) => `${position} ${new TextDecoder().decode(value)}`);

let root: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'plait-copy-'));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

let folders = 0;
const fresh = (): string => join(root, String((folders += 1)));

async function write(copy: LogCopy, positions: readonly number[]): Promise<void> {
  for (const position of positions) copy.add(message(BigInt(position)));
  await copy.flush();
}

async function read(copy: LogCopy, from = 0n): Promise<number[]> {
  const found: number[] = [];
  for await (const { position } of copy.messages(logPosition(from))) found.push(Number(position));
  return found;
}

describe('the bytes of a file', () => {
  const messages = [message(0n), message(1n, ''), message(7n, 'after a gap')];
  const file = Buffer.concat([copyHead(owner), ...messages.map(appendRecord)]);
  const head = copyHead(owner).length;
  const ends = messages.map((_, i) => head + messages.slice(0, i + 1).reduce((sum, each) => sum + appendRecord(each).length, 0));

  test('give the messages', () => {
    const found = readRecords(file);
    expect(plain(found.messages)).toEqual(plain(messages));
    expect(found).toMatchObject({ origin: owner.origin, ledgerKey: owner.ledgerKey.vkey, tornBytes: 0 });
  });

  test('cut at any byte, they give what is whole', () => {
    for (let end = head; end <= file.length; end += 1) {
      const whole = ends.filter((each) => each <= end).length;
      const found = readRecords(file.subarray(0, end));
      expect(found.messages).toHaveLength(whole);
      expect(found.tornBytes).toBe(end - (ends[whole - 1] ?? head));
    }
  });

  test('with any byte of a record changed, they end before it', () => {
    for (let at = head; at < file.length; at += 1) {
      const changed = Buffer.from(file);
      changed[at] = (changed[at] ?? 0) ^ 1;
      expect(readRecords(changed).messages).toHaveLength(ends.filter((end) => end <= at).length);
    }
  });

  test('hostile ones are no file of copies, or one that ends early', () => {
    fc.assert(fc.property(fc.uint8Array(), (bytes) => {
      expect(() => readRecords(bytes)).toThrow(expect.toSatisfy((error: unknown) => isPlaitError(error, 'invalid')));
      expect(readRecords(Buffer.concat([file, bytes])).messages.length).toBeGreaterThanOrEqual(messages.length);
    }));
  });
});

describe('a folder', () => {
  test('holds what was flushed, in order, and only what was flushed', async () => {
    const folder = fresh();
    const copy = await openCopy(folder, owner);
    await write(copy, [0, 1, 2, 5]);
    copy.add(message(6n));
    expect(copy.waitingBytes).toBeGreaterThan(0);
    expect(await read(copy)).toEqual([0, 1, 2, 5]);
    expect(await read(copy, 2n)).toEqual([2, 5]);
    await copy.close();
    expect(await read(copy)).toEqual([0, 1, 2, 5, 6]);
  });

  test('a role that starts again and reads all over copies only what is new', async () => {
    const folder = fresh();
    const first = await openCopy(folder, owner);
    await write(first, [0, 1, 2, 3]);
    await first.close();
    const second = await openCopy(folder, owner);
    await write(second, [0, 1, 2, 3, 4, 5]);
    await second.close();
    expect(await read(second)).toEqual([0, 1, 2, 3, 4, 5]);
    const files = await readCopies(folder, owner);
    expect(files.map(({ first: from, last }) => [from, last])).toEqual([[0n, 3n], [4n, 5n]]);
  });

  test('after a crash at any byte, the torn tail is copied again', async () => {
    const whole = fresh();
    const copy = await openCopy(whole, owner);
    await write(copy, [0, 1, 2]);
    await copy.close();
    const name = readdirSync(whole)[0] ?? '';
    const bytes = readFileSync(join(whole, name));
    for (let end = 0; end <= bytes.length; end += 1) {
      const folder = fresh();
      await (await openCopy(folder, owner)).close();
      writeFileSync(join(folder, name), bytes);
      truncateSync(join(folder, name), end);
      const after = await openCopy(folder, owner);
      await write(after, [0, 1, 2, 3]);
      await after.close();
      expect(await read(after), `cut at ${end}`).toEqual([0, 1, 2, 3]);
    }
  });

  test('a write that takes only a part, as on a disk that is almost full, is gone on with', async () => {
    const folder = fresh();
    const copy = await openCopy(folder, owner);
    await write(copy, [0]);
    const handle = await open(join(folder, 'any'), 'w');
    const proto = Object.getPrototypeOf(handle) as FileHandle;
    await handle.close();
    const real = Reflect.get(proto, 'write') as (bytes: Uint8Array) => Promise<unknown>;
    Reflect.set(proto, 'write', async function short(this: FileHandle, bytes: Uint8Array) {
      return await real.call(this, bytes.subarray(0, 5));
    });
    try {
      await write(copy, [1, 2]);
    } finally {
      Reflect.set(proto, 'write', real);
    }
    await write(copy, [3]);
    await copy.close();
    expect(await read(copy)).toEqual([0, 1, 2, 3]);
  });

  test('a file that another process removes while it is looked at is none', async () => {
    const folder = fresh();
    await write(await openCopy(folder, owner), [0, 1]);
    symlinkSync(join(folder, 'gone'), join(folder, '0-gone.copy'));
    const copy = await openCopy(folder, owner);
    expect(await read(copy)).toEqual([0, 1]);
  });

  test('flushes at the same time write each message once', async () => {
    const folder = fresh();
    const copy = await openCopy(folder, owner);
    const flushes = [0, 1, 2, 3, 4].map((position) => {
      copy.add(message(BigInt(position)));
      return copy.flush();
    });
    copy.add(message(5n));
    await Promise.all([...flushes, copy.close()]);
    expect(await read(copy)).toEqual([0, 1, 2, 3, 4, 5]);
    expect((await readCopies(folder, owner)).map(({ tornBytes }) => tornBytes)).toEqual([0]);
  });

  test('several processes may share it, each with files of its own', async () => {
    const folder = fresh();
    const copies = await Promise.all([openCopy(folder, owner), openCopy(folder, owner), openCopy(folder, owner)]);
    await Promise.all(copies.map((copy, i) => write(copy, [0, 1, 2, 3].slice(0, i + 2))));
    await Promise.all(copies.map((copy) => copy.close()));
    expect(readdirSync(folder)).toHaveLength(3);
    expect(await read(copies[0])).toEqual([0, 1, 2, 3]);
  });

  test('a fold that begins anew adds only what is new, and what it leaves out never counts as empty', async () => {
    const folder = fresh();
    const copy = await openCopy(folder, owner);
    await write(copy, [0, 1, 2]);
    copy.begin();
    await write(copy, [1, 2, 3]);
    copy.begin();
    copy.add(message(10n));
    copy.begin();
    copy.add(message(7n));
    await copy.close();
    expect(await read(copy)).toEqual([0, 1, 2, 3, 7, 10]);
    expect((await readCopies(folder, owner)).map(({ first, last }) => [first, last])).toEqual([[0n, 2n], [3n, 3n], [7n, 7n], [10n, 10n]]);
  });

  test('forgets files that are not needed any more, its own at once, those of others when nobody writes to them', async () => {
    const folder = fresh();
    const dead = await openCopy(folder, owner);
    await write(dead, [0, 1]);
    await dead.close();
    const copy = await openCopy(folder, owner);
    await write(copy, [2, 3, 4]);
    await copy.forgetUpTo(logPosition(3n));
    expect(await read(copy)).toEqual([0, 1, 2, 3, 4]);
    await write(copy, [5, 6]);
    await copy.forgetUpTo(logPosition(4n));
    expect(await read(copy)).toEqual([0, 1, 5, 6]);
    for (const name of readdirSync(folder)) utimesSync(join(folder, name), 1, 1);
    await copy.forgetUpTo(logPosition(4n));
    expect(await read(copy)).toEqual([5, 6]);
    await copy.close();
  });

  test('refuses copies of another ledger', async () => {
    const folder = fresh();
    const copy = await openCopy(folder, owner);
    await write(copy, [0]);
    await copy.close();
    await expect(openCopy(folder, { ...owner, origin: 'example.com/payments' })).rejects.toMatchObject({ code: 'config' });
  });

  test('keeps what could not be written, and writes it later', async () => {
    const folder = fresh();
    const copy = await openCopy(folder, owner);
    await write(copy, [0, 1]);
    await copy.forgetUpTo(logPosition(0n));
    rmSync(folder, { recursive: true });
    copy.add(message(2n));
    await expect(copy.flush()).rejects.toMatchObject({ code: 'unavailable' });
    expect(copy.waitingBytes).toBeGreaterThan(0);
    await (await openCopy(folder, owner)).close();
    await copy.close();
    expect(await read(copy)).toEqual([2]);
  });
});
