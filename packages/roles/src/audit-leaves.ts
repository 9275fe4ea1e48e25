/** Which record it is: the leaves that were hashed beside those of the records that are there. Pure. */
import { decodeLeaf, equalBytes, hashToText, splitLeaves, type Leaf } from '@plait/core';
import type { FindingKind } from './audit-types.ts';

/** The first record that is another, or is not there, or should not be. */
export interface LeafDifference {
  readonly kind: Extract<FindingKind, 'payload-changed' | 'timestamp-changed' | 'record-missing' | 'record-added'>;
  /** Number of the leaf in its segment; of one that was added, of the one that should be in its place. */
  readonly at: number;
  readonly offset: bigint;
  readonly expected: string;
  readonly found: string;
  /** What the leaves around it suggest; a sentence. */
  readonly hint?: string;
}

/** The first difference of two lists of leaves, 48 bytes each; undefined if there is none. */
export function firstDifference(hashed: Uint8Array, there: Uint8Array): LeafDifference | undefined {
  const [expected, found] = [leavesIn(hashed), leavesIn(there)];
  const at = expected.findIndex((leaf, i) => !isSame(leaf, found[i]));
  if (at >= 0) return differenceAt(at, expected, found);
  const extra = found[expected.length];
  return extra && { kind: 'record-added', at: expected.length, offset: extra.offset, expected: 'no record', found: say(extra) };
}

function differenceAt(at: number, expected: readonly Leaf[], found: readonly (Leaf | undefined)[]): LeafDifference {
  const wanted = expected[at] as Leaf;
  const there = found[at];
  const missing: LeafDifference = { kind: 'record-missing', at, offset: wanted.offset, expected: say(wanted), found: there === undefined ? 'no record' : `next is ${say(there)}` };
  if (there === undefined || there.offset > wanted.offset) return missing;
  const added: LeafDifference = { kind: 'record-added', at, offset: there.offset, expected: `next is ${say(wanted)}`, found: say(there) };
  if (there.offset < wanted.offset) return added;
  // Offsets may have been given out anew, so that all behind the place has moved.
  const isSwap = sameRecord(there, expected[at + 1]) && sameRecord(wanted, found[at + 1]);
  if (!isSwap && sameRecord(there, expected[at + 1])) return { ...missing, hint: 'the records behind it have moved up by one: one was removed, and the others renumbered' };
  if (!isSwap && sameRecord(wanted, found[at + 1])) return { ...added, hint: 'the records behind it have moved down by one: one was put in, and the others renumbered' };
  const isTimeOnly = equalBytes(wanted.digest, there.digest);
  const other = expected.find((leaf, i) => i !== at && equalBytes(leaf.digest, there.digest));
  return {
    kind: isTimeOnly ? 'timestamp-changed' : 'payload-changed', at, offset: wanted.offset, expected: say(wanted), found: say(there),
    ...(isTimeOnly || other === undefined ? {} : { hint: `it holds what was hashed at offset ${other.offset}: records changed places` }),
  };
}

function leavesIn(bytes: Uint8Array): readonly Leaf[] {
  return splitLeaves(bytes).map(decodeLeaf);
}

function say({ offset, timestamp, digest }: Leaf): string {
  return `offset ${offset}, timestamp ${timestamp}, payload digest ${hashToText(digest)}`;
}

function sameRecord(a: Leaf, b: Leaf | undefined): boolean {
  return b !== undefined && a.timestamp === b.timestamp && equalBytes(a.digest, b.digest);
}

function isSame(a: Leaf, b: Leaf | undefined): boolean {
  return b !== undefined && a.offset === b.offset && sameRecord(a, b);
}
