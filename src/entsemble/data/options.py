"""What a caller may say about input, beyond the name of its format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Spacing = Literal["natural", "spaced"]
"""How tokens become a text: as people write, or all joined by single blanks."""

Discontinuous = Literal["error", "hull"]
"""What to do with a mention in several pieces: refuse it, or take everything from its first to its last character."""


@dataclass(frozen=True, slots=True)
class ConllFormat:
    r"""Which column is what, counted from 0; negative numbers count from the end.

    Attributes:
        token: the column of the words.
        tags: the columns of tags; several are levels of nesting; none means words without tags.
        scheme: refuse the tags that this scheme does not have; `None` reads all schemes.
        separator: `"\t"`, or `" "` for any run of blanks and tabs; `None` takes the one that most lines use.
        columns: how many columns each line must have; `None` for any number that holds the named ones.
    """

    token: int = 0
    tags: tuple[int, ...] = (-1,)
    scheme: str | None = None
    separator: str | None = None
    columns: int | None = None


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """How to read; every reader takes from it what concerns it.

    Attributes:
        conll: the columns of a CoNLL file; recognised where not given.
        spacing: how tokens become a text.
        discontinuous: what to do with a brat mention in several pieces.
        text_column: the text's column in a table; recognised by its header where not given.
        id_column: the id's column in a table; recognised by its header where not given.
    """

    conll: ConllFormat | None = None
    spacing: Spacing = "natural"
    discontinuous: Discontinuous = "error"
    text_column: str | None = None
    id_column: str | None = None
