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

Given = tuple[int, int, str]


def mentions(*given: Given) -> list[Mention]:
    return [Mention(start, end, label, "x" * (end - start)) for start, end, label in given]


@st.composite
def any_mentions(draw: st.DrawFn, most: int = 6) -> list[Mention]:
    one = st.tuples(st.integers(0, 8), st.integers(1, 5), st.sampled_from("AB"))
    return mentions(*((start, start + length, label) for start, length, label in draw(st.lists(one, max_size=most))))


def test_exact_needs_start_end_and_label() -> None:
    gold = mentions((0, 3, "PER"), (5, 8, "LOC"), (10, 12, "PER"))
    found = mentions((0, 3, "PER"), (5, 8, "PER"), (10, 13, "PER"))
    assert dict(exact_counts(gold, found)) == {"PER": Counts(1, 2, 1), "LOC": Counts(0, 0, 1)}


def test_exact_keeps_nested_and_repeated_mentions_apart() -> None:
    gold = mentions((0, 20, "protein"), (0, 6, "protein"), (30, 36, "protein"))
    assert exact_counts(gold, mentions((0, 6, "protein"), (30, 36, "protein"))).micro == Counts(2, 0, 1)


def test_duplicates_count_once_on_either_side() -> None:
    gold, found = mentions((0, 3, "A"), (0, 3, "A")), mentions((0, 3, "A"), (0, 3, "A"), (4, 5, "A"), (4, 5, "A"))
    assert exact_counts(gold, found).micro == Counts(1, 1, 0)
    assert relaxed_counts(gold, found).micro == Counts(1, 1, 0)


def test_one_long_prediction_is_not_three_right_answers() -> None:
    gold = mentions((0, 3, "A"), (4, 6, "A"), (7, 9, "A"))
    assert relaxed_counts(gold, mentions((0, 9, "A"))).micro == Counts(1, 0, 2)
    assert relaxed_counts(mentions((0, 9, "A")), gold).micro == Counts(1, 2, 0)


def test_relaxed_pairs_as_many_as_can_be() -> None:
    # the long prediction shares most with the first gold mention, the short one reaches only that one
    gold, found = mentions((0, 10, "A"), (11, 13, "A")), mentions((1, 12, "A"), (0, 1, "A"))
    assert relaxed_counts(gold, found).micro == Counts(2, 0, 0)


def test_relaxed_needs_the_label_and_a_shared_character() -> None:
    gold = mentions((0, 5, "A"), (10, 12, "B"))
    assert dict(relaxed_counts(gold, mentions((5, 7, "A"), (10, 12, "A")))) == {
        "A": Counts(0, 2, 1),
        "B": Counts(0, 0, 1),
    }


def test_spans_only_forgets_labels() -> None:
    gold = mentions((0, 3, "A"), (5, 8, "B"), (5, 8, "C"))
    assert span_counts(gold, mentions((0, 3, "B"), (5, 8, "C"), (9, 10, "A"))) == Counts(2, 1, 0)


def brute_force(gold: list[Mention], found: list[Mention], label: str) -> int:
    left = [x for x in sorted(triples(gold)) if x[2] == label]
    right: list[Given | None] = [x for x in sorted(triples(found)) if x[2] == label]
    padded = right + [None] * len(left)
    orders = permutations(padded, len(left))
    return max(
        sum(b is not None and shared_length(a, b) > 0 for a, b in zip(left, order, strict=True)) for order in orders
    )


@given(any_mentions(most=4), any_mentions(most=4))
def test_relaxed_is_the_largest_pairing(gold: list[Mention], found: list[Mention]) -> None:
    counts = relaxed_counts(gold, found)
    for label in "AB":
        assert counts.get(label, Counts()).tp == brute_force(gold, found, label)
    assert counts.micro.support == len(triples(gold))
    assert counts.micro.predicted == len(triples(found))


@given(any_mentions(), any_mentions())
def test_order_is_no_matter_and_sides_are_mirrored(gold: list[Mention], found: list[Mention]) -> None:
    assert dict(exact_counts(gold[::-1], found)) == dict(exact_counts(gold, found[::-1]))
    there, back = relaxed_counts(gold, found).micro, relaxed_counts(found[::-1], gold).micro
    assert (there.tp, there.fp, there.fn) == (back.tp, back.fn, back.fp)


@given(any_mentions(), any_mentions())
def test_relaxed_finds_no_less_than_exact(gold: list[Mention], found: list[Mention]) -> None:
    assert relaxed_counts(gold, found).micro.tp >= exact_counts(gold, found).micro.tp


def test_a_long_chain_needs_no_recursion() -> None:
    size = 3000
    # each left node prefers what the one before it took; only the last right node is free
    chain = [[i, i + 1] for i in range(size - 1)] + [[0]]
    assert len(maximum_matching(chain)) == size


GENE = mentions((0, 20, "dna"), (0, 6, "protein"), (8, 12, "protein"), (30, 35, "cell"))


def test_nested_parts_are_given_by_their_own_side() -> None:
    counts = nested_counts(GENE, mentions((0, 6, "protein"), (30, 35, "cell"), (31, 33, "cell")))
    # gold: two inside, one of them found; two outermost, the cell found
    # predicted: [31, 33) is inside and wrong; [0, 6) and [30, 35) are outermost and right
    assert counts.inside == PartCounts(gold=2, gold_matched=1, predicted=1, predicted_matched=0)
    assert counts.outermost == PartCounts(gold=2, gold_matched=1, predicted=2, predicted_matched=2)
    assert (counts.inside.recall, counts.inside.precision, counts.inside.f1) == (0.5, 0.0, 0.0)
    assert counts.outermost.f1 == pytest.approx(2 / 3)


def test_crossing_and_equal_ranges_are_not_nested() -> None:
    for flat in (mentions((0, 5, "A"), (3, 8, "A")), mentions((0, 5, "A"), (0, 5, "B"))):
        assert not nested_counts(flat, []).has_nested
        assert not nested_counts([], flat).has_nested


def test_nesting_is_found_behind_a_shorter_neighbour() -> None:
    assert nested_counts(mentions((0, 10, "A"), (1, 3, "A"), (4, 10, "A")), []).inside.gold == 2


@given(any_mentions(), any_mentions())
def test_nested_parts_make_up_the_whole(gold: list[Mention], found: list[Mention]) -> None:
    counts, whole = nested_counts(gold, found), exact_counts(gold, found).micro
    by_hand = {a for a in triples(gold) for b in triples(gold) if b[0] <= a[0] and a[1] <= b[1] and a[:2] != b[:2]}
    assert counts.inside.gold == len(by_hand)
    assert counts.inside.gold + counts.outermost.gold == whole.support
    assert counts.inside.predicted + counts.outermost.predicted == whole.predicted
    assert (
        counts.inside.gold_matched + counts.outermost.gold_matched
        == whole.tp
        == counts.inside.predicted_matched + counts.outermost.predicted_matched
    )


def test_nested_counts_add() -> None:
    one = nested_counts(GENE, GENE)
    assert one + one == NestedCounts(PartCounts(4, 4, 4, 4), PartCounts(4, 4, 4, 4))
