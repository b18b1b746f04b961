from __future__ import annotations

import math
from dataclasses import FrozenInstanceError
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entsemble.types import Choice, Document, Label, LabelSet, Mention, Span, Usage, mention_at, total_usage

SPANS = st.tuples(st.integers(0, 9), st.integers(1, 6)).map(lambda at: Span(at[0], at[0] + at[1]))


def covered_offsets(span: Span) -> set[int]:
    return set(range(span.start, span.end))


@given(SPANS, SPANS)
def test_spans_compare_as_sets_of_offsets(first: Span, second: Span) -> None:
    first_offsets, second_offsets = covered_offsets(first), covered_offsets(second)
    common = first_offsets & second_offsets
    assert len(first) == len(first_offsets)
    assert first.overlaps(second) == bool(common)
    assert first.contains(second) == (first_offsets >= second_offsets)
    assert first.crosses(second) == (bool(common) and bool(first_offsets - common) and bool(second_offsets - common))


@given(SPANS, st.integers(0, 20), st.text(min_size=40, max_size=60))
def test_a_shifted_span_covers_the_same_characters(span: Span, offset: int, text: str) -> None:
    assert span.shifted(offset).slice("x" * offset + text) == span.slice(text)
    assert len(span.slice(text)) == len(span)


@pytest.mark.parametrize(("start", "end"), [(0, 0), (3, 2), (-1, 2)])
def test_empty_reversed_and_negative_spans_are_rejected(start: int, end: int) -> None:
    with pytest.raises(ValueError, match="0 <= start < end"):
        Span(start, end)


def test_spans_sort_by_their_start() -> None:
    assert sorted([Span(3, 4), Span(0, 9), Span(0, 2)]) == [Span(0, 2), Span(0, 9), Span(3, 4)]


def test_a_document_sorts_its_mentions_longest_first() -> None:
    text = "Bank of Oslo"
    document = Document(
        "d", text, (mention_at(text, 8, 12, "LOC"), mention_at(text, 0, 4, "X"), mention_at(text, 0, 12, "ORG"))
    )
    assert [m.text for m in document.mentions] == ["Bank of Oslo", "Bank", "Oslo"]
    with pytest.raises(FrozenInstanceError):
        document.text = "other"  # type: ignore[misc]


def test_a_document_refuses_a_mention_that_is_not_there() -> None:
    with pytest.raises(ValueError, match=r"'d'.*'Oslo'.*\[1, 5\)"):
        Document("d", "Oslo!", (Mention(1, 5, "LOC", "Oslo"),))


@pytest.mark.parametrize(("start", "end", "text"), [(0, 99, "Oslo"), (-4, 4, "Oslo"), (2, 2, "")])
def test_a_document_refuses_offsets_outside_its_text(start: int, end: int, text: str) -> None:
    with pytest.raises(ValueError, match="'d'"):
        Document("d", "Oslo", (Mention(start, end, "LOC", text),))


def test_offsets_are_code_points() -> None:
    text = "😀👩‍🚀 in e\u0301 Zürich"
    mention = mention_at(text, text.index("Z"), len(text), "LOC")
    assert mention.text == "Zürich"
    assert Document("d", text, (mention,)).mentions == (mention,)
    assert mention.shifted(3).span == Span(mention.start + 3, mention.end + 3)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([], "at least one"),
        ([("PER", "person"), (" ", "blank")], "a label has no name; name it"),
        ([("PER", "person"), ("PER", "people")], "label may be given once.*PER"),
        ([("PER", "person"), ("P", "person")], "readable label may be given once.*person"),
        ([("O", "none")], "no entity"),
        ([("none", "nothing")], "no entity"),
    ],
)
def test_label_sets_need_names_that_are_unique_and_not_none(labels: list[tuple[str, str]], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        LabelSet(tuple(Label(name, readable) for name, readable in labels))


def test_a_label_set_keeps_its_order() -> None:
    labels = LabelSet((Label("PER", "person"), Label("LOC", "location", "places")))
    assert labels.names == ("PER", "LOC")
    assert len(labels) == len(list(labels)) == 2


def test_costs_add_up() -> None:
    a, b = Usage(100, 60, 5, 0.5, 1), Usage(10, 0, 1, 0.25, 2)
    assert a + b == total_usage([b, a]) == Usage(110, 60, 6, 0.75, 3)
    assert (a + b).evaluated_tokens == 50
    assert total_usage([]) == Usage()


@pytest.mark.parametrize(("probabilities", "best_index"), [((0.2, 0.5, 0.3), 1), ((0.4, 0.4, 0.2), 0)])
def test_the_best_option_is_the_first_one_in_a_tie(probabilities: Any, best_index: int) -> None:
    assert Choice(tuple(map(math.log, probabilities)), Usage()).best_index == best_index
