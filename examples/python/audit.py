"""A whole ledger, recomputed (docs/FORMAT.md, sections 7 and 8): every message of its log, and every record of every segment."""

from collections import Counter
from collections.abc import Callable, Iterable

from fold import Block, Fold
from broker import Held, Unreachable
from messages import CHUNK_BYTES, Line, Message, Segment, Start, Void, parse_message
from notation import b64, sha256
from notes import Key, signed_by
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
        self._claims: set[bytes] = set()  # hashes of the accepted ones
        self._coordinators: set[Key] = set()  # that were ever in force
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
                self._look_for_signs(position, data, outcome)
                continue
            self.counts[outcome["kind"]] += 1
            self._note(data, outcome["kind"])
        if self.fold.state is None:
            raise Finding("genesis-missing", "the log holds no genesis of this origin")

    def _note(self, data: bytes, kind: str) -> None:
        """Remembers which claims were accepted, who might lead, and where partitions began anew."""
        if kind in ("genesis", "configuration"):
            limits = self.fold.state.configuration.limits
            self._starts += limits.starts
            self._coordinators |= set(limits.keys["coordinator"])
        if kind == "claim":
            self._claims.add(parse_message(data).note.hash)

    def _look_for_signs(self, position: int, data: bytes, outcome: dict) -> None:
        """
        Who has the right to sign read the log before: an ignored message that knows of more than the log holds, or a leader's
        block that is not what the log demands, shows that messages before it are missing or were changed.
        """
        if self.fold.state is None or outcome["reason"] not in SIGNS:
            return
        message = parse_message(data)
        kind, keys = {"configuration": self._sign_of_configuration, "claim": self._sign_of_claim, "block": self._sign_of_block}[
            message.kind](message, outcome["reason"])
        if kind is not None and signed_by(message.note, keys) is None:
            raise Finding(kind, f"the {message.kind} at position {position} ({outcome['reason']}) follows what is not in the log: "
                                "a message before it is missing or was changed")

    def _sign_of_configuration(self, message: Message, reason: str) -> tuple[str | None, list[Key]]:
        """What it shows if one of the keys signed it: a kind of finding, or None."""
        ahead = reason == "previous" or message.version > self.fold.state.configuration.version + 1
        return "block-missing" if ahead else None, [self.fold.ledger_key]

    def _sign_of_claim(self, message: Message, reason: str) -> tuple[str | None, list[Key]]:
        """As of a configuration."""
        ahead = reason == "follows" or message.epoch > self.fold.state.epoch + 1
        return "block-missing" if ahead else None, self.fold.state.configuration.limits.keys["coordinator"]

    def _sign_of_block(self, message: Message, reason: str) -> tuple[str | None, list[Key]]:
        """As of a configuration. A leader that was replaced writes on behalf of a claim that the log holds."""
        state = self.fold.state
        if reason in ("no-leader", "other-claim"):
            return None if message.claim in self._claims else "block-missing", list(self._coordinators)
        leader = [key for key in self._coordinators if key.text == state.leader]
        if reason == "height" and message.height < state.height:
            return None, leader
        return "block-missing" if reason in ("height", "other-configuration") else "block-differs", leader

    def check_checkpoints(self) -> None:
        """Every checkpoint against the tree of headers at its size; those that differ may be settled (section 8)."""
        roots, keys = self.fold.roots, self.fold.state.configuration.limits.keys["checkpoint"]
        right = [(each, each.size < len(roots) and each.root == roots[each.size]) for _, each in self.fold.checkpoints]
        vouched = max((each.size for each, same in right if same and signed_by(each.note, keys) is None), default=0)
        for (position, checkpoint), (_, same) in zip(self.fold.checkpoints, right):
            if same:
                continue
            before = sum(block.position < position for block in self.fold.blocks)
            where = f"the checkpoint at position {position} over {checkpoint.size} headers"
            if signed_by(checkpoint.note, keys) is not None and before < vouched:
                self.counts["settled checkpoints"] += 1
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


SIGNS = {
    "no-leader", "other-claim", "other-configuration", "height", "first-seq", "cut", "time", "history", "content", "state",
    "epoch", "follows", "version", "previous",
}


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
