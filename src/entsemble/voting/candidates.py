"""What somebody proposed as an entity."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from entsemble._lib.text import one_line
from entsemble.prompting.align import occurrences


@dataclass(frozen=True, slots=True)
class Candidate:
    """A surface that somebody proposed.

    Attributes:
        surface: as it stands in the text at its first place.
        members: who proposed it, in the ensemble's order.
    """

    surface: str
    members: tuple[str, ...]


def with_others(text: str, candidates: Sequence[Candidate], surfaces: Iterable[str], name: str) -> list[Candidate]:
    """The candidates and, in text order, those of the surfaces that nobody proposed.

    Args:
        text: where they stand.
        candidates: that somebody proposed.
        surfaces: of the text.
        name: who proposes them.
    """
    line = one_line(text)
    places = {c.surface: occurrences(line, c.surface)[0] for c in candidates}
    alike = {span for c in candidates for span in occurrences(line, c.surface)}
    every = [*candidates]
    for surface in surfaces:
        there = occurrences(line, surface)
        if there and alike.isdisjoint(there):
            places[surface] = there[0]
            alike.update(there)
            every.append(Candidate(surface, (name,)))
    return sorted(every, key=lambda c: (places[c.surface].start, -places[c.surface].end))
