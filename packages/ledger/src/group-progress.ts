/** Commits of a reading, put together: however many are asked for at a time, one request is on its way. */
import { isPlaitError, type Seq } from '@plait/core';
import type { Hold, ReaderGroup } from '@plait/kafka';

/** How far a hold is to be committed. */
export interface Wanted {
  readonly nextSeq: Seq;
  /** What Kafka's tools see: an offset of the hold's partition. */
  readonly offset: bigint;
  readonly metadata: string;
}

interface Batch {
  readonly commits: Map<Hold, Wanted>;
  readonly sent: Promise<void>;
}

export class GroupProgress {
  readonly #member: Pick<ReaderGroup, 'commit'>;
  readonly #done = new WeakMap<Hold, bigint>();
  /** Takes commits until its turn comes. */
  #next: Batch | undefined;
  #turn: Promise<void> = Promise.resolve();

  constructor(member: Pick<ReaderGroup, 'commit'>) {
    this.#member = member;
  }

  /** Resolves when this much of the hold, or more, is committed. Throws as `ReaderGroup.commit`. */
  async commit(hold: Hold, wanted: Wanted): Promise<void> {
    if (this.#isDone(hold, wanted)) return;
    const { commits, sent } = (this.#next ??= this.#open());
    const former = commits.get(hold);
    if (former === undefined || former.nextSeq < wanted.nextSeq) commits.set(hold, wanted);
    await sent;
    // It was left out of the batch because its hold is lost, which is what this says.
    if (!this.#isDone(hold, wanted)) await this.#member.commit([{ hold, ...wanted }]);
  }

  /** Resolves when nothing is on its way. Never rejects. */
  async settle(): Promise<void> {
    await this.#turn;
  }

  #isDone(hold: Hold, { nextSeq }: Wanted): boolean {
    return (this.#done.get(hold) ?? -1n) >= nextSeq;
  }

  #open(): Batch {
    const commits = new Map<Hold, Wanted>();
    const sent = this.#sendAfter(this.#turn, commits);
    this.#turn = sent.catch(() => undefined);
    return { commits, sent };
  }

  async #sendAfter(turn: Promise<void>, commits: ReadonlyMap<Hold, Wanted>): Promise<void> {
    await turn;
    this.#next = undefined;
    await this.#send(commits);
  }

  /** Of several holds one may be lost: the others are committed all the same. */
  async #send(commits: ReadonlyMap<Hold, Wanted>): Promise<void> {
    for (;;) {
      const live = [...commits].filter(([hold, wanted]) => hold.state !== 'lost' && !this.#isDone(hold, wanted));
      if (live.length === 0) return;
      try {
        await this.#member.commit(live.map(([hold, wanted]) => ({ hold, ...wanted })));
        for (const [hold, { nextSeq }] of live) this.#done.set(hold, nextSeq);
        return;
      } catch (error) {
        const lost = live.some(([hold]) => hold.state === 'lost');
        if (!isPlaitError(error, 'fenced') || !lost) throw error;
      }
    }
  }
}
