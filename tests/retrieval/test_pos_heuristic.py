from __future__ import annotations

import pytest

from entsemble.retrieval.pos_heuristic import HeuristicPosTagger
from entsemble.types import Span


@pytest.mark.parametrize(
    ("surface", "tag"),
    [
        ("Oslo", "PROPN"),
        ("the Bank", "PROPN"),
        ("iPhone", "PROPN"),
        ("covid19", "PROPN"),
        ("@ann", "PROPN"),
        ("#metoo", "PROPN"),
        ("北京", "PROPN"),
        ("القاهرة", "PROPN"),
        ("ירושלים", "PROPN"),
        ("हिन्दी", "PROPN"),
        ("Москва", "PROPN"),
        ("москва", "NOUN"),
        ("protein", "NOUN"),
        ("1984", "NOUN"),
        ("she", "PRON"),
        ("They", "PRON"),
        ("he himself", "PRON"),
        ("their house", "NOUN"),
        ("...", "X"),
        ("😀", "X"),
        ("\u200b", "X"),
    ],
)
def test_the_tag_depends_on_the_characters(surface: str, tag: str) -> None:
    text = f"xx {surface} yy"
    assert HeuristicPosTagger().tag_spans(text, [Span(3, 3 + len(surface))]) == [tag]


def test_there_is_one_tag_per_span_in_order() -> None:
    assert HeuristicPosTagger().tag_spans("Ann saw it", [Span(8, 10), Span(0, 3), Span(4, 7)]) == [
        "PRON",
        "PROPN",
        "NOUN",
    ]
    assert HeuristicPosTagger().tag_spans("Ann saw it", []) == []
