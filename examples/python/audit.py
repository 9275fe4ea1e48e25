"""A whole ledger, recomputed (docs/FORMAT.md, sections 7 and 8): every message of its log, and every record of every segment."""

from collections import Counter
from collections.abc import Callable, Iterable

from fold import Block, Fold
from broker import Held, Unreachable
from messages import CHUNK_BYTES, Line, Message, Segment, Start, Void, parse_message
from notation import b64, sha256
from notes import signed_by
from trees import Tree, proves

VERIFIED, TAMPERED, SPLIT_VIEW, UNDECIDED = 0, 10, 12, 14


class Finding(Exception):
    """The first bad place: its kind, a sentence, and the exit code."""

    def __init__(self, kind: str, says: str, code: int = TAMPERED):
        super().__init__(f"{kind}: {says}")
        self.code = code


class Audit:
    """Folds the log, then compares the records of the blocks."""

    def __init__(self, fold: Fold):
        self.fold = fold
        self.counts: Counter[str] = Counter()
        self.ignored: Counter[str] = Counter()
        self._seen: set[bytes] = set()  # hashes of claims and configurations anywhere in the log so far
        self._starts: list[Start] = []

    def read_log(self, log_start: int, messages: Iterable[tuple[int, bytes]]) -> None:
        """Judges every message. Raises a Finding; Stop for a genesis or rules that end every role."""
        if log_start > 0:
            raise Finding("log-start", f"the log begins at position {log_start}: nobody can tell what stood before", UNDECIDED)
        for position, data in messages:
            outcome = self.fold.apply(position, data)
            self.counts["messages"] += 1
            if outcome["kind"] == "ignored":
                self.ignored[f"{outcome['of']}: {outcome['reason']}"] += 1
                self._look_ahead(position, data, outcome)
                continue
            self.counts[outcome["kind"]] += 1
            self._note(data, outcome["kind"])
        if self.fold.state is None:
            raise Finding("log-start", "the log holds no genesis of this origin")

    def _note(self, data: bytes, kind: str) -> None:
        """Remembers what a later block may name, and where partitions began anew."""
        if kind in ("genesis", "configuration"):
            self._starts += self.fold.state.configuration.limits.starts
        if kind in ("genesis", "configuration", "claim"):
            self._seen.add(parse_message(data).note.hash)

    def _look_ahead(self, position: int, data: bytes, outcome: dict) -> None:
        """
        An ignored message of somebody who has the right to sign it, and who read a prefix of this log, cannot know of more than
        the log holds. If it does, or if a leader's block is not what the log demands, messages are missing or were changed.
        """
        state = self.fold.state
        if state is None or outcome["reason"] in ("malformed", "other-origin", "other-ledger") or outcome["of"] not in AHEAD:
            return
        message = parse_message(data)
        if outcome["of"] == "claim":
            self._seen.add(message.note.hash)
        role = AHEAD[outcome["of"]]
        keys = [self.fold.ledger_key] if role == "ledger" else state.configuration.limits.keys[role]
        if signed_by(message.note, keys) is not None:
            return
        where = f"the {message.kind} at position {position} ({outcome['reason']})"
        if self._is_ahead(message):
            raise Finding("block-missing", f"{where} follows what is not in the log: a message before it is missing or was changed")
        if message.kind == "block" and message.claim == state.follows and message.height == state.height:
            raise Finding("block-differs", f"{where}, height {message.height}, is not what the log before it demands")

    def _is_ahead(self, message: Message) -> bool:
        """Whether a message knows of more than was accepted before it."""
        state = self.fold.state
        if message.kind == "configuration":
            return message.version > state.configuration.version and message.previous != state.configuration.note.hash
        if message.kind == "claim":
            return message.epoch > state.epoch
        return message.height > state.height or not {message.claim, message.configuration} <= self._seen

    def check_checkpoints(self) -> None:
        """Every checkpoint against the tree of headers at its size. What a key signed that was replaced since is evidence only."""
        roots, keys = self.fold.roots, self.fold.state.configuration.limits.keys["checkpoint"]
        for position, checkpoint in self.fold.checkpoints:
            where = f"the checkpoint at position {position} over {checkpoint.size} headers"
            if checkpoint.size < len(roots) and checkpoint.root == roots[checkpoint.size]:
                continue
            if signed_by(checkpoint.note, keys) is not None:
                self.counts["contradicting checkpoints of replaced keys"] += 1
            elif checkpoint.size >= len(roots):
                raise Finding("block-missing", f"{where} covers more than the {len(roots) - 1} that the log holds")
            else:
                raise Finding("checkpoint-contradicts", f"{where} has root {b64(checkpoint.root)}, the log {b64(roots[checkpoint.size])}", SPLIT_VIEW)

    def check_snapshots(self) -> None:
        """Chunks of states. Anybody may append others, so that these are counted only."""
        for _, chunk in self.fold.snapshots:
            self.counts["chunks of a state" if self._is_chunk(chunk) else "foreign chunks"] += 1

    def _is_chunk(self, chunk: Message) -> bool:
        """Whether a snapshot's data is part of what the header of its height committed to (section 6)."""
        header = self.fold.blocks[chunk.height].header if chunk.height < len(self.fold.blocks) else None
        if header is None or header.state is None or header.state[0] != chunk.size:
            return False
        return proves(chunk.data, chunk.chunk, -(-chunk.size // CHUNK_BYTES), chunk.path, header.state[1])

    def check_records(self, records_of: Callable[[str, int], Held | None]) -> None:
        """Every line of every block against what the partitions hold."""
        held: dict[tuple[str, int], Held | None] = {}
        for block in self.fold.blocks:
            for line in block.lines:
                place = (line.segment.topic, line.segment.partition)
                if place not in held:
                    held[place] = records_of(*place)
                self.counts[self._check_line(block, line, held[place])] += max(line.segment.records, 0)
                self.counts["segments and losses"] += 1

    def _check_line(self, block: Block, line: Line, held: Held | None) -> str:
        """What its seqs are: records, lost, void or gone. Raises a Finding."""
        segment = line.segment
        if is_void(self.fold.state.configuration.limits.voids, segment):
            return "void"
        if held is None:
            if segment.is_loss:
                return "lost"
            if segment.topic in self.fold.state.configuration.limits.sources:
                raise Unreachable(f"there is no partition {segment.topic}/{segment.partition}")
            return "gone"
        if not segment.is_loss and segment.first_offset < held.start:
            return "gone"
        found = compare(segment, held)
        if found is None:
            return "lost" if segment.is_loss else "records"
        if found[0] == "unreadable":
            return "unreadable here"
        if self._began_anew_over(segment):
            return "lost" if segment.is_loss else "gone"
        raise Finding(found[0], f"{place_of(block, line)}: {found[1]}")

    def _began_anew_over(self, segment: Segment) -> bool:
        """Whether a later generation of its partition began below the segment's end: then the partition holds other records there."""
        return any(
            (start.topic, start.partition) == (segment.topic, segment.partition)
            and start.generation > segment.generation and start.offset < segment.next_offset
            for start in self._starts
        )

    def verdict(self) -> int:
        """The exit code where nothing was found."""
        return UNDECIDED if self.counts["gone"] + self.counts["unreadable here"] > 0 else VERIFIED


AHEAD = {"block": "coordinator", "claim": "coordinator", "configuration": "ledger"}


def compare(segment: Segment, held: Held) -> tuple[str, str] | None:
    """None if a partition holds what was hashed, or nothing of a loss; else a kind and a sentence."""
    if segment.is_loss:
        bad = held.start < segment.next_offset
        return ("false-loss", f"the partition begins at offset {held.start} and still holds of it") if bad else None
    if segment.next_offset > held.end:
        return "beyond-end", f"the partition ends at offset {held.end}"
    leaves = held.between(segment.first_offset, segment.next_offset)
    if None in leaves:
        return "unreadable", "a header key is not UTF-8"
    if len(leaves) != segment.records:
        return "records-differ", f"expected {segment.records} records, found {len(leaves)}"
    tree = Tree()
    for leaf in leaves:
        tree.append(leaf)
    if tree.root() != segment.root:
        return "records-differ", f"expected root {b64(segment.root)}, found {b64(tree.root())}"
    return None


def is_void(voids: list[Void], segment: Segment) -> bool:
    """Whether void ranges cover a segment wholly; of one without records, whether one holds its index."""
    at = segment.first_index
    for void in voids:
        same = (void.topic, void.generation, void.partition) == (segment.topic, segment.generation, segment.partition)
        if same and void.first_index <= at < void.next_index:
            at = void.next_index
    return segment.first_index < at and segment.next_index <= at


def place_of(block: Block, line: Line) -> str:
    """Where a line's records are."""
    segment = line.segment
    return (
        f"topic {segment.topic}, partition {segment.partition}, generation {segment.generation}, "
        f"offsets {segment.first_offset} to {segment.next_offset}, seqs {line.first_seq} to {line.first_seq + segment.records} "
        f"(block {block.header.height} at position {block.position})"
    )


def state_hash(fold: Fold) -> str:
    """The hash of the state after the last message."""
    return b64(sha256(fold.state.text()))
