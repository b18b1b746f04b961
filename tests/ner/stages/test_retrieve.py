"""Which of the similar sentences become demonstrations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from entsemble.ner.member import Member
from entsemble.ner.stages.retrieve import DemonstrationLimits, retrieve, select_within_limits
from entsemble.retrieval.index import Hit, PoolIndex, Similarity, encode_pool
from entsemble.retrieval.pos_heuristic import HeuristicPosTagger
from entsemble.types import Document, LabelSet, mention_at


def hits(*sizes: int) -> list[Hit]:
    return [Hit(Document(str(i), "x" * size), 1 / (i + 1)) for i, size in enumerate(sizes)]


@pytest.mark.parametrize(
    ("sizes", "shots", "characters", "chosen"),
    [
        ([10, 10, 10], 2, 100, "01"),  # the best, where all fit
        ([10, 10, 10], 5, 100, "012"),
        ([40, 30, 30], 3, 100, "012"),  # to the last letter
        ([40, 31, 30], 3, 100, "01"),
        ([40, 40, 40, 20], 3, 100, "013"),  # what is left is for a shorter one
        ([50, 10, 10, 10, 10], 4, 100, "0123"),  # twice an equal share and no more
        ([51, 10, 10, 10, 10], 4, 100, "1234"),
        ([100, 10], 1, 100, "0"),
        ([101, 10], 1, 100, "1"),
        ([101, 102], 2, 100, "0"),  # none fits: the most similar alone
        ([0, 0, 5], 3, 1, "01"),
        ([10, 10], 0, 100, ""),
        ([], 3, 100, ""),
    ],
)
def test_demonstrations_within_their_characters(sizes: list[int], shots: int, characters: int, chosen: str) -> None:
    assert (
        "".join(
            hit.document.id for hit in select_within_limits(hits(*sizes), DemonstrationLimits(shots, characters, 1.0))
        )
        == chosen
    )


@given(st.lists(st.integers(0, 300), max_size=12), st.integers(0, 9), st.integers(1, 900))
def test_any_hits_within_their_characters(sizes: list[int], shots: int, characters: int) -> None:
    given_ = hits(*sizes)
    chosen = select_within_limits(given_, DemonstrationLimits(shots, characters, 1.0))
    assert chosen == [hit for hit in given_ if hit in chosen]
    assert len(chosen) <= shots
    assert bool(chosen) is bool(given_ and shots)
    total = sum(len(hit.document.text) for hit in chosen)
    assert total <= characters or chosen == given_[:1]


@pytest.mark.parametrize(
    ("kinds", "shots", "empty", "chosen"),
    [
        ("eeemmm", 4, 0.25, "0345"),  # one of four
        ("memem", 4, 0.5, "0123"),
        ("eemm", 4, 0.0, "23"),
        ("eem", 3, 1.0, "012"),
        ("eee", 4, 0.0, "0"),  # a pool must show something
        ("eem", 3, 0.25, "2"),  # a quarter of three is none
    ],
)
def test_sentences_without_a_mention_are_few(kinds: str, shots: int, empty: float, chosen: str) -> None:
    given_ = [
        Hit(Document(str(i), "Ann", (mention_at("Ann", 0, 3, "PER"),) if kind == "m" else ()), 0.5)
        for i, kind in enumerate(kinds)
    ]
    assert (
        "".join(hit.document.id for hit in select_within_limits(given_, DemonstrationLimits(shots, 100, empty)))
        == chosen
    )


# from a pool


def pool(trigrams: Any, similarity: Similarity) -> PoolIndex:
    texts = [f"Ann{i} lives in Oslo" + ", as they say in the north," * (i % 2) * 5 for i in range(10)]
    documents = [Document(f"p{i}", t, (mention_at(t, 0, 4, "PER"),)) for i, t in enumerate(texts)]
    vectors = encode_pool(documents, [["Ann"]] * len(documents), trigrams)
    return PoolIndex(documents, vectors, encoder=trigrams, pos_tagger=HeuristicPosTagger(), similarity=similarity)


@pytest.mark.parametrize("similarity", ["span", "sentence", "random"])
def test_a_long_one_is_passed_over_for_the_next_similar(
    member: Callable[..., Member], places: LabelSet, trigrams: Any, similarity: Similarity
) -> None:
    members, index = [member("a", {"Ann": "person"})], pool(trigrams, similarity)
    told = retrieve("Ann lives in Oslo", members, places, index, DemonstrationLimits(4, 100))
    assert len(told.demonstrations) == 4
    assert all(len(shown.text) < 30 for shown in told.demonstrations)
    assert bool(told.usage) is (similarity == "span")
    [alone] = retrieve("Ann lives in Oslo", members, places, index, DemonstrationLimits(4, 5)).demonstrations
    wide = retrieve("Ann lives in Oslo", members, places, index, DemonstrationLimits(4, 10_000)).demonstrations
    assert alone == wide[-1], "the most similar stands last"
    assert retrieve("Ann lives in Oslo", members, places, index, DemonstrationLimits(0, 100)).demonstrations == ()
