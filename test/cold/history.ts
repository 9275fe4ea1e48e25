/**
 * A long ledger, made fast: real blocks, states, snapshots and checkpoints through the real fold, but signatures that only
 * {@link quickVerify} takes, since two hundred thousand of them would take a minute to make. The ledger key signs for real.
 */
import {
  apply, chainOf, emptyState, encodeState, ed25519Verify, EMPTY_ROOT, formatBlock, formatCheckpoint, formatClaim, formatGenesis, formatReport,
  formatSnapshot, hashToText, invariant, logPosition, makeSnapshots, rangeRoot, sealBlock, segmentHash, signNote, stateAt, utf8Encode,
  index, offset, epoch, base64Encode, concatBytes,
  type BlockHeader, type FoldState, type LedgerState, type LogPosition, type Outcome, type RecordSegment, type SignerKey, type VerifySignature,
} from '@plait/core';
import type { LogMessage } from '@plait/roles';
import { alice, BODY, checkpointKey, ledgerKey, ORIGIN, worker1 } from '../vectors/histories/builder.ts';

const INERT: ReadonlySet<string> = new Set(['ignored', 'snapshot', 'checkpoint']);
const QUICK = new Uint8Array(64).fill(0x5a);

/** Takes the signatures of {@link quickly} and those that are real. */
export const quickVerify: VerifySignature = (args) => args.signature.every((byte) => byte === 0x5a) || ed25519Verify(args);

/** The note of a text in a key's name, as quick to make as to check. */
export function quickly(text: string, { name, keyId }: SignerKey): Uint8Array {
  const id = new Uint8Array(4);
  new DataView(id.buffer).setUint32(0, keyId);
  return utf8Encode(`${text}\n\u2014 ${name} ${base64Encode(concatBytes(id, QUICK))}\n`);
}

/** Where a state lies, and the state. */
export interface Marked {
  readonly header: BlockHeader;
  readonly text: string;
  readonly state: LedgerState;
}

/** A ledger that grows. */
export class History {
  readonly messages: LogMessage[] = [];
  readonly snapshots: Marked[] = [];
  #state: FoldState = emptyState({ origin: ORIGIN, ledgerKey: ledgerKey.verifier });

  /** Begins with the genesis given and nobody who leads, or with an ordinary one and a leader. */
  constructor(genesis?: Uint8Array) {
    this.append(genesis ?? signNote(formatGenesis({ kind: 'genesis', origin: ORIGIN, ...BODY }), ledgerKey));
    if (genesis === undefined) this.claim();
  }

