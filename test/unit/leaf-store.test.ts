/** Leaves on disk: found by every index, never other than they were, and gone only as they were told. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { DatabaseSync } from 'node:sqlite';
import { segmentCount, type RecordSegment } from '@plait/core';
import { openLeaves, type LeafStoreOptions } from '@plait/disk';
import type { KeptLine, LeafStore, LineToKeep } from '@plait/roles';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { LEAF_CHANGES, LEAF_QUERIES } from '../../packages/disk/src/leaf-store.ts';
import { BLOCK_MS, FIRST_TIME_MS, linesOf, owner } from './leaf-lines.ts';

let root: string;
beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'plait-leaves-'));
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

let folders = 0;
const fresh = (): string => join(root, String((folders += 1)));
const fileOf = (folder: string): string => join(folder, 'leaves.sqlite');

/** A folder with these lines, kept some at a time. */
async function keep(lines: readonly LineToKeep[], options: LeafStoreOptions & { readonly at?: number; readonly folder?: string } = {}): Promise<string> {
  const { at = 17, folder = fresh(), ...rest } = options;
  using store = await openLeaves(folder, owner, rest);
  for (let i = 0; i < lines.length; i += at) store.append(lines.slice(i, i + at));
  return folder;
}

/** Does something to the file that no keeper would. */
function meddle(folder: string, ...statements: readonly string[]): void {
  const database = new DatabaseSync(fileOf(folder));
  for (const statement of statements) database.exec(statement);
  database.close();
}

/** All that a store holds, to compare. */
function contentOf(folder: string): unknown {
  const database = new DatabaseSync(fileOf(folder), { readOnly: true });
  const tables = ['ledger', 'blocks', 'chains', 'lines', 'leaves'].map((name) => database.prepare(`SELECT * FROM ${name}`).all());
  database.close();
  return tables;
}

const bare = ({ line, kind, block, number }: LineToKeep): KeptLine => ({ line, kind, block, number });
const segmentOf = ({ line }: LineToKeep): RecordSegment => line.segment as RecordSegment;
const holds = ({ line: { firstSeq, segment } }: KeptLine, at: bigint): boolean => firstSeq <= at && at < firstSeq + segmentCount(segment);
const total = (lines: readonly LineToKeep[]): bigint => lines.reduce((sum, { line }) => sum + segmentCount(line.segment), 0n);
const leavesIn = (lines: readonly LineToKeep[]): number => lines.reduce((sum, { leaves }) => sum + (leaves?.length ?? 0) / 48, 0);

describe('every index finds what a search through all lines finds', () => {
  const lines = linesOf(7, 120);
  let store: LeafStore;
  beforeAll(async () => {
    store = await openLeaves(await keep(lines), owner, { readOnly: true });
  });
  afterAll(() => store[Symbol.dispose]());

  test('the lines are of many kinds', () => {
    expect(new Set(lines.map(({ kind }) => kind))).toEqual(new Set(['records', 'loss', 'void', 'gone']));
    expect(lines.some(({ line }) => segmentCount(line.segment) === 0n)).toBe(true);
    expect(lines.some(({ line }) => line.segment.generation > 1n)).toBe(true);
  });

  test('by seq', () => {
    const end = total(lines);
    for (let at = 0n; at < end; at += 1n) expect(store.lineOfSeq(at)).toEqual(bare(lines.find((each) => holds(each, at)) as LineToKeep));
    for (const at of [-1n, end, end + 1n, 2n ** 63n - 1n]) expect(store.lineOfSeq(at)).toBeUndefined();
    expect(store.nextSeq).toBe(end);
  });

  test('by place, in the newest generation or the one that was told', () => {
    for (const { topic, partition } of new Map(lines.map(({ line: { segment } }) => [`${segment.topic}/${segment.partition}`, segment])).values()) {
      const all = lines.filter(({ line: { segment } }) => segment.topic === topic && segment.partition === partition);
      const newest = all.at(-1)?.line.segment.generation ?? 0n;
      for (let generation = 0n; generation <= newest + 1n; generation += 1n) {
        for (let at = 0n; at < 200n; at += 1n) {
          const found = all.find(({ line: { segment } }) => segment.generation === generation && segment.firstOffset <= at && at < segment.nextOffset);
          const wanted = found === undefined ? undefined : bare(found);
          expect(store.lineAt({ topic, partition, offset: at, generation })).toEqual(wanted);
          if (generation === newest) expect(store.lineAt({ topic, partition, offset: at })).toEqual(wanted);
        }
      }
    }
    expect(store.lineAt({ topic: 'no', partition: 0, offset: 0n })).toBeUndefined();
  });

  test('by time, and by block', () => {
    for (let at = FIRST_TIME_MS - 1; at < FIRST_TIME_MS + 121 * BLOCK_MS; at += BLOCK_MS / 2) {
      const found = lines.find(({ block }) => block.timeMs >= BigInt(at));
      expect(store.lineAtTime(BigInt(at))).toEqual(found && bare(found));
    }
    for (let height = 0n; height < 121n; height += 1n) expect(store.linesOfBlock(height)).toEqual(lines.filter(({ block }) => block.height === height).map(bare));
  });

  test('the leaves are those that were given, and nothing for a line without any', () => {
    for (const { line: { segment }, leaves } of lines) {
      if (segment.kind === 'segment') expect(store.leavesOf(segment)).toEqual(leaves);
    }
    expect(store.leafBounds()?.leaves).toBe(BigInt(leavesIn(lines)));
  });

  test('no statement looks at every row', async () => {
    const database = new DatabaseSync(fileOf(await keep(lines)));
    for (const [name, sql] of Object.entries({ ...LEAF_QUERIES, ...LEAF_CHANGES })) {
      const parameters = [...sql.matchAll(/\?/g)].map(() => 0);
      const plan = database.prepare(`EXPLAIN QUERY PLAN ${sql}`).all(...parameters).map(({ detail }) => String(detail));
      expect(plan.filter((step) => /^SCAN|TEMP B-TREE/.test(step)), name).toEqual([]);
    }
    database.close();
  });
});

