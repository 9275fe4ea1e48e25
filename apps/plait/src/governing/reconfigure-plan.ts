/** The configuration that follows one, with what is wished changed. Pure: everything asked of Kafka comes in as values. */
import {
  chainOf, comparePartitions, formatConfiguration, index, isAmong, isImplicit, isPlaitError, PlaitError, RULES_VERSION,
  type Configuration, type ConfigurationBody, type Generation, type LedgerState, type Offset, type Segment, type Start,
  type TopicPartition, type VerifierKey, type VoidRange,
} from '@plait/core';
import type { PartitionOffsets } from '@plait/kafka';
import type { Restart, SigningRole, VoidWish, Wishes } from './reconfigure-wishes.ts';

/** What was asked of Kafka and found in the log. */
export interface Known {
  readonly state: LedgerState;
  /** Of the topics that are added or hold a partition that restarts. */
  readonly offsets: ReadonlyMap<string, readonly PartitionOffsets[]>;
  /** The accepted segments of the partitions that get a void, in log order, all generations. */
  readonly segments: readonly Segment[];
  /** Take what stops the ledger too. */
  readonly force: boolean;
}

/** The greatest index there is: a void up to it covers all that a generation will ever hold. */
export const INDEX_MAX = index(2n ** 63n - 1n);

const KEYS_OF = { worker: 'workerKeys', coordinator: 'coordinatorKeys', checkpoint: 'checkpointKeys' } as const;

/** What a ledger cannot do without a key of the role. */
const STOPS: Readonly<Record<SigningRole, string>> = {
  worker: 'nothing is hashed',
  coordinator: 'nothing is numbered',
  checkpoint: 'no checkpoint is signed',
};

/**
 * The next configuration. Throws `config` for a wish that cannot be or changes nothing, and, unless forced, for one that
 * stops the ledger.
 */
export function planConfiguration(wishes: Wishes, known: Known): Configuration {
  const { state } = known;
  const { configuration, origin, ledgerId } = state;
  const body: ConfigurationBody = {
    ...configuration.body,
    ...(wishes.onLoss === undefined ? {} : { onLoss: wishes.onLoss }),
    ...(wishes.partitionsMax === undefined ? {} : { partitionsMax: wishes.partitionsMax }),
    ...(wishes.pendingMax === undefined ? {} : { pendingMax: wishes.pendingMax }),
    rules: nextRules(configuration.body.rules, wishes.rules),
    checkpointKeys: nextKeys('checkpoint', wishes, known),
    coordinatorKeys: nextKeys('coordinator', wishes, known),
    workerKeys: nextKeys('worker', wishes, known),
    sources: nextSources(wishes, known),
    starts: [],
    voids: nextVoids(wishes, known),
  };
  const whole = { ...body, starts: nextStarts(body, wishes, known) };
  checkPartitions(whole, known);
  const next: Configuration = {
    ...whole, kind: 'configuration', origin, ledgerId, version: configuration.version + 1n, previous: configuration.hash,
  };
  if (changesNothing(configuration.body, whole)) {
    throw new PlaitError('config', `nothing would change: configuration ${configuration.version} says all of that already`);
  }
  return checkedForm(next);
}

function checkedForm(next: Configuration): Configuration {
  try {
    formatConfiguration(next);
    return next;
  } catch (error) {
    if (!isPlaitError(error, 'invalid')) throw error;
    throw new PlaitError('config', `there is no such configuration: ${error.message}`, { cause: error });
  }
}

function changesNothing(old: ConfigurationBody, next: ConfigurationBody): boolean {
  return next.starts.length === 0 && spell(old) === spell(next);
}

function spell(body: ConfigurationBody): string {
  const { rules, onLoss, partitionsMax, pendingMax, sources } = body;
  const voids = body.voids.map((v) => [v.topic, v.generation, v.partition, v.firstIndex, v.nextIndex].join(' '));
  const keys = [body.checkpointKeys, body.coordinatorKeys, body.workerKeys].map((list) => list.map(({ vkey }) => vkey));
  return JSON.stringify({ rules, onLoss, partitionsMax, pendingMax, sources, voids, keys });
}

function nextRules(inForce: number, wanted = inForce): number {
  if (wanted > RULES_VERSION) {
    throw new PlaitError('config', `--rules ${wanted}: this program knows versions up to ${RULES_VERSION}. Install a newer one everywhere first`);
  }
  if (wanted < inForce) {
    throw new PlaitError('config', `--rules ${wanted}: version ${inForce} is in force, and going back helps no older program: it stops ` +
      `where version ${inForce} began`);
  }
  return wanted;
}

