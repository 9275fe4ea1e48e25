/** The files of a tree, made from the list of its entries as c2sp.org/tlog-tiles defines them: slow, and on its own. */
import { leafHash, treeRoot, utf8Encode } from '@plait/core';

const WIDTH = 256;

/** Every tile of the tree of these entries by its path: those that are full, and one partial one at each level that has one. */
export function treeFiles(entries: readonly string[]): Map<string, Buffer> {
  const leaves = entries.map((text) => leafHash(utf8Encode(text)));
  const files = new Map<string, Buffer>();
  const add = (level: number | string, all: readonly Uint8Array[]): void => {
    for (let at = 0; at < all.length; at += WIDTH) {
      const tile = all.slice(at, at + WIDTH);
      files.set(`tile/${level}/${nameOf(at / WIDTH)}${tile.length === WIDTH ? '' : `.p/${tile.length}`}`, Buffer.concat(tile));
    }
  };
  add('entries', entries.map((text) => {
    const bytes = Buffer.from(text);
    return Buffer.concat([Buffer.from([bytes.length >> 8, bytes.length % 256]), bytes]);
  }));
  for (let level = 0, span = 1; span <= leaves.length; level += 1, span *= WIDTH) {
    add(level, Array.from({ length: Math.floor(leaves.length / span) }, (_, i) => treeRoot(leaves.slice(i * span, (i + 1) * span))));
  }
  return files;
}

function nameOf(index: number): string {
  const low = String(index % 1_000).padStart(3, '0');
  return index < 1_000 ? low : `x${String(Math.floor(index / 1_000)).padStart(3, '0')}/${low}`;
}
