"""
The fold (docs/FORMAT.md, section 7): which message counts. `Fold.apply` gives each message's outcome as the golden histories
spell it, and keeps the blocks, the checkpoints and the snapshots for those who check them against records and roots.
"""

from dataclasses import dataclass

from messages import RULES_KNOWN, Line, Message, Segment, Start, kind_of, parse_message
from notation import Malformed, b64
from notes import Key, signed_by
from state import Chain, Pending, State, chain_start, commitment, end_behind
from trees import EMPTY_ROOT, leaf_hash, root_of

MESSAGE_BYTES_MAX = 1_000_000
REPORT_BYTES_MAX = 524_288
SEGMENT_RECORDS_MAX = 4_096


@dataclass(frozen=True)
class Block:
    """An accepted block: where it stands, its header, and its lines in canonical order."""

    position: int
    header: Message
    lines: list[Line]


class Ignored(Exception):
    """A message that does not count. Its text is the reason."""


class Stop(Exception):
    """A message at which every role ends."""


def require(holds: object, reason: str) -> None:
    """One of the checks that stand in order."""
    if not holds:
        raise Ignored(reason)


def require_signed(message: Message, keys: list[Key]) -> None:
    """Ignored for `unknown-key` or `bad-signature` unless one of the keys signed."""
    reason = signed_by(message.note, keys)
    if reason is not None:
        raise Ignored(reason)