function nextKeys(role: SigningRole, { add, revoke }: Wishes, { state, force }: Known): readonly VerifierKey[] {
  const old = state.configuration.body[KEYS_OF[role]];
  const revoked = revoke[role].map((name) => findKey(role, old, name));
  for (const key of add[role]) checkAdded(role, key, { old, origin: state.origin });
  const kept = [...old.filter((key) => !revoked.includes(key)), ...add[role]];
  if (kept.length === 0 && old.length > 0 && !force) {
    throw new PlaitError('config', `that revokes the last ${role} key, and without one ${STOPS[role]}: add another with --add-${role}-key in the ` +
      'same command, or say --force');
  }
  return sortedBy(kept, ({ vkey }) => vkey);
}

function findKey(role: SigningRole, keys: readonly VerifierKey[], wanted: string): VerifierKey {
  const found = keys.filter(({ vkey }) => vkey === wanted || vkey.startsWith(`${wanted}+`));
  if (found.length === 1 && found[0] !== undefined) return found[0];
  const list = keys.map(({ vkey }) => vkey).join(', ') || 'none';
  const why = found.length === 0 ? `there is no such ${role} key` : `${found.length} ${role} keys have that name: give the whole key`;
  throw new PlaitError('config', `--revoke-${role}-key ${wanted}: ${why}; in force: ${list}`);
}

function checkAdded(role: SigningRole, key: VerifierKey, { old, origin }: { old: readonly VerifierKey[]; origin: string }): void {
  const option = `--add-${role}-key ${key.vkey}`;
  if (isAmong(old, key)) throw new PlaitError('config', `${option}: it is a ${role} key already`);
  if (role === 'checkpoint' && key.name !== origin) {
    throw new PlaitError('config', `${option}: a checkpoint key is named as the ledger, ${origin}: make one with "plait keys make checkpoint"`);
  }
}

function nextSources({ addTopics, removeTopics }: Wishes, { state, force }: Known): readonly string[] {
  const old = state.configuration.body.sources;
  for (const topic of addTopics) {
    if (old.includes(topic)) throw new PlaitError('config', `--add-topic ${topic}: it is a source already`);
  }
  for (const topic of removeTopics) {
    if (!old.includes(topic)) throw new PlaitError('config', `--remove-topic ${topic}: it is no source; the sources are ${old.join(', ')}`);
  }
  const kept = [...old.filter((topic) => !removeTopics.includes(topic)), ...addTopics];
  if (kept.length === 0 && !force) {
    throw new PlaitError('config', 'that removes the last topic, and then nothing is ordered: add another with --add-topic in the same command, or say --force');
  }
  return sortedBy(kept, (topic) => topic);
}

/** Starts of the partitions that restart, and of those of new topics whose first records are gone. */
function nextStarts({ sources, voids }: ConfigurationBody, { addTopics, restarts }: Wishes, known: Known): readonly Start[] {
  const asked = restarts.map((restart): Start => {
    const option = `--restart ${restart.topic}/${restart.partition}`;
    if (restarts.filter((other) => comparePartitions(other, restart) === 0).length > 1) throw new PlaitError('config', `${option}: it is given twice`);
    if (!sources.includes(restart.topic)) throw new PlaitError('config', `${option}: ${restart.topic} is no source; the sources are ${sources.join(', ')}`);
    return startOf(restart, startOffset(option, restart, voids, known), known.state);
  });
  const added = addTopics.flatMap((topic) => (known.offsets.get(topic) ?? []).flatMap(({ partition, logStart }) => {
    const place = { topic, partition };
    const isNew = isImplicit(known.state, place, chainOf(known.state, place)) && !asked.some((start) => comparePartitions(start, place) === 0);
    return isNew && logStart > 0n ? [startOf(place, logStart, known.state)] : [];
  }));
  return [...asked, ...added].toSorted(comparePartitions);
}

function startOf({ topic, partition }: TopicPartition, offset: Offset, state: LedgerState): Start {
  const chain = chainOf(state, { topic, partition });
  const untouched = isImplicit(state, { topic, partition }, chain);
  const generation = (untouched ? chain.end.generation : chain.end.generation + 1n) as Generation;
  return { topic, partition, generation, offset };
}

