from __future__ import annotations

from entsemble._lib.spans import select_non_overlapping
from entsemble.types import Span


def test_the_first_of_overlapping_spans_is_selected() -> None:
    spans = [Span(4, 8), Span(0, 5), Span(0, 4), Span(7, 9), Span(8, 9)]
    assert select_non_overlapping(spans) == [Span(4, 8), Span(0, 4), Span(8, 9)]


def test_without_spans_none_is_selected() -> None:
    assert select_non_overlapping([]) == []
