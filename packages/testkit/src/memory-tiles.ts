/** Tiles in memory, for tests of who writes them: publishing without the tiles fails the test, and any call can be a crash. */
import { decodeEntries, encodeEntries, fullTiles, HASH_BYTES, TILE_WIDTH, tilePath, tilesAtEdge, type Tile } from '@plait/core';
import type { Published, TileBytes, TileStore } from '@plait/roles';
import { ContractError } from './scheduler.ts';

/** A store that outlives its writers. */
export class MemoryTiles implements TileStore {
  /** What is there, by path. */
  readonly tiles = new Map<string, Uint8Array>();
  #published: (Published & { readonly size: bigint }) | undefined;
  readonly #between: () => void;

  /** `between` is called before and after everything that can be seen apart; what it throws is a crash there. */
  constructor(between: () => void = () => undefined) {
    this.#between = between;
  }

  async write(tiles: readonly TileBytes[]): Promise<void> {
    for (const { tile, bytes } of tiles) {
      this.#between();
      this.tiles.set(tilePath(tile), bytes);
    }
    this.#between();
    for (const { tile } of tiles.filter((each) => each.tile.width === TILE_WIDTH)) {
      for (let width = 1; width < TILE_WIDTH; width += 1) this.tiles.delete(tilePath({ ...tile, width }));
    }
  }

  async read(tile: Tile): Promise<Uint8Array | undefined> {
    for (let width = tile.width; width <= TILE_WIDTH; width += 1) {
      const bytes = this.tiles.get(tilePath({ ...tile, width }));
      if (bytes === undefined) continue;
      return tile.level === 'entries' ? encodeEntries(decodeEntries(bytes, width).slice(0, tile.width)) : bytes.slice(0, tile.width * HASH_BYTES);
    }
    return undefined;
  }

  async wholeUpTo(size: bigint): Promise<bigint> {
    let whole = size;
    for (const tile of [...tilesAtEdge(size), ...fullTiles({ from: 0n, to: size })]) {
      const below = tile.index << (8n * BigInt(tile.level === 'entries' ? 1 : tile.level + 1));
      if ((await this.read(tile)) === undefined && below < whole) whole = below;
    }
    return whole;
  }

  async published(): Promise<Published | undefined> {
    return this.#published;
  }

  async publish(checkpoint: Published & { readonly size: bigint }): Promise<void> {
    this.#between();
    const whole = await this.wholeUpTo(checkpoint.size);
    if (whole !== checkpoint.size) throw new ContractError(`a checkpoint of ${checkpoint.size} is published, and the tiles are whole up to ${whole}`);
    if ((this.#published?.size ?? -1n) <= checkpoint.size) this.#published = checkpoint;
    this.#between();
  }

  async withdraw(): Promise<void> {
    this.#between();
    this.#published = undefined;
  }
}