function startOffset(option: string, restart: Restart, voids: readonly VoidRange[], { state, offsets, segments }: Known): Offset {
  const { topic, partition } = restart;
  const held = offsets.get(topic)?.find((each) => each.partition === partition);
  if (held === undefined) {
    throw new PlaitError('config', `${option}: ${topic} has ${offsets.get(topic)?.length ?? 0} partitions, numbered from 0`);
  }
  const fresh = voids.filter((range) => !state.configuration.body.voids.some((old) => sameRange(old, range)));
  const voided = segments.find((segment) => comparePartitions(segment, restart) === 0 && fresh.some((range) => isWithin(range, segment)));
  const at = restart.offset ?? voided?.firstOffset ?? held.logStart;
  if (at < held.logStart) {
    throw new PlaitError('config', `${option}@${at}: the partition begins at offset ${held.logStart}, so that what is below can no longer be hashed`);
  }
  if (at > held.end) throw new PlaitError('config', `${option}@${at}: the partition ends at offset ${held.end}`);
  return at;
}

function sameRange(a: VoidRange, b: VoidRange): boolean {
  return comparePartitions(a, b) === 0 && a.generation === b.generation && a.firstIndex === b.firstIndex && a.nextIndex === b.nextIndex;
}

function isWithin(range: VoidRange, segment: Segment): boolean {
  return range.generation === segment.generation && comparePartitions(range, segment) === 0 &&
    range.firstIndex <= segment.firstIndex && segment.nextIndex <= range.nextIndex && segment.firstIndex < range.nextIndex;
}

function nextVoids({ voids, restarts }: Wishes, known: Known): readonly VoidRange[] {
  const old = known.state.configuration.body.voids;
  const fresh = voids.map((wish) => voidOf(wish, { known, restarts: restarts.some((restart) => comparePartitions(restart, wish) === 0) }));
  return [...old, ...fresh].toSorted(compareRanges);
}

/** Order of a configuration's void lines; overlapping ranges are refused when it is spelled. */
function compareRanges(a: VoidRange, b: VoidRange): number {
  if (a.topic !== b.topic) return a.topic < b.topic ? -1 : 1;
  return Number(a.generation - b.generation) || a.partition - b.partition || (a.firstIndex < b.firstIndex ? -1 : 1);
}

function voidOf(wish: VoidWish, { known, restarts }: { known: Known; restarts: boolean }): VoidRange {
  const { topic, partition, firstIndex } = wish;
  const { end } = chainOf(known.state, wish);
  const generation = wish.generation ?? end.generation;
  const range: VoidRange = { topic, partition, generation, firstIndex, nextIndex: wish.nextIndex ?? INDEX_MAX };
  const option = `--void ${topic}/${partition}:${firstIndex}-${wish.nextIndex ?? ''}@${generation}`;
  if (generation > end.generation) throw new PlaitError('config', `${option}: the partition is in generation ${end.generation}`);
  // What comes later would be void too, whoever hashed it.
  const goesOn = generation === end.generation && !restarts;
  if (goesOn && range.nextIndex > end.nextIndex) {
    throw new PlaitError('config', `${option}: the partition's chain ends at index ${end.nextIndex}. To void what may follow in this generation too, ` +
      `begin another one in the same command: --restart ${topic}/${partition}`);
  }
  checkBounds(option, range, known.segments);
  return range;
}

/** A segment is void only if it is covered whole, so a range that cuts one is a mistake. */
function checkBounds(option: string, range: VoidRange, segments: readonly Segment[]): void {
  const own = segments.filter((segment) => comparePartitions(segment, range) === 0 && segment.generation === range.generation);
  const touched = own.filter((segment) => segment.firstIndex < range.nextIndex && segment.nextIndex > range.firstIndex);
  const cut = touched.find((segment) => segment.firstIndex < range.firstIndex || segment.nextIndex > range.nextIndex);
  if (cut !== undefined) {
    throw new PlaitError('config', `${option}: it cuts the segment of indexes ${cut.firstIndex} … ${cut.nextIndex}, and a segment is void only as a ` +
      `whole: begin and end where segments do, here at ${cut.firstIndex} or ${cut.nextIndex}`);
  }
  if (own.every((segment) => segment.nextIndex <= range.firstIndex && segment.firstIndex < range.firstIndex)) {
    throw new PlaitError('config', `${option}: no segment was reported there`);
  }
}

/** Every partition of a source must have a number below `partitionsMax`, or its records wait for ever. */
function checkPartitions({ sources, partitionsMax }: ConfigurationBody, { offsets }: Known): void {
  for (const topic of sources) {
    const count = offsets.get(topic)?.length ?? 0;
    if (count > partitionsMax) {
      throw new PlaitError('config', `partitions-max would be ${partitionsMax}, and ${topic} has ${count} partitions: give at least --partitions-max ${count}`);
    }
  }
}

function sortedBy<T>(items: readonly T[], key: (item: T) => string): readonly T[] {
  return items.toSorted((a, b) => (key(a) < key(b) ? -1 : Number(key(a) !== key(b))));
}
