/**
 * The words of the ledger as types. Numbers of the ledger are branded bigints, so that an offset cannot be passed
 * where an index is wanted; the brand exists at compile time only.
 */
declare const brand: unique symbol;
type Branded<T, B extends string> = T & { readonly [brand]: B };

/** A record's position in its partition, as Kafka counts: 0-based, may have gaps. Range 0 … 2^63 − 1. */
export type Offset = Branded<bigint, 'Offset'>;
/** A record's 0-based count among the visible records of its partition and generation; dense. */
export type Index = Branded<bigint, 'Index'>;
/** A record's 0-based place in the global order; dense. */
export type Seq = Branded<bigint, 'Seq'>;
/** A block's 0-based number. */
export type Height = Branded<bigint, 'Height'>;
/** Number that grows by one with every accepted claim and configuration. */
export type Epoch = Branded<bigint, 'Epoch'>;
/** An offset in the ledger's own log. */
export type LogPosition = Branded<bigint, 'LogPosition'>;
/** Number of a source partition's incarnation; 0-based. */
export type Generation = Branded<bigint, 'Generation'>;
/** A SHA-256 hash as canonical base64 of its 32 bytes (44 characters), so that `===` compares. */
export type Hash = Branded<string, 'Hash'>;

/** An {@link Offset} of a number; not checked to be in range. */
export const offset = (n: bigint): Offset => n as Offset;
/** An {@link Index} of a number; not checked to be in range. */
export const index = (n: bigint): Index => n as Index;
/** A {@link Seq} of a number; not checked to be in range. */
export const seq = (n: bigint): Seq => n as Seq;
/** A {@link Height} of a number; not checked to be in range. */
export const height = (n: bigint): Height => n as Height;
/** An {@link Epoch} of a number; not checked to be in range. */
export const epoch = (n: bigint): Epoch => n as Epoch;
/** A {@link LogPosition} of a number; not checked to be in range. */
export const logPosition = (n: bigint): LogPosition => n as LogPosition;
/** A {@link Generation} of a number; not checked to be in range. */
export const generation = (n: bigint): Generation => n as Generation;

/** One partition of a source topic. */
export interface TopicPartition {
  readonly topic: string;
  /** 0 … 2^31 − 1 */
  readonly partition: number;
}

/** A partition's name for people and for maps: `topic/partition`. No two partitions share one: topics hold no slash. */
export function partitionName({ topic, partition }: TopicPartition): string {
  return `${topic}/${partition}`;
}