describe('what is kept', () => {
  test('goes on where it ends, whatever is given again', async () => {
    const lines = linesOf(3, 14);
    const whole = contentOf(await keep(lines));
    for (let cut = 0; cut <= lines.length; cut += 1) {
      const folder = await keep(lines.slice(0, cut));
      using store = await openLeaves(folder, owner);
      const last = lines[cut - 1];
      expect(store.newestBlock()).toEqual(last?.block);
      expect(store.nextSeq).toBe(total(lines.slice(0, cut)));
      store.append(lines.filter(({ block }) => block.height >= (last?.block.height ?? 0n)));
      expect(contentOf(folder)).toEqual(whole);
    }
  });

  test('is the same after the file was deleted, and for its owner only', async () => {
    const lines = linesOf(5, 60);
    const folder = await keep(lines, { at: 5 });
    const before = contentOf(folder);
    expect(statSync(fileOf(folder)).mode & 0o777).toBe(0o600);
    for (const name of readdirSync(folder)) rmSync(join(folder, name));
    await keep(lines, { at: 11, folder });
    expect(contentOf(folder)).toEqual(before);
  });

  test('is seen by another who only reads, while it grows, and kept once by two who keep', async () => {
    const lines = linesOf(9, 60);
    const folder = fresh();
    using one = await openLeaves(folder, owner);
    using other = await openLeaves(folder, owner);
    using reader = await openLeaves(folder, owner, { readOnly: true });
    for (let i = 0; i < lines.length; i += 6) {
      one.append(lines.slice(i, i + 6));
      expect(reader.nextSeq).toBe(total(lines.slice(0, i + 6)));
      other.append(lines.slice(i, i + 6));
    }
    expect(() => reader.append(linesOf(9, 70).slice(lines.length))).toThrow(expect.objectContaining({ code: 'config' }));
    expect(contentOf(folder)).toEqual(contentOf(await keep(lines)));
  });

  test('is what it was when the process is killed amid a batch, at any line of it', async () => {
    const lines = linesOf(13, 20);
    const folder = await keep(lines.slice(0, 4));
    const before = contentOf(folder);
    for (const at of [4, 12, lines.length - 1]) {
      const code = `import { openLeaves } from '@plait/disk';
        import { linesOf, owner } from './leaf-lines.ts';
        const lines = linesOf(13, 20).slice(4);
        const store = await openLeaves(${JSON.stringify(folder)}, owner);
        Object.defineProperty(lines[${at - 4}].line, 'firstSeq', { get: () => process.kill(process.pid, 'SIGKILL') });
        store.append(lines);`;
      const { signal, stderr } = spawnSync(process.execPath, ['--conditions=development', '--input-type=module', '-e', code], { cwd: import.meta.dirname });
      expect(signal, String(stderr)).toBe('SIGKILL');
      expect(contentOf(folder)).toEqual(before);
    }
    await keep(lines, { folder });
    expect(contentOf(folder)).toEqual(contentOf(await keep(lines)));
  });
});

