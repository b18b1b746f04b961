"""Short ways to the values that most tests need: mentions, documents, sentences, label sets.

A mention is named by its surface and label, and stands at the first place of the surface in the text, or at a given
start::

    document("Ann flew to Oslo.", ("Ann", "PER"), ("Oslo", "LOC"), id="letter-1")
    document("Will Will go?", mention("Will Will go?", "Will", "PER", start=5))
"""

from __future__ import annotations

from collections.abc import Mapping

from entsemble.prompting import labels as prompt_labels
from entsemble.types import Document, LabelSet, Mention

MentionSpec = Mention | tuple[str, str]
"""A mention, or the surface and the label of one."""


def mention(text: str, surface: str, label: str, *, start: int | None = None, score: float | None = None) -> Mention:
    """The mention of `surface` in `text`; ValueError if the text does not contain it."""
    start_offset = text.index(surface) if start is None else start
    return Mention(start_offset, start_offset + len(surface), label, surface, score)


def document(text: str, *mentions: MentionSpec, id: str = "document-1") -> Document:  # noqa: A002
    """A document with these mentions."""
    return Document(id, text, tuple(m if isinstance(m, Mention) else mention(text, *m) for m in mentions))


def sentence(text: str, *mentions: MentionSpec) -> Document:
    """An annotated sentence, whose id is its text."""
    return document(text, *mentions, id=text)


def label_set(*names: str, nested: bool = False, **definitions: str) -> LabelSet:
    """Labels by name, in this order, with readable names for prompts and, where given, a definition."""
    by_name: Mapping[str, str] = {**dict.fromkeys(names, ""), **definitions}
    return prompt_labels.label_set(dict(by_name), nested=nested)
