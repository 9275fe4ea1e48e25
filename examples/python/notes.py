"""Signed notes, keys and signatures (docs/FORMAT.md, section 2)."""

import functools
import re
from dataclasses import dataclass

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from notation import demand, sha256, text_of, unbase64

SIGNATURES_MAX = 16


@dataclass(frozen=True)
class Signature:
    """One signature line: whose it says it is, and the bytes behind the key id."""

    name: str
    key_id: bytes
    data: bytes


@dataclass(frozen=True)
class Note:
    """A note's text (with its last line feed) and its signature lines."""

    text: bytes
    signatures: tuple[Signature, ...]
    data: bytes

    @property
    def hash(self) -> bytes:
        """A message's hash: of its text alone."""
        return sha256(self.text)


@dataclass(frozen=True)
class Key:
    """A verifier key."""

    name: str
    key_id: bytes
    public: bytes
    text: str


def parse_note(data: bytes) -> Note:
    """Splits a note at its last empty line. Raises Malformed. Checks no signature."""
    whole = text_of(data)
    demand(not any(c < " " and c != "\n" for c in whole), "a control character")
    at = whole.rfind("\n\n")
    demand(at >= 0 and whole.endswith("\n"), "a note has an empty line, and ends with a line feed")
    lines = whole[at + 2:].split("\n")[:-1]
    demand(1 <= len(lines) <= SIGNATURES_MAX, "1 to 16 signature lines")
    return Note(whole[:at + 1].encode(), tuple(parse_signature(line) for line in lines), data)


def parse_signature(line: str) -> Signature:
    """`— <key name> <base64>`."""
    words = line.split(" ")
    demand(len(words) == 3 and words[0] == "\u2014", "no signature line")
    data = unbase64(words[2])
    demand(len(data) >= 5, "a signature line holds at least 5 bytes")
    return Signature(key_name(words[1]), data[:4], data[4:])


def key_name(name: str) -> str:
    """Not empty, no Unicode white space, no `+`, no control character."""
    demand(name != "" and "+" not in name and not any(c.isspace() or c < " " for c in name), f"no key name: {name[:40]!r}")
    return name


def parse_key(text: str) -> Key:
    """`<name>+<key id>+<base64(0x01 ‖ public key)>`. Does not check that the public key is a good one: `verifies` does."""
    parts = text.split("+", 2)
    demand(len(parts) == 3, f"no verifier key: {text[:40]!r}")
    name, key_id, data = key_name(parts[0]), parts[1], unbase64(parts[2])
    demand(len(data) == 33 and data[0] == 1, "a key is 0x01 and 32 bytes")
    demand(re.fullmatch("[0-9a-f]{8}", key_id), "a key id is 8 hex digits")
    fits = sha256(name.encode(), b"\n", data)[:4]
    demand(bytes.fromhex(key_id) == fits, "the key id does not fit the key")
    return Key(name, fits, data[1:], text)


def signed_by(note: Note, keys: list[Key]) -> str | None:
    """None if one of the keys signed the note, else the reason (section 7, "signed by one of some keys")."""
    pairs = [(key, line) for line in note.signatures for key in keys if (line.name, line.key_id) == (key.name, key.key_id)]
    if not pairs:
        return "unknown-key"
    return None if any(verifies(key.public, line.data, note.text) for key, line in pairs) else "bad-signature"


# Ed25519. The library checks S·B − k·A = R, with R compared as bytes. What it does not check stands here.

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P


def verifies(public: bytes, signature: bytes, message: bytes) -> bool:
    """Whether the signature is valid by the three rules of section 2."""
    if len(signature) != 64 or int.from_bytes(signature[32:], "little") >= L or not is_good_key(public):
        return False
    try:
        Ed25519PublicKey.from_public_bytes(public).verify(signature, message)
        return True
    except (InvalidSignature, ValueError):
        return False


@functools.cache
def is_good_key(public: bytes) -> bool:
    """Rule 2: canonical, on the curve, in the subgroup of prime order, not the identity."""
    if len(public) != 32:
        return False
    y, sign = int.from_bytes(public, "little") % 2**255, public[31] >> 7
    x = x_of(y, sign) if y < P else None
    if x is None or (x, y) == (0, 1):
        return False
    rx, ry, rz = multiply(L, (x, y, 1))
    return rx % P == 0 and (ry - rz) % P == 0


def x_of(y: int, sign: int) -> int | None:
    """The x of a point (RFC 8032, section 5.1.3); None if there is none, or it is 0 and the sign bit 1."""
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    if (x * x - square) % P != 0:
        x = x * pow(2, (P - 1) // 4, P) % P
    if (x * x - square) % P != 0 or (x == 0 and sign == 1):
        return None
    return x if x % 2 == sign else P - x


def multiply(factor: int, point: tuple[int, int, int]) -> tuple[int, int, int]:
    """factor · point, in projective coordinates."""
    result = (0, 1, 1)
    for bit in bin(factor)[2:]:
        result = add(result, result)
        if bit == "1":
            result = add(result, point)
    return result


def add(p: tuple[int, int, int], q: tuple[int, int, int]) -> tuple[int, int, int]:
    """The complete addition of a twisted Edwards curve with a = −1, in projective coordinates."""
    (x1, y1, z1), (x2, y2, z2) = p, q
    a = z1 * z2 % P
    b, c, d = a * a % P, x1 * x2 % P, y1 * y2 % P
    e = D * c * d % P
    f, g = b - e, b + e
    return a * f * ((x1 + y1) * (x2 + y2) - c - d) % P, a * g * (d + c) % P, f * g % P

