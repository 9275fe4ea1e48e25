"""The state of a ledger and its text (docs/FORMAT.md, section 6)."""

from dataclasses import dataclass, field, replace
from itertools import pairwise

from messages import CHUNK_BYTES, Message, Segment
from notation import NUMBER_MAX, b64, sha256
from trees import Tree, root_of


@dataclass(frozen=True)
class End:
    """Where a chain ends."""

    generation: int
    next_index: int
    next_offset: int
    head: bytes


@dataclass(frozen=True)
class Pending:
    """An accepted segment that no block has taken yet, and the position of its report."""

    position: int
    segment: Segment


def chain_start(ledger: bytes, topic: str, partition: int, generation: int, offset: int) -> End:
    """The end of a chain without segments (section 4)."""
    text = f"plait.start/v1\n{b64(ledger)}\n{topic} {generation} {partition} {offset}\n"
    return End(generation, 0, offset, sha256(text.encode()))


def end_behind(segment: Segment) -> End:
    """The end of a chain whose newest segment this is."""
    return End(segment.generation, segment.next_index, segment.next_offset, segment.hash)


@dataclass
class Chain:
    """
    A partition: the end before its oldest pending segment, the last segment at that end that holds records, and what came
    since, in log order: pending segments, and the starts of new generations between and after them.
    """

    base: End
    last: Segment | None = None
    since: list[Pending | End] = field(default_factory=list)

    @property
    def end(self) -> End:
        """Where the next segment must begin."""
        if not self.since:
            return self.base
        newest = self.since[-1]
        return newest if isinstance(newest, End) else end_behind(newest.segment)

    def known(self, up_to: int) -> list[Pending | End]:
        """What came since, but for segments behind a position. (No configuration stands behind a position that is asked.)"""
        return [each for each in self.since if isinstance(each, End) or each.position <= up_to]

    def pending(self, up_to: int = NUMBER_MAX) -> list[Pending]:
        """The pending segments at positions up to one."""
        return [each for each in self.known(up_to) if isinstance(each, Pending)]

    def restart(self, start: End) -> None:
        """A configuration started a new generation."""
        self.since.append(start)
        self.take(-1)

    def take(self, cut: int) -> None:
        """A block took what was pending up to `cut`: the base moves on to the oldest segment that still is."""
        while self.since and (isinstance(self.since[0], End) or self.since[0].position <= cut):
            first = self.since.pop(0)
            if isinstance(first, End):
                self.base, self.last = first, None
            else:
                holds = first.segment.records > 0 and not first.segment.is_loss
                self.base, self.last = end_behind(first.segment), first.segment if holds else self.last

    def is_silent(self, up_to: int = NUMBER_MAX) -> bool:
        """Whether it has nothing to say in a state."""
        return not self.pending(up_to) and (self.base.generation, self.base.next_offset) == (0, 0)


@dataclass
class State:
    """What the fold knows after a message."""

    ledger: bytes
    configuration: Message
    position: int
    tip: int
    follows: bytes
    cut: int
    epoch: int = 0
    leader: str | None = None
    height: int = 0
    next_seq: int = 0
    time: int = 0
    history: Tree = field(default_factory=Tree)
    chains: dict[tuple[str, int], Chain] = field(default_factory=dict)

    def chain(self, topic: str, partition: int) -> Chain:
        """A partition's chain; one that nobody mentioned begins at offset 0 of generation 0."""
        key = (topic, partition)
        if key not in self.chains:
            self.chains[key] = Chain(chain_start(self.ledger, topic, partition, 0, 0))
        return self.chains[key]

    def pending(self, up_to: int) -> list[Pending]:
        """The pending segments at positions up to `up_to`, in canonical order."""
        found = [each for chain in self.chains.values() for each in chain.pending(up_to)]
        return sorted(found, key=lambda each: each.segment.order)

    def text(self) -> bytes:
        """The state's one spelling."""
        head = [
            "plait.state/v1", self.configuration.origin, b64(self.ledger),
            f"position {self.position}", f"tip {self.tip}", f"epoch {self.epoch}", f"follows {b64(self.follows)}",
            f"leader {self.leader or 'none'}", f"height {self.height}", f"next-seq {self.next_seq}", f"cut {self.cut}", f"time {self.time}",
            " ".join(["history", *map(b64, self.history.roots)]),
        ]
        keys = sorted(self.chains, key=lambda key: (key[0].encode(), key[1]))
        chains = [line for key in keys for line in chain_lines(key, self.chains[key], self.position)]
        lines = [*head, *chains, "configuration"]
        return "".join(line + "\n" for line in lines).encode() + self.configuration.note.data

    def at(self, cut: int) -> bytes:
        """
        The text of the state after all messages up to `cut`, which is not below the tip: since then only chains have moved,
        so that what was accepted above `cut` is left out.
        """
        return replace(self, position=cut).text()


def chain_lines(key: tuple[str, int], chain: Chain, position: int) -> list[str]:
    """What a state says of one partition, with what was pending at `position`."""
    if chain.is_silent(position):
        return []
    (topic, number), base = key, chain.base
    lines = [f"chain {topic} {number} {base.generation} {base.next_index} {base.next_offset} {b64(base.head)}"]
    if chain.last is not None:
        lines.append(f"last {chain.last}")
    for each, after in pairwise([*chain.known(position), None]):
        if isinstance(each, Pending):
            lines.append(f"pending {each.position} {each.segment}")
        elif not isinstance(after, End):
            lines.append(f"restart {each.generation} {each.next_offset}")
    return lines


def commitment(text: bytes) -> tuple[int, bytes]:
    """What a header says of a state: its size, and the root over its chunks."""
    return len(text), root_of([text[at:at + CHUNK_BYTES] for at in range(0, len(text), CHUNK_BYTES)])
