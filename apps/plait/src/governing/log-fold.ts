/** The fold of a ledger's log, for commands that look at it or append to it once. */
import { apply, isPlaitError, isTransient, logPosition, PlaitError, type LedgerState } from '@plait/core';
import { openLogReader, type KafkaOptions } from '@plait/kafka';
import { systemClock, type LedgerFile } from '@plait/ledger';
import { Follower, type Folded, type LogAppender } from '@plait/roles';
import { pinnedOf } from '../running/wiring.ts';

const POLL_WAIT_MS = 100;
const READ_BACK_MS_MAX = 30_000;

/** A ledger's log, folded up to an end that was sampled at the start. */
export interface FoldedLog {
  readonly follower: Follower;
  /** As of that end, or of what was read since. */
  state(): LedgerState;
}

/**
 * Folds the whole log; `take` gets every message. The reader is closed by `ports`. Throws `config` for a log without this
 * ledger's genesis and for rules that this program does not know; `unavailable`.
 */
export async function foldLog(
  { ledger, kafka }: { readonly ledger: LedgerFile; readonly kafka: KafkaOptions },
  ports: AsyncDisposableStack, take: (folded: Folded) => void,
): Promise<FoldedLog> {
  const log = ports.adopt(await openLogReader({ kafka, topic: ledger.log, from: logPosition(0n) }), (port) => port.close());
  const follower = new Follower({ ...pinnedOf(ledger), log }, take);
  while (!(await follower.readToEnd())) continue;
  const state = (): LedgerState => {
    if (follower.state !== undefined) return follower.state;
    throw new PlaitError('config', `the log ${ledger.log} holds no genesis of ${ledger.origin}: this is not the log of that ledger, or init did not finish`);
  };
  state();
  return { follower, state };
}

/**
 * Throws `config` if a configuration's note would not count behind `state`: nothing would come of it, or, under rules that
 * this program does not know, a stop of every role.
 */
export function requireCounts(note: Uint8Array, state: LedgerState): void {
  const { outcome } = apply(state, logPosition(state.position + 1n), note);
  if (outcome.kind === 'configuration') return;
  const why = outcome.kind === 'ignored' ? outcome.reason : `it is a ${outcome.kind}`;
  throw new PlaitError('config', `this configuration would not count (${why}): nothing was appended. Write its text again with --write-text`);
}

/**
 * Appends a message until `readBack` says what became of it, sending the same bytes again after an answer that was lost.
 * Throws `unknown` when it was not read back in time: then it may still come.
 */
export async function appendAndReadBack<T>(
  message: Uint8Array, { appender, follower, readBack }: { appender: LogAppender; follower: Follower; readBack: () => T | undefined },
): Promise<T> {
  const deadlineMs = performance.now() + READ_BACK_MS_MAX;
  // A crash here leaves it in the log or not: both are found by folding the log.
  while (!(await appended(message, appender)) && performance.now() < deadlineMs) await pollPatiently(follower);
  for (;;) {
    const found = readBack();
    if (found !== undefined) return found;
    if (performance.now() >= deadlineMs) {
      throw new PlaitError('unknown', `the message was not read back within ${READ_BACK_MS_MAX / 1_000} s, and may be in the log or not: ` +
        'look with "plait history", and run the same command again if it is not');
    }
    await pollPatiently(follower);
  }
}

/** Who gave up here could not say whether the message is in the log: a second restart of a partition is not the first one again. */
async function pollPatiently(follower: Follower): Promise<void> {
  try {
    await follower.poll(POLL_WAIT_MS);
  } catch (error) {
    if (!isPlaitError(error, 'unavailable')) throw error;
    await systemClock.sleep(POLL_WAIT_MS);
  }
}

async function appended(message: Uint8Array, appender: LogAppender): Promise<boolean> {
  try {
    await appender.append(message);
    return true;
  } catch (error) {
    if (isTransient(error)) return false;
    throw error;
  }
}
