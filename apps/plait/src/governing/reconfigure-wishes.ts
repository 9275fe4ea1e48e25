/** What is to change in a configuration, as people write it. */
import {
  generation, index, invalid, offset, parseCount, parseSignerKey, parseTopic, parseUint63, parseVerifierKey, PlaitError,
  type Generation, type Index, type Offset, type TopicPartition, type VerifierKey,
} from '@plait/core';
import { NOTE_BYTES_MAX, readInput } from '../input.ts';
import { optionValue } from '../options.ts';

/** Roles whose keys a configuration lists. */
export const SIGNING_ROLES = ['worker', 'coordinator', 'checkpoint'] as const;
/** One of {@link SIGNING_ROLES}. */
export type SigningRole = (typeof SIGNING_ROLES)[number];

/** `TOPIC/PARTITION[@OFFSET]`: a partition that begins a new generation. */
export interface Restart extends TopicPartition {
  /** Where; if not given, where the void of the same command begins, or else the partition's log start. */
  readonly offset?: Offset;
}

/** `TOPIC/PARTITION:FIRST-[NEXT][@GENERATION]`: indexes declared unusable. */
export interface VoidWish extends TopicPartition {
  /** The partition's current one if not given. */
  readonly generation?: Generation;
  readonly firstIndex: Index;
  /** All that the generation will ever hold if not given. */
  readonly nextIndex?: Index;
}

/** What is to change; what is not named stays. */
export interface Wishes {
  readonly add: Readonly<Record<SigningRole, readonly VerifierKey[]>>;
  /** Name, name and key id, or the whole key. */
  readonly revoke: Readonly<Record<SigningRole, readonly string[]>>;
  readonly addTopics: readonly string[];
  readonly removeTopics: readonly string[];
  readonly restarts: readonly Restart[];
  readonly voids: readonly VoidWish[];
  readonly onLoss?: 'stop' | 'record';
  readonly partitionsMax?: number;
  readonly pendingMax?: number;
  readonly rules?: number;
}

const PARTITION_MAX = 2 ** 31 - 1;

/** The partition that `text` names. Throws `config` that names the option. */
export function parseRestart(text: string): Restart {
  return optionValue('--restart', () => {
    const [, topic, partition, at] = /^([^/]+)\/(\d+)(?:@(\d+))?$/.exec(text) ?? [];
    if (topic === undefined || partition === undefined) throw invalid(`${JSON.stringify(text)} is no partition: wanted TOPIC/PARTITION or TOPIC/PARTITION@OFFSET`);
    const place = { topic: parseTopic(topic), partition: parseCount(partition, PARTITION_MAX) };
    return at === undefined ? place : { ...place, offset: offset(parseUint63(at)) };
  });
}

/** The range that `text` names. Throws `config` that names the option. */
export function parseVoidWish(text: string): VoidWish {
  return optionValue('--void', () => {
    const [, topic, partition, first, next, of] = /^([^/]+)\/(\d+):(\d+)-(\d*)(?:@(\d+))?$/.exec(text) ?? [];
    if (topic === undefined || partition === undefined || first === undefined) {
      throw invalid(`${JSON.stringify(text)} is no range of indexes: wanted TOPIC/PARTITION:FIRSTINDEX-NEXTINDEX, then @GENERATION if it is not the current one`);
    }
    const wish = { topic: parseTopic(topic), partition: parseCount(partition, PARTITION_MAX), firstIndex: index(parseUint63(first)) };
    return {
      ...wish,
      ...(next === undefined || next === '' ? {} : { nextIndex: index(parseUint63(next)) }),
      ...(of === undefined ? {} : { generation: generation(parseUint63(of)) }),
    };
  });
}

/** With it a secret key begins. */
const SECRET = 'PRIVATE+KEY+';

/** The key that `text` is, or that the file behind `@` holds: a public key, or, in a file, a secret one whose public half is meant. Throws `config`. */
export async function readVerifierKey(option: string, text: string): Promise<VerifierKey> {
  if (!text.startsWith('@') && text.includes(SECRET)) {
    throw new PlaitError('config', `${option}: that is a secret key, and everybody on this machine can read a process' arguments: make another one, ` +
      'and give its public half ("plait keys show FILE") or its file, @FILE');
  }
  const written = text.startsWith('@') ? Buffer.from(await readInput(text.slice(1), { bytesMax: NOTE_BYTES_MAX, option })).toString().trim() : text;
  const where = text.startsWith('@') ? `${option} ${text}` : option;
  return optionValue(where, () => (written.startsWith(SECRET) ? parseSignerKey(written).verifier : parseVerifierKey(written)));
}