  get state(): LedgerState {
    invariant(this.#state.kind === 'ledger', 'no genesis yet');
    return this.#state;
  }

  get end(): LogPosition {
    return logPosition(BigInt(this.messages.length));
  }

  /** Another history with what this one holds now. */
  copy(): History {
    const copy = new History();
    copy.messages.length = 0;
    for (const message of this.messages) copy.messages.push(message);
    copy.snapshots.push(...this.snapshots);
    copy.#state = this.#state;
    return copy;
  }

  append(value: Uint8Array): Outcome {
    const position = this.end;
    this.messages.push({ position, value });
    const { state, outcome } = apply(this.#state, position, value, { verify: quickVerify });
    this.#state = state;
    return outcome;
  }

  /** A message that counts. */
  #accepted(value: Uint8Array, kind: Outcome['kind']): void {
    const outcome = this.append(value);
    invariant(outcome.kind === kind, `a ${kind} is ${JSON.stringify(outcome, (_, each: unknown) => (typeof each === 'bigint' ? String(each) : each))}`);
  }

  claim(key = alice): void {
    const { ledgerId, follows, epoch: current } = this.state;
    const nonce = '0'.repeat(32);
    this.#accepted(quickly(formatClaim({ kind: 'claim', origin: ORIGIN, ledgerId, epoch: epoch(current + 1n), follows, nonce }), key), 'claim');
  }

  /** One record of a partition, reported. */
  report(partition: number): void {
    const { end } = chainOf(this.state, { topic: 'orders', partition });
    const segment: RecordSegment = {
      kind: 'segment', topic: 'orders', partition, generation: end.generation, firstIndex: end.nextIndex, nextIndex: index(end.nextIndex + 1n),
      firstOffset: end.nextOffset, nextOffset: offset(end.nextOffset + 1n), root: hashToText(EMPTY_ROOT), previous: end.head,
    };
    invariant(segmentHash(segment) !== end.head, 'a new segment');
    this.#accepted(quickly(formatReport({ kind: 'report', origin: ORIGIN, ledgerId: this.state.ledgerId, segments: [segment] }), worker1), 'report');
  }

  /** A block; with a state, its chunks too. */
  block(withState = false): void {
    const { state } = this;
    const cut = withState ? state.tip : state.position;
    const header = sealBlock(state, { cut, wallMs: 1_700_000_000_000, withState });
    const text = formatBlock(header);
    this.#accepted(quickly(text, alice), 'block');
    if (!withState) return;
    const at = stateAt(state, cut);
    this.snapshots.push({ header, text, state: at });
    for (const snapshot of makeSnapshots(header, encodeState(at))) this.#accepted(utf8Encode(formatSnapshot(snapshot)), 'snapshot');
  }

  /** The checkpoint of all blocks so far. */
  checkpoint(key = checkpointKey): void {
    const { height, history } = this.state;
    this.append(quickly(formatCheckpoint({ kind: 'checkpoint', origin: ORIGIN, size: height, root: hashToText(rangeRoot(history)) }), key));
  }

  /** So many blocks; one in ten has something to number, one in `snapshotBlocks` carries the state. Checkpoints while `published`. */
  grow(blocks: number, { snapshotBlocks = 500, published = true } = {}): void {
    for (let i = 0; i < blocks; i += 1) {
      const number = Number(this.state.height) + 1;
      if (number % 10 === 0) this.report(number % 7);
      const withState = number % snapshotBlocks === 0;
      this.block(withState);
      if (withState && published) this.checkpoint();
    }
  }

  /** Messages that never count: noise, the past once more, blocks of an epoch that is over, a snapshot of a leader that is fenced. */
  flood(messages: number): void {
    const old = this.snapshots.slice(-3).flatMap(({ header }) => this.#messagesOf(header));
    const fenced = this.#fencedSnapshot();
    for (let i = 0; i < messages; i += 1) {
      const past = this.messages[(i * 7_919) % this.messages.length] as LogMessage;
      const choice = [utf8Encode(`noise ${i}`), past.value, old[i % old.length] ?? past.value, fenced[i % fenced.length] as Uint8Array][i % 4] as Uint8Array;
      const outcome = this.append(choice);
      const isInert = outcome.kind === 'report' ? outcome.segments.every(({ accepted }) => !accepted) : INERT.has(outcome.kind);
      invariant(isInert, `a flood's ${outcome.kind} counts`);
    }
  }

  /** A header with a state, its chunks and a checkpoint of it, as they stand in the log. */
  #messagesOf({ height }: BlockHeader): Uint8Array[] {
    return this.messages.slice(-5_000).map(({ value }) => value).filter((value) => {
      if (value.length < 100) return false;
      const text = new TextDecoder().decode(value);
      if (text.startsWith('plait.snapshot/v1\n')) return text.includes(`\nheight ${height}\n`);
      return text.startsWith('plait.block/v1\n') ? text.includes(`\nheight ${height}\n`) : text.startsWith(`${ORIGIN}\n${height + 1n}\n`);
    });
  }

  /** What one writes who does not know yet that somebody else leads now. */
  #fencedSnapshot(): Uint8Array[] {
    const { state } = this;
    const header = sealBlock(state, { cut: state.tip, wallMs: 1_700_000_000_000, withState: true });
    this.claim();
    const chunks = makeSnapshots(header, encodeState(stateAt(state, state.tip)));
    return [quickly(formatBlock(header), alice), ...chunks.map((chunk) => utf8Encode(formatSnapshot(chunk)))];
  }
}
