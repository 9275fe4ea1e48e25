/**
 * Leaves on disk: the lines of a ledger with an index by seq, by place and by time, and the leaves of their records. A
 * step of it blocks the process for some ms at most.
 */
import type { DatabaseSync, SQLOutputValue, StatementSync } from 'node:sqlite';
import {
  areLeavesOf, formatSegment, height, invalid, invariant, LEAF_BYTES, logPosition, parseHash, parseSegment, segmentCount, seq,
  type RecordSegment, type Seq,
} from '@plait/core';
import type { KeptBlock, KeptLine, LeafBounds, LeafStore, LineToKeep, Pinned } from '@plait/roles';
import { leafFileError, leafFilePath, openLeafFile, openLeafFileToRead } from './leaf-file.ts';

/** How leaves are opened. */
export interface LeafStoreOptions {
  /** To look things up while another process keeps, or when nobody does: `append` and `expire` throw `config`. Default false. */
  readonly readOnly?: boolean;
  /** Leaves beyond so many bytes of them are deleted, the oldest first. Default: none are. */
  readonly bytesMax?: number;
  /** Leaves are deleted of lines that were numbered longer ago, ms. Default: none are. */
  readonly ageMsMax?: number;
  /** Told of leaves that are no longer what they were, for people; nobody gets those. */
  readonly onDamaged?: (message: string) => void;
}

/**
 * Opens the leaves of a ledger in `folder`, and makes folder and file (mode 0600) if need be, unless they are only read.
 * Throws `config` if the file is damaged or of another ledger, or is missing where it is only read; `unavailable` while it cannot be used.
 */
export async function openLeaves(folder: string, owner: Pinned, options: LeafStoreOptions = {}): Promise<LeafStore> {
  const database = options.readOnly === true ? openLeafFileToRead(folder, owner) : await openLeafFile(folder, owner);
  return new LeafFile(database, leafFilePath(folder), options);
}

const KINDS: ReadonlySet<string> = new Set<KeptLine['kind']>(['records', 'loss', 'void', 'gone']);
/** Free pages that stay for what comes next: 4 MiB. */
const FREE_PAGES_MAX = 1_024;

const LINE = 'SELECT l.id, l.first_seq, l.kind, l.segment, b.height, b.header, b.position, b.time, b.first_line FROM lines l JOIN blocks b ON b.height = l.block';

/** Exported for the test that shows which index each of them uses. */
export const LEAF_QUERIES = {
  newest: `${LINE} WHERE l.id = (SELECT max(id) FROM lines)`,
  ofSeq: `${LINE} WHERE l.first_seq <= ? ORDER BY l.first_seq DESC, l.id DESC LIMIT 1`,
  atPlace: `${LINE} WHERE l.chain = (SELECT id FROM chains WHERE topic = ? AND partition = ? AND generation <= ? ORDER BY generation DESC LIMIT 1)
    AND l.next_offset > ? ORDER BY l.next_offset LIMIT 1`,
  atTime: `${LINE} WHERE l.id = (SELECT first_line FROM blocks WHERE time >= ? ORDER BY time, height LIMIT 1)`,
  byId: `${LINE} WHERE l.id = ?`,
  ofBlock: `${LINE} WHERE b.height = ? AND l.id >= b.first_line
    AND l.id < coalesce((SELECT first_line FROM blocks WHERE height > b.height ORDER BY height LIMIT 1), 1 << 62) ORDER BY l.id`,
  leaves: `SELECT f.leaves FROM leaves f JOIN lines l ON l.id = f.line
    WHERE l.chain = (SELECT id FROM chains WHERE topic = ? AND partition = ? AND generation = ?) AND l.next_offset = ?`,
  firstLeaves: 'SELECT line, first_leaf, length(leaves) AS bytes FROM leaves WHERE line = (SELECT min(line) FROM leaves)',
  lastLeaves: 'SELECT line, first_leaf, length(leaves) AS bytes FROM leaves WHERE line = (SELECT max(line) FROM leaves)',
  oldLine: 'SELECT first_line FROM blocks WHERE time >= ? ORDER BY time, height LIMIT 1',
  chain: 'SELECT id FROM chains WHERE topic = ? AND partition = ? AND generation = ?',
} as const;

/** Exported for the same test. */
export const LEAF_CHANGES = {
  addBlock: 'INSERT INTO blocks VALUES (?, ?, ?, ?, ?)',
  addChain: 'INSERT INTO chains (topic, partition, generation) VALUES (?, ?, ?)',
  addLine: 'INSERT INTO lines VALUES (?, ?, ?, ?, ?, ?, ?)',
  addLeaves: 'INSERT INTO leaves VALUES (?, ?, ?)',
  deleteBelow: 'DELETE FROM leaves WHERE line < ?',
  deleteOldest: 'DELETE FROM leaves WHERE line = (SELECT min(line) FROM leaves) AND first_leaf < ?',
} as const;

