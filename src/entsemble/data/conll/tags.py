"""The tag codec: one tag per token to labelled token ranges, and back.

`decode` is as lenient as conlleval and seqeval: a tag that continues nothing starts a mention. Read in this way, IOB1,
IOB2 and the schemes with letters for ends and single tokens (IOBES, BILOU, BMES, BMEWO) are one language, so the scheme
need not be known. `encode` writes any of them.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import NamedTuple

from entsemble.errors import DataError, UnknownNameError

OUTSIDE = "O"

_ROLES = {"B": "B", "I": "I", "M": "I", "E": "E", "L": "E", "S": "S", "U": "S", "W": "S"}
"""Letter -> its role: begin, inside, end or single."""


class TokenRange(NamedTuple):
    """A labelled half-open range of tokens."""

    first: int
    end: int
    label: str


class Letters(NamedTuple):
    """The letters of a scheme."""

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
"""Scheme -> its letters. In `iob1`, a mention directly after another one with the same label begins with `B`."""


@lru_cache(maxsize=4096)
def parse_tag(tag: str) -> tuple[str, str]:
    """The role (`B`, `I`, `E`, `S` or `O`) and the label of a tag.

    The first hyphen separates them, so a label may contain hyphens, dots and underscores (`B-PER.NAM`,
    `I-creative-work`).

    Raises:
        DataError: it is not a tag of any scheme.
    """
    if tag in ("O", "o"):
        return OUTSIDE, ""
    letter, hyphen, label = tag.partition("-")
    if letter not in _ROLES or not hyphen or not label.strip():
        raise DataError(
            f"{tag!r} is not a valid tag; a tag is O, or one of the letters {''.join(_ROLES)}, a hyphen and a label"
        )
    return _ROLES[letter], label


def is_tag(value: str) -> bool:
    """Whether `value` is a tag of some scheme."""
    return value in ("O", "o") or (value[1:2] == "-" and value[0] in _ROLES and bool(value[2:].strip()))


def fits_scheme(tags: Iterable[str]) -> bool:
    """Whether all tags, of which none is `O`, have labels that begin with a letter, and letters of a common scheme."""
    letters = set()
    for tag in tags:
        if not is_tag(tag) or not tag[2:3].isalpha():
            return False
        letters.add(tag[0])
    return any(letters <= {"B", *scheme} for scheme in SCHEMES.values())


def decode(tags: Iterable[str], scheme: str | None = None) -> list[TokenRange]:
    """The mentions of a sentence in order, as conlleval and seqeval's default mode read its tags.

    Args:
        tags: one per token.
        scheme: reject letters that this scheme does not have; by default all letters are valid.

    Raises:
        DataError: a tag is not valid, or not valid in the given scheme.
        UnknownNameError: there is no such scheme.
    """
    valid_letters = None if scheme is None else set(_find_letters(scheme)) | {"B", OUTSIDE, "o"}
    ranges: list[TokenRange] = []
    first, open_label, position = 0, "", -1
    for position, tag in enumerate(tags):
        role, label = parse_tag(tag)
        if valid_letters is not None and tag[0] not in valid_letters:
            raise DataError(f"{tag!r} is not a tag of the scheme {scheme}; name the right scheme, or none")
        if open_label and (role not in "IE" or label != open_label):
            ranges.append(TokenRange(first, position, open_label))
            open_label = ""
        if role != OUTSIDE and not open_label:
            first, open_label = position, label
        if role in "ES":
            ranges.append(TokenRange(first, position + 1, open_label))
            open_label = ""
    if open_label:
        ranges.append(TokenRange(first, position + 1, open_label))
    return ranges


def encode(ranges: Iterable[TokenRange | tuple[int, int, str]], length: int, scheme: str = "iob2") -> list[str]:
    """One tag per token for mentions that do not overlap.

    Args:
        ranges: `(first, end, label)` in tokens, `end` exclusive, in any order.
        length: number of tokens.
        scheme: a name in `SCHEMES`.

    Raises:
        ValueError: a range is outside the sentence, empty, or overlaps another; nested mentions need one call per
            level.
        UnknownNameError: there is no such scheme.
    """
    letters = _find_letters(scheme)
    tags = [OUTSIDE] * length
    previous = TokenRange(0, 0, "")
    for current in sorted(TokenRange(*item) for item in ranges):
        if not previous.end <= current.first < current.end <= length:
            raise ValueError(f"{tuple(current)} is empty, overlaps another range or exceeds {length} tokens")
        adjacent = current.first == previous.end and current.label == previous.label
        tags[current.first : current.end] = _mention_tags(current, letters, scheme == "iob1" and adjacent)
        previous = current
    return tags


def _find_letters(scheme: str) -> Letters:
    if scheme not in SCHEMES:
        raise UnknownNameError("tag scheme", scheme, SCHEMES)
    return SCHEMES[scheme]


def _mention_tags(mention: TokenRange, letters: Letters, force_begin: bool) -> list[str]:
    length = mention.end - mention.first
    multi_token = [letters.begin, *[letters.inside] * (length - 2), letters.end]
    tag_letters = [letters.single] if length == 1 else multi_token
    if force_begin:
        tag_letters[0] = "B"
    return [f"{letter}-{mention.label}" for letter in tag_letters]
