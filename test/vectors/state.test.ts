import {
  apply, base64Encode, commitState, compareSegments, concatBytes, decodeState, eachChain, emptyState, encodeState,
  epoch, formatBlock, formatGenesis, formatSnapshot, generation, isImplicit, isPlaitError, logPosition, makeSnapshots,
  offset, parseMessage, parseSnapshot, sealBlock, signNote, stateAt, utf8Decode, utf8Encode, verifyChunk,
} from '@plait/core';
import type { FoldState, Genesis, LedgerState, Snapshot, StateCommitment } from '@plait/core';
import { describe, expect, inject, it } from 'vitest';
import { fc } from '../properties/fast-check.ts';
import { alice, BODY, keyOf, ledgerKey, Log, noteOf, ORIGIN, OTHER, worker1 } from './histories/builder.ts';

const pinned = { origin: ORIGIN, ledgerKey: ledgerKey.verifier };
/** Point arithmetic is some twenty times slower than OpenSSL. */
const onNode = inject('platform') === 'node';

/** One move of a random history. Numbers are taken modulo what there is to choose from. */
type Move =
  | { readonly move: 'report'; readonly segments: readonly { partition: number; records: number; gap: number; wrong: boolean }[] }
  | { readonly move: 'claim' }
  | { readonly move: 'block'; readonly back: number; readonly withState: boolean }
  | { readonly move: 'configure'; readonly restart: number; readonly remove: boolean }
  | { readonly move: 'skip' };

const small = fc.nat({ max: 3 });
const moves: fc.Arbitrary<readonly Move[]> = fc.array(
  fc.oneof(
    { weight: 6, arbitrary: fc.record({
      move: fc.constant('report' as const),
      segments: fc.array(fc.record({ partition: small, records: small, gap: small, wrong: fc.nat({ max: 9 }).map((n) => n === 0) }), { minLength: 1, maxLength: 3 }),
    }) },
    { weight: 3, arbitrary: fc.record({ move: fc.constant('block' as const), back: small, withState: small.map((n) => n > 0) }) },
    { weight: 2, arbitrary: fc.record({ move: fc.constant('claim' as const) }) },
    { weight: 1, arbitrary: fc.record({ move: fc.constant('configure' as const), restart: small, remove: fc.boolean() }) },
    { weight: 1, arbitrary: fc.record({ move: fc.constant('skip' as const) }) },
  ),
  { minLength: 1, maxLength: 30, size: 'max' },
);

/** A note with a line in the key's name that nobody checks: what signatures decide is for the golden histories. */
function unsignedNote(text: string, { name, keyId }: typeof alice): string {
  const id = new Uint8Array(68);
  new DataView(id.buffer).setUint32(0, keyId);
  return noteOf(text, [`\u2014 ${name} ${base64Encode(id)}`]);
}

/** A log under random moves: its messages, and the state after each. */
class Random {
  readonly messages: { position: bigint; bytes: Uint8Array }[] = [];
  readonly states: LedgerState[] = [];
  #state: FoldState = emptyState(pinned);
  #next = 0n;
  #log = new Log('', '');

  constructor(all: readonly Move[]) {
    this.#put(genesisNote);
    this.#make({ move: 'claim' });
    for (const move of all) this.#make(move);
  }

  get state(): LedgerState {
    return this.states.at(-1) as LedgerState;
  }

