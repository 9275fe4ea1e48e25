/**
 * The tree of headers in a folder, file by file as c2sp.org/tlog-tiles names them, so that any server of static files can
 * serve it:
 *
 *     checkpoint                          the newest checkpoint
 *     log.vkey                            the key that signed it
 *     tile/<L>/<N>[.p/<W>]                hashes
 *     tile/entries/<N>[.p/<W>]            headers
 *
 * The partial tiles of every checkpoint stay until their full one is there.
 */
import { mkdir, readdir, readFile, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import {
  decodeEntries, encodeEntries, fullTiles, HASH_BYTES, isPlaitError, parseCheckpoint, parseNote, PlaitError, TILE_WIDTH, tilePath, tilesAtEdge,
  type Tile,
} from '@plait/core';
import type { Published, TileBytes, TileStore } from '@plait/roles';
import { placeFile, replaceFile, syncFolder, withLock, writeError } from './files.ts';

/** For everybody to read. */
const FILE_MODE = 0o644;
const FOLDER_MODE = 0o755;
/** Files that are written, or looked at, at once. */
const TOGETHER = 32;

/**
 * Opens a folder, which need not be there yet. Several processes may use one. Throws `config` if it cannot be made,
 * `unavailable` for what may pass.
 */
export async function openTileFolder(folder: string): Promise<TileStore> {
  await mkdir(folder, { recursive: true, mode: FOLDER_MODE }).catch((error: unknown) => {
    throw writeError(folder, error);
  });
  return new TileFolder(folder);
}

/** The tiles of a folder, for who only reads them: of one that is not there, none is. */
export function readTileFolder(folder: string): Pick<TileStore, 'read' | 'published'> {
  return new TileFolder(folder);
}

class TileFolder implements TileStore {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  async write(tiles: readonly TileBytes[]): Promise<void> {
    try {
      const changed = new Set<string>();
      await inTurns(tiles, async ({ tile, bytes }) => {
        const path = this.#path(tile);
        for (const folder of await makeFolders(dirname(path))) changed.add(folder);
        // A crash here leaves a draft, or a file that may yet be lost.
        await placeFile(path, bytes, FILE_MODE);
      });
      await inTurns([...changed], syncFolder);
      // A crash here leaves partial tiles that are not needed any more.
      const full = tiles.filter(({ tile }) => tile.width === TILE_WIDTH);
      await inTurns(full, ({ tile }) => rm(this.#partials(tile), { recursive: true, force: true }));
    } catch (error) {
      throw writeError(this.#folder, error);
    }
  }

  async read(tile: Tile): Promise<Uint8Array | undefined> {
    // A partial tile may give way to the full one between two calls: then that is found.
    for (let looks = 0; looks < 2; looks += 1) {
      const found = await this.#find(tile);
      if (found === undefined) return undefined;
      const bytes = await readIfThere(this.#path(found));
      if (bytes !== undefined) return cut(bytes, found, tile.width);
    }
    return undefined;
  }

  async wholeUpTo(size: bigint): Promise<bigint> {
    const wanted = [...tilesAtEdge(size).filter(({ width }) => width < TILE_WIDTH), ...fullTiles({ from: 0n, to: size })];
    let whole = size;
    await inTurns(wanted, async (tile) => {
      if ((await this.#find(tile)) !== undefined) return;
      const below = firstOf(tile);
      if (below < whole) whole = below;
    });
    return whole;
  }

  async published(): Promise<Published | undefined> {
    const [note, key] = await Promise.all([readIfThere(this.#checkpoint), readIfThere(this.#key)]);
    return note === undefined || key === undefined ? undefined : { note, vkey: Buffer.from(key).toString().trimEnd() };
  }

  async publish({ note, vkey, size }: Published & { readonly size: bigint }): Promise<void> {
    await withLock(this.#checkpoint, async () => {
      const before = await this.published();
      if (before !== undefined && sizeOf(before.note) > size) return;
      if (before?.vkey !== vkey) await replaceFile(this.#key, `${vkey}\n`, FILE_MODE);
      // A crash here leaves the checkpoint before and, if the key is another one, a key that did not sign it: until the next.
      await replaceFile(this.#checkpoint, note, FILE_MODE);
    });
  }

  async withdraw(): Promise<void> {
    try {
      await rm(this.#checkpoint, { force: true });
      await syncFolder(this.#folder);
    } catch (error) {
      throw writeError(this.#folder, error);
    }
  }

  /** The file in which the tile is: itself, the full one, or a wider partial one. A file of another length is none. */
  async #find(tile: Tile): Promise<Tile | undefined> {
    for (const width of new Set([tile.width, TILE_WIDTH])) {
      if (await this.#isWhole({ ...tile, width })) return { ...tile, width };
    }
    const names = await readdir(this.#partials(tile)).catch(() => []);
    for (const width of names.map(Number).filter((each) => each > tile.width && each < TILE_WIDTH)) {
      if (await this.#isWhole({ ...tile, width })) return { ...tile, width };
    }
    return undefined;
  }

  async #isWhole(tile: Tile): Promise<boolean> {
    const found = await stat(this.#path(tile)).catch(() => undefined);
    if (found === undefined || !found.isFile()) return false;
    return tile.level === 'entries' ? found.size > 0 : found.size === tile.width * HASH_BYTES;
  }

  get #checkpoint(): string {
    return join(this.#folder, 'checkpoint');
  }

  get #key(): string {
    return join(this.#folder, 'log.vkey');
  }

  #path(tile: Tile): string {
    return join(this.#folder, tilePath(tile));
  }

  /** The folder of the partial tiles of that index. */
  #partials(tile: Tile): string {
    return dirname(this.#path({ ...tile, width: 1 }));
  }
}

/** Makes a folder and those above it; those whose entries are not durable yet. */
async function makeFolders(folder: string): Promise<readonly string[]> {
  const first = await mkdir(folder, { recursive: true, mode: FOLDER_MODE });
  if (first === undefined) return [folder];
  const changed = [dirname(first)];
  for (let each = folder; each !== dirname(first); each = dirname(each)) changed.push(each);
  return changed;
}

/** Undefined if a bundle of entries cannot be cut. */
function cut(bytes: Uint8Array, { level, width: found }: Tile, width: number): Uint8Array | undefined {
  if (found === width) return bytes;
  if (level !== 'entries') return bytes.subarray(0, width * HASH_BYTES);
  try {
    return encodeEntries(decodeEntries(bytes, found).slice(0, width));
  } catch (error) {
    if (!isPlaitError(error, 'invalid')) throw error;
    return undefined;
  }
}

/** The first entry under a tile: trees up to it have no need of the tile. */
function firstOf({ level, index }: Tile): bigint {
  return index << (8n * BigInt(level === 'entries' ? 1 : level + 1));
}

/** That of a checkpoint; −1 for what is none. */
function sizeOf(note: Uint8Array): bigint {
  try {
    return parseCheckpoint(parseNote(note).text).size;
  } catch (error) {
    if (!isPlaitError(error, 'invalid')) throw error;
    return -1n;
  }
}

async function readIfThere(path: string): Promise<Uint8Array | undefined> {
  return await readFile(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw new PlaitError('config', `cannot read ${path}: ${error.message}`, { cause: error });
  });
}

/** `use` of each, some at a time. */
async function inTurns<T>(each: readonly T[], use: (one: T) => Promise<unknown>): Promise<void> {
  for (let at = 0; at < each.length; at += TOGETHER) await Promise.all(each.slice(at, at + TOGETHER).map(use));
}
