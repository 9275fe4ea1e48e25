"""Segments, lines and the six kinds of messages (docs/FORMAT.md, sections 4 and 5). Each parser raises Malformed."""

import re
from dataclasses import dataclass, field
from itertools import pairwise

import notation
from notation import SAFE_MAX, Lines, b64, demand, hash_of, number, sha256, unbase64
from notes import Key, Note, parse_key, parse_note

RULES_KNOWN = 2
BLOCK_BYTES_MAX = 65_535
CHUNK_BYTES = 262_144
PATH_MAX = 64
KINDS = ("genesis", "configuration", "claim", "report", "block", "snapshot")


@dataclass(frozen=True)
class Segment:
    """A run of records of one partition; a loss if it has no root."""

    topic: str
    generation: int
    partition: int
    first_index: int
    next_index: int
    first_offset: int
    next_offset: int
    root: bytes | None
    previous: bytes

    @property
    def is_loss(self) -> bool:
        """Whether its records were gone before they were hashed."""
        return self.root is None

    @property
    def records(self) -> int:
        """How many seqs it takes."""
        return self.next_index - self.first_index

    @property
    def order(self) -> tuple[bytes, int, int, int, int]:
        """By this, segments are in canonical order."""
        return (self.topic.encode(), self.generation, self.partition, self.first_index, self.first_offset)

    @property
    def hash(self) -> bytes:
        """Of its line without the line feed."""
        return sha256(str(self).encode())

    def __str__(self) -> str:
        numbers = (self.generation, self.partition, self.first_index, self.next_index, self.first_offset, self.next_offset)
        hashes = [b64(each) for each in (self.root, self.previous) if each is not None]
        return " ".join(["loss" if self.is_loss else "segment", self.topic, *map(str, numbers), *hashes])


@dataclass(frozen=True)
class Line:
    """A segment with the seq of its first record."""

    first_seq: int
    segment: Segment

    def __str__(self) -> str:
        return f"line {self.first_seq} {self.segment}"


@dataclass(frozen=True)
class Start:
    """Where a configuration lets a partition begin."""

    topic: str
    partition: int
    generation: int
    offset: int


@dataclass(frozen=True)
class Void:
    """Indexes that a configuration declares void."""

    topic: str
    generation: int
    partition: int
    first_index: int
    next_index: int


@dataclass(frozen=True)
class Limits:
    """The body of a genesis or configuration, behind `rules`."""

    losses_allowed: bool
    partitions_max: int
    pending_max: int
    keys: dict[str, list[Key]]
    sources: list[str]
    starts: list[Start]
    voids: list[Void]


@dataclass(frozen=True)
class Message:
    """One well-formed message. What its kind does not have is empty."""

    kind: str
    origin: str
    ledger: bytes = b""
    note: Note | None = None
    values: dict = field(default_factory=dict)

    def __getattr__(self, name: str):
        try:
            return self.__dict__["values"][name]
        except KeyError:
            raise AttributeError(name) from None


def parse_segment(words: list[str]) -> Segment:
    """The words of a segment or a loss."""
    demand(words and words[0] in ("segment", "loss"), "neither segment nor loss")
    is_loss = words[0] == "loss"
    demand(len(words) == (9 if is_loss else 10), "a segment has 10 words, a loss 9")
    numbers = [number(word) for word in words[4:8]]
    root = None if is_loss else hash_of(words[8])
    return Segment(notation.topic(words[1]), number(words[2]), notation.partition(words[3]), *numbers, root, hash_of(words[-1]))


def parse_line(words: list[str]) -> Line:
    """The words of a line behind `line`."""
    demand(words, "a line has a seq")
    return Line(number(words[0]), parse_segment(words[1:]))


def kind_of(data: bytes) -> str | None:
    """What the first line says: a kind, `checkpoint`, or None: some other `plait.` thing."""
    first = data.split(b"\n", 1)[0]
    for kind in KINDS:
        if first == f"plait.{kind}/v1".encode():
            return kind
    return None if first.startswith(b"plait.") else "checkpoint"


def parse_message(data: bytes, knows: int = RULES_KNOWN) -> Message:
    """A message of any kind, by a reader that knows the rules up to version `knows`."""
    kind = kind_of(data)
    demand(kind is not None, "an unknown kind")
    if kind == "snapshot":
        return parse_snapshot(data)
    note = parse_note(data)
    if kind == "checkpoint":
        return parse_checkpoint(note)
    demand(len(note.signatures) == 1, "one signature line")
    demand(kind != "block" or len(note.text) <= BLOCK_BYTES_MAX, "a block's text is too long")
    lines = Lines(note.text)
    lines.next()
    origin = notation.origin(lines.next())
    ledger = note.hash if kind == "genesis" else hash_of(lines.next())
    if kind in ("genesis", "configuration"):
        values = parse_configuration(lines, kind, knows)
    else:
        values = {"claim": parse_claim, "report": parse_report, "block": parse_block}[kind](lines)
        lines.end()
    return Message(kind, origin, ledger, note, values)


def parse_header(text: bytes) -> Message:
    """A block's text without signature, as in a receipt."""
    demand(len(text) <= BLOCK_BYTES_MAX, "a block's text is too long")
    lines = Lines(text)
    demand(lines.next() == "plait.block/v1", "no block")
    origin, ledger = notation.origin(lines.next()), hash_of(lines.next())
    values = parse_block(lines)
    lines.end()
    return Message("block", origin, ledger, None, values)


