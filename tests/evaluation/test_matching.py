from __future__ import annotations

from itertools import permutations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entsemble.evaluation.bipartite import maximum_matching, shared_length
from entsemble.evaluation.counts import Counts
from entsemble.evaluation.matching import (
    NestedCounts,
    PartCounts,
    exact_counts,
    nested_counts,
    relaxed_counts,
    span_counts,
    triples,
)
from entsemble.types import Mention

Triple = tuple[int, int, str]


def mentions(*triples: Triple) -> list[Mention]:
    return [Mention(start, end, label, "x" * (end - start)) for start, end, label in triples]


@st.composite
def any_mentions(draw: st.DrawFn, max_size: int = 6) -> list[Mention]:
    mention = st.tuples(st.integers(0, 8), st.integers(1, 5), st.sampled_from("AB"))
    return mentions(
        *((start, start + length, label) for start, length, label in draw(st.lists(mention, max_size=max_size)))
    )


def test_exact_needs_start_end_and_label() -> None:
    gold = mentions((0, 3, "PER"), (5, 8, "LOC"), (10, 12, "PER"))
    predicted = mentions((0, 3, "PER"), (5, 8, "PER"), (10, 13, "PER"))
    assert dict(exact_counts(gold, predicted)) == {"PER": Counts(1, 2, 1), "LOC": Counts(0, 0, 1)}


def test_exact_distinguishes_nested_and_repeated_mentions() -> None:
    gold = mentions((0, 20, "protein"), (0, 6, "protein"), (30, 36, "protein"))
    assert exact_counts(gold, mentions((0, 6, "protein"), (30, 36, "protein"))).micro == Counts(2, 0, 1)


def test_duplicates_count_once_on_either_side() -> None:
    gold, predicted = mentions((0, 3, "A"), (0, 3, "A")), mentions((0, 3, "A"), (0, 3, "A"), (4, 5, "A"), (4, 5, "A"))
    assert exact_counts(gold, predicted).micro == Counts(1, 1, 0)
    assert relaxed_counts(gold, predicted).micro == Counts(1, 1, 0)


def test_one_long_prediction_matches_one_gold_mention_only() -> None:
    gold = mentions((0, 3, "A"), (4, 6, "A"), (7, 9, "A"))
    assert relaxed_counts(gold, mentions((0, 9, "A"))).micro == Counts(1, 0, 2)
    assert relaxed_counts(mentions((0, 9, "A")), gold).micro == Counts(1, 2, 0)


def test_relaxed_uses_a_largest_pairing() -> None:
    # the long prediction shares most with the first gold mention, the short one reaches only that one
    gold, predicted = mentions((0, 10, "A"), (11, 13, "A")), mentions((1, 12, "A"), (0, 1, "A"))
    assert relaxed_counts(gold, predicted).micro == Counts(2, 0, 0)


def test_relaxed_needs_the_label_and_a_shared_character() -> None:
    gold = mentions((0, 5, "A"), (10, 12, "B"))
    assert dict(relaxed_counts(gold, mentions((5, 7, "A"), (10, 12, "A")))) == {
        "A": Counts(0, 2, 1),
        "B": Counts(0, 0, 1),
    }


def test_span_counts_ignore_labels() -> None:
    gold = mentions((0, 3, "A"), (5, 8, "B"), (5, 8, "C"))
    assert span_counts(gold, mentions((0, 3, "B"), (5, 8, "C"), (9, 10, "A"))) == Counts(2, 1, 0)


def largest_pairing_size(gold: list[Mention], predicted: list[Mention], label: str) -> int:
    left = [triple for triple in sorted(triples(gold)) if triple[2] == label]
    right: list[Triple | None] = [triple for triple in sorted(triples(predicted)) if triple[2] == label]
    padded = right + [None] * len(left)
    orders = permutations(padded, len(left))
    return max(
        sum(b is not None and shared_length(a, b) > 0 for a, b in zip(left, order, strict=True)) for order in orders
    )


