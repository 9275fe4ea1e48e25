/** Messages to recognise a log by: which to keep, and up to which of them a log is the same. */
import { equalBytes, hashToText, isPlaitError, logPosition, sha256, type LogPosition } from '@plait/core';
import { IDLE_WAIT_MS } from './limits.ts';
import type { LogCopy, LogMessage, Mark, OpenLog } from './ports.ts';

/** The mark of a message. */
export function markOf({ position, value }: LogMessage): Mark {
  return { position, message: hashToText(sha256(value)) };
}

/**
 * Of `marks`, newest first, the oldest in each doubling of the distance to `position`: at most 63, and whatever happened lies
 * within four times its distance of one of them. Pure.
 */
export function thinMarks(marks: readonly Mark[], position: LogPosition): readonly Mark[] {
  const kept = new Map<number, Mark>();
  for (const mark of marks) if (mark.position < position) kept.set((position - mark.position).toString(2).length, mark);
  return [...kept.values()];
}

/** What a log holds at a position: the message with this mark, something or nothing else, or what was there is deleted. */
export type Found = 'same' | 'other' | 'deleted';

/** Reads one message again. Throws `unavailable`. */
export async function findMark(openLog: OpenLog, { position, message }: Mark): Promise<Found> {
  const log = await openLog(position);
  try {
    if ((await log.end()) <= position) return 'other';
    while (log.position() <= position) {
      const [first] = await log.poll({ maxWaitMs: IDLE_WAIT_MS });
      if (first !== undefined) return first.position === position && markOf(first).message === message ? 'same' : 'other';
    }
    return 'other';
  } catch (error) {
    if (isPlaitError(error, 'rolled-back')) return 'other';
    if (isPlaitError(error, 'missing')) return 'deleted';
    throw error;
  } finally {
    await log.close();
  }
}

/**
 * The last position up to which the log is what it was: that of the newest of `marks` that is still the same, by bisection;
 * with a copy exactly. Undefined if nothing is. Throws `unavailable`.
 */
export async function lastCommonPoint(
  openLog: OpenLog, marks: readonly Mark[], copy?: LogCopy,
): Promise<LogPosition | undefined> {
  const known = marks.toSorted((a, b) => (a.position < b.position ? -1 : 1));
  let below = 0;
  let above = known.length;
  while (below < above) {
    const middle = (below + above) >>> 1;
    if ((await findMark(openLog, known[middle] as Mark)) === 'other') above = middle;
    else below = middle + 1;
  }
  const common = known[below - 1]?.position;
  if (copy === undefined) return common;
  return (await compareWithCopy(openLog, copy, logPosition((common ?? -1n) + 1n))) ?? common;
}

/** The last position from `from` on up to which log and copy are the same; undefined if they differ at once. */
async function compareWithCopy(openLog: OpenLog, copy: LogCopy, from: LogPosition): Promise<LogPosition | undefined> {
  const log = await openLog(from);
  let common: LogPosition | undefined;
  try {
    const end = await log.end();
    let ready: readonly LogMessage[] = [];
    let at = 0;
    for await (const kept of copy.messages(from)) {
      while (at === ready.length && log.position() < end) {
        ready = await log.poll({ maxWaitMs: IDLE_WAIT_MS });
        at = 0;
      }
      const found = ready[at];
      at += 1;
      if (found?.position !== kept.position || !equalBytes(found.value, kept.value)) return common;
      common = kept.position;
    }
    return common;
  } catch (error) {
    if (isPlaitError(error, 'rolled-back') || isPlaitError(error, 'missing')) return common;
    throw error;
  } finally {
    await log.close();
  }
}
