"""Parsing of replies: a list of surfaces, or a failure with its reason."""

from __future__ import annotations

from dataclasses import dataclass

from entsemble.prompting.template import Template
from entsemble.types import NONE_LABEL, Reply

_MAX_REPEATED_ITEMS = 2
"""A list loops if this many of its items have occurred before."""


@dataclass(frozen=True, slots=True)
class ParsedList:
    """A list reply.

    Attributes:
        surfaces: its distinct items, in order.
        truncated_item: the last item, if the token limit cut it off.
    """

    surfaces: tuple[str, ...]
    truncated_item: str = ""


@dataclass(frozen=True, slots=True)
class UnreadableReply:
    """A reply that is not a list, and why."""

    reason: str


def truncate_at_repetition(text: str, separator: str) -> str | None:
    """The part of a list before it began to loop; `None` if it does not.

    Models may list a name twice; after the second repeated item, no list that we looked at brought another name. The
    last item counts only if a separator follows it.
    """
    items = text.split(separator)[:-1]
    unique_items: set[str] = set()
    repeated_count = 0
    for index, item in enumerate(map(str.strip, items)):
        repeated_count += item in unique_items
        unique_items.add(item)
        if repeated_count == _MAX_REPEATED_ITEMS:
            return separator.join(items[:index])
    return None


def parse_surfaces(reply: Reply, template: Template) -> ParsedList | UnreadableReply:
    """Parse an extraction reply.

    An empty reply is a failure, since a model without findings answers `none`.
    """
    items = [item.strip() for item in reply.text.split(template.surface_separator.strip())]
    truncated_item = "" if reply.finished else items.pop()
    surfaces = tuple(dict.fromkeys(item for item in items if item))
    if [item.lower() for item in items if item] == [NONE_LABEL]:  # next to other items, `None` is a name
        return ParsedList((), truncated_item)
    if not surfaces and not truncated_item:
        return UnreadableReply("the reply is empty")
    return ParsedList(surfaces, truncated_item)
