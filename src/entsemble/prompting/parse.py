"""What a model's reply says: a value or a failure with a reason, never an empty result in place of one."""

from __future__ import annotations

from dataclasses import dataclass

from entsemble.prompting.template import Template
from entsemble.types import NONE_LABEL, Reply


@dataclass(frozen=True, slots=True)
class ParsedList:
    """The surfaces a reply lists, each once, in order; `truncated_item` is what the token limit left half-written."""

    surfaces: tuple[str, ...]
    truncated_item: str = ""


@dataclass(frozen=True, slots=True)
class UnreadableReply:
    """A reply that is no list."""

    reason: str


def truncate_at_repetition(text: str, separator: str) -> str | None:
    """What a list that began to repeat itself holds up to there; `None` where it did not.

    Models may say one name twice; with the second item that comes again, no list we looked at brought another name.
    The last item counts once a separator follows it.
    """
    items = text.split(separator)[:-1]
    seen: set[str] = set()
    again = 0
    for count, item in enumerate(map(str.strip, items)):
        again += item in seen
        seen.add(item)
        if again == _LOOP:
            return separator.join(items[:count])
    return None


_LOOP = 2
"""Items that come again before a list counts as looping."""


def parse_surfaces(reply: Reply, template: Template) -> ParsedList | UnreadableReply:
    """Read an extraction reply.

    An empty reply is a failure: a model that finds nothing says so (`none`).
    """
    separator = template.surface_separator.strip()
    parts = [part.strip() for part in reply.text.split(separator)]
    cut = "" if reply.finished else parts.pop()
    if [part.lower() for part in parts if part] == [NONE_LABEL]:  # beside others, `None` is a name
        return ParsedList((), cut)
    surfaces = tuple(dict.fromkeys(part for part in parts if part))
    if not surfaces and not cut and not any(parts):
        return UnreadableReply("the reply is empty")
    return ParsedList(surfaces, cut)
