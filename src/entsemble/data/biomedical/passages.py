"""Texts in passages with annotations whose offsets count in the whole document, as in BioC, BigBio and PubTator.

What offsets count, and from where, differs between tools. The texts of the annotations tell: of several ways to count,
the first one counts in which all annotations of a document are at their offsets.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any

from entsemble.data.json_values import same_but_whitespace
from entsemble.data.offset_counts import FindCodePoint, code_points, utf8_bytes, utf16_units
from entsemble.data.options import Discontinuous
from entsemble.errors import DataError

INFONS_KEY = "infons"
"""Where the meta of a document has what annotations say besides their label, such as the ids of concepts."""

_COUNTS: tuple[Callable[[str], FindCodePoint], ...] = (code_points, utf16_units, utf8_bytes)
_MAX_GAP = 4
"""Characters between two passages that are kept; if offsets say more, they count something else."""

_OUTSIDE_ASCII = re.compile(r"[^\x00-\x7f]+")


@dataclass(frozen=True, slots=True)
class Annotation:
    """An annotation of a passage.

    Attributes:
        label: its type.
        pieces: start and end of each, as the file counts them.
        surface: its text according to the file; empty if the file does not give it.
        infons: what else it says, such as the id of a concept.
        name: its id, which is kept if there are relations that may refer to it.
    """

    label: object
    pieces: Sequence[tuple[int, int]]
    surface: str
    infons: dict[str, Any]
    name: object = None


@dataclass(slots=True)
class Passage:
    """A part of a document's text.

    Attributes:
        text: may be empty.
        offset: where it begins in the document, as the file counts; `None` if the file does not say it.
        annotations: those in it.
        separator: what stands before it if nothing else does.
        infons: what the file says about it.
    """

    text: str
    offset: int | None
    annotations: list[Annotation]
    separator: str = "\n"
    infons: dict[str, Any] = field(default_factory=dict)


def to_record(passages: Sequence[Passage], meta: dict[str, Any], discontinuous: Discontinuous) -> dict[str, Any]:
    """The text, mentions and meta of a document in the shape of our JSON Lines.

    Args:
        passages: in the order of the text.
        meta: what is known of the document; gets what the passages and annotations say.
        discontinuous: what to do with an annotation in several pieces.

    Raises:
        DataError: an annotation is not at its offsets; the message names no file.
    """
    text, starts = _join(passages)
    find_ranges = _fitting_count(passages)
    has_relations = any("relations" in infons for infons in (meta, *(passage.infons for passage in passages)))
    mentions, infons = [], []
    for passage, first in zip(passages, starts, strict=True):
        for annotation in passage.annotations:
            start, end = _range(annotation, passage, find_ranges(passage, annotation), discontinuous)
            place = {"start": first + start, "end": first + end, "label": annotation.label}
            other_infons = {key: value for key, value in annotation.infons.items() if value is not None}
            score = _take_score(other_infons)
            mentions.append({**place, "score": score})
            name = {"id": annotation.name} if has_relations and annotation.name is not None else {}
            if other_infons or name:
                infons.append({**place, **name, "infons": other_infons})
    passage_infons = [
        {"start": first, "infons": passage.infons}
        for first, passage in zip(starts, passages, strict=True)
        if passage.infons
    ]
    meta = {**meta, **({"passages": passage_infons} if passage_infons else {})}
    meta |= {INFONS_KEY: infons} if infons else {}
    return {"text": text, "mentions": mentions, "meta": meta}


def _take_score(infons: dict[str, Any]) -> float | None:
    """The score among infons, which is removed there, if it is a number between 0 and 1."""
    try:
        score = float(infons.get("score", "none"))
    except (TypeError, ValueError):
        return None
    if not 0 <= score <= 1:
        return None
    del infons["score"]
    return score


def _join(passages: Sequence[Passage]) -> tuple[str, list[int]]:
    """The text of passages, and where each begins in it. Gaps are as wide as plausible offsets say."""
    parts: list[str] = []
    starts: list[int] = []
    length = 0
    previous: Passage | None = None
    for passage in passages:
        if previous is not None:
            separator = passage.separator
            if previous.offset is not None and passage.offset is not None:
                gap = passage.offset - previous.offset - len(previous.text)
                is_joined = previous.text[-1:].isspace() or passage.text[:1].isspace()
                separator *= gap if 0 < gap <= _MAX_GAP else 0 if gap == 0 and is_joined else 1
            parts.append(separator)
            length += len(separator)
        starts.append(length)
        parts.append(passage.text)
        length += len(passage.text)
        previous = passage
    return "".join(parts), starts


_FindRanges = Callable[[Passage, Annotation], "list[tuple[int, int]] | None"]


def _fitting_count(passages: Sequence[Passage]) -> _FindRanges:
    """The first way of counting that fits the texts of all annotations; if none does, code points from the offset."""
    ways = list(_ways_of_counting())
    annotated = [(passage, annotation) for passage in passages for annotation in passage.annotations]
    return next((way for way in ways if all(_fits(*pair, way(*pair)) for pair in annotated)), ways[0])


def _ways_of_counting() -> Iterator[_FindRanges]:
    """In code points, UTF-16 units or bytes, from the beginning of the document or of the passage."""
    for count in _COUNTS:
        for is_relative in (False, True):
            yield _Count(count, is_relative)


class _Count:
    """One way of counting: finds the ranges of annotations in their passages."""

    def __init__(self, count: Callable[[str], FindCodePoint], is_relative: bool) -> None:
        self._count, self._is_relative = count, is_relative
        self._passage: Passage | None = None
        self._find: FindCodePoint = code_points("")

    def __call__(self, passage: Passage, annotation: Annotation) -> list[tuple[int, int]] | None:
        """The ranges of an annotation's pieces; `None` if they are not in the passage."""
        if passage is not self._passage:
            self._passage, self._find = passage, self._count(passage.text)
        base = 0 if self._is_relative else passage.offset or 0
        ranges = [(self._find(start - base), self._find(end - base)) for start, end in annotation.pieces]
        valid = [(start, end) for start, end in ranges if start is not None and end is not None and start < end]
        return sorted(valid) if len(valid) == len(ranges) else None


