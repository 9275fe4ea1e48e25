/**
 * What somebody with a broker's disk in hands can do to a log: every message dropped, every neighbours swapped, every message
 * edited. An audit finds whatever changes the order, and accuses nobody where the order stays the same.
 */
import { apply, emptyState, formatCheckpoint, hashToText, rangeRoot, signNote, type FoldState, type Hash, type LedgerState } from '@plait/core';
import { Prng } from '@plait/testkit';
import { readSignedCheckpoint, type LogMessage } from '@plait/roles';
import { beforeAll, expect, test } from 'vitest';
import { cachedVerify, CHECKPOINT_KEY, LEDGER_KEY, ORIGIN } from '../../packages/testkit/src/keyring.ts';
import { verifyWorld, worldOf, type World } from './world.ts';

const verify = cachedVerify();

interface Folded {
  readonly state: LedgerState | undefined;
  /** The root of the tree at each height. */
  readonly roots: readonly Hash[];
}

function fold(messages: readonly LogMessage[]): Folded | 'stop' {
  let state: FoldState = emptyState({ origin: ORIGIN, ledgerKey: LEDGER_KEY.verifier });
  const roots: Hash[] = [];
  for (const { position, value } of messages) {
    try {
      const applied = apply(state, position, value, { verify });
      state = applied.state;
      if (applied.outcome.kind === 'block') roots.push(hashToText(rangeRoot((state as LedgerState).history)));
    } catch {
      return 'stop';
    }
  }
  return { state: state.kind === 'ledger' ? state : undefined, roots };
}

/** Other messages at the positions of the old ones. */
function inPlace(world: World, values: readonly Uint8Array[]): World {
  return { ...world, messages: values.map((value, i) => ({ position: (world.messages[i] as LogMessage).position, value })) };
}

let world: World;
let whole: Folded;

beforeAll(async () => {
  ({ honest: world } = await worldOf(7));
  whole = fold(world.messages) as Folded;
});

function newest() {
  const { state, roots } = whole;
  const text = formatCheckpoint({ kind: 'checkpoint', origin: ORIGIN, size: state?.height ?? 0n, root: roots.at(-1) as Hash });
  return readSignedCheckpoint(signNote(text, CHECKPOINT_KEY), 'kept');
}

/** How an audit ends, with and without a newer checkpoint: as it must, whatever the fold makes of the messages. */
async function expectFound(mutated: World, what: string, { mayHeal = false } = {}): Promise<string> {
  const folded = fold(mutated.messages);
  if (folded === 'stop') {
    await expect(verifyWorld(mutated), what).rejects.toMatchObject({ code: 'config' });
    return 'stop';
  }
  const [plain, trusting] = [await verifyWorld(mutated), await verifyWorld(mutated, { trusted: [newest()] })];
  const isSame = folded.roots.at(-1) === whole.roots.at(-1);
  const isPrefix = folded.roots.every((root, i) => root === whole.roots[i]);
  const told = `${what}: ${plain.verdict} ${plain.finding?.kind} ${plain.finding?.message}; ${trusting.verdict} ${trusting.finding?.kind}`;
  // Of messages that were sent twice the second copies may heal the order; that the first was moved shows all the same.
  if (isSame) expect([plain.verdict, trusting.verdict], told).toEqual(mayHeal && plain.finding ? ['tampered', 'tampered'] : ['verified', 'verified']);
  else expect(trusting.verdict, told).not.toBe('verified');
  // Who remembers nothing takes a log that only lacks its end for whole.
  if (!isPrefix) expect(plain.verdict, told).toBe('tampered');
  return isSame ? `${plain.verdict} since the order is the same` : `${plain.finding?.kind} / ${trusting.finding?.kind}`;
}

function tally(found: readonly string[]): void {
  const counts = new Map<string, number>();
  for (const each of found) counts.set(each, (counts.get(each) ?? 0) + 1);
  process.stdout.write(`${[...counts].map(([what, count]) => `${count} ${what}`).join(', ')}\n`);
}

test('the world is right as it is', async () => {
  expect(await verifyWorld(world, { trusted: [newest()] })).toMatchObject({ verdict: 'verified' });
});

test('every message dropped', async () => {
  const found: string[] = [];
  for (const [i, { position }] of world.messages.entries()) {
    found.push(await expectFound({ ...world, messages: world.messages.toSpliced(i, 1) }, `without position ${position}`));
  }
  tally(found);
});

test('every two neighbours swapped', async () => {
  const found: string[] = [];
  const values = world.messages.map(({ value }) => value);
  for (let i = 1; i < values.length; i += 1) {
    const swapped = values.with(i - 1, values[i] as Uint8Array).with(i, values[i - 1] as Uint8Array);
    found.push(await expectFound(inPlace(world, swapped), `neighbours ${i - 1} and ${i} swapped`, { mayHeal: true }));
  }
  tally(found);
});

test('every message edited', async () => {
  const found: string[] = [];
  const random = new Prng('edits');
  for (const [i, { position, value }] of world.messages.entries()) {
    const edited = value.slice();
    const at = random.int(edited.length);
    edited[at] = (edited[at] as number) ^ (1 << random.int(8));
    const values = world.messages.map((message) => message.value).with(i, edited);
    found.push(await expectFound(inPlace(world, values), `position ${position}, byte ${at} edited`));
  }
  tally(found);
});

test('every end cut off', async () => {
  const found: string[] = [];
  for (let i = 1; i < world.messages.length; i += 3) found.push(await expectFound({ ...world, messages: world.messages.slice(0, i) }, `cut off at ${i}`));
  tally(found);
});
