"""CoNLL-U, whose names, if it has any, are tags in the last column: `NER=B-PER`, `name=B-PER` and the like.

The text is that of the comment `# text = ` if its words are in it, or else the words with spaces but where the last
column says `SpaceAfter=No`. A token of several words has the tag of the first of them that is not `O`.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

from entsemble.data.conll import tags
from entsemble.data.source import Source
from entsemble.errors import DataError, warn
from entsemble.types import Document, Span, mention_at

_WIDTH = 10
_NUMBER = re.compile(r"[0-9]{1,9}(?:-([0-9]{1,9})|\.[0-9]{1,9})?")
_TAG = re.compile(r"(?:^|[| ])(?:ner|ne|name|bio)=([^| ]+)", re.IGNORECASE)
_TEXT_COMMENT = "# text = "
_NO_SPACE = re.compile(r"(?:^|[| ])SpaceAfter=No(?:$|[| ])")


@dataclass(slots=True)
class _Sentence:
    """The lines of a sentence: a surface, a tag and whether a space follows, for each token."""

    line: int
    text: str | None = None
    surfaces: list[str] = field(default_factory=list)
    tags: list[str] = field(default_factory=list)
    spaces: list[bool] = field(default_factory=list)
    last_word_within: int = 0


def is_conllu(lines: Iterable[str]) -> bool:
    """Whether the first line that is no comment has the columns of CoNLL-U."""
    first_line = next((line for line in lines if line.strip() and not line.startswith("#")), "")
    cells = first_line.split("\t")
    return len(cells) == _WIDTH and _NUMBER.fullmatch(cells[0]) is not None


def read(lines: Iterable[tuple[int, str]], source: Source) -> Iterator[Document]:
    """The sentences of a file; without any tag, a warning says so.

    Raises:
        DataError: a line has other columns.
    """
    tag_count = 0
    for sentence in _sentences(lines, source):
        tag_count += sum(bool(tag) for tag in sentence.tags)
        yield _document(sentence, source)
    if not tag_count:
        warn(f"{source.place}: texts without names, since the last column has no tags such as NER=B-PER")


def _sentences(lines: Iterable[tuple[int, str]], source: Source) -> Iterator[_Sentence]:
    sentence: _Sentence | None = None
    for line_number, raw_line in lines:
        line = raw_line.rstrip("\r\n")
        if not line.strip():
            if sentence and sentence.surfaces:
                yield sentence
            sentence = None
            continue
        sentence = sentence or _Sentence(line_number)
        if line.startswith("#"):
            sentence.text = line.removeprefix(_TEXT_COMMENT) if line.startswith(_TEXT_COMMENT) else sentence.text
        else:
            _add_line(sentence, line, line_number, source)
    if sentence and sentence.surfaces:
        yield sentence


def _add_line(sentence: _Sentence, line: str, line_number: int, source: Source) -> None:
    cells = line.split("\t")
    number = _NUMBER.fullmatch(cells[0])
    if len(cells) != _WIDTH or number is None:
        problem = f"a line of CoNLL-U has a number and {_WIDTH} columns, separated by TABs; this one has {len(cells)}"
        raise DataError(f"{problem}; correct it", source.place, line_number)
    if "." in cells[0]:  # a word that is not in the text
        return
    match = _TAG.search(cells[9])
    tag = match[1] if match and tags.is_tag(match[1]) else ""
    if not number[1] and int(cells[0]) <= sentence.last_word_within:
        if sentence.tags[-1] in ("", tags.OUTSIDE):
            sentence.tags[-1] = tag
        return
    sentence.last_word_within = int(number[1] or 0)
    sentence.surfaces.append(cells[1])
    sentence.tags.append(tag)
    sentence.spaces.append(not _NO_SPACE.search(cells[9]))


def _document(sentence: _Sentence, source: Source) -> Document:
    spans = _find(sentence.surfaces, sentence.text or "")
    text = sentence.text or ""
    if spans is None:
        pieces = [surface + " " * space for surface, space in zip(sentence.surfaces, sentence.spaces, strict=True)]
        text = "".join(pieces).rstrip(" ")
        spans = _find(sentence.surfaces, text) or []
    ranges = tags.decode([tag or tags.OUTSIDE for tag in sentence.tags])
    mentions = [mention_at(text, spans[first].start, spans[end - 1].end, label) for first, end, label in ranges]
    return Document(f"{source.name}:{sentence.line}", text, tuple(mentions), tuple(spans))


def _find(surfaces: Sequence[str], text: str) -> list[Span] | None:
    """The ranges of words that follow one another in a text; `None` if one is not there."""
    spans: list[Span] = []
    position = 0
    for surface in surfaces:
        start = text.find(surface, position) if surface else -1
        if start < 0 or text[position:start].strip():
            return None
        position = start + len(surface)
        spans.append(Span(start, position))
    return spans