class Fold:
    """A ledger's state, and what was accepted on the way."""

    def __init__(self, origin: str, ledger_key: Key, knows: int = RULES_KNOWN):
        self.origin, self.ledger_key, self.knows = origin, ledger_key, knows
        self.state: State | None = None
        self.blocks: list[Block] = []
        self.roots: list[bytes] = [EMPTY_ROOT]  # of the tree of headers, by its size
        self.checkpoints: list[tuple[int, Message]] = []
        self.snapshots: list[tuple[int, Message]] = []

    def apply(self, position: int, data: bytes) -> dict:
        """Folds one message in. Raises Stop where every role ends."""
        kind = "unknown"
        try:
            require(len(data) <= MESSAGE_BYTES_MAX, "too-large")
            kind = named_kind(data)
            message = self._parse(data)
            kind = message.kind
            self._require_place(message)
            outcome = HANDLERS[kind](self, position, message)
        except Ignored as ignored:
            outcome = {"kind": "ignored", "of": kind, "reason": str(ignored)}
        if self.state is not None:
            self.state.position = position
        return outcome

    def _parse(self, data: bytes) -> Message:
        """Rule 2 of every message."""
        try:
            return parse_message(data, self.knows)
        except Malformed as error:
            raise Ignored("unknown-kind" if is_unknown_kind(data) else "malformed") from error

    def _require_place(self, message: Message) -> None:
        """Rules 3 to 5 of every message."""
        require(message.origin == self.origin, "other-origin")
        if message.kind == "genesis":
            require(self.state is None, "second-genesis")
        else:
            require(self.state is not None, "before-genesis")
            require(message.kind == "checkpoint" or message.ledger == self.state.ledger, "other-ledger")

    def genesis(self, position: int, genesis: Message) -> dict:
        """The first one of this origin."""
        if signed_by(genesis.note, [self.ledger_key]) is not None:
            raise Stop("the genesis is not signed by the ledger key")
        self._require_known(genesis)
        ledger = genesis.note.hash
        self.state = State(ledger, genesis, position, tip=position, follows=ledger, cut=position)
        for start in genesis.limits.starts:
            self._restart(start)
        return {"kind": "genesis", "hash": b64(ledger), "version": "0"}

    def configuration(self, position: int, new: Message) -> dict:
        """New keys, limits, sources, starts and voids; it ends the epoch."""
        state, old = self.state, self.state.configuration
        require(new.version == old.version + 1, "version")
        require(new.previous == old.note.hash, "previous")
        require_signed(new, [self.ledger_key])
        self._require_known(new)
        require(set(old.limits.voids) <= set(new.limits.voids), "voids")
        require(all(self._may_start(start) for start in new.limits.starts), "generation")
        state.configuration, state.leader = new, None
        self._turn(position, state.epoch + 1, new.note.hash)
        for start in new.limits.starts:
            self._restart(start)
        return {"kind": "configuration", "hash": b64(new.note.hash), "version": str(new.version)}

    def claim(self, position: int, claim: Message) -> dict:
        """Its sender leads."""
        state = self.state
        require(claim.epoch == state.epoch + 1, "epoch")
        require(claim.follows == state.follows, "follows")
        keys = state.configuration.limits.keys["coordinator"]
        require_signed(claim, keys)
        key = next(key for key in keys if signed_by(claim.note, [key]) is None)
        state.leader = key.text
        self._turn(position, claim.epoch, claim.note.hash)
        return {"kind": "claim", "hash": b64(claim.note.hash), "epoch": str(claim.epoch), "key": key.name}

    def report(self, position: int, report: Message) -> dict:
        """Each segment is judged with those before it taken in."""
        require(len(report.note.text) <= REPORT_BYTES_MAX, "report-too-large")
        require_signed(report, self.state.configuration.limits.keys["worker"])
        outcomes = []
        for segment in report.segments:
            try:
                self._require_segment(segment)
                self.state.chain(segment.topic, segment.partition).since.append(Pending(position, segment))
                outcomes.append("accepted")
            except Ignored as ignored:
                outcomes.append(str(ignored))
        return {"kind": "report", "hash": b64(report.note.hash), "key": report.note.signatures[0].name, "segments": outcomes}

    def _require_segment(self, segment: Segment) -> None:
        """The nine rules of a segment."""
        limits = self.state.configuration.limits
        require(segment.topic in limits.sources, "unknown-source")
        require(segment.partition < limits.partitions_max, "full")
        chain = self.state.chain(segment.topic, segment.partition)
        require(segment.generation == chain.end.generation, "generation")
        require_at_end(segment, chain)
        offsets = segment.next_offset - segment.first_offset
        require(offsets > 0 and 0 <= segment.records <= offsets and (not segment.is_loss or segment.records == 1), "range")
        require(segment.records <= SEGMENT_RECORDS_MAX, "too-many-records")
        empty_is_empty = segment.is_loss or segment.records > 0 or segment.root == EMPTY_ROOT
        require(self.state.configuration.rules < 2 or empty_is_empty, "root")
        require(len(chain.pending()) < limits.pending_max, "full")
        require(not segment.is_loss or limits.losses_allowed, "loss-not-allowed")

    def block(self, position: int, block: Message) -> dict:
        """Numbers what is pending up to its cut."""
        state = self.state
        require(state.leader is not None, "no-leader")
        require(block.claim == state.follows, "other-claim")
        require(block.configuration == state.configuration.note.hash, "other-configuration")
        require(block.height == state.height, "height")
        require(block.first_seq == state.next_seq, "first-seq")
        require(state.cut <= block.cut < position, "cut")
        require(block.time >= state.time, "time")
        require(block.history == state.history.root(), "history")
        require_signed(block, [key for key in state.configuration.limits.keys["coordinator"] if key.text == state.leader])
        lines = lines_of([each.segment for each in state.pending(block.cut)], block.first_seq)
        content = (sum(line.segment.records for line in lines), len(lines), root_of([str(line).encode() for line in lines]))
        require((block.records, block.segments, block.root) == content, "content")
        require(block.state is None or (block.cut >= state.tip and block.state == commitment(state.at(block.cut))), "state")
        self._take(position, block, lines)
        return {"kind": "block", "hash": b64(block.note.hash), "height": str(block.height), "lines": [str(line) for line in lines]}

    def _take(self, position: int, block: Message, lines: list[Line]) -> None:
        """The block counts."""
        state = self.state
        state.tip, state.cut, state.time = position, block.cut, block.time
        state.height += 1
        state.next_seq += block.records
        state.history.append(leaf_hash(block.note.text))
        for chain in state.chains.values():
            chain.take(block.cut)
        self.blocks.append(Block(position, block, lines))
        self.roots.append(state.history.root())

    def checkpoint(self, position: int, checkpoint: Message) -> dict:
        """Noted; changes nothing."""
        require_signed(checkpoint, self.state.configuration.limits.keys["checkpoint"])
        self.checkpoints.append((position, checkpoint))
        if checkpoint.size < self.state.height:
            verdict = "older"
        else:
            same = (checkpoint.size, checkpoint.root) == (self.state.height, self.state.history.root())
            verdict = "consistent" if same else "contradicts"
        return {"kind": "checkpoint", "size": str(checkpoint.size), "verdict": verdict}

    def snapshot(self, position: int, snapshot: Message) -> dict:
        """Noted; changes nothing."""
        self.snapshots.append((position, snapshot))
        return {"kind": "snapshot", "height": str(snapshot.height), "chunk": snapshot.chunk}

    def _turn(self, position: int, epoch: int, follows: bytes) -> None:
        """A new epoch."""
        self.state.epoch, self.state.follows, self.state.tip = epoch, follows, position

    def _require_known(self, configuration: Message) -> None:
        """Stops at rules that this reader does not know."""
        if configuration.limits is None:
            raise Stop(f"rules {configuration.rules} are not known here")

    def _may_start(self, start: Start) -> bool:
        """A start is of the next generation, or of generation 0 while the partition has nothing to say."""
        chain = self.state.chain(start.topic, start.partition)
        return start.generation == chain.end.generation + 1 or (start.generation == 0 and chain.is_silent())

    def _restart(self, start: Start) -> None:
        """Ends a partition's chain and begins another."""
        end = chain_start(self.state.ledger, start.topic, start.partition, start.generation, start.offset)
        self.state.chain(start.topic, start.partition).restart(end)