def _fits(passage: Passage, annotation: Annotation, ranges: list[tuple[int, int]] | None) -> bool:
    """Whether an annotation's text is at its offsets, as it is or written in ASCII."""
    if ranges is None:
        return False
    if not annotation.surface.strip():
        return True
    pieces = [passage.text[start:end] for start, end in ranges]
    whole = passage.text[ranges[0][0] : ranges[-1][1]]
    return any(_is_same(actual, annotation.surface) for actual in (" ".join(pieces), "".join(pieces), whole))


def _is_same(actual: str, surface: str) -> bool:
    """Whether a surface is that of the text, or the one in ASCII that PubTator writes for it, such as TNF-a."""
    if same_but_whitespace(actual, surface):
        return True
    parts = _OUTSIDE_ASCII.split(actual)
    if not surface.isascii() or len(parts) == 1 or 2 * sum(map(len, parts)) <= len(actual):
        return False
    position = 0
    for part in parts[:-1]:
        position = surface.find(part, position)
        if position < 0:
            return False
        position += len(part)
    return surface.startswith(parts[0]) and surface.endswith(parts[-1]) and position <= len(surface) - len(parts[-1])


def _range(
    annotation: Annotation, passage: Passage, ranges: list[tuple[int, int]] | None, discontinuous: Discontinuous
) -> tuple[int, int]:
    """The range of an annotation in its passage."""
    described = f"the annotation {annotation.surface!r}" if annotation.surface else "an annotation without text"
    offsets = ", ".join(f"[{start}, {end})" for start, end in annotation.pieces)
    if ranges is None:
        place = f"a passage of {len(passage.text)} characters from {passage.offset or 0}"
        raise DataError(f"{described} at {offsets} is not in {place}; correct its offsets")
    if not _fits(passage, annotation, ranges):
        actual = passage.text[ranges[0][0] : ranges[-1][1]]
        raise DataError(f"{described} is not at {offsets}, where the text has {actual!r}; correct one of them")
    gaps = [passage.text[left[1] : right[0]] for left, right in pairwise(ranges)]
    if discontinuous == "error" and any(gap.strip() for gap in gaps):
        problem = f"{described} has {len(ranges)} pieces, and a mention is one range"
        advice = "read with discontinuous='hull' to take everything from its first to its last character"
        raise DataError(f"{problem}; {advice}")
    return ranges[0][0], max(end for _, end in ranges)