type Row = Record<string, SQLOutputValue>;
type Statements = Readonly<Record<keyof typeof LEAF_QUERIES | keyof typeof LEAF_CHANGES, StatementSync>>;

class LeafFile implements LeafStore {
  readonly #database: DatabaseSync;
  readonly #path: string;
  readonly #options: LeafStoreOptions;
  readonly #sql: Statements;

  constructor(database: DatabaseSync, path: string, options: LeafStoreOptions) {
    this.#database = database;
    this.#path = path;
    this.#options = options;
    this.#sql = this.#use(() => prepared(database));
  }

  newestBlock(): KeptBlock | undefined {
    return this.#one('newest')?.block;
  }

  append(lines: readonly LineToKeep[]): void {
    this.#inTransaction(() => {
      const newest = this.#sql.newest.get();
      const kept = newest === undefined ? undefined : keptLine(newest);
      const fresh = kept === undefined ? lines : lines.filter((line) => isBehind(line, kept));
      let id = newest === undefined ? 1n : bigintOf(newest, 'id') + 1n;
      let firstLeaf = this.#nextLeaf();
      for (const [i, line] of fresh.entries()) {
        invariant(line.number === 0 || isNext(line, fresh[i - 1] ?? kept), 'lines are kept in their order, blocks from their first line on');
        this.#add(line, id, firstLeaf);
        id += 1n;
        firstLeaf += BigInt((line.leaves?.length ?? 0) / LEAF_BYTES);
      }
    });
  }

  #add({ line: { firstSeq, segment }, kind, number, block, leaves }: LineToKeep, id: bigint, firstLeaf: bigint): void {
    if (number === 0) this.#sql.addBlock.run(block.height, block.header, block.position, block.timeMs, id);
    this.#sql.addLine.run(id, block.height, this.#chainOf(segment), segment.nextOffset, firstSeq, kind, formatSegment(segment));
    if (leaves !== undefined) this.#sql.addLeaves.run(id, firstLeaf, leaves);
  }

  #chainOf({ topic, partition, generation }: LineToKeep['line']['segment']): bigint {
    const found = this.#sql.chain.get(topic, partition, generation);
    return found === undefined ? BigInt(this.#sql.addChain.run(topic, partition, generation).lastInsertRowid) : bigintOf(found, 'id');
  }

  /** The number of the next leaf, counted from any start. */
  #nextLeaf(): bigint {
    const last = this.#sql.lastLeaves.get();
    return last === undefined ? 0n : nextLeafOf(last);
  }

  expire(wallMs: number): void {
    const { bytesMax, ageMsMax } = this.#options;
    if (bytesMax === undefined && ageMsMax === undefined) return;
    this.#inTransaction(() => {
      if (ageMsMax !== undefined) this.#deleteBefore(BigInt(Math.floor(wallMs - ageMsMax)));
      if (bytesMax === undefined) return;
      const firstKept = this.#nextLeaf() - BigInt(Math.floor(bytesMax / LEAF_BYTES));
      while (Number(this.#sql.deleteOldest.run(firstKept).changes) > 0);
    });
    this.#use(() => this.#giveBack());
  }

  /** Leaves of lines numbered before that time. */
  #deleteBefore(timeMs: bigint): void {
    const young = this.#sql.oldLine.get(timeMs);
    const newest = this.#sql.newest.get();
    if (newest === undefined) return;
    this.#sql.deleteBelow.run(young === undefined ? bigintOf(newest, 'id') + 1n : bigintOf(young, 'first_line'));
  }

  /** Pages that were freed are used again; what is beyond a few is given back to the disk. */
  #giveBack(): void {
    const free = Number(this.#database.prepare('PRAGMA freelist_count').get()?.['freelist_count']);
    if (free > 2 * FREE_PAGES_MAX) this.#database.prepare(`PRAGMA incremental_vacuum(${free - FREE_PAGES_MAX})`).all();
  }

  lineOfSeq(wanted: bigint): KeptLine | undefined {
    const found = this.#one('ofSeq', wanted);
    return found !== undefined && wanted < found.line.firstSeq + segmentCount(found.line.segment) ? found : undefined;
  }

  lineAt({ topic, partition, offset, generation }: Parameters<LeafStore['lineAt']>[0]): KeptLine | undefined {
    const found = this.#one('atPlace', topic, partition, generation ?? INT64_MAX, offset);
    if (found === undefined || found.line.segment.firstOffset > offset) return undefined;
    return generation === undefined || found.line.segment.generation === generation ? found : undefined;
  }

  lineAtTime(timeMs: bigint): KeptLine | undefined {
    return this.#one('atTime', timeMs);
  }

  linesOfBlock(wanted: bigint): readonly KeptLine[] {
    return this.#use(() => this.#sql.ofBlock.all(wanted).map(keptLine));
  }

  leavesOf(segment: RecordSegment): Uint8Array | undefined {
    const { topic, partition, generation, nextOffset } = segment;
    const bytes = this.#use(() => this.#sql.leaves.get(topic, partition, generation, nextOffset))?.['leaves'];
    if (!(bytes instanceof Uint8Array)) return undefined;
    if (areLeavesOf(segment, bytes)) return bytes;
    this.#options.onDamaged?.(`the leaves of ${topic}/${partition} offsets ${segment.firstOffset} … ${nextOffset} in ${this.#path} are not what they were: ` +
      'they are not used');
    return undefined;
  }

  get nextSeq(): Seq {
    const newest = this.#one('newest');
    return seq(newest === undefined ? 0n : newest.line.firstSeq + segmentCount(newest.line.segment));
  }

  leafBounds(): LeafBounds | undefined {
    return this.#use(() => {
      const [first, last] = [this.#sql.firstLeaves.get(), this.#sql.lastLeaves.get()];
      if (first === undefined || last === undefined) return undefined;
      const [from, to] = [first, last].map((row) => keptLine(this.#sql.byId.get(bigintOf(row, 'line')) ?? {})) as [KeptLine, KeptLine];
      return {
        firstSeq: from.line.firstSeq, nextSeq: seq(to.line.firstSeq + segmentCount(to.line.segment)), leaves: nextLeafOf(last) - bigintOf(first, 'first_leaf'),
      };
    });
  }

  [Symbol.dispose](): void {
    if (this.#database.isOpen) this.#database.close();
  }

  #one(query: keyof typeof LEAF_QUERIES, ...values: readonly (string | number | bigint)[]): KeptLine | undefined {
    return this.#use(() => {
      const row = this.#sql[query].get(...values);
      return row === undefined ? undefined : keptLine(row);
    });
  }

  #inTransaction(change: () => void): void {
    this.#use(() => {
      this.#database.exec('BEGIN IMMEDIATE');
      try {
        change();
        // A crash here leaves the file as it was; the next who opens it rolls back.
        this.#database.exec('COMMIT');
      } finally {
        if (this.#database.isTransaction) this.#database.exec('ROLLBACK');
      }
    });
  }

  #use<T>(use: () => T): T {
    try {
      return use();
    } catch (error) {
      throw leafFileError(this.#path, error);
    }
  }
}

