"""Selection of spans."""

from __future__ import annotations

from collections.abc import Iterable

from entsemble.types import Span


def select_non_overlapping(spans: Iterable[Span]) -> list[Span]:
    """The spans, best first, without each that overlaps one selected before it.

    >>> select_non_overlapping([Span(4, 8), Span(0, 5), Span(0, 4)])
    [Span(start=4, end=8), Span(start=0, end=4)]
    """
    selected: list[Span] = []
    for span in spans:
        if not any(span.overlaps(other) for other in selected):
            selected.append(span)
    return selected
