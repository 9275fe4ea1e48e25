/**
 * A log with as many blocks as a test needs, at once: signed by the ledger's own keys and appended as a coordinator would,
 * though they number nothing.
 */
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  apply, emptyState, encodeState, epoch, formatBlock, formatClaim, formatSnapshot, logPosition, makeSnapshots, parseNote, parseSignerKey, parseVerifierKey,
  sealBlock, signNote, stateAt, utf8Encode,
  type FoldState, type LedgerState, type SignerKey,
} from '@plait/core';
import { openLogReader } from '@plait/kafka';
import { client } from '../kafka/client.ts';
import type { LedgerHarness } from './ledger-harness.ts';

/** The ledger's log, written to by nobody else but those who sign checkpoints. */
export class HeaderLog {
  readonly #ledger: LedgerHarness;
  readonly #coordinator: SignerKey;
  #state: FoldState;
  #position = 0n;
  /** The texts of all headers. */
  readonly headers: string[] = [];
  /** The checkpoints that were read, by their size. */
  readonly checkpoints = new Map<bigint, string>();

  private constructor(ledger: LedgerHarness, coordinator: SignerKey) {
    this.#ledger = ledger;
    this.#coordinator = coordinator;
    this.#state = emptyState({ origin: ledger.file.origin, ledgerKey: parseVerifierKey(ledger.file.ledgerKey) });
  }

  static async open(ledger: LedgerHarness): Promise<HeaderLog> {
    return new HeaderLog(ledger, parseSignerKey((await readFile(join(ledger.folder, 'keys', 'coordinator.key'), 'utf8')).trimEnd()));
  }

  get state(): LedgerState {
    if (this.#state.kind !== 'ledger') throw new Error('no genesis yet');
    return this.#state;
  }

  /** Folds what has arrived. */
  async read(): Promise<void> {
    const { place, file } = this.#ledger;
    const reader = await openLogReader({ kafka: { brokers: place.bootstrapServers.split(',') }, topic: file.log, from: logPosition(this.#position) });
    try {
      const end = await reader.end();
      while (reader.position() < end) for (const { position, value } of await reader.poll({ maxWaitMs: 1_000 })) this.#fold(position, value);
    } finally {
      await reader.close();
    }
  }

  #fold(position: bigint, value: Uint8Array): void {
    const { state, outcome } = apply(this.#state, logPosition(position), value);
    this.#state = state;
    this.#position = position + 1n;
    if (outcome.kind === 'block') this.headers.push(parseNote(value).text);
    if (outcome.kind === 'checkpoint') this.checkpoints.set(outcome.checkpoint.size, Buffer.from(value).toString());
  }

  /** Appends so many blocks by a leader of its own, the last of them with a state if `withState`. */
  async grow(blocks: number, { withState = false } = {}): Promise<void> {
    await this.read();
    const wanted = this.state.height + BigInt(blocks);
    // A checkpoint that comes in between moves the tip: a state made before it does not count, and its block is made again.
    while (this.state.height < wanted) {
      await this.append(this.#blocks(Number(wanted - this.state.height), withState));
      await this.read();
    }
  }

  /** A claim and so many blocks, as they follow what was read. */
  #blocks(count: number, withState: boolean): Uint8Array[] {
    let { state } = this;
    const values: Uint8Array[] = [];
    const add = (value: Uint8Array): void => {
      const { state: next } = apply(state, logPosition(this.#position + BigInt(values.length)), value);
      if (next.kind !== 'ledger') throw new Error('no genesis yet');
      state = next;
      values.push(value);
    };
    const { origin, ledgerId, epoch: current, follows } = state;
    add(signNote(formatClaim({ kind: 'claim', origin, ledgerId, epoch: epoch(current + 1n), follows, nonce: '0'.repeat(32) }), this.#coordinator));
    for (let left = count; left > 0; left -= 1) {
      const hasState = withState && left === 1;
      const before = state;
      const cut = hasState ? before.tip : before.position;
      const header = sealBlock(before, { cut, wallMs: 1_700_000_000_000, withState: hasState });
      add(signNote(formatBlock(header), this.#coordinator));
      if (hasState) for (const snapshot of makeSnapshots(header, encodeState(stateAt(before, cut)))) add(utf8Encode(formatSnapshot(snapshot)));
    }
    return values;
  }

  /** Appends messages, in this order, in one piece. */
  async append(values: readonly Uint8Array[]): Promise<void> {
    const producer = client(this.#ledger.place.bootstrapServers).producer({ allowAutoTopicCreation: false });
    await producer.connect();
    try {
      await producer.send({ topic: this.#ledger.file.log, acks: -1, messages: values.map((value) => ({ value: Buffer.from(value) })) });
    } finally {
      await producer.disconnect();
    }
  }
}