HANDLERS = {
    "genesis": Fold.genesis, "configuration": Fold.configuration, "claim": Fold.claim, "report": Fold.report,
    "block": Fold.block, "checkpoint": Fold.checkpoint, "snapshot": Fold.snapshot,
}


def named_kind(data: bytes) -> str:
    """The kind that the first line of a text names, well-formed or not: `unknown` if it names none of the six."""
    kind = kind_of(data) if is_utf8(data) and b"\n" in data else None
    return "unknown" if kind in (None, "checkpoint") else kind


def is_unknown_kind(data: bytes) -> bool:
    """UTF-8, and a first line that begins with `plait.` and is none of the six."""
    return is_utf8(data) and b"\n" in data and kind_of(data) is None


def is_utf8(data: bytes) -> bool:
    """Whether it is a text at all."""
    try:
        data.decode("utf-8")
        return True
    except UnicodeDecodeError:
        return False


def require_at_end(segment: Segment, chain: Chain) -> None:
    """Rule 4 of a segment."""
    end = chain.end
    if (segment.first_index, segment.first_offset, segment.previous) == (end.next_index, end.next_offset, end.head):
        return
    pending = [each.segment for each in chain.pending()]
    require(segment.hash != end.head and segment not in pending, "duplicate")
    require(all(rivalry(segment) != rivalry(other) for other in pending), "equivocation")
    raise Ignored("not-at-end")


def rivalry(segment: Segment) -> tuple:
    """Two segments that are alike in this and differ otherwise are two answers to one question."""
    return segment.generation, segment.first_index, segment.first_offset, segment.next_offset, segment.previous


def lines_of(segments: list[Segment], first_seq: int) -> list[Line]:
    """Segments in canonical order, numbered."""
    lines = []
    for segment in segments:
        lines.append(Line(first_seq, segment))
        first_seq += segment.records
    return lines
