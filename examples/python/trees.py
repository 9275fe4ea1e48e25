"""Merkle trees, proofs, payloads and leaves (docs/FORMAT.md, section 3; RFC 6962 section 2.1, RFC 9162 section 2.1.3)."""

from notation import Malformed, demand, sha256

EMPTY_ROOT = sha256()
ZIGZAG_BITS_MAX = 32


def leaf_hash(entry: bytes) -> bytes:
    """The hash of one entry."""
    return sha256(b"\0", entry)


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash over two subtrees."""
    return sha256(b"\1", left, right)


class Tree:
    """A tree that grows: the roots of its perfect subtrees, largest first."""

    def __init__(self, entries: list[bytes] | None = None):
        self.size = 0
        self.roots: list[bytes] = []
        for entry in entries or []:
            self.append(leaf_hash(entry))

    def append(self, leaf: bytes) -> None:
        """Adds a leaf hash: it joins a subtree for each low bit of the size that is set."""
        size = self.size
        while size & 1:
            leaf = node_hash(self.roots.pop(), leaf)
            size >>= 1
        self.roots.append(leaf)
        self.size += 1

    def root(self) -> bytes:
        """The root over all entries so far."""
        if not self.roots:
            return EMPTY_ROOT
        root = self.roots[-1]
        for left in reversed(self.roots[:-1]):
            root = node_hash(left, root)
        return root


def root_of(entries: list[bytes]) -> bytes:
    """The root over some entries."""
    return Tree(entries).root()


def proves(entry: bytes, index: int, size: int, proof: list[bytes], root: bytes) -> bool:
    """Whether `entry` is number `index` of a tree of `size` with this root (RFC 9162, section 2.1.3.2)."""
    if index >= size:
        return False
    fn, sn, found = index, size - 1, leaf_hash(entry)
    for sibling in proof:
        if sn == 0:
            return False
        if fn & 1 or fn == sn:
            found = node_hash(sibling, found)
            while not fn & 1 and fn != 0:
                fn, sn = fn >> 1, sn >> 1
        else:
            found = node_hash(found, sibling)
        fn, sn = fn >> 1, sn >> 1
    return sn == 0 and found == root


def varint(value: int) -> bytes:
    """A number in zigzag, 7 bits a byte, low bits first; minimal."""
    rest = 2 * value if value >= 0 else -2 * value - 1
    out = bytearray()
    while rest > 0x7F:
        out.append(rest & 0x7F | 0x80)
        rest >>= 7
    return bytes(out) + bytes([rest])


def sized(data: bytes | None) -> bytes:
    """Length and bytes; −1 for null."""
    return varint(-1) if data is None else varint(len(data)) + data


def payload_of(key: bytes | None, value: bytes | None, headers: list[tuple[bytes, bytes | None]]) -> bytes:
    """A record's payload: its bytes from the key length to the end, in Kafka's record format v2."""
    return sized(key) + sized(value) + varint(len(headers)) + b"".join(sized(k) + sized(v) for k, v in headers)


def minimal_payload(data: bytes) -> bytes:
    """A payload with its varints made minimal. Raises Malformed if it is none."""
    at = 0

    def integer() -> int:
        nonlocal at
        value = shift = 0
        while True:
            demand(at < len(data) and shift < 35, "no varint")
            byte = data[at]
            at += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                break
        demand(value < 2**ZIGZAG_BITS_MAX, "a varint of more than 32 bits")
        return value >> 1 if value % 2 == 0 else -(value >> 1) - 1

    def taken(null: bool = True) -> bytes | None:
        nonlocal at
        length = integer()
        demand(length >= (-1 if null else 0) and at + length <= len(data), "a length that cannot be")
        if length == -1:
            return None
        at += length
        return data[at - length:at]

    key, value, count = taken(), taken(), integer()
    demand(0 <= count <= len(data), "a number of headers that cannot be")
    headers = [(taken(null=False) or b"", taken()) for _ in range(count)]
    if at != len(data):
        raise Malformed("bytes behind the record")
    return payload_of(key, value, headers)


def leaf_of(offset: int, timestamp: int, payload: bytes) -> bytes:
    """A record's leaf of 48 bytes."""
    return offset.to_bytes(8, "big") + timestamp.to_bytes(8, "big", signed=True) + sha256(payload)
