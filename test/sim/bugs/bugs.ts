/**
 * Deliberate bugs: each a mistake that a careful developer could make, as an edit of the real source. The simulator must
 * find every one of them; a simulator that does not is one that proves nothing.
 */

/** Replaces `from`, which must stand exactly once in the file, by `to`. */
export interface Edit {
  /** Path below `packages/`. */
  readonly file: string;
  readonly from: string;
  readonly to: string;
}

export interface Bug {
  readonly name: string;
  /** Which simulation must find it; `chaos` if not given. */
  readonly simulation?: 'rollback';
  readonly edits: readonly Edit[];
}

export const BUGS: readonly Bug[] = [
  {
    name: 'skip the epoch check',
    edits: [{ file: 'core/src/fold.ts', from: "if (claim.epoch !== state.epoch + 1n) return ignored('epoch');", to: '' }],
  },
  {
    name: 'skip the chain check',
    edits: [{ file: 'core/src/fold-report.ts', from: 'if (atEnd) return undefined;', to: 'return undefined;' }],
  },
  {
    name: 'skip the content check of a block',
    edits: [{ file: 'core/src/fold-block.ts', from: "if (!contentMatches(header, lines)) return ignored('content');", to: '' }],
  },
  {
    name: 'act before the own claim is read back',
    edits: [{
      file: 'roles/src/coordinator.ts',
      from: 'return leader !== undefined && leader.claim',
      to: 'if (this.#claim !== undefined) return true; return leader !== undefined && leader.claim',
    }],
  },
  {
    name: 'decide "mine" by key',
    edits: [{ file: 'roles/src/coordinator.ts', from: 'leader.claim === this.#claim?.hash && ', to: 'this.#claim !== undefined && ' }],
  },
  {
    name: 'resume a worker from a committed offset',
    edits: [
      {
        file: 'roles/src/partition-work.ts',
        from: 'this.#readTo = chain.end.nextOffset;',
        to: 'this.#readTo = (globalThis.committed ??= new Map()).get(`${partition.topic}/${partition.partition}`) ?? chain.end.nextOffset;',
      },
      {
        file: 'roles/src/partition-work.ts',
        from: 'this.#readTo = batch.nextOffset;',
        to: 'this.#readTo = batch.nextOffset; globalThis.committed.set(`${batch.topic}/${batch.partition}`, batch.nextOffset);',
      },
    ],
  },
  {
    name: "decide a block's content by what the leader happens to hold instead of by position",
    edits: [{ file: 'core/src/fold-block.ts', from: 'if (position <= cut) segments.push(segment);', to: 'segments.push(segment);' }],
  },
  {
    name: 'last claim wins',
    edits: [
      { file: 'core/src/fold.ts', from: 'if (claim.epoch !== state.epoch + 1n)', to: 'if (claim.epoch < state.epoch)' },
      { file: 'core/src/fold.ts', from: "if (claim.follows !== state.follows) return ignored('follows');", to: '' },
    ],
  },
  {
    name: 'seal another block when the first is not read back',
    edits: [{ file: 'roles/src/coordinator.ts', from: 'await this.#insist(this.#block);', to: 'await this.#seal(state, nowMs);' }],
  },
  {
    name: 'go on after an own report was ignored',
    edits: [
      { file: 'roles/src/worker.ts', from: '=== true) this.#forget(each.segment);', to: '=== true) void 0;' },
      { file: 'roles/src/worker.ts', from: "!== 'good') {", to: "=== 'never') {" },
    ],
  },
  {
    name: 'never claim without the lease',
    edits: [{ file: 'roles/src/takeover.ts', from: 'return holdsLease || ', to: 'return holdsLease && ' }],
  },
  {
    name: 'take the leases word for leading: never stand down for a newer claim',
    edits: [{ file: 'roles/src/coordinator.ts', from: "this.#standDown(outcome.kind === 'claim');", to: '' }],
  },
  {
    name: 'hand out a segment before all of its records were fetched',
    edits: [{
      file: 'roles/src/line-records.ts',
      from: 'if (buffer.nextOffset < segment.nextOffset) return undefined;',
      to: 'if (buffer.nextOffset <= segment.firstOffset) return undefined;',
    }],
  },
  {
    name: 'call a range lost that can still be read',
    edits: [{ file: 'roles/src/worker.ts', from: 'work.lose(logStart);', to: 'work.lose(end);' }],
  },
  {
    name: 'call what expired lost though no configuration allows it, and hash on behind it',
    edits: [
      { file: 'roles/src/worker.ts', from: "if (this.state?.configuration.body.onLoss !== 'record') {", to: 'if (false) {' },
      { file: 'core/src/fold-report.ts', from: "(segment.kind === 'loss' && body.onLoss === 'stop' ? 'loss-not-allowed' : undefined)", to: 'undefined' },
    ],
  },
  {
    name: 'go on without a look at the last segment',
    edits: [{ file: 'roles/src/chain-check.ts', from: 'return records === segmentCount(segment) && root === segment.root;', to: 'return true;' }],
  },
  {
    name: 'look at the last segment only when a worker starts with a partition',
    edits: [{
      file: 'roles/src/partition-work.ts',
      from: "const isThere = last?.kind === 'segment' && last.firstOffset >= logStart;",
      to: "const isThere = this.#phase === 'finding' && last?.kind === 'segment' && last.firstOffset >= logStart;",
    }],
  },
  {
    name: 'never read the last message again after a reconnect',
    simulation: 'rollback',
    edits: [{ file: 'roles/src/memory.ts', from: 'if (this.isConfirmed(incarnation)) return;', to: 'if (this.#confirmed !== undefined) return;' }],
  },
  {
    name: 'sign a block that was read but does not count',
    edits: [
      { file: 'roles/src/publisher.ts', from: "import {\n  formatCheckpoint,", to: "import {\n  appendLeaf, headerLeafHash, parseMessage, formatCheckpoint," },
      {
        file: 'roles/src/publisher.ts',
        from: '#absorb({ outcome, state }: Folded): void {',
        to: `#absorb({ outcome, state, value }: Folded): void {
          if (outcome.kind === 'ignored' && outcome.of === 'block' && outcome.reason !== 'malformed' && state !== undefined) {
            const { body, note } = parseMessage(value);
            const root = hashToText(rangeRoot(appendLeaf(state.history, headerLeafHash(note.text))));
            if (body.height === state.height) this.#missing.set(body.height + 1n, { tree: { size: body.height + 1n, root }, sentMs: -Infinity });
          }`,
      },
    ],
  },
  {
    name: 'sign the root that a header names, which is that of the headers before it',
    edits: [{
      file: 'roles/src/publisher.ts',
      from: '{ tree: treeOf(state), sentMs: Number.NEGATIVE_INFINITY }',
      to: '{ tree: { size: state.height, root: outcome.header.history }, sentMs: Number.NEGATIVE_INFINITY }',
    }],
  },
  {
    name: 'start cold from a state that nothing confirms',
    edits: [{ file: 'roles/src/snapshot-search.ts', from: 'if (confirmedBy !== undefined && version', to: 'if (version' }],
  },
  {
    name: 'take a checkpoint for confirmation whoever signed it',
    edits: [{
      file: 'roles/src/snapshot-search.ts',
      from: 'checkpoint.root === root &&\n      checkpointKeys.some((key) => verifyNoteSignature(checkpoint.note, key, this.#rules.verify))',
      to: 'checkpoint.root === root',
    }],
  },
  {
    name: 'go on from a state at its header instead of at its cut',
    edits: [{ file: 'roles/src/snapshot-search.ts', from: 'this.#found = { start: state, confirmedBy };', to: 'this.#found = { start: { ...state, position: found.header.cut + 2n }, confirmedBy };' }],
  },
];
