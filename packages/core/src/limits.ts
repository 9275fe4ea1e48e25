/**
 * The bounds that are part of the rules: a message beyond one of them does not count, for everyone alike. They change
 * only with a new rules version. Bounds that a process may choose for itself are in the roles' own limits.
 */

/** The newest rules this code knows (rules.ts). A configuration that asks for newer ones stops every role that runs this code. */
export const RULES_VERSION = 2;

/** Bytes of one message of the log. Below Kafka's default `max.message.bytes` (1,048,588) with room for the batch header. */
export const MESSAGE_BYTES_MAX = 1_000_000;

/** Bytes of one report, signature left out: some 2,000 segments; small enough that a flood of them stays cheap to skip. */
export const REPORT_BYTES_MAX = 524_288;

/** Bytes of one block header, signature left out: the length prefix of a C2SP tile entry is 16 bits. */
export const HEADER_BYTES_MAX = 65_535;

/** Records of one segment. Readers hold a segment in memory until its root is verified. */
export const SEGMENT_RECORDS_MAX = 4_096;

/** Bytes of one chunk of a snapshot. As base64 with a path it stays well below {@link MESSAGE_BYTES_MAX}. */
export const CHUNK_BYTES_MAX = 262_144;

/** Highest `partitions-max` a configuration may set: chains are kept in arrays by partition number. */
export const PARTITIONS_MAX = 65_536;

/** Highest `pending-max` a configuration may set: pending segments are part of the state that cold starts load. */
export const PENDING_MAX = 4_096;

/** Keys of one kind in one configuration. A checkpoint note is compared with each of them. */
export const KEYS_MAX = 64;

/** Source topics of one ledger. */
export const SOURCES_MAX = 1_024;

/** Start or void entries of one configuration: some 4,096 lines of at most 300 bytes do not fit a message otherwise. */
export const ENTRIES_MAX = 4_096;

/** Signature lines of one note that are looked at; a note with more is malformed. */
export const SIGNATURES_MAX = 16;

/** Characters of an origin. It is the key name of checkpoints and the first line of every note. */
export const ORIGIN_CHARS_MAX = 200;