def parse_configuration(lines: Lines, kind: str, knows: int) -> dict:
    """Genesis and configuration. `limits` is None where the rules are of a version that is not known."""
    version, previous = 0, None
    if kind == "configuration":
        version, previous = number(lines.word("version")), hash_of(lines.word("previous"))
    rules = number(lines.word("rules"), 2**31 - 1, 1)
    known = rules <= min(knows, RULES_KNOWN)
    return {"version": version, "previous": previous, "rules": rules, "limits": parse_limits(lines) if known else None}


def parse_limits(lines: Lines) -> Limits:
    """What a configuration says, from `on-loss` on."""
    on_loss = lines.word("on-loss")
    demand(on_loss in ("stop", "record"), "on-loss is stop or record")
    partitions_max = number(lines.word("partitions-max"), 65_536, 1)
    pending_max = number(lines.word("pending-max"), 4_096, 1)
    keys = {}
    for role in ("checkpoint", "coordinator", "worker"):
        texts = [words[0] for words in repeated(lines, f"{role}-key", 1, 64)]
        increasing([text.encode() for text in texts])
        keys[role] = [parse_key(text) for text in texts]
    sources = [notation.topic(words[0]) for words in repeated(lines, "source", 1, 1_024)]
    increasing([source.encode() for source in sources])
    starts = [parse_start(words) for words in repeated(lines, "start", 4, 4_096)]
    increasing([(start.topic.encode(), start.partition) for start in starts])
    demand(all(start.topic in sources for start in starts), "a start of a topic that is no source")
    voids = [parse_void(words) for words in repeated(lines, "void", 5, 4_096)]
    check_voids(voids)
    lines.end()
    return Limits(on_loss == "record", partitions_max, pending_max, keys, sources, starts, voids)


def repeated(lines: Lines, name: str, words: int, most: int) -> list[list[str]]:
    """All next lines that begin with `name`."""
    found = []
    while lines.begins(name):
        found.append(lines.words(name, words))
    demand(len(found) <= most, f"more than {most} lines {name!r}")
    return found


def increasing(values: list) -> None:
    """Raises Malformed unless each is above the one before."""
    demand(all(one < other for one, other in pairwise(values)), "a list that is not strictly increasing")


def parse_start(words: list[str]) -> Start:
    """`start <topic> <partition> <generation> <offset>`."""
    return Start(notation.topic(words[0]), number(words[1], 65_535), number(words[2]), number(words[3]))


def parse_void(words: list[str]) -> Void:
    """`void <topic> <generation> <partition> <firstIndex> <nextIndex>`."""
    void = Void(notation.topic(words[0]), number(words[1]), number(words[2], 65_535), number(words[3]), number(words[4]))
    demand(void.first_index < void.next_index, "an empty void")
    return void


def check_voids(voids: list[Void]) -> None:
    """By topic, generation, partition and index, without overlap."""
    increasing([(v.topic.encode(), v.generation, v.partition, v.first_index) for v in voids])
    for one, other in pairwise(voids):
        same = (one.topic, one.generation, one.partition) == (other.topic, other.generation, other.partition)
        demand(not same or one.next_index <= other.first_index, "voids that overlap")


def parse_claim(lines: Lines) -> dict:
    """A coordinator's wish to lead."""
    epoch, follows, nonce = number(lines.word("epoch")), hash_of(lines.word("follows")), lines.word("nonce")
    demand(re.fullmatch("[0-9a-f]{32}", nonce), "a nonce is 32 hex digits")
    return {"epoch": epoch, "follows": follows}


def parse_report(lines: Lines) -> dict:
    """A worker's segments, in canonical order."""
    segments = []
    while lines.begins("segment") or lines.begins("loss"):
        segments.append(parse_segment(lines.next().split(" ")))
    demand(segments, "a report without segments")
    increasing([segment.order for segment in segments])
    return {"segments": segments}


def parse_block(lines: Lines) -> dict:
    """What a leader signs."""
    values = {name: hash_of(lines.word(name)) for name in ("configuration", "claim")}
    for name in ("height", "time", "first-seq", "records", "segments", "cut"):
        values[name.replace("-", "_")] = number(lines.word(name), SAFE_MAX if name == "segments" else notation.NUMBER_MAX)
    values |= {name: hash_of(lines.word(name)) for name in ("root", "history")}
    state = lines.words("state", 2) if lines.begins("state") else None
    return values | {"state": None if state is None else (number(state[0], SAFE_MAX), hash_of(state[1]))}


def parse_checkpoint(note: Note) -> Message:
    """Origin, size and root, without extension lines."""
    lines = Lines(note.text)
    origin = notation.origin(lines.next())
    values = {"size": number(lines.next()), "root": hash_of(lines.next())}
    lines.end()
    return Message("checkpoint", origin, b"", note, values)


def parse_snapshot(data: bytes) -> Message:
    """A chunk of a state."""
    lines = Lines(data)
    lines.next()
    origin, ledger = notation.origin(lines.next()), hash_of(lines.next())
    height = number(lines.word("height"))
    chunk, size = (number(word, SAFE_MAX) for word in lines.words("chunk", 2))
    path = [hash_of(word) for word in lines.words("path")]
    content = unbase64(lines.value("data"))
    lines.end()
    demand(len(path) <= PATH_MAX and len(content) <= CHUNK_BYTES, "a path or a chunk that is too long")
    return Message("snapshot", origin, ledger, None, {"height": height, "chunk": chunk, "size": size, "path": path, "data": content})
