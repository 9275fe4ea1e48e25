/** Records of a former generation that differ: gone if the partition began anew over them, tampered if it began above them. */
import { encodePayload, formatConfiguration, generation, logPosition, minimalPayload, offset, signNote, type LogPosition } from '@plait/core';
import { Reader, type Clock, type LogReader, type SourceEvent, type SourceReader } from '@plait/roles';
import { expect, test } from 'vitest';
import { History, quickVerify } from '../cold/history.ts';
import { BODY, ledgerKey, ORIGIN } from '../vectors/histories/builder.ts';

const clock: Clock = { nowMs: () => 0, wallMs: () => 0, sleep: async () => undefined };
const payload = minimalPayload(encodePayload({ key: null, value: new Uint8Array(8), headers: [] }));
/** What the partition holds is not what was hashed. */
const answer: SourceEvent = {
  kind: 'records', topic: 'orders', partition: 0, firstOffset: offset(0n), records: [{ offset: offset(0n), timestamp: 0n, payload }], nextOffset: offset(1n),
};
const source: SourceReader = {
  seek: () => undefined, drop: () => undefined, find: () => undefined, close: async () => undefined, poll: async () => [answer],
};

/** Records come with the third poll behind a seek; what the partition holds is said at once. */
class Slow implements SourceReader {
  #polls = 0;
  #isAsked = false;

  seek(): void {
    this.#polls = 0;
  }

  find(): void {
    this.#isAsked = true;
  }

  drop(): void {
    this.#isAsked = false;
  }

  async poll(): Promise<SourceEvent[]> {
    if (this.#isAsked) return [{ kind: 'found', topic: 'orders', partition: 0, logStart: offset(0n), end: offset(1n) }];
    this.#polls += 1;
    return this.#polls < 3 ? [] : [answer];
  }

  async close(): Promise<void> {
    this.drop();
  }
}

/** Reads the messages of the log below `end`, as if the others came later. */
function logOf(history: History, from: LogPosition, end = history.end): LogReader {
  let read = Number(from);
  return {
    poll: async () => history.messages.slice(read, (read = Number(end))),
    position: () => logPosition(BigInt(read)), end: async () => end, incarnation: () => 0, close: async () => undefined,
  };
}

/** A log of one record numbered in generation 0; then its partition begins anew at each of the offsets in turn. */
function restarted(offsets: readonly bigint[]): { history: History; behindBlock: LogPosition } {
  const history = new History();
  history.report(0);
  history.block();
  const behindBlock = history.end;
  for (const [i, at] of offsets.entries()) {
    const { ledgerId, configuration } = history.state;
    const starts = [{ topic: 'orders', partition: 0, generation: generation(BigInt(i + 1)), offset: offset(at) }];
    const text = formatConfiguration({ kind: 'configuration', origin: ORIGIN, ledgerId, version: configuration.version + 1n, previous: configuration.hash, ...BODY, starts });
    expect(history.append(signNote(text, ledgerKey))).toMatchObject({ kind: 'configuration' });
  }
  return { history, behindBlock };
}

test.each([
  { offsets: [0n], code: 'missing', what: 'it began over the record' },
  { offsets: [1n], code: 'invalid', what: 'it began behind the record' },
  { offsets: [1n, 0n], code: 'missing', what: 'it began behind the record, and then over it' },
  { offsets: [1n, 5n], code: 'invalid', what: 'it began behind the record twice' },
])('$what: $code', async ({ offsets, code }) => {
  const { history, behindBlock } = restarted(offsets);
  // It has folded the configurations, or has not come to them yet.
  for (const end of [history.end, behindBlock]) {
    const reader = new Reader({
      origin: ORIGIN, ledgerKey: ledgerKey.verifier, log: logOf(history, logPosition(0n), end), verify: quickVerify, source, clock,
      openLog: async (from) => logOf(history, from), newest: async () => history.state,
    });
    await expect(reader.step()).rejects.toMatchObject({ code });
  }
});

test('records of a former generation that are there are waited for, however slowly they come', async () => {
  const { history } = restarted([0n]);
  const reader = new Reader({
    origin: ORIGIN, ledgerKey: ledgerKey.verifier, log: logOf(history, logPosition(0n)), verify: quickVerify, source: new Slow(), clock,
    openLog: async (from) => logOf(history, from), newest: async () => history.state,
  });
  const read = async (): Promise<void> => {
    for (let steps = 0; steps < 20; steps += 1) await reader.step();
  };
  await expect(read()).rejects.toMatchObject({ code: 'missing', message: expect.stringContaining('differs from what was hashed') });
});