const INT64_MAX = 2n ** 63n - 1n;

function prepared(database: DatabaseSync): Statements {
  const statements = Object.entries({ ...LEAF_QUERIES, ...LEAF_CHANGES }).map(([name, sql]) => {
    const statement = database.prepare(sql);
    statement.setReadBigInts(true);
    return [name, statement] as const;
  });
  return Object.fromEntries(statements) as Statements;
}

/** Whether a line comes after one that is kept. */
function isBehind(line: KeptLine, kept: KeptLine): boolean {
  const { block: { height: at }, number } = kept;
  return line.block.height > at || (line.block.height === at && line.number > number);
}

/** Whether a line comes right behind another of the same block. */
function isNext(line: KeptLine, before: KeptLine | undefined): boolean {
  return line.block.height === before?.block.height && line.number === before.number + 1;
}

/** The line that a row says. Throws `invalid` for what no keeper wrote. */
function keptLine(row: Row): KeptLine {
  const kind = textOf(row, 'kind');
  if (!KINDS.has(kind)) throw invalid('a line of no kind');
  const block: KeptBlock = {
    height: height(bigintOf(row, 'height')), header: parseHash(textOf(row, 'header')), position: logPosition(bigintOf(row, 'position')), timeMs: bigintOf(row, 'time'),
  };
  return {
    line: { firstSeq: seq(bigintOf(row, 'first_seq')), segment: parseSegment(textOf(row, 'segment')) },
    kind: kind as KeptLine['kind'], block, number: Number(bigintOf(row, 'id') - bigintOf(row, 'first_line')),
  };
}

function nextLeafOf(row: Row): bigint {
  return bigintOf(row, 'first_leaf') + bigintOf(row, 'bytes') / BigInt(LEAF_BYTES);
}

function bigintOf(row: Row, name: string): bigint {
  const value = row[name];
  if (typeof value !== 'bigint' || value < 0n) throw invalid(`${name} is no number that is kept`);
  return value;
}

function textOf(row: Row, name: string): string {
  const value = row[name];
  if (typeof value !== 'string') throw invalid(`${name} is no text`);
  return value;
}
