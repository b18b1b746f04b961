"""Options for reading and writing, beyond the name of the format."""

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
        text_column: the name of a table's column of texts, or of the text in the data of Label Studio; detected if not
            given.
        id_column: the name of a table's column of ids; detected if not given.
    """

    conll: ConllFormat | None = None
    spacing: Spacing = "natural"
    discontinuous: Discontinuous = "error"
    text_column: str | None = None
    id_column: str | None = None


@dataclass(frozen=True, slots=True)
class WriteOptions:
    """Names that tasks of Label Studio must share with the labelling configuration of their project.

    Attributes:
        from_name: the name of the `Labels` tag.
        to_name: the name of the `Text` tag.
        text_key: the key of the text in a task's data, which the `Text` tag names as its value.
    """

    from_name: str = "label"
    to_name: str = "text"
    text_key: str = "text"
