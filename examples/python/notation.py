"""Spellings (docs/FORMAT.md, section 1). Everything has one spelling: each reader here refuses all others."""

import base64
import binascii
import hashlib
import re

NUMBER_MAX = 2**63 - 1
SAFE_MAX = 2**53 - 1
NUMBER = re.compile(r"0|[1-9][0-9]{0,18}", re.ASCII)
TOPIC = re.compile(r"[a-zA-Z0-9._-]{1,249}")
ORIGIN = re.compile(r"[!-*,-~]{1,200}")


class Malformed(ValueError):
    """Bytes that are not spelled as FORMAT.md says."""


def sha256(*parts: bytes) -> bytes:
    """SHA-256 of the parts joined."""
    return hashlib.sha256(b"".join(parts)).digest()


def demand(holds: object, what: str) -> None:
    """Raises Malformed unless it holds."""
    if not holds:
        raise Malformed(what)


def text_of(data: bytes) -> str:
    """The characters of a text."""
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise Malformed(f"no UTF-8: {error}") from error


def number(text: str, most: int = NUMBER_MAX, least: int = 0) -> int:
    """A decimal number, no sign, no leading zero."""
    demand(NUMBER.fullmatch(text), f"no number: {text[:40]!r}")
    value = int(text)
    demand(least <= value <= most, f"{value} is not between {least} and {most}")
    return value


def unbase64(text: str) -> bytes:
    """RFC 4648, section 4: padded, no white space, unused bits zero."""
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError) as error:
        raise Malformed(f"no base64: {text[:40]!r}") from error
    demand(b64(data) == text, f"another spelling of base64: {text[:40]!r}")
    return data


def b64(data: bytes) -> str:
    """Base64 as everywhere in the formats."""
    return base64.b64encode(data).decode("ascii")


def hash_of(text: str) -> bytes:
    """A hash: base64 of 32 bytes."""
    data = unbase64(text)
    demand(len(data) == 32, "a hash has 32 bytes")
    return data


def topic(text: str) -> str:
    """The name of a source topic."""
    demand(TOPIC.fullmatch(text) and text not in (".", ".."), f"no topic: {text[:40]!r}")
    return text


def partition(text: str) -> int:
    """The number of a partition in a segment."""
    return number(text, 2**31 - 1)


def origin(text: str) -> str:
    """The name of a ledger."""
    demand(ORIGIN.fullmatch(text) and not text.startswith("plait."), f"no origin: {text[:40]!r}")
    return text


class Lines:
    """The lines of a text, taken one after the other."""

    def __init__(self, data: bytes):
        text = text_of(data)
        demand(text.endswith("\n"), "a text ends with a line feed")
        self._lines = text[:-1].split("\n")
        self._at = 0

    def next(self) -> str:
        """The next line as it is."""
        demand(self._at < len(self._lines), "a line is missing")
        self._at += 1
        return self._lines[self._at - 1]

    def words(self, name: str, count: int | None = None) -> list[str]:
        """The words behind `name` in the next line, which must begin so; `count` of them, if it is given."""
        first, *rest = self.next().split(" ")
        demand(first == name, f"wanted a line {name!r}, found {first[:40]!r}")
        demand("" not in rest, "words are separated by one space")
        demand(count is None or len(rest) == count, f"line {name!r} has {len(rest)} words behind its name")
        return rest

    def word(self, name: str) -> str:
        """The one word behind `name` in the next line."""
        return self.words(name, 1)[0]

    def value(self, name: str) -> str:
        """What stands behind `name` and one space in the next line, perhaps nothing."""
        line = self.next()
        demand(line.startswith(f"{name} "), f"wanted a line {name!r}, found {line[:40]!r}")
        return line[len(name) + 1:]

    def begins(self, name: str) -> bool:
        """Whether there is a next line and its first word is `name`."""
        return self._at < len(self._lines) and self._lines[self._at].split(" ")[0] == name

    def rest(self) -> bytes:
        """The lines that were not taken, as bytes."""
        left = self._lines[self._at:]
        self._at = len(self._lines)
        return "".join(line + "\n" for line in left).encode()

    def end(self) -> None:
        """Raises Malformed unless all lines were taken."""
        demand(self._at == len(self._lines), "a line too many")