  #put(bytes: Uint8Array): void {
    this.messages.push({ position: this.#next, bytes });
    this.#state = apply(this.#state, logPosition(this.#next), bytes, { verify: () => true }).state;
    this.states.push(this.#state as LedgerState);
    this.#log = Log.at(this.state);
    this.#next += 1n;
  }

  #make(move: Move): void {
    const { state } = this;
    if (move.move === 'skip') this.#next += 3n;
    if (move.move === 'claim') this.#put(utf8Encode(unsignedNote(this.#log.claimText(), alice)));
    if (move.move === 'report') this.#report(move.segments);
    if (move.move === 'block' && state.leader !== undefined) {
      const wanted = state.position - BigInt(move.back);
      const cut = logPosition(wanted < state.cut ? state.cut : wanted);
      const header = sealBlock(state, { cut, wallMs: 0, withState: move.withState && cut >= state.tip });
      this.#put(utf8Encode(unsignedNote(formatBlock(header), alice)));
    }
    if (move.move === 'configure') this.#configure(move.restart, move.remove);
  }

  #report(segments: Extract<Move, { move: 'report' }>['segments']): void {
    const byPartition = new Map(segments.map((segment) => [segment.partition, segment]));
    const made = [...byPartition.values()].map(({ partition, records, gap, wrong }) => this.#log.segment({
      partition, records, offsets: Math.max(1, records) + gap, change: wrong ? { previous: OTHER } : {},
    }));
    const text = this.#log.reportText(...made.toSorted(compareSegments));
    this.#put(utf8Encode(unsignedNote(text, worker1)));
  }

  #configure(partition: number, remove: boolean): void {
    const chain = [...eachChain(this.state.chains)].find((found) => found.topic === 'orders' && found.partition === partition);
    const next = generation((chain?.chain.end.generation ?? 0n) + 1n);
    const starts = remove ? [] : [{ topic: 'orders', partition, generation: next, offset: offset(5n) }];
    const text = this.#log.configurationText({ sources: remove ? ['returns'] : ['orders', 'returns'], starts });
    this.#put(signNote(text, ledgerKey));
  }
}

const genesisNote = signNote(formatGenesis({ kind: 'genesis', origin: ORIGIN, ...BODY, pendingMax: 4 }), ledgerKey);

/** A state such that equal means equal: chains that are there but say nothing are left out. */
function normal(state: LedgerState): unknown {
  const chains = [...eachChain(state.chains)].filter(({ chain, ...place }) => !isImplicit(state, place, chain));
  return { ...state, chains };
}

function runs(count: number): { numRuns: number } {
  return { numRuns: onNode ? count : Math.ceil(count / 5) };
}

describe('the state of random histories', () => {
  it('comes back from its text', () => {
    fc.assert(fc.property(moves, (all) => {
      const { state } = new Random(all);
      expect(normal(decodeState(encodeState(state), pinned))).toEqual(normal(state));
    }), runs(100));
  });

  it('at every cut from the tip on is told from a later one', () => {
    let cuts = 0;
    fc.assert(fc.property(moves, (all) => {
      const { state, states } = new Random(all);
      for (let cut = state.tip as bigint; cut <= state.position; cut += 1n) {
        const then = states.findLast(({ position }) => position <= cut) as LedgerState;
        expect(normal(stateAt(state, logPosition(cut)))).toEqual(normal({ ...then, position: logPosition(cut) }));
        cuts += Number(then.pending > 0);
      }
      // Behind the last message, too: a leader may cut where there is none.
      expect(normal(stateAt(state, logPosition(state.position + 1n)))).toEqual(normal({ ...state, position: logPosition(state.position + 1n) }));
      if (state.tip > 0n) expect(() => stateAt(state, logPosition(state.tip - 1n))).toThrow('invariant');
    }), runs(150));
    expect(cuts).toBeGreaterThan(20);
  });

  it('is the same folded at once, or from any prefix loaded from its text', () => {
    fc.assert(fc.property(moves, fc.nat(), (all, at) => {
      const { states, messages, state } = new Random(all);
      const prefix = at % states.length;
      let resumed: FoldState = decodeState(encodeState(states[prefix] as LedgerState), pinned);
      for (const { position, bytes } of messages.slice(prefix + 1)) {
        resumed = apply(resumed, logPosition(position), bytes, { verify: () => true }).state;
      }
      expect(normal(resumed as LedgerState)).toEqual(normal(state));
    }), runs(100));
  });
});

