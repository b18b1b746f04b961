"""Which column of a CoNLL-like file is what, told from its first lines."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

from entsemble.data.conll import detokenise, tags
from entsemble.data.options import ConllFormat

LOOK_AHEAD = 2000
"""Lines that the columns are recognised from."""

DOCUMENT_MARK = "-DOCSTART-"

_SURE = 0.9
_LIKELY = 0.5
_CHUNKS = frozenset(("NP", "VP", "PP", "ADVP", "ADJP", "SBAR", "PRT", "CONJP", "INTJ", "LST", "UCP"))
"""Labels of syntactic chunks: a column of these beside parts of speech and another column of tags is no level."""

_COMMENTS = ("# ", "#begin ", "#end ")


@dataclass(frozen=True, slots=True)
class Traits:
    """Habits of a file that its first lines show.

    Attributes:
        word_digits: each token is one character and its place in its word (`科0`).
        split_marks: marks that its tokeniser cut out of words.
        numbered: `-DOCSTART-` lines separate its documents.
        mark_first: such a line stands before the first sentence.
    """

    word_digits: bool
    split_marks: frozenset[str]
    numbered: bool
    mark_first: bool


def fields(line: str, separator: str | None) -> list[str]:
    """The columns of a line without its end."""
    line = line.rstrip("\r\n")
    return line.split("\t") if separator == "\t" else re.split(r"[ \t]+", line.strip(" \t"))


def looks_like_comment(line: str) -> bool:
    """Whether a line may be a comment; the token `#` looks so too in files separated by blanks."""
    return line.startswith(_COMMENTS) or line.rstrip() == "#"


def separator_of(lines: Iterable[str]) -> str:
    """The separator that most lines use."""
    full = [x for x in lines if x.strip() and not looks_like_comment(x)]
    return "\t" if sum("\t" in x for x in full) * 2 >= len(full) and full else " "


def recognise(lines: Sequence[str], strict: bool = True) -> ConllFormat | None:
    """The columns of a file that begins with `lines`.

    Args:
        lines: its first lines.
        strict: take only what nearly all lines agree on; otherwise half of them are enough, as befits a file that is
            known to be CoNLL and damaged.

    Returns:
        The columns, or `None` where no column holds tags.
    """
    separator = separator_of(lines)
    rows = [r for r in _rows(lines, separator) if DOCUMENT_MARK not in r]
    if not rows:
        return None
    width, count = Counter(map(len, rows)).most_common(1)[0]
    share = _SURE if strict else _LIKELY
    if width < 2 or count < share * len(rows):
        return None
    table = list(zip(*(r for r in rows if len(r) == width), strict=True))
    tag_columns = _tag_columns(table, share)
    if not tag_columns:
        return None
    if len(tag_columns) == width:  # every word looks like a tag: the letter O
        tag_columns = tag_columns[1:]
    token = _token_column(table, tag_columns)
    return ConllFormat(token, tag_columns, None, separator, width)


def traits(lines: Sequence[str], layout: ConllFormat) -> Traits:
    """The habits of a file whose columns are known."""
    rows = list(_rows(lines, layout.separator))
    words = [r[layout.token] for r in rows if -len(r) <= layout.token < len(r) and DOCUMENT_MARK not in r]
    digits = sum(1 for w in words if len(w) == 2 and w[1].isdecimal())
    marks = [DOCUMENT_MARK in r for r in rows]
    return Traits(
        word_digits=len(words) > 0 and digits >= 0.98 * len(words) and any(not w[0].isdecimal() for w in words if w),
        split_marks=detokenise.split_marks_of(words),
        numbered=any(marks),
        mark_first=marks[:1] == [True],
    )


def _rows(lines: Iterable[str], separator: str | None) -> Iterable[list[str]]:
    return (fields(x, separator) for x in lines if x.strip() and not looks_like_comment(x))


def _tag_columns(table: Sequence[Sequence[str]], share: float) -> tuple[int, ...]:
    """The last run of neighbouring columns of tags, chunks left aside."""
    found = [i for i, column in enumerate(table) if sum(map(tags.is_tag, column)) >= share * len(column)]
    with_parts_of_speech = len(table) - len(found) > 1
    entities = [i for i in found if not (with_parts_of_speech and _holds_chunks(table[i]))] or found
    run: list[int] = []
    for i in reversed(entities):
        if run and run[0] != i + 1:
            break
        run.insert(0, i)
    return tuple(run)


def _holds_chunks(column: Sequence[str]) -> bool:
    labels = {tags.parse(value)[1] for value in column if tags.is_tag(value)} - {""}
    return bool(labels) and labels <= _CHUNKS


def _token_column(table: Sequence[Sequence[str]], tag_columns: tuple[int, ...]) -> int:
    """The first column that is no tags and no counter of words."""
    rest = [i for i, column in enumerate(table) if i not in tag_columns and not all(map(tags.is_tag, column))]
    if not rest:  # words that all look like tags
        return min(set(range(len(table))) - set(tag_columns))
    if len(rest) > 1 and _counts(table[rest[0]]):
        return rest[1]
    return rest[0]


def _counts(column: Sequence[str]) -> bool:
    """Whether a column numbers the words of each sentence."""
    if not all(v.isdecimal() for v in column):
        return False
    numbers = [int(v) for v in column]
    return numbers[0] <= 1 and all(b == a + 1 or b <= 1 for a, b in pairwise(numbers))
