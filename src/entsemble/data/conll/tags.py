"""The one tag codec: from one tag a token to labelled token ranges and back.

`decode` is lenient as conlleval and seqeval are: a tag that continues nothing starts a mention. Read so, IOB1, IOB2 and
all the schemes with an end and a single letter (IOBES, BILOU, BMES, BMEWO) are one language, and no scheme has to be
known to read. `encode` writes any of them.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from typing import NamedTuple

from entsemble.errors import DataError, UnknownNameError

OUTSIDE = "O"

_ROLES = {"B": "B", "I": "I", "M": "I", "E": "E", "L": "E", "S": "S", "U": "S", "W": "S"}
"""What each letter means: begin, inside, end or single."""


class TokenRange(NamedTuple):
    """A labelled half-open range of tokens."""

    first: int
    end: int
    label: str


class Letters(NamedTuple):
    """The letters that a scheme writes."""

    begin: str
    inside: str
    end: str
    single: str


SCHEMES: dict[str, Letters] = {
    "iob1": Letters("I", "I", "I", "I"),
    "iob2": Letters("B", "I", "I", "B"),
    "iobes": Letters("B", "I", "E", "S"),
    "bioes": Letters("B", "I", "E", "S"),
    "bilou": Letters("B", "I", "L", "U"),
    "bmes": Letters("B", "M", "E", "S"),
    "bmewo": Letters("B", "M", "E", "W"),
}
"""Scheme -> its letters. In `iob1` a mention begins with `B` where it follows one of its own label at once."""


@lru_cache(maxsize=4096)
def parse(tag: str) -> tuple[str, str]:
    """The role (`B`, `I`, `E`, `S` or `O`) and the label of one tag.

    Labels may hold hyphens, dots and underscores: only the first hyphen separates (`B-PER.NAM`, `I-creative-work`).

    Raises:
        DataError: `tag` is no tag of any scheme.
    """
    if tag in ("O", "o"):
        return OUTSIDE, ""
    letter, hyphen, label = tag.partition("-")
    if letter not in _ROLES or not hyphen or not label.strip():
        raise DataError(f"{tag!r} is no tag; a tag is O, or one of the letters {''.join(_ROLES)}, a hyphen and a label")
    return _ROLES[letter], label


def is_tag(value: str) -> bool:
    """Whether `value` can be read as a tag."""
    return value in ("O", "o") or (value[1:2] == "-" and value[0] in _ROLES and bool(value[2:].strip()))


def decode(tags: Iterable[str], scheme: str | None = None) -> list[TokenRange]:
    """The mentions that a sentence's tags mark, in order, as conlleval and seqeval's default mode see them.

    Args:
        tags: one tag a token.
        scheme: refuse the letters that this scheme does not have; by default all letters are read.

    Raises:
        DataError: a tag that is none, or none of the named scheme.
    """
    allowed = None if scheme is None else set(_letters(scheme)) | {"B", OUTSIDE, "o"}
    found: list[TokenRange] = []
    first, open_label, position = 0, "", -1
    for position, tag in enumerate(tags):
        role, label = parse(tag)
        if allowed is not None and tag[0] not in allowed:
            raise DataError(f"{tag!r} is no tag of the scheme {scheme}; name the right scheme, or none")
        if open_label and (role not in "IE" or label != open_label):
            found.append(TokenRange(first, position, open_label))
            open_label = ""
        if role != OUTSIDE and not open_label:
            first, open_label = position, label
        if role in "ES":
            found.append(TokenRange(first, position + 1, open_label))
            open_label = ""
    if open_label:
        found.append(TokenRange(first, position + 1, open_label))
    return found


def encode(ranges: Iterable[TokenRange | tuple[int, int, str]], length: int, scheme: str = "iob2") -> list[str]:
    """One tag a token for mentions that do not overlap.

    Args:
        ranges: `(first, end, label)` over tokens, `end` exclusive, in any order.
        length: number of tokens.
        scheme: a name in `SCHEMES`.

    Raises:
        ValueError: a range lies outside the sentence, is empty or overlaps another; nested mentions need one call a
            level.
        UnknownNameError: there is no such scheme.
    """
    letters = _letters(scheme)
    tags = [OUTSIDE] * length
    previous = TokenRange(0, 0, "")
    for current in sorted(TokenRange(*r) for r in ranges):
        if not previous.end <= current.first < current.end <= length:
            raise ValueError(f"{tuple(current)} is empty, overlaps another range or exceeds {length} tokens")
        adjacent = current.first == previous.end and current.label == previous.label
        tags[current.first : current.end] = _mention_tags(current, letters, scheme == "iob1" and adjacent)
        previous = current
    return tags


def recognise(sequences: Iterable[Sequence[str]]) -> str:
    """The scheme that tags are written in, most telling letter first; `iob2` where nothing tells.

    `decode` does not need it; it serves whoever writes back what was read.
    """
    letters: set[str] = set()
    begun = stray = 0
    for tags in sequences:
        before = (OUTSIDE, "")
        for tag in tags:
            role, label = parse(tag)
            letters.add(tag[0])
            fresh = before[0] == OUTSIDE or before[1] != label
            begun += role == "B" and fresh
            stray += role == "I" and fresh
            before = (role, label)
    for letter, scheme in (
        ("W", "bmewo"),
        ("M", "bmes"),
        ("U", "bilou"),
        ("L", "bilou"),
        ("S", "iobes"),
        ("E", "iobes"),
    ):
        if letter in letters:
            return scheme
    return "iob1" if stray > begun else "iob2"


def _letters(scheme: str) -> Letters:
    if scheme not in SCHEMES:
        raise UnknownNameError("tag scheme", scheme, SCHEMES)
    return SCHEMES[scheme]


def _mention_tags(mention: TokenRange, letters: Letters, force_begin: bool) -> list[str]:
    length = mention.end - mention.first
    several = [letters.begin, *[letters.inside] * (length - 2), letters.end]
    written = [letters.single] if length == 1 else several
    if force_begin:
        written[0] = "B"
    return [f"{letter}-{mention.label}" for letter in written]
