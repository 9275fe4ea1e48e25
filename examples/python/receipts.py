"""Receipts (docs/FORMAT.md, section 11): one record's place, proved offline."""

from collections.abc import Iterator
from dataclasses import dataclass

from messages import Line, Message, parse_checkpoint, parse_header, parse_line
from notation import Lines, Malformed, demand, hash_of, number, sha256, text_of, unbase64
from notes import Key, Note, parse_note, signed_by
from trees import minimal_payload, proves

PROOF_MAX = 63
LEAF_BYTES = 48


@dataclass(frozen=True)
class Receipt:
    """A receipt as it is spelled. Nothing is checked yet."""

    leaf: bytes
    leaf_index: int
    leaf_proof: list[bytes]
    line: Line
    line_index: int
    line_proof: list[bytes]
    payload: bytes | None
    header: bytes
    index: int
    proof: list[bytes]
    note: Note
    checkpoint: Message

    @property
    def offset(self) -> int:
        """The record's offset, from its leaf."""
        return int.from_bytes(self.leaf[:8], "big")


def parse_receipt(data: bytes) -> Receipt:
    """Reads a receipt's file. Raises Malformed for every other spelling."""
    text_of(data)
    head, separator, checkpoint = data.partition(b"\n\n")
    demand(separator, "an empty line stands before the checkpoint")
    lines = Lines(head + b"\n")
    demand(lines.next() == "c2sp.org/tlog-proof@v1", "no proof of a transparency log")
    extra = Lines(unbase64(lines.word("extra")))
    index = number(lines.word("index"))
    proof = [hash_of(line) for line in lines.rest().decode().split("\n")[:-1]]
    demand(len(proof) <= PROOF_MAX, "a proof that is too long")
    note = parse_note(checkpoint)
    return Receipt(**parse_extra(extra), index=index, proof=proof, note=note, checkpoint=parse_checkpoint(note))


def parse_extra(lines: Lines) -> dict:
    """The text in the `extra` line."""
    demand(lines.next() == "plait.receipt/v1", "no receipt")
    leaf = unbase64(lines.word("leaf"))
    demand(len(leaf) == LEAF_BYTES, "a leaf has 48 bytes")
    leaf_index, leaf_proof = number(lines.word("leaf-index")), parse_proof(lines, "leaf-proof")
    line = parse_line(lines.words("line"))
    line_index, line_proof = number(lines.word("line-index")), parse_proof(lines, "line-proof")
    payload = unbase64(lines.word("payload")) if lines.begins("payload") else None
    lines.words("header", 0)
    return {
        "leaf": leaf, "leaf_index": leaf_index, "leaf_proof": leaf_proof, "line": line, "line_index": line_index,
        "line_proof": line_proof, "payload": payload, "header": lines.rest(),
    }


def parse_proof(lines: Lines, name: str) -> list[bytes]:
    """The hashes of an inclusion proof."""
    proof = [hash_of(word) for word in lines.words(name)]
    demand(len(proof) <= PROOF_MAX, "a proof that is too long")
    return proof


def check_receipt(receipt: Receipt, key: Key, given: bytes | None = None) -> Iterator[tuple[str, bool, str]]:
    """The steps in order, each as name, whether it holds, and a sentence. Ends behind the first that does not hold."""
    for name, holds, says in steps(receipt, key, given):
        yield name, holds, says
        if not holds:
            return


def steps(receipt: Receipt, key: Key, given: bytes | None) -> Iterator[tuple[str, bool, str]]:
    """All steps; each relies on those before it."""
    checkpoint, segment = receipt.checkpoint, receipt.line.segment
    signed = checkpoint.origin == key.name and signed_by(receipt.note, [key]) is None
    yield "checkpoint-signature", signed, f"the checkpoint of {checkpoint.size} headers is signed by {key.name}"
    proved = proves(receipt.header, receipt.index, checkpoint.size, receipt.proof, checkpoint.root)
    yield "header-proof", proved, f"the block's header is number {receipt.index} of these"
    header = header_of(receipt)
    yield "header", header is not None, "the header is well-formed, of this origin and this height"
    proved = proves(str(receipt.line).encode(), receipt.line_index, header.segments, receipt.line_proof, header.root)
    yield "line-proof", proved, f"the segment is number {receipt.line_index} of the block's {header.segments}"
    seqs = header.first_seq <= receipt.line.first_seq and receipt.line.first_seq + segment.records <= header.first_seq + header.records
    yield "line", not segment.is_loss and segment.records >= 0 and seqs, f"its seqs begin at {receipt.line.first_seq}, inside the block's"
    proved = not segment.is_loss and proves(receipt.leaf, receipt.leaf_index, segment.records, receipt.leaf_proof, segment.root)
    yield "leaf-proof", proved, f"the leaf is number {receipt.leaf_index} of the segment's {segment.records}"
    yield "leaf", segment.first_offset <= receipt.offset < segment.next_offset, f"its offset is {receipt.offset}, inside the segment"
    if receipt.payload is not None or given is not None:
        yield "payload", is_payload(receipt, given), "key, value and headers are those that were hashed"


def header_of(receipt: Receipt) -> Message | None:
    """The header, if it is well-formed and says what the receipt says of it."""
    try:
        header = parse_header(receipt.header)
    except Malformed:
        return None
    return header if (header.origin, header.height) == (receipt.checkpoint.origin, receipt.index) else None


def is_payload(receipt: Receipt, given: bytes | None) -> bool:
    """Whether the payloads at hand, inside and given, have the leaf's digest."""
    try:
        inside = [receipt.payload] if receipt.payload is not None else []
        minimal = all(minimal_payload(payload) == payload for payload in inside)
        both = inside + ([minimal_payload(given)] if given is not None else [])
    except Malformed:
        return False
    return minimal and all(sha256(payload) == receipt.leaf[16:] for payload in both)


def conclusion(receipt: Receipt) -> str:
    """What a receipt proves whose steps all hold."""
    segment, at = receipt.line.segment, receipt.leaf_index
    when = int.from_bytes(receipt.leaf[8:16], "big", signed=True)
    return (
        f"seq {receipt.line.first_seq + at}: topic {segment.topic}, partition {segment.partition}, generation {segment.generation}, "
        f"index {segment.first_index + at}, offset {receipt.offset}, timestamp {when} ms, in block {receipt.index}"
    )
