from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entsemble.evaluation.error_analysis import NO_MENTION, ErrorCounts, count_confusions, count_errors
from entsemble.evaluation.matching import exact_counts
from entsemble.types import Mention

Triple = tuple[int, int, str]

TRIPLES = st.lists(
    st.tuples(st.integers(0, 8), st.integers(1, 5), st.sampled_from("AB")).map(
        lambda values: (values[0], values[0] + values[1], values[2])
    ),
    max_size=6,
)


def mentions(triples: list[Triple]) -> list[Mention]:
    return [Mention(start, end, label, "x" * (end - start)) for start, end, label in triples]


@pytest.mark.parametrize(
    ("gold", "predicted", "expected"),
    [
        ([(0, 3, "A")], [], ErrorCounts(missed=1)),
        ([], [(0, 3, "A")], ErrorCounts(spurious=1)),
        ([(0, 3, "A")], [(0, 3, "A")], ErrorCounts()),
        ([(0, 3, "A")], [(0, 3, "B")], ErrorCounts(wrong_label=1)),
        ([(0, 3, "A")], [(0, 4, "A")], ErrorCounts(wrong_boundary=1)),
        ([(0, 3, "A")], [(2, 4, "B")], ErrorCounts(wrong_label_and_boundary=1)),
        ([(0, 3, "A")], [(3, 5, "A")], ErrorCounts(missed=1, spurious=1)),
        # two predictions overlap one gold mention, which is paired with the milder error
        ([(0, 9, "A")], [(0, 9, "B"), (0, 4, "A")], ErrorCounts(spurious=1, wrong_label=1)),
        ([(0, 9, "A")], [(0, 4, "B"), (5, 9, "A")], ErrorCounts(spurious=1, wrong_boundary=1)),
        # the inner mention is correct, so the outer one is missed, and not a boundary error
        ([(0, 9, "A"), (0, 4, "A")], [(0, 4, "A")], ErrorCounts(missed=1)),
        ([(0, 3, "A"), (4, 6, "B"), (7, 9, "A")], [(0, 3, "B"), (4, 7, "B"), (8, 12, "B")], ErrorCounts(0, 0, 1, 1, 1)),
    ],
)
def test_each_error_has_one_kind(gold: list[Triple], predicted: list[Triple], expected: ErrorCounts) -> None:
    assert count_errors(mentions(gold), mentions(predicted)) == expected


@given(TRIPLES, TRIPLES)
def test_kinds_add_up_to_all_errors(gold: list[Triple], predicted: list[Triple]) -> None:
    errors = count_errors(mentions(gold), mentions(predicted))
    counts = exact_counts(mentions(gold), mentions(predicted)).micro
    shared = errors.wrong_label + errors.wrong_boundary + errors.wrong_label_and_boundary
    assert errors.missed + shared == counts.fn
    assert errors.spurious + shared == counts.fp


def test_error_counts_add_by_kind() -> None:
    assert ErrorCounts(1, 2, 3, 4, 5) + ErrorCounts(10, 20, 30, 40, 50) == ErrorCounts(11, 22, 33, 44, 55)
    assert ErrorCounts(1, 2, 3, 4, 5).to_json() == {
        "missed": 1, "spurious": 2, "wrong_label": 3, "wrong_boundary": 4, "wrong_label_and_boundary": 5
    }  # fmt: skip


def test_exact_matches_and_pairs_with_the_same_boundaries_are_counted_as_confusions() -> None:
    gold = mentions([(0, 3, "person"), (4, 8, "town"), (9, 12, "town")])
    predicted = mentions([(0, 3, "person"), (4, 8, "ship"), (20, 24, "town")])
    assert count_confusions(gold, predicted) == {
        ("person", "person"): 1,
        ("town", "ship"): 1,
        ("town", NO_MENTION): 1,
        (NO_MENTION, "town"): 1,
    }


def test_a_span_with_two_labels_of_which_one_is_predicted_adds_one_confusion() -> None:
    gold, predicted = [(0, 4, "town"), (0, 4, "ship")], [(0, 4, "town"), (0, 4, "person")]
    assert count_confusions(mentions(gold), mentions(predicted)) == {("town", "town"): 1, ("ship", "person"): 1}
