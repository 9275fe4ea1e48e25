/**
 * Where the messages of a log come from when it is written anew: copies of roles, and of the damaged topic what agrees with
 * them. What state files remember decides which copies are of the log that counts.
 */
import { equalBytes, logPosition, PlaitError, type Hash, type LogPosition } from '@plait/core';
import type { CopyFile } from '@plait/disk';
import { markOf, type LogMessage, type OpenLog, type Remembered } from '@plait/roles';

/** What a role remembers, and in which file. */
export interface Witness extends Remembered {
  readonly path: string;
}

/** Messages that some role remembers: their hashes by position. */
export type Pins = ReadonlyMap<bigint, { readonly message: Hash; readonly path: string }>;

/** The pins of all witnesses. Throws `config` if two of them remember different pasts. */
export function pinsOf(witnesses: readonly Witness[]): Pins {
  const pins = new Map<bigint, { message: Hash; path: string }>();
  for (const { path, position, message, marks } of witnesses) {
    for (const mark of [{ position, message }, ...marks]) {
      const known = pins.get(mark.position);
      if (known !== undefined && known.message !== mark.message) throw contradiction(known.path, path, mark.position);
      pins.set(mark.position, { message: mark.message, path });
    }
  }
  return pins;
}

function contradiction(one: string, other: string, position: bigint): PlaitError {
  return new PlaitError('config', `the state files ${one} and ${other} remember different messages at position ${position}: one of their ` +
    'roles knew only what the log became after it was rolled back. Reset that one with "plait recover --forget FILE", and run this again');
}

/** Copies that agree with each other and with all that is remembered, and what was passed over. */
export interface ChosenCopies {
  /** By their first positions. */
  readonly files: readonly CopyFile[];
  /** Sentences for people. */
  readonly passedOver: readonly string[];
}

/**
 * Leaves out the copies that contradict what is remembered. Throws `config` if two of the others differ: then nobody but the
 * caller can know which is right.
 */
export async function chooseCopies(files: readonly CopyFile[], pins: Pins): Promise<ChosenCopies> {
  const passedOver: string[] = [];
  const chosen: CopyFile[] = [];
  for (const file of files) {
    const wrong = contradicted(await file.read(), file, pins);
    if (wrong === undefined) chosen.push(file);
    else passedOver.push(`${file.path}: at position ${wrong} it differs from what ${pins.get(wrong)?.path} remembers`);
  }
  const sorted = chosen.toSorted((a, b) => (a.first < b.first ? -1 : 1));
  await requireAgreement(sorted);
  return { files: sorted, passedOver };
}

function contradicted(messages: readonly LogMessage[], { first, last }: CopyFile, pins: Pins): bigint | undefined {
  const held = new Map(messages.map((message) => [message.position as bigint, message]));
  for (const [position, { message }] of pins) {
    if (position < first || position > last) continue;
    const found = held.get(position);
    if (found === undefined || markOf(found).message !== message) return position;
  }
  return undefined;
}

async function requireAgreement(files: readonly CopyFile[]): Promise<void> {
  for (const [i, one] of files.entries()) {
    for (const other of files.slice(i + 1).filter(({ first }) => first <= one.last)) {
      const position = firstDifference(await one.read(), await other.read(), { from: other.first, to: one.last < other.last ? one.last : other.last });
      if (position === undefined) continue;
      throw new PlaitError('config', `the copies ${one.path} and ${other.path} differ at position ${position}, and no state file says which is ` +
        'right: one was made after the log was rolled back. Move that one away, and run this again');
    }
  }
}

function firstDifference(one: readonly LogMessage[], other: readonly LogMessage[], { from, to }: { from: bigint; to: bigint }): bigint | undefined {
  const inside = ({ position }: LogMessage): boolean => from <= position && position <= to;
  const [a, b] = [one.filter(inside), other.filter(inside)];
  for (let i = 0; i < Math.max(a.length, b.length); i += 1) {
    const [x, y] = [a[i], b[i]];
    if (x === undefined || y === undefined) return (x ?? y)?.position;
    if (x.position !== y.position) return x.position < y.position ? x.position : y.position;
    if (!equalBytes(x.value, y.value)) return x.position;
  }
  return undefined;
}

/** How far a damaged topic can be used. */
export interface Prefix {
  /** Below it nothing in it contradicts what is copied or remembered. */
  readonly end: LogPosition;
  /** Below it everything is as it was: `end`, or where it was last found the same before something differed. */
  readonly sureEnd: LogPosition;
}

/** Compares the damaged topic, from `from` on, with all that is copied or remembered. */
export async function agreeingPrefix(openLog: OpenLog, from: bigint, { files, pins }: { files: readonly CopyFile[]; pins: Pins }): Promise<Prefix> {
  const copied = copiedMessages(files, from);
  let copy = await copied.next();
  const remembered = [...pins.keys()].filter((position) => position >= from).toSorted((a, b) => (a < b ? -1 : 1));
  let pinned = 0;
  let next = from;
  let sureEnd = logPosition(from);
  const until = (end: bigint): Prefix => ({ end: logPosition(end), sureEnd });
  for await (const found of topicMessages(openLog, from)) {
    const expected = copy.done === true ? undefined : copy.value;
    // Something that was there before this message is missing.
    if (expected !== undefined && expected.position < found.position) return until(expected.position);
    if ((remembered[pinned] ?? found.position) < found.position) return until(next);
    const pin = pins.get(found.position);
    if (pin !== undefined && pin.message !== markOf(found).message) return until(found.position);
    const isCopied = expected?.position === found.position;
    if (isCopied && !equalBytes(expected.value, found.value)) return until(found.position);
    if (!isCopied && files.some(({ first, last }) => first <= found.position && found.position <= last)) return until(found.position);
    if (isCopied) copy = await copied.next();
    if (pin !== undefined) pinned += 1;
    next = found.position + 1n;
    if (pin !== undefined || isCopied) sureEnd = logPosition(next);
  }
  const isWhole = pinned === remembered.length && copy.done === true;
  return isWhole ? { end: logPosition(next), sureEnd: logPosition(next) } : until(next);
}

/** The messages of copies from a position on, each once. */
export async function* copiedMessages(files: readonly CopyFile[], from: bigint): AsyncGenerator<LogMessage, undefined> {
  let next = from;
  for (const file of files) {
    if (file.last < next) continue;
    for (const message of await file.read()) if (message.position >= next) yield message;
    next = file.last + 1n;
  }
}

const POLL_WAIT_MS = 200;

/** The messages of a topic from a position on, up to the end it has when asked. */
export async function* topicMessages(openLog: OpenLog, from = 0n): AsyncGenerator<LogMessage, undefined> {
  const log = await openLog(logPosition(from));
  try {
    const end = await log.end();
    while (log.position() < end) yield* await log.poll({ maxWaitMs: POLL_WAIT_MS });
  } finally {
    await log.close();
  }
}
