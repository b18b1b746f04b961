"""Redaction: texts with the names in them replaced, by their labels or by pseudonyms."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal, get_args

from entsemble._lib.text import name_key
from entsemble.types import Document, Mention

Style = Literal["label", "pseudonym"]
"""`[PERSON]` for each name of a person, or `person-1` for all mentions of the first one."""

STYLES: tuple[Style, ...] = get_args(Style)

_META_KEYS = ("file", "page")
"""What a redacted document keeps of its meta, where names may stand, too."""


@dataclass(slots=True)
class Redactor:
    """Replaces names by the same pseudonyms in all documents that it is given.

    Attributes:
        style: what replaces a name.
        numbers: label -> the names met with it, as keys, and their numbers.
    """

    style: Style
    numbers: dict[str, dict[str, int]] = field(default_factory=dict)

    def redact(self, documents: Iterable[Document]) -> Iterator[Document]:
        """The documents with replaced names; the mentions cover the replacements.

        Every character of a mention is replaced. Mentions that overlap are one, with the label of the longest. Tokens
        are left out, and all of the meta but the file and the page; the ids stay as they are.
        """
        return map(self._redacted, documents)

    def _redacted(self, document: Document) -> Document:
        parts: list[str] = []
        length = position = 0
        mentions: list[Mention] = []
        for group in _overlapping(document.mentions):
            start, end = group[0].start, max(mention.end for mention in group)
            longest = max(group, key=lambda mention: mention.end - mention.start)
            replacement = self._replacement(longest.label, document.text[start:end])
            parts += (document.text[position:start], replacement)
            replaced_at, length = length + start - position, length + start - position + len(replacement)
            mentions.append(replace(longest, start=replaced_at, end=length, text=replacement))
            position = end
        meta = {key: document.meta[key] for key in _META_KEYS if key in document.meta}
        return Document(document.id, "".join([*parts, document.text[position:]]), tuple(mentions), meta=meta)

    def _replacement(self, label: str, name: str) -> str:
        if self.style == "label":
            return f"[{label.upper()}]"
        numbers = self.numbers.setdefault(label, {})
        return f"{'-'.join(label.split())}-{numbers.setdefault(name_key(name), len(numbers) + 1)}"


def _overlapping(mentions: Sequence[Mention]) -> list[list[Mention]]:
    """The mentions, which are sorted by their start, in groups without common characters."""
    groups: list[list[Mention]] = []
    end = 0
    for mention in mentions:
        if groups and mention.start < end:
            groups[-1].append(mention)
        else:
            groups.append([mention])
        end = max(end, mention.end)
    return groups