@given(any_mentions(max_size=4), any_mentions(max_size=4))
def test_relaxed_equals_the_largest_pairing_by_brute_force(gold: list[Mention], predicted: list[Mention]) -> None:
    counts = relaxed_counts(gold, predicted)
    for label in "AB":
        assert counts.get(label, Counts()).tp == largest_pairing_size(gold, predicted, label)
    assert counts.micro.support == len(triples(gold))
    assert counts.micro.predicted == len(triples(predicted))


@given(any_mentions(), any_mentions())
def test_counts_do_not_depend_on_order_and_swapping_sides_swaps_errors(
    gold: list[Mention], predicted: list[Mention]
) -> None:
    assert dict(exact_counts(gold[::-1], predicted)) == dict(exact_counts(gold, predicted[::-1]))
    forward, backward = relaxed_counts(gold, predicted).micro, relaxed_counts(predicted[::-1], gold).micro
    assert (forward.tp, forward.fp, forward.fn) == (backward.tp, backward.fn, backward.fp)


@given(any_mentions(), any_mentions())
def test_relaxed_matches_at_least_as_many_as_exact(gold: list[Mention], predicted: list[Mention]) -> None:
    assert relaxed_counts(gold, predicted).micro.tp >= exact_counts(gold, predicted).micro.tp


def test_a_long_chain_needs_no_recursion() -> None:
    size = 3000
    # each left node prefers the right node of the one before it; only the last right node is free
    chain = [[i, i + 1] for i in range(size - 1)] + [[0]]
    assert len(maximum_matching(chain)) == size


GENE = mentions((0, 20, "dna"), (0, 6, "protein"), (8, 12, "protein"), (30, 35, "cell"))


def test_nested_parts_depend_on_the_mentions_of_the_same_side() -> None:
    counts = nested_counts(GENE, mentions((0, 6, "protein"), (30, 35, "cell"), (31, 33, "cell")))
    # gold: two inside, one of them predicted; two outermost, of which the cell was predicted
    # predicted: [31, 33) is inside and wrong; [0, 6) and [30, 35) are outermost and correct
    assert counts.inside == PartCounts(gold=2, gold_matched=1, predicted=1, predicted_matched=0)
    assert counts.outermost == PartCounts(gold=2, gold_matched=1, predicted=2, predicted_matched=2)
    assert (counts.inside.recall, counts.inside.precision, counts.inside.f1) == (0.5, 0.0, 0.0)
    assert counts.outermost.f1 == pytest.approx(2 / 3)


def test_crossing_and_equal_spans_are_not_nested() -> None:
    for flat in (mentions((0, 5, "A"), (3, 8, "A")), mentions((0, 5, "A"), (0, 5, "B"))):
        assert not nested_counts(flat, []).has_nested
        assert not nested_counts([], flat).has_nested


def test_a_nested_mention_after_a_shorter_one_is_recognised() -> None:
    assert nested_counts(mentions((0, 10, "A"), (1, 3, "A"), (4, 10, "A")), []).inside.gold == 2


@given(any_mentions(), any_mentions())
def test_nested_parts_add_up_to_all_mentions(gold: list[Mention], predicted: list[Mention]) -> None:
    counts, whole = nested_counts(gold, predicted), exact_counts(gold, predicted).micro
    nested = {
        inner
        for inner in triples(gold)
        for outer in triples(gold)
        if outer[0] <= inner[0] and inner[1] <= outer[1] and inner[:2] != outer[:2]
    }
    assert counts.inside.gold == len(nested)
    assert counts.inside.gold + counts.outermost.gold == whole.support
    assert counts.inside.predicted + counts.outermost.predicted == whole.predicted
    assert (
        counts.inside.gold_matched + counts.outermost.gold_matched
        == whole.tp
        == counts.inside.predicted_matched + counts.outermost.predicted_matched
    )


def test_nested_counts_add() -> None:
    counts = nested_counts(GENE, GENE)
    assert counts + counts == NestedCounts(PartCounts(4, 4, 4, 4), PartCounts(4, 4, 4, 4))
