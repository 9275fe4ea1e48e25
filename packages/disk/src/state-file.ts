/**
 * What a role remembers, as a file of JSON (docs/FORMAT.md, section 10): one for each kind of role and machine, shared by the
 * processes of that kind. Its last value is a checksum, so that a damaged file is never taken for a log that changed.
 */
import { dirname } from 'node:path';
import { height, logPosition, parseHash, parseOrigin, parseUint63, PlaitError } from '@plait/core';
import type { Mark, Memory, Remembered } from '@plait/roles';
import { makeFolder, replaceFile, withLock } from './files.ts';
import { formatSealed, objectOf, parseSealed, readSealed, textOf, type Json, type Sealed } from './sealed.ts';

const MODE = 0o600;
/** One for each doubling of the distance: 63 bits of positions. */
const MARKS_MAX = 64;

const STATE: Sealed<Remembered> = {
  format: 'plait.memory/v1',
  name: 'state file',
  members: ({ origin, ledgerId, position, message, height: blocks, header, checkpoint, state, marks }) => ({
    origin, ledgerId, position: String(position), message, height: String(blocks), header: header ?? null,
    checkpoint: checkpoint === undefined ? null : { size: String(checkpoint.size), root: checkpoint.root },
    state: state === undefined ? null : { height: String(state.height), header: state.header },
    marks: marks.map((mark) => ({ position: String(mark.position), message: mark.message })),
  }),
  read: readFields,
  remedy: (path) => 'It says what this role must find again in the log, so it is not passed over: put it back from a backup, or, if you know ' +
    `that the log was not rolled back, forget it with "plait recover --forget ${path}"`,
};

/** The file's one spelling. */
export function formatStateFile(remembered: Remembered): string {
  return formatSealed(STATE, remembered);
}

/** Throws `config` that names the file and what to do, for anything but what {@link formatStateFile} gives. */
export function parseStateFile(text: string, path: string): Remembered {
  return parseSealed(STATE, text, path);
}

function readFields(fields: Json): Remembered {
  const marks = fields['marks'];
  if (!Array.isArray(marks) || marks.length > MARKS_MAX) throw new Error(`its marks are no list of at most ${MARKS_MAX}`);
  const { header, checkpoint, state } = fields;
  return {
    ...readMark(fields),
    origin: parseOrigin(textOf(fields, 'origin')),
    ledgerId: parseHash(textOf(fields, 'ledgerId')),
    height: height(parseUint63(textOf(fields, 'height'))),
    header: header === null ? undefined : parseHash(textOf(fields, 'header')),
    ...(checkpoint === null ? {} : { checkpoint: readCheckpoint(objectOf(checkpoint)) }),
    ...(state === null ? {} : { state: readState(objectOf(state)) }),
    marks: marks.map((mark) => readMark(objectOf(mark))),
  };
}

function readMark(fields: Json): Mark {
  return { position: logPosition(parseUint63(textOf(fields, 'position'))), message: parseHash(textOf(fields, 'message')) };
}

function readCheckpoint(fields: Json): NonNullable<Remembered['checkpoint']> {
  return { size: parseUint63(textOf(fields, 'size')), root: parseHash(textOf(fields, 'root')) };
}

function readState(fields: Json): NonNullable<Remembered['state']> {
  return { height: height(parseUint63(textOf(fields, 'height'))), header: parseHash(textOf(fields, 'header')) };
}

/**
 * The memory in a file, which need not exist yet; its folder is made when something is saved. Several processes may share it:
 * a save never replaces what is further along, and keeps the larger checkpoint. `load` throws `config` for a damaged file or
 * one that cannot be read; `save` besides when the file is of another ledger, `rolled-back` when it remembers another past, and
 * `unavailable` where writing may work later.
 */
export function openStateFile(path: string): Memory {
  return {
    load: () => readSealed(STATE, path),
    save: async (remembered) => {
      await makeFolder(dirname(path));
      await withLock(path, async () => {
        const held = await readSealed(STATE, path);
        const next = held === undefined ? remembered : further(held, remembered, path);
        // A crash here leaves the file as it was.
        if (next !== held) await replaceFile(path, formatStateFile(next), MODE);
      });
    },
  };
}

/** Whether two memories can be of one log: wherever both remember something, it is the same. */
function isOnePast(one: Remembered, other: Remembered): boolean {
  const messages = new Map([one, ...one.marks].map(({ position, message }) => [position, message]));
  return [other, ...other.marks].every(({ position, message }) => (messages.get(position) ?? message) === message) &&
    (one.height !== other.height || one.header === other.header) &&
    (one.state?.height !== other.state?.height || one.state?.header === other.state?.header) &&
    (one.checkpoint?.size !== other.checkpoint?.size || one.checkpoint?.root === other.checkpoint?.root);
}

function further(held: Remembered, fresh: Remembered, path: string): Remembered {
  if (held.ledgerId !== fresh.ledgerId || held.origin !== fresh.origin) {
    throw new PlaitError('config', `the state file ${path} is of the ledger ${held.origin} (${held.ledgerId}), not of ` +
      `${fresh.origin} (${fresh.ledgerId}): give each ledger a file of its own`, { details: { path } });
  }
  if (!isOnePast(held, fresh)) {
    throw new PlaitError('rolled-back', `the state file ${path}, which another process wrote to, remembers another past than this one has read: ` +
      'the log was rolled back', { details: { path, position: String(held.position), height: String(held.height) } });
  }
  const ahead = held.position > fresh.position ? held : fresh;
  const other = ahead === held ? fresh : held;
  const larger = (other.checkpoint?.size ?? -1n) > (ahead.checkpoint?.size ?? -1n) ? other.checkpoint : ahead.checkpoint;
  if (larger === undefined || larger === ahead.checkpoint) return ahead;
  return { ...ahead, checkpoint: larger };
}