/** A state with every kind of line: chains with and without records, restarts before and behind pending segments. */
function richState(): LedgerState {
  const log = new Log('', '');
  log.genesis({ onLoss: 'record' }).claim();
  for (let i = 0; i < 3; i += 1) {
    log.extend({ records: 2 });
    log.block();
  }
  log.extend({ loss: true, offsets: 9 });
  log.extend({ partition: 1 });
  log.configure({ starts: [{ topic: 'orders', partition: 0, generation: generation(1n), offset: offset(4n) }] });
  log.claim();
  log.extend({ records: 0, offsets: 2 });
  return log.state;
}

describe('a cold start', () => {
  it('from the state that an accepted header carries comes to the same, the header itself met on the way', () => {
    let starts = 0;
    fc.assert(fc.property(moves, (all) => {
      const { states, messages, state } = new Random(all);
      for (const { bytes } of messages) {
        const { body } = parseMessage(bytes);
        if (body.kind !== 'block' || body.state === undefined) continue;
        const before = states.findLast(({ height, position }) => height === body.height && position >= body.cut) as LedgerState;
        const text = encodeState(stateAt(before, body.cut));
        verifyState(body.state, text);
        let resumed: FoldState = decodeState(text, pinned);
        for (const next of messages.filter(({ position }) => position > body.cut)) {
          resumed = apply(resumed, logPosition(next.position), next.bytes, { verify: () => true }).state;
        }
        expect(normal(resumed as LedgerState)).toEqual(normal(state));
        starts += 1;
      }
    }), runs(150));
    expect(starts).toBeGreaterThan(10);
  });
});

/** The state that a header commits to has this text. */
function verifyState(committed: StateCommitment, text: Uint8Array): void {
  expect(commitState(text)).toEqual(committed);
}

describe('the text of a state', () => {
  it('with any bit flipped is refused, or is the text of another state', () => {
    const bytes = encodeState(richState());
    let refused = 0;
    for (let bit = 0; bit < bytes.length * 8; bit += onNode ? 13 : 101) {
      const flipped = bytes.slice();
      flipped[bit >> 3] = (flipped[bit >> 3] as number) ^ (1 << (bit & 7));
      try {
        expect(utf8Decode(encodeState(decodeState(flipped, pinned)))).toBe(utf8Decode(flipped));
      } catch (error) {
        if (!isPlaitError(error, 'invalid')) throw error;
        refused += 1;
      }
    }
    expect(refused).toBeGreaterThan((bytes.length * 8) / (onNode ? 26 : 202));
  });

  it.each([
    ['a history of another size', /height 3/, 'height 4'],
    ['a partition beyond all bounds', /chain orders 1 /, 'chain orders 2147483647 '],
    ['chains in another order', /(chain orders 0 [^]*?)(chain orders 1 [^]*?)\nconfiguration/, '$2\n$1configuration'],
    ['a chain that says nothing', /\nconfiguration/, `\nchain orders 5 0 0 0 ${OTHER}\nconfiguration`],
    ['a leader without a key in force', /leader alice\S*/, `leader ${keyOf('mallory').verifier.vkey}`],
    ['another ledger', /\n[^\n]*\nposition/, `\n${OTHER}\nposition`],
    ['another origin', ORIGIN, `${ORIGIN}x`],
    ['a configuration that was changed', 'partitions-max 8', 'partitions-max 9'],
    ['no configuration', /\nconfiguration\n[^]*/, '\n'],
  ])('with %s is refused', (what, from, to) => {
    const text = utf8Decode(encodeState(richState()));
    const spoilt = text.replace(from, to);
    expect(spoilt).not.toBe(text);
    const decode = (): string => utf8Decode(encodeState(decodeState(utf8Encode(spoilt), pinned)));
    if (what === 'a chain that says nothing') expect(decode()).toBe(spoilt);
    else expect(decode).toThrow(expect.objectContaining({ code: 'invalid' }));
  });

  it('is folded and decoded in time that grows with its length, not its square', () => {
    const starts = Array.from({ length: 4_096 }, (_, i) => ({ topic: 'orders', partition: 60_000 + i, generation: generation(0n), offset: offset(1n) }));
    const note = signNote(formatGenesis({ kind: 'genesis', origin: ORIGIN, ...BODY, partitionsMax: 65_536, starts }), ledgerKey);
    const before = performance.now();
    const { state } = apply(emptyState(pinned), logPosition(0n), note);
    const bytes = encodeState(state as LedgerState);
    expect(decodeState(bytes, pinned).chains.get('orders')?.length).toBe(64_096);
    // Copying the topic's partitions once for each chain took eight.
    expect(performance.now() - before).toBeLessThan(3_000);
  });
});

