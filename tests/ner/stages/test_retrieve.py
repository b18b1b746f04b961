from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entsemble.ner.stages.retrieve import DemonstrationLimits, retrieve, select_within_limits
from entsemble.retrieval.index import Hit, PoolIndex, Similarity, encode_pool
from entsemble.retrieval.pos_heuristic import HeuristicPosTagger
from entsemble.types import LabelSet
from tests.factories import document
from tests.ner.ner_factories import MemberFactory


def hits_of_lengths(*lengths: int) -> list[Hit]:
    """Hits without mentions, best first; the id of each is its rank."""
    return [Hit(document("x" * length, id=str(rank)), 1 / (rank + 1)) for rank, length in enumerate(lengths)]


def ranks(hits: list[Hit]) -> str:
    return "".join(hit.document.id for hit in hits)


@pytest.mark.parametrize(
    ("lengths", "shots", "max_characters", "selected"),
    [
        ([10, 10, 10], 2, 100, "01"),  # the best, if all fit
        ([10, 10, 10], 5, 100, "012"),
        ([40, 30, 30], 3, 100, "012"),  # the limit is inclusive
        ([40, 31, 30], 3, 100, "01"),
        ([40, 40, 40, 20], 3, 100, "013"),  # a shorter one fits in the rest
        ([50, 10, 10, 10, 10], 4, 100, "0123"),  # at most twice an equal share
        ([51, 10, 10, 10, 10], 4, 100, "1234"),
        ([100, 10], 1, 100, "0"),
        ([101, 10], 1, 100, "1"),
        ([101, 102], 2, 100, "0"),  # none fits: the best alone
        ([0, 0, 5], 3, 1, "01"),
        ([10, 10], 0, 100, ""),
        ([], 3, 100, ""),
    ],
)
def test_selection_by_length(lengths: list[int], shots: int, max_characters: int, selected: str) -> None:
    limits = DemonstrationLimits(shots, max_characters, 1.0)
    assert ranks(select_within_limits(hits_of_lengths(*lengths), limits)) == selected


@given(st.lists(st.integers(0, 300), max_size=12), st.integers(0, 9), st.integers(1, 900))
def test_a_selection_is_in_order_and_within_its_limits_or_the_best_hit_alone(
    lengths: list[int], shots: int, max_characters: int
) -> None:
    hits = hits_of_lengths(*lengths)
    selection = select_within_limits(hits, DemonstrationLimits(shots, max_characters, 1.0))
    assert selection == [hit for hit in hits if hit in selection]
    assert len(selection) <= shots
    assert bool(selection) is bool(hits and shots)
    assert sum(len(hit.document.text) for hit in selection) <= max_characters or selection == hits[:1]


@pytest.mark.parametrize(
    ("kinds", "shots", "max_empty_share", "selected"),
    [
        ("eeemmm", 4, 0.25, "0345"),  # one of four
        ("memem", 4, 0.5, "0123"),
        ("eemm", 4, 0.0, "23"),
        ("eem", 3, 1.0, "012"),
        ("eee", 4, 0.0, "0"),  # a pool without mentions still gives the best hit
        ("eem", 3, 0.25, "2"),  # a quarter of three rounds down to none
    ],
)
def test_selection_limits_sentences_without_mentions(
    kinds: str, shots: int, max_empty_share: float, selected: str
) -> None:
    hits = [
        Hit(document("Ann", *([("Ann", "PER")] if kind == "m" else []), id=str(rank)), 0.5)
        for rank, kind in enumerate(kinds)
    ]
    assert ranks(select_within_limits(hits, DemonstrationLimits(shots, 100, max_empty_share))) == selected


def pool_of_short_and_long_sentences(trigrams: Any, similarity: Similarity) -> PoolIndex:
    padding = ", as they say in the north," * 5
    documents = [
        document(f"Ann{number} lives in Oslo" + padding * (number % 2), (f"Ann{number}", "PER"), id=f"p{number}")
        for number in range(10)
    ]
    vectors = encode_pool(documents, [["Ann"]] * len(documents), trigrams)
    return PoolIndex(documents, vectors, encoder=trigrams, pos_tagger=HeuristicPosTagger(), similarity=similarity)


@pytest.mark.parametrize("similarity", ["span", "sentence", "random"])
def test_long_sentences_are_skipped_for_the_next_most_similar(
    member: MemberFactory, places: LabelSet, trigrams: Any, similarity: Similarity
) -> None:
    members, pool = [member("a", {"Ann": "person"})], pool_of_short_and_long_sentences(trigrams, similarity)
    retrieval = retrieve("Ann lives in Oslo", members, places, pool, DemonstrationLimits(4, 100))
    assert len(retrieval.demonstrations) == 4
    assert all(len(demonstration.text) < 30 for demonstration in retrieval.demonstrations)
    assert bool(retrieval.usage) is (similarity == "span"), "only a span-level search pre-extracts"


@pytest.mark.parametrize("similarity", ["span", "sentence", "random"])
def test_the_most_similar_demonstration_is_last(
    member: MemberFactory, places: LabelSet, trigrams: Any, similarity: Similarity
) -> None:
    members, pool = [member("a", {"Ann": "person"})], pool_of_short_and_long_sentences(trigrams, similarity)
    [best] = retrieve("Ann lives in Oslo", members, places, pool, DemonstrationLimits(4, 5)).demonstrations
    several = retrieve("Ann lives in Oslo", members, places, pool, DemonstrationLimits(4, 10_000)).demonstrations
    assert several[-1] == best


def test_zero_shots_retrieve_nothing(member: MemberFactory, places: LabelSet, trigrams: Any) -> None:
    members, pool = [member("a", {"Ann": "person"})], pool_of_short_and_long_sentences(trigrams, "span")
    retrieval = retrieve("Ann lives in Oslo", members, places, pool, DemonstrationLimits(0, 100))
    assert (retrieval.demonstrations, retrieval.usage) == ((), ())
