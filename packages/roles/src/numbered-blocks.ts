/** The newest blocks of a fold with their lines, so that a place can still be proved when a block has numbered it already. */
import {
  encodeLine, formatBlock, GrowingTree, EMPTY_RANGE, leafHash, partitionName, segmentCount,
  type BlockHeader, type Generation, type Height, type Line, type Offset, type Seq, type TopicPartition,
} from '@plait/core';

/** Of which record a proof is wanted. */
export type RecordPlace =
  | { readonly seq: Seq }
  /** The record at that offset, in this generation of the partition or a later one. */
  | (TopicPartition & { readonly offset: Offset; readonly generation: Generation });

/** A block that was accepted. */
export class NumberedBlock {
  readonly header: BlockHeader;
  /** Without signature: the header's entry in the tree of headers. */
  readonly text: string;
  /** In canonical order. */
  readonly lines: readonly Line[];
  #tree: GrowingTree | undefined;

  constructor(header: BlockHeader, lines: readonly Line[]) {
    this.header = header;
    this.text = formatBlock(header);
    this.lines = lines;
  }

  get height(): Height {
    return this.header.height;
  }

  /** The inclusion proof of line `number` under the header's root. */
  proveLine(number: number): Uint8Array[] {
    if (this.#tree === undefined) {
      this.#tree = new GrowingTree(EMPTY_RANGE);
      for (const line of this.lines) this.#tree.append(leafHash(encodeLine(line)));
    }
    return this.#tree.prove({ index: BigInt(number), size: this.#tree.size });
  }
}

/** A line, and which one of its block it is. */
export interface PlacedLine {
  readonly block: NumberedBlock;
  readonly number: number;
  readonly line: Line;
}

/** Lines that are kept, about: what a producer awaits was numbered just now. Some 10 MB. */
const LINES_KEPT_MAX = 16_384;

/** Whether a line stands for the place: it may be a loss, and hold no record there. */
export function covers({ firstSeq, segment }: Line, place: RecordPlace): boolean {
  if ('seq' in place) return firstSeq <= place.seq && place.seq < firstSeq + segmentCount(segment);
  return segment.topic === place.topic && segment.partition === place.partition && segment.generation >= place.generation &&
    segment.firstOffset <= place.offset && place.offset < segment.nextOffset;
}

/** Lines by block and by partition; older blocks are forgotten when there are too many. */
export class NumberedBlocks {
  #blocks: NumberedBlock[] = [];
  readonly #ofPartitions = new Map<string, PlacedLine[]>();
  #lines = 0;

  /** The oldest block that is kept; undefined if there is none. */
  get first(): NumberedBlock | undefined {
    return this.#blocks[0];
  }

  /** Takes the block that follows. */
  add(block: NumberedBlock): void {
    this.#blocks.push(block);
    this.#lines += block.lines.length;
    for (const [number, line] of block.lines.entries()) this.#linesOf(line.segment).push({ block, number, line });
    if (this.#lines > LINES_KEPT_MAX) this.#forgetHalf();
  }

  /** The newest line that stands for the place. */
  find(place: RecordPlace): PlacedLine | undefined {
    if (!('seq' in place)) return this.#ofPartitions.get(partitionName(place))?.findLast(({ line }) => covers(line, place));
    const block = this.#blocks.findLast(({ header }) => header.firstSeq <= place.seq);
    const number = block?.lines.findIndex((line) => covers(line, place)) ?? -1;
    const line = block?.lines[number];
    return block === undefined || line === undefined ? undefined : { block, number, line };
  }

  #linesOf(partition: TopicPartition): PlacedLine[] {
    const name = partitionName(partition);
    const known = this.#ofPartitions.get(name);
    if (known !== undefined) return known;
    const made: PlacedLine[] = [];
    this.#ofPartitions.set(name, made);
    return made;
  }

  /** All at once, so that it costs little a block. */
  #forgetHalf(): void {
    const blocks = this.#blocks.slice(Math.ceil(this.#blocks.length / 2));
    this.#blocks = [];
    this.#ofPartitions.clear();
    this.#lines = 0;
    for (const block of blocks) this.add(block);
  }
}
