from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entsemble.evaluation.error_analysis import ErrorCounts, count_errors
from entsemble.evaluation.matching import exact_counts
from entsemble.types import Mention

Given = tuple[int, int, str]

TRIPLES = st.lists(
    st.tuples(st.integers(0, 8), st.integers(1, 5), st.sampled_from("AB")).map(lambda x: (x[0], x[0] + x[1], x[2])),
    max_size=6,
)


def mentions(given: list[Given]) -> list[Mention]:
    return [Mention(start, end, label, "x" * (end - start)) for start, end, label in given]


@pytest.mark.parametrize(
    ("gold", "found", "expected"),
    [
        ([(0, 3, "A")], [], ErrorCounts(missed=1)),
        ([], [(0, 3, "A")], ErrorCounts(spurious=1)),
        ([(0, 3, "A")], [(0, 3, "A")], ErrorCounts()),
        ([(0, 3, "A")], [(0, 3, "B")], ErrorCounts(wrong_label=1)),
        ([(0, 3, "A")], [(0, 4, "A")], ErrorCounts(wrong_boundary=1)),
        ([(0, 3, "A")], [(2, 4, "B")], ErrorCounts(wrong_label_and_boundary=1)),
        ([(0, 3, "A")], [(3, 5, "A")], ErrorCounts(missed=1, spurious=1)),
        # two predictions over one gold mention: the milder explanation takes it
        ([(0, 9, "A")], [(0, 9, "B"), (0, 4, "A")], ErrorCounts(spurious=1, wrong_label=1)),
        ([(0, 9, "A")], [(0, 4, "B"), (5, 9, "A")], ErrorCounts(spurious=1, wrong_boundary=1)),
        # the inner mention is right, so the outer one is missed and not a boundary error
        ([(0, 9, "A"), (0, 4, "A")], [(0, 4, "A")], ErrorCounts(missed=1)),
        ([(0, 3, "A"), (4, 6, "B"), (7, 9, "A")], [(0, 3, "B"), (4, 7, "B"), (8, 12, "B")], ErrorCounts(0, 0, 1, 1, 1)),
    ],
)
def test_each_mistake_has_one_kind(gold: list[Given], found: list[Given], expected: ErrorCounts) -> None:
    assert count_errors(mentions(gold), mentions(found)) == expected


@given(TRIPLES, TRIPLES)
def test_kinds_add_up_to_what_is_wrong(gold: list[Given], found: list[Given]) -> None:
    kinds, counts = count_errors(mentions(gold), mentions(found)), exact_counts(mentions(gold), mentions(found)).micro
    shared = kinds.wrong_label + kinds.wrong_boundary + kinds.wrong_label_and_boundary
    assert kinds.missed + shared == counts.fn
    assert kinds.spurious + shared == counts.fp


def test_mistakes_add_by_kind() -> None:
    assert ErrorCounts(1, 2, 3, 4, 5) + ErrorCounts(10, 20, 30, 40, 50) == ErrorCounts(11, 22, 33, 44, 55)
    assert ErrorCounts(1, 2, 3, 4, 5).to_json() == {
        "missed": 1, "spurious": 2, "wrong_label": 3, "wrong_boundary": 4, "wrong_label_and_boundary": 5
    }  # fmt: skip
