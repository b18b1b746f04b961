"""Detects the columns and conventions of a CoNLL-like file from its first lines.

`guess_columns` decides whether a file is CoNLL at all, and must not take a plain text for one; `detect_columns` finds
the columns of a file that is known to be CoNLL.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from urllib.parse import quote, unquote

from entsemble._lib.text import HAN_AND_KANA
from entsemble.data.conll import detokenise, tags
from entsemble.data.options import ConllFormat

LOOK_AHEAD = 2000
"""Number of lines in which the columns are detected."""

DOCUMENT_MARKER = "-DOCSTART-"
_IDENTIFIED_MARKER = re.compile(re.escape(DOCUMENT_MARKER) + r" \((.*)\)", re.DOTALL)
"""A marker with an id, as in AIDA CoNLL; ours has columns of tags, too."""

_EMPTY_COLUMN = "-X-"
"""What CoNLL 2003 writes into the other columns of a document marker."""

_STRICT_SHARE = 0.9
_LENIENT_SHARE = 0.5
_NUMBERED_CHARACTER_SHARE = 0.98
_MIN_NUMBERED_CHARACTERS = 6
_MIN_HAN_SHARE = 0.5
_HAN = re.compile(f"[{HAN_AND_KANA}]")
"""Fewer tokens such as `科0`, or ones of other scripts, may be a coincidence: `H2`, `e4`."""

_MIN_NUMBERED_WORDS = 2
_MAX_NUMBER_DIGITS = 9
_MIN_LINES = 3
"""How many lines with words a file must have to be taken for CoNLL."""

_MIN_UNTAGGED_LINES = 10
"""How many it must have if no word is tagged, with blank lines among them: a text may have a letter O in each line."""

_CHUNK_LABELS = frozenset(("NP", "VP", "PP", "ADVP", "ADJP", "SBAR", "PRT", "CONJP", "INTJ", "LST", "UCP"))
"""A column of syntactic chunks, beside parts of speech and another column of tags, is not a level of nesting."""

_COMMENT_PREFIXES = ("# ", "#\t", "#begin ", "#end ")


@dataclass(frozen=True, slots=True)
class Conventions:
    """Conventions of a file, apart from its columns.

    Attributes:
        numbered_characters: each token is a character and its index in its word (`科0`).
        split_infixes: punctuation that its tokeniser separates from words.
        has_document_markers: `-DOCSTART-` lines separate its documents.
        starts_with_marker: there is such a line before the first sentence.
    """

    numbered_characters: bool
    split_infixes: frozenset[str]
    has_document_markers: bool
    starts_with_marker: bool


def split_columns(line: str, separator: str | None) -> list[str]:
    """The columns of a line; its line end is dropped."""
    line = line.rstrip("\r\n")
    return line.split("\t") if separator == "\t" else re.split(r"[ \t]+", line.strip(" \t"))


def may_be_comment(line: str) -> bool:
    """Whether a line looks like a comment; so does the token `#` in files with space-separated columns."""
    return line.startswith(_COMMENT_PREFIXES) or line.rstrip() == "#"


def detect_separator(lines: Iterable[str]) -> str:
    """The separator of most lines."""
    content = [line for line in lines if line.strip() and not may_be_comment(line)]
    return "\t" if sum("\t" in line for line in content) * 2 >= len(content) and content else " "


def guess_columns(lines: Sequence[str]) -> ConllFormat | None:
    """The columns of a file that may as well be a plain text; `None` if anything in it disagrees.

    All lines have as many columns, all values of the columns of tags are tags of one scheme, their labels begin with a
    letter, and there are several lines.

    Args:
        lines: its first lines.
    """
    layout = detect_columns(lines)
    if layout is None:
        return None
    rows = [row for row in _rows(lines, layout.separator) if not _holds_marker(row)]
    if len(rows) < _MIN_LINES or not all(_fits(row, layout) for row in rows):
        return None
    file_tags = {row[column].strip() for row in rows for column in layout.tags}
    labelled = file_tags - {tags.OUTSIDE}
    if not labelled:
        has_sentences = any(not line.strip() for line in "".join(lines).strip("\r\n").splitlines())
        return layout if has_sentences and len(rows) >= _MIN_UNTAGGED_LINES else None
    return layout if tags.fits_scheme(labelled) else None


def _fits(row: list[str], layout: ConllFormat) -> bool:
    """Whether a line has the columns of the layout; blank columns at its end do not count."""
    width = layout.columns or 0
    return len(row) == width or (len(row) > width and not any(value.strip() for value in row[width:]))


def detect_columns(lines: Sequence[str], strict: bool = True) -> ConllFormat | None:
    """The columns of a file.

    Args:
        lines: its first lines.
        strict: whether nearly all lines must agree; otherwise half of them suffice, for a damaged CoNLL file.

    Returns:
        The columns, or `None` if no column holds tags.
    """
    separator = detect_separator(lines)
    rows = [row for row in _rows(lines, separator) if not _holds_marker(row)]
    if not rows:
        return None
    width, count = Counter(map(len, rows)).most_common(1)[0]
    min_share = _STRICT_SHARE if strict else _LENIENT_SHARE
    if width < 2 or count < min_share * len(rows):
        return None
    columns = list(zip(*(row for row in rows if len(row) == width), strict=True))
    tag_columns = _find_tag_columns(columns, min_share)
    if not tag_columns:
        return None
    if len(tag_columns) == width:  # every word looks like a tag: the letter O
        tag_columns = tag_columns[1:]
    return ConllFormat(_find_token_column(columns, tag_columns), tag_columns, None, separator, width)


def detect_conventions(lines: Sequence[str], layout: ConllFormat) -> Conventions:
    """The conventions of a file with these first lines and columns."""
    words: list[str] = []
    is_marker: list[bool] = []
    in_sentence = False
    for line in lines:
        if not line.strip():
            in_sentence = False
        elif not may_be_comment(line):
            row = split_columns(line, layout.separator)
            is_marker.append(is_document_marker(row, layout, in_sentence))
            in_sentence = not is_marker[-1]
            if in_sentence and -len(row) <= layout.token < len(row):
                words.append(row[layout.token])
    return Conventions(
        numbered_characters=_are_numbered_characters(words),
        split_infixes=detokenise.find_split_punctuation(words),
        has_document_markers=any(is_marker),
        starts_with_marker=is_marker[:1] == [True],
    )


def is_document_marker(row: Sequence[str], layout: ConllFormat, in_sentence: bool) -> bool:
    """Whether a line separates documents; inside a sentence, or with a label, `-DOCSTART-` is a word like others."""
    if not _holds_marker(row) or (in_sentence and _EMPTY_COLUMN not in row):
        return False
    row_tags = [row[column].strip() for column in layout.tags if -len(row) <= column < len(row)]
    return not any(tag[1:2] == "-" and tags.is_tag(tag) for tag in row_tags)


def marked_id(row: Sequence[str], layout: ConllFormat) -> str | None:
    """The id in a line that separates documents, if it is one of ours: then its sentences are one document."""
    match = _IDENTIFIED_MARKER.fullmatch(row[0])
    return unquote(match[1]) if match and layout.separator == "\t" and len(row) > 1 else None


def marker_row(document_id: str | None) -> str:
    """A line that separates documents, with a column of tags."""
    if document_id is None:
        return DOCUMENT_MARKER + "\tO"
    safe_id = re.sub(r"[%\t\r\n]", lambda match: quote(match[0]), document_id)
    return f"{DOCUMENT_MARKER} ({safe_id})\tO"


def _holds_marker(row: Sequence[str]) -> bool:
    return DOCUMENT_MARKER in row or _IDENTIFIED_MARKER.fullmatch(row[0]) is not None


def _are_numbered_characters(words: Sequence[str]) -> bool:
    """Whether each token is a character and its index in its word, which begins at 0 and counts on."""
    han_count = sum(1 for word in words if _HAN.match(word))
    if len(words) < _MIN_NUMBERED_CHARACTERS or han_count < _MIN_HAN_SHARE * len(words):
        return False
    indices = [int(word[1]) if len(word) == 2 and word[1].isdecimal() else None for word in words]
    regular = sum(
        1
        for before, index in zip([None, *indices[:-1]], indices, strict=True)
        if index == 0 or (index is not None and before is not None and index == (before + 1) % 10)
    )
    return regular >= _NUMBERED_CHARACTER_SHARE * len(words) and any(indices)


def _rows(lines: Iterable[str], separator: str | None) -> Iterable[list[str]]:
    return (split_columns(line, separator) for line in lines if line.strip() and not may_be_comment(line))


def _find_tag_columns(columns: Sequence[Sequence[str]], min_share: float) -> tuple[int, ...]:
    """The last run of adjacent columns of tags, chunks excluded."""
    tag_columns = [
        column_index
        for column_index, column in enumerate(columns)
        if sum(map(tags.is_tag, column)) >= min_share * len(column)
    ]
    has_parts_of_speech = len(columns) - len(tag_columns) > 1
    entity_columns = [
        column_index
        for column_index in tag_columns
        if not (has_parts_of_speech and _holds_chunks(columns[column_index]))
    ] or tag_columns
    last_run: list[int] = []
    for column_index in reversed(entity_columns):
        if last_run and last_run[-1] != column_index + 1:
            break
        last_run.append(column_index)
    return tuple(reversed(last_run))


def _holds_chunks(column: Sequence[str]) -> bool:
    labels = {tags.parse_tag(value)[1] for value in column if tags.is_tag(value)} - {""}
    return bool(labels) and labels <= _CHUNK_LABELS


def _find_token_column(columns: Sequence[Sequence[str]], tag_columns: tuple[int, ...]) -> int:
    """The first column that holds neither tags nor word numbers."""
    excluded = set(tag_columns)
    candidates = [
        column_index
        for column_index, column in enumerate(columns)
        if column_index not in excluded and not all(map(tags.is_tag, column))
    ]
    if not candidates:  # all words look like tags
        return min(set(range(len(columns))) - set(tag_columns))
    if len(candidates) > 1 and _holds_word_numbers(columns[candidates[0]]):
        return candidates[1]
    return candidates[0]


def _holds_word_numbers(column: Sequence[str]) -> bool:
    """Whether a column numbers the words of each sentence."""
    if len(column) < _MIN_NUMBERED_WORDS or not all(
        value.isdecimal() and len(value) <= _MAX_NUMBER_DIGITS for value in column
    ):
        return False
    numbers = [int(value) for value in column]
    return numbers[0] <= 1 and all(second == first + 1 or second <= 1 for first, second in pairwise(numbers))
