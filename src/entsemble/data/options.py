"""Options for reading, beyond the name of the format."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Spacing = Literal["natural", "spaced"]
"""How tokens become a text: with natural spacing, or with one space between all of them."""

Discontinuous = Literal["error", "hull"]
"""How a mention in several pieces is read: as an error, or as all from its first to its last character."""


@dataclass(frozen=True, slots=True)
class ConllFormat:
    r"""The columns of a CoNLL file, counted from 0; negative numbers count from the end.

    Attributes:
        token: the column of the words.
        tags: the columns of tags, one per level of nesting; empty for words without tags.
        scheme: reject tags that this scheme does not have; `None` reads the tags of all schemes.
        separator: `"\t"`, or `" "` for any run of spaces and tabs; `None` for the one that most lines use.
        columns: the number of columns of each line; `None` for any number that includes the columns above.
    """

    token: int = 0
    tags: tuple[int, ...] = (-1,)
    scheme: str | None = None
    separator: str | None = None
    columns: int | None = None


@dataclass(frozen=True, slots=True)
class ReadOptions:
    """Options for reading; each reader uses those that concern it.

    Attributes:
        conll: the columns of a CoNLL file; detected if not given.
        spacing: how tokens become a text.
        discontinuous: how a brat mention in several pieces is read.
        text_column: the name of a table's column of texts; detected if not given.
        id_column: the name of a table's column of ids; detected if not given.
    """

    conll: ConllFormat | None = None
    spacing: Spacing = "natural"
    discontinuous: Discontinuous = "error"
    text_column: str | None = None
    id_column: str | None = None