describe('a file that is not what it was', () => {
  const lines = linesOf(21, 12);
  const withLeaves = lines.filter((line): line is LineToKeep & { leaves: Uint8Array } => line.leaves !== undefined);

  test('gives no leaf when any bit of them is another, and says so', async () => {
    const folder = await keep(lines);
    const said: string[] = [];
    const database = new DatabaseSync(fileOf(folder));
    using store = await openLeaves(folder, owner, { readOnly: true, onDamaged: (message) => said.push(message) });
    const [first] = withLeaves;
    const { leaves } = first as LineToKeep & { leaves: Uint8Array };
    const id = lines.indexOf(first as LineToKeep) + 1;
    const put = (bytes: Uint8Array): void => void database.prepare('UPDATE leaves SET leaves = ? WHERE line = ?').run(bytes, id);
    for (let bit = 0; bit < leaves.length * 8; bit += 1) {
      const changed = leaves.slice();
      changed[bit >> 3] = (changed[bit >> 3] ?? 0) ^ (1 << (bit & 7));
      put(changed);
      expect(store.leavesOf(segmentOf(first as LineToKeep))).toBeUndefined();
    }
    expect(said).toHaveLength(leaves.length * 8);
    for (const other of [leaves.slice(0, -1), leaves.slice(48), new Uint8Array(0), new Uint8Array([...leaves, ...leaves])]) {
      put(other);
      expect(store.leavesOf(segmentOf(first as LineToKeep))).toBeUndefined();
    }
    put(leaves);
    expect(store.leavesOf(segmentOf(first as LineToKeep))).toEqual(leaves);
    database.close();
  });

  test('gives none for a segment of the same range with another root', async () => {
    using store = await openLeaves(await keep(lines), owner, { readOnly: true });
    const [one, other] = withLeaves as [LineToKeep, LineToKeep];
    expect(store.leavesOf({ ...segmentOf(one), root: segmentOf(other).root })).toBeUndefined();
  });

  test.each([
    ['no database', () => 'not a database at all, and long enough to be read as one, or so it would seem to be'.repeat(20)],
    ['a row of no kind', `UPDATE lines SET kind = 'other'`],
    ['a text that is no segment', `UPDATE lines SET segment = 'segment orders'`],
    ['a header that is no hash', `UPDATE blocks SET header = 'x'`],
    ['a number below 0', 'UPDATE lines SET first_seq = -1'],
    ['no table of leaves', 'DROP TABLE leaves'],
    ['no table of the ledger', 'DROP TABLE ledger'],
    ['tables of another kind', 'DROP TABLE lines; CREATE TABLE lines (id, block, chain, next_offset, first_seq, kind, segment)', `INSERT INTO lines VALUES (1, 0, 1, 'x', 'y', 'z', 7)`],
  ])('is called damaged, with what to delete: %s', async (_, ...changes) => {
    const folder = await keep(lines);
    for (const change of changes) {
      if (typeof change === 'string') meddle(folder, change);
      else writeFileSync(fileOf(folder), change());
    }
    const look = async (): Promise<unknown> => {
      using store = await openLeaves(folder, owner, { readOnly: true });
      return [store.newestBlock(), store.lineOfSeq(0n)];
    };
    await expect(look()).rejects.toMatchObject({ code: 'config', message: expect.stringContaining(`damaged: `) });
    await expect(look()).rejects.toMatchObject({ message: expect.stringContaining(`delete ${fileOf(folder)}`) });
  });

  test('is called damaged when it cannot take what comes next', async () => {
    const folder = await keep(lines);
    meddle(folder, 'DELETE FROM lines WHERE id > 5');
    using store = await openLeaves(folder, owner);
    let error: unknown;
    try {
      store.append(lines);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toMatchObject({ code: 'config', message: expect.stringContaining('damaged: ') });
  });

  test('cut short at any page, is called damaged or gives what is right', async () => {
    const folder = await keep(linesOf(23, 100));
    const whole = await openLeaves(folder, owner, { readOnly: true });
    const right = whole.lineOfSeq(3n);
    whole[Symbol.dispose]();
    const { size } = statSync(fileOf(folder));
    for (let pages = 0; pages * 4_096 < size; pages += 1) {
      const torn = fresh();
      mkdirSync(torn);
      writeFileSync(fileOf(torn), readFileSync(fileOf(folder)).subarray(0, pages * 4_096));
      const look = async (): Promise<KeptLine | undefined> => {
        using store = await openLeaves(torn, owner, { readOnly: true });
        return store.lineOfSeq(3n);
      };
      await look().then((found) => expect(found).toEqual(right), (error: unknown) => expect(error).toMatchObject({ code: 'config' }));
    }
  });

  test('of another ledger, of something else, or missing, is refused', async () => {
    const folder = await keep(lines);
    await expect(openLeaves(folder, { ...owner, origin: 'other.example/orders' })).rejects.toMatchObject({ code: 'config', message: expect.stringContaining('a folder of its own') });
    const none = { code: 'config', message: expect.stringContaining('there are no leaves in') as string };
    await expect(openLeaves(fresh(), owner, { readOnly: true })).rejects.toMatchObject(none);
    await expect(openLeaves(fileOf(folder), owner, { readOnly: true })).rejects.toMatchObject(none);
    await expect(openLeaves(fileOf(folder), owner)).rejects.toMatchObject({ code: 'config', message: expect.stringContaining('cannot write') });
    const foreign = fresh();
    mkdirSync(foreign);
    meddle(foreign, 'CREATE TABLE things (a)');
    await expect(openLeaves(foreign, owner)).rejects.toMatchObject({ code: 'config', message: expect.stringContaining('something else') });
    meddle(folder, 'PRAGMA user_version = 2');
    await expect(openLeaves(folder, owner)).rejects.toMatchObject({ code: 'config', message: expect.stringContaining('version 2') });
  });
});

describe('what is too much or too old', () => {
  const lines = linesOf(31, 300);

  test.each([0, 48, 48 * 10, 48 * 101, 48 * 10_000])('of leaves, at most %d bytes stay, the newest; all lines do', async (bytesMax) => {
    const folder = fresh();
    using store = await openLeaves(folder, owner, { bytesMax });
    for (let i = 0; i < lines.length; i += 50) {
      store.append(lines.slice(i, i + 50));
      store.expire(0);
      expect(Number(store.leafBounds()?.leaves ?? 0n) * 48).toBeLessThanOrEqual(bytesMax);
    }
    const kept = lines.filter(({ line }) => line.segment.kind === 'segment' && store.leavesOf(line.segment) !== undefined);
    const all = lines.filter(({ leaves }) => leaves !== undefined);
    expect(kept.map(bare)).toEqual(all.slice(all.length - kept.length).map(bare));
    const next = all[all.length - kept.length - 1];
    if (next !== undefined) expect((leavesIn(kept) * 48) + (next.leaves?.length ?? 0)).toBeGreaterThan(bytesMax);
    for (let at = 0n; at < total(lines); at += 1n) expect(store.lineOfSeq(at)).toBeDefined();
  });

  test('of leaves, those of blocks before a time go', async () => {
    const folder = await keep(lines);
    using store = await openLeaves(folder, owner, { ageMsMax: 10_000 });
    for (const nowMs of [FIRST_TIME_MS, FIRST_TIME_MS + 100_500, FIRST_TIME_MS + 200_000, FIRST_TIME_MS + 10_000_000]) {
      store.expire(nowMs);
      for (const { line: { segment }, block, leaves } of lines) {
        if (segment.kind !== 'segment') continue;
        expect(store.leavesOf(segment) !== undefined).toBe(leaves !== undefined && block.timeMs >= BigInt(nowMs - 10_000));
      }
    }
    expect(store.leafBounds()).toBeUndefined();
    store.append(linesOf(31, 310).slice(lines.length));
    expect(store.leafBounds()).toBeDefined();
  });

  test('and their room on the disk is used again, and given back when it is much', async () => {
    const [line] = lines.filter(({ leaves }) => leaves !== undefined) as [LineToKeep];
    const big = new Uint8Array(48 * 4_096);
    const folder = fresh();
    using store = await openLeaves(folder, owner, { bytesMax: 48 * 4_096 * 4 });
    const made = Array.from({ length: 200 }, (_, i): LineToKeep => ({
      ...line, number: i, leaves: big,
      line: { ...line.line, segment: { ...line.line.segment, nextOffset: (1_000n + BigInt(i)) as typeof line.line.segment.nextOffset } },
    }));
    for (let i = 0; i < 100; i += 1) store.append(made.slice(i, i + 1));
    const grown = statSync(fileOf(folder)).size + statSync(`${fileOf(folder)}-wal`).size;
    store.expire(0);
    for (let i = 100; i < 200; i += 1) {
      store.append(made.slice(i, i + 1));
      store.expire(0);
    }
    expect(grown).toBeGreaterThan(100 * big.length);
    store[Symbol.dispose]();
    expect(statSync(fileOf(folder)).size).toBeLessThan(60 * big.length);
  });
});
