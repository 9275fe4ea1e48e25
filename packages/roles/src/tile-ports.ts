/**
 * Where the tree of headers is kept for others to read, as the tiles of c2sp.org/tlog-tiles. A port like those in ports.ts:
 * its doc is the contract.
 */
import type { Tile } from '@plait/core';

/** A tile and what it holds. */
export interface TileBytes {
  readonly tile: Tile;
  readonly bytes: Uint8Array;
}

/** A checkpoint for everybody. */
export interface Published {
  /** The signed note. */
  readonly note: Uint8Array;
  /** The verifier key under which it verifies, as text. */
  readonly vkey: string;
}

/**
 * Holds tiles and one checkpoint. All of it is derived from the log: for each tile, and for each size of the tree, there is
 * one text, so that several writers, also in other processes, never disagree. Every call is repeatable. Throws `unavailable`
 * for what may pass (a full disk), `config` for what only a person can change.
 */
export interface TileStore {
  /**
   * The tiles are durable when it resolves; a crash before that leaves each of them whole or not there. A full tile takes
   * the place of its partial ones.
   */
  write(tiles: readonly TileBytes[]): Promise<void>;

  /** What a tile holds, as it was written or cut from a wider one of the same index; undefined if it is not there. */
  read(tile: Tile): Promise<Uint8Array | undefined>;

  /**
   * The largest size, `size` at most, of which all tiles are there and of the right length. What they hold is not looked at.
   */
  wholeUpTo(size: bigint): Promise<bigint>;

  /** What was published last, as it was; undefined if nothing is. */
  published(): Promise<Published | undefined>;

  /**
   * Publishes a checkpoint of `size`, unless that of a larger tree is there. Durable when it resolves; a crash before that
   * leaves the one before. The caller has written the tiles of its size.
   */
  publish(checkpoint: Published & { readonly size: bigint }): Promise<void>;

  /** Nothing is published any more when it resolves. Tiles stay. */
  withdraw(): Promise<void>;
}
