"""Lines of standoff annotation, as brat and the BioNLP shared tasks write them, and the mentions that they give.

Only text-bound annotations (`T`) are mentions; relations, events, attributes, normalisations and notes are skipped.
Offsets count the code points of the unchanged text, including a byte order mark and carriage returns. What is accepted
follows brat's `annotation.py`.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from itertools import accumulate, combinations, pairwise
from typing import NamedTuple
from urllib.parse import unquote

from entsemble.data.options import Discontinuous
from entsemble.data.source import Source
from entsemble.errors import DataError
from entsemble.types import Mention

_SKIPPED_ANNOTATIONS = "REAMN#*"
_PIECE = "[0-9]{1,15} +[0-9]{1,15}"
_TEXT_BOUND = re.compile(rf"(T[^\t]*?) *\t *(\S+) +({_PIECE}(?:;{_PIECE})*) *(?:\t(.*))?", re.DOTALL)


class _Annotation(NamedTuple):
    """A text-bound annotation.

    Attributes:
        name: its id.
        label: its type.
        pieces: start and end of each, as the file counts them.
        surface: its text according to the file, perhaps with a comment behind it; `None` if the file does not give it.
    """

    name: str
    label: str
    pieces: list[tuple[int, int]]
    surface: str | None

    @property
    def start(self) -> int:
        """Its first character."""
        return min(start for start, _ in self.pieces)

    @property
    def end(self) -> int:
        """The end of its last character."""
        return max(end for _, end in self.pieces)


FindOffset = Callable[[int], int]
"""A function from offsets in a file of annotations to those in the text."""


def read_mentions(text: str, sources: Sequence[Source], discontinuous: Discontinuous) -> tuple[Mention, ...]:
    """The mentions of a text.

    Args:
        text: with its byte order mark and line ends.
        sources: the files of its annotations.
        discontinuous: what to do with a mention in several pieces.

    Raises:
        DataError: a line is not an annotation, or a mention is not at its offsets.
    """
    lines = [(source, number, annotation) for source in sources for number, annotation in _read_annotations(source)]
    find_offset = _fitting_count(text, [annotation for _, _, annotation in lines])
    mentions: list[Mention] = []
    try:
        mentions += (_mention(annotation, text, find_offset, discontinuous) for _, _, annotation in lines)
    except DataError as error:
        source, line_number, _ = lines[len(mentions)]
        raise DataError(error.problem, source.place, line_number) from None
    return tuple(mentions)


def _read_annotations(source: Source) -> Iterator[tuple[int, _Annotation]]:
    """Line numbers and text-bound annotations."""
    for line_number, raw_line in source.lines():
        line = raw_line.rstrip("\r\n")
        if not line.strip() or line[0] in _SKIPPED_ANNOTATIONS:
            continue
        match = _TEXT_BOUND.fullmatch(line)
        if not match:
            problem = "this is not a brat annotation, which looks like 'T1<TAB>label 0 5<TAB>words'"
            raise DataError(f"{problem}; correct the line", source.place, line_number)
        pieces = [(int(start), int(end)) for start, end in (piece.split() for piece in match[3].split(";"))]
        yield line_number, _Annotation(match[1], unquote(match[2]), pieces, match[4])


def _mention(annotation: _Annotation, text: str, find_offset: FindOffset, discontinuous: Discontinuous) -> Mention:
    start, end = find_offset(annotation.start), find_offset(annotation.end)
    reversed_pieces = [piece for piece in annotation.pieces if piece[0] >= piece[1]]
    if reversed_pieces or not 0 <= start < end <= len(text):
        wrong_start, wrong_end = (*reversed_pieces, (annotation.start, annotation.end))[0]
        problem = f"[{wrong_start}, {wrong_end}) is not a range of a text of {len(text)} characters"
        raise DataError(f"{problem}; correct the offsets")
    if any(left[0] < right[1] and right[0] < left[1] for left, right in combinations(annotation.pieces, 2)):
        raise DataError(f"the pieces of {annotation.name} overlap; correct the offsets")
    if not _is_continuous(annotation, text, find_offset) and discontinuous == "error":
        problem = f"{annotation.name} has {len(annotation.pieces)} pieces, and a mention is one range"
        raise DataError(
            f"{problem}; read with discontinuous='hull' to take everything from its first to its last character"
        )
    if not _fits(annotation, text, find_offset):
        says = f"the line says {annotation.surface!r}, but the text has {text[start:end]!r}"
        raise DataError(f"{says} at [{annotation.start}, {annotation.end}); correct one of them")
    return Mention(start, end, annotation.label, text[start:end])


def _is_continuous(annotation: _Annotation, text: str, find_offset: FindOffset) -> bool:
    """Whether only whitespace lies between the pieces, as where brat splits a mention at line ends."""
    gaps = [(find_offset(left[1]), find_offset(right[0])) for left, right in pairwise(annotation.pieces)]
    return all(start <= end and not text[start:end].strip() for start, end in gaps)


def _fits(annotation: _Annotation, text: str, find_offset: FindOffset) -> bool:
    """Whether an annotation's text is at its offsets.

    As in brat, its pieces are joined by a space (before brat 1.3 by nothing), the text may be left out, and a comment
    may follow behind whitespace.
    """
    surface = annotation.surface
    if surface is None or not surface.strip():
        return True
    ranges = [(find_offset(start), find_offset(end)) for start, end in annotation.pieces]
    pieces = [text[max(start, 0) : max(end, 0)] for start, end in ranges]
    whole = text[max(find_offset(annotation.start), 0) : max(find_offset(annotation.end), 0)]
    return any(_begins_with(surface, reference) for reference in (" ".join(pieces), "".join(pieces), whole))


def _begins_with(surface: str, reference: str) -> bool:
    """Whether a line's text is the reference, perhaps with a comment behind it; all whitespace is the same."""
    surface, reference = (re.sub(r"\s+", " ", value) for value in (surface, reference))
    if surface == reference:
        return True
    return bool(reference.strip()) and surface.startswith(reference) and surface[len(reference)] == " "


def _fitting_count(text: str, annotations: Sequence[_Annotation]) -> FindOffset:
    """The first way of counting that fits the texts of all annotations; if none does, code points.

    Tools may leave out a byte order mark, or count a CRLF as one character.
    """
    counts: list[FindOffset] = [lambda offset: offset]
    mark = len(text) - len(text.removeprefix("\ufeff"))
    if mark:
        counts.append(lambda offset: offset + 1)
    if "\r\n" in text:
        widths = (0 if left + right == "\r\n" else 1 for left, right in pairwise(text[mark:] + " "))
        numbered_counts = list(enumerate(accumulate(widths, initial=0), mark))
        offsets = {count: index for index, count in reversed(numbered_counts)}
        counts.append(lambda offset: offsets.get(offset, -1))
    for find_offset in counts:
        if all(_fits(annotation, text, find_offset) for annotation in annotations):
            return find_offset
    return counts[0]