/** A state of about as many bytes as 540 for each start. */
function stateOf(starts: number): LedgerState {
  const topic = 't'.repeat(200);
  const genesis: Genesis = {
    kind: 'genesis', origin: ORIGIN, ...BODY, sources: [topic],
    starts: Array.from({ length: starts }, (_, partition) => ({ topic, partition, generation: generation(0n), offset: offset(1n) })),
  };
  const { state } = apply(emptyState(pinned), logPosition(0n), signNote(formatGenesis(genesis), ledgerKey));
  return { ...(state as LedgerState), leader: { claim: (state as LedgerState).follows, key: alice.verifier }, epoch: epoch(1n) };
}

describe('snapshots', () => {
  const sizes = [1, 700, 1_200, 1_700, 2_400];
  const cases = sizes.map((starts) => {
    const state = stateOf(starts);
    const header = sealBlock(state, { cut: state.position, wallMs: 0, withState: true });
    return { state, header, snapshots: makeSnapshots(header, encodeState(state)) };
  });

  it('are of one to five chunks, each of which verifies alone and comes back from its text', () => {
    expect(cases.map(({ snapshots }) => snapshots.length)).toEqual([1, 2, 3, 4, 5]);
    for (const { state, header, snapshots } of cases) {
      for (const snapshot of snapshots) {
        const text = formatSnapshot(snapshot);
        const read = parseSnapshot(text);
        expect(formatSnapshot(read) === text).toBe(true);
        expect({ ...read, data: 0 }).toEqual({ ...snapshot, data: 0 });
        verifyChunk(header, read);
      }
      const whole = concatBytes(...snapshots.map(({ data }) => data));
      expect(normal(decodeState(whole, pinned))).toEqual(normal(state));
    }
  });

  it('with another chunk, number, path, height or size are refused', () => {
    for (const { header, snapshots } of cases) {
      for (const snapshot of snapshots) {
        const flipped = snapshot.data.slice();
        flipped[0] = (flipped[0] as number) ^ 1;
        const wrong: Partial<Snapshot>[] = [
          { data: flipped }, { data: snapshot.data.slice(0, -1) }, { data: new Uint8Array(0) },
          { chunk: snapshot.chunk + 1 }, { chunk: snapshots.length }, { path: [...snapshot.path, OTHER] },
          ...snapshot.path.map((_, i) => ({ path: snapshot.path.with(i, OTHER) })),
          ...(snapshot.path.length > 0 ? [{ path: snapshot.path.slice(1) }, { path: [] }] : []),
          { height: (snapshot.height + 1n) as Snapshot['height'] }, { stateBytes: snapshot.stateBytes + 1 },
          ...snapshots.filter((other) => other.chunk !== snapshot.chunk).map(({ data }) => ({ data })),
        ];
        for (const change of wrong) {
          expect(() => verifyChunk(header, { ...snapshot, ...change }), Object.keys(change).join()).toThrow(expect.objectContaining({ code: 'invalid' }));
        }
      }
      const { state: _state, ...stateless } = header;
      expect(() => verifyChunk(stateless, snapshots[0] as Snapshot)).toThrow('carries no state');
    }
  });
});
