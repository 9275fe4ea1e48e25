/** Compression codecs for kafkajs: it brings gzip only, and that without a bound. */
import { constants, gunzipSync, gzipSync, zstdCompressSync, zstdDecompressSync } from 'node:zlib';
import kafkajs from 'kafkajs';
import { compressFrameSync, decompressFrameSync } from 'lz4-napi';
import { compressSync as snappyCompressSync, uncompressSync as snappyUncompressSync } from 'snappy';

/**
 * Bytes that one stored batch may inflate to; beyond, it cannot be decoded. Brokers take batches of 1 MB by default and
 * LZ4 reaches at most 255 : 1, zstd more: this is for bombs, not for data.
 */
const INFLATED_BYTES_MAX = 128 * 1024 * 1024;

// Node finds no names in kafkajs' CommonJS exports.
const { CompressionCodecs, CompressionTypes } = kafkajs;

interface Encoded {
  readonly buffer: Buffer;
}

const tooLarge = (): Error => new Error(`a batch inflates to more than ${INFLATED_BYTES_MAX} bytes`);

/** Java writes blocks behind this header (xerial's stream format); others write one raw block. */
const XERIAL_MAGIC = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0]);
/** Magic, version, lowest compatible version. */
const XERIAL_HEADER_BYTES = 16;

/** The length that a raw snappy block claims to inflate to: a varint at its head. The library refuses others. */
function snappyLength(block: Buffer): number {
  let length = 0;
  for (let i = 0; i < 5; i++) {
    const byte = block[i];
    if (byte === undefined) break;
    length += (byte & 0x7f) * 2 ** (7 * i);
    if (byte < 0x80) return length;
  }
  throw new Error('snappy: length expected');
}

function snappyInflate(stored: Buffer): Buffer {
  const blocks: Buffer[] = [];
  if (!stored.subarray(0, XERIAL_MAGIC.length).equals(XERIAL_MAGIC)) blocks.push(stored);
  else {
    for (let at = XERIAL_HEADER_BYTES; at < stored.length; ) {
      const length = stored.readInt32BE(at);
      if (length < 0 || length > stored.length - at - 4) throw new Error('snappy: block leaves the batch');
      blocks.push(stored.subarray(at + 4, at + 4 + length));
      at += 4 + length;
    }
  }
  if (blocks.reduce((sum, block) => sum + snappyLength(block), 0) > INFLATED_BYTES_MAX) throw tooLarge();
  return Buffer.concat(blocks.map((block) => Buffer.from(snappyUncompressSync(block, { asBuffer: true }))));
}

/** How far the blocks of an LZ4 frame can inflate at most, by their number and the frame's block size. */
function lz4InflatedMax(frame: Buffer): number {
  if (frame.length < 7 || frame.readUInt32LE(0) !== 0x184d2204) throw new Error('lz4: frame expected');
  const flags = frame.readUInt8(4);
  const blockMax = 4 ** ((frame.readUInt8(5) >> 4) & 7) * 256;
  let sum = 0;
  for (let at = 7 + (flags & 8 ? 8 : 0) + (flags & 1 ? 4 : 0); at + 4 <= frame.length; ) {
    const size = frame.readUInt32LE(at);
    if (size === 0) break;
    sum += Math.min(blockMax, (size & 0x7fffffff) * 255);
    at += 4 + (size & 0x7fffffff) + (flags & 16 ? 4 : 0);
  }
  return sum;
}

function lz4Inflate(stored: Buffer): Buffer {
  if (lz4InflatedMax(stored) > INFLATED_BYTES_MAX) throw tooLarge();
  return decompressFrameSync(stored);
}

const bounded = { maxOutputLength: INFLATED_BYTES_MAX };
/** Java flushes its streams by batch, so that an end without trailer still is a whole batch. */
const gunzip = (stored: Buffer): Buffer => gunzipSync(stored, { ...bounded, finishFlush: constants.Z_SYNC_FLUSH });

const codec = (deflate: (raw: Buffer) => Buffer, inflate: (stored: Buffer) => Buffer) => () => ({
  compress: async (encoder: Encoded) => deflate(encoder.buffer),
  decompress: async (stored: Buffer) => inflate(stored),
});

/**
 * Gives kafkajs all four codecs of Kafka, each bounded. Repeatable. They inflate on this thread: batches are small, and
 * a trip to the thread pool for each costs more than it frees.
 */
export function registerCodecs(): void {
  CompressionCodecs[CompressionTypes.GZIP] = codec((raw) => gzipSync(raw), gunzip);
  CompressionCodecs[CompressionTypes.Snappy] = codec((raw) => snappyCompressSync(raw), snappyInflate);
  CompressionCodecs[CompressionTypes.LZ4] = codec((raw) => compressFrameSync(raw), lz4Inflate);
  CompressionCodecs[CompressionTypes.ZSTD] = codec((raw) => zstdCompressSync(raw), (stored) => zstdDecompressSync(stored, bounded));
}
